//! The view of the engine: a new root with nothing in it but what is listed here.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, UnmountFlags};
use rustix::net::{AddressFamily, SocketType};

use super::changes::{open_directory, split};
use super::mounts::{self, NO_DEV, NO_EXEC, NO_SUID, READ_ONLY, Setting};
use super::{Context, Failure, Step, changes, files, init, staging, workspace};
use crate::protocol::{Bytes, Order};
use crate::sys;

/// Only reading, and no privilege through what is read.
const FROZEN: u64 = READ_ONLY | NO_SUID | NO_DEV;
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
const ROOT_BYTES: u64 = 4 << 20;
/// What covers what must not be seen. The tree of a mount outlives its name, so nobody finds them by name later.
const EMPTY_DIRECTORY: &str = "etc/empty";
const EMPTY_FILE: &str = "etc/empty-file";
const DIRECTORIES: [&str; 13] = [
    "usr",
    "etc",
    "etc/ssl",
    EMPTY_DIRECTORY,
    "proc",
    "dev",
    "dev/pts",
    "tmp",
    "var",
    "home",
    "run",
    "workspace",
    "dev/shm",
];
/// Shared by all of them is one bounded file system.
const SCRATCH: [(&str, &str, u32); 5] = [
    ("tmp", "tmp", 0o1777),
    ("vartmp", "var/tmp", 0o1777),
    ("agent", "home/agent", 0o700),
    ("run", "run", 0o755),
    ("shm", "dev/shm", 0o1777),
];
const MASKED: [&str; 9] = [
    "proc/kcore",
    "proc/keys",
    "proc/latency_stats",
    "proc/timer_list",
    "proc/sched_debug",
    "proc/sysrq-trigger",
    "proc/kmsg",
    "proc/acpi",
    "proc/scsi",
];
const READ_ONLY_PROC: [&str; 4] = ["proc/sys", "proc/bus", "proc/fs", "proc/irq"];

/// What the harness gets of a finished view.
pub(super) struct Built {
    pub(super) upper: Option<OwnedFd>,
    pub(super) workspace: OwnedFd,
    pub(super) home: OwnedFd,
    pub(super) listener: Option<OwnedFd>,
    pub(super) created: Vec<Bytes>,
    pub(super) masked: Vec<Bytes>,
}

/// Builds the view, makes the changes in it and turns it into the root.
pub(super) fn build(context: &mut Context<'_>) -> Result<Built, Failure> {
    let place = staging::place()?.join("root");
    let tree = mounts::make_tmpfs(ROOT_BYTES, None, "0755")?;
    mounts::attach(tree.as_fd(), CWD, &place).step("attach the root")?;
    let root = tree.as_fd();
    for directory in DIRECTORIES {
        rustix::fs::mkdirat(root, directory, Mode::from(0o755)).step("lay out the root")?;
    }
    system(root)?;
    etc(root, &context.order)?;
    devices(root)?;
    scratch(root, context.order.limits.tmp_bytes)?;
    process_view(root)?;
    let upper = workspace::mount(&context.order, root)?;
    let workspace = open(root, "workspace")?;
    let home = open(root, "home/agent")?;
    changes::apply(home.as_fd(), &context.order.home, &mut context.contents)?;
    changes::apply(workspace.as_fd(), &context.order.changes, &mut context.contents)?;
    let masked = cover(root, workspace.as_fd(), &context.order.masks)?;
    let created = binds(root, workspace.as_fd(), &context.order)?;
    freeze(workspace.as_fd(), &context.order.read_only)?;
    names_and_network()?;
    let listener = context.order.listen.map(init::listen).transpose()?;
    enter(&place, root)?;
    Ok(Built {
        upper,
        workspace,
        home,
        listener,
        created,
        masked,
    })
}

fn open(root: BorrowedFd<'_>, path: &str) -> Result<OwnedFd, Failure> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(root, path, flags, Mode::empty()).step_at("open a directory", Path::new(path))
}

/// Shows the programs of the host: `/usr` and what stands beside it.
fn system(root: BorrowedFd<'_>) -> Result<(), Failure> {
    let step = "show the system";
    mounts::bind(Path::new("/usr"), root, Path::new("usr"), FROZEN).step_at(step, Path::new("/usr"))?;
    for name in ["bin", "sbin", "lib", "lib32", "lib64", "libx32"] {
        let host = PathBuf::from("/").join(name);
        match rustix::fs::readlink(&host, Vec::new()) {
            Ok(target) => rustix::fs::symlinkat(target, root, name).step_at(step, &host)?,
            Err(Errno::INVAL) => {
                rustix::fs::mkdirat(root, name, Mode::from(0o755)).step_at(step, &host)?;
                mounts::bind(&host, root, Path::new(name), FROZEN).step_at(step, &host)?;
            }
            Err(_) => {}
        }
    }
    Ok(())
}

