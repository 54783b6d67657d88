//! Keeping a copy of a workspace for people.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::path::{Path, PathBuf};

/// Copies a directory tree, files and symbolic links only; everything in it stays untrusted.
pub(crate) fn keep(workspace: BorrowedFd<'_>, place: &Path) -> io::Result<()> {
    std::fs::create_dir_all(place)?;
    let root = PathBuf::from(format!("/proc/self/fd/{}", workspace.as_raw_fd()));
    copy(&root, place)
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            std::fs::create_dir(&target)?;
            copy(&entry.path(), &target)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(std::fs::read_link(entry.path())?, &target)?;
        } else if kind.is_file() {
            std::fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}
