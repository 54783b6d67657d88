//! The verdict: a pure function of what was observed, called by the run and by everyone who checks it.

mod applied;
mod change;
mod checks;
mod engine;
mod model;

use std::collections::BTreeMap;

pub use applied::ends_in_a_repository;
pub use model::model_blockers;

use cto_schema::{
    Blocker, BlockerCode, EligibilityDecision, EndedBy, Observations, RunLabel, Status, StatusContext, TaskContract,
    WriteSet,
};

/// What the verdict looks at.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// The contract, when it could be read.
    pub contract: Option<&'a TaskContract>,
    /// The eligibility decision.
    pub decision: &'a EligibilityDecision,
    /// The write set, when one was collected.
    pub write_set: Option<&'a WriteSet>,
    /// Everything else.
    pub observations: &'a Observations,
}

impl Evidence<'_> {
    /// Returns what decides a blocker's status and event.
    pub fn context(&self) -> StatusContext {
        StatusContext {
            engine_started: self.observations.engine.as_ref().is_some_and(|engine| engine.started),
            patch_exists: self.observations.patch_exists,
        }
    }
}

/// Reasons by code; one blocker a code, its details joined.
#[derive(Debug, Default)]
struct Reasons(BTreeMap<BlockerCode, Vec<String>>);

impl Reasons {
    fn add(&mut self, code: BlockerCode, detail: impl Into<String>) {
        let (told, detail) = (self.0.entry(code).or_default(), detail.into());
        if !told.contains(&detail) {
            told.push(detail);
        }
    }

