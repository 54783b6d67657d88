//! Collection: what the engine changed, as write set, patch and changes for the clean room.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use cto_sandbox::Change;
use cto_schema::{IntegrityFact, WriteSet};

use crate::clean_room::canary::LayeredTree;
use crate::patch::{TreeChange, TreeEntry};

/// A collected change, ready to be verified.
#[derive(Debug)]
pub(crate) struct Collection {
    pub(crate) write_set: WriteSet,
    /// Bytes of `patch.diff`.
    pub(crate) patch: Vec<u8>,
    /// Why the patch does not reproduce the final tree.
    pub(crate) roundtrip_error: Option<String>,
    /// What applying the patch did, for fresh baselines.
    pub(crate) changes: Vec<Change>,
    /// Ignored files as the engine left them, to explain a failure.
    pub(crate) ignored_changes: Vec<Change>,
    pub(crate) changed_paths: Vec<Vec<u8>>,
    /// The patched tree, to look into.
    pub(crate) tree: LayeredTree,
    pub(crate) integrity: Vec<IntegrityFact>,
}

/// Returns the patched tree as a view: the baseline's files and what the changes put over them.
///
/// A link is no file to look into, like one that is gone.
pub(crate) fn patched_tree(base: &Path, changes: &[TreeChange]) -> LayeredTree {
    let mut overrides: BTreeMap<Vec<u8>, Option<PathBuf>> = BTreeMap::new();
    for change in changes {
        let content = match &change.entry {
            TreeEntry::File { source, .. } => Some(source.clone()),
            TreeEntry::Absent | TreeEntry::Symlink { .. } => None,
        };
        overrides.insert(change.path.as_os_str().as_bytes().to_vec(), content);
    }
    LayeredTree {
        base: base.to_owned(),
        overrides,
    }
}

/// Returns a step of the applied patch as the sandbox makes it in a fresh workspace.
pub(crate) fn sandbox_change(change: TreeChange) -> Change {
    let path = change.path;
    match change.entry {
        TreeEntry::Absent => Change::Remove { path },
        TreeEntry::File { mode, source } => Change::File { path, mode, source },
        TreeEntry::Symlink { target } => Change::Symlink { path, target },
    }
}
