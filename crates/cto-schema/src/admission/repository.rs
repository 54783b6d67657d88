//! Target repository admission: the one repository that a stage 5 run may change.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::blank;
use super::moment::Moment;
use super::text::{Line, RecordedPath, Word};

/// A target repository admission record (spec 04). What is blank is judged, each with its own reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RepositoryAdmission {
    /// `cto/repository-admission/1.0`, which is also meant when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// `admitted` or `not_admitted`.
    pub admission_status: RepositoryStatus,
    /// Relative globs that may change.
    #[serde(default)]
    pub allowed_paths: Vec<Line>,
    /// Who approved it, and where that is written.
    #[serde(default, with = "blank")]
    #[schemars(with = "String")]
    pub approval_source: Option<Line>,
    /// When.
    #[serde(default, with = "blank")]
    #[schemars(with = "String")]
    pub approval_timestamp: Option<Moment>,
    /// Actions that may not be attempted; all ten of spec 02.
    #[serde(default)]
    pub forbidden_actions: Vec<Word>,
    /// Relative globs that may not change.
    #[serde(default)]
    pub forbidden_paths: Vec<Line>,
    /// Why it is not critical.
    #[serde(default, with = "blank")]
    #[schemars(with = "String")]
    pub noncritical_rationale: Option<Line>,
    /// Must be true: the operator accepts or rejects afterwards.
    #[serde(default)]
    pub operator_outcome_required: bool,
    /// What shows who owns it.
    #[serde(default, with = "blank")]
    #[schemars(with = "String")]
    pub ownership_evidence: Option<Line>,
    /// Who owns it.
    #[serde(default, with = "blank")]
    #[schemars(with = "String")]
    pub repository_owner: Option<Line>,
    /// What makes this admission due for review.
    #[serde(default, with = "blank")]
    #[schemars(with = "String")]
    pub review_trigger: Option<Line>,
    /// Must be `low_risk_noncritical`.
    #[serde(default, with = "blank")]
    #[schemars(with = "String")]
    pub risk_classification: Option<Word>,
    /// The repository; blank unless it is admitted.
    #[serde(default, with = "blank")]
    #[schemars(with = "String")]
    pub target_repository_path: Option<RecordedPath>,
}

/// Whether a target repository is admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RepositoryStatus {
    /// It is.
    Admitted,
    /// It is not.
    NotAdmitted,
}
