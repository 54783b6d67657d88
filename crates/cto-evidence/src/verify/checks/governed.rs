//! Checks of what a report says of approval and repository, and of the journal's record of the change.

use cto_policy::{approval_status, ends_in_a_repository, governed_report, undecided};
use cto_schema::{Facts, JournalEvent, TaskContract};

use super::documents::differing;
use crate::verify::{Context, Finding, not_applicable, yes};

/// Scope, approval and `governed` of the report follow from contract, facts, decision and observations.
pub(super) fn governed(context: &Context<'_>) -> Finding {
    let (report, seen, contract) = (context.report()?, context.observations()?, context.contract()?);
    if contract.is_none() && context.unwritten("contract.json")? {
        return not_applicable("contract.json could not be written, and the verdict says so");
    }
    let (no_facts, none) = (Facts::default(), undecided(None, &Facts::default()));
    let facts = context.facts()?.unwrap_or(&no_facts);
    let decision = context.decision()?.unwrap_or(&none);
    let again = governed_report(contract, facts, decision, seen, &report.run_id);
    let scope = contract.map_or("none", |contract| contract.mutation_mode.scope());
    let (stated, again) = (report.governed.as_ref(), again.as_ref());
    differing(&[
        ("allowed_mutation_scope", report.allowed_mutation_scope == scope),
        (
            "approval_status",
            report.approval_status == approval_status(contract, seen, &report.blockers),
        ),
        ("governed", stated.is_some() == again.is_some()),
        (
            "governed target_commit",
            stated.map(|g| &g.target_commit) == again.map(|g| &g.target_commit),
        ),
        (
            "governed operator_outcome",
            stated.map(|g| g.operator_outcome) == again.map(|g| g.operator_outcome),
        ),
        ("field of governed", stated == again),
    ])?;
    put_in(context, contract)?;
    match again {
        None => yes(format!("the scope is: {scope}")),
        Some(governed) => yes(format!(
            "recomputed: commit {}, outcome {}",
            governed.target_commit.as_deref().unwrap_or("none"),
            governed.operator_outcome.word()
        )),
    }
}

/// The journal's intent and completion of the change are those of what was observed.
fn put_in(context: &Context<'_>, contract: Option<&TaskContract>) -> Result<(), String> {
    let seen = context.observations()?;
    let (mut intent, mut done) = (None, None);
    for event in context.journal_events()? {
        match event {
            JournalEvent::ApplyIntent { target_commit, branch } => intent = Some((target_commit, branch)),
            JournalEvent::Applied { target_commit } => done = Some(target_commit),
            _ => {}
        }
    }
    let applied = seen.applied.as_ref();
    let may = contract.is_some_and(|contract| ends_in_a_repository(contract.mutation_mode));
    if !may && (applied.is_some() || intent.is_some() || seen.outcome.is_some()) {
        return Err("a repository was changed by a run whose mode changes none".to_owned());
    }
    let commit = applied.and_then(|applied| applied.target_commit.as_ref());
    // Recovery knows the change from the record of the change itself, which may be further than the journal.
    let recovered = seen.interrupted.is_some();
    let done_agrees = if recovered {
        done.is_none() || commit.is_none() || done == commit
    } else {
        done == commit
    };
    differing(&[
        (
            "journal apply_intent target_commit",
            commit.is_none_or(|commit| intent.map_or(recovered, |(intended, _)| intended == commit)),
        ),
        (
            "journal apply_intent branch",
            // A change that was refused before the intent has a branch and no commit.
            applied.is_none_or(|applied| {
                let refused = applied.target_commit.is_none();
                recovered || intent.map_or(refused, |(_, branch)| *branch == applied.branch)
            }),
        ),
        ("journal applied", done_agrees),
        ("outcome of no commit", seen.outcome.is_none() || commit.is_some()),
    ])
}
