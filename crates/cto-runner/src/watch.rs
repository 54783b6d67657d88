//! Watching a run from outside: stages, activity, and the wish to stop.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A stop of the journey, as people see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The run directory exists.
    Opened,
    /// Facts are gathered and gates asked.
    Gates,
    /// Baseline and workspace are made.
    Workspace,
    /// The engine works.
    Engine,
    /// The write set is read.
    Collect,
    /// The patch is on disk and is proven by applying it.
    Prove,
    /// The clean room works.
    Verify,
    /// The change is put into the repository that may be changed.
    Apply,
    /// The run is held open for the operator's word.
    Outcome,
    /// The report is written and sealed.
    Seal,
}

impl Stage {
    /// Returns the word shown while the stage lasts.
    pub fn word(self) -> &'static str {
        match self {
            Self::Opened => "opening the evidence bundle",
            Self::Gates => "asking the gates",
            Self::Workspace => "preparing baseline and workspace",
            Self::Engine => "engine at work",
            Self::Collect => "reading the write set",
            Self::Prove => "proving the patch",
            Self::Verify => "verifying in the clean room",
            Self::Apply => "putting the change into the repository",
            Self::Outcome => "waiting for the operator: cto outcome",
            Self::Seal => "sealing the evidence",
        }
    }
}

/// Somebody who watches a run. It can see; it cannot change the verdict.
pub trait RunObserver {
    /// A stage begins; `bundle` is the run's directory.
    fn stage(&self, _stage: Stage, _bundle: &Path) {}

    /// The engine or a verification command did something visible.
    fn activity(&self, _what: &str) {}
}

/// An observer that looks away.
#[derive(Clone, Copy, Debug)]
pub struct Unwatched;

impl RunObserver for Unwatched {}

/// The operator's wish to stop, as a flag that can be waited for.
#[derive(Clone, Debug)]
pub struct Stop {
    asked: Arc<AtomicBool>,
    wake: Arc<(OwnedFd, OwnedFd)>,
}

impl Stop {
    /// Makes a wish that nobody has uttered yet.
    pub fn new() -> io::Result<Self> {
        let flags = rustix::pipe::PipeFlags::CLOEXEC | rustix::pipe::PipeFlags::NONBLOCK;
        let pipe = rustix::pipe::pipe_with(flags)?;
        Ok(Self {
            asked: Arc::new(AtomicBool::new(false)),
            wake: Arc::new(pipe),
        })
    }

    /// Makes the first SIGINT, SIGTERM or SIGHUP utter the wish, and the second end the process at once; what it
    /// leaves behind is closed by recovery.
    pub fn on_signals(&self) -> io::Result<()> {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // Order matters: the shutdown is armed by the flag that the next line sets.
            signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&self.asked))?;
            signal_hook::flag::register(signal, Arc::clone(&self.asked))?;
            signal_hook::low_level::pipe::register(signal, self.wake.1.try_clone()?)?;
        }
        Ok(())
    }

    /// Utters the wish.
    pub fn ask(&self) {
        self.asked.store(true, Ordering::SeqCst);
        // A full pipe is already readable, which is all that a waiter needs.
        let _full = rustix::io::write(&self.wake.1, b".").is_err();
    }

    /// Returns whether the wish was uttered.
    pub fn asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }

    /// Returns a descriptor that is readable once the wish was uttered.
    pub fn wake(&self) -> BorrowedFd<'_> {
        self.wake.0.as_fd()
    }
}
