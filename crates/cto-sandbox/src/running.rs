//! A jail whose program runs, until nothing of it is left.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use crate::cgroup::CgroupUsage;
use crate::channel;
use crate::enforcement::Enforcement;
use crate::error::JailError;
use crate::jail::Exports;
use crate::keeper::Keeper;
use crate::observe::{Observation, Observer};
use crate::protocol::{Command, Report, Survivor};

/// A jail whose program runs.
#[derive(Debug)]
pub struct RunningJail {
    keeper: Keeper,
    enforcement: Enforcement,
    exports: Exports,
    listener: Option<OwnedFd>,
    observer: Observer,
    end: End,
}

impl RunningJail {
    pub(crate) fn new(
        keeper: Keeper,
        enforcement: Enforcement,
        exports: Exports,
        listener: Option<OwnedFd>,
        observer: Observer,
    ) -> Self {
        let end = End::default();
        Self {
            keeper,
            enforcement,
            exports,
            listener,
            observer,
            end,
        }
    }

    /// Returns what is enforced, as read back.
    pub fn enforcement(&self) -> &Enforcement {
        &self.enforcement
    }

    /// Returns the directories of the jail.
    pub fn exports(&self) -> &Exports {
        &self.exports
    }

    /// Returns the reading end of the program's standard output; it does not block.
    pub fn stdout(&self) -> BorrowedFd<'_> {
        self.keeper.stdout.as_fd()
    }

    /// Returns the reading end of the program's standard error; it does not block.
    pub fn stderr(&self) -> BorrowedFd<'_> {
        self.keeper.stderr.as_fd()
    }

    /// Returns the descriptor to poll for [`Self::on_control`].
    pub fn control(&self) -> BorrowedFd<'_> {
        self.keeper.control.as_fd()
    }

    /// Returns the descriptor to poll for [`Self::on_notification`]; none once it is closed.
    pub fn listener(&self) -> Option<BorrowedFd<'_>> {
        self.listener.as_ref().map(AsFd::as_fd)
    }

    /// Takes the next event; none if there is nothing to read now.
    pub fn on_control(&mut self) -> Result<Option<JailEvent>, JailError> {
        match channel::receive::<Report>(&self.keeper.control, false) {
            Err(Errno::AGAIN) => Ok(None),
            Err(errno) => Err(JailError::kernel("read the report of the jail")(errno)),
            Ok(None) => {
                self.end.closed = true;
                Ok(Some(JailEvent::Empty))
            }
            Ok(Some(received)) => self.take(received.frame),
        }
    }

    fn take(&mut self, report: Report) -> Result<Option<JailEvent>, JailError> {
        match report {
            Report::ExecFailed { errno } => {
                self.end.exec_failed = Some(errno);
                Ok(Some(JailEvent::ExecFailed { errno }))
            }
            Report::Exited {
                code,
                signal,
                survivors,
                survivors_total,
                user_us,
                system_us,
                max_rss_bytes,
            } => {
                self.end.exited = Some(Exited {
                    code,
                    signal,
                    survivors,
                    survivors_total,
                    user_us,
                    system_us,
                    max_rss_bytes,
                    ..Exited::default()
                });
                Ok(Some(JailEvent::Exited))
            }
            Report::Empty { .. } => {
                self.end.closed = true;
                Ok(Some(JailEvent::Empty))
            }
            Report::Refused { step, errno, detail } => Err(JailError::inner(step, errno, detail)),
            Report::Exports { .. } | Report::Ready { .. } => {
                Err(JailError::kernel("follow the report of the jail")(Errno::PROTO))
            }
        }
    }

    /// Reads and answers one waiting call; none if there is none, or nothing worth telling.
    pub fn on_notification(&mut self) -> Result<Option<Observation>, JailError> {
        let Some(listener) = &self.listener else {
            return Ok(None);
        };
        match self.observer.serve(listener.as_fd()) {
            Ok(observation) => Ok(observation),
            Err(Errno::NOTCONN) => {
                // Every process under the filter is gone.
                self.listener = None;
                Ok(None)
            }
            Err(errno) => Err(JailError::kernel("answer a call of the jail")(errno)),
        }
    }

    /// Asks every process of the jail to end.
    pub fn terminate(&self) -> Result<(), JailError> {
        self.command(&Command::Terminate)
    }

    /// Kills every process of the jail.
    pub fn kill(&self) -> Result<(), JailError> {
        self.command(&Command::Kill)
    }

    fn command(&self, command: &Command) -> Result<(), JailError> {
        match self.keeper.send(command, &[]) {
            // Nobody there is the wished end.
            Ok(()) | Err(Errno::PIPE | Errno::CONNRESET) => Ok(()),
            Err(errno) => Err(JailError::kernel("command the jail")(errno)),
        }
    }

    /// Returns what the control group has counted so far.
    pub fn usage(&self) -> CgroupUsage {
        self.keeper.cgroup.usage()
    }

    /// Waits until nothing of the jail runs, and answers its calls meanwhile.
    ///
    /// It does not read the pipes and it does not kill: a program that never ends, or that fills
    /// an unread pipe, must be killed by the caller. The directories outlive the jail.
    pub fn wait_empty(mut self) -> Result<(Exited, Exports), JailError> {
        let mut observations = Vec::new();
        while !self.end.closed {
            let (control, notified) = self.poll()?;
            if notified {
                observations.extend(self.on_notification()?);
            }
            if control {
                self.on_control()?;
            }
        }
        self.keeper.reap().map_err(JailError::harness("wait for the jail"))?;
        let Self {
            keeper,
            exports,
            end,
            observer,
            ..
        } = self;
        let init_lost = end.exited.is_none();
        let exited = Exited {
            exec_failed: end.exec_failed,
            init_lost,
            cgroup: keeper.cgroup.usage(),
            cgroup_empty: keeper.cgroup.is_empty(),
            observations,
            suppressed: observer.suppressed(),
            ..end.exited.unwrap_or_default()
        };
        Ok((exited, exports))
    }

    /// Waits for a report or a call; tells which.
    fn poll(&self) -> Result<(bool, bool), JailError> {
        let listener = self.listener.as_ref();
        let mut polled = vec![PollFd::new(&self.keeper.control, PollFlags::IN)];
        polled.extend(listener.map(|listener| PollFd::new(listener, PollFlags::IN)));
        match poll(&mut polled, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(JailError::kernel("wait for the jail")(errno)),
        }
        let ready = |index: usize| polled.get(index).is_some_and(|polled| !polled.revents().is_empty());
        Ok((ready(0), ready(1)))
    }
}

