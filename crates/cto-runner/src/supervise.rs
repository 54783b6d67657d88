//! Supervision of one cage: output, observations, deadlines, and the operator's wish to stop.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use cto_sandbox::{Exited, Exports, JailError, JailEvent, RunningJail};
use cto_schema::EndedBy;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::capture::Capture;
use crate::refusals::Refusals;
use crate::watch::{RunObserver, Stop};

/// Most calls of the cage that are answered before deadlines and output are looked at again.
const NOTIFICATIONS_A_TURN: usize = 256;

/// Time limits of one cage, on the boot-time clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadlines {
    pub(crate) wall: Duration,
    pub(crate) idle: Option<Duration>,
    /// Between the polite and the final signal.
    pub(crate) grace: Duration,
    pub(crate) output: Output,
}

/// What happens to output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    /// Bytes of each output that are kept, head and tail.
    pub(crate) keep_bytes: u64,
    /// More than this on one output ends the cage; `None` only cuts.
    pub(crate) limit_bytes: Option<u64>,
}

/// Who speaks beside a cage while it runs, such as the model gateway.
pub(crate) trait Companion {
    /// Returns what to poll; none once there is nothing more to hear.
    fn descriptor(&self) -> Option<BorrowedFd<'_>>;

    /// Takes what was said, without waiting.
    fn listen(&mut self) -> Heard;

    /// Tells whether the program waits for the companion: then it is not idle, whatever it prints.
    fn is_awaited(&self) -> bool;
}

/// Who can tell that a program has done its work, although it still runs.
pub(crate) trait Lifecycle {
    /// How long a program must have been idle before it is looked at, and between two looks.
    fn idle(&self) -> Duration;

    /// Looks whether the work is done; what cannot be told is not done.
    fn is_done(&mut self, exports: &Exports) -> bool;
}

/// What a cage is followed with besides its own deadlines.
#[derive(Default)]
pub(crate) struct Beside<'a> {
    pub(crate) companion: Option<&'a mut dyn Companion>,
    pub(crate) lifecycle: Option<&'a mut dyn Lifecycle>,
}

/// What a companion said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Nothing new.
    Nothing,
    /// Something: the engine is not idle.
    Something,
    /// The companion is gone or cannot be heard; the cage must end.
    Lost,
}

/// A cage that is empty again.
#[derive(Debug)]
pub(crate) struct Supervised {
    pub(crate) exited: Exited,
    pub(crate) exports: Exports,
    pub(crate) stdout: Capture,
    pub(crate) stderr: Capture,
    pub(crate) ended_by: EndedBy,
    pub(crate) refusals: Refusals,
    pub(crate) duration: Duration,
    pub(crate) output_exceeded: bool,
}

