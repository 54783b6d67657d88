//! The failure matrix as executable fixtures: the accepted run with one change, judged from outside.

mod agent;
mod change;
mod model;
mod owned;
mod play;

use std::path::PathBuf;

use cto_schema::{BlockerCode, EventType, ExitClass, RunId, Status};

pub use agent::{play_by, rows_about_engines};
pub(crate) use change::{Interference, Meddler, TargetChange, Throwaway, contract_bytes};
pub(crate) use owned::{Lay, OwnedChange, OwnedGround};
pub use play::play;
pub(crate) use play::{ACCEPTED, verification_problems};

/// One row of the matrix (spec 06).
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The row's name.
    pub name: &'static str,
    /// What is different from the accepted run.
    pub trigger: &'static str,
    /// The one blocker that the run must have.
    pub blocker: BlockerCode,
    /// The event at which it becomes known.
    pub event: EventType,
    /// The status that the run must have.
    pub status: Status,
    /// Whether an engine process starts.
    pub starts: bool,
    /// How it is played.
    way: Way,
}

impl Row {
    /// Returns how `cto run` exits.
    pub fn exit(&self) -> ExitClass {
        ExitClass::of_run(self.status, self.starts)
    }
}

/// How a row differs from the accepted run.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// The fake engine plays something else.
    Play(&'static str),
    /// The fake engine plays something else under a short time limit.
    PlayBriefly(&'static str),
    /// The contract is changed.
    Contract(change::ContractChange),
    /// The target repository, or somebody else's hold on it, is changed.
    Target(change::TargetChange),
    /// Somebody interferes while the run goes on.
    Interfere(change::Interference),
    /// The request is changed.
    Request(change::RequestChange),
    /// A gated agent with a model, its gates, records or model are changed.
    Model(model::ModelChange),
    /// An approved run on an owned repository is changed.
    Owned(OwnedChange),
    /// The harness is killed.
    Kill,
}

/// What came of a row.
#[derive(Clone, Debug)]
pub struct Played {
    /// The row.
    pub row: &'static Row,
    /// What was wrong; empty when the row holds.
    pub problems: Vec<String>,
    /// The run, if there was one.
    pub run_id: Option<RunId>,
    /// Its bundle.
    pub bundle: Option<PathBuf>,
}

const fn row(
    name: &'static str,
    trigger: &'static str,
    outcome: (BlockerCode, EventType, Status),
    starts: bool,
    way: Way,
) -> Row {
    Row {
        name,
        trigger,
        blocker: outcome.0,
        event: outcome.1,
        status: outcome.2,
        starts,
        way,
    }
}

use BlockerCode as C;
use EventType as E;
use Status::{Blocked, Fail};
use change::{ContractChange, RequestChange};
use model::ModelChange;

/// Every row, in the order of spec 06.
pub const ROWS: &[Row] = &[
    row(
        "no-diff",
        "the engine claims success and changes nothing",
        (C::NoDiff, E::GitDiffChecked, Fail),
        true,
        Way::Play("no-diff"),
    ),
    row(
        "disallowed-file",
        "a path outside allowed_paths changes",
        (C::DisallowedFileChange, E::GitDiffChecked, Fail),
        true,
        Way::Play("disallowed-file"),
    ),
    row(
        "failed-tests",
        "the verification command exits non-zero",
        (C::VerificationFailed, E::VerificationCompleted, Fail),
        true,
        Way::Play("failed-tests"),
    ),
    row(
        "missing-test-command",
        "the contract names no verification command",
        (C::MissingTestCommand, E::BackendGateBlocked, Blocked),
        false,
        Way::Contract(ContractChange::NoCommands),
    ),
    row(
        "missing-event",
        "the engine's final event is missing",
        (C::MissingRequiredEvent, E::RunCompleted, Fail),
        true,
        Way::Play("missing-event"),
    ),
    row(
        "reviewer-reject",
        "the engine's own reviewer rejects",
        (C::ReviewerRejected, E::VerificationCompleted, Blocked),
        true,
        Way::Play("reviewer-reject"),
    ),
    row(
        "approval-denied",
        "an approval is required and denied, expired or consumed",
        (C::ApprovalDenied, E::ApprovalDenied, Blocked),
        false,
        Way::Owned(OwnedChange::Denied),
    ),
    row(
        "timeout",
        "the engine hangs before any change",
        (C::Timeout, E::RunCompleted, Blocked),
        true,
        Way::PlayBriefly("timeout"),
    ),
    row(
        "dirty-starting-tree",
        "the target has an uncommitted change",
        (C::DirtyStartingTree, E::TaskContractCreated, Blocked),
        false,
        Way::Target(TargetChange::Uncommitted),
    ),
    row(
        "dirty-ending-tree",
        "verification changes a tracked file",
        (C::DirtyEndingTree, E::RunCompleted, Fail),
        true,
        Way::Contract(ContractChange::CommandThatWrites),
    ),
    row(
        "artifact-write-failure",
        "patch.diff cannot be written",
        (C::ArtifactWriteFailure, E::RunCompleted, Fail),
        true,
        Way::Interfere(Interference::ObstructPatch),
    ),
    row(
        "provider-unavailable",
        "the engine's program does not exist",
        (C::ProviderUnavailable, E::RunCompleted, Blocked),
        false,
        Way::Play("provider-unavailable"),
    ),
    row(
        "unowned-repository",
        "the target's admission says not owned",
        (C::TargetNotAdmitted, E::BackendGateBlocked, Blocked),
        false,
        Way::Owned(OwnedChange::Unowned),
    ),
    row(
        "critical-repository",
        "the target's admission says critical",
        (C::TargetNotAdmitted, E::BackendGateBlocked, Blocked),
        false,
        Way::Owned(OwnedChange::Critical),
    ),
    row(
        "missing-operator-outcome",
        "a stage 5 run has no outcome",
        (C::MissingOperatorOutcome, E::RunCompleted, Blocked),
        true,
        Way::Owned(OwnedChange::Nothing),
    ),
    row(
        "model-not-admitted",
        "the requested model is not the admitted pair",
        (C::ModelNotAdmitted, E::BackendGateBlocked, Blocked),
        false,
        Way::Model(ModelChange::OtherModelRequested),
    ),
    row(
        "reasoning-only",
        "the provider returns no assistant content",
        (C::ProviderResponseShape, E::BackendGateBlocked, Blocked),
        false,
        Way::Model(ModelChange::ReasoningOnly),
    ),
    row(
        "auth-unavailable",
        "credentials cannot reach the engine",
        (C::ProviderAuthUnavailable, E::BackendGateBlocked, Blocked),
        false,
        Way::Model(ModelChange::NoCredential),
    ),
    row(
        "local-config-unavailable",
        "the local endpoint is not configured",
        (C::ProviderLocalConfigUnavailable, E::BackendGateBlocked, Blocked),
        false,
        Way::Model(ModelChange::NoEndpoint),
    ),
    row(
        "agent-protocol",
        "the engine's result cannot be read",
        (C::AgentProtocol, E::RunCompleted, Fail),
        true,
        Way::Play("agent-protocol"),
    ),
    row(
        "lifecycle-timeout",
        "the work is done and the engine never ends",
        (C::Timeout, E::RunCompleted, Fail),
        true,
        Way::PlayBriefly("lifecycle-timeout"),
    ),
    row(
        "forbidden-action",
        "the engine runs git push",
        (C::ForbiddenAction, E::ForbiddenActionAttempted, Fail),
        true,
        Way::Play("forbidden-action"),
    ),
    row(
        "gate-missing",
        "an allow or stage gate is not set",
        (C::GateMissing, E::BackendGateBlocked, Blocked),
        false,
        Way::Model(ModelChange::GateNotSet),
    ),
    row(
        "source-not-admitted",
        "the engine's source is not admitted",
        (C::SourceNotAdmitted, E::BackendGateBlocked, Blocked),
        false,
        Way::Model(ModelChange::SourceNotAdmitted),
    ),
    row(
        "build-mismatch",
        "the engine's binary is another one",
        (C::BuildMismatch, E::BackendGateBlocked, Blocked),
        false,
        Way::Model(ModelChange::OtherBinary),
    ),
    row(
        "sandbox-unavailable",
        "no bound is kept and nobody accepted that",
        (C::SandboxUnavailable, E::BackendGateBlocked, Blocked),
        false,
        Way::Request(RequestChange::CommandWithoutSandbox),
    ),
    row(
        "contract-invalid",
        "the contract has an unknown field",
        (C::ContractInvalid, E::BackendGateBlocked, Blocked),
        false,
        Way::Contract(ContractChange::UnknownField),
    ),
    row(
        "target-busy",
        "another run holds the target",
        (C::TargetBusy, E::BackendGateBlocked, Blocked),
        false,
        Way::Target(TargetChange::Held),
    ),
    row(
        "target-modified",
        "the target changes during the run",
        (C::TargetModified, E::RunCompleted, Fail),
        true,
        Way::Interfere(Interference::CommitInTarget),
    ),
    row(
        "unsafe-file",
        "a named pipe is left in the write set",
        (C::UnsafeFile, E::GitDiffChecked, Fail),
        true,
        Way::Play("unsafe-file"),
    ),
    row(
        "patch-roundtrip",
        "patch.diff on disk is not the engine's change",
        (C::PatchRoundtripFailed, E::GitDiffChecked, Fail),
        true,
        Way::Interfere(Interference::CorruptPatch),
    ),
    row(
        "cancelled",
        "the operator stops the run",
        (C::Cancelled, E::RunCompleted, Blocked),
        true,
        Way::Interfere(Interference::Cancel),
    ),
    row(
        "secret-leak",
        "a credential enters the patch",
        (C::SecretDetected, E::RunCompleted, Fail),
        true,
        Way::Play("secret-leak"),
    ),
    row(
        "verification-tampering",
        "the source makes every test run exit 0",
        (C::VerificationUntrusted, E::VerificationCompleted, Fail),
        true,
        Way::Play("verification-tampering"),
    ),
    row(
        "surviving-process",
        "a process outlives the engine",
        (C::SurvivingProcess, E::RunCompleted, Fail),
        true,
        Way::Play("surviving-process"),
    ),
    row(
        "resource-limit",
        "the engine fills the disk",
        (C::ResourceLimit, E::RunCompleted, Blocked),
        true,
        Way::Play("resource-limit"),
    ),
    row(
        "harness-interrupted",
        "the harness is killed",
        (C::HarnessInterrupted, E::RunCompleted, Blocked),
        true,
        Way::Kill,
    ),
    row(
        "engine-failed",
        "the engine exits with code 3",
        (C::EngineFailed, E::RunCompleted, Fail),
        true,
        Way::Play("engine-failed"),
    ),
    row(
        "contract-changed",
        "the contract is not the approved one",
        (C::ApprovalStale, E::ApprovalDenied, Blocked),
        false,
        Way::Owned(OwnedChange::OtherContract),
    ),
    row(
        "target-moved",
        "the target is not where it was approved",
        (C::ApprovalStale, E::ApprovalDenied, Blocked),
        false,
        Way::Owned(OwnedChange::TargetMoved),
    ),
];

/// Finds a row by name.
pub fn find_row(name: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_blocker_code_has_a_row() {
        for code in BlockerCode::all() {
            assert!(ROWS.iter().any(|row| row.blocker == *code), "{code:?} has no fixture");
        }
    }

    #[test]
    fn the_rows_are_those_that_a_comparison_looks_for() {
        let played = ROWS.iter().map(|row| (row.name, row.blocker, row.status, row.starts));
        let looked_for = cto_policy::FAILURE_ROWS
            .iter()
            .map(|row| (row.name, row.blocker, row.status, row.starts));
        assert!(played.eq(looked_for));
    }

    #[test]
    fn the_rows_agree_with_the_codes_own_table() {
        for row in ROWS {
            for patch_exists in [false, true] {
                let context = cto_schema::StatusContext {
                    engine_started: row.starts,
                    patch_exists,
                };
                let depends = row.blocker == BlockerCode::Timeout;
                assert!(depends || row.blocker.status(context) == row.status, "{}", row.name);
                assert_eq!(row.blocker.event(context), row.event, "{}", row.name);
            }
        }
    }
}
