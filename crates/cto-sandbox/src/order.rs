//! Turns a specification into the order of the inner stage, in a sealed memory file.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{MemfdFlags, SealFlags};

use crate::copy;
use crate::error::JailError;
use crate::protocol::{BindOrder, Bytes, ChangeOrder, Method, Order, ProgramOrder, WorkspaceOrder};
use crate::provider::Build;
use crate::spec::{Change, DEFAULT_ENGINE_ID, HOME, JailSpec, Program, Reexec, WORKSPACE, Workspace};

/// Makes the order; private copies are made where the provider cannot do without.
pub(crate) fn make(spec: &JailSpec, build: &Build, reexec: &Reexec) -> Result<Order, JailError> {
    check(spec)?;
    let root = rustix::process::geteuid().is_root();
    let (uid, gid) = if root {
        (
            spec.engine_uid.unwrap_or(DEFAULT_ENGINE_ID),
            spec.engine_gid.unwrap_or(DEFAULT_ENGINE_ID),
        )
    } else {
        (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw())
    };
    if uid == 0 || gid == 0 {
        return Err(refuse("the engine may not be root"));
    }
    let method = method(spec, build, reexec)?;
    let owner = root.then_some((uid, gid));
    let workspace = workspace(spec, &method, owner)?;
    let (workspace_path, home_path) = match (&method, &workspace) {
        (Method::Bare, WorkspaceOrder::Host { path }) => (path.clone(), Bytes::from(&private(spec, "home", owner)?)),
        _ => (Bytes::from(WORKSPACE), Bytes::from(HOME)),
    };
    Ok(Order {
        drop_privileges: root,
        uid,
        gid,
        home: changes(&spec.home)?,
        changes: changes(&spec.changes)?,
        read_only: spec.read_only.iter().map(Bytes::from).collect(),
        masks: spec.masks.iter().map(Bytes::from).collect(),
        listen: spec.listen,
        binds: binds(spec),
        program: match &spec.program {
            Program::Argv(argv) => ProgramOrder::Argv(argv.iter().map(Bytes::from).collect()),
            Program::Embedded { name, input } => ProgramOrder::Embedded {
                name: name.clone(),
                input: input.clone(),
            },
        },
        env: environment(spec, &home_path),
        limits: spec.limits,
        cgroup_files: Vec::new(),
        limit_processes: false,
        observe: spec.observe,
        workdir: Bytes::from(&workspace_path.path().join(&spec.workdir)),
        method,
        workspace,
        workspace_path,
        home_path,
    })
}

fn method(spec: &JailSpec, build: &Build, reexec: &Reexec) -> Result<Method, JailError> {
    let method = match build {
        Build::Namespaces => Method::Namespaces,
        Build::Bare => Method::Bare,
        Build::Bubblewrap { program, .. } => {
            let inner = fs::canonicalize(&reexec.program).map_err(|source| JailError::File {
                path: reexec.program.clone(),
                source,
            })?;
            Method::Bubblewrap {
                program: Bytes::from(program),
                inner: Bytes::from(&inner),
            }
        }
    };
    let mounts = !(spec.read_only.is_empty() && spec.binds.is_empty() && spec.masks.is_empty());
    let missing = match (mounts, spec.listen.is_some()) {
        _ if method != Method::Bare => None,
        (true, _) => Some("a mount view for read-only paths, masks and binds"),
        (false, true) => Some("a network of its own for a listener"),
        (false, false) => None,
    };
    if let Some(what) = missing {
        return Err(JailError::Missing {
            what,
            mend: "use the native or the bwrap provider",
        });
    }
    Ok(method)
}

/// Only our own namespaces make overlays; the other methods get a private copy.
fn workspace(spec: &JailSpec, method: &Method, owner: Option<(u32, u32)>) -> Result<WorkspaceOrder, JailError> {
    Ok(match (&spec.workspace, method) {
        (Workspace::Host { path }, _) => WorkspaceOrder::Host {
            path: Bytes::from(path),
        },
        (Workspace::Overlay { lowers }, Method::Namespaces) => WorkspaceOrder::Overlay {
            lowers: lowers.iter().map(Bytes::from).collect(),
        },
        (Workspace::Copied { sources }, Method::Namespaces) => WorkspaceOrder::Copied {
            sources: sources.iter().map(Bytes::from).collect(),
        },
        (Workspace::Overlay { lowers: sources } | Workspace::Copied { sources }, _) => {
            let path = private(spec, "workspace", owner)?;
            for source in sources.iter().rev() {
                copy::copy_tree(source, &path, owner).map_err(|error| JailError::File {
                    path: source.clone(),
                    source: error,
                })?;
            }
            WorkspaceOrder::Host {
                path: Bytes::from(&path),
            }
        }
    })
}

