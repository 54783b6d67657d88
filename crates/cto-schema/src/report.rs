//! `report.json`: the machine-readable summary of a run and the index of its evidence (spec 01).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::approval::{ApprovalSource, OperatorOutcome};
use crate::blocker::{Blocker, Status};
use crate::contract::MutationMode;
use crate::digest::Sha256Digest;
use crate::enforcement::Enforcement;
use crate::model::ModelObservation;
use crate::observation::ForbiddenAttempt;
use crate::verification::Verification;

/// `report.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// `cto/report/1.0`.
    pub schema: String,
    /// The case, the contract's task id, or `unreadable`.
    pub case_id: String,
    /// The run; also the name of its directory.
    pub run_id: String,
    /// The verdict.
    pub status: Status,
    /// The engine.
    pub backend: String,
    /// Version of the harness.
    pub harness_version: String,
    /// Stage of the mutation mode, 1 to 6.
    pub stage: Option<u8>,
    /// The mutation mode.
    pub mutation_mode: Option<MutationMode>,
    /// The scope that the stage allows.
    pub allowed_mutation_scope: String,
    /// RFC 3339 UTC with microseconds.
    pub run_started_at: String,
    /// RFC 3339 UTC with microseconds.
    pub run_finished_at: String,
    /// The engine's exit code; null when no process started or a signal ended it.
    pub backend_exit_code: Option<i32>,
    /// True only if the engine's process really started.
    pub case_process_started: bool,
    /// The bundle's directory, relative to the runs root.
    pub artifacts_dir: String,
    /// Where the engine worked, as the engine saw it.
    pub runtime_workspace_root: String,
    /// The bundle's directory, relative to the runs root.
    pub run_artifact_dir: String,
    /// Commit that the run started from.
    pub baseline_commit: Option<String>,
    /// Its tree.
    pub baseline_tree: Option<String>,
    /// Digest of the contract's canonical form.
    pub contract_digest: Option<Sha256Digest>,
    /// Changed paths, sorted by bytes; `write-set.json` has the exact bytes of unusual names.
    pub changed_files: Vec<String>,
    /// Whether every changed path is allowed; null when no change was collected.
    pub allowed_writes_passed: Option<bool>,
    /// Whether no changed path is forbidden; null when no change was collected.
    pub forbidden_paths_passed: Option<bool>,
    /// Attempts at forbidden actions.
    pub forbidden_actions_attempted: Vec<ForbiddenAttempt>,
    /// Approval.
    pub approval_status: ApprovalStatus,
    /// Each command over the patched tree.
    pub verification: Vec<VerificationLine>,
    /// All clean-room runs, canaries and integrity facts.
    pub clean_room: Option<Verification>,
    /// Whether verification passed in every required run; null when none ran.
    pub tests_passed: Option<bool>,
    /// Whether every required event is there, in order.
    pub required_events_passed: bool,
    /// Why the run is not a pass.
    pub blockers: Vec<Blocker>,
    /// A short stable phrase; null for a pass.
    pub failure_reason: Option<String>,
    /// Artifact name to path in the bundle.
    pub artifact_paths: BTreeMap<String, String>,
    /// Artifact name to digest. The entry of `report.json` is of its canonical form without that entry.
    pub artifact_digests: BTreeMap<String, Sha256Digest>,
    /// How `artifact_digests["report.json"]` is made.
    pub report_digest_rule: ReportDigest,
    /// Proof that this evidence was made by this run.
    pub freshness: Freshness,
    /// Source admission of the engine.
    pub source_admission_status: String,
    /// Requested model provider.
    pub case_model_provider: Option<String>,
    /// Requested model.
    pub case_model: Option<String>,
    /// Model admission.
    pub case_model_admission_status: String,
    /// Provider name inside the engine.
    pub case_runtime_model_provider: Option<String>,
    /// Whether a fallback model was used.
    pub model_fallback_used: bool,
    /// What the model gateway saw; null when no gateway was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelObservation>,
    /// Paths of the target that were covered because they could take the engine over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub masked_paths: Vec<String>,
    /// Hosts with port that programs of the engine could reach through the gateway besides the model.
    #[serde(default)]
    pub egress: Vec<String>,
    /// Field, event or artifact that this run could not have, with the reason.
    pub not_applicable: BTreeMap<String, String>,
    /// Which bounds held.
    pub enforcement: Option<Enforcement>,
    /// What this report claims, and what each claim rests on.
    pub claims: Vec<Claim>,
    /// Time and resources.
    pub usage: Usage,
    /// Exceptions from the default forbidden paths, repeated from the contract.
    pub forbidden_path_exceptions: BTreeMap<String, String>,
    /// Whether source, target or fixture was left as it was; null when there is none.
    pub source_repository_mutated: Option<bool>,
    /// What stages 4 and 5 add; null below them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub governed: Option<GovernedReport>,
    /// Never true: no code path activates an engine as the default.
    pub runtime_default_activation: bool,
    /// Always `not-promoted`: no code path promotes.
    pub core_promotion_status: String,
}

