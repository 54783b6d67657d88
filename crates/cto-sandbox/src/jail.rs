//! A jail as the harness sees it: prepared, running, empty.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::cgroup::{Cgroup, Parents};
use crate::channel::Received;
use crate::enforcement::{self, BoundState, Enforcement, Expectation, Limit};
use crate::error::JailError;
use crate::keeper::Keeper;
use crate::observe::Observer;
use crate::order;
use crate::protocol::{Bytes, Command, Facts, Order, Report, WorkspaceOrder};
use crate::provider::{Build, Provider};
use crate::readback::ReadBack;
use crate::running::RunningJail;
use crate::spec::{JailSpec, Observe, Reexec};

/// More than any healthy start takes, the copy of a large workspace included.
const PATIENCE: Duration = Duration::from_secs(120);

/// The directories of a jail that outlive it as long as their descriptors do.
#[derive(Debug)]
pub struct Exports {
    /// The upper directory of an overlay: exactly what was written.
    pub upper: Option<OwnedFd>,
    /// The root of the workspace as the engine saw it.
    pub workspace: OwnedFd,
    /// The home directory of the engine.
    pub home: OwnedFd,
    /// The listener in the jail's network, where one was asked for, until it is taken.
    pub listener: Option<OwnedFd>,
    /// Mount points that init had to make, absolute in the view.
    pub created: Vec<PathBuf>,
    /// Workspace paths that exist and were covered, relative to it.
    pub masked: Vec<PathBuf>,
    /// The private copy on the host, where the provider needed one; the caller removes it.
    pub host_workspace: Option<PathBuf>,
}

/// A jail whose locked-down child waits for the word.
#[derive(Debug)]
pub struct PreparedJail {
    keeper: Keeper,
    enforcement: Enforcement,
    exports: Exports,
    listener: Option<OwnedFd>,
    observer: Observer,
}

/// Makes a jail and holds it before the program starts.
///
/// The calling thread must live as long as the jail: the kernel kills the jail with the thread
/// that started it (`PR_SET_PDEATHSIG` follows the thread, not the process).
pub fn prepare(provider: &dyn Provider, spec: &JailSpec, reexec: &Reexec) -> Result<PreparedJail, JailError> {
    let build = provider.build()?;
    let mut order = order::make(spec, &build, reexec)?;
    let cgroup = Cgroup::create(&Parents::find(), &spec.name, &spec.limits);
    let (memory_how, memory_limit) = cgroup.memory_limit();
    let (process_how, process_limit) = cgroup.process_limit();
    order.limit_processes = process_limit.is_none();
    order.cgroup_files = cgroup.join_files().iter().map(Bytes::from).collect();
    let keeper = Keeper::start(reexec, cgroup)?;
    let (memory, length) = order::seal(&order, spec)?;
    let sent = keeper.send(&Command::Order { length }, &[memory.as_fd()]);
    sent.map_err(JailError::kernel("send the order"))?;
    drop(memory);
    let until = Instant::now() + PATIENCE;
    let exports = take_exports(keeper.expect_report(until)?, &order)?;
    let (facts, seen, listener) = take_ready(keeper.expect_report(until)?, spec.observe != Observe::Nothing)?;
    let expectation = Expectation {
        order: &order,
        memory: Limit {
            how: memory_how,
            read_back: memory_limit.filter(|_| keeper.cgroup.holds("memory", &seen.cgroups)),
            wanted: spec.limits.memory_bytes,
        },
        processes: Limit {
            how: process_how,
            read_back: process_limit.filter(|_| keeper.cgroup.holds("pids", &seen.cgroups)),
            wanted: spec.limits.processes,
        },
        seen,
        disk_bytes: disk_capacity(&exports, &order),
        tmp_bytes: matches!(build, Build::Namespaces)
            .then(|| capacity(exports.home.as_fd()))
            .flatten(),
    };
    let bounds = enforcement::judge(&facts, &expectation);
    for promise in provider.promises() {
        let bound = bounds.iter().find(|bound| bound.name == *promise);
        if bound.is_none_or(|bound| bound.state != BoundState::Enforced) {
            return Err(JailError::Refused {
                bound: promise,
                seen: bound.map(|bound| bound.read_back.clone()).unwrap_or_default(),
                mend: format!(
                    "provider {} promises it on this machine: run `cto doctor`",
                    provider.name()
                ),
            });
        }
    }
    let network_is_own = bounds
        .iter()
        .any(|bound| bound.name == "network" && bound.state == BoundState::Enforced);
    let enforcement = Enforcement {
        provider: provider.name(),
        provider_version: match build {
            Build::Bubblewrap { version, .. } => Some(version),
            Build::Namespaces | Build::Bare => None,
        },
        bounds,
        landlock_abi: facts.landlock_abi,
        workspace: match order.workspace {
            WorkspaceOrder::Overlay { .. } => "overlay",
            WorkspaceOrder::Host { .. } if spec.workspace.kind() == "host" => "host",
            WorkspaceOrder::Copied { .. } | WorkspaceOrder::Host { .. } => "copied",
        },
        kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
    };
    let observer = Observer::new(&order, network_is_own);
    Ok(PreparedJail {
        keeper,
        enforcement,
        exports,
        listener,
        observer,
    })
}