    fn has(&self, code: BlockerCode) -> bool {
        self.0.contains_key(&code)
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Returns every reason why a run is not a pass, in the order of the failure matrix; empty means accepted.
///
/// A cause that the harness knows suppresses its consequences: a run that was cancelled is not also one without a
/// diff. Nothing suppresses a violation.
pub fn conclude(evidence: &Evidence<'_>) -> Vec<Blocker> {
    judge(evidence, true)
}

/// Returns what stands against putting the verified change into the repository that the stage lets the harness change;
/// empty means that it may go in. Everything that a pass needs is asked, but the putting in itself and the operator's word.
pub fn before_apply(evidence: &Evidence<'_>) -> Vec<Blocker> {
    judge(evidence, false)
}

fn judge(evidence: &Evidence<'_>, at_the_end: bool) -> Vec<Blocker> {
    let mut reasons = Reasons::default();
    let observed = evidence.observations;
    for refusal in evidence.decision.gates.iter().filter_map(|gate| gate.refusal.as_ref()) {
        reasons.add(refusal.code, refusal.detail.clone());
    }
    for failure in &observed.artifact_failures {
        reasons.add(
            BlockerCode::ArtifactWriteFailure,
            format!("{}: {}", failure.artifact, failure.error),
        );
    }
    for secret in &observed.secrets {
        let detail = format!(
            "{} in {} (sha256 {}…), redacted",
            secret.rule, secret.artifact, secret.fingerprint
        );
        reasons.add(BlockerCode::SecretDetected, detail);
    }
    if let Some(after) = observed.target_after.as_ref().filter(|after| !after.unchanged) {
        reasons.add(BlockerCode::TargetModified, after.detail.clone());
    }
    if observed.cancelled {
        reasons.add(BlockerCode::Cancelled, "the operator stopped the run");
    }
    if let Some(place) = observed.interrupted.as_ref().or(observed.harness_error.as_ref()) {
        reasons.add(BlockerCode::HarnessInterrupted, place.clone());
    }
    if let Some(problem) = observed
        .approval
        .as_ref()
        .and_then(|approval| approval.problem.as_ref())
    {
        reasons.add(BlockerCode::ApprovalDenied, problem.clone());
    }
    if let Some(seen) = &observed.bound_refused {
        reasons.add(BlockerCode::SandboxUnavailable, seen.clone());
    }
    if let Some(seen) = &observed.target_refused {
        reasons.add(BlockerCode::ContractInvalid, seen.clone());
    }
    let mut model_failed = observed
        .model
        .as_ref()
        .is_some_and(|model| model::judge(model, &mut reasons));
    if let Some(engine) = &observed.engine {
        if let Some(model) = observed
            .model
            .as_ref()
            .filter(|_| !model_failed && engine::fell_silent(engine))
        {
            model_failed = model::explain_silence(model, &mut reasons);
        }
        engine::judge(engine, model_failed, &mut reasons);
    }
    let engine_cause = cause_known(&reasons);
    if let (Some(write_set), Some(contract)) = (evidence.write_set, evidence.contract) {
        change::judge(contract, write_set, observed, engine_cause, &mut reasons);
    }
    if let (Some(verification), Some(contract)) = (&observed.verification, evidence.contract) {
        checks::judge(contract, verification, engine_cause, &mut reasons);
    }
    if is_only_late(observed, &reasons) {
        reasons.add(BlockerCode::Timeout, LATE);
    }
    completeness(evidence, &mut reasons);
    if at_the_end {
        applied::judge(evidence, &mut reasons);
    }
    let context = evidence.context();
    let blocker = |(code, details): (BlockerCode, Vec<String>)| Blocker {
        code,
        detail: details.join("; "),
        event: code.event(context),
    };
    reasons.0.into_iter().map(blocker).collect()
}

/// How a run is called whose work was good, and whose engine did not end.
const LATE: &str = "lifecycle timeout after valid patch";

/// True when nothing but the time was wrong: there is a patch, and it passed every check.
fn is_only_late(observed: &Observations, reasons: &Reasons) -> bool {
    let alone = reasons.has(BlockerCode::Timeout) && reasons.0.len() == 1;
    let ended = observed.engine.as_ref().map(|engine| engine.ended_by);
    let by_time = matches!(ended, Some(EndedBy::Timeout | EndedBy::IdleTimeout));
    let checked = observed.verification.as_ref();
    let green = checked
        .and_then(|checked| checked.run(RunLabel::Patched))
        .is_some_and(|run| run.passed());
    alone && by_time && observed.patch_exists && green
}

/// True when something already explains why there is no diff, no green test or no event.
fn cause_known(reasons: &Reasons) -> bool {
    use BlockerCode as C;
    [
        C::Cancelled,
        C::HarnessInterrupted,
        C::ArtifactWriteFailure,
        C::Timeout,
        C::ResourceLimit,
        C::ProviderUnavailable,
        C::ProviderResponseShape,
        C::ProviderAuthUnavailable,
        C::ProviderLocalConfigUnavailable,
        C::ModelNotAdmitted,
        // Here only of a provider that sent the credential back.
        C::SecretDetected,
        C::ReviewerRejected,
        C::AgentProtocol,
        C::MissingRequiredEvent,
        C::ForbiddenAction,
        C::EngineFailed,
        C::SandboxUnavailable,
        C::ContractInvalid,
    ]
    .into_iter()
    .any(|code| reasons.has(code))
}

/// Whatever was not observed cannot pass.
fn completeness(evidence: &Evidence<'_>, reasons: &mut Reasons) {
    if !reasons.is_empty() {
        return;
    }
    let observed = evidence.observations;
    let gaps: Vec<&str> = [
        (evidence.contract.is_none(), "contract"),
        (!observed.engine.as_ref().is_some_and(|engine| engine.started), "engine"),
        (evidence.write_set.is_none(), "write set"),
        (observed.verification.is_none(), "verification"),
        (observed.target_after.is_none(), "target after the run"),
    ]
    .into_iter()
    .filter_map(|(gap, name)| gap.then_some(name))
    .collect();
    if !gaps.is_empty() {
        reasons.add(
            BlockerCode::HarnessInterrupted,
            format!("not observed: {}", gaps.join(", ")),
        );
        return;
    }
    let approval = evidence.contract.is_some_and(crate::needs_approval);
    let missing = crate::completion::missing_events(&observed.events, approval);
    if !missing.is_empty() {
        reasons.add(BlockerCode::MissingRequiredEvent, missing.join(", "));
    }
}

/// Returns the status that follows from blockers: none is a pass, `fail` outranks `blocked`.
pub fn status_of(blockers: &[Blocker], context: StatusContext) -> Status {
    blockers
        .iter()
        .map(|blocker| blocker.code.status(context))
        .max()
        .unwrap_or(Status::Pass)
}

/// Returns the short stable phrase of `failure_reason`; `None` for a pass.
pub fn failure_reason(blockers: &[Blocker], backend: &str, exit_code: Option<i32>) -> Option<String> {
    use BlockerCode as C;
    let first = blockers
        .iter()
        .find(|b| b.code == C::EngineFailed)
        .or_else(|| blockers.first())?;
    let phrase = match first.code {
        C::ProviderUnavailable | C::ProviderLocalConfigUnavailable => "provider unavailable".to_owned(),
        C::ProviderResponseShape => "provider response shape unavailable".to_owned(),
        C::AgentProtocol => "case agent result protocol failed".to_owned(),
        C::Timeout if first.detail.ends_with(LATE) => LATE.to_owned(),
        C::EngineFailed => match exit_code {
            Some(code) if code != 0 => format!("{backend} engine failed with exit code {code}"),
            _ => format!("{backend} engine failed"),
        },
        C::NoDiff
        | C::DisallowedFileChange
        | C::VerificationFailed
        | C::MissingTestCommand
        | C::MissingRequiredEvent
        | C::ReviewerRejected
        | C::ApprovalDenied
        | C::Timeout
        | C::DirtyStartingTree
        | C::DirtyEndingTree
        | C::ArtifactWriteFailure
        | C::TargetNotAdmitted
        | C::MissingOperatorOutcome
        | C::ModelNotAdmitted
        | C::ProviderAuthUnavailable
        | C::ForbiddenAction
        | C::GateMissing
        | C::SourceNotAdmitted
        | C::BuildMismatch
        | C::SandboxUnavailable
        | C::ContractInvalid
        | C::TargetBusy
        | C::TargetModified
        | C::UnsafeFile
        | C::PatchRoundtripFailed
        | C::Cancelled
        | C::SecretDetected
        | C::VerificationUntrusted
        | C::SurvivingProcess
        | C::ResourceLimit
        | C::HarnessInterrupted
        | C::ApprovalStale => first.code.name().replace('_', " "),
    };
    Some(phrase)
}

#[cfg(test)]
mod tests;
