//! Reading a bundle that is a directory: no link is followed and nothing but regular files is opened.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use cto_schema::escape;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};

use super::{BundleError, Taker};

/// Directories deeper than this are not entered; names that deep are refused anyway.
const DEPTH: usize = 4;

const OPEN: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC);

/// Takes every file below `path` and returns the directory's own name.
pub(super) fn read(path: &Path, taker: &mut Taker) -> Result<String, BundleError> {
    let root = rustix::fs::open(path, OPEN | OFlags::DIRECTORY, Mode::empty())
        .map_err(|error| taker.read_error(&error.into()))?;
    walk(&root, &[], 0, taker)?;
    let name = path.file_name().map(OsStrExt::as_bytes).unwrap_or_default();
    Ok(escape(name, 200))
}

fn walk(dir: &OwnedFd, prefix: &[u8], depth: usize, taker: &mut Taker) -> Result<(), BundleError> {
    let mut listing = Dir::read_from(dir).map_err(|error| taker.read_error(&error.into()))?;
    let mut names = Vec::new();
    while let Some(entry) = listing.read() {
        let entry = entry.map_err(|error| taker.read_error(&error.into()))?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            taker.count()?;
            names.push(name.to_owned());
        }
    }
    if names.is_empty() && depth > 0 && prefix != b"backend" {
        taker.problem(prefix, "is an empty directory");
    }
    // The order decides which problem is named first, so it must not be the file system's.
    names.sort();
    for name in names {
        let mut full = prefix.to_vec();
        if !full.is_empty() {
            full.push(b'/');
        }
        full.extend_from_slice(&name);
        entry(dir, &name, &full, depth, taker)?;
    }
    Ok(())
}

fn entry(dir: &OwnedFd, name: &[u8], full: &[u8], depth: usize, taker: &mut Taker) -> Result<(), BundleError> {
    let stat = rustix::fs::statat(dir.as_fd(), name, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|error| taker.read_error(&error.into()))?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory if depth + 1 >= DEPTH => {
            taker.problem(full, "lies deeper than four levels");
            Ok(())
        }
        FileType::Directory => {
            let inner = rustix::fs::openat(dir, name, OPEN | OFlags::DIRECTORY, Mode::empty())
                .map_err(|error| taker.read_error(&error.into()))?;
            walk(&inner, full, depth + 1, taker)
        }
        FileType::RegularFile => {
            let file =
                rustix::fs::openat(dir, name, OPEN, Mode::empty()).map_err(|error| taker.read_error(&error.into()))?;
            // What counts is what was opened, not what the name showed a moment ago.
            let stat = rustix::fs::fstat(&file).map_err(|error| taker.read_error(&error.into()))?;
            if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
                taker.problem(full, "is no regular file");
                return Ok(());
            }
            if stat.st_nlink != 1 {
                taker.problem(full, "has more than one hard link; copy the bundle without links");
                return Ok(());
            }
            let size_bytes = u64::try_from(stat.st_size).unwrap_or(u64::MAX);
            taker.take(full, size_bytes, &mut File::from(file))
        }
        FileType::Symlink => {
            taker.problem(full, "is a symbolic link");
            Ok(())
        }
        _ => {
            taker.problem(full, "is a special file");
            Ok(())
        }
    }
}