impl PreparedJail {
    /// Returns what is enforced, as read back.
    pub fn enforcement(&self) -> &Enforcement {
        &self.enforcement
    }

    /// Returns the directories of the jail.
    pub fn exports(&self) -> &Exports {
        &self.exports
    }

    /// Hands over the listener in the jail's network, once.
    pub fn take_listener(&mut self) -> Option<OwnedFd> {
        self.exports.listener.take()
    }

    /// Lets the program start.
    pub fn start(self) -> Result<RunningJail, JailError> {
        let Self {
            keeper,
            enforcement,
            exports,
            listener,
            observer,
        } = self;
        keeper
            .send(&Command::Go, &[])
            .map_err(JailError::kernel("start the program"))?;
        Ok(RunningJail::new(keeper, enforcement, exports, listener, observer))
    }
}

fn take_exports(received: Received<Report>, order: &Order) -> Result<Exports, JailError> {
    let protocol = || JailError::kernel("follow the report of the jail")(Errno::PROTO);
    let Report::Exports { upper, created, masked } = received.frame else {
        return Err(protocol());
    };
    let mut descriptors = received.descriptors.into_iter();
    let upper = if upper {
        Some(descriptors.next().ok_or_else(protocol)?)
    } else {
        None
    };
    let workspace = descriptors.next().ok_or_else(protocol)?;
    let home = descriptors.next().ok_or_else(protocol)?;
    let listener = match order.listen {
        Some(_) => Some(descriptors.next().ok_or_else(protocol)?),
        None => None,
    };
    let paths = |list: &[Bytes]| list.iter().map(|path| PathBuf::from(path.os())).collect();
    let host_workspace = match &order.workspace {
        WorkspaceOrder::Host { path } => Some(path.path().to_owned()),
        WorkspaceOrder::Overlay { .. } | WorkspaceOrder::Copied { .. } => None,
    };
    Ok(Exports {
        upper,
        workspace,
        home,
        listener,
        created: paths(&created),
        masked: paths(&masked),
        host_workspace,
    })
}

fn take_ready(received: Received<Report>, observe: bool) -> Result<(Facts, ReadBack, Option<OwnedFd>), JailError> {
    let listener = received.descriptors.into_iter().next();
    match received.frame {
        Report::Ready { facts } if listener.is_some() == observe => {
            Ok((facts, ReadBack::of(received.sender)?, listener))
        }
        _ => Err(JailError::kernel("follow the report of the jail")(Errno::PROTO)),
    }
}

fn disk_capacity(exports: &Exports, order: &Order) -> Option<u64> {
    match &order.workspace {
        WorkspaceOrder::Overlay { .. } => capacity(exports.upper.as_ref()?.as_fd()),
        WorkspaceOrder::Copied { .. } => capacity(exports.workspace.as_fd()),
        WorkspaceOrder::Host { .. } => None,
    }
}

fn capacity(directory: BorrowedFd<'_>) -> Option<u64> {
    let system = rustix::fs::fstatvfs(directory).ok()?;
    system.f_blocks.checked_mul(system.f_frsize)
}
