//! The endgoal audit: each law and each requirement, and the bundles that prove it (spec 00, spec 10).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fixed::{NotActivated, NotPromoted};

/// An audit of what an installation has on record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// `cto/audit/1.0`.
    pub schema: String,
    /// RFC 3339 UTC.
    pub audited_at: String,
    /// Version of the harness that audits.
    pub harness_version: String,
    /// Whether everything is proven.
    pub completion_status: CompletionStatus,
    /// How many bundles were checked.
    pub bundles_checked: u32,
    /// Bundles on record that do not verify, or are gone.
    pub bundles_failed: Vec<String>,
    /// Every law and requirement, in order.
    pub lines: Vec<AuditLine>,
    /// Never true.
    pub runtime_default_activation: NotActivated,
    /// Never anything else.
    pub core_promotion_status: NotPromoted,
}

/// Whether everything is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CompletionStatus {
    /// It is.
    Complete,
    /// Something is not.
    Incomplete,
}

/// One law or requirement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditLine {
    /// Stable name.
    pub id: String,
    /// A law of the system, or a requirement of its endgoal.
    pub kind: AuditKind,
    /// What it says.
    pub text: String,
    /// Whether bundles prove it.
    pub status: AuditStatus,
    /// What proves it.
    pub proven_by: Vec<AuditProof>,
    /// What is missing, each with how to put it on record.
    pub missing: Vec<String>,
}

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuditKind {
    /// A law (spec 00).
    Law,
    /// A requirement (spec 10).
    Requirement,
}

/// Whether a line is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuditStatus {
    /// It is, by what is named.
    Proven,
    /// It is not.
    NotProven,
}

/// What proves a part of a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditProof {
    /// What had to be shown.
    pub need: String,
    /// Where it is shown, relative to the home; empty where every bundle shows it.
    pub path: String,
}
