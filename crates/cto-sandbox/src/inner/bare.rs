//! The method without a view: another uid where possible, and an init that adopts orphans.

use std::process::ExitCode;

use super::population::Population;
use super::{Context, Failure, init};

/// Runs the program on the host itself.
pub(super) fn run(mut context: Context<'_>) -> ExitCode {
    let adopter = Some(rustix::process::getpid());
    if let Err(errno) = rustix::process::set_child_subreaper(adopter) {
        return Failure::new("adopt orphans", errno, "").report(&context.control);
    }
    // Killed with the harness it could not kill the rest: here the closed socket is the signal.
    if let Err(errno) = rustix::process::set_parent_process_death_signal(None) {
        return Failure::new("disarm the death signal", errno, "").report(&context.control);
    }
    match init::change_on_host(&mut context).and_then(|()| init::export_existing(&mut context)) {
        Ok(()) => init::run(context, Population::Descendants),
        Err(failure) => failure.report(&context.control),
    }
}
