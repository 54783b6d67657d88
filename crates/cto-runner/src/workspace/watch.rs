//! Waiting for a workspace to change, until somebody wants to stop.

use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::path::Path;

use notify::{EventKind, RecursiveMode, Watcher as _};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::watch::Stop;

/// How long it must be quiet after a change: an editor writes several times.
const QUIET: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};
/// How many times quiet is waited for, so that a workspace that never is quiet is looked at all the same.
const MOST_WAITS: u32 = 20;

/// Why a workspace cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The kernel does not tell of changes.
    #[error("watch the workspace; the kernel's limit of watches may be too low: sysctl fs.inotify.max_user_watches")]
    Notify(#[from] notify::Error),
    /// A pipe could not be made or waited for.
    #[error("wait for changes")]
    Io(#[from] std::io::Error),
}

/// Calls `changed` once at the start and after every change, until the wish to stop is uttered.
pub fn watch_workspace(path: &Path, stop: &Stop, mut changed: impl FnMut()) -> Result<(), WatchError> {
    let (mut signals, waker) = std::io::pipe()?;
    // Neither end may wait: a full pipe says enough, and an empty one was read.
    rustix::io::ioctl_fionbio(&waker, true).map_err(std::io::Error::from)?;
    rustix::io::ioctl_fionbio(&signals, true).map_err(std::io::Error::from)?;
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading is no change, and this program reads. A lost event is a change as well.
        let read_only = event.is_ok_and(|event| matches!(event.kind, EventKind::Access(_)));
        if !read_only {
            drop((&waker).write(b"."));
        }
    })?;
    watcher.watch(path, RecursiveMode::Recursive)?;
    loop {
        changed();
        let mut waited = [
            PollFd::from_borrowed_fd(stop.wake(), PollFlags::IN),
            PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN),
        ];
        wait(&mut waited, None)?;
        for _ in 0..MOST_WAITS {
            if stop.asked() {
                return Ok(());
            }
            drain(&mut signals);
            let mut waited = [
                PollFd::from_borrowed_fd(stop.wake(), PollFlags::IN),
                PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN),
            ];
            if !wait(&mut waited, Some(&QUIET))? {
                break;
            }
        }
        if stop.asked() {
            return Ok(());
        }
    }
}

/// Waits until something is there; false when nothing came in time.
fn wait(waited: &mut [PollFd<'_>], timeout: Option<&Timespec>) -> std::io::Result<bool> {
    match poll(waited, timeout) {
        Ok(count) => Ok(count > 0),
        Err(rustix::io::Errno::INTR) => Ok(true),
        Err(errno) => Err(errno.into()),
    }
}

fn drain(signals: &mut impl std::io::Read) {
    let mut buffer = [0; 512];
    while let Ok(1..) = signals.read(&mut buffer) {}
}
