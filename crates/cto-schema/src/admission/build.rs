//! Build admission: which binary the admitted source gave, and how to know it again.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::blank;
use super::moment::Moment;
use super::source::PackagePin;
use super::text::{CommitId, Line, RecordedPath, WebAddress, Word};
use crate::digest::Sha256Digest;

/// A provider build record (spec 04): the binary of an engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BuildAdmission {
    /// `cto/build-admission/1.0`, which is also meant when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The engine that this binary is.
    pub engine: Word,
    /// Where the source comes from.
    #[serde(default, with = "blank")]
    #[schemars(with = "String")]
    pub source_url: Option<WebAddress>,
    /// The commit that was built.
    #[serde(default, with = "blank")]
    #[schemars(with = "String")]
    pub pinned_commit: Option<CommitId>,
    /// Whether the checkout had no change of its own; null where there was no checkout.
    #[serde(default)]
    pub checkout_clean: Option<bool>,
    /// How it was built.
    #[serde(default, with = "blank")]
    #[schemars(with = "String")]
    pub build_command: Option<Line>,
    /// Versions of the tools that built or run it, by name.
    #[serde(default)]
    pub tool_versions: BTreeMap<Word, Line>,
    /// The package, where it was installed from one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<PackagePin>,
    /// Where the package lies.
    #[serde(default, with = "blank")]
    #[schemars(with = "String")]
    pub package_root: Option<RecordedPath>,
    /// Digest over every file of the package: a changed helper is a changed binary.
    #[serde(default, with = "blank")]
    #[schemars(with = "String")]
    pub package_sha256: Option<Sha256Digest>,
    /// The binary, resolved.
    pub binary_path: RecordedPath,
    /// Its size.
    pub binary_size_bytes: u64,
    /// Its digest.
    pub binary_sha256: Sha256Digest,
    /// How the binary said what it is.
    pub identity_check: IdentityCheck,
    /// The only shape of command that the harness uses.
    pub command_shape: Vec<Line>,
    /// When this record was made.
    pub build_timestamp: Moment,
}

/// What the binary said when it was asked what it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IdentityCheck {
    /// The arguments that it was asked with.
    pub command: Vec<Line>,
    /// The text that had to occur in its answer.
    #[serde(default, with = "blank")]
    #[schemars(with = "String")]
    pub expected: Option<Line>,
    /// Whether it occurred.
    pub passed: bool,
    /// Digest of the answer; null when it was not asked.
    #[serde(default)]
    pub answer_sha256: Option<Sha256Digest>,
}
