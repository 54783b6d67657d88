//! A read-only view of a source tree: a baseline directory and the files that a patch puts over it.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags};

/// The largest file that is read whole; a test file is never near it.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// A tree that can be looked at and not changed. Paths are relative, separated by `/`; the root is empty.
pub(crate) trait TreeView: Debug {
    /// Returns the bytes of a regular file; `None` when there is none or it is over 4 MiB.
    fn read(&self, path: &[u8]) -> Option<Vec<u8>>;
    /// Returns the names in a directory, sorted, each with whether it is a directory itself.
    fn list(&self, directory: &[u8]) -> Vec<(Vec<u8>, bool)>;
    /// Returns whether something is there under that name, of whatever kind.
    fn exists(&self, path: &[u8]) -> bool;
}

/// A baseline on disk and the changed paths over it; nothing is copied and no symbolic link is followed.
#[derive(Clone, Debug)]
pub(crate) struct LayeredTree {
    /// Directory of the baseline.
    pub(crate) base: PathBuf,
    /// Changed paths: the file that holds the new content, or `None` for a deleted path.
    pub(crate) overrides: BTreeMap<Vec<u8>, Option<PathBuf>>,
}

impl LayeredTree {
    /// Opens below the baseline; a link anywhere on the way is an error, since the tree's author may have aimed it.
    fn open(&self, path: &[u8], flags: OFlags) -> Option<OwnedFd> {
        let root = rustix::fs::open(
            &self.base,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        );
        let relative = if path.is_empty() { b"." } else { path };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        rustix::fs::openat2(
            root.ok()?,
            Path::new(std::ffi::OsStr::from_bytes(relative)),
            flags | OFlags::CLOEXEC,
            Mode::empty(),
            resolve,
        )
        .ok()
    }

    /// Returns whether an overriding parent (a deleted directory, a file in its place) hides the baseline here.
    fn hidden(&self, path: &[u8]) -> bool {
        let parents = path
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'/')
            .map(|(at, _)| &path[..at]);
        parents.into_iter().any(|parent| self.overrides.contains_key(parent))
    }

    fn below(&self, directory: &[u8]) -> impl Iterator<Item = (&[u8], bool)> {
        let prefix = if directory.is_empty() {
            Vec::new()
        } else {
            [directory, b"/"].concat()
        };
        let start = prefix.clone();
        self.overrides
            .range(start..)
            .take_while({
                let prefix = prefix.clone();
                move |(path, _)| path.starts_with(&prefix)
            })
            .map(move |(path, file)| (&path[prefix.len()..], file.is_some()))
    }

    fn base_entries(&self, directory: &[u8]) -> BTreeMap<Vec<u8>, bool> {
        let mut found = BTreeMap::new();
        let Some(fd) = self.open(directory, OFlags::RDONLY | OFlags::DIRECTORY) else {
            return found;
        };
        let Ok(entries) = Dir::read_from(&fd) else {
            return found;
        };
        for entry in entries.flatten() {
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => rustix::fs::statat(&fd, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)
                    .map_or(FileType::Unknown, |stat| FileType::from_raw_mode(stat.st_mode)),
                kind => kind,
            };
            found.insert(name.to_vec(), kind == FileType::Directory);
        }
        found
    }
}

impl TreeView for LayeredTree {
    fn read(&self, path: &[u8]) -> Option<Vec<u8>> {
        // Without O_NONBLOCK a FIFO in the tree would stop the harness.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let fd = match self.overrides.get(path) {
            Some(None) => return None,
            Some(Some(file)) => rustix::fs::open(file, flags | OFlags::CLOEXEC, Mode::empty()).ok()?,
            None if self.hidden(path) => return None,
            None => self.open(path, flags)?,
        };
        read_regular(File::from(fd))
    }

    fn list(&self, directory: &[u8]) -> Vec<(Vec<u8>, bool)> {
        let covered = self.overrides.contains_key(directory) || self.hidden(directory);
        let mut entries = if covered {
            BTreeMap::new()
        } else {
            self.base_entries(directory)
        };
        for (rest, present) in self.below(directory) {
            match rest.iter().position(|byte| *byte == b'/') {
                Some(at) if present => {
                    entries.insert(rest[..at].to_vec(), true);
                }
                Some(_) => {}
                None if present => {
                    entries.insert(rest.to_vec(), false);
                }
                None => {
                    entries.remove(rest);
                }
            }
        }
        entries.into_iter().collect()
    }

    fn exists(&self, path: &[u8]) -> bool {
        if path.is_empty() {
            return true;
        }
        match self.overrides.get(path) {
            Some(file) => file.is_some() || self.below(path).any(|(_, present)| present),
            None if self.below(path).any(|(_, present)| present) => true,
            None => !self.hidden(path) && self.open(path, OFlags::PATH | OFlags::NOFOLLOW).is_some(),
        }
    }
}

fn read_regular(file: File) -> Option<Vec<u8>> {
    let metadata = file.metadata().ok()?;
    if !metadata.is_file() || metadata.len() > MAX_FILE_BYTES {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}
