//! What the index of a target holds that its commit does not, asked with a copy of the index.

use std::fs::File;
use std::io;
use std::path::Path;

use cto_schema::escape;

use super::dirty::SHOWN;
use super::{DirtyPaths, SourceError, SourceRepository};
use crate::baseline::beneath;
use crate::tool::{Git, GitCall};

/// The largest index that is copied, in bytes; a million files have about 100 MiB.
const INDEX_CAP: u64 = 1 << 30;

/// What an index says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Staged {
    /// Paths in which it differs from the commit.
    pub(crate) paths: DirtyPaths,
    /// Submodules whose directory holds a repository, escaped.
    pub(crate) submodules: Vec<String>,
}

impl SourceRepository {
    /// Compares the index with `HEAD`; `keep` is where [`SourceRepository::dirty_paths`] keeps the harness's own git
    /// directory for this target, must have been asked before, and is the caller's alone.
    ///
    /// An index that is split over several files cannot be copied alone, and is an error.
    pub(crate) fn staged(&self, git: &Git, keep: &Path) -> Result<Staged, SourceError> {
        let commit = self.head_commit()?;
        let objects = self.objects()?.objects;
        let git_dir = keep.join(format!("status-{}", self.format.word()));
        let kept = |source: io::Error| SourceError::Io {
            path: keep.to_owned(),
            source,
        };
        let failed = |source| SourceError::Status {
            path: self.path.clone(),
            source,
        };
        // What git complains about names this file, and two complaints about one thing must be the same.
        let copy = keep.join("staged-index");
        match std::fs::remove_file(&copy) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(kept(error)),
            _ => {}
        }
        match beneath::open_beneath(beneath::borrow(&self.git_dir), b"index", beneath::READ) {
            Ok(fd) => {
                let mut source = io::Read::take(File::from(fd), INDEX_CAP);
                let mut target = File::create_new(&copy).map_err(kept)?;
                let copied = io::copy(&mut source, &mut target).map_err(|error| self.io("index", error))?;
                if copied == INDEX_CAP {
                    return Err(self.corrupt(format!("its index has more than {INDEX_CAP} bytes")));
                }
            }
            // Everything of the commit is then staged for removal, which git says when it finds no index.
            Err(rustix::io::Errno::NOENT) => {}
            Err(errno) => return Err(self.io("index", errno)),
        }
        let ask = |call: GitCall| {
            let call = call.git_dir(&git_dir).index_file(&copy).alternate_objects(&objects);
            git.run(call.cap(256 << 20)).map_err(failed)
        };
        let mut staged = Staged::default();
        let differs = ask(GitCall::new("diff-index").args(["--cached", "--name-only", "--no-renames", "-z", &commit]))?;
        for path in differs.split(|&byte| byte == 0).filter(|path| !path.is_empty()) {
            staged.paths.count += 1;
            if staged.paths.shown.len() < SHOWN {
                staged.paths.shown.push(escape(path, 1000));
            }
        }
        let entries = ask(GitCall::new("ls-files").args(["--stage", "-z"]))?;
        for entry in entries.split(|&byte| byte == 0) {
            let Some(tab) = entry.iter().position(|&byte| byte == b'\t') else {
                continue;
            };
            let path = &entry[tab + 1..];
            if entry.starts_with(b"160000 ") && self.holds_a_repository(path)? {
                staged.submodules.push(escape(path, 1000));
            }
        }
        Ok(staged)
    }

    fn holds_a_repository(&self, path: &[u8]) -> Result<bool, SourceError> {
        let root = rustix::fs::openat(&self.directory, ".", beneath::DIRECTORY, rustix::fs::Mode::empty());
        let root = root.map_err(|errno| self.io(".", errno))?;
        let found = beneath::look(beneath::borrow(&root), &beneath::join(path, b".git"));
        Ok(found.map_err(|errno| self.io("modules", errno))?.is_some())
    }
}
