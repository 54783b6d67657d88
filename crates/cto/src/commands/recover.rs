//! `cto recover`: close what a killed cto left.

use cto_runner::{Harness, Recovered, RecoveryOutcome, recover as recover_runs};
use cto_schema::ExitClass;
use serde_json::json;

use crate::cli::Global;
use crate::error::CommandError;
use crate::installation;
use crate::output::{Exit, Output};

pub(super) fn recover(global: &Global, output: &Output) -> Result<Exit, CommandError> {
    let harness = installation::open(global)?;
    let recovered = recover_runs(&harness).map_err(|error| CommandError::failed(&error))?;
    if output.json() {
        let rows: Vec<_> = recovered
            .iter()
            .map(|r| json!({ "run_id": r.run_id, "outcome": words(&r.outcome) }))
            .collect();
        output.document(&json!({ "recovered": rows }));
    } else if recovered.is_empty() {
        output.print("nothing to recover: every run is sealed\n");
    } else {
        let lines: String = recovered
            .iter()
            .map(|r| format!("{}  {}\n", r.run_id, words(&r.outcome)))
            .collect();
        output.print(&lines);
    }
    let failed = recovered
        .iter()
        .any(|r| matches!(r.outcome, RecoveryOutcome::Failed(_)));
    Ok(Exit(if failed { ExitClass::Internal } else { ExitClass::Pass }))
}

/// Recovers before another command does its work; says what it did on standard error.
pub(super) fn recover_quietly(harness: &Harness, output: &Output) -> Result<(), CommandError> {
    let recovered: Vec<Recovered> = recover_runs(harness).map_err(|error| CommandError::failed(&error))?;
    for run in &recovered {
        output.note(&format!(
            "recovered unfinished run {}: {}",
            run.run_id,
            words(&run.outcome)
        ));
    }
    Ok(())
}

fn words(outcome: &RecoveryOutcome) -> String {
    match outcome {
        RecoveryOutcome::NothingBegun => "nothing had begun; its marker is removed".to_owned(),
        RecoveryOutcome::WasSealed => "it was sealed already; the ledger lists it now".to_owned(),
        RecoveryOutcome::Closed(status) => format!("closed as {}", status.word()),
        RecoveryOutcome::Failed(why) => format!("could not be closed: {why}"),
    }
}
