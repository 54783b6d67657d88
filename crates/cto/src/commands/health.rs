//! `cto health`: everything that can be proven without a human, proven by running it.

use cto_runner::{HealthState, Stop, health as look};
use cto_schema::ExitClass;

use crate::cli::Global;
use crate::error::CommandError;
use crate::installation;
use crate::output::{Exit, Output};
use crate::progress::Progress;

pub(super) fn health(global: &Global, output: &Output) -> Result<Exit, CommandError> {
    let harness = installation::open(global)?;
    super::recover::recover_quietly(&harness, output)?;
    let stop = Stop::new().and_then(|stop| stop.on_signals().map(|()| stop));
    let stop = stop.map_err(|error| CommandError::failed(&error))?;
    let progress = Progress::new(!output.json());
    let found = look(&harness, &stop, &|part, what| progress.set(part, what));
    progress.finish();
    if output.json() {
        output.document(&found);
    } else {
        for line in &found.lines {
            let (mark, color) = match line.state {
                HealthState::Pass => ("✔", "32"),
                HealthState::Fail => ("✘", "31"),
                HealthState::NotProven => ("·", "33"),
            };
            output.print(&format!(
                "{} {:<36} {}\n",
                output.paint(color, mark),
                line.part,
                line.detail
            ));
            if line.state == HealthState::Fail {
                output.print(&format!("    see: {}\n", line.replay));
            }
        }
        let count = |state| found.lines.iter().filter(|line| line.state == state).count();
        output.print(&format!(
            "{} parts hold, {} fall short, {} not proven by this version\n",
            count(HealthState::Pass),
            count(HealthState::Fail),
            count(HealthState::NotProven)
        ));
    }
    Ok(Exit(match found.status {
        HealthState::Pass => ExitClass::Pass,
        HealthState::Fail | HealthState::NotProven => ExitClass::Fail,
    }))
}
