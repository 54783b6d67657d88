//! A private directory in which every source of the order can be reached by the engine's uid.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::{Failure, Step, mounts};
use crate::protocol::{Bytes, Method, Order, WorkspaceOrder};

/// Directories that every host has; the staging area covers the first one.
const PLACES: [&str; 3] = ["/tmp", "/run", "/mnt"];

/// The staging area of this process, once [`stage`] has made it.
pub(super) fn place() -> Result<PathBuf, Failure> {
    PLACES
        .into_iter()
        .map(PathBuf::from)
        .find(|place| place.is_dir())
        .ok_or_else(|| Failure::new("find a staging place", Errno::NOENT, PLACES.join(", ")))
}

/// Mounts the staging area and rewrites every source of the order to its place there.
pub(super) fn stage(order: &mut Order) -> Result<(), Failure> {
    mounts::make_private(Path::new("/")).step("make the mounts private")?;
    let mut trees = Vec::new();
    // All trees are taken before the area covers a directory that some of them may lie in.
    for (source, recursive) in sources(order) {
        let path = source.path().to_owned();
        let step = "reach a source";
        let tree = mounts::clone_tree(CWD, &path, recursive).step_at(step, &path)?;
        let kind = rustix::fs::fstat(&tree).step_at(step, &path)?.st_mode;
        trees.push((source, tree, FileType::from_raw_mode(kind) == FileType::Directory));
    }
    let place = place()?;
    let area = mounts::make_tmpfs(1 << 20, None, "0755")?;
    mounts::attach(area.as_fd(), CWD, &place).step("mount the staging area")?;
    for name in ["root", "disk", "scratch"] {
        rustix::fs::mkdirat(&area, name, Mode::from(0o755)).step("lay out the staging area")?;
    }
    for (index, (source, tree, is_directory)) in trees.into_iter().enumerate() {
        let name = index.to_string();
        if is_directory {
            rustix::fs::mkdirat(&area, &name, Mode::from(0o755)).step("stage a source")?;
        } else {
            let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
            rustix::fs::openat(&area, &name, flags, Mode::from(0o644)).step("stage a source")?;
        }
        mounts::attach(tree.as_fd(), area.as_fd(), Path::new(&name)).step("stage a source")?;
        *source = Bytes::from(&place.join(name));
    }
    Ok(())
}

/// Lists the sources, and whether the mounts below them belong to them.
fn sources(order: &mut Order) -> Vec<(&mut Bytes, bool)> {
    let mut sources = Vec::new();
    match &mut order.workspace {
        // A layer of an overlay is one file system: mounts below it would be refused.
        WorkspaceOrder::Overlay { lowers } => {
            sources.extend(lowers.iter_mut().map(|path| (path, false)));
        }
        WorkspaceOrder::Copied { sources: paths } => {
            sources.extend(paths.iter_mut().map(|path| (path, true)));
        }
        WorkspaceOrder::Host { path } => sources.push((path, true)),
    }
    sources.extend(order.binds.iter_mut().map(|bind| (&mut bind.source, true)));
    if let Method::Bubblewrap { inner, .. } = &mut order.method {
        sources.push((inner, false));
    }
    sources
}
