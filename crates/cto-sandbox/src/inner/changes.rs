//! The changes that the trusted init makes in the workspace, never through a symbolic link.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::{Failure, Step};
use crate::protocol::ChangeOrder;

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const STRICT: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS);

/// Makes every change; the contents of files follow one another in `contents`.
pub(super) fn apply(workspace: BorrowedFd<'_>, changes: &[ChangeOrder], contents: &mut File) -> Result<(), Failure> {
    for change in changes {
        let path = match change {
            ChangeOrder::Remove { path }
            | ChangeOrder::File { path, .. }
            | ChangeOrder::Symlink { path, .. }
            | ChangeOrder::Directory { path } => path.path(),
        };
        make(workspace, path, change, contents).step_at("change the workspace", path)?;
    }
    Ok(())
}

fn make(workspace: BorrowedFd<'_>, path: &Path, change: &ChangeOrder, contents: &mut File) -> Result<(), Errno> {
    let (parent, name) = split(path)?;
    if let ChangeOrder::Remove { .. } = change {
        return match open_directory(workspace, parent, false) {
            Ok(parent) => remove(parent.as_fd(), name),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(()),
            Err(errno) => Err(errno),
        };
    }
    let parent = open_directory(workspace, parent, true)?;
    match change {
        ChangeOrder::Remove { .. } => Ok(()),
        ChangeOrder::Directory { .. } => make_directory(parent.as_fd(), name),
        ChangeOrder::Symlink { target, .. } => {
            remove(parent.as_fd(), name)?;
            rustix::fs::symlinkat(target.path(), &parent, name)
        }
        ChangeOrder::File { mode, length, .. } => {
            remove(parent.as_fd(), name)?;
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
            let mode = Mode::from_raw_mode(mode & 0o777);
            let file = rustix::fs::openat(&parent, name, flags, mode)?;
            rustix::fs::fchmod(&file, mode)?;
            let copied = std::io::copy(&mut contents.take(*length), &mut File::from(file))
                .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
            if copied == *length { Ok(()) } else { Err(Errno::IO) }
        }
    }
}

/// Splits a relative path whose every part is a plain name.
pub(super) fn split(path: &Path) -> Result<(&Path, &Path), Errno> {
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    match (plain, path.parent(), path.file_name()) {
        (true, Some(parent), Some(name)) => Ok((parent, Path::new(name))),
        _ => Err(Errno::INVAL),
    }
}

/// Opens a directory below another, and makes what is missing if asked to.
pub(super) fn open_directory(base: BorrowedFd<'_>, path: &Path, create: bool) -> Result<OwnedFd, Errno> {
    let whole = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    match rustix::fs::openat2(base, whole, DIRECTORY, Mode::empty(), STRICT) {
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) if create => {}
        other => return other,
    }
    let mut at = rustix::fs::openat2(base, ".", DIRECTORY, Mode::empty(), STRICT)?;
    for part in path.components() {
        let part = Path::new(part.as_os_str());
        make_directory(at.as_fd(), part)?;
        at = rustix::fs::openat2(&at, part, DIRECTORY, Mode::empty(), STRICT)?;
    }
    Ok(at)
}

/// Leaves a directory there; anything else of that name is removed.
fn make_directory(parent: BorrowedFd<'_>, name: &Path) -> Result<(), Errno> {
    match rustix::fs::mkdirat(parent, name, Mode::from(0o755)) {
        Err(Errno::EXIST) => {
            let found = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
            if FileType::from_raw_mode(found.st_mode) == FileType::Directory {
                return Ok(());
            }
            rustix::fs::unlinkat(parent, name, AtFlags::empty())?;
            rustix::fs::mkdirat(parent, name, Mode::from(0o755))
        }
        other => other,
    }
}

/// Removes whatever has the name, with everything below; nothing there is fine.
fn remove(parent: BorrowedFd<'_>, name: &Path) -> Result<(), Errno> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR) => {}
        other => return other,
    }
    let directory = rustix::fs::openat2(parent, name, DIRECTORY, Mode::empty(), STRICT)?;
    for entry in Dir::read_from(&directory)? {
        let entry = entry?;
        let child = entry.file_name().to_bytes();
        if child != b"." && child != b".." {
            remove(directory.as_fd(), Path::new(std::ffi::OsStr::from_bytes(child)))?;
        }
    }
    rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)
}
