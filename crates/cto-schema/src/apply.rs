//! `plan.json` and `done.json` of an apply: what is put into an operator's repository, and what became of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;
use crate::ids::RunId;
use crate::paths::PathText;
use crate::write_set::{EntryKind, EntryState};

/// Everything that recovery must know to finish or to undo one change of a target repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplyPlan {
    /// `cto/apply/1.0`.
    pub schema: String,
    /// The run whose verified change this is, or whose commit is taken back.
    pub run_id: RunId,
    /// Whether the change is made or taken back.
    pub kind: ApplyKind,
    /// The repository.
    pub target: ApplyTarget,
    /// What moves to the new commit.
    pub moves: ApplyRef,
    /// The approved commit, which the ref must still name.
    pub old_commit: String,
    /// The one commit that is put on top of it.
    pub new_commit: String,
    /// The tree of the new commit.
    pub new_tree: String,
    /// Loose objects that the target did not have, in the order in which they are written: the commit is last.
    pub new_objects: Vec<String>,
    /// Paths whose entry differs between the two commits, sorted by bytes. The position of a path is the name of its
    /// content in `pre/` and `post/`.
    pub paths: Vec<ApplyPath>,
    /// When the plan was made, RFC 3339 UTC; objects and locks of this apply are told by it.
    pub planned_at: String,
}

/// What an apply is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApplyKind {
    /// A verified change becomes a commit.
    Apply,
    /// The commit of an earlier apply is taken back by an inverse one.
    Revert,
}

/// A target repository, so that another one in its place is told from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplyTarget {
    /// Absolute path of the work tree.
    pub path: PathText,
    /// Device number of the work tree's directory, decimal.
    pub device: String,
    /// Inode number of the work tree's directory, decimal.
    pub inode: String,
}

/// What `HEAD` of a work tree is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum ApplyRef {
    /// It names a branch.
    Branch {
        /// The full name, for example `refs/heads/main`.
        name: String,
    },
    /// It holds a commit itself; an apply refuses this.
    DetachedHead,
}

/// One changed path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplyPath {
    /// The path, relative to the root of the work tree.
    pub path: PathText,
    /// The old commit's entry; null when it has none.
    pub before: Option<ApplyEntry>,
    /// The new commit's entry; null when it has none.
    pub after: Option<ApplyEntry>,
}

/// One side of a changed path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplyEntry {
    /// Type, with git's executable bit.
    pub kind: EntryKind,
    /// Digest of the content, or of the link text.
    pub digest: Sha256Digest,
    /// Bytes of the content, or of the link text.
    pub size_bytes: u64,
    /// The blob's object id.
    pub object: String,
}

impl ApplyEntry {
    /// Returns the entry as the work tree shows it.
    pub fn state(&self) -> EntryState {
        EntryState {
            kind: self.kind,
            digest: self.digest,
            size_bytes: self.size_bytes,
        }
    }
}

/// What became of an apply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplyDone {
    /// `cto/apply-done/1.0`.
    pub schema: String,
    /// The run.
    pub run_id: RunId,
    /// How it ended.
    pub outcome: ApplyEnd,
    /// The commit that the target has now; null unless committed.
    pub target_commit: Option<String>,
    /// What was seen; empty when there is nothing to say.
    pub detail: String,
    /// When, RFC 3339 UTC.
    pub done_at: String,
}

/// How an apply ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApplyEnd {
    /// Ref, files and index of the target are the new commit's.
    Committed,
    /// The target is what it was.
    RolledBack,
    /// The target has moved on by another hand; nothing was changed any more.
    Abandoned,
}
