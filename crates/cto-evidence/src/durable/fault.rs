//! Fault injection for tests: the n-th durable step kills the process, fails, or is torn.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Write as _};

/// What happens at the chosen step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// `kill -9` before the step.
    Kill,
    /// Half of a write reaches the file, then `kill -9`; other steps are killed before.
    Torn,
    /// The step fails with EIO and has no effect.
    InputOutput,
    /// This step and every later write or creation fails with ENOSPC; a write leaves its first half.
    Full,
}

thread_local! {
    static PLAN: Cell<Option<(Fault, u32)>> = const { Cell::new(None) };
    static SEEN: Cell<u32> = const { Cell::new(0) };
}

/// Arms a fault for the `at`-th step of this thread, counted from 0; `None` only counts.
pub(crate) fn arm(plan: Option<(Fault, u32)>) {
    PLAN.set(plan);
    SEEN.set(0);
}

/// Returns how many steps this thread took since [`arm`].
pub(crate) fn steps() -> u32 {
    SEEN.get()
}

fn due() -> Option<Fault> {
    let step = SEEN.get();
    SEEN.set(step + 1);
    match PLAN.get() {
        Some((Fault::Full, at)) if step >= at => Some(Fault::Full),
        Some((fault, at)) if step == at => Some(fault),
        _ => None,
    }
}

fn die() -> io::Error {
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).unwrap();
    io::Error::other("killed")
}

pub(crate) fn point(operation: &str) -> io::Result<()> {
    match due() {
        None => Ok(()),
        Some(Fault::Full) if !matches!(operation, "create" | "mkdir") => Ok(()),
        Some(Fault::Full) => Err(rustix::io::Errno::NOSPC.into()),
        Some(Fault::InputOutput) => Err(rustix::io::Errno::IO.into()),
        Some(Fault::Kill | Fault::Torn) => Err(die()),
    }
}

pub(crate) fn write(mut file: &File, bytes: &[u8]) -> io::Result<()> {
    let Some(fault) = due() else { return Ok(()) };
    if matches!(fault, Fault::Torn | Fault::Full) {
        file.write_all(&bytes[..bytes.len() / 2])?;
    }
    match fault {
        Fault::Full => Err(rustix::io::Errno::NOSPC.into()),
        Fault::InputOutput => Err(rustix::io::Errno::IO.into()),
        Fault::Kill | Fault::Torn => Err(die()),
    }
}
