//! Writing beneath a directory of the target: no link is followed, and what is new belongs to whom its directory does.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use super::fault;
use crate::baseline::beneath;

/// Opens the directory that holds a path; every part of it must be a plain directory.
pub(super) fn open_parent(root: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd, Errno> {
    beneath::open_beneath(root, beneath::parent(path), beneath::DIRECTORY)
}

/// As [`open_parent`], and makes what is missing of it.
pub(super) fn make_parent(root: BorrowedFd<'_>, path: &[u8]) -> io::Result<OwnedFd> {
    let mut directory = beneath::open_beneath(root, b"", beneath::DIRECTORY)?;
    let parent = beneath::parent(path);
    for name in parent.split(|&byte| byte == b'/').filter(|name| !name.is_empty()) {
        let below = match beneath::open_beneath(directory.as_fd(), name, beneath::DIRECTORY) {
            Err(Errno::NOENT) => {
                fault::point("mkdir")?;
                rustix::fs::mkdirat(&directory, name, Mode::from_raw_mode(0o777))?;
                let made = beneath::open_beneath(directory.as_fd(), name, beneath::DIRECTORY)?;
                adopt(&made, &directory)?;
                sync(&directory)?;
                made
            }
            other => other?,
        };
        directory = below;
    }
    Ok(directory)
}

/// Returns the last part of a path.
pub(super) fn name(path: &[u8]) -> &[u8] {
    let parent = beneath::parent(path).len();
    if parent == 0 { path } else { &path[parent + 1..] }
}

/// Creates a file that must not exist; its mode is subject to the umask, as git's files are.
pub(super) fn create(directory: impl AsFd, name: &[u8], mode: u32) -> io::Result<std::fs::File> {
    let directory = directory.as_fd();
    fault::point("create")?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(directory, name, flags, Mode::from_raw_mode(mode))?;
    adopt(&file, directory)?;
    Ok(file.into())
}

/// Gives what root made in somebody's directory to that somebody.
pub(super) fn adopt(new: impl AsFd, directory: impl AsFd) -> io::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let (owner, own) = (rustix::fs::fstat(directory)?, rustix::fs::fstat(&new)?);
    if (owner.st_uid, owner.st_gid) != (own.st_uid, own.st_gid) {
        let (user, group) = (Uid::from_raw(owner.st_uid), Gid::from_raw(owner.st_gid));
        rustix::fs::fchown(&new, Some(user), Some(group))?;
    }
    Ok(())
}

/// Makes a symbolic link that must not exist.
pub(super) fn link(directory: impl AsFd, name: &[u8], text: &[u8]) -> io::Result<()> {
    let directory = directory.as_fd();
    fault::point("symlink")?;
    rustix::fs::symlinkat(text, directory, name)?;
    if rustix::process::geteuid().is_root() {
        let owner = rustix::fs::fstat(directory)?;
        let (user, group) = (Uid::from_raw(owner.st_uid), Gid::from_raw(owner.st_gid));
        rustix::fs::chownat(directory, name, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW)?;
    }
    Ok(())
}

/// Renames within a directory, over what is there.
pub(super) fn replace(directory: impl AsFd, from: &[u8], to: &[u8]) -> io::Result<()> {
    fault::point("rename")?;
    let directory = directory.as_fd();
    Ok(rustix::fs::renameat(directory, from, directory, to)?)
}

/// Removes a name that is no directory; one that is gone already is fine.
pub(super) fn remove(directory: impl AsFd, name: &[u8]) -> io::Result<()> {
    fault::point("unlink")?;
    match rustix::fs::unlinkat(directory, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Removes a directory if it is empty; tells whether it is gone.
pub(super) fn remove_empty(directory: impl AsFd, name: &[u8]) -> io::Result<bool> {
    fault::point("rmdir")?;
    match rustix::fs::unlinkat(directory, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR | Errno::BUSY) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Writes all that a reader gives.
pub(super) fn pour(source: &mut impl io::Read, file: &std::fs::File) -> io::Result<()> {
    let (mut chunk, mut file) = (vec![0; 64 << 10], file);
    loop {
        let count = match source.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        fault::point("write")?;
        io::Write::write_all(&mut file, &chunk[..count / 2])?;
        fault::point("half written")?;
        io::Write::write_all(&mut file, &chunk[count / 2..count])?;
    }
}

/// Makes a file's content durable.
pub(super) fn sync_file(file: &std::fs::File) -> io::Result<()> {
    fault::point("fsync")?;
    file.sync_all()
}

/// Makes the names in a directory durable.
pub(super) fn sync(directory: impl AsFd) -> io::Result<()> {
    fault::point("fsync_dir")?;
    Ok(rustix::fs::fsync(directory)?)
}
