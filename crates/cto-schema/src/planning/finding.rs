//! What a validation of a planning workspace found.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rule::RuleId;
use crate::digest::Sha256Digest;

/// What `cto workspace validate --json` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkspaceValidation {
    /// `cto/workspace-validation/1.0`.
    pub schema: String,
    /// True when there is no error.
    pub ok: bool,
    /// How many files were looked at.
    pub checked: u32,
    /// What was looked at, counted.
    pub counts: ValidationCounts,
    /// Whether the warnings that `--strict` names were errors.
    pub strict: bool,
    /// The rules that were applied.
    pub rules: ValidationRules,
    /// What must be mended, by file and line.
    pub errors: Vec<WorkspaceFinding>,
    /// What should be looked at, by file and line.
    pub warnings: Vec<WorkspaceFinding>,
}

/// The rules that a validation applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ValidationRules {
    /// `built-in`, or the file that changes them, escaped.
    pub source: String,
    /// Digest of that file's bytes, or of the built-in ones.
    pub digest: Sha256Digest,
    /// Rules whose level that file lowers.
    pub lowered: Vec<RuleId>,
}

/// What was looked at, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ValidationCounts {
    /// Markdown documents.
    pub documents: u32,
    /// Entries of the workboard.
    pub work: u32,
    /// Issues.
    pub issues: u32,
    /// JSON records that were judged.
    pub records: u32,
    /// References to files.
    pub references: u32,
    /// Commits that were asked for.
    pub commits: u32,
    /// Bundles that were verified.
    pub bundles: u32,
    /// Claims that were held against a bundle.
    pub claims: u32,
    /// External validators that ran.
    pub validators: u32,
}

/// One finding. Every text is escaped.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct WorkspaceFinding {
    /// The file, relative to the workspace.
    pub file: String,
    /// The line, from 1; null where the file as a whole is meant.
    pub line: Option<u32>,
    /// The rule.
    pub rule: RuleId,
    /// What was seen, as a sentence without a full stop.
    pub message: String,
    /// What to do about it.
    pub mend: String,
}
