//! The workspace of the view: an overlay, a copy, or a directory of the host.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::mount::MountAttrFlags;

use super::mounts::{self, NO_DEV, NO_SUID, Setting};
use super::{Failure, Step, staging};
use crate::copy;
use crate::protocol::{Order, WorkspaceOrder};

/// Mounts the workspace at `workspace` below the new root; returns the upper directory.
pub(super) fn mount(order: &Order, root: BorrowedFd<'_>) -> Result<Option<OwnedFd>, Failure> {
    let target = Path::new("workspace");
    let limits = &order.limits;
    match &order.workspace {
        WorkspaceOrder::Host { path } => {
            mounts::bind(path.path(), root, target, NO_SUID | NO_DEV).step_at("bind the workspace", path.path())?;
            Ok(None)
        }
        WorkspaceOrder::Copied { sources } => {
            let disk = mounts::make_tmpfs(limits.disk_bytes, Some(limits.inodes), "0755")?;
            mounts::attach(disk.as_fd(), root, target).step("attach the workspace")?;
            let target = staging::place()?.join("root/workspace");
            // The topmost comes last and so wins.
            for source in sources.iter().rev() {
                copy::copy_tree(source.path(), &target, None).step_at("copy the workspace", source.path())?;
            }
            Ok(None)
        }
        WorkspaceOrder::Overlay { lowers } => {
            let disk = mounts::make_tmpfs(limits.disk_bytes, Some(limits.inodes), "0755")?;
            let place = staging::place()?.join("disk");
            // The overlay keeps its own hold on the disk; the path to it goes with the old root.
            mounts::attach(disk.as_fd(), rustix::fs::CWD, &place).step("attach the disk")?;
            for name in ["upper", "work"] {
                rustix::fs::mkdirat(&disk, name, Mode::from(0o755)).step("lay out the disk")?;
            }
            let merged = overlay(lowers.iter().map(|lower| lower.path().to_owned()), &place)?;
            mounts::attach(merged.as_fd(), root, target).step("attach the workspace")?;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let upper = rustix::fs::openat(&disk, "upper", flags, Mode::empty());
            upper.step("open the upper directory").map(Some)
        }
    }
}

/// Makes an overlay mount over the layers, topmost first; `disk` has `upper` and `work`.
pub(super) fn overlay(lowers: impl Iterator<Item = PathBuf>, disk: &Path) -> Result<OwnedFd, Failure> {
    let lowers: Vec<_> = lowers.collect();
    let (upper, work) = (disk.join("upper"), disk.join("work"));
    let mut settings: Vec<_> = lowers.iter().map(|lower| Setting::Path("lowerdir+", lower)).collect();
    settings.push(Setting::Path("upperdir", &upper));
    settings.push(Setting::Path("workdir", &work));
    settings.push(Setting::Flag("userxattr"));
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    mounts::make("overlay", &settings, attributes)
}
