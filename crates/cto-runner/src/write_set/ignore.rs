//! Which new paths are kept out of the patch: the baseline's own ignore rules and the contract's scratch paths.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use cto_schema::escape;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use rustix::fs::FileType;

use super::WriteSetError;
use crate::baseline::{Baseline, beneath};
use crate::tool::{Git, GitCall, GitError, Input};

/// The contract's scratch paths.
#[derive(Debug)]
pub(super) struct Scratch(GlobSet);

impl Scratch {
    pub(super) fn new(patterns: &[String]) -> Result<Self, WriteSetError> {
        let mut set = GlobSetBuilder::new();
        let bad = |pattern: &str, source| WriteSetError::Pattern {
            pattern: escape(pattern.as_bytes(), 200),
            source,
        };
        for pattern in patterns {
            // A directory means all below it, and the directory itself when it is empty.
            let directory = pattern.strip_suffix('/');
            let texts = directory.map_or_else(
                || vec![pattern.clone()],
                |dir| vec![format!("{dir}/**"), dir.to_owned()],
            );
            for text in texts {
                let glob = GlobBuilder::new(&text).literal_separator(true).build();
                set.add(glob.map_err(|source| bad(pattern, source))?);
            }
        }
        set.build().map(Self).map_err(|source| bad("", source))
    }

    pub(super) fn matches(&self, path: &[u8]) -> bool {
        self.0.is_match(Path::new(OsStr::from_bytes(path)))
    }
}

/// Returns those of the new paths that the baseline's `.gitignore` files ignore; directories end in a slash.
///
/// git reads the rules of the frozen files only, under a git directory of ours.
pub(super) fn ignored(git: &Git, baseline: &Baseline, new: &[Vec<u8>]) -> Result<BTreeSet<Vec<u8>>, WriteSetError> {
    if new.is_empty() || !baseline.has_ignore_rules() {
        return Ok(BTreeSet::new());
    }
    let mut asked = Vec::new();
    for path in new {
        // git refuses to look past a link, and rules do not reach there.
        if !behind_a_link(baseline, path)? {
            // No path that starts like this is taken for a pattern.
            asked.extend_from_slice(b"./");
            asked.extend_from_slice(path);
            asked.push(0);
        }
    }
    let call = GitCall::new("check-ignore").args(["--no-index", "-z", "--stdin"]);
    let call = call
        .unmarked_paths()
        .git_dir(baseline.reader())
        .work_tree(baseline.files())
        .directory(baseline.files());
    let answer = match git.run(call.input(Input::Bytes(asked)).cap(1 << 30)) {
        Ok(answer) => answer,
        // It exits 1 without a word when nothing is ignored.
        Err(GitError::Failed { status, stderr, .. }) if status == "exit status: 1" && stderr.is_empty() => Vec::new(),
        Err(source) => return Err(WriteSetError::Ignore { source }),
    };
    Ok(answer
        .split(|&byte| byte == 0)
        .filter_map(|path| path.strip_prefix(b"./"))
        .map(<[u8]>::to_vec)
        .collect())
}

fn behind_a_link(baseline: &Baseline, path: &[u8]) -> Result<bool, WriteSetError> {
    let mut parent = beneath::parent(path);
    while !parent.is_empty() {
        let kind = baseline.kind(parent).map_err(|source| WriteSetError::BaselineRead {
            path: escape(parent, 1000),
            source,
        })?;
        match kind {
            Some(FileType::Symlink) => return Ok(true),
            // Everything above an existing directory is one.
            Some(FileType::Directory) => return Ok(false),
            _ => parent = beneath::parent(parent),
        }
    }
    Ok(false)
}
