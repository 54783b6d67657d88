//! The init of a jail: builds the view, starts the locked-down child, reaps, and tells the end.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::pipe::PipeFlags;
use rustix::process::{DumpableBehavior, Pid, Signal, WaitOptions, WaitStatus};

use super::population::Population;
use super::{Context, Failure, Step, bubblewrap, changes, engine, outer, view};
use crate::channel;
use crate::ignore;
use crate::protocol::{ChangeOrder, Command, Report, Survivor, WorkspaceOrder};
use crate::sys::{self, Fork};

/// Connections that wait while the gateway is not accepting yet.
const BACKLOG: i32 = 256;

/// Runs as PID 1 of fresh namespaces.
pub(super) fn run_in_namespaces(mut context: Context<'_>) -> ExitCode {
    if let Err(errno) = outer::die_with_parent() {
        return Failure::new("arm the death signal", errno, "").report(&context.control);
    }
    let built = match view::build(&mut context) {
        Ok(built) => built,
        Err(failure) => return failure.report(&context.control),
    };
    let view::Built {
        upper,
        workspace,
        home,
        listener,
        created,
        masked,
    } = built;
    let frame = Report::Exports {
        upper: upper.is_some(),
        created,
        masked,
    };
    let descriptors = upper.iter().chain([&workspace, &home]).chain(&listener);
    let descriptors: Vec<_> = descriptors.map(AsFd::as_fd).collect();
    if let Err(errno) = channel::send(&context.control, &frame, &descriptors) {
        return Failure::new("hand over the directories", errno, "").report(&context.control);
    }
    drop((upper, workspace, home, listener));
    run(context, Population::Namespace)
}

/// Fills the home directory of a view that somebody else has built, and hands the directories over.
pub(super) fn export_existing(context: &mut Context<'_>) -> Result<(), Failure> {
    let workspace = open_directory(context.order.workspace_path.path())?;
    let home = open_directory(context.order.home_path.path())?;
    changes::apply(home.as_fd(), &context.order.home, &mut context.contents)?;
    let listener = context.order.listen.map(listen).transpose()?;
    let frame = Report::Exports {
        upper: false,
        created: Vec::new(),
        // A view of bubblewrap's is made of what it found on the host.
        masked: bubblewrap::found_masks(&context.order, workspace.as_fd()),
    };
    let descriptors: Vec<_> = [&workspace, &home]
        .into_iter()
        .chain(&listener)
        .map(AsFd::as_fd)
        .collect();
    channel::send(&context.control, &frame, &descriptors).step("hand over the directories")
}

/// Makes a listener on the loopback address of the current network namespace.
pub(super) fn listen(port: u16) -> Result<OwnedFd, Failure> {
    let step = "listen for the model gateway";
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).step(step)?;
    let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
    rustix::net::bind(&socket, &address).step(step)?;
    rustix::net::listen(&socket, BACKLOG).step(step)?;
    Ok(socket)
}

/// Makes the changes in a workspace that lies on the host; those of the home come first in the contents.
pub(super) fn change_on_host(context: &mut Context<'_>) -> Result<(), Failure> {
    let before = context.order.home.iter().map(|change| match change {
        ChangeOrder::File { length, .. } => *length,
        ChangeOrder::Remove { .. } | ChangeOrder::Symlink { .. } | ChangeOrder::Directory { .. } => 0,
    });
    let before = i64::try_from(before.sum::<u64>()).unwrap_or(i64::MAX);
    let start = context
        .contents
        .seek(SeekFrom::Current(before))
        .step("find the contents")?;
    let changed = change_workspace(context);
    // The home's contents are read next, by whoever fills it.
    let back = start.saturating_sub(before.unsigned_abs());
    context.contents.seek(SeekFrom::Start(back)).step("find the contents")?;
    changed
}

fn change_workspace(context: &mut Context<'_>) -> Result<(), Failure> {
    let WorkspaceOrder::Host { path } = &context.order.workspace else {
        return Err(Failure::new(
            "change the workspace",
            Errno::INVAL,
            "it is not on the host",
        ));
    };
    let workspace = open_directory(path.path())?;
    changes::apply(workspace.as_fd(), &context.order.changes, &mut context.contents)
}

fn open_directory(path: &Path) -> Result<OwnedFd, Failure> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).step_at("open a directory", path)
}

/// Starts the child and serves as its init until nothing is left.
pub(super) fn run(context: Context<'_>, population: Population) -> ExitCode {
    match start() {
        Err(failure) => failure.report(&context.control),
        Ok(Started::Child { go, status }) => engine::run(context, go, status),
        Ok(Started::Init { main, go, children }) => {
            let Context {
                order,
                control,
                contents,
                ..
            } = context;
            drop::<File>(contents);
            let grace = Duration::from_millis(order.limits.survivor_grace_ms);
            Init {
                control,
                children,
                go: Some(go),
                main,
                population,
                grace,
                ending: None,
                killed: false,
            }
            .serve()
        }
    }
}

enum Started {
    Child { go: OwnedFd, status: Result<(), Errno> },
    Init { main: Pid, go: OwnedFd, children: OwnedFd },
}

