//! Checks of the streams: journal, nonce, event chain, order of events, trace.

use cto_policy::{RunState, missing_events};
use cto_schema::{BlockerCode, EventType, JournalEvent, Sha256Digest, Status};

use super::documents::differing;
use crate::verify::{Context, Finding, not_applicable, yes};

/// The fields of the journal's first record.
pub(super) struct Opened<'a> {
    pub(super) schema: &'a str,
    pub(super) run_id: &'a str,
    pub(super) nonce: &'a str,
    pub(super) harness_version: &'a str,
    pub(super) ledger_head: &'a Option<Sha256Digest>,
    pub(super) contract_digest: &'a Option<Sha256Digest>,
    pub(super) backend: &'a str,
    pub(super) case_id: &'a str,
}

pub(super) fn opened<'a>(context: &'a Context<'_>) -> Result<Opened<'a>, String> {
    match context.journal_events()?.next() {
        Some(JournalEvent::Opened {
            schema,
            run_id,
            nonce,
            harness_version,
            ledger_head,
            contract_digest,
            backend,
            case_id,
            boot_id: _,
        }) => Ok(Opened {
            schema,
            run_id,
            nonce,
            harness_version,
            ledger_head,
            contract_digest,
            backend,
            case_id,
        }),
        _ => Err("journal.jsonl does not start with 'opened'".to_owned()),
    }
}

/// The journal is in sequence, its lifecycle is legal, and it ends with the verdict.
pub(super) fn journal(context: &Context<'_>) -> Finding {
    let records = context.journal()?;
    let mut last_ns = 0;
    for (index, (record, _)) in records.iter().enumerate() {
        if usize::try_from(record.seq) != Ok(index) {
            return Err(format!("record {index} says that it is number {}", record.seq));
        }
        last_ns = not_before(&record.mono_ns, last_ns).map_err(|e| format!("record {index}: {e}"))?;
    }
    let state = RunState::replay(context.journal_events()?).map_err(|error| error.to_string())?;
    if state != RunState::Concluded {
        return Err(format!("it ends in state {state:?} without a verdict"));
    }
    let (opened, report) = (opened(context)?, context.report()?);
    differing(&[
        ("harness_version", opened.harness_version == report.harness_version),
        ("backend", opened.backend == report.backend),
        ("case_id", opened.case_id == report.case_id),
    ])?;
    yes(format!(
        "{} records, a legal life that ends with a verdict",
        records.len()
    ))
}

/// A journal may stop observing at any point, but only one that went all the way can be a pass.
pub(super) fn journey(context: &Context<'_>) -> Finding {
    if context.report()?.status != Status::Pass {
        return not_applicable("only a pass has to have gone all the way");
    }
    let steps = [
        "facts_gathered",
        "decided",
        "workspace_intent",
        "engine_intent",
        "engine_exited",
        "collected",
        "verify_intent",
    ];
    for step in steps {
        if !context.reached(step)? {
            return Err(format!("a pass whose journal has no record '{step}'"));
        }
    }
    if context.reached("recovery_intent")? {
        return Err("a pass whose journal tells of an interruption".to_owned());
    }
    yes("every step of a pass is on record, without an interruption")
}

/// Reads a monotonic offset that may not go back.
pub(super) fn not_before(text: &str, last_ns: u64) -> Result<u64, String> {
    let ns = nanoseconds(text)?;
    if ns < last_ns {
        Err("its monotonic time goes back".to_owned())
    } else {
        Ok(ns)
    }
}

/// Reads nanoseconds since the run's start: decimal, without sign or leading zeros.
pub(super) fn nanoseconds(text: &str) -> Result<u64, String> {
    let canonical = text == "0" || (!text.starts_with('0') && !text.starts_with('+'));
    text.parse()
        .ok()
        .filter(|_| canonical)
        .ok_or_else(|| format!("'{text:.40}' is not a decimal number of nanoseconds"))
}

/// The journal's digests are those of the files.
pub(super) fn journal_digests(context: &Context<'_>) -> Finding {
    let (bundle, report) = (context.bundle, context.report()?);
    let mut compared = 0;
    let mut is = |name: &str, digest: &Sha256Digest| {
        compared += 1;
        if bundle.digest(name) == Some(*digest) {
            Ok(())
        } else {
            Err(format!("{name} is not the file that the journal recorded"))
        }
    };
    for event in context.journal_events()? {
        match event {
            JournalEvent::Decided {
                decision_digest,
                admitted,
            } => {
                is("decision.json", decision_digest)?;
                let refused = context
                    .decision()?
                    .is_none_or(|decision| decision.gates.iter().any(|gate| gate.refusal.is_some()));
                if *admitted == refused {
                    return Err("the journal admits what decision.json refuses, or the reverse".to_owned());
                }
            }
            JournalEvent::EngineReady { enforcement_digest } => {
                is("enforcement.json", enforcement_digest)?;
            }
            JournalEvent::Collected {
                write_set_digest,
                patch_digest,
            } => {
                is("write-set.json", write_set_digest)?;
                is("patch.diff", patch_digest)?;
            }
            JournalEvent::Verified { test_log_digest } => is("test.log", test_log_digest)?,
            JournalEvent::WorkspaceIntent {
                commit,
                tree,
                workspace: _,
            } => differing(&[
                ("baseline_commit", report.baseline_commit.as_deref() == Some(commit)),
                ("baseline_tree", report.baseline_tree.as_deref() == Some(tree)),
            ])?,
            JournalEvent::Opened { .. }
            | JournalEvent::FactsGathered { .. }
            | JournalEvent::ApprovalIntent { .. }
            | JournalEvent::EngineIntent { .. }
            | JournalEvent::EngineExited { .. }
            | JournalEvent::CollectIntent
            | JournalEvent::VerifyIntent
            | JournalEvent::Observed { .. }
            | JournalEvent::Concluded { .. }
            | JournalEvent::RecoveryIntent { .. } => {}
        }
    }
    yes(format!("{compared} recorded digests agree"))
}

