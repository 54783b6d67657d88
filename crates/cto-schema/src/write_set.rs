//! `write-set.json`: exactly what the engine changed, as the harness saw it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;
use crate::paths::PathText;

/// The exact write set of a run: baseline against final tree, read from the workspace after every process was dead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WriteSet {
    /// `cto/write-set/1.0`.
    pub schema: String,
    /// `overlay` (the upper layer is the write set) or `copied` (a full walk against the manifest).
    pub workspace: String,
    /// Paths whose content, type or mode differs from the baseline, sorted by bytes.
    pub changes: Vec<Change>,
    /// Paths that were written or copied up but equal the baseline.
    pub touched: Vec<PathText>,
    /// Paths that the baseline's ignore rules or `scratch_paths` keep out of the patch.
    pub ignored: Vec<IgnoredArtifact>,
    /// Special files, set-id bits, escaping symlinks and unsafe names; each is a violation.
    pub unsafe_entries: Vec<UnsafeEntry>,
    /// New directories that hold nothing; git cannot carry them.
    pub empty_directories: Vec<PathText>,
    /// What the engine did to its own git directory: commits, refs, hooks, configuration.
    pub git: Vec<GitFact>,
    /// Non-null when a scan limit stopped the walk; names the limit.
    pub truncated: Option<String>,
}

/// One changed path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// The path.
    pub path: PathText,
    /// What happened to it.
    pub kind: ChangeKind,
    /// The baseline's entry; null when added.
    pub before: Option<EntryState>,
    /// The final entry; null when deleted.
    pub after: Option<EntryState>,
}

/// What happened to a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// New in the final tree.
    Added,
    /// Content, type or git mode differs.
    Modified,
    /// Gone from the final tree.
    Deleted,
}

/// The type of an entry that git can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A regular file with an executable bit.
    Executable,
    /// A symbolic link; the digest is of its target text.
    Symlink,
}

impl EntryKind {
    /// Returns git's mode of the entry.
    pub fn git_mode(self) -> &'static str {
        match self {
            Self::File => "100644",
            Self::Executable => "100755",
            Self::Symlink => "120000",
        }
    }
}

/// One side of a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EntryState {
    /// Type, with git's executable bit.
    pub kind: EntryKind,
    /// Digest of the content, or of the link text.
    pub digest: Sha256Digest,
    /// Bytes of the content, or of the link text.
    pub size_bytes: u64,
}

/// A path that was kept out of the patch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IgnoredArtifact {
    /// The path.
    pub path: PathText,
    /// Digest of the content; null for directories and links.
    pub digest: Option<Sha256Digest>,
    /// `ignore_rules` or `scratch_paths`.
    pub because: String,
}

/// An entry that must not come out of a sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UnsafeEntry {
    /// The path.
    pub path: PathText,
    /// `special_file`, `set_id`, `escaping_symlink`, `endless_symlink`, `unsafe_path`, `nested_git` or `unreadable`.
    pub reason: String,
}

/// Something that the engine did to its own git directory, as a fact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GitFact {
    /// `head_moved`, `ref_changed`, `hook_added`, `config_changed`, `index_changed`, `objects_added`, `replaced`.
    pub kind: String,
    /// What was seen, escaped.
    pub detail: String,
}

impl WriteSet {
    /// Returns the changed paths as text, in order, for reports.
    pub fn changed_files(&self) -> Vec<String> {
        self.changes.iter().map(|change| change.path.path.clone()).collect()
    }
}