/// What a run reports that may change a repository (stages 4 and 5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GovernedReport {
    /// Who the approving actor is to the installation; null when nothing was approved.
    pub approval_source: Option<ApprovalSource>,
    /// How far the approval reaches.
    pub execution_scope: String,
    /// `admitted`, `not_admitted`, or `not-required` for a disposable copy.
    pub target_repository_admission_status: String,
    /// Whether the target was clean before; null when nobody looked.
    pub target_repository_start_clean: Option<bool>,
    /// Whether it is clean afterwards; null when nothing was put in.
    pub target_repository_ending_clean: Option<bool>,
    /// The one commit that the repository got.
    pub target_commit: Option<String>,
    /// The operator's word; `pending` until it is said.
    pub operator_outcome: OperatorOutcome,
    /// The command that takes the commit back; null where there is nothing to take back.
    pub rollback_command: Option<String>,
}

/// Approval of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ApprovalStatus {
    /// The mode needs none.
    NotRequired,
    /// Needed and not yet given.
    Requested,
    /// Given and consumed by this run.
    Granted,
    /// Denied, expired, stale or already consumed.
    Denied,
}

/// One command over the patched tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VerificationLine {
    /// The argv as in the contract.
    pub argv: Vec<String>,
    /// Exit code.
    pub exit_code: Option<i32>,
    /// Wall time in milliseconds.
    pub duration_ms: u32,
    /// Whether it exited 0 in time.
    pub passed: bool,
}

/// How the report's own digest is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ReportDigest {
    /// SHA-256 of the RFC 8785 form of the report without `artifact_digests["report.json"]`.
    #[default]
    #[serde(rename = "rfc8785-without-own-entry")]
    CanonicalWithoutOwnEntry,
}

/// Proof that the evidence was made by this run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Freshness {
    /// The run's nonce, hexadecimal; also in the journal, the first event and the attestation.
    pub nonce: String,
    /// Digest of the last event line.
    pub event_chain_head: Sha256Digest,
    /// Artifact to the monotonic nanosecond (decimal text) at which it was written.
    pub written_at_ns: BTreeMap<String, String>,
    /// How far the wall clock stepped against the boot-time clock, in milliseconds; 0 when it did not.
    pub clock_step_ms: i64,
}

/// One claim of a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Claim {
    /// Stable name.
    pub claim: String,
    /// The claim as a sentence.
    pub statement: String,
    /// What it rests on.
    pub basis: ClaimBasis,
    /// Artifacts that show it.
    pub evidence: Vec<String>,
}

/// What a claim rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClaimBasis {
    /// The harness observed it.
    Verified,
    /// The engine said so.
    SelfReported,
    /// It follows from other facts.
    Inferred,
    /// Nothing shows it.
    Absent,
}

/// Time and resources.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// Wall time of the whole run in milliseconds.
    pub total_ms: u64,
    /// Wall time of the engine in milliseconds.
    pub engine_ms: u64,
    /// Wall time of verification commands in milliseconds.
    pub verification_ms: u64,
    /// Everything else: the harness's own share in milliseconds.
    pub harness_ms: u64,
    /// Bytes of output that the engine produced, as decimal text.
    pub engine_output_bytes: String,
}

impl Report {
    /// Returns the digest of the report's canonical form without its own digest entry.
    pub fn own_digest(&self) -> Sha256Digest {
        let mut bare = self.clone();
        bare.artifact_digests.remove("report.json");
        Sha256Digest::of(&serde_json_canonicalizer::to_vec(&bare).unwrap_or_default())
    }
}
