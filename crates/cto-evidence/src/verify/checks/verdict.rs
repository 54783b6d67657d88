//! Checks of the verdict: decided again from the recorded facts by the functions that decided it.

use cto_policy::{Evidence, conclude, decide, failure_reason, status_of, undecided};
use cto_schema::{
    Blocker, BlockerCode, ClaimBasis, EventType, Facts, JournalEvent, RunLabel, Status, StatusContext, VerificationLine,
};
use serde_json::Value;

use super::documents::differing;
use crate::verify::{Context, Finding, not_applicable, yes};

/// The verdict as it follows from the bundle's facts.
struct Recomputed {
    blockers: Vec<Blocker>,
    context: StatusContext,
    status: Status,
}

fn recompute(context: &Context<'_>) -> Result<Recomputed, String> {
    // A run that ended before any gate was asked has no decision; it cannot be a pass for want of an engine.
    let none = undecided(None, &Facts::default());
    let evidence = Evidence {
        contract: context.contract()?,
        decision: context.decision()?.unwrap_or(&none),
        write_set: context.write_set()?,
        observations: context.observations()?,
    };
    let blockers = conclude(&evidence);
    let context = evidence.context();
    let status = status_of(&blockers, context);
    Ok(Recomputed {
        blockers,
        context,
        status,
    })
}

pub(in crate::verify) fn recomputed_status(context: &Context<'_>) -> Option<Status> {
    recompute(context).ok().map(|recomputed| recomputed.status)
}

/// True when this very version made the bundle, so that every word must be reproduced.
pub(super) fn same_version(context: &Context<'_>) -> Result<bool, String> {
    Ok(context.report()?.harness_version.split(['+', ' ']).next() == Some(env!("CARGO_PKG_VERSION")))
}

/// The eligibility decision follows from contract and facts.
pub(super) fn decision(context: &Context<'_>) -> Finding {
    let Some(decision) = context.decision()? else {
        return not_applicable("the run ended before it was decided");
    };
    let undecided = decision.allowed_mutation_mode.is_none()
        && decision.passed_gates.is_empty()
        && decision.selected_backend == "none";
    if undecided && !context.reached("decided")? && context.reached("recovery_intent")? {
        return yes("interrupted before the gates were asked, and nothing was admitted");
    }
    let Some(facts) = context.facts()? else {
        return Err("decision.json is there and the journal has no facts".to_owned());
    };
    let refusal = decision.gates.iter().find_map(|gate| {
        gate.refusal
            .as_ref()
            .filter(|_| gate.gate == "contract")
            .map(|refusal| refusal.detail.as_str())
    });
    let contract = match context.contract()? {
        Some(contract) => Ok(contract),
        None => Err(refusal.ok_or("the contract is missing and the decision does not say why")?),
    };
    let mut again = decide(contract, facts);
    if contract.is_ok_and(cto_schema::TaskContract::target_is_hidden) {
        // What was decided on had its path; check "contract" compares the digest.
        again.contract_digest = decision.contract_digest;
        again.decision_id.clone_from(&decision.decision_id);
    }
    if again == *decision {
        return yes(format!("{} gates asked again, the same answers", decision.gates.len()));
    }
    if same_version(context)? {
        return Err("the gates, asked again with the recorded facts, decide otherwise".to_owned());
    }
    // Another version may ask more gates; those that both know must agree.
    let known = |gate: &&cto_schema::GateOutcome| decision.required_gates.contains(&gate.gate);
    let codes = |gate: &cto_schema::GateOutcome| (gate.gate.clone(), gate.refusal.as_ref().map(|r| r.code));
    if again
        .gates
        .iter()
        .filter(known)
        .map(codes)
        .ne(decision.gates.iter().map(codes))
    {
        return Err("the gates, asked again with the recorded facts, decide otherwise".to_owned());
    }
    yes(format!(
        "{} gates of another version asked again, the same answers",
        decision.gates.len()
    ))
}

