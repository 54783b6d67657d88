//! A git that runs: waited for until a deadline or the operator's stop, and never left behind.

use std::io::{self, Read};
use std::marker::PhantomData;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus};
use std::thread::JoinHandle;
use std::time::Instant;

use cto_schema::escape;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::GitError;
use crate::watch::Stop;

/// How much of git's complaints is kept.
const STDERR_CAP: usize = 4096;

/// A running git; reading it stops at a deadline or at the operator's wish, and dropping it ends it.
#[derive(Debug)]
pub(crate) struct GitProcess {
    program: PathBuf,
    command: String,
    child: Child,
    stdout: Option<ChildStdout>,
    stderr: Option<JoinHandle<Vec<u8>>>,
    stop: Option<Stop>,
    deadline: Instant,
    done: bool,
    /// It dies with the thread that started it, so it stays there.
    _thread: PhantomData<*const ()>,
}

/// Why a wait ended that is no failure of the pipe.
#[derive(Debug, thiserror::Error)]
#[error("the operator stopped the run")]
struct StopAsked;

impl GitProcess {
    /// Starts a command whose output and complaints are pipes.
    pub(super) fn start(
        command: &mut Command,
        name: String,
        stop: Option<Stop>,
        deadline: Instant,
    ) -> io::Result<Self> {
        let mut child = cto_sandbox::end_with_parent(command).spawn()?;
        let stdout = child.stdout.take();
        let stderr = child.stderr.take();
        let mut process = Self {
            program: command.get_program().into(),
            command: name,
            child,
            stdout,
            stderr: None,
            stop,
            deadline,
            done: false,
            _thread: PhantomData,
        };
        // Without a thread the process is killed as it is dropped.
        let drained = stderr.map(|stderr| std::thread::Builder::new().spawn(move || drain(stderr)));
        process.stderr = drained.transpose()?;
        Ok(process)
    }

    /// Gives its output away, to another process.
    pub(super) fn take_output(&mut self) -> Option<ChildStdout> {
        self.stdout.take()
    }

    pub(super) fn too_large(self, cap: u64) -> GitError {
        GitError::TooLarge {
            command: self.command.clone(),
            cap,
        }
    }

    /// Waits for the end, which must be a good one.
    pub(crate) fn finish(mut self) -> Result<(), GitError> {
        match self.end() {
            Ok((status, _)) if status.success() => Ok(()),
            Ok((status, complaint)) => Err(self.failure(status, &complaint)),
            Err(source) => Err(self.no_answer(source)),
        }
    }

    /// Ends the process and says why reading it failed: its own complaint is the better reason.
    pub(crate) fn explain(mut self, source: io::Error) -> GitError {
        if is_impatience(&source) {
            return self.no_answer(source);
        }
        match self.end() {
            Ok((status, complaint)) if !status.success() && !complaint.is_empty() => self.failure(status, &complaint),
            Err(late) if is_impatience(&late) => self.no_answer(late),
            _ => self.no_answer(source),
        }
    }

    /// Waits until it has ended, and returns how, and what it complained about.
    fn end(&mut self) -> io::Result<(ExitStatus, Vec<u8>)> {
        drop(self.stdout.take());
        let process = pidfd_open(Pid::from_child(&self.child), PidfdFlags::empty())?;
        self.wait_for(process.as_fd())?;
        let status = self.child.wait()?;
        self.done = true;
        let complaint = self.stderr.take().and_then(|thread| thread.join().ok());
        Ok((status, complaint.unwrap_or_default()))
    }

    /// Waits until a descriptor is readable, as long as somebody wants to.
    fn wait_for(&self, descriptor: BorrowedFd<'_>) -> io::Result<()> {
        let mut waited = vec![PollFd::from_borrowed_fd(descriptor, PollFlags::IN)];
        waited.extend(
            self.stop
                .iter()
                .map(|stop| PollFd::from_borrowed_fd(stop.wake(), PollFlags::IN)),
        );
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
            match poll(&mut waited, Some(&timeout)) {
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
                Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
                Ok(_) if waited.get(1).is_some_and(|stop| !stop.revents().is_empty()) => {
                    return Err(io::Error::other(StopAsked));
                }
                Ok(_) => return Ok(()),
            }
        }
    }

    fn no_answer(&self, source: io::Error) -> GitError {
        let command = self.command.clone();
        if is_stop(&source) {
            GitError::Stopped { command }
        } else if source.kind() == io::ErrorKind::TimedOut {
            GitError::TimedOut { command }
        } else {
            let program = self.program.clone();
            GitError::Io { program, source }
        }
    }

    fn failure(&self, status: ExitStatus, complaint: &[u8]) -> GitError {
        let stderr = escape(complaint.trim_ascii_end(), STDERR_CAP);
        GitError::Failed {
            command: self.command.clone(),
            status: status.to_string(),
            stderr,
        }
    }
}

fn is_stop(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|cause| cause.is::<StopAsked>())
}

fn is_impatience(error: &io::Error) -> bool {
    is_stop(error) || error.kind() == io::ErrorKind::TimedOut
}

impl Read for GitProcess {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(stdout) = &self.stdout {
            self.wait_for(stdout.as_fd())?;
        }
        self.stdout.as_mut().map_or(Ok(0), |stdout| stdout.read(buffer))
    }
}

impl Drop for GitProcess {
    fn drop(&mut self) {
        if !self.done {
            // An end that is late is no error: the process is only in the way now.
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}

/// Reads complaints to their end, so that git never blocks on them, and keeps the first part.
fn drain(mut stderr: impl Read) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut chunk = [0; 4096];
    while let Ok(count @ 1..) = stderr.read(&mut chunk) {
        let room = (2 * STDERR_CAP).saturating_sub(kept.len());
        kept.extend_from_slice(&chunk[..count.min(room)]);
    }
    kept
}
