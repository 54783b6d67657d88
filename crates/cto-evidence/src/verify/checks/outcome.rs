//! The check of the operator's word that was said before the run was sealed.

use cto_schema::{
    EventType, JournalEvent, Moment, MutationMode, OperatorOutcome, OutcomeObservation, OutcomeProof, OutcomeStatement,
    Report, Status,
};

use super::documents::differing;
use super::proofs::proof_of;
use crate::outcome::read_signed;
use crate::verify::{Context, Finding, not_applicable, yes};

const NAME: &str = "operator-outcome.json";

/// What was observed of the operator's word is what was signed, about this run and no other.
pub(super) fn outcome(context: &Context<'_>) -> Finding {
    let (report, seen) = (context.report()?, context.observations()?);
    let proof: Option<OutcomeProof> = proof_of(context, NAME, "operator_outcome", |p: &OutcomeProof| {
        (&p.schema, &p.proof)
    })?;
    let excused = !seen.artifact_failures.is_empty() || !seen.secrets.is_empty();
    let owned = Some(MutationMode::OwnedNoncriticalRepo);
    match (&seen.outcome, &proof) {
        _ if excused && report.status != Status::Pass => {
            not_applicable("evidence is missing or redacted, and the verdict says so")
        }
        (None, None) if report.status == Status::Pass && report.mutation_mode == owned => {
            Err("an owned repository was changed, the run is a pass, and the operator's word is not in it".to_owned())
        }
        (None, None) if told(context)?.is_some() && seen.interrupted.is_none() => {
            Err("an event tells of an operator's word that nobody observed".to_owned())
        }
        (None, None) => not_applicable("nothing was said before the run was sealed"),
        (Some(_), None) if seen.interrupted.is_some() => not_applicable("interrupted before the word was written down"),
        (Some(_), None) => Err(format!("an operator's word was observed, and {NAME} is missing")),
        (None, Some(_)) if seen.interrupted.is_none() => {
            Err(format!("{NAME} is there, and no operator's word was observed"))
        }
        (said, Some(proof)) => sealed_in(context, said.as_ref(), proof),
    }
}

fn sealed_in(context: &Context<'_>, said: Option<&OutcomeObservation>, proof: &OutcomeProof) -> Finding {
    let (statement, checked) = read_signed(&proof.signed).map_err(|why| format!("{NAME}: {why}"))?;
    about_this_run(context, &statement)?;
    let report = context.report()?;
    let observed = |same: fn(&OutcomeObservation, &OutcomeStatement) -> bool| {
        said.is_none_or(|observed| same(observed, &statement))
    };
    let fingerprint = said.is_none_or(|observed| observed.signer_key == checked.fingerprint);
    differing(&[
        ("holds", proof.holds == (statement.outcome == OperatorOutcome::Accepted)),
        ("outcome", observed(|o, s| o.outcome == s.outcome)),
        ("actor", observed(|o, s| o.actor == s.actor)),
        ("reason", observed(|o, s| o.reason == s.reason)),
        ("signer_key", fingerprint),
        (
            "event operator.outcome",
            said.is_none() || event_says(context, &statement)?,
        ),
    ])
    .map_err(|error| format!("{NAME}: {error}"))?;
    said_in_time(report, &statement.decided_at).map_err(|error| format!("{NAME}: {error}"))?;
    let actor = cto_schema::escape(statement.actor.as_bytes(), 100);
    let word = statement.outcome.word();
    match context.signers() {
        Some(signers) => {
            // Its own time, and that of the installation, which told of it when it heard it.
            checked.belongs_to(&statement.actor, signers, statement.decided_at.unix_seconds())?;
            if let Some(heard) = heard_at(context)? {
                checked.belongs_to(&statement.actor, signers, heard)?;
            }
            yes(format!("{word}, signed by {actor}, an allowed signer"))
        }
        None => yes(format!(
            "{word}, signed as {actor} by key {}; whether that key is {actor}'s was not asked",
            checked.fingerprint
        )),
    }
}

/// Run, nonce, patch and commit are this run's, and there was no seal yet.
fn about_this_run(context: &Context<'_>, statement: &OutcomeStatement) -> Result<(), String> {
    let report = context.report()?;
    let applied = context.journal_events()?.rev().find_map(|event| match event {
        JournalEvent::Applied { target_commit } => Some(target_commit),
        _ => None,
    });
    let collected = context.journal_events()?.rev().find_map(|event| match event {
        JournalEvent::Collected { patch_digest, .. } => Some(patch_digest),
        _ => None,
    });
    let reported = report
        .governed
        .as_ref()
        .and_then(|governed| governed.target_commit.as_ref());
    let patch = statement.patch_digest.as_ref();
    let recovered = context.observations()?.interrupted.is_some();
    differing(&[
        ("run_id", statement.run_id == report.run_id),
        ("nonce", statement.nonce == super::chain::opened(context)?.nonce),
        (
            "patch_digest",
            patch.is_some() && patch == collected && patch == report.artifact_digests.get("patch.diff"),
        ),
        (
            "target_commit",
            applied.is_some() && statement.target_commit.as_ref() == applied && (recovered || reported == applied),
        ),
        ("attestation_digest: null", statement.attestation_digest.is_none()),
    ])
    .map_err(|error| format!("{NAME} is about another run: {error}"))
}

/// Nobody can speak about a run that has not begun; a key that has ended since cannot sign for an earlier day.
pub(in crate::verify) fn said_in_time(report: &Report, decided_at: &Moment) -> Result<(), String> {
    let started: Moment = report
        .run_started_at
        .parse()
        .map_err(|_| "run_started_at is no time".to_owned())?;
    if decided_at.unix_seconds() < started.unix_seconds() {
        return Err(format!("it was signed as of {decided_at}, before the run started"));
    }
    Ok(())
}

/// When the one event tells that the word came in, in seconds of the installation's clock.
fn heard_at(context: &Context<'_>) -> Result<Option<i64>, String> {
    let told = context
        .events()?
        .iter()
        .find(|(event, _)| event.kind == EventType::OperatorOutcome);
    told.map(|(event, _)| {
        let at: Result<Moment, _> = event.ts.parse();
        at.map(|at| at.unix_seconds())
            .map_err(|_| "the event operator.outcome has no time".to_owned())
    })
    .transpose()
}

/// The data of the one event that tells of the word.
fn told<'a>(context: &'a Context<'_>) -> Result<Option<&'a serde_json::Value>, String> {
    let mut told = context
        .events()?
        .iter()
        .filter(|(event, _)| event.kind == EventType::OperatorOutcome)
        .map(|(event, _)| &event.data);
    match (told.next(), told.next()) {
        (first, None) => Ok(first),
        (_, Some(_)) => Err("the operator's word is told more than once".to_owned()),
    }
}

fn event_says(context: &Context<'_>, statement: &OutcomeStatement) -> Result<bool, String> {
    let text = |data: &serde_json::Value, name: &str| data.get(name).and_then(|v| v.as_str()).map(str::to_owned);
    Ok(told(context)?.is_some_and(|data| {
        text(data, "outcome").as_deref() == Some(statement.outcome.word())
            && text(data, "actor").as_deref() == Some(&statement.actor)
            && text(data, "reason").as_deref() == Some(&statement.reason)
    }))
}