fn nonce_bytes(context: &Context<'_>) -> Result<Vec<u8>, String> {
    data_encoding::HEXLOWER
        .decode(opened(context)?.nonce.as_bytes())
        .ok()
        .filter(|bytes| bytes.len() == 32)
        .ok_or_else(|| "the journal's nonce is not 64 lower-case hex digits".to_owned())
}

/// One nonce: journal, first event, chain root, report and statement.
pub(super) fn nonce(context: &Context<'_>) -> Finding {
    let bytes = nonce_bytes(context)?;
    let nonce = opened(context)?.nonce;
    let first = context.events()?.first().ok_or("there are no events")?;
    differing(&[
        ("report.json", context.report()?.freshness.nonce == nonce),
        ("statement", context.statement()?.predicate.nonce == nonce),
        (
            "first event",
            first.0.data.get("nonce").and_then(|v| v.as_str()) == Some(nonce),
        ),
        ("root of the event chain", first.0.prev == Sha256Digest::of(&bytes)),
    ])?;
    yes("the same in journal, first event, chain root, report and statement")
}

/// Each event carries the digest of the line before; the head is the one that was signed.
pub(super) fn event_chain(context: &Context<'_>) -> Finding {
    let events = context.events()?;
    let mut prev = Sha256Digest::of(&nonce_bytes(context)?);
    let mut last_ns = 0;
    for (index, (event, digest)) in events.iter().enumerate() {
        if usize::try_from(event.seq) != Ok(index) {
            return Err(format!("event {index} says that it is number {}", event.seq));
        }
        if event.prev != prev {
            return Err(format!("event {index} does not continue the one before it"));
        }
        if !event.data.is_object() {
            return Err(format!("the data of event {index} is not an object"));
        }
        last_ns = not_before(&event.mono_ns, last_ns).map_err(|e| format!("event {index}: {e}"))?;
        prev = *digest;
    }
    differing(&[
        (
            "report.json event_chain_head",
            context.report()?.freshness.event_chain_head == prev,
        ),
        (
            "statement event_chain_head",
            context.statement()?.predicate.event_chain_head == prev,
        ),
    ])?;
    yes(format!("{} events in one chain", events.len()))
}

/// Required events are there, in order, and tell of every blocker.
pub(super) fn event_order(context: &Context<'_>) -> Finding {
    let report = context.report()?;
    let events = context.events()?;
    let kinds: Vec<EventType> = events.iter().map(|(event, _)| event.kind).collect();
    let count = |kind| kinds.iter().filter(|k| **k == kind).count();
    // A recovery repeats the verdict's event: what an interrupted run said before its seal was not yet a verdict.
    let recoveries = context
        .journal_events()?
        .filter(|event| matches!(event, JournalEvent::RecoveryIntent { .. }))
        .count();
    if kinds.first() != Some(&EventType::RunStarted)
        || kinds.last() != Some(&EventType::RunCompleted)
        || count(EventType::RunStarted) != 1
        || count(EventType::RunCompleted) > 1 + recoveries
    {
        return Err("the stream does not start with one run.started and end with one run.completed".to_owned());
    }
    let approval = context.contract()?.is_some_and(cto_policy::needs_approval);
    let names: Vec<String> = kinds.iter().map(|kind| kind.name()).collect();
    let missing = missing_events(&names, approval);
    if report.status == Status::Pass || (report.required_events_passed && admitted(context)?) {
        let observed = missing_events(&context.observations()?.events, approval);
        if let Some(name) = missing.iter().chain(&observed).next() {
            return Err(format!("required event {name} is missing"));
        }
    }
    if report.status == Status::Pass && !report.required_events_passed {
        return Err("required_events_passed is false in a pass".to_owned());
    }
    // An interruption is closed as it was found: what it kept from being told stays untold.
    let cut = report.blockers.iter().any(|blocker| {
        matches!(
            blocker.code,
            BlockerCode::HarnessInterrupted | BlockerCode::ArtifactWriteFailure
        )
    });
    let untold = report.blockers.iter().find(|blocker| !kinds.contains(&blocker.event));
    if let Some(blocker) = untold.filter(|_| !cut) {
        return Err(format!(
            "blocker {} has no event {}",
            blocker.code.name(),
            blocker.event
        ));
    }
    for (event, _) in events.iter().filter(|(e, _)| e.kind == EventType::BackendGateBlocked) {
        if event.data.get("case_executed") != Some(&serde_json::Value::Bool(false)) {
            return Err("backend.gate.blocked does not say case_executed: false".to_owned());
        }
    }
    yes(format!("{} events, each required one in order", events.len()))
}

fn admitted(context: &Context<'_>) -> Result<bool, String> {
    Ok(context
        .journal_events()?
        .any(|e| matches!(e, JournalEvent::Decided { admitted: true, .. })))
}

/// Every span has a name and ends after it starts.
pub(super) fn trace(context: &Context<'_>) -> Finding {
    let Some(spans) = context.spans()? else {
        return not_applicable("the run has no trace.jsonl");
    };
    for (index, (span, _)) in spans.iter().enumerate() {
        let start = nanoseconds(&span.start_ns).map_err(|e| format!("span {index}: {e}"))?;
        not_before(&span.end_ns, start).map_err(|e| format!("span {index}: {e}"))?;
        if span.name.is_empty() {
            return Err(format!("span {index} has no name"));
        }
    }
    yes(format!("{} spans", spans.len()))
}
