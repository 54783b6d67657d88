//! Applying a patch of the contract on top of a result, for canaries.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::{At as _, PatchError, TreeChange, TreeEntry};
use crate::baseline::{Baseline, init_bare};
use crate::tool::{Git, GitCall};

/// Applies `patch` to the baseline with `overrides` over it; returns what is then at the paths that it names.
///
/// Only plain names are supported: the patch comes from the contract, whose author can choose them.
pub(crate) fn apply_on_top(
    git: &Git,
    baseline: &Baseline,
    patch: &[u8],
    overrides: &BTreeMap<Vec<u8>, Option<PathBuf>>,
    directory: &Path,
) -> Result<Vec<TreeChange>, PatchError> {
    let (git_dir, tree) = (directory.join("git"), directory.join("tree"));
    init_bare(&git_dir, baseline.format()).at(&git_dir)?;
    fs::create_dir(&tree).at(&tree)?;
    let paths = named_paths(patch);
    for path in &paths {
        let place = tree.join(OsStr::from_bytes(path));
        match overrides.get(path) {
            Some(Some(source)) => copy(&mut File::open(source).at(source)?, &place)?,
            Some(None) => {}
            None => {
                if let Ok(mut file) = baseline.open(path) {
                    copy(&mut file, &place)?;
                }
            }
        }
    }
    let patch_file = directory.join("patch");
    let mut file = File::create_new(&patch_file).at(&patch_file)?;
    std::io::Write::write_all(&mut file, patch).at(&patch_file)?;
    let call = GitCall::new("apply")
        .args(["--binary", "--whitespace=nowarn", "-p1"])
        .arg(&patch_file);
    git.run(call.git_dir(&git_dir).work_tree(&tree).directory(&tree))
        .map_err(|source| PatchError::Diff { source })?;
    paths.iter().map(|path| read_back(&tree, path)).collect()
}

fn copy(from: &mut File, to: &Path) -> Result<(), PatchError> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).at(parent)?;
    }
    let mut target = File::create_new(to).at(to)?;
    std::io::copy(from, &mut target).at(to)?;
    Ok(())
}

fn read_back(tree: &Path, path: &[u8]) -> Result<TreeChange, PatchError> {
    let relative = PathBuf::from(OsStr::from_bytes(path));
    let place = tree.join(&relative);
    let entry = match fs::symlink_metadata(&place) {
        Ok(meta) if meta.is_file() => {
            let mode = if meta.permissions().mode() & 0o100 == 0 {
                0o644
            } else {
                0o755
            };
            TreeEntry::File { mode, source: place }
        }
        Ok(meta) if meta.is_symlink() => TreeEntry::Symlink {
            target: fs::read_link(&place).at(&place)?,
        },
        _ => TreeEntry::Absent,
    };
    Ok(TreeChange { path: relative, entry })
}

/// Every path that the headers of a patch name; a line of content that looks like one only adds a path.
fn named_paths(patch: &[u8]) -> BTreeSet<Vec<u8>> {
    let mut paths = BTreeSet::new();
    for line in patch.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let name = [&b"--- a/"[..], b"+++ b/", b"rename from ", b"rename to ", b"copy to "]
            .iter()
            .find_map(|prefix| line.strip_prefix(*prefix));
        let Some(name) = name else { continue };
        let name = name.split(|byte| *byte == b'\t').next().unwrap_or(name);
        let safe = !name.is_empty()
            && name
                .split(|byte| *byte == b'/')
                .all(|part| !matches!(part, b"" | b"." | b".."));
        if safe {
            paths.insert(name.to_vec());
        }
    }
    paths
}
