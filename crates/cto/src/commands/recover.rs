//! `cto recover`: close what a killed cto left.

use cto_evidence::sweep_imports;
use cto_runner::{Harness, RecoveredApply, Recovery, RecoveryOutcome, recover as recover_all};
use cto_schema::ExitClass;
use serde_json::json;

use crate::cli::Global;
use crate::error::CommandError;
use crate::installation;
use crate::output::{Exit, Output};

pub(super) fn recover(global: &Global, output: &Output) -> Result<Exit, CommandError> {
    let harness = installation::open(global)?;
    let recovered = recover_all(&harness).map_err(|error| CommandError::failed(&error))?;
    let imports = sweep_imports(&harness.home).map_err(|error| CommandError::failed(&error))?;
    if output.json() {
        let runs: Vec<_> = recovered
            .runs
            .iter()
            .map(|r| json!({ "run_id": r.run_id, "outcome": words(&r.outcome) }))
            .collect();
        let applies: Vec<_> = recovered
            .applies
            .iter()
            .map(|a| json!({ "run_id": a.run_id, "target": a.target, "outcome": apply_words(&a.outcome) }))
            .collect();
        output.document(&json!({ "recovered": runs, "applies": applies, "imports_removed": imports }));
    } else if recovered.is_empty() && imports > 0 {
        output.print(&imports_line(imports));
    } else if recovered.is_empty() {
        output.print("nothing to recover: every run is sealed\n");
    } else {
        let lines: String = lines(&recovered).iter().map(|line| format!("{line}\n")).collect();
        output.print(&lines);
        if imports > 0 {
            output.print(&imports_line(imports));
        }
    }
    let failed = recovered
        .runs
        .iter()
        .any(|r| matches!(r.outcome, RecoveryOutcome::Failed(_)));
    let unfinished = recovered
        .applies
        .iter()
        .any(|a| matches!(a.outcome, RecoveredApply::Unfinished { .. }));
    Ok(Exit(if failed || unfinished {
        ExitClass::Internal
    } else {
        ExitClass::Pass
    }))
}

/// Recovers before another command does its work; says what it did on standard error.
pub(super) fn recover_quietly(harness: &Harness, output: &Output) -> Result<(), CommandError> {
    let recovered = recover_all(harness).map_err(|error| CommandError::failed(&error))?;
    for line in lines(&recovered) {
        output.note(&format!("recovered {line}"));
    }
    let imports = sweep_imports(&harness.home).map_err(|error| CommandError::failed(&error))?;
    if imports > 0 {
        output.note(imports_line(imports).trim_end());
    }
    Ok(())
}

fn imports_line(count: u64) -> String {
    format!("removed what {count} interrupted imports left; import them again\n")
}

fn lines(recovered: &Recovery) -> Vec<String> {
    let applies = recovered.applies.iter().map(|apply| {
        let target = apply.target.as_deref().map(|path| path.as_os_str().as_encoded_bytes());
        let shown = cto_schema::escape(target.unwrap_or(b"an unknown repository"), 400);
        format!("the change in {shown}: {}", apply_words(&apply.outcome))
    });
    let runs = recovered
        .runs
        .iter()
        .map(|run| format!("unfinished run {}: {}", run.run_id, words(&run.outcome)));
    applies.chain(runs).collect()
}

fn apply_words(outcome: &RecoveredApply) -> String {
    match outcome {
        RecoveredApply::Committed { target_commit } => format!("finished; it has the one commit {target_commit}"),
        RecoveredApply::RolledBack => "undone; it is what it was".to_owned(),
        RecoveredApply::Abandoned { seen } => format!("left alone, because the repository has moved on: {seen}"),
        RecoveredApply::Unfinished { why } => format!("still unfinished: {why}"),
    }
}

fn words(outcome: &RecoveryOutcome) -> String {
    match outcome {
        RecoveryOutcome::NothingBegun => "nothing had begun; its marker is removed".to_owned(),
        RecoveryOutcome::WasSealed => "it was sealed already; the ledger lists it now".to_owned(),
        RecoveryOutcome::Closed(status) => format!("closed as {}", status.word()),
        RecoveryOutcome::Failed(why) => format!("could not be closed: {why}"),
    }
}