fn etc(root: BorrowedFd<'_>, order: &Order) -> Result<(), Failure> {
    for (name, content) in files::made_up(order.uid, order.gid) {
        let name = Path::new(name);
        files::write(root, name, content.as_bytes()).step_at("make up a file", name)?;
    }
    files::write(root, Path::new(EMPTY_FILE), b"").step("lay out the root")?;
    for name in files::HOST_ETC {
        let host = PathBuf::from("/").join(name);
        let Ok(tree) = mounts::clone_tree(CWD, &host, true) else {
            continue;
        };
        mount_over_new(root, tree.as_fd(), Path::new(name)).step_at("show a file", &host)?;
    }
    Ok(())
}

/// Makes a mount point of the right kind, and mounts a frozen tree there.
fn mount_over_new(root: BorrowedFd<'_>, tree: BorrowedFd<'_>, name: &Path) -> Result<(), Errno> {
    if FileType::from_raw_mode(rustix::fs::fstat(tree)?.st_mode) == FileType::Directory {
        rustix::fs::mkdirat(root, name, Mode::from(0o755))?;
    } else {
        files::write(root, name, b"")?;
    }
    sys::mount_setattr(tree, true, FROZEN, 0)?;
    mounts::attach(tree, root, name)
}

fn devices(root: BorrowedFd<'_>) -> Result<(), Failure> {
    let step = "make the devices";
    for name in DEVICES {
        let target = Path::new("dev").join(name);
        files::write(root, &target, b"").step_at(step, &target)?;
        let host = Path::new("/").join(&target);
        mounts::bind(&host, root, &target, NO_SUID | NO_EXEC).step_at(step, &host)?;
    }
    for (name, target) in [
        ("dev/fd", "/proc/self/fd"),
        ("dev/stdin", "/proc/self/fd/0"),
        ("dev/stdout", "/proc/self/fd/1"),
        ("dev/stderr", "/proc/self/fd/2"),
        ("dev/ptmx", "pts/ptmx"),
    ] {
        rustix::fs::symlinkat(target, root, name).step(step)?;
    }
    let settings = [
        Setting::Flag("newinstance"),
        Setting::Text("ptmxmode", "0666"),
        Setting::Text("mode", "0620"),
    ];
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let terminals = mounts::make("devpts", &settings, attributes)?;
    mounts::attach(terminals.as_fd(), root, Path::new("dev/pts")).step(step)
}

fn scratch(root: BorrowedFd<'_>, size: u64) -> Result<(), Failure> {
    let step = "make the scratch directories";
    let place = staging::place()?.join("scratch");
    let tree = mounts::make_tmpfs(size, None, "0755")?;
    mounts::attach(tree.as_fd(), CWD, &place).step(step)?;
    for (name, target, mode) in SCRATCH {
        let parent = Path::new(target).parent().unwrap_or(Path::new(""));
        rustix::fs::mkdirat(&tree, name, Mode::empty()).step(step)?;
        rustix::fs::chmodat(&tree, name, Mode::from(mode), rustix::fs::AtFlags::empty()).step(step)?;
        if parent == Path::new("var") || parent == Path::new("home") {
            rustix::fs::mkdirat(root, target, Mode::from(0o755)).step(step)?;
        }
        let part = mounts::clone_tree(tree.as_fd(), Path::new(name), false).step(step)?;
        mounts::attach(part.as_fd(), root, Path::new(target)).step(step)?;
    }
    Ok(())
}

/// Mounts a process view of the new namespace, and takes away what tells of the host.
fn process_view(root: BorrowedFd<'_>) -> Result<(), Failure> {
    let attributes =
        MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let tree = mounts::make("proc", &[], attributes)?;
    mounts::attach(tree.as_fd(), root, Path::new("proc")).step("attach the process view")?;
    for name in READ_ONLY_PROC {
        let Ok(tree) = mounts::clone_tree(root, Path::new(name), true) else {
            continue;
        };
        let frozen = FROZEN | NO_EXEC;
        sys::mount_setattr(tree.as_fd(), true, frozen, 0)
            .and_then(|()| mounts::attach(tree.as_fd(), root, Path::new(name)))
            .step_at("freeze a part of the process view", Path::new(name))?;
    }
    for name in MASKED {
        mask(root, Path::new(name)).step_at("mask a part of the process view", Path::new(name))?;
    }
    Ok(())
}

fn mask(root: BorrowedFd<'_>, name: &Path) -> Result<(), Errno> {
    let Ok(found) = rustix::fs::statat(root, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW) else {
        return Ok(());
    };
    if FileType::from_raw_mode(found.st_mode) == FileType::Directory {
        let empty = mounts::clone_tree(root, Path::new(EMPTY_DIRECTORY), false)?;
        sys::mount_setattr(empty.as_fd(), false, FROZEN, 0)?;
        return mounts::attach(empty.as_fd(), root, name);
    }
    let null = mounts::clone_tree(root, Path::new("dev/null"), false)?;
    mounts::attach(null.as_fd(), root, name)
}

