//! Proving the patch: applied to the baseline's versions of the touched paths, it must give the final ones.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use cto_schema::{EntryKind, EntryState, escape};
use rustix::fs::FileType;

use super::{At as _, PatchError};
use crate::baseline::{Baseline, beneath, init_bare};
use crate::tool::{Git, GitCall, GitError};
use crate::write_set::Collected;

/// One step from the baseline to the result, read back from the applied patch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeChange {
    /// Where, relative to the root.
    pub path: PathBuf,
    /// What is there afterwards.
    pub entry: TreeEntry,
}

/// What a step leaves at its path; steps are in the order in which they can be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TreeEntry {
    /// Nothing; a directory is removed with all that is in it.
    Absent,
    /// A regular file.
    File {
        /// 0o644 or 0o755.
        mode: u32,
        /// The file that holds the content; it lives as long as the round trip's directory.
        source: PathBuf,
    },
    /// A symbolic link.
    Symlink {
        /// Its text.
        target: PathBuf,
    },
}

/// What applying the patch gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoundTrip {
    /// Steps that turn a fresh baseline into the result, from what was applied and not from what the engine left.
    pub changes: Vec<TreeChange>,
    /// Why the patch does not reproduce the final tree; null when it does.
    pub mismatch: Option<String>,
}

/// Applies a patch in `directory`, an empty directory of the harness, and compares.
pub fn round_trip(
    git: &Git,
    baseline: &Baseline,
    patch: &[u8],
    collected: &Collected,
    directory: &Path,
) -> Result<RoundTrip, PatchError> {
    let changes = &collected.write_set.changes;
    if patch.is_empty() {
        let mismatch = (!changes.is_empty()).then(|| format!("the patch is empty and {} paths changed", changes.len()));
        return Ok(RoundTrip {
            changes: Vec::new(),
            mismatch,
        });
    }
    let (git_dir, tree) = (directory.join("git"), directory.join("tree"));
    // Our own git directory outranks what an applied `.gitattributes` says about line ends and filters.
    init_bare(&git_dir, baseline.format()).at(&git_dir)?;
    fs::create_dir(&tree).at(&tree)?;
    for change in changes {
        if let (Some(before), Some(path)) = (&change.before, change.path.bytes()) {
            let place = tree.join(OsStr::from_bytes(&path));
            materialise(baseline, &path, before.kind, &place).at(place)?;
        }
    }
    let patch_file = directory.join("patch");
    let mut file = File::create_new(&patch_file).at(&patch_file)?;
    io::Write::write_all(&mut file, patch).at(&patch_file)?;
    let call = GitCall::new("apply")
        .args(["--binary", "--whitespace=nowarn", "-p1"])
        .arg(&patch_file);
    match git.run(call.git_dir(&git_dir).work_tree(&tree).directory(&tree)) {
        Ok(_) => {}
        Err(error @ GitError::Failed { .. }) => {
            return Ok(RoundTrip {
                changes: Vec::new(),
                mismatch: Some(error.to_string()),
            });
        }
        Err(source) => return Err(PatchError::Diff { source }),
    }
    compare(baseline, collected, &tree)
}

fn materialise(baseline: &Baseline, path: &[u8], kind: EntryKind, place: &Path) -> io::Result<()> {
    if let Some(parent) = place.parent() {
        fs::create_dir_all(parent)?;
    }
    if kind == EntryKind::Symlink {
        let looked = beneath::look(baseline.files_fd(), path)?;
        let text = looked
            .map(|(fd, _)| beneath::link_text(&fd))
            .transpose()?
            .unwrap_or_default();
        return symlink(OsStr::from_bytes(&text), place);
    }
    let mut out = File::create_new(place)?;
    io::copy(&mut baseline.open(path)?, &mut out)?;
    let mode = if kind == EntryKind::Executable { 0o755 } else { 0o644 };
    out.set_permissions(fs::Permissions::from_mode(mode))
}