fn start() -> Result<Started, Failure> {
    let children = sys::watch_children().step("watch the children")?;
    let (wait, go) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).step("make a pipe")?;
    // Nobody in the jail may look into init: it holds the control socket.
    let hide = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
    hide.step("hide init")?;
    match sys::fork().step("start the child")? {
        Fork::Child => {
            drop((children, go));
            let status = rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable);
            Ok(Started::Child { go: wait, status })
        }
        Fork::Parent(main) => {
            let null = outer::null().step("open the null device")?;
            // The pipes of the program must end with the program.
            rustix::stdio::dup2_stdout(&null).step("let go of stdout")?;
            rustix::stdio::dup2_stderr(&null).step("let go of stderr")?;
            Ok(Started::Init { main, go, children })
        }
    }
}

/// The program has ended; what else lives has until the deadline.
struct Ending {
    status: WaitStatus,
    deadline: Instant,
    survivors: Vec<Survivor>,
    survivors_total: u64,
}

struct Init {
    control: OwnedFd,
    children: OwnedFd,
    go: Option<OwnedFd>,
    main: Pid,
    population: Population,
    grace: Duration,
    ending: Option<Ending>,
    killed: bool,
}

impl Init {
    fn serve(mut self) -> ExitCode {
        loop {
            if self.reap() {
                return self.tell_the_end();
            }
            let timeout = self.next_timeout();
            let mut polled = [
                PollFd::new(&self.control, PollFlags::IN),
                PollFd::new(&self.children, PollFlags::IN),
            ];
            match poll(&mut polled, timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return self.abandon(),
            }
            let [control, children] = polled;
            let (control, children) = (control.revents(), children.revents());
            if !children.is_empty() {
                // Drained only; waiting itself says who ended.
                let mut buffer = [0; 1024];
                ignore(rustix::io::read(&self.children, &mut buffer));
            }
            if !control.is_empty() {
                match channel::receive::<Command>(&self.control, false) {
                    Ok(Some(received)) => self.obey(&received.frame),
                    Err(Errno::AGAIN) => {}
                    // The harness is dead: nothing of the jail may outlive it.
                    Ok(None) | Err(_) => return self.abandon(),
                }
            }
            self.expire();
        }
    }

    fn obey(&mut self, command: &Command) {
        match command {
            Command::Go => {
                if let Some(go) = self.go.take() {
                    // A child that died before is reaped like any other.
                    ignore(rustix::io::write(&go, b"g"));
                }
            }
            Command::Terminate => self.population.signal(Signal::TERM),
            Command::Kill => {
                self.killed = true;
                self.population.signal(Signal::KILL);
            }
            Command::Order { .. } => {}
        }
    }

    /// Reaps whoever has ended; tells whether nobody is left.
    fn reap(&mut self) -> bool {
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => {
                    if pid == self.main {
                        self.ending = Some(Ending {
                            status,
                            deadline: Instant::now() + self.grace,
                            survivors: Vec::new(),
                            survivors_total: 0,
                        });
                    }
                }
                Ok(None) => break,
                Err(Errno::INTR) => {}
                Err(_) => return true,
            }
        }
        if self.killed {
            // A process may have been born while the others were being killed.
            self.population.signal(Signal::KILL);
        }
        false
    }

    fn next_timeout(&self) -> Option<Timespec> {
        let pause = if self.killed {
            Duration::from_millis(10)
        } else {
            self.ending.as_ref()?.deadline.saturating_duration_since(Instant::now())
        };
        Timespec::try_from(pause).ok()
    }

    /// Kills those that outlived the program by more than the grace.
    fn expire(&mut self) {
        let Some(ending) = &mut self.ending else {
            return;
        };
        if self.killed || Instant::now() < ending.deadline {
            return;
        }
        (ending.survivors, ending.survivors_total) = self.population.alive();
        self.killed = true;
        self.population.signal(Signal::KILL);
    }

    fn tell_the_end(self) -> ExitCode {
        let Some(ending) = self.ending else {
            return ExitCode::FAILURE;
        };
        let (user_us, system_us, max_rss_bytes) = sys::children_usage();
        let frame = Report::Exited {
            code: ending.status.exit_status(),
            signal: ending.status.terminating_signal(),
            survivors: ending.survivors,
            survivors_total: ending.survivors_total,
            user_us,
            system_us,
            max_rss_bytes,
        };
        if channel::send(&self.control, &frame, &[]).is_err() {
            return ExitCode::FAILURE;
        }
        if self.population == Population::Descendants {
            // There is no outer half that could say it.
            let frame = Report::Empty {
                init_code: Some(0),
                init_signal: None,
            };
            ignore(channel::send(&self.control, &frame, &[]));
        }
        ExitCode::SUCCESS
    }

    fn abandon(mut self) -> ExitCode {
        self.killed = true;
        self.population.signal(Signal::KILL);
        while !self.reap() {
            let pause = Timespec {
                tv_sec: 0,
                tv_nsec: 10_000_000,
            };
            ignore(poll(&mut [PollFd::new(&self.children, PollFlags::IN)], Some(&pause)));
        }
        ExitCode::FAILURE
    }
}
