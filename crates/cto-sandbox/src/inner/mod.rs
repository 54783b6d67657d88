//! The inner stage: what the re-executed binary does between the harness and the engine.

mod bare;
mod bubblewrap;
mod changes;
mod engine;
mod facts;
mod files;
mod init;
mod mounts;
mod outer;
mod population;
mod staging;
mod view;
mod workspace;

use std::fs::File;
use std::os::fd::OwnedFd;
use std::process::ExitCode;

use rustix::io::Errno;

use crate::channel;
use crate::ignore;
use crate::protocol::{Order, Report};
use crate::spec::Embedded;

/// The first argument that makes the binary an inner stage.
pub const INNER_ARGUMENT: &str = "__jail";

/// The second argument inside bubblewrap, whose view is already built.
pub(crate) const INIT_ARGUMENT: &str = "init";

/// Runs the inner stage; `main` calls it first thing when `argv[1]` is [`INNER_ARGUMENT`].
///
/// Standard input is the control socket. The calling process must have one thread.
pub fn inner_main(embedded: &[Embedded]) -> ExitCode {
    let in_bubblewrap = std::env::args_os().nth(2).is_some_and(|word| word == INIT_ARGUMENT);
    if in_bubblewrap {
        bubblewrap::run_init(embedded)
    } else {
        outer::run(embedded)
    }
}

/// What the stages hand on to each other.
struct Context<'a> {
    order: Order,
    control: OwnedFd,
    /// Positioned at the contents of the changes.
    contents: File,
    embedded: &'a [Embedded],
}

/// Why the jail could not be made; the harness turns it into its own error.
#[derive(Debug)]
struct Failure {
    step: String,
    errno: i32,
    detail: String,
}

impl Failure {
    fn new(step: impl Into<String>, errno: Errno, detail: impl Into<String>) -> Self {
        Self {
            step: step.into(),
            errno: errno.raw_os_error(),
            detail: detail.into(),
        }
    }

    /// Tells the harness. If that fails too, the closed socket says it.
    fn report(self, control: &OwnedFd) -> ExitCode {
        let Self { step, errno, detail } = self;
        let frame = Report::Refused { step, errno, detail };
        ignore(channel::send(control, &frame, &[]));
        ExitCode::FAILURE
    }
}

/// Names the step that an error number belongs to.
trait Step<T> {
    fn step(self, step: &str) -> Result<T, Failure>;
    fn step_at(self, step: &str, path: &std::path::Path) -> Result<T, Failure>;
}

impl<T> Step<T> for Result<T, Errno> {
    fn step(self, step: &str) -> Result<T, Failure> {
        self.map_err(|errno| Failure::new(step, errno, ""))
    }

    fn step_at(self, step: &str, path: &std::path::Path) -> Result<T, Failure> {
        self.map_err(|errno| Failure::new(step, errno, path.display().to_string()))
    }
}

impl<T> Step<T> for std::io::Result<T> {
    fn step(self, step: &str) -> Result<T, Failure> {
        self.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
            .step(step)
    }

    fn step_at(self, step: &str, path: &std::path::Path) -> Result<T, Failure> {
        self.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
            .step_at(step, path)
    }
}