/// Blockers and status follow from decision, contract, write set and observations.
pub(super) fn verdict(context: &Context<'_>) -> Finding {
    let report = context.report()?;
    let again = recompute(context)?;
    for name in ["contract.json", "decision.json", "write-set.json"] {
        let known = report
            .blockers
            .iter()
            .any(|b| b.code == BlockerCode::ArtifactWriteFailure);
        if context.unwritten(name)? && known && report.status == Status::Fail {
            return not_applicable(format!("{name} could not be written, which alone makes the run fail"));
        }
    }
    let words = same_version(context)? && context.observations()?.secrets.is_empty();
    let same = if words {
        again.blockers == report.blockers
    } else {
        let key = |b: &Blocker| (b.code, b.event);
        again.blockers.iter().map(key).eq(report.blockers.iter().map(key))
    };
    if again.status != report.status || !same {
        let codes: Vec<String> = again.blockers.iter().map(|b| b.code.name()).collect();
        return Err(format!(
            "the recorded facts give '{}' ({}) and the report says '{}'",
            again.status.word(),
            if codes.is_empty() {
                "no blocker".to_owned()
            } else {
                codes.join(", ")
            },
            report.status.word()
        ));
    }
    if report.blockers.iter().any(|b| b.event != b.code.event(again.context)) {
        return Err("a blocker names another event than its own".to_owned());
    }
    let reason = failure_reason(&again.blockers, &report.backend, report.backend_exit_code);
    if reason != report.failure_reason {
        return Err("failure_reason does not follow from the blockers".to_owned());
    }
    yes(format!("recomputed: {}", again.status.word()))
}

/// Journal, report and last event say one verdict; the statement is compared by its own check.
pub(super) fn agreement(context: &Context<'_>) -> Finding {
    let report = context.report()?;
    let concluded = context.journal_events()?.rev().find_map(|event| match event {
        JournalEvent::Concluded { status, blockers } => Some((*status, blockers)),
        _ => None,
    });
    let (status, blockers) = concluded.ok_or("the journal has no verdict")?;
    let last = context.events()?.last().ok_or("there are no events")?;
    let told = last.0.data.get("status").and_then(|v| v.as_str());
    differing(&[
        ("journal status", status == report.status),
        ("journal blockers", *blockers == report.blockers),
        ("status of run.completed", told == Some(report.status.word())),
        (
            "statement status",
            context.statement()?.predicate.status == report.status,
        ),
    ])?;
    yes(format!(
        "'{}' in journal, events, report and statement",
        report.status.word()
    ))
}

/// The report repeats what was observed, no more and no less.
pub(super) fn observations(context: &Context<'_>) -> Finding {
    let (report, seen) = (context.report()?, context.observations()?);
    let engine = seen.engine.as_ref();
    let patched = seen.verification.as_ref().and_then(|v| v.run(RunLabel::Patched));
    let lines: Vec<VerificationLine> = patched
        .map(|run| run.commands.as_slice())
        .unwrap_or_default()
        .iter()
        .map(|command| VerificationLine {
            argv: command.argv.clone(),
            exit_code: command.exit_code,
            duration_ms: command.duration_ms,
            passed: command.passed,
        })
        .collect();
    let tests = match (patched, report.tests_passed) {
        (None, stated) => stated != Some(true),
        (Some(run), Some(true)) => run.passed(),
        (Some(_), _) => report.status != Status::Pass,
    };
    differing(&[
        (
            "egress",
            report.egress
                == context
                    .facts()?
                    .map(|facts| facts.admissions.model.egress.clone())
                    .unwrap_or_default(),
        ),
        (
            "case_process_started",
            report.case_process_started == engine.is_some_and(|e| e.started),
        ),
        (
            "backend_exit_code",
            report.backend_exit_code == engine.and_then(|e| e.exit_code),
        ),
        (
            "forbidden_actions_attempted",
            report.forbidden_actions_attempted == seen.forbidden_attempts(),
        ),
        ("verification", report.verification == lines),
        ("clean_room", report.clean_room == seen.verification),
        ("tests_passed", tests),
        (
            "enforcement",
            report.enforcement.as_ref() == context.enforcement()? || context.unwritten("enforcement.json")?,
        ),
        (
            "source_repository_mutated",
            report.source_repository_mutated.is_none_or(|mutated| {
                seen.target_after
                    .as_ref()
                    .is_some_and(|after| mutated != after.unchanged)
            }),
        ),
    ])?;
    yes("the report repeats what the journal observed")
}

