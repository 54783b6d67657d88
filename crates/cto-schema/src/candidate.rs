//! `stage6-candidate-default-comparison.json`: a candidate against its lanes (spec 08, stage 6).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::approval::OperatorOutcome;
use crate::bundle_facts::BundleFacts;
use crate::digest::Sha256Digest;
use crate::facts::RepositoryState;
use crate::fixed::{NotActivated, NotPromoted};

/// A comparison: what was found, and what follows from it. It says *eligible* at most, never *active*.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CandidateComparison {
    /// `cto/candidate-comparison/1.0`.
    pub schema: String,
    /// Its id.
    pub comparison_id: String,
    /// RFC 3339 UTC.
    pub created_at: String,
    /// The candidate.
    pub candidate: String,
    /// The lanes that it was to be compared with.
    pub against: Vec<String>,
    /// What follows from the facts.
    pub verdict: CandidateVerdict,
    /// Always false in the document: eligible needs the operator's word on the sealed document, which lies beside it.
    pub candidate_default_eligible: bool,
    /// Always `pending` in the document, for the same reason.
    pub operator_outcome: OperatorOutcome,
    /// Never true.
    pub runtime_default_activation: NotActivated,
    /// Never anything else.
    pub core_promotion_status: NotPromoted,
    /// What was found.
    pub facts: CandidateFacts,
}

/// What was found: bundles that were checked, and the world when they were compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CandidateFacts {
    /// When, in seconds since 1970; a bundle from later than this shows nothing.
    pub judged_at_seconds: i64,
    /// Version of the harness that compares; bundles of another major version show nothing.
    pub harness_version: String,
    /// The engine that runs when none is named.
    pub default_lane: String,
    /// The candidate as it is now.
    pub candidate: LaneNow,
    /// The lanes as they are now.
    pub lanes: Vec<LaneNow>,
    /// What the bundles show, by run.
    pub bundles: BTreeMap<String, BundleFacts>,
    /// Rows that the caller says cannot be shown, each with its rationale.
    pub blocked_rows: BTreeMap<String, String>,
    /// The repository of the candidate's accepted run, before and after the comparison; null when it was not looked at.
    pub target: Option<TargetWatch>,
}

/// An engine as it is now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LaneNow {
    /// The engine.
    pub lane: String,
    /// Digests of its records and programs, by kind.
    pub admissions: BTreeMap<String, String>,
    /// Why its source may not be used on an owned repository now; null when it may, or when none is asked for.
    pub source_problem: Option<String>,
    /// Why it cannot run here, with what to do; null when it can.
    pub problem: Option<String>,
}

/// A repository, looked at before and after, and never written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetWatch {
    /// Digest of its path.
    pub path_digest: Sha256Digest,
    /// Digest of the record that admits it now; null when none does.
    pub admission_digest: Option<Sha256Digest>,
    /// Why that record does not admit it; null when it does.
    pub admission_problem: Option<String>,
    /// Before; null when it could not be read.
    pub before: Option<RepositoryState>,
    /// Afterwards; null when it could not be read.
    pub after: Option<RepositoryState>,
    /// Whether its work tree is as its commit; null when that could not be told.
    pub clean: Option<bool>,
    /// Why something could not be told; null when everything could.
    pub problem: Option<String>,
}

/// What follows from the facts, by a pure function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CandidateVerdict {
    /// Whether every check holds, so that only the operator's word is missing.
    pub proof_holds: bool,
    /// The candidate's accepted run on an owned repository.
    pub candidate_run: Option<String>,
    /// Every check, in order.
    pub checks: Vec<CandidateCheck>,
    /// Every lane, in order.
    pub lanes: Vec<LaneVerdict>,
    /// Every row of the failure matrix for the candidate.
    pub rows: Vec<RowVerdict>,
}

/// One check of a comparison.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CandidateCheck {
    /// Its name.
    pub name: String,
    /// Whether it holds.
    pub ok: bool,
    /// What was seen.
    pub detail: String,
}

/// The candidate against one lane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LaneVerdict {
    /// The lane.
    pub lane: String,
    /// Whether it was compared.
    pub state: LaneState,
    /// Why it was not; empty when it was.
    pub rationale: String,
    /// The lane's run.
    pub run_id: Option<String>,
    /// Each dimension; empty when it was not compared.
    pub dimensions: Vec<DimensionVerdict>,
}

/// Whether a lane was compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LaneState {
    /// It was.
    Compared,
    /// It has nothing to be compared with; the rationale says why.
    Blocked,
}

/// One dimension against one lane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DimensionVerdict {
    /// The dimension.
    pub dimension: Dimension,
    /// How the candidate does.
    pub verdict: Standing,
    /// What the candidate lacks.
    pub candidate_lacks: Vec<String>,
    /// What the lane lacks.
    pub lane_lacks: Vec<String>,
}

/// In which engines are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    /// Every field that a report has.
    ReportShape,
    /// Every event, in order, in one chain.
    EventValidity,
    /// Nothing written but what was allowed, nothing forbidden tried.
    AllowedPathCompliance,
    /// Every row of the failure matrix ends closed.
    FailureClosure,
    /// Every artifact and proof.
    ArtifactCompleteness,
}

impl Dimension {
    /// Every dimension, in the order of the spec.
    pub const ALL: [Self; 5] = [
        Self::ReportShape,
        Self::EventValidity,
        Self::AllowedPathCompliance,
        Self::FailureClosure,
        Self::ArtifactCompleteness,
    ];

    /// Returns the word used in documents.
    pub fn word(self) -> &'static str {
        match self {
            Self::ReportShape => "report_shape",
            Self::EventValidity => "event_validity",
            Self::AllowedPathCompliance => "allowed_path_compliance",
            Self::FailureClosure => "failure_closure",
            Self::ArtifactCompleteness => "artifact_completeness",
        }
    }
}

/// How a candidate does against a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It lacks what the lane lacks.
    Matches,
    /// It lacks less.
    Beats,
    /// It lacks something that the lane has.
    FallsShort,
}

impl Standing {
    /// Returns the word used in documents.
    pub fn word(self) -> &'static str {
        match self {
            Self::Matches => "matches",
            Self::Beats => "beats",
            Self::FallsShort => "falls_short",
        }
    }
}

/// One row of the failure matrix for an engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RowVerdict {
    /// The row.
    pub row: String,
    /// Who shows it.
    pub state: RowState,
    /// The run that shows it.
    pub run_id: Option<String>,
    /// Why no run does; empty when one does.
    pub rationale: String,
}

/// Who shows a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RowState {
    /// The engine's own run.
    Closed,
    /// A run that shows what the harness does, whichever engine runs.
    Inherited,
    /// The caller says that it cannot be shown, and why.
    Blocked,
    /// Nobody.
    Open,
}

impl RowState {
    /// Returns the word used in documents.
    pub fn word(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Inherited => "inherited",
            Self::Blocked => "blocked",
            Self::Open => "open",
        }
    }
}
