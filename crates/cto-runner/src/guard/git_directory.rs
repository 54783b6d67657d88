//! Everything of a git directory as the file system has it: whoever touches it between two looks is seen.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use cto_schema::{Sha256Digest, escape};
use rustix::fs::{FileType, Stat};
use sha2::Digest as _;

use crate::baseline::beneath;

/// Deeper than git puts anything.
const DEEPEST: usize = 64;
/// Most entries; a repository with more is not looked at.
const MOST_ENTRIES: u64 = 2_000_000;

/// What was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GitDirectory {
    /// Over every entry's name, kind, mode, inode, size and times.
    pub(super) digest: Sha256Digest,
    /// Lock files, escaped.
    pub(super) locks: Vec<String>,
}

struct Walk {
    hash: sha2::Sha256,
    locks: Vec<String>,
    entries: u64,
}

/// Reads a git directory; of objects only directories count, whose times change with each new object.
pub(super) fn read(root: BorrowedFd<'_>) -> io::Result<GitDirectory> {
    let directory = beneath::open_beneath(root, b"", beneath::DIRECTORY)?;
    let mut walk = Walk {
        hash: sha2::Sha256::new(),
        locks: Vec::new(),
        entries: 0,
    };
    let stat = rustix::fs::fstat(&directory)?;
    walk.add(b"", &stat);
    walk.enter(&directory, b"", 0)?;
    Ok(GitDirectory {
        digest: Sha256Digest::from_bytes(walk.hash.finalize().into()),
        locks: walk.locks,
    })
}

impl Walk {
    fn enter(&mut self, directory: &OwnedFd, path: &[u8], depth: usize) -> io::Result<()> {
        if depth > DEEPEST {
            return Err(io::Error::other(format!("'{}' lies too deep", escape(path, 200))));
        }
        for name in beneath::names(directory)? {
            let full = beneath::join(path, &name);
            let stat = beneath::stat_at(directory, &name)?;
            let is_directory = beneath::kind(&stat) == FileType::Directory;
            let in_objects = full.starts_with(b"objects/");
            if !is_directory && is_lock(&full) {
                self.locks.push(escape(&full, 300));
            }
            if is_directory || !in_objects {
                self.entries += 1;
                if self.entries > MOST_ENTRIES {
                    return Err(io::Error::other(format!("it has more than {MOST_ENTRIES} entries")));
                }
                self.add(&full, &stat);
            }
            if is_directory {
                let inner = rustix::fs::openat(directory, &name[..], beneath::DIRECTORY, rustix::fs::Mode::empty())?;
                self.enter(&inner, &full, depth + 1)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, path: &[u8], stat: &Stat) {
        let numbers = [
            path.len().to_string(),
            stat.st_mode.to_string(),
            stat.st_ino.to_string(),
            stat.st_size.to_string(),
            stat.st_mtime.to_string(),
            stat.st_mtime_nsec.to_string(),
            stat.st_ctime.to_string(),
            stat.st_ctime_nsec.to_string(),
        ];
        self.hash.update(numbers.join(" ").as_bytes());
        self.hash.update(b"\n");
        self.hash.update(path);
    }
}

/// git's own lock files, and the mark of a running `git gc`. The reason of a locked work tree is another thing.
fn is_lock(path: &[u8]) -> bool {
    path.ends_with(b".lock") || path == b"gc.pid"
}
