//! Blocker codes: the machine-readable reasons why a run failed closed (failure matrix, spec 06).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::VariantArray as _;

use crate::event::EventType;

/// The verdict of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Everything held.
    Pass,
    /// A gate or a bound said no, or the harness could not tell.
    Blocked,
    /// The engine ran and its work is not accepted. Outranks `blocked`.
    Fail,
}

impl Status {
    /// Returns the word used in documents.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Blocked => "blocked",
            Self::Fail => "fail",
        }
    }
}

/// What besides the code decides a blocker's status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatusContext {
    /// An engine process was started.
    pub engine_started: bool,
    /// A non-empty patch exists.
    pub patch_exists: bool,
}

/// Why a run failed closed. Names are stable; the table of spec 06 is [`BlockerCode::event`] and
/// [`BlockerCode::status`].
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, strum::VariantArray,
)]
#[serde(rename_all = "snake_case")]
pub enum BlockerCode {
    /// The engine reported success, a diff is required, there is none.
    NoDiff,
    /// A path outside `allowed_paths`, or inside `forbidden_paths`, changed.
    DisallowedFileChange,
    /// A verification command exited non-zero.
    VerificationFailed,
    /// Verification is required and the contract names no command.
    MissingTestCommand,
    /// A required event is absent or out of order, or the engine's declared final event is missing.
    MissingRequiredEvent,
    /// The engine's own reviewer rejected the work.
    ReviewerRejected,
    /// Approval required and denied, expired or already consumed.
    ApprovalDenied,
    /// Engine or verification exceeded its limit.
    Timeout,
    /// Source, copy or target was dirty before the engine started.
    DirtyStartingTree,
    /// Unintended state was left after the checks.
    DirtyEndingTree,
    /// A required artifact could not be written.
    ArtifactWriteFailure,
    /// Engine binary, provider, model, CLI or dependency is missing.
    ProviderUnavailable,
    /// The target's admission does not hold.
    TargetNotAdmitted,
    /// A stage 5 run has no operator outcome.
    MissingOperatorOutcome,
    /// The requested or actually used model is not the admitted pair.
    ModelNotAdmitted,
    /// The provider returned no assistant content at a realistic budget.
    ProviderResponseShape,
    /// Credentials cannot reach the engine.
    ProviderAuthUnavailable,
    /// The local endpoint cannot reach the engine.
    ProviderLocalConfigUnavailable,
    /// The engine's result envelope is missing or malformed.
    AgentProtocol,
    /// A push, publish, pull request, or a connection to another host was attempted.
    ForbiddenAction,
    /// An allow or stage gate is not set or does not match.
    GateMissing,
    /// The engine's source admission does not hold for the mode.
    SourceNotAdmitted,
    /// The engine's binary is not the admitted one.
    BuildMismatch,
    /// A bound that is required cannot be enforced here.
    SandboxUnavailable,
    /// The contract is unreadable or wrong.
    ContractInvalid,
    /// Another run holds the target.
    TargetBusy,
    /// The target changed during the run.
    TargetModified,
    /// Special file, set-id bit, escaping symlink or unsafe path in the write set.
    UnsafeFile,
    /// Baseline plus patch is not the final tree.
    PatchRoundtripFailed,
    /// The operator stopped the run.
    Cancelled,
    /// A known or detected secret would have entered an artifact.
    SecretDetected,
    /// Tests or their configuration changed outside the contract, or the check cannot fail.
    VerificationUntrusted,
    /// Engine processes outlived the engine.
    SurvivingProcess,
    /// A memory, process, disk, file or output limit was hit.
    ResourceLimit,
    /// The harness was killed or crashed.
    HarnessInterrupted,
    /// The engine exited non-zero, died of a signal, or its stream says that it failed.
    EngineFailed,
    /// A value that the approval binds differs from what was approved.
    ApprovalStale,
}

