//! `cto outcome` and `cto rollback`: what became of a change, and taking it back.

use std::path::Path;

use cto_evidence::{Keys, OutcomeError, write_outcome};
use cto_runner::{OutcomeRefused, RollbackError, Rolled, outcome_statement, rollback as take_back, say_outcome};
use cto_schema::{ExitClass, OperatorOutcome, RunId};
use serde_json::json;

use super::approvals::{signing, unsaid};
use crate::cli::Global;
use crate::cli_governed::{OutcomeArgs, OutcomeChoice};
use crate::error::{CommandError, chain};
use crate::find::bundle_of;
use crate::installation;
use crate::output::{Exit, Output};

pub(super) fn outcome(global: &Global, args: &OutcomeArgs, output: &Output) -> Result<Exit, CommandError> {
    let harness = installation::open_without_git(global)?;
    let run_id = run_id(&bundle_of(&harness.home, &args.run)?)?;
    let outcome = match args.outcome {
        OutcomeChoice::Accept => OperatorOutcome::Accepted,
        OutcomeChoice::Reject => OperatorOutcome::Rejected,
    };
    let about = outcome_statement(&harness, &run_id, outcome, &args.reason).map_err(|error| {
        let refused = CommandError::refused(chain(&error));
        match &error {
            OutcomeRefused::Nothing { .. } => {
                refused.hint("only a run that put a commit into an owned repository has an outcome")
            }
            OutcomeRefused::NotYet { .. } => refused.hint("if no run goes on, this brings it to its end: cto recover"),
            OutcomeRefused::TakenBack { .. } => refused.hint(format!("cto verify {run_id} says by which commit")),
            OutcomeRefused::Unreadable { .. } => refused,
        }
    })?;
    let signing = signing(&harness, &args.signer)?;
    let said = say_outcome(&harness, about, &signing, args.signer.actor.as_deref());
    let said = said.map_err(|error| unsaid(&harness, &error))?;
    let own_key = Keys::open(&harness.home)
        .and_then(|keys| keys.ensure_signing_key())
        .map_err(|error| CommandError::failed(&error))?;
    let path = write_outcome(&harness.home, &run_id, &said.signed, &own_key).map_err(|error| match &error {
        OutcomeError::Said { .. } => {
            CommandError::refused(chain(&error)).hint(format!("cto verify {run_id} shows what was said"))
        }
        _ => CommandError::failed(&error),
    })?;
    if output.json() {
        output.document(&json!({ "outcome": said.statement, "path": path }));
        return Ok(Exit(ExitClass::Pass));
    }
    let actor = cto_schema::escape(said.statement.actor.as_bytes(), 200);
    match outcome {
        OperatorOutcome::Rejected => output.note(&format!(
            "{actor} rejected run {run_id}; the target still has the commit\nnext: cto rollback {run_id}"
        )),
        OperatorOutcome::Accepted | OperatorOutcome::Pending => output.note(&format!(
            "{actor} accepted run {run_id}\nnext: cto verify {run_id} shows its effective status"
        )),
    }
    Ok(Exit(ExitClass::Pass))
}

pub(super) fn rollback(global: &Global, run: &str, output: &Output) -> Result<Exit, CommandError> {
    let harness = installation::open(global)?;
    super::recover::recover_quietly(&harness, output)?;
    let run_id = run_id(&bundle_of(&harness.home, run)?)?;
    let rolled: Rolled = take_back(&harness, &run_id).map_err(|error| match &error {
        RollbackError::Refused(_)
        | RollbackError::Target(_)
        | RollbackError::NothingThere { .. }
        | RollbackError::Before { .. } => CommandError::refused(chain(&error)),
        _ => CommandError::failed(&error),
    })?;
    if output.json() {
        output.document(&json!({
            "run_id": run_id, "reverted": rolled.reverted, "commit": rolled.commit, "branch": rolled.branch,
        }));
    } else {
        output.note(&format!(
            "took commit {} back: {} is at {}, which has the tree of before",
            rolled.reverted, rolled.branch, rolled.commit
        ));
    }
    Ok(Exit(ExitClass::Pass))
}

fn run_id(bundle: &Path) -> Result<RunId, CommandError> {
    let name = bundle.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.parse()
        .map_err(|_| CommandError::usage("that is no run of this installation"))
}
