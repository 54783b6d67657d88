//! Part proofs and stage proofs: small documents that each state one fact with its evidence.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::approval::{ApprovalSource, BoundValues};
use crate::digest::Sha256Digest;
use crate::facts::RepositoryState;
use crate::observation::ForbiddenAttempt;

/// `source-non-mutation.json`: the source before and after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SourceNonMutation {
    /// `cto/proof/1.0`.
    pub schema: String,
    /// Always `source_non_mutation`.
    pub proof: String,
    /// Whether it holds.
    pub holds: bool,
    /// Before the run.
    pub before: Option<RepositoryState>,
    /// After the run.
    pub after: Option<RepositoryState>,
    /// What differs, or why it could not be told.
    pub detail: String,
}

/// `allowed-paths.json`: every changed path against the contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AllowedPathsProof {
    /// `cto/proof/1.0`.
    pub schema: String,
    /// Always `allowed_paths`.
    pub proof: String,
    /// Whether it holds.
    pub holds: bool,
    /// The contract's patterns.
    pub allowed_paths: Vec<String>,
    /// The forbidden patterns that hold.
    pub forbidden_paths: Vec<String>,
    /// Changed paths that no allowed pattern covers.
    pub outside_allowed: Vec<String>,
    /// Changed paths that a forbidden pattern covers.
    pub inside_forbidden: Vec<String>,
}

/// `forbidden-actions.json`: what was attempted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ForbiddenActionsProof {
    /// `cto/proof/1.0`.
    pub schema: String,
    /// Always `forbidden_actions`.
    pub proof: String,
    /// Whether nothing was attempted.
    pub holds: bool,
    /// The actions that hold.
    pub forbidden_actions: Vec<String>,
    /// What was attempted.
    pub attempted: Vec<ForbiddenAttempt>,
    /// How attempts were observed, or that they could not be.
    pub observed_by: String,
}

/// `clean-start.json` and `clean-end.json`: the copy against the baseline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TreeProof {
    /// `cto/proof/1.0`.
    pub schema: String,
    /// `clean_start` or `clean_end`.
    pub proof: String,
    /// Whether it holds.
    pub holds: bool,
    /// What was compared and how.
    pub detail: String,
    /// Paths that differ, escaped.
    pub paths: Vec<String>,
}

/// `stage2-no-target-inspection.json`: nothing of the run names a target repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NoTargetInspection {
    /// `cto/proof/1.0`.
    pub schema: String,
    /// Always `stage2_no_target_inspection`.
    pub proof: String,
    /// Whether it holds.
    pub holds: bool,
    /// What was searched, and what was found in each.
    pub searched: Vec<String>,
    /// Part proofs by name.
    pub parts: Vec<String>,
}

/// `approval.json`: whose word the run consumed; `approval/` holds packet, statement and signature as they were signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApprovalProof {
    /// `cto/proof/1.0`.
    pub schema: String,
    /// Always `approval`.
    pub proof: String,
    /// Whether it holds.
    pub holds: bool,
    /// The packet.
    pub packet_id: String,
    /// Its digest.
    pub packet_digest: Sha256Digest,
    /// Who approved.
    pub actor: String,
    /// Fingerprint of the key that signed.
    pub signer_key: String,
    /// Who the actor is to the installation.
    pub approval_source: ApprovalSource,
    /// How far it reaches: one run.
    pub execution_scope: String,
    /// Whether it was given.
    pub approval_granted: bool,
    /// Whether this run consumed it.
    pub approval_consumed: bool,
    /// Whether another run may use it: never again.
    pub execution_allowed: bool,
    /// The run that consumed it.
    pub consumed_by: String,
    /// When.
    pub consumed_at: String,
    /// When it would have ended.
    pub expires_at: String,
    /// What it is bound to.
    pub bound: BoundValues,
}
