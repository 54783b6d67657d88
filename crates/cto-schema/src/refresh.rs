//! `stage6-real-governed-refresh-comparison.json`: accepted runs on owned repositories, checked again (spec 08).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::blocker::Status;
use crate::bundle_facts::{ApprovalProvenance, BundleFacts};
use crate::candidate::{DimensionVerdict, LaneNow, RowVerdict, TargetWatch};
use crate::digest::Sha256Digest;
use crate::fixed::{NotActivated, NotPromoted};

/// How many accepted runs make a candidate repeatable.
pub const REPEATABILITY_REQUIRED: u32 = 2;

/// A refresh: what was found in pinned runs, and what follows from it. It ran no engine and changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RepeatabilityRefresh {
    /// `cto/repeatability-refresh/1.0`.
    pub schema: String,
    /// Its id.
    pub refresh_id: String,
    /// What kind of refresh it is: there is one.
    pub refresh_type: RefreshType,
    /// RFC 3339 UTC.
    pub created_at: String,
    /// The candidate.
    pub candidate: String,
    /// The comparison that the runs are held against; null when there is none.
    pub comparison_id: Option<String>,
    /// `report.json` of the first pinned run that counts, relative to the home.
    pub real_stage5_pass_report: Option<String>,
    /// Its stage 5 proof.
    pub real_stage5_proof: Option<String>,
    /// `report.json` of the second one.
    pub repeat_stage5_pass_report: Option<String>,
    /// Its stage 5 proof.
    pub repeat_stage5_proof: Option<String>,
    /// Every pinned run, in the order of the pins.
    pub real_stage5_passes: Vec<RefreshPass>,
    /// How many are needed.
    pub repeatability_required: u32,
    /// How many count.
    pub repeatability_count: u32,
    /// `pass`; `blocked` when something is missing; `fail` when something is wrong.
    pub repeatability_status: Status,
    /// Whether it is a pass.
    pub repeatability_passed: bool,
    /// Where each approval comes from, exactly as the proofs state it.
    pub approval_provenance: Vec<PinProvenance>,
    /// Where a prose says otherwise; the proofs stay as they are.
    pub prose_mismatches: Vec<ProseMismatch>,
    /// Whether each run ran under the records of now.
    pub source_admission_freshness: FreshnessWord,
    /// Whether the targets were only read: the same before and after.
    pub target_read_only_check: ReadOnlyCheck,
    /// Whether the comparison's rows of the failure matrix still hold for these runs.
    pub failure_matrix_carry_forward: ReadOnlyCheck,
    /// Everything that speaks against it.
    pub rejections: Vec<Rejection>,
    /// Never true.
    pub runtime_default_activation: NotActivated,
    /// Never anything else.
    pub core_promotion_status: NotPromoted,
    /// What was found.
    pub facts: RefreshFacts,
}

/// The kind of a refresh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RefreshType {
    /// Over real governed runs, reading only.
    #[default]
    #[serde(rename = "stage6-real-governed-read-only")]
    RealGovernedReadOnly,
}

/// A pinned run as it was judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RefreshPass {
    /// The run.
    pub run_id: String,
    /// The case or task.
    pub case_id: String,
    /// The commit that the target got.
    pub target_commit: Option<String>,
    /// What it changed.
    pub changed_files: Vec<String>,
    /// Whether it counts.
    pub counted: bool,
    /// Against each compared lane of the comparison.
    pub lanes: Vec<PinLane>,
}

/// A pinned run against one lane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PinLane {
    /// The lane.
    pub lane: String,
    /// Each dimension.
    pub dimensions: Vec<DimensionVerdict>,
}

/// Where a pinned run's approval comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PinProvenance {
    /// The run.
    pub run_id: String,
    /// What its proof states; null when it states nothing.
    pub provenance: Option<ApprovalProvenance>,
}

/// A prose that says otherwise than a proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProseMismatch {
    /// Line of the prose, from 1.
    pub line: u32,
    /// The run that it speaks about; null when it speaks about all.
    pub run_id: Option<String>,
    /// What it speaks about.
    pub field: String,
    /// What it says, escaped.
    pub prose: String,
    /// What the proofs state.
    pub proof: Vec<String>,
}

/// Whether something is as of now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FreshnessWord {
    /// It is.
    Fresh,
    /// It is not.
    Stale,
    /// There is nothing to look at.
    Unknown,
}

/// Whether something holds, and what was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadOnlyCheck {
    /// Whether it holds.
    pub passed: bool,
    /// What was seen.
    pub detail: String,
}

/// What speaks against a refresh.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rejection {
    /// Stable code.
    pub code: RejectionCode,
    /// The run; null when it is about all.
    pub run_id: Option<String>,
    /// What was seen.
    pub detail: String,
}

