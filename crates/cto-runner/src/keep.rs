//! Keeping a copy of a workspace for people.

use std::fs::{DirEntry, File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Copies a directory tree for people: regular files and symbolic links only, at most `limit_bytes` in all, holes of
/// sparse files included, and no set-id bit. Everything in it stays untrusted.
pub(crate) fn keep(workspace: BorrowedFd<'_>, place: &Path, limit_bytes: u64) -> io::Result<()> {
    std::fs::create_dir_all(place)?;
    let root = PathBuf::from(format!("/proc/self/fd/{}", workspace.as_raw_fd()));
    let mut left = limit_bytes;
    copy(&root, place, &mut left)
}

fn copy(from: &Path, to: &Path, left: &mut u64) -> io::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            std::fs::create_dir(&target)?;
            copy(&entry.path(), &target, left)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(std::fs::read_link(entry.path())?, &target)?;
        } else if kind.is_file() {
            copy_file(&entry, &target, left)?;
        }
    }
    Ok(())
}

fn copy_file(entry: &DirEntry, target: &Path, left: &mut u64) -> io::Result<()> {
    let meta = entry.metadata()?;
    let rest = left.checked_sub(meta.len());
    *left = rest.ok_or_else(|| io::Error::other("the workspace is larger than limits.disk_mib"))?;
    // Opened as new with plain bits: a copied mode would plant set-id programs that belong to the harness's user.
    let mode = if meta.permissions().mode() & 0o100 == 0 {
        0o600
    } else {
        0o700
    };
    let mut copied = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(target)?;
    io::copy(&mut File::open(entry.path())?, &mut copied)?;
    Ok(())
}