/// Every attempt at a forbidden action is an event, and every such event is an attempt that was judged.
pub(super) fn attempts(context: &Context<'_>) -> Finding {
    let (report, seen, events) = (context.report()?, context.observations()?, context.events()?);
    let told: Vec<&Value> = events
        .iter()
        .filter(|(event, _)| event.kind == EventType::ForbiddenActionAttempted)
        .map(|(event, _)| &event.data)
        .collect();
    let cut = report.blockers.iter().any(|blocker| {
        matches!(
            blocker.code,
            BlockerCode::HarnessInterrupted | BlockerCode::ArtifactWriteFailure
        )
    });
    // A redacted event hides what it tells of.
    if cut || told.iter().any(|data| data.get("redacted").is_some()) {
        return not_applicable("not every event could be told");
    }
    let during = |data: &Value| data.get("during").is_some_and(|stage| stage == "verification");
    let engine = seen.engine.as_ref().map(|engine| engine.forbidden.as_slice());
    let room = seen.verification.as_ref();
    for (verifying, attempts) in [(false, engine), (true, room.map(|room| room.forbidden.as_slice()))] {
        let attempts = attempts.unwrap_or_default();
        let by_provider = |data: &Value| data.get("act").is_some_and(|act| act == "provider_tool");
        let mut told = told
            .iter()
            .filter(|data| during(data) == verifying && !by_provider(data));
        let untold = attempts
            .iter()
            .find(|attempt| !told.clone().any(|data| action_of(data) == attempt.action));
        if let Some(attempt) = untold {
            return Err(format!("the attempt '{}' has no event", attempt.action));
        }
        // What the baseline's own processes attempt is told and not held against the change.
        let habits = room.map(|room| room.baseline_habits.as_slice()).filter(|_| verifying);
        let judged = |data: &&Value| {
            let action = action_of(data);
            attempts.iter().any(|attempt| attempt.action == action)
                || habits.is_some_and(|habits| habits.iter().any(|habit| habit == action))
        };
        if let Some(data) = told.find(|data| !judged(data)) {
            return Err(format!("an event tells of '{}', which nobody judged", action_of(data)));
        }
    }
    yes(format!("{} events of attempts, each judged", told.len()))
}

fn action_of(data: &Value) -> &str {
    let text = |name| data.get(name).and_then(Value::as_str);
    match (text("action"), text("act")) {
        (Some(action), _) => action,
        (None, Some("connect")) => "reach_other_host",
        (None, _) => "hide_from_observation",
    }
}

/// Every claim says what it rests on, and what it rests on is there.
pub(super) fn claims(context: &Context<'_>) -> Finding {
    let (report, bundle) = (context.report()?, context.bundle);
    for claim in &report.claims {
        let name = &claim.claim;
        if name.is_empty() || claim.statement.is_empty() {
            return Err("a claim has no name or no statement".to_owned());
        }
        if claim.basis == ClaimBasis::Verified && claim.evidence.is_empty() {
            return Err(format!("claim '{name}' says verified and names no evidence"));
        }
        let gone = claim.evidence.iter().find(|artifact| {
            let file = artifact.split('#').next().unwrap_or_default();
            !bundle.files().contains_key(file) && !report.not_applicable.contains_key(file)
        });
        if let Some(artifact) = gone {
            return Err(format!("claim '{name}' rests on '{artifact}', which is not there"));
        }
    }
    if report.claims.is_empty() {
        return Err("the report claims nothing and says no basis".to_owned());
    }
    yes(format!("{} claims, each with its basis", report.claims.len()))
}

/// Nothing was activated or promoted.
pub(super) fn no_promotion(context: &Context<'_>) -> Finding {
    let report = context.report()?;
    differing(&[
        ("runtime_default_activation: false", !report.runtime_default_activation),
        (
            "core_promotion_status: not-promoted",
            report.core_promotion_status == "not-promoted",
        ),
    ])?;
    yes("no runtime default, no promotion")
}