/// Writes order and contents to a memory file that nobody can change any more.
pub(crate) fn seal(order: &Order, spec: &JailSpec) -> Result<(OwnedFd, u64), JailError> {
    let failed = JailError::harness("write the order");
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let memory = rustix::fs::memfd_create("cto-order", flags).map_err(|errno| failed(errno.into()))?;
    let text = serde_json::to_vec(order).map_err(|error| failed(error.into()))?;
    let mut file = File::from(memory);
    file.write_all(&text).map_err(&failed)?;
    for (change, ordered) in spec
        .home
        .iter()
        .zip(&order.home)
        .chain(spec.changes.iter().zip(&order.changes))
    {
        match (change, ordered) {
            (Change::Content { bytes, .. }, _) => file.write_all(bytes).map_err(&failed)?,
            (Change::File { source, .. }, ChangeOrder::File { length, .. }) => copy_in(source, *length, &mut file)?,
            _ => {}
        }
    }
    let memory = OwnedFd::from(file);
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    rustix::fs::fcntl_add_seals(&memory, seals).map_err(|errno| failed(errno.into()))?;
    Ok((memory, u64::try_from(text.len()).unwrap_or(u64::MAX)))
}

/// Copies a host file, whose length is already part of the order.
fn copy_in(source: &Path, length: u64, memory: &mut File) -> Result<(), JailError> {
    let failed = |error| JailError::File {
        path: source.to_owned(),
        source: error,
    };
    let copied = File::open(source)
        .and_then(|mut from| io::copy(&mut from, memory))
        .map_err(failed)?;
    if copied == length {
        Ok(())
    } else {
        Err(failed(io::Error::other("the file changed meanwhile")))
    }
}

fn refuse(reason: impl Into<String>) -> JailError {
    JailError::Specification { reason: reason.into() }
}

fn check(spec: &JailSpec) -> Result<(), JailError> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if spec.name.is_empty() || spec.name.len() > 64 || !spec.name.bytes().all(plain) {
        return Err(refuse(format!("the name {:?} is not of [a-z0-9-]", spec.name)));
    }
    let inside = |path: &Path| path.components().all(|part| matches!(part, Component::Normal(_)));
    let changed = spec.changes.iter().chain(&spec.home).map(|change| match change {
        Change::Remove { path }
        | Change::File { path, .. }
        | Change::Content { path, .. }
        | Change::Symlink { path, .. }
        | Change::Directory { path } => path,
    });
    for path in changed.chain(&spec.read_only).chain(&spec.masks) {
        if path.as_os_str().is_empty() || !inside(path) {
            return Err(refuse(format!("{} is not a path inside the workspace", path.display())));
        }
    }
    if !inside(&spec.workdir) && spec.workdir != Path::new("/") {
        return Err(refuse("the working directory is not inside the workspace"));
    }
    for bind in &spec.binds {
        let target = bind.target.strip_prefix("/").ok().filter(|target| inside(target));
        if target.is_none_or(|target| target.as_os_str().is_empty()) {
            return Err(refuse(format!("{} is not a mount target", bind.target.display())));
        }
    }
    match &spec.workspace {
        Workspace::Overlay { lowers } if lowers.is_empty() => Err(refuse("the overlay has no layer")),
        _ => Ok(()),
    }
}

/// Makes a private directory of this jail below the caller's scratch directory.
fn private(spec: &JailSpec, name: &str, owner: Option<(u32, u32)>) -> Result<PathBuf, JailError> {
    let path = spec.scratch_dir.join(&spec.name).join(name);
    let made = fs::create_dir_all(&path)
        .and_then(|()| fs::set_permissions(&path, Permissions::from_mode(0o700)))
        .and_then(|()| owner.map_or(Ok(()), |(uid, gid)| chown(&path, Some(uid), Some(gid))));
    made.map_err(|source| JailError::File {
        path: path.clone(),
        source,
    })?;
    Ok(path)
}

fn changes(changes: &[Change]) -> Result<Vec<ChangeOrder>, JailError> {
    let order = |change: &Change| {
        Ok(match change {
            Change::Remove { path } => ChangeOrder::Remove {
                path: Bytes::from(path),
            },
            Change::Directory { path } => ChangeOrder::Directory {
                path: Bytes::from(path),
            },
            Change::Symlink { path, target } => ChangeOrder::Symlink {
                path: Bytes::from(path),
                target: Bytes::from(target),
            },
            Change::Content { path, mode, bytes } => ChangeOrder::File {
                path: Bytes::from(path),
                mode: *mode,
                length: bytes.len() as u64,
            },
            Change::File { path, mode, source } => {
                let metadata = fs::metadata(source).map_err(|error| JailError::File {
                    path: source.clone(),
                    source: error,
                })?;
                ChangeOrder::File {
                    path: Bytes::from(path),
                    mode: *mode,
                    length: metadata.len(),
                }
            }
        })
    };
    changes.iter().map(order).collect()
}

fn binds(spec: &JailSpec) -> Vec<BindOrder> {
    spec.binds
        .iter()
        .map(|bind| BindOrder {
            source: Bytes::from(&bind.source),
            target: Bytes::from(&bind.target),
            read_only: bind.read_only,
        })
        .collect()
}

/// Joins names and values; without a view the home directory is another one.
fn environment(spec: &JailSpec, home: &Bytes) -> Vec<Bytes> {
    spec.env
        .iter()
        .map(|(name, value)| {
            let mut entry = Bytes::from(name).0;
            entry.push(b'=');
            if name == "HOME" && value == HOME {
                entry.extend_from_slice(&home.0);
            } else {
                entry.extend(Bytes::from(value).0);
            }
            Bytes(entry)
        })
        .collect()
}
