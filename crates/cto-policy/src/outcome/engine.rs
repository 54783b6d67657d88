//! What the engine's end says.

use cto_schema::{BlockerCode, EndedBy, EngineObservation};

use super::Reasons;

/// `model_failed`: the engine's model did not answer as admitted, which explains how the engine ended.
pub(super) fn judge(engine: &EngineObservation, model_failed: bool, reasons: &mut Reasons) {
    if let Some(error) = &engine.start_error {
        reasons.add(BlockerCode::ProviderUnavailable, error.clone());
    }
    for attempt in &engine.forbidden {
        reasons.add(
            BlockerCode::ForbiddenAction,
            format!("{}: {}", attempt.action, attempt.detail),
        );
    }
    for hit in &engine.limits_hit {
        reasons.add(BlockerCode::ResourceLimit, format!("{}: {}", hit.limit, hit.detail));
    }
    if let Some(text) = &engine.stream.reviewer_rejection {
        reasons.add(BlockerCode::ReviewerRejected, text.clone());
    }
    // Without an answer of its model an agent has no envelope to write.
    if let Some(text) = engine.stream.protocol_error.as_ref().filter(|_| !model_failed) {
        reasons.add(BlockerCode::AgentProtocol, text.clone());
    }
    match engine.ended_by {
        EndedBy::Timeout => reasons.add(BlockerCode::Timeout, "the engine exceeded its wall-clock limit"),
        EndedBy::IdleTimeout => reasons.add(
            BlockerCode::Timeout,
            "the engine was silent for longer than its idle limit",
        ),
        // The operator's stop is on record by itself; the others carry their own reasons.
        EndedBy::Cancelled | EndedBy::ResourceLimit | EndedBy::GatewayLost => {}
        // It had come to its end and only lingered: what it said then holds.
        EndedBy::Lifecycle => {
            let said = engine
                .stream
                .failure
                .as_ref()
                .filter(|_| engine.stream.final_event_seen);
            if let Some(failure) = said.filter(|_| !model_failed && !explains_its_end(reasons)) {
                reasons.add(BlockerCode::EngineFailed, failure.clone());
            }
        }
        EndedBy::Itself => judge_own_end(engine, model_failed, reasons),
    }
}

/// True when an engine ended without its last word, and without a complaint of its own that says why.
pub(super) fn fell_silent(engine: &EngineObservation) -> bool {
    let stream = &engine.stream;
    let stopped = engine.ended_by == EndedBy::Itself
        && engine.exit_code == Some(0)
        && stream.final_event.is_some()
        && !stream.final_event_seen
        && stream.failure.is_none();
    stream.protocol_error.is_some() || stopped
}

/// An engine that ended by itself answers for its exit, its stream and what it left running.
fn judge_own_end(engine: &EngineObservation, model_failed: bool, reasons: &mut Reasons) {
    if !engine.survivors.is_empty() {
        let detail = format!(
            "still running after the engine had ended: {}",
            engine.survivors.join(", ")
        );
        reasons.add(BlockerCode::SurvivingProcess, detail);
    }
    if !engine.started || model_failed || explains_its_end(reasons) {
        return;
    }
    let stream = &engine.stream;
    if let Some(known) = &stream.provider_failure {
        reasons.add(known.code, known.detail.clone());
        return;
    }
    if let Some(failure) = &stream.failure {
        reasons.add(BlockerCode::EngineFailed, failure.clone());
    } else if let Some(code) = engine.exit_code.filter(|code| *code != 0) {
        reasons.add(BlockerCode::EngineFailed, format!("exit code {code}"));
    } else if let Some(signal) = engine.signal {
        reasons.add(BlockerCode::EngineFailed, format!("ended by signal {signal}"));
    } else if engine.exit_code.is_none() {
        // Neither code nor signal: nobody saw how it ended, which is no success.
        reasons.add(BlockerCode::EngineFailed, "how the engine ended was not seen");
    } else if let Some(name) = stream.final_event.as_ref().filter(|_| !stream.final_event_seen) {
        reasons.add(
            BlockerCode::MissingRequiredEvent,
            format!("the engine's final event '{name}' is missing"),
        );
    }
}

/// True when a non-zero exit or a stream that stops early is only a consequence.
fn explains_its_end(reasons: &Reasons) -> bool {
    use BlockerCode as C;
    [
        C::ProviderUnavailable,
        C::ResourceLimit,
        C::ReviewerRejected,
        C::AgentProtocol,
        C::ForbiddenAction,
        C::Cancelled,
        C::HarnessInterrupted,
    ]
    .into_iter()
    .any(|code| reasons.has(code))
}