/// The harness lost sight of a cage.
#[derive(Debug, thiserror::Error)]
pub enum SuperviseError {
    /// Waiting failed.
    #[error("wait for the sandbox")]
    Wait(#[source] Errno),
    /// The sandbox's side failed.
    #[error("follow the sandbox")]
    Jail(#[from] JailError),
}

/// Follows a cage to its end; returns once no process is left in it.
pub(crate) fn supervise(
    jail: RunningJail,
    deadlines: Deadlines,
    stop: &Stop,
    observer: &dyn RunObserver,
    mut beside: Beside<'_>,
) -> Result<Supervised, SuperviseError> {
    let started = now();
    let mut watch = Supervision {
        jail,
        deadlines,
        started,
        last_output: started,
        looked_at: started,
        stdout: Capture::new(deadlines.output.keep_bytes),
        stderr: Capture::new(deadlines.output.keep_bytes),
        refusals: Refusals::default(),
        ending: None,
        output_exceeded: false,
        companion_lost: false,
        empty: false,
    };
    while !watch.empty {
        watch.enforce(stop)?;
        watch.look_at_work(&mut beside)?;
        watch.wait(stop, &beside)?;
        watch.read_output(observer);
        if let Some(companion) = &mut beside.companion {
            watch.listen(&mut **companion);
        }
        watch.read_jail()?;
    }
    // What was written before the last process died is still in the pipes.
    watch.read_output(observer);
    let duration = now().saturating_sub(started);
    let mut refusals = watch.refusals;
    let (exited, exports) = watch.jail.wait_empty()?;
    exited
        .observations
        .iter()
        .for_each(|observation| refusals.take(observation));
    Ok(Supervised {
        exited,
        exports,
        stdout: watch.stdout,
        stderr: watch.stderr,
        ended_by: watch.ending.map(|ending| ending.by).unwrap_or_default(),
        refusals,
        duration,
        output_exceeded: watch.output_exceeded,
    })
}

/// The harness decided to end a cage.
#[derive(Clone, Copy, Debug)]
struct Ending {
    by: EndedBy,
    kill_at: Duration,
    killed: bool,
}

#[derive(Debug)]
struct Supervision {
    jail: RunningJail,
    deadlines: Deadlines,
    started: Duration,
    last_output: Duration,
    /// When it was last looked whether the work is done.
    looked_at: Duration,
    stdout: Capture,
    stderr: Capture,
    refusals: Refusals,
    ending: Option<Ending>,
    output_exceeded: bool,
    companion_lost: bool,
    empty: bool,
}

impl Supervision {
    fn listen(&mut self, companion: &mut dyn Companion) {
        match companion.listen() {
            Heard::Nothing => {}
            Heard::Something => self.last_output = now(),
            Heard::Lost => self.companion_lost = true,
        }
    }

    /// Ends the cage where a deadline, a limit or the operator says so.
    fn enforce(&mut self, stop: &Stop) -> Result<(), SuperviseError> {
        let now = now();
        match &mut self.ending {
            Some(ending) if !ending.killed && now >= ending.kill_at => {
                ending.killed = true;
                self.jail.kill()?;
            }
            Some(_) => {}
            None => {
                if let Some(by) = self.reason_to_end(now, stop) {
                    self.end(by, now)?;
                }
            }
        }
        Ok(())
    }

    fn end(&mut self, by: EndedBy, now: Duration) -> Result<(), SuperviseError> {
        self.ending = Some(Ending {
            by,
            kill_at: now + self.deadlines.grace,
            killed: false,
        });
        Ok(self.jail.terminate()?)
    }

    /// Ends a program that has been idle for a while and has nothing left to do.
    fn look_at_work(&mut self, beside: &mut Beside<'_>) -> Result<(), SuperviseError> {
        if self.work_due(beside).is_none_or(|due| now() < due) {
            return Ok(());
        }
        let Some(lifecycle) = &mut beside.lifecycle else {
            return Ok(());
        };
        let is_done = lifecycle.is_done(self.jail.exports());
        let now = now();
        self.looked_at = now;
        if is_done {
            self.end(EndedBy::Lifecycle, now)
        } else {
            Ok(())
        }
    }

    /// Returns when it is looked next whether the work is done.
    fn work_due(&self, beside: &Beside<'_>) -> Option<Duration> {
        let idle = beside.lifecycle.as_ref()?.idle();
        let awaited = beside
            .companion
            .as_ref()
            .is_some_and(|companion| companion.is_awaited());
        (self.ending.is_none() && !awaited).then(|| self.last_output.max(self.looked_at) + idle)
    }

    fn reason_to_end(&mut self, now: Duration, stop: &Stop) -> Option<EndedBy> {
        let output = self.stdout.total().max(self.stderr.total());
        self.output_exceeded |= self.deadlines.output.limit_bytes.is_some_and(|limit| output > limit);
        if stop.asked() {
            Some(EndedBy::Cancelled)
        } else if self.output_exceeded {
            Some(EndedBy::ResourceLimit)
        } else if self.companion_lost {
            Some(EndedBy::GatewayLost)
        } else if now >= self.started + self.deadlines.wall {
            Some(EndedBy::Timeout)
        } else if self.deadlines.idle.is_some_and(|idle| now >= self.last_output + idle) {
            Some(EndedBy::IdleTimeout)
        } else {
            None
        }
    }

    /// Returns when something is due even if nothing happens.
    fn next_due(&self, beside: &Beside<'_>) -> Option<Duration> {
        match self.ending {
            Some(Ending { killed: true, .. }) => None,
            Some(ending) => Some(ending.kill_at),
            None => {
                let wall = self.started + self.deadlines.wall;
                let idle = self.deadlines.idle.map(|idle| self.last_output + idle);
                [Some(wall), idle, self.work_due(beside)].into_iter().flatten().min()
            }
        }
    }

    fn wait(&self, stop: &Stop, beside: &Beside<'_>) -> Result<(), SuperviseError> {
        let (stdout, stderr, control) = (self.jail.stdout(), self.jail.stderr(), self.jail.control());
        let (listener, wake) = (self.jail.listener(), stop.wake());
        let mut polled = vec![PollFd::new(&control, PollFlags::IN)];
        if self.stdout.open() {
            polled.push(PollFd::new(&stdout, PollFlags::IN));
        }
        if self.stderr.open() {
            polled.push(PollFd::new(&stderr, PollFlags::IN));
        }
        polled.extend(listener.as_ref().map(|listener| PollFd::new(listener, PollFlags::IN)));
        let companion = beside.companion.as_ref().filter(|_| !self.companion_lost);
        let records = companion.and_then(|companion| companion.descriptor());
        polled.extend(records.as_ref().map(|records| PollFd::new(records, PollFlags::IN)));
        if self.ending.is_none() {
            polled.push(PollFd::new(&wake, PollFlags::IN));
        }
        let timeout = self.next_due(beside).map(|due| due.saturating_sub(now()));
        // A timeout too long for the kernel's type is no timeout.
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        match poll(&mut polled, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(SuperviseError::Wait(errno)),
        }
    }

    fn read_output(&mut self, observer: &dyn RunObserver) {
        let mut came = 0;
        for (capture, from) in [
            (&mut self.stdout, self.jail.stdout()),
            (&mut self.stderr, self.jail.stderr()),
        ] {
            let count = capture.read(from);
            came += count;
            if count > 0
                && let Some(line) = capture.last_line()
            {
                observer.activity(&line);
            }
        }
        if came > 0 {
            self.last_output = now();
        }
    }

    fn read_jail(&mut self) -> Result<(), SuperviseError> {
        // A flood of calls must not keep the deadlines from being looked at.
        for _ in 0..NOTIFICATIONS_A_TURN {
            let Some(listener) = self.jail.listener() else { break };
            let mut polled = [PollFd::new(&listener, PollFlags::IN)];
            let none = Timespec::default();
            match poll(&mut polled, Some(&none)) {
                Ok(0) | Err(_) => break,
                Ok(_) => {
                    if let Some(observation) = self.jail.on_notification()? {
                        self.refusals.take(&observation);
                    }
                }
            }
        }
        while !self.empty {
            match self.jail.on_control()? {
                Some(JailEvent::Empty) => self.empty = true,
                Some(JailEvent::Exited | JailEvent::ExecFailed { .. }) => {}
                None => break,
            }
        }
        Ok(())
    }
}

/// Returns `CLOCK_BOOTTIME`: it runs on while the machine sleeps, and no clock setting moves it.
fn now() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(
        time.tv_sec.try_into().unwrap_or(0),
        time.tv_nsec.try_into().unwrap_or(0),
    )
}