/// What a jail tells while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JailEvent {
    /// The program could not be executed.
    ExecFailed {
        /// Why, as an `errno`.
        errno: i32,
    },
    /// The program has ended, and nothing of it is left.
    Exited,
    /// Nothing of the jail runs any more.
    Empty,
}

/// How a jail ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exited {
    /// The exit status of the program.
    pub code: Option<i32>,
    /// The signal that killed it.
    pub signal: Option<i32>,
    /// Set where the program could not be executed: its `errno`.
    pub exec_failed: Option<i32>,
    /// Set where init was lost before it could tell the end; `code` and `signal` are then unknown.
    pub init_lost: bool,
    /// Processes that outlived the program and its grace, and were killed.
    pub survivors: Vec<Survivor>,
    /// How many they were in all.
    pub survivors_total: u64,
    /// Processor time in user mode.
    pub user_us: u64,
    /// Processor time in the kernel.
    pub system_us: u64,
    /// The largest resident set of one process.
    pub max_rss_bytes: u64,
    /// What the control group counted.
    pub cgroup: CgroupUsage,
    /// Whether the control groups had no process left.
    pub cgroup_empty: bool,
    /// What was observed after the caller stopped asking.
    pub observations: Vec<Observation>,
    /// Observations that were not kept: kind and number.
    pub suppressed: BTreeMap<&'static str, u64>,
}

#[derive(Debug, Default)]
struct End {
    exited: Option<Exited>,
    exec_failed: Option<i32>,
    closed: bool,
}
