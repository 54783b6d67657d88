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
    // An engine may recover from a failed call; from the last one it did not.
    let last = model.last.as_ref().filter(|end| failed(end.outcome));
    let violated = |end: &&ModelEnd| !model.violations.contains(end);
    // Before an engine was started another model served is a provider that does not have the admitted one.
    let unavailable = model.unavailable.iter().map(|end| {
        let answered = matches!(
            end.outcome,
            ModelOutcome::ModelMismatch | ModelOutcome::CredentialEchoed
        );
        let code = if answered {
            BlockerCode::ProviderUnavailable
        } else {
            code(end.outcome)
        };
        (code, sentence(end))
    });
    found.extend(unavailable);
    let ends = model.violations.iter();
    found.extend(
        ends.chain(last.filter(violated))
            .map(|end| (code(end.outcome), sentence(end))),
    );
    found.extend(refusals(model));
    // A host that is not admitted is no model that was asked for.
    let asked = model
        .refused
        .keys()
        .any(|reason| *reason != ModelRefusal::HostNotAdmitted);
    if found.is_empty() && model.calls == 0 && asked {
        let detail = format!("the gateway forwarded no call: {}", model.refused_details.join("; "));
        found.push((BlockerCode::ProviderUnavailable, detail));
    }
    let any = !found.is_empty();
    for (code, detail) in found {
        reasons.add(code, detail);
    }
    any
}

/// Adds what explains an answer without its envelope: an engine that repeats its calls, and goes on to other ones, keeps
/// to itself that the provider failed. Tells whether something does.
pub(super) fn explain_silence(model: &ModelObservation, reasons: &mut Reasons) -> bool {
    let failures = model.failures.iter().filter(|(outcome, _)| failed(**outcome));
    let before = reasons.0.len();
    for (outcome, count) in failures {
        let detail = format!("calls that failed before the engine's answer was missing: {count}");
        reasons.add(
            code(*outcome),
            sentence(&ModelEnd {
                outcome: *outcome,
                detail,
            }),
        );
    }
    reasons.0.len() > before
}

/// Refused calls that speak against the engine whatever it did afterwards.
fn refusals(model: &ModelObservation) -> Vec<(BlockerCode, String)> {
    let refused = |reason| model.refused.contains_key(&reason);
    let details = model.refused_details.join("; ");
    let mut found = Vec::new();
    if refused(ModelRefusal::ModelNotAdmitted) {
        let detail = format!("the engine asked for a model that is not admitted: {details}");
        found.push((BlockerCode::ModelNotAdmitted, detail));
    }
    if refused(ModelRefusal::ProviderToolNotAdmitted) {
        let detail = format!("reach_other_host: through a tool that the provider runs: {details}");
        found.push((BlockerCode::ForbiddenAction, detail));
    }
    if refused(ModelRefusal::BudgetExhausted) || model.failures.contains_key(&ModelOutcome::BudgetExhausted) {
        let detail = "budget: the contract's budget for the model is used up".to_owned();
        found.push((BlockerCode::ResourceLimit, detail));
    }
    found
}

/// True where the call did not give the engine what it waited for.
fn failed(outcome: ModelOutcome) -> bool {
    use ModelOutcome as O;
    match outcome {
        // The budget has a sentence of its own; who goes away has not waited.
        O::Completed | O::EngineGone | O::BudgetExhausted => false,
        O::ReasoningOnly
        | O::Unreachable
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
        | O::ModelMismatch
        | O::TruncatedToolCall
        | O::CredentialEchoed
        | O::CredentialUnavailable
        | O::NotConfigured => true,
    }
}

fn code(outcome: ModelOutcome) -> BlockerCode {
    use ModelOutcome as O;
    match outcome {
        O::ModelMismatch => BlockerCode::ModelNotAdmitted,
        O::CredentialEchoed => BlockerCode::SecretDetected,
        O::ReasoningOnly => BlockerCode::ProviderResponseShape,
        O::CredentialUnavailable => BlockerCode::ProviderAuthUnavailable,
        O::NotConfigured => BlockerCode::ProviderLocalConfigUnavailable,
        O::BudgetExhausted => BlockerCode::ResourceLimit,
        O::Completed
        | O::Unreachable
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
        | O::TruncatedToolCall
        | O::EngineGone => BlockerCode::ProviderUnavailable,
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