/// Compares the applied result with the final states, both ways, and lists it as steps.
fn compare(baseline: &Baseline, collected: &Collected, tree: &Path) -> Result<RoundTrip, PatchError> {
    let root = beneath::open_directory(tree).at(tree)?;
    let root = beneath::borrow(&root);
    let mut surplus: BTreeSet<Vec<u8>> = beneath::files_below(root, b"").at(tree)?.into_iter().collect();
    let (mut removed, mut written) = (BTreeSet::new(), Vec::new());
    let mut mismatch = None;
    for change in &collected.write_set.changes {
        let path = change.path.bytes().ok_or_else(|| PatchError::Content {
            path: change.path.shown(),
        })?;
        surplus.remove(&path);
        let place = tree.join(OsStr::from_bytes(&path));
        let applied = beneath::entry_state(root, &path).at(&place)?;
        if applied != change.after {
            mismatch.get_or_insert_with(|| difference(&path, applied.as_ref(), change.after.as_ref()));
        }
        match applied {
            None => {
                removed.insert(path);
            }
            Some(state) => written.push(step(&path, &state, place)?),
        }
    }
    if let Some(path) = surplus.first() {
        mismatch.get_or_insert_with(|| format!("the patch also makes \"{}\"", escape(path, 1000)));
    }
    let mut changes: Vec<TreeChange> = with_emptied_directories(baseline, removed, &written)?
        .into_iter()
        .map(|path| TreeChange {
            path: PathBuf::from(OsStr::from_bytes(&path)),
            entry: TreeEntry::Absent,
        })
        .collect();
    changes.extend(written);
    Ok(RoundTrip { changes, mismatch })
}

fn step(path: &[u8], state: &EntryState, place: PathBuf) -> Result<TreeChange, PatchError> {
    let entry = match state.kind {
        EntryKind::File => TreeEntry::File {
            mode: 0o644,
            source: place,
        },
        EntryKind::Executable => TreeEntry::File {
            mode: 0o755,
            source: place,
        },
        EntryKind::Symlink => TreeEntry::Symlink {
            target: fs::read_link(&place).at(place)?,
        },
    };
    Ok(TreeChange {
        path: PathBuf::from(OsStr::from_bytes(path)),
        entry,
    })
}

fn difference(path: &[u8], applied: Option<&EntryState>, wanted: Option<&EntryState>) -> String {
    let say = |state: Option<&EntryState>| {
        state.map_or("nothing".to_owned(), |s| {
            format!("{} {} ({} bytes)", s.kind.git_mode(), s.digest, s.size_bytes)
        })
    };
    format!(
        "\"{}\": the patch gives {}, the final tree has {}",
        escape(path, 1000),
        say(applied),
        say(wanted)
    )
}

/// Adds the directories that lose their last entry, as git does: it carries no empty ones.
fn with_emptied_directories(
    baseline: &Baseline,
    mut removed: BTreeSet<Vec<u8>>,
    written: &[TreeChange],
) -> Result<BTreeSet<Vec<u8>>, PatchError> {
    // A directory below which something is written stays.
    let mut kept: BTreeSet<&[u8]> = BTreeSet::new();
    for change in written {
        let mut parent = beneath::parent(change.path.as_os_str().as_bytes());
        while !parent.is_empty() && kept.insert(parent) {
            parent = beneath::parent(parent);
        }
    }
    let above = |path: &[u8]| {
        let parent = beneath::parent(path).to_vec();
        (parent.iter().filter(|byte| **byte == b'/').count(), parent)
    };
    let mut pending: BTreeSet<(usize, Vec<u8>)> = removed.iter().map(|path| above(path)).collect();
    // Deepest first: a directory can only be empty when those below it are.
    while let Some((_, directory)) = pending.pop_last() {
        if directory.is_empty() || kept.contains(directory.as_slice()) {
            continue;
        }
        if baseline.kind(&directory).at(baseline.files())? != Some(FileType::Directory) {
            continue;
        }
        let fd = beneath::open_beneath(baseline.files_fd(), &directory, beneath::DIRECTORY).at(baseline.files())?;
        let names = beneath::names(&fd).at(baseline.files())?;
        if names
            .iter()
            .all(|name| removed.contains(&beneath::join(&directory, name)))
        {
            pending.insert(above(&directory));
            removed.insert(directory);
        }
    }
    Ok(removed)
}
