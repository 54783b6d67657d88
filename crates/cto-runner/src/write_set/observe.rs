//! The final state of one path in the workspace.

use std::fs::File;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, Stat};
use rustix::io::Errno;

use crate::baseline::beneath;

/// What lies at a path in the end.
#[derive(Debug)]
pub(super) enum Observed {
    /// Nothing, or a directory.
    Absent,
    /// A regular file, not yet opened.
    File(OwnedFd, Stat),
    /// A symbolic link and its text.
    Symlink(Vec<u8>),
    /// A FIFO, socket or device.
    Special,
}

/// Looks at a path without opening what lies there.
pub(super) fn observe(merged: BorrowedFd<'_>, path: &[u8]) -> Result<Observed, Errno> {
    let Some((fd, stat)) = beneath::look(merged, path)? else {
        return Ok(Observed::Absent);
    };
    Ok(match beneath::kind(&stat) {
        FileType::Directory => Observed::Absent,
        FileType::RegularFile => Observed::File(fd, stat),
        FileType::Symlink => Observed::Symlink(beneath::link_text(&fd)?),
        _ => Observed::Special,
    })
}

/// Opens a directory, also one that its owner closed to itself.
pub(super) fn open_directory(root: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd, Errno> {
    if let Some((_, stat)) = beneath::look(root, path)? {
        unlock(root, path, &stat)?;
    }
    beneath::open_beneath(root, path, beneath::DIRECTORY)
}

/// Makes an entry readable to its owner, who may be the harness's own user and bound by modes; the root's path is empty.
///
/// Every process of the workspace is dead and git carries no such mode, so nothing is lost.
pub(super) fn unlock(root: BorrowedFd<'_>, path: &[u8], stat: &Stat) -> Result<(), Errno> {
    let needed = if beneath::kind(stat) == FileType::Directory {
        0o500
    } else {
        0o400
    };
    if stat.st_mode & needed == needed {
        return Ok(());
    }
    let lift = |fd: BorrowedFd<'_>| {
        let place = format!("/proc/self/fd/{}", fd.as_raw_fd());
        rustix::fs::chmod(place.as_str(), Mode::from_raw_mode(stat.st_mode & 0o7777 | needed))
    };
    if path.is_empty() {
        return lift(root);
    }
    beneath::look(root, path)?.map_or(Ok(()), |(looked, _)| lift(looked.as_fd()))
}

/// Opens a file that was looked at; where its mode forbids that, the mode is lifted for the moment of the opening.
pub(super) fn open(merged: BorrowedFd<'_>, path: &[u8], looked: &OwnedFd, stat: &Stat) -> Result<File, Errno> {
    match beneath::open_beneath(merged, path, beneath::READ) {
        Err(Errno::ACCESS) => {}
        other => return same(other?, stat),
    }
    let place = format!("/proc/self/fd/{}", looked.as_raw_fd());
    let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
    rustix::fs::chmod(place.as_str(), mode | Mode::RUSR)?;
    let opened = beneath::open_beneath(merged, path, beneath::READ);
    rustix::fs::chmod(place.as_str(), mode)?;
    same(opened?, stat)
}

/// Refuses another file than the one that was looked at: everything is dead, so nothing may have swapped it.
fn same(fd: OwnedFd, looked: &Stat) -> Result<File, Errno> {
    let stat = rustix::fs::fstat(&fd)?;
    if (stat.st_dev, stat.st_ino, stat.st_mode & 0o170_000) == (looked.st_dev, looked.st_ino, 0o100_000) {
        Ok(File::from(fd))
    } else {
        Err(Errno::STALE)
    }
}
