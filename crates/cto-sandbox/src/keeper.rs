//! The process of the inner stage as the harness holds it: started, bounded, and never left behind.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::pipe::PipeFlags;

use crate::cgroup::Cgroup;
use crate::channel::{self, Received};
use crate::error::JailError;
use crate::ignore;
use crate::inner::INNER_ARGUMENT;
use crate::protocol::{Command, Report};
use crate::spec::Reexec;

/// Dropping it kills the jail and removes its cgroup.
#[derive(Debug)]
pub(crate) struct Keeper {
    child: Child,
    pub(crate) control: OwnedFd,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
    pub(crate) cgroup: Cgroup,
    reaped: bool,
}

impl Keeper {
    /// Starts the inner stage, which then waits for its order.
    #[expect(clippy::disallowed_methods, reason = "children start in this crate")]
    pub(crate) fn start(reexec: &Reexec, cgroup: Cgroup) -> Result<Self, JailError> {
        let failed = JailError::kernel("make the channels of the jail");
        let flags = SocketFlags::CLOEXEC;
        let (control, inner) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).map_err(&failed)?;
        // The kernel then names the sender of each report: the child cannot lie about its uid.
        rustix::net::sockopt::set_socket_passcred(&control, true).map_err(&failed)?;
        let (stdout, stdout_inner) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(&failed)?;
        let (stderr, stderr_inner) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(&failed)?;
        for end in [&stdout, &stderr] {
            rustix::fs::fcntl_setfl(end, OFlags::NONBLOCK).map_err(&failed)?;
        }
        let child = std::process::Command::new(&reexec.program)
            .arg(INNER_ARGUMENT)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(inner))
            .stdout(Stdio::from(stdout_inner))
            .stderr(Stdio::from(stderr_inner))
            .spawn()
            .map_err(|source| JailError::Harness {
                operation: "start the inner stage",
                source,
            })?;
        Ok(Self {
            child,
            control,
            stdout,
            stderr,
            cgroup,
            reaped: false,
        })
    }

    pub(crate) fn send(&self, command: &Command, descriptors: &[BorrowedFd<'_>]) -> Result<(), Errno> {
        channel::send(&self.control, command, descriptors)
    }

    /// Waits for the next report until the deadline.
    pub(crate) fn expect_report(&self, until: Instant) -> Result<Received<Report>, JailError> {
        if !readable(self.control.as_fd(), until) {
            return Err(JailError::Lost {
                detail: format!("it said nothing in time; {}", self.last_words()),
            });
        }
        match channel::receive::<Report>(&self.control, false) {
            Ok(Some(Received {
                frame: Report::Refused { step, errno, detail },
                ..
            })) => Err(JailError::inner(step, errno, detail)),
            Ok(
                None
                | Some(Received {
                    frame: Report::Empty { .. },
                    ..
                }),
            ) => Err(JailError::Lost {
                detail: self.last_words(),
            }),
            Ok(Some(received)) => Ok(received),
            Err(errno) => Err(JailError::kernel("read the report of the jail")(errno)),
        }
    }

    /// What the inner stage, or bubblewrap, wrote to its standard error.
    fn last_words(&self) -> String {
        if self.cgroup.usage().oom_kills > 0 {
            return "the kernel killed it at the memory limit, which a copied workspace counts against; \
                    raise the limit above the size of the repository"
                .to_owned();
        }
        let mut buffer = [0; 1024];
        // An open pipe without content ends the wait too: there is nothing to hear.
        readable(self.stderr.as_fd(), Instant::now() + Duration::from_millis(200));
        let length = rustix::io::read(&self.stderr, &mut buffer).unwrap_or(0);
        let words = buffer.get(..length).unwrap_or_default().trim_ascii();
        if words.is_empty() {
            "it ended without a word".to_owned()
        } else {
            format!("it said: {}", words.escape_ascii())
        }
    }

    /// Reaps the outer half, whose end means that the namespace is empty.
    pub(crate) fn reap(&mut self) -> io::Result<()> {
        if !self.reaped {
            self.child.wait()?;
            self.reaped = true;
        }
        Ok(())
    }

    /// Kills the outer half; init and everything below die with it.
    pub(crate) fn kill(&mut self) -> io::Result<()> {
        if self.reaped { Ok(()) } else { self.child.kill() }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // Nothing can be told from here; recovery finds what is left by the name of the cgroup.
        drop(self.kill());
        drop(self.reap());
    }
}

/// Waits until a descriptor is readable or closed; tells whether it is.
pub(crate) fn readable(descriptor: BorrowedFd<'_>, until: Instant) -> bool {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let Ok(timeout) = Timespec::try_from(left) else {
            return false;
        };
        let mut polled = [PollFd::from_borrowed_fd(descriptor, PollFlags::IN)];
        match poll(&mut polled, Some(&timeout)) {
            Ok(0) => return false,
            Ok(_) => return true,
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

/// Waits without spinning.
pub(crate) fn pause(duration: Duration) {
    if let Ok(timeout) = Timespec::try_from(duration) {
        // An early wake-up only makes the caller look again.
        ignore(poll(&mut [], Some(&timeout)));
    }
}