/// Mounts the binds; returns the mount points that had to be made.
fn binds(root: BorrowedFd<'_>, workspace: BorrowedFd<'_>, order: &Order) -> Result<Vec<Bytes>, Failure> {
    let mut created = Vec::new();
    for bind in &order.binds {
        let target = bind.target.path();
        let step = "mount a bind";
        let Ok(relative) = target.strip_prefix("/") else {
            return Err(Failure::new(step, Errno::INVAL, "the target is not absolute"));
        };
        // Below the workspace, the parts of the path belong to the engine's tree.
        let (base, relative) = match relative.strip_prefix("workspace") {
            Ok(inside) => (workspace, inside),
            Err(_) => (root, relative),
        };
        let tree = mounts::clone_tree(CWD, bind.source.path(), true).step_at(step, target)?;
        let attributes = NO_SUID | NO_DEV | if bind.read_only { READ_ONLY } else { 0 };
        sys::mount_setattr(tree.as_fd(), true, attributes, 0).step_at(step, target)?;
        let new = mount_on_path(base, relative, tree.as_fd()).step_at(step, target)?;
        if new {
            created.push(bind.target.clone());
        }
    }
    Ok(created)
}

fn mount_on_path(base: BorrowedFd<'_>, path: &Path, tree: BorrowedFd<'_>) -> Result<bool, Errno> {
    let (parent, name) = split(path)?;
    let parent = open_directory(base, parent, true)?;
    let is_directory = FileType::from_raw_mode(rustix::fs::fstat(tree)?.st_mode) == FileType::Directory;
    let made = if is_directory {
        rustix::fs::mkdirat(&parent, name, Mode::from(0o755))
    } else {
        files::write(parent.as_fd(), name, b"")
    };
    let new = match made {
        Ok(()) => true,
        Err(Errno::EXIST | Errno::ROFS) => false,
        Err(errno) => return Err(errno),
    };
    mounts::attach(tree, parent.as_fd(), name)?;
    Ok(new)
}

/// Makes workspace paths read-only by mounting each over itself.
fn freeze(workspace: BorrowedFd<'_>, paths: &[Bytes]) -> Result<(), Failure> {
    let step = "make a path read-only";
    for path in paths.iter().map(Bytes::path) {
        let Some((parent, name, _)) = find(workspace, path, step)? else {
            continue;
        };
        let tree = mounts::clone_tree(parent.as_fd(), name, true).step_at(step, path)?;
        sys::mount_setattr(tree.as_fd(), true, FROZEN, 0).step_at(step, path)?;
        mounts::attach(tree.as_fd(), parent.as_fd(), name).step_at(step, path)?;
    }
    Ok(())
}

/// Covers workspace paths with an empty read-only file or directory; returns those that exist.
fn cover(root: BorrowedFd<'_>, workspace: BorrowedFd<'_>, paths: &[Bytes]) -> Result<Vec<Bytes>, Failure> {
    let step = "mask a path of the workspace";
    let mut covered = Vec::new();
    for masked in paths {
        let path = masked.path();
        let Some((parent, name, kind)) = find(workspace, path, step)? else {
            continue;
        };
        let empty = if kind == FileType::Directory {
            EMPTY_DIRECTORY
        } else {
            EMPTY_FILE
        };
        let tree = mounts::clone_tree(root, Path::new(empty), false).step_at(step, path)?;
        sys::mount_setattr(tree.as_fd(), false, FROZEN, 0).step_at(step, path)?;
        mounts::attach(tree.as_fd(), parent.as_fd(), name).step_at(step, path)?;
        covered.push(masked.clone());
    }
    Ok(covered)
}

/// Finds a path of the workspace to mount over: its parent, its name, and what is there. None where nothing is.
fn find<'a>(
    workspace: BorrowedFd<'_>,
    path: &'a Path,
    step: &str,
) -> Result<Option<(OwnedFd, &'a Path, FileType)>, Failure> {
    let (parent, name) = split(path).step_at(step, path)?;
    let parent = match open_directory(workspace, parent, false) {
        Ok(parent) => parent,
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
        other => other.step_at(step, path)?,
    };
    let found = rustix::fs::statat(&parent, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW);
    match found.map(|found| FileType::from_raw_mode(found.st_mode)) {
        Err(_) => Ok(None),
        // A mount would land on what the link says, and leave the link itself free.
        Ok(FileType::Symlink) => Err(Failure::new(step, Errno::LOOP, path.display().to_string())),
        Ok(kind) => Ok(Some((parent, name, kind))),
    }
}

fn names_and_network() -> Result<(), Failure> {
    rustix::system::sethostname(files::HOST_NAME.as_bytes()).step("set the host name")?;
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None).step("bring loopback up")?;
    sys::loopback_up(socket.as_fd()).step("bring loopback up")
}

/// Makes the view the root, lets go of the old one, and freezes the new root itself.
fn enter(place: &Path, root: BorrowedFd<'_>) -> Result<(), Failure> {
    let step = "enter the view";
    rustix::process::chdir(place).step(step)?;
    rustix::process::pivot_root(".", ".").step(step)?;
    // The old root now lies over the new one at the same place.
    rustix::mount::unmount(".", UnmountFlags::DETACH).step(step)?;
    rustix::process::chdir("/").step(step)?;
    sys::mount_setattr(root, false, FROZEN, 0).step("freeze the root")
}
