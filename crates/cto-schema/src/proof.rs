//! Part proofs and stage proofs: small documents that each state one fact with its evidence.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::approval::{ApprovalSource, BoundValues, OperatorOutcome, SignedStatement};
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

/// `branch-policy.json`: where a verified change goes, settled before the engine starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BranchPolicy {
    /// `cto/proof/1.0`.
    pub schema: String,
    /// Always `branch_policy`.
    pub proof: String,
    /// Whether it was settled.
    pub holds: bool,
    /// The branch that gets the commit, in full.
    pub branch: String,
    /// The commit that it is at.
    pub base_commit: String,
    /// How many commits it gets.
    pub commits: u32,
    /// Who writes it.
    pub written_by: String,
    /// What is pushed.
    pub push: String,
    /// What is merged.
    pub merge: String,
}

/// `sandbox-disposition.json`: what became of a disposable repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SandboxDisposition {
    /// `cto/proof/1.0`.
    pub schema: String,
    /// Always `sandbox_disposition`.
    pub proof: String,
    /// Whether it is as it says.
    pub holds: bool,
    /// `disposed` or `retained`.
    pub sandbox_disposition: String,
    /// Its directory, relative to the home, or `the target repository` where an admitted one was used.
    pub disposable_repository_dir: String,
    /// Whom it belongs to.
    pub disposable_repository_owner: String,
    /// `created` or `admitted`.
    pub creation_source: String,
    /// What was seen.
    pub detail: String,
}

/// `stage4-disposable-sandbox-proof.json` and `stage5-owned-repo-proof.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RepositoryStageProof {
    /// `cto/proof/1.0`.
    pub schema: String,
    /// `stage4_disposable_sandbox` or `stage5_owned_repo`.
    pub proof: String,
    /// Whether it holds; at stage 5 never before the operator's yes.
    pub holds: bool,
    /// Whether this run consumed an approval.
    pub approval_status: String,
    /// Who approved: `operator` or `validator`.
    pub approval_source: Option<ApprovalSource>,
    /// How far the approval reaches.
    pub execution_scope: String,
    /// The branch that got the commit.
    pub branch_policy: Option<String>,
    /// The one commit.
    pub target_commit: Option<String>,
    /// Whether the repository was clean before.
    pub target_repository_start_clean: Option<bool>,
    /// Whether it is clean afterwards.
    pub target_repository_ending_clean: Option<bool>,
    /// What became of a disposable one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox_disposition: Option<String>,
    /// The operator's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator_outcome: Option<OperatorOutcome>,
    /// Part proofs by name.
    pub parts: Vec<String>,
}

/// `target-admission.json`: the record that admits the target, without its path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TargetAdmissionProof {
    /// `cto/proof/1.0`.
    pub schema: String,
    /// Always `target_admission`.
    pub proof: String,
    /// Whether it was admitted for this contract.
    pub holds: bool,
    /// `admitted` or `not_admitted`.
    pub target_repository_admission_status: String,
    /// Digest of the record.
    pub record_digest: Option<Sha256Digest>,
    /// Who owns it.
    pub repository_owner: Option<String>,
    /// Its risk.
    pub risk_classification: Option<String>,
}

/// `operator-outcome.json`: the operator's word, said before the run was sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OutcomeProof {
    /// `cto/proof/1.0`.
    pub schema: String,
    /// Always `operator_outcome`.
    pub proof: String,
    /// Whether the change was accepted.
    pub holds: bool,
    /// The exact text and its signature.
    pub signed: SignedStatement,
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
