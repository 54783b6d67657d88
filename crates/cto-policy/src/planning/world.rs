//! What is asked of the world, and what it answers.

use std::collections::{BTreeMap, BTreeSet};

use cto_schema::Status;

/// Everything that the documents of a workspace refer to outside themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorldQuestions {
    /// Paths relative to the workspace; those that leave it start with `../`.
    pub paths: BTreeSet<String>,
    /// Commit ids, full or abbreviated.
    pub commits: BTreeSet<String>,
    /// Bundles.
    pub bundles: BTreeSet<BundleQuestion>,
}

/// A bundle that a document names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BundleQuestion {
    /// Directory of the document, relative to the workspace.
    pub directory: String,
    /// The path or id, as written.
    pub name: String,
}

/// What the world answered. What is missing here was not found.
#[derive(Clone, Debug, Default)]
pub struct WorldAnswers {
    /// The paths that exist.
    pub paths: BTreeSet<String>,
    /// Each commit.
    pub commits: BTreeMap<String, CommitAnswer>,
    /// Each bundle.
    pub bundles: BTreeMap<BundleQuestion, BundleAnswer>,
    /// Bundles that lie in the workspace, by their path, whether or not a document names them.
    pub inside: BTreeMap<String, BundleAnswer>,
}

/// Whether a commit exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommitAnswer {
    /// In one of the repositories.
    Known,
    /// In none of them.
    Unknown,
    /// The abbreviation fits several objects.
    Ambiguous,
    /// Nobody could be asked; the reason is a sentence without a full stop.
    Unasked(String),
}

/// What came of looking for a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BundleAnswer {
    /// It is in none of the places that were looked at.
    Missing,
    /// It cannot be read, or does not verify; the reason is a sentence without a full stop.
    Unverified(String),
    /// It verifies, and says this.
    Verified(BundleFacts),
}

/// What a bundle that verifies says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleFacts {
    /// The status, recomputed.
    pub status: Status,
    /// The changed files of its report.
    pub changed_files: BTreeSet<String>,
    /// Its files, each with its digest as hex; `SHA256SUMS` among them.
    pub digests: BTreeMap<String, String>,
    /// Further digests that it states: its contract's canonical form, its report's.
    pub stated: BTreeSet<String>,
}
