//! The rows of the failure matrix as bundles show them (spec 06): which run shows which row, and for whom.

use cto_schema::{BlockerCode, BundleFacts, RowState, RowVerdict, Status};

use super::counts;

/// A row as a bundle shows it: its blocker alone, its status, whether an engine started, and what tells it from others
/// with the same blocker.
#[derive(Clone, Copy, Debug)]
pub struct FailureRow {
    /// The row.
    pub name: &'static str,
    /// The one blocker.
    pub blocker: BlockerCode,
    /// The status that it ends with.
    pub status: Status,
    /// Whether an engine process starts.
    pub starts: bool,
    tell: Tell,
}

/// What tells rows with one blocker apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tell {
    /// Nothing has to: no other row has this blocker and status.
    Nothing,
    /// The target's record says that it is critical.
    Critical,
    /// The target's record does not say that it is critical.
    NotCritical,
    /// The approval was stale in the contract.
    StaleContract,
    /// The approval was stale in the target.
    StaleTarget,
}

use BlockerCode as C;
use Status::{Blocked, Fail};

const fn ran(name: &'static str, blocker: BlockerCode, status: Status) -> FailureRow {
    FailureRow {
        name,
        blocker,
        status,
        starts: true,
        tell: Tell::Nothing,
    }
}

const fn refused(name: &'static str, blocker: BlockerCode) -> FailureRow {
    told(name, blocker, Tell::Nothing)
}

const fn told(name: &'static str, blocker: BlockerCode, tell: Tell) -> FailureRow {
    FailureRow {
        name,
        blocker,
        status: Blocked,
        starts: false,
        tell,
    }
}

/// Every row, in the order of spec 06.
pub const FAILURE_ROWS: &[FailureRow] = &[
    ran("no-diff", C::NoDiff, Fail),
    ran("disallowed-file", C::DisallowedFileChange, Fail),
    ran("failed-tests", C::VerificationFailed, Fail),
    refused("missing-test-command", C::MissingTestCommand),
    ran("missing-event", C::MissingRequiredEvent, Fail),
    ran("reviewer-reject", C::ReviewerRejected, Blocked),
    refused("approval-denied", C::ApprovalDenied),
    ran("timeout", C::Timeout, Blocked),
    refused("dirty-starting-tree", C::DirtyStartingTree),
    ran("dirty-ending-tree", C::DirtyEndingTree, Fail),
    ran("artifact-write-failure", C::ArtifactWriteFailure, Fail),
    refused("provider-unavailable", C::ProviderUnavailable),
    told("unowned-repository", C::TargetNotAdmitted, Tell::NotCritical),
    told("critical-repository", C::TargetNotAdmitted, Tell::Critical),
    ran("missing-operator-outcome", C::MissingOperatorOutcome, Blocked),
    refused("model-not-admitted", C::ModelNotAdmitted),
    refused("reasoning-only", C::ProviderResponseShape),
    refused("auth-unavailable", C::ProviderAuthUnavailable),
    refused("local-config-unavailable", C::ProviderLocalConfigUnavailable),
    ran("agent-protocol", C::AgentProtocol, Fail),
    ran("lifecycle-timeout", C::Timeout, Fail),
    ran("forbidden-action", C::ForbiddenAction, Fail),
    refused("gate-missing", C::GateMissing),
    refused("source-not-admitted", C::SourceNotAdmitted),
    refused("build-mismatch", C::BuildMismatch),
    refused("sandbox-unavailable", C::SandboxUnavailable),
    refused("contract-invalid", C::ContractInvalid),
    refused("target-busy", C::TargetBusy),
    ran("target-modified", C::TargetModified, Fail),
    ran("unsafe-file", C::UnsafeFile, Fail),
    ran("patch-roundtrip", C::PatchRoundtripFailed, Fail),
    ran("cancelled", C::Cancelled, Blocked),
    ran("secret-leak", C::SecretDetected, Fail),
    ran("verification-tampering", C::VerificationUntrusted, Fail),
    ran("surviving-process", C::SurvivingProcess, Fail),
    ran("resource-limit", C::ResourceLimit, Blocked),
    ran("harness-interrupted", C::HarnessInterrupted, Blocked),
    ran("engine-failed", C::EngineFailed, Fail),
    told("contract-changed", C::ApprovalStale, Tell::StaleContract),
    told("target-moved", C::ApprovalStale, Tell::StaleTarget),
];

/// Returns whether a bundle shows a row: the row's blocker alone, so that it is clear which one stopped it.
pub fn shows_row(row: &FailureRow, bundle: &BundleFacts) -> bool {
    let told = match row.tell {
        Tell::Nothing => true,
        Tell::Critical => is_critical(bundle),
        Tell::NotCritical => bundle.target.is_some() && !is_critical(bundle),
        Tell::StaleContract => bundle.stale_values.iter().any(|name| name == "contract"),
        Tell::StaleTarget => {
            !bundle.stale_values.is_empty() && bundle.stale_values.iter().all(|name| name.starts_with("target."))
        }
    };
    bundle.blockers == [row.blocker] && bundle.status == row.status && bundle.started == row.starts && told
}

fn is_critical(bundle: &BundleFacts) -> bool {
    let risk = bundle
        .target
        .as_ref()
        .and_then(|target| target.risk_classification.as_deref());
    risk == Some("critical")
}

/// Returns whether a run shows what the harness does, whichever engine runs: the embedded engine played it, or none
/// started.
fn is_the_harness_own(bundle: &BundleFacts) -> bool {
    bundle.engine == "fake" || !bundle.started
}

/// Says for an engine who shows each row; `bundles` is newest first.
pub(super) fn rows_of(engine: &str, bundles: &[&BundleFacts], facts: &cto_schema::CandidateFacts) -> Vec<RowVerdict> {
    FAILURE_ROWS
        .iter()
        .map(|row| {
            let shown = |own: bool| {
                bundles.iter().find(|bundle| {
                    let whose = if own {
                        bundle.engine == engine
                    } else {
                        is_the_harness_own(bundle)
                    };
                    whose && counts(facts, bundle) && shows_row(row, bundle)
                })
            };
            let (state, run, rationale) = match (shown(true), shown(false), facts.blocked_rows.get(row.name)) {
                (Some(own), _, _) => (RowState::Closed, Some(own), String::new()),
                (None, Some(other), _) => (RowState::Inherited, Some(other), String::new()),
                (None, None, Some(why)) if !why.trim().is_empty() => (RowState::Blocked, None, why.clone()),
                (None, None, _) => (
                    RowState::Open,
                    None,
                    format!(
                        "no bundle on record shows it; play it with: cto fixtures run {}",
                        row.name
                    ),
                ),
            };
            RowVerdict {
                row: row.name.to_owned(),
                state,
                run_id: run.map(|bundle| bundle.run_id.clone()),
                rationale,
            }
        })
        .collect()
}
