//! What an installation signs beside a sealed bundle: that a commit was taken back, and when an operator's word was heard.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::attestation::Subject;

/// Type of the predicate that says that a commit was taken back.
pub const ROLLBACK_PREDICATE_TYPE: &str = "urn:cto:attestation:rollback:1.0";
/// Type of the predicate that says when an operator's word was heard.
pub const HEARD_PREDICATE_TYPE: &str = "urn:cto:attestation:outcome-heard:1.0";

/// An in-toto Statement v1 about the commit of a run, which was taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RollbackStatement {
    /// `https://in-toto.io/Statement/v1`.
    #[serde(rename = "_type")]
    pub kind: String,
    /// Exactly one: the commit that was taken back.
    pub subject: Vec<CommitSubject>,
    /// [`ROLLBACK_PREDICATE_TYPE`].
    pub predicate_type: String,
    /// What became of it.
    pub predicate: RollbackPredicate,
}

/// A commit as the subject of a statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommitSubject {
    /// The run that made it.
    pub name: String,
    /// Its digest, as git names it.
    pub digest: CommitDigest,
}

/// The digest of a commit in in-toto's DigestSet form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommitDigest {
    /// The commit's name in git, hexadecimal.
    #[serde(rename = "gitCommit")]
    pub git_commit: String,
}

/// `cto/rollback/1.0`: the commit of a run was taken back by an inverse one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RollbackPredicate {
    /// `cto/rollback/1.0`.
    pub schema: String,
    /// The run.
    pub run_id: String,
    /// The commit of the run.
    pub reverted: String,
    /// The inverse commit.
    pub commit: String,
    /// When, RFC 3339 UTC.
    pub rolled_back_at: String,
}

/// An in-toto Statement v1 about an operator's word, which the installation heard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeardStatement {
    /// `https://in-toto.io/Statement/v1`.
    #[serde(rename = "_type")]
    pub kind: String,
    /// Exactly one: `operator-outcome.json`.
    pub subject: Vec<Subject>,
    /// [`HEARD_PREDICATE_TYPE`].
    pub predicate_type: String,
    /// When it was heard.
    pub predicate: HeardPredicate,
}

/// `cto/outcome-heard/1.0`: an operator's word came in, by the clock of the installation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeardPredicate {
    /// `cto/outcome-heard/1.0`.
    pub schema: String,
    /// The run.
    pub run_id: String,
    /// When, RFC 3339 UTC.
    pub heard_at: String,
}
