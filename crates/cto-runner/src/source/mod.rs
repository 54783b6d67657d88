//! The operator's repository: opened without following a link, observed natively, locked without writing, never run.

mod branch;
mod config;
mod dirty;
mod history;
mod open;
mod refs;
mod staged;
mod state;

#[cfg(test)]
mod tests;

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use crate::baseline::{Lock, ObjectFormat, ObjectSource, beneath};
use crate::tool::GitError;

pub use branch::Head;
pub use dirty::DirtyPaths;

/// Why a path cannot be a target.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Nothing is there.
    #[error("find the target repository {}: nothing is there", .path.display())]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// It is no directory.
    #[error("use {} as target repository: it is not a directory", .path.display())]
    NotADirectory {
        /// The path.
        path: PathBuf,
    },
    /// A part of the path is a symbolic link.
    #[error("use {} as target repository: a part of the path is a symbolic link, which could be swapped; write {} instead", .path.display(), .instead.display())]
    Symlink {
        /// The path.
        path: PathBuf,
        /// What to write instead.
        instead: PathBuf,
    },
    /// It holds no repository.
    #[error("find a git repository in {}: {hint}", .path.display())]
    NotARepository {
        /// The path.
        path: PathBuf,
        /// What to do.
        hint: String,
    },
    /// It has no work tree.
    #[error("use {} as target repository: it is bare; clone it and name the clone", .path.display())]
    Bare {
        /// The path.
        path: PathBuf,
    },
    /// It belongs to another repository.
    #[error("use {} as target repository: it is a submodule's work tree; clone the submodule's repository by itself and name the clone", .path.display())]
    Submodule {
        /// The path.
        path: PathBuf,
    },
    /// Its git directory is elsewhere and does not name this work tree.
    #[error("trust the `.git` file of {}: {what}; run `git worktree repair` in the main work tree, or clone the repository", .path.display())]
    ForeignGitDirectory {
        /// The path.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// Somebody else owns it.
    #[error("use {}: it belongs to uid {owner} and this is uid {caller}; run as its owner or clone it", .path.display())]
    NotOwned {
        /// The path.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Who asks.
        caller: u32,
    },
    /// It has no commit.
    #[error("start from {}: `HEAD` names {head}, which has no commit yet; make the first commit", .path.display())]
    Empty {
        /// The path.
        path: PathBuf,
        /// What `HEAD` says, escaped.
        head: String,
    },
    /// It cannot be read as a repository.
    #[error("read the repository {}: {what}; run `git fsck` there", .path.display())]
    Corrupt {
        /// The path.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// It uses a format that is not read here.
    #[error("read the repository {}: it uses {what}", .path.display())]
    Format {
        /// The path.
        path: PathBuf,
        /// The format, with the mend.
        what: String,
    },
    /// Another run holds it.
    #[error("lock {}: another run works on it; wait for its end", .path.display())]
    Busy {
        /// The path.
        path: PathBuf,
    },
    /// git could not compare the work tree.
    #[error("compare the work tree {} with its commit", .path.display())]
    Status {
        /// The path.
        path: PathBuf,
        /// Why.
        source: GitError,
    },
    /// A file could not be read.
    #[error("read {}", .path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// An opened target repository.
#[derive(Debug)]
pub struct SourceRepository {
    pub(super) path: PathBuf,
    pub(super) directory: OwnedFd,
    pub(super) identity: (u64, u64),
    pub(super) git_dir: OwnedFd,
    pub(super) git_dir_path: PathBuf,
    pub(super) common: OwnedFd,
    pub(super) common_path: PathBuf,
    pub(super) linked: bool,
    pub(super) format: ObjectFormat,
}

/// Holds a target; the kernel releases it when the process ends, however it ends.
#[derive(Debug)]
pub struct SourceLock {
    #[expect(dead_code, reason = "dropping it is what releases the target")]
    pub(super) directory: Lock,
}

impl SourceRepository {
    /// Returns the path, absolute and without links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns device and inode of the work tree.
    pub fn identity(&self) -> (u64, u64) {
        self.identity
    }

    /// Tells whether the path still leads to the directory that was opened.
    pub fn is_in_place(&self) -> bool {
        open::open_plain(&self.path).is_ok_and(|(_, stat)| (stat.st_dev, stat.st_ino) == self.identity)
    }

    /// Returns where its objects are, and nothing else of it.
    pub fn objects(&self) -> Result<ObjectSource, SourceError> {
        let shallow = self.read(&self.common, "shallow", 16 << 20)?.unwrap_or_default();
        let lines = String::from_utf8_lossy(&shallow)
            .lines()
            .map(str::to_owned)
            .collect::<Vec<_>>();
        if let Some(line) = lines.iter().find(|line| !self.format.names(line)) {
            let what = format!("`shallow` holds \"{}\"", cto_schema::escape(line.as_bytes(), 100));
            return Err(SourceError::Corrupt {
                path: self.path.clone(),
                what,
            });
        }
        Ok(ObjectSource {
            objects: self.common_path.join("objects"),
            format: self.format,
            shallow: lines,
        })
    }

    /// Locks the target for this run alone; nothing is written to it.
    pub fn lock(&self) -> Result<SourceLock, SourceError> {
        self.lock_as(rustix::fs::FlockOperation::NonBlockingLockExclusive)
    }

    /// Locks the target against a run that needs it alone; runs that only read it share the lock.
    pub fn lock_shared(&self) -> Result<SourceLock, SourceError> {
        self.lock_as(rustix::fs::FlockOperation::NonBlockingLockShared)
    }

    fn lock_as(&self, operation: rustix::fs::FlockOperation) -> Result<SourceLock, SourceError> {
        let opened = rustix::fs::openat(&self.directory, ".", beneath::DIRECTORY, rustix::fs::Mode::empty());
        let directory = opened.map_err(|errno| self.io(".", errno))?;
        match Lock::take(directory, operation) {
            Ok(directory) => Ok(SourceLock { directory }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(SourceError::Busy {
                path: self.path.clone(),
            }),
            Err(errno) => Err(self.io(".", errno)),
        }
    }

    pub(super) fn read(&self, directory: &OwnedFd, name: &str, cap: u64) -> Result<Option<Vec<u8>>, SourceError> {
        beneath::read_small(beneath::borrow(directory), name.as_bytes(), cap).map_err(|error| self.io(name, error))
    }

    pub(super) fn io(&self, name: &str, error: impl Into<io::Error>) -> SourceError {
        SourceError::Io {
            path: self.path.join(".git").join(name),
            source: error.into(),
        }
    }
}