impl BlockerCode {
    /// Returns every code, in the order of the failure matrix.
    pub fn all() -> &'static [Self] {
        Self::VARIANTS
    }

    /// Returns the code as written in documents.
    pub fn name(self) -> String {
        serde_json::to_value(self)
            .ok()
            .and_then(|v| v.as_str().map(str::to_owned))
            .unwrap_or_default()
    }

    /// Returns the event at which this blocker becomes known (spec 06, column "Event").
    pub fn event(self, context: StatusContext) -> EventType {
        match self {
            Self::NoDiff | Self::DisallowedFileChange | Self::UnsafeFile | Self::PatchRoundtripFailed => {
                EventType::GitDiffChecked
            }
            Self::VerificationFailed | Self::ReviewerRejected | Self::VerificationUntrusted => {
                EventType::VerificationCompleted
            }
            Self::MissingTestCommand
            | Self::TargetNotAdmitted
            | Self::ProviderLocalConfigUnavailable
            | Self::GateMissing
            | Self::SourceNotAdmitted
            | Self::BuildMismatch
            | Self::SandboxUnavailable
            | Self::ContractInvalid
            | Self::TargetBusy => EventType::BackendGateBlocked,
            Self::ApprovalDenied | Self::ApprovalStale => EventType::ApprovalDenied,
            Self::DirtyStartingTree => EventType::TaskContractCreated,
            Self::ForbiddenAction => EventType::ForbiddenActionAttempted,
            Self::ModelNotAdmitted if context.engine_started => EventType::ModelRefused,
            Self::ProviderResponseShape | Self::ProviderAuthUnavailable if context.engine_started => {
                EventType::RunCompleted
            }
            Self::ModelNotAdmitted | Self::ProviderResponseShape | Self::ProviderAuthUnavailable => {
                EventType::BackendGateBlocked
            }
            Self::MissingRequiredEvent
            | Self::Timeout
            | Self::DirtyEndingTree
            | Self::ArtifactWriteFailure
            | Self::ProviderUnavailable
            | Self::MissingOperatorOutcome
            | Self::AgentProtocol
            | Self::TargetModified
            | Self::Cancelled
            | Self::SecretDetected
            | Self::SurvivingProcess
            | Self::ResourceLimit
            | Self::HarnessInterrupted
            | Self::EngineFailed => EventType::RunCompleted,
        }
    }

    /// Returns the status that this blocker alone gives a run (spec 06, column "Status").
    pub fn status(self, context: StatusContext) -> Status {
        match self {
            Self::NoDiff
            | Self::DisallowedFileChange
            | Self::VerificationFailed
            | Self::MissingRequiredEvent
            | Self::DirtyEndingTree
            | Self::ArtifactWriteFailure
            | Self::AgentProtocol
            | Self::ForbiddenAction
            | Self::TargetModified
            | Self::UnsafeFile
            | Self::PatchRoundtripFailed
            | Self::SecretDetected
            | Self::VerificationUntrusted
            | Self::SurvivingProcess
            | Self::EngineFailed => Status::Fail,
            Self::Timeout if context.patch_exists => Status::Fail,
            Self::ModelNotAdmitted if context.engine_started => Status::Fail,
            Self::Timeout
            | Self::ModelNotAdmitted
            | Self::MissingTestCommand
            | Self::ReviewerRejected
            | Self::ApprovalDenied
            | Self::DirtyStartingTree
            | Self::ProviderUnavailable
            | Self::TargetNotAdmitted
            | Self::MissingOperatorOutcome
            | Self::ProviderResponseShape
            | Self::ProviderAuthUnavailable
            | Self::ProviderLocalConfigUnavailable
            | Self::GateMissing
            | Self::SourceNotAdmitted
            | Self::BuildMismatch
            | Self::SandboxUnavailable
            | Self::ContractInvalid
            | Self::TargetBusy
            | Self::Cancelled
            | Self::ResourceLimit
            | Self::HarnessInterrupted
            | Self::ApprovalStale => Status::Blocked,
        }
    }
}

/// One reason why a run is not a pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Blocker {
    /// The stable code.
    pub code: BlockerCode,
    /// What was seen, as a sentence without a full stop; control characters are already escaped.
    pub detail: String,
    /// The normalized event at which it became known.
    pub event: EventType,
}

/// The exit codes of `cto`: public, constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitClass {
    /// Accepted, or the command did what was asked.
    Pass = 0,
    /// The engine ran, the evidence is complete, the work is not accepted.
    Fail = 1,
    /// The command line is wrong.
    Usage = 2,
    /// A gate said no; no engine was started.
    BlockedBefore = 3,
    /// The engine was started and there is no verdict on its work.
    BlockedAfter = 4,
    /// Evidence does not verify.
    Unverified = 5,
    /// A defect of `cto` itself, or of the machine below it.
    Internal = 70,
}

impl ExitClass {
    /// Returns the exit of a run from its status and whether an engine process was started.
    pub fn of_run(status: Status, engine_started: bool) -> Self {
        match (status, engine_started) {
            (Status::Pass, _) => Self::Pass,
            (Status::Fail, _) => Self::Fail,
            (Status::Blocked, false) => Self::BlockedBefore,
            (Status::Blocked, true) => Self::BlockedAfter,
        }
    }

    /// Returns the number that the process exits with.
    pub fn code(self) -> u8 {
        self as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_blocker_ever_gives_a_pass() {
        for code in BlockerCode::all() {
            for engine_started in [false, true] {
                for patch_exists in [false, true] {
                    let context = StatusContext {
                        engine_started,
                        patch_exists,
                    };
                    assert_ne!(code.status(context), Status::Pass, "{code:?}");
                }
            }
        }
    }

    #[test]
    fn fail_outranks_blocked() {
        assert!(Status::Fail > Status::Blocked && Status::Blocked > Status::Pass);
    }
}