/// Why a refresh is not a pass.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, strum::VariantArray,
)]
#[serde(rename_all = "snake_case")]
pub enum RejectionCode {
    /// There are too few pins, or too few that count.
    TooFewPasses,
    /// A bundle is not there, or cannot be read.
    BundleMissing,
    /// A bundle does not verify: changed, unsigned, or signed by a key that nobody trusts.
    NotVerified,
    /// An artifact, a proof or a field of the report is missing.
    MissingArtifact,
    /// No operator's approval stands behind a run.
    MissingApprovalProvenance,
    /// A run ran under other records or another program than the engine has now, or its source is not admitted now.
    SourceAdmissionStale,
    /// A fact that has to hold does not.
    FailedFact,
    /// It is no run on an owned repository.
    NotStageFive,
    /// No operator accepted it, or it was taken back.
    NotAccepted,
    /// It is another engine's.
    OtherEngine,
    /// It was made by another major version.
    OtherHarnessVersion,
    /// It is from later than now.
    FromTheFuture,
    /// It is not what the pin states.
    PinMismatch,
    /// Two pins are of one run.
    DuplicatePin,
    /// The target cannot be looked at.
    TargetUnreadable,
    /// The target changed while it was looked at.
    TargetChanged,
    /// The target is not where the newest pinned run left it, or a pinned commit is no longer in it.
    TargetMoved,
    /// The target's work tree is not as its commit.
    TargetDirty,
    /// The target's admission is another one, or admits no more.
    TargetNotAdmitted,
    /// A document says that an engine is the default.
    DefaultActivation,
    /// A document says that evidence was promoted.
    CorePromotion,
    /// A document has a field under which a secret's value would stand.
    SecretShapedKey,
    /// It falls short of a lane in a dimension.
    FallsShort,
    /// There is no comparison of this candidate.
    ComparisonMissing,
    /// The comparison does not verify with all that it rests on, or does not hold.
    ComparisonNotHeld,
    /// No operator accepted the comparison.
    ComparisonNotAccepted,
}

impl RejectionCode {
    /// Returns whether something is missing (`blocked`) or wrong (`fail`).
    pub fn status(self) -> Status {
        match self {
            Self::TooFewPasses
            | Self::BundleMissing
            | Self::NotAccepted
            | Self::TargetUnreadable
            | Self::ComparisonMissing
            | Self::ComparisonNotAccepted => Status::Blocked,
            Self::NotVerified
            | Self::MissingArtifact
            | Self::MissingApprovalProvenance
            | Self::SourceAdmissionStale
            | Self::FailedFact
            | Self::NotStageFive
            | Self::OtherEngine
            | Self::OtherHarnessVersion
            | Self::FromTheFuture
            | Self::PinMismatch
            | Self::DuplicatePin
            | Self::TargetChanged
            | Self::TargetMoved
            | Self::TargetDirty
            | Self::TargetNotAdmitted
            | Self::DefaultActivation
            | Self::CorePromotion
            | Self::SecretShapedKey
            | Self::FallsShort
            | Self::ComparisonNotHeld => Status::Fail,
        }
    }

    /// Returns the code as written in documents.
    pub fn name(self) -> String {
        serde_json::to_value(self)
            .ok()
            .and_then(|value| value.as_str().map(str::to_owned))
            .unwrap_or_default()
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RefreshFacts {
    /// When, in seconds since 1970.
    pub judged_at_seconds: i64,
    /// Version of the harness that refreshes.
    pub harness_version: String,
    /// Each pin, in order.
    pub pins: Vec<PinFacts>,
    /// The comparison; null when there is none.
    pub comparison: Option<ComparisonFacts>,
    /// What a prose says about approvals.
    pub prose: Vec<ProseStatement>,
}

/// A pin and what it leads to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PinFacts {
    /// What the pin states.
    pub pin: Pin,
    /// Why its bundle could not be read; null when it could.
    pub problem: Option<String>,
    /// What the bundle shows.
    pub bundle: Option<BundleFacts>,
    /// The engine as it is now.
    pub now: LaneNow,
    /// The target as it is now; null when there is none to look at.
    pub target: Option<TargetWatch>,
    /// Whether the pinned commit is in the history of the target's branch; null when that could not be told.
    pub commit_is_in_history: Option<bool>,
}

/// A pin: a run, and what is expected of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// The run, escaped when it is no id.
    pub run_id: String,
    /// The case or task.
    pub case_id: Option<String>,
    /// The commit that the target got.
    pub target_commit: Option<String>,
    /// What it changed; sorted.
    pub expected_changed_files: Option<Vec<String>>,
    /// Who states it.
    pub stated_by: PinSource,
}

/// Who states what is expected of a pinned run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PinSource {
    /// The caller, all of it.
    Caller,
    /// What the caller left out, the operator's signatures: the packet names the case, the outcome the commit and the patch.
    OperatorSignature,
}

/// What a comparison shows to a refresh.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ComparisonFacts {
    /// The comparison.
    pub comparison_id: String,
    /// Digest of its `SHA256SUMS`.
    pub manifest_digest: Sha256Digest,
    /// Why it does not verify; null when it does.
    pub problem: Option<String>,
    /// Its candidate.
    pub candidate: String,
    /// Whether its proof holds.
    pub proof_holds: bool,
    /// Whether an operator accepted it.
    pub accepted: bool,
    /// The candidate's rows of the failure matrix.
    pub rows: Vec<RowVerdict>,
    /// The lanes that were compared.
    pub lanes: Vec<ComparedLane>,
}

/// A lane that was compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ComparedLane {
    /// The lane.
    pub lane: String,
    /// What its run shows.
    pub bundle: BundleFacts,
    /// Its rows.
    pub rows: Vec<RowVerdict>,
}

/// A statement of a prose about an approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProseStatement {
    /// Line, from 1.
    pub line: u32,
    /// The run that it speaks about; null when it speaks about all.
    pub run_id: Option<String>,
    /// What it speaks about.
    pub field: String,
    /// What it says, escaped.
    pub value: String,
}
