//! Source admission: what agent this is, and from where.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::blank;
use super::moment::Moment;
use super::text::{BranchName, CommitId, Integrity, Line, PackageName, PackageVersion, TagName, WebAddress, Word};
use crate::contract::MutationMode;

/// A source admission record (spec 04).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceAdmission {
    /// `cto/source-admission/1.0`, which is also meant when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// `admitted`; every other word admits nothing.
    pub admission_status: Word,
    /// Name of the source, which is the agent's.
    pub source_name: Word,
    /// Where it comes from.
    pub source_url: WebAddress,
    /// `git`, `npm`, `pypi`, `archive`, …
    pub source_type: Word,
    /// The branch that was looked at, for information.
    #[serde(default, with = "blank")]
    #[schemars(with = "String")]
    pub observed_branch: Option<BranchName>,
    /// The commit that is admitted.
    #[serde(default, with = "blank")]
    #[schemars(with = "String")]
    pub pinned_commit: Option<CommitId>,
    /// The tag that is admitted, where there is no commit.
    #[serde(default, with = "blank")]
    #[schemars(with = "String")]
    pub pinned_tag: Option<TagName>,
    /// The package that is admitted, in place of a commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned_package: Option<PackagePin>,
    /// Date of the commit or release.
    pub commit_date: Moment,
    /// When the source was retrieved.
    pub retrieval_date: Moment,
    /// How it was retrieved.
    pub retrieval_command: Line,
    /// What shows that it is the same source.
    pub integrity_reference: Integrity,
    /// What its licence permits.
    pub licence_note: LicenceNote,
    /// Which part of the source must not be changed or copied.
    pub protected_source_boundary: Line,
    /// Mutation modes in which the agent may run.
    pub allowed_execution_modes: Vec<MutationMode>,
    /// The source id before the pin changed.
    #[serde(default, with = "blank")]
    #[schemars(with = "String")]
    pub previous_source_id: Option<Line>,
}

/// One exact release of a package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PackagePin {
    /// Its name.
    pub name: PackageName,
    /// Its version.
    pub version: PackageVersion,
    /// Its integrity, as the registry or the installer recorded it.
    pub integrity: Integrity,
}

/// What a licence permits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LicenceNote {
    /// Whether the question is settled.
    pub status: LicenceStatus,
    /// The licence, as an SPDX expression or in words.
    #[serde(default, with = "blank")]
    #[schemars(with = "String")]
    pub licence: Option<Line>,
    /// Mutation modes that it permits.
    #[serde(default)]
    pub permits: Vec<MutationMode>,
    /// Anything else, for people.
    #[serde(default, with = "blank")]
    #[schemars(with = "String")]
    pub note: Option<Line>,
}

/// Whether a licence question is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LicenceStatus {
    /// It is; `permits` says the outcome.
    Resolved,
    /// It is not.
    Unresolved,
}

impl SourceAdmission {
    /// Returns the source's identity: its name and what is pinned; `None` when nothing is.
    pub fn source_id(&self) -> Option<String> {
        let pin = match (&self.pinned_commit, &self.pinned_package, &self.pinned_tag) {
            (Some(commit), _, _) => commit.to_string(),
            (None, Some(package), _) => format!("{}@{}", package.name, package.version),
            (None, None, Some(tag)) => tag.to_string(),
            (None, None, None) => return None,
        };
        Some(format!("{}@{pin}", self.source_name))
    }
}
