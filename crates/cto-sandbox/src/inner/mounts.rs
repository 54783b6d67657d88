//! Mounts by descriptor: trees are cloned or made, given their attributes, and then attached.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};

use super::{Failure, Step};
use crate::sys;

pub(super) const READ_ONLY: u64 = 1;
pub(super) const NO_SUID: u64 = 2;
pub(super) const NO_DEV: u64 = 4;
pub(super) const NO_EXEC: u64 = 8;
const PRIVATE: u64 = 1 << 18;

/// Clones the mount tree at a path, detached.
pub(super) fn clone_tree(directory: BorrowedFd<'_>, path: &Path, recursive: bool) -> Result<OwnedFd, Errno> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    flags.set(OpenTreeFlags::AT_RECURSIVE, recursive);
    flags.set(OpenTreeFlags::AT_EMPTY_PATH, path.as_os_str().is_empty());
    open_tree(directory, path, flags)
}

/// Attaches a detached tree over a path below a directory.
pub(super) fn attach(tree: BorrowedFd<'_>, directory: BorrowedFd<'_>, path: &Path) -> Result<(), Errno> {
    let mut flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    flags.set(MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH, path.as_os_str().is_empty());
    move_mount(tree, "", directory, path, flags)
}

/// Binds a path of the old view to one of the new.
pub(super) fn bind(source: &Path, directory: BorrowedFd<'_>, target: &Path, attributes: u64) -> Result<(), Errno> {
    let tree = clone_tree(rustix::fs::CWD, source, true)?;
    sys::mount_setattr(tree.as_fd(), true, attributes, 0)?;
    attach(tree.as_fd(), directory, target)
}

/// Keeps mounts from spreading out of, or into, the current namespace.
pub(super) fn make_private(path: &Path) -> Result<(), Errno> {
    let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC;
    let root = rustix::fs::open(path, flags, rustix::fs::Mode::empty())?;
    sys::mount_setattr(root.as_fd(), true, 0, PRIVATE)
}

/// One option of a new file system.
pub(super) enum Setting<'a> {
    Flag(&'a str),
    Text(&'a str, &'a str),
    Path(&'a str, &'a Path),
}

/// Makes a file system and returns it as a detached mount.
pub(super) fn make(kind: &str, settings: &[Setting<'_>], attributes: MountAttrFlags) -> Result<OwnedFd, Failure> {
    let step = format!("mount {kind}");
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).step(&step)?;
    let configured = settings
        .iter()
        .try_for_each(|setting| match setting {
            Setting::Flag(key) => fsconfig_set_flag(&context, *key),
            Setting::Text(key, value) => fsconfig_set_string(&context, *key, *value),
            Setting::Path(key, value) => fsconfig_set_string(&context, *key, *value),
        })
        .and_then(|()| fsconfig_create(&context));
    configured.map_err(|errno| Failure::new(step.as_str(), errno, explanation(&context)))?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes).step(&step)
}

/// Makes an in-memory file system of a bounded size.
pub(super) fn make_tmpfs(size: u64, inodes: Option<u64>, mode: &str) -> Result<OwnedFd, Failure> {
    let size = size.to_string();
    let inodes = inodes.map(|inodes| inodes.to_string());
    let mut settings = vec![Setting::Text("size", &size), Setting::Text("mode", mode)];
    if let Some(inodes) = &inodes {
        settings.push(Setting::Text("nr_inodes", inodes));
    }
    make(
        "tmpfs",
        &settings,
        MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV,
    )
}

/// Reads what the kernel has to say about a failed configuration.
fn explanation(context: &OwnedFd) -> String {
    let mut lines = Vec::new();
    let mut buffer = [0; 512];
    while let Ok(length) = rustix::io::read(context, &mut buffer) {
        let line = buffer.get(..length).unwrap_or_default();
        lines.push(String::from_utf8_lossy(line).trim().to_owned());
        if length == 0 || lines.len() == 8 {
            break;
        }
    }
    lines.join("; ")
}
