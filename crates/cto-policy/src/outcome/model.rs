//! What the model gateway saw.

use cto_schema::{BlockerCode, ModelEnd, ModelObservation, ModelOutcome, ModelRefusal};

use super::Reasons;

/// Returns the blockers that the calls of a run amount to, whatever else happened; empty when they speak against
/// nothing.
pub fn model_blockers(model: &ModelObservation) -> Vec<BlockerCode> {
    let mut reasons = Reasons::default();
    judge(model, &mut reasons);
    reasons.0.into_keys().collect()
}

/// Adds what speaks against the run; tells whether it explains an engine's end.
pub(super) fn judge(model: &ModelObservation, reasons: &mut Reasons) -> bool {
    let mut found = Vec::new();
    if let Some(how) = &model.lost {
        found.push((
            BlockerCode::HarnessInterrupted,
            format!("the model gateway was lost: {how}"),
        ));
    }
    found.extend(
        model
            .unavailable
            .iter()
            .map(|end| (before_start(end.outcome), sentence(end))),
    );
    // An engine may recover from a failed call; from the last one it did not. A violation is told once.
    let last = model.last.iter().filter(|end| !model.violations.contains(end));
    let ends = model.violations.iter().chain(last);
    found.extend(ends.filter_map(|end| Some((failure(end.outcome)?, sentence(end)))));
    found.extend(refusals(model));
    // A host that is not admitted is no model that was asked for.
    let mut asked = model
        .refused
        .iter()
        .filter(|(reason, _)| **reason != ModelRefusal::HostNotAdmitted);
    if let Some((_, refused)) = asked.next().filter(|_| found.is_empty() && model.calls == 0) {
        let detail = format!("the gateway forwarded no call: {}", refused.named.join("; "));
        found.push((BlockerCode::ProviderUnavailable, detail));
    }
    let any = !found.is_empty();
    for (code, detail) in found {
        reasons.add(code, detail);
    }
    any
}

/// Adds what explains an engine without its last word: one that repeats its calls, and goes on to other ones, keeps to
/// itself that the provider failed. Tells whether something does.
pub(super) fn explain_silence(model: &ModelObservation, reasons: &mut Reasons) -> bool {
    let mut any = false;
    for (outcome, count) in &model.failures {
        let Some(code) = failure(*outcome) else { continue };
        any = true;
        let end = ModelEnd {
            outcome: *outcome,
            detail: format!("calls that failed before the engine's answer was missing: {count}"),
        };
        reasons.add(code, sentence(&end));
    }
    any
}

/// Refused calls that speak against the engine whatever it did afterwards.
fn refusals(model: &ModelObservation) -> Vec<(BlockerCode, String)> {
    let mut found = Vec::new();
    if let Some(named) = model.refused_for(ModelRefusal::ModelNotAdmitted) {
        let detail = format!("the engine asked for a model that is not admitted: {named}");
        found.push((BlockerCode::ModelNotAdmitted, detail));
    }
    if let Some(named) = model.refused_for(ModelRefusal::ProviderToolNotAdmitted) {
        let detail = format!("reach_other_host: through a tool that the provider runs: {named}");
        found.push((BlockerCode::ForbiddenAction, detail));
    }
    let refused = model.refused.contains_key(&ModelRefusal::BudgetExhausted);
    if refused || model.failures.contains_key(&ModelOutcome::BudgetExhausted) {
        let detail = "budget: the contract's budget for the model is used up".to_owned();
        found.push((BlockerCode::ResourceLimit, detail));
    }
    found
}

/// The blocker of a gateway that could not serve: another model served then is a provider without the admitted one. A
/// credential that came back is known to others, whenever that was.
fn before_start(outcome: ModelOutcome) -> BlockerCode {
    match failure(outcome) {
        None | Some(BlockerCode::ModelNotAdmitted) => BlockerCode::ProviderUnavailable,
        Some(code) => code,
    }
}

/// The blocker of a call that did not give the engine what it waited for.
fn failure(outcome: ModelOutcome) -> Option<BlockerCode> {
    use ModelOutcome as O;
    match outcome {
        // The budget has a sentence of its own; who goes away has not waited.
        O::Completed | O::EngineGone | O::BudgetExhausted => None,
        O::ModelMismatch => Some(BlockerCode::ModelNotAdmitted),
        O::CredentialEchoed => Some(BlockerCode::SecretDetected),
        O::ReasoningOnly => Some(BlockerCode::ProviderResponseShape),
        O::CredentialUnavailable => Some(BlockerCode::ProviderAuthUnavailable),
        O::NotConfigured => Some(BlockerCode::ProviderLocalConfigUnavailable),
        O::Unreachable
        | O::Unauthorized
        | O::NotFound
        | O::RateLimited
        | O::Rejected
        | O::UpstreamError
        | O::UnexpectedStatus
        | O::FirstByteTimeout
        | O::IdleTimeout
        | O::Cut
        | O::Malformed
        | O::TooLarge
        | O::TruncatedToolCall => Some(BlockerCode::ProviderUnavailable),
    }
}

fn sentence(end: &ModelEnd) -> String {
    use ModelOutcome as O;
    let what = match end.outcome {
        O::Completed => "the provider answered",
        O::ReasoningOnly => "the provider returned only reasoning",
        O::Unreachable => "the provider could not be reached",
        O::Unauthorized => "the provider does not accept the credential",
        O::NotFound => "the provider does not have the model",
        O::RateLimited => "the provider limits the rate",
        O::Rejected => "the provider rejected the request",
        O::UpstreamError => "the provider failed",
        O::UnexpectedStatus => "the provider's status is no answer",
        O::FirstByteTimeout => "the provider did not answer in time",
        O::IdleTimeout => "the provider fell silent in the middle of an answer",
        O::Cut => "the provider's answer was cut off",
        O::Malformed => "the provider's answer cannot be read",
        O::TooLarge => "the provider's answer is larger than allowed",
        O::ModelMismatch => "the provider served another model",
        O::TruncatedToolCall => "the provider sent a tool call whose arguments do not parse",
        O::CredentialEchoed => "the provider sent the credential back",
        O::EngineGone => "the engine went away",
        O::BudgetExhausted => "the budget is used up",
        O::CredentialUnavailable => "the credential cannot be had",
        O::NotConfigured => "the provider's endpoint is not configured",
    };
    if end.detail.is_empty() {
        what.to_owned()
    } else {
        format!("{what}: {}", end.detail)
    }
}
