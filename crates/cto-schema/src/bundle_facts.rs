//! What one bundle shows, read out of it after it was checked: what comparisons, refreshes and audits rest on.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::approval::{ApprovalSource, OperatorOutcome};
use crate::blocker::{BlockerCode, Status};
use crate::contract::MutationMode;
use crate::digest::Sha256Digest;

/// What one bundle shows. It can be read out of the same bundle again, and must then be the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BundleFacts {
    /// The run.
    pub run_id: String,
    /// Digest of its `SHA256SUMS`, which identifies the bundle.
    pub manifest_digest: Sha256Digest,
    /// Names of checks that failed; a bundle with one shows nothing.
    pub failed_checks: Vec<String>,
    /// The key whose signature holds.
    pub keyid: Option<String>,
    /// Version of the harness that made it.
    pub harness_version: String,
    /// The engine, without what it played.
    pub engine: String,
    /// The engine as the report names it.
    pub backend: String,
    /// The case or task.
    pub case_id: String,
    /// Stage of its mutation mode.
    pub stage: Option<u8>,
    /// The mutation mode.
    pub mutation_mode: Option<MutationMode>,
    /// The verdict as sealed.
    pub status: Status,
    /// The verdict with the operator's word; null when a check failed.
    pub effective_status: Option<Status>,
    /// Codes of its blockers, as sealed.
    pub blockers: Vec<BlockerCode>,
    /// Gates that refused it.
    pub refused_by: Vec<String>,
    /// Whether an engine process started.
    pub started: bool,
    /// RFC 3339 UTC.
    pub started_at: String,
    /// RFC 3339 UTC.
    pub finished_at: String,
    /// Fields that every report has (spec 01) and this one has not.
    pub missing_report_fields: Vec<String>,
    /// Artifacts that every run has (spec 01), or its stage, and this one neither has nor excuses.
    pub missing_artifacts: Vec<String>,
    /// The harness's own events, in order.
    pub events: Vec<String>,
    /// Whether every required event is there, in order.
    pub required_events_passed: bool,
    /// Changed paths.
    pub changed_files: Vec<String>,
    /// Whether every changed path is allowed.
    pub allowed_writes_passed: Option<bool>,
    /// Whether no changed path is forbidden.
    pub forbidden_paths_passed: Option<bool>,
    /// How many forbidden actions were attempted.
    pub forbidden_actions_attempted: u32,
    /// Whether verification passed.
    pub tests_passed: Option<bool>,
    /// Whether source, target or fixture was left as it was.
    pub source_repository_mutated: Option<bool>,
    /// Digests of the records and programs that it ran under, by kind.
    pub admissions: BTreeMap<String, String>,
    /// Source admission, as the report says.
    pub source_admission_status: String,
    /// Values in which an approval was stale.
    pub stale_values: Vec<String>,
    /// Whose word it consumed; null where nobody had to say anything.
    pub approval: Option<ApprovalProvenance>,
    /// The operator's word afterwards; null when none counts.
    pub operator: Option<OperatorWord>,
    /// The repository that it was about; null where there is none.
    pub target: Option<TargetShown>,
    /// The stage's own proof; null where the stage has none.
    pub stage_proof: Option<StageProofShown>,
    /// Whether a document in it says that an engine is the runtime's default.
    pub says_default_activation: bool,
    /// Whether a document in it says that evidence was promoted.
    pub says_promotion: bool,
    /// Names of fields in its documents that a secret's value would stand under.
    pub secret_shaped_keys: Vec<String>,
}

/// Where an approval comes from, exactly as the proof states it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalProvenance {
    /// Who the actor is to the installation.
    pub approval_source: ApprovalSource,
    /// Who approved.
    pub actor: String,
    /// Fingerprint of the key that signed.
    pub signer_key: String,
    /// The packet.
    pub packet_id: String,
    /// Its digest.
    pub packet_digest: Sha256Digest,
    /// How far it reaches.
    pub execution_scope: String,
    /// Whether it was given.
    pub approval_granted: bool,
    /// Whether this run consumed it.
    pub approval_consumed: bool,
    /// The run that consumed it.
    pub consumed_by: String,
    /// When.
    pub consumed_at: String,
}

/// The operator's word after a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OperatorWord {
    /// Accepted or rejected.
    pub outcome: OperatorOutcome,
    /// Who said it, escaped.
    pub actor: String,
}

/// What a bundle shows of its target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetShown {
    /// Digest of its path: a document may be handed around.
    pub path_digest: Option<Sha256Digest>,
    /// Digest of the record that admits it.
    pub admission_digest: Option<Sha256Digest>,
    /// `admitted`, `not_admitted`, or empty.
    pub admission_status: String,
    /// Its risk, as the record says.
    pub risk_classification: Option<String>,
    /// Who owns it, as the record says.
    pub repository_owner: Option<String>,
    /// Whether it was clean before.
    pub start_clean: Option<bool>,
    /// Whether it was clean afterwards.
    pub ending_clean: Option<bool>,
    /// The one commit that it got.
    pub target_commit: Option<String>,
    /// The branch that got it.
    pub branch: Option<String>,
}

/// What a bundle shows of its stage's proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StageProofShown {
    /// Name of the artifact.
    pub name: String,
    /// What it says of itself; at stage 5 never true before the operator's yes.
    pub holds: bool,
    /// Part proofs that it names and that are not there.
    pub missing_parts: Vec<String>,
}
