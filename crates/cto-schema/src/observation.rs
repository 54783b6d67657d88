//! What the harness saw during a run; the verdict is a pure function of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::approval::{ApprovalObservation, OperatorOutcome};
use crate::blocker::BlockerCode;
use crate::facts::RepositoryState;
use crate::model::ModelObservation;
use crate::verification::Verification;

/// Everything that the verdict looks at besides contract, facts and write set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Observations {
    /// A bound that did not read back when the cage was closed; null when all did, or when no cage was made.
    pub bound_refused: Option<String>,
    /// What was found in the target that no run can take, before the engine started; null when nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_refused: Option<String>,
    /// The approval that the run was to consume; null when it needs none, or was refused before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalObservation>,
    /// The engine; null when none was to be started.
    pub engine: Option<EngineObservation>,
    /// The model gateway; null when the engine uses none or no gateway was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelObservation>,
    /// Whether a non-empty patch exists.
    pub patch_exists: bool,
    /// Why the patch does not reproduce the final tree; null when it does or none was made.
    pub roundtrip_error: Option<String>,
    /// The clean room; null when it was not reached.
    pub verification: Option<Verification>,
    /// The target afterwards; null when the mode has none.
    pub target_after: Option<TargetAfter>,
    /// What became of the change in the repository that the stage lets the harness change; null where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<AppliedObservation>,
    /// The operator's word, if it was said before the run was sealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<OutcomeObservation>,
    /// Required artifacts that could not be written.
    pub artifact_failures: Vec<ArtifactFailure>,
    /// Secrets that would have entered an artifact.
    pub secrets: Vec<SecretFinding>,
    /// Whether the operator stopped the run.
    pub cancelled: bool,
    /// Whether the harness itself was stopped, and where.
    pub interrupted: Option<String>,
    /// A failure of the harness that left it ignorant, and where.
    pub harness_error: Option<String>,
    /// Required events that were written, in order.
    pub events: Vec<String>,
}

impl Observations {
    /// Returns every forbidden action that was attempted, by the engine and during verification.
    pub fn forbidden_attempts(&self) -> Vec<ForbiddenAttempt> {
        let engine = self.engine.iter().flat_map(|engine| &engine.forbidden);
        let verification = self.verification.iter().flat_map(|room| &room.forbidden);
        engine.chain(verification).cloned().collect()
    }
}

/// The engine as the harness saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EngineObservation {
    /// Whether its process really started.
    pub started: bool,
    /// Why it could not be started.
    pub start_error: Option<String>,
    /// Exit code.
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Who ended it.
    pub ended_by: EndedBy,
    /// Processes that outlived it, escaped.
    pub survivors: Vec<String>,
    /// Limits that were hit.
    pub limits_hit: Vec<LimitHit>,
    /// What its stream says, as far as the manifest declares it.
    pub stream: StreamFacts,
    /// Paths of the target that were covered because they could take the engine over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub masked: Vec<String>,
    /// Forbidden actions that were attempted.
    pub forbidden: Vec<ForbiddenAttempt>,
    /// Wall time in milliseconds.
    pub duration_ms: u64,
}

/// Who ended the engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndedBy {
    /// It ended by itself.
    #[default]
    Itself,
    /// The wall-clock limit.
    Timeout,
    /// The idle limit.
    IdleTimeout,
    /// The operator.
    Cancelled,
    /// A resource limit.
    ResourceLimit,
    /// Lifecycle supervision, after the work was done.
    Lifecycle,
    /// The harness, because the model gateway was gone.
    GatewayLost,
}

/// What an engine's stream says, as far as its manifest declares a meaning.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StreamFacts {
    /// The final event that the manifest declares; null when it declares none.
    pub final_event: Option<String>,
    /// Whether it was seen.
    pub final_event_seen: bool,
    /// A failure that the stream states, escaped.
    pub failure: Option<String>,
    /// A rejection by the engine's own reviewer, escaped.
    pub reviewer_rejection: Option<String>,
    /// Why the result envelope could not be read.
    pub protocol_error: Option<String>,
    /// What the engine says about its model's provider, where its manifest knows the words.
    #[serde(default)]
    pub provider_failure: Option<ProviderFailure>,
    /// Whether the stream claims success.
    pub claims_success: bool,
}

/// What an engine says about its model's provider. It can fail a run, and what the gateway saw outranks it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProviderFailure {
    /// What the words mean.
    pub code: BlockerCode,
    /// The words, escaped.
    pub detail: String,
}

/// A limit that was hit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LimitHit {
    /// `memory`, `processes`, `disk`, `files`, `file_size` or `output`.
    pub limit: String,
    /// What was seen.
    pub detail: String,
}

/// A forbidden action that was attempted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ForbiddenAttempt {
    /// One of the contract's forbidden actions, or `reach_other_host`.
    pub action: String,
    /// What was seen, escaped.
    pub detail: String,
}

/// The target after a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TargetAfter {
    /// The state afterwards; null when it could not be read.
    pub state: Option<RepositoryState>,
    /// Whether it is as it must be: as before, and where the harness put the change in, one commit further.
    pub unchanged: bool,
    /// What differs.
    pub detail: String,
}

/// What became of a verified change in the repository that the harness may change (stages 4 and 5).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AppliedObservation {
    /// The ref that moved, in full.
    pub branch: String,
    /// The one commit that it got; null when it got none.
    pub target_commit: Option<String>,
    /// Why nothing was changed; null when it was.
    pub refused: Option<String>,
    /// Why it is not known to be whole; null when ref, files and index agree.
    pub problem: Option<String>,
    /// Whether `git status` of the repository is clean afterwards; null when nobody could look.
    pub ending_clean: Option<bool>,
    /// What differs, escaped, at most 20.
    pub dirty_paths: Vec<String>,
}

/// The operator's word about a run that is not sealed yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OutcomeObservation {
    /// Accepted or rejected.
    pub outcome: OperatorOutcome,
    /// Who said it.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// Fingerprint of the key that signed.
    pub signer_key: String,
}

/// A required artifact that could not be written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ArtifactFailure {
    /// Name in the bundle.
    pub artifact: String,
    /// The system's error.
    pub error: String,
}

/// A secret that would have entered an artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretFinding {
    /// Name in the bundle.
    pub artifact: String,
    /// The rule that found it.
    pub rule: String,
    /// First 12 hex digits of the SHA-256 of the secret.
    pub fingerprint: String,
}
