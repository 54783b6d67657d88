//! `cto outcome` and `cto rollback`: what became of a change, and taking it back.

use std::path::Path;

use cto_evidence::{Keys, OutcomeError, document_path, write_outcome};
use cto_runner::{
    DocumentWordError, Harness, OutcomeRefused, RollbackError, Rolled, outcome_statement, rollback as take_back,
    say_about_document, say_outcome,
};
use cto_schema::{DocumentKind, ExitClass, OperatorOutcome, RunId};
use serde_json::json;

use super::approvals::{signing, unsaid};
use crate::cli::Global;
use crate::cli_governed::{OutcomeArgs, OutcomeChoice};
use crate::error::{CommandError, chain};
use crate::find::own_bundle_of;
use crate::installation;
use crate::output::{Exit, Output};

pub(super) fn outcome(global: &Global, args: &OutcomeArgs, output: &Output) -> Result<Exit, CommandError> {
    let harness = installation::open_without_git(global)?;
    let outcome = match args.outcome {
        OutcomeChoice::Accept => OperatorOutcome::Accepted,
        OutcomeChoice::Reject => OperatorOutcome::Rejected,
    };
    if let Some(comparison) = comparison_of(&harness, &args.run)? {
        return about_comparison(&harness, &comparison, outcome, args, output);
    }
    let run_id = run_id(&own_bundle_of(&harness.home, &args.run)?)?;
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

/// Returns the comparison that is meant; `None` when a run is.
fn comparison_of(harness: &Harness, typed: &str) -> Result<Option<RunId>, CommandError> {
    let found = document_path(&harness.home, typed);
    let Some((kind, id, _)) = found.first() else {
        return Ok(None);
    };
    if harness.home.runs().join(typed).is_dir() || own_bundle_of(&harness.home, typed).is_ok() {
        return Ok(None);
    }
    if found.len() > 1 {
        let shown = cto_schema::escape(typed.as_bytes(), 80);
        return Err(CommandError::usage(format!(
            "'{shown}' names more than one document; type more of the id"
        )));
    }
    if *kind != DocumentKind::Comparison {
        return Err(
            CommandError::refused(format!("{id} is a {}, which has no outcome", kind.word()))
                .hint("an operator accepts runs on owned repositories, and comparisons"),
        );
    }
    Ok(Some(id.clone()))
}

fn about_comparison(
    harness: &Harness,
    id: &RunId,
    outcome: OperatorOutcome,
    args: &OutcomeArgs,
    output: &Output,
) -> Result<Exit, CommandError> {
    let signing = signing(harness, &args.signer)?;
    let actor = args.signer.actor.as_deref();
    let (said, path) =
        say_about_document(harness, id, outcome, &args.reason, &signing, actor).map_err(|error| match &error {
            DocumentWordError::Say(error) => unsaid(harness, error),
            DocumentWordError::Outcome(OutcomeError::Said { .. }) => {
                CommandError::refused(chain(&error)).hint(format!("cto verify {id} shows what was said"))
            }
            DocumentWordError::Refused { .. } => {
                CommandError::refused(chain(&error)).hint("cto compare makes a new one over the bundles of now")
            }
            DocumentWordError::Read(_) | DocumentWordError::Outcome(_) => CommandError::failed(&error),
        })?;
    if output.json() {
        output.document(&json!({ "outcome": said.statement, "path": path }));
        return Ok(Exit(ExitClass::Pass));
    }
    let actor = cto_schema::escape(said.statement.actor.as_bytes(), 200);
    output.note(&match outcome {
        OperatorOutcome::Rejected => format!("{actor} rejected comparison {id}; its candidate is not eligible"),
        OperatorOutcome::Accepted | OperatorOutcome::Pending => format!(
            "{actor} accepted comparison {id}: its candidate is eligible, and still not the default\nnext: cto verify {id}"
        ),
    });
    Ok(Exit(ExitClass::Pass))
}

pub(super) fn rollback(global: &Global, run: &str, output: &Output) -> Result<Exit, CommandError> {
    let harness = installation::open(global)?;
    super::recover::recover_quietly(&harness, output)?;
    let run_id = run_id(&own_bundle_of(&harness.home, run)?)?;
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
