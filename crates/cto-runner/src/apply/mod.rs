//! Stage 5's one effect: a verified change becomes exactly one commit of the operator's repository, or nothing does.
//!
//! `put` below is the order of the steps. Everything that recovery needs is durable in a journal outside the target
//! before the first step that the target can see; the branch is the one thing that decides whether what was begun is
//! finished or undone. The target's settings are never read by a git of ours (`stand_in.rs`).

mod branch;
mod changes;
mod check;
mod commit;
mod error;
mod fault;
mod files;
mod index;
mod objects;
mod place;
mod recover;
mod revert;
mod room;
mod settle;
mod stand_in;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use cto_evidence::{ApplyDraft, ApplyJournal, Home, rfc3339, wall_now};
use cto_schema::{ApplyKind, ApplyPlan, ApplyRef, ApplyTarget, PathText, RunId, SchemaId};

use crate::source::{SourceLock, SourceRepository};
use crate::tool::Git;

pub(crate) use commit::verified;
pub use commit::{CommitError, CommitText, MadeCommit, Person, make_commit};
pub use error::{ApplyError, Refusal};
pub use recover::{ApplyRecovery, RecoveredApply, recover_applies};
pub use revert::{RevertOrder, revert};

use error::{At as _, Halt};
use stand_in::StandIn;

/// What was approved; each is looked at again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Device and inode of the work tree.
    pub identity: (u64, u64),
    /// The branch that `HEAD` names, in full: `refs/heads/main`.
    pub branch: String,
    /// Its commit.
    pub commit: String,
}

/// What is to be applied, and where.
#[derive(Debug)]
pub struct ApplyOrder<'a> {
    /// Where journals are kept.
    pub home: &'a Home,
    /// The harness's git.
    pub git: &'a Git,
    /// The run whose change it is.
    pub run_id: &'a RunId,
    /// The opened target.
    pub target: &'a SourceRepository,
    /// Shows that the target is locked for this run alone.
    pub lock: &'a SourceLock,
    /// What was approved.
    pub expected: &'a Expected,
    /// The commit, with [`Expected::commit`] as its parent.
    pub commit: &'a MadeCommit,
}

/// How an apply ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApplyOutcome {
    /// Branch, files and index of the target are the new commit's, durably.
    Applied(Applied),
    /// The target is what it was.
    Refused(Refusal),
}

/// A finished apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The target's one new commit.
    pub target_commit: String,
}

/// Puts a commit into the target: all of it, or nothing.
///
/// [`ApplyError`] says after which errors something is left to do.
pub fn apply(order: &ApplyOrder<'_>) -> Result<ApplyOutcome, ApplyError> {
    put(order, ApplyKind::Apply)
}

/// A change in progress: its journal is durable.
#[derive(Debug)]
struct Operation<'a> {
    git: &'a Git,
    target: &'a SourceRepository,
    journal: &'a ApplyJournal,
    stand_in: StandIn,
    scratch: PathBuf,
}

impl Operation<'_> {
    fn plan(&self) -> &ApplyPlan {
        self.journal.plan()
    }

    fn name(&self) -> &str {
        self.journal.name()
    }

    fn branch(&self) -> &str {
        objects::branch(self.plan())
    }
}

fn put(order: &ApplyOrder<'_>, kind: ApplyKind) -> Result<ApplyOutcome, ApplyError> {
    let draft = ApplyDraft::begin(order.home)?;
    let plan = match prepare(order, kind, &draft) {
        Ok(plan) => plan,
        Err(Halt::Refused(refusal)) => return Ok(ApplyOutcome::Refused(refusal)),
        Err(Halt::Failed(error)) => return Err(error),
    };
    fault::point("before journal").at("make", "the journal")?;
    settle::carry_out(order, draft.ready(plan)?)
}

/// Makes the plan and checks that it can be carried out; the target is only looked at.
fn prepare(order: &ApplyOrder<'_>, kind: ApplyKind, draft: &ApplyDraft) -> Result<ApplyPlan, Halt> {
    let ApplyOrder {
        git, target, commit, ..
    } = order;
    check::check_target(target, order.expected)?;
    if commit.parent != order.expected.commit {
        return Err(error::ApplyError::Answer {
            what: "the commit's parent",
        }
        .into());
    }
    let scratch = draft.scratch().at("make a directory for", "the journal")?;
    let mut stand_in = StandIn::make(target, &order.expected.branch, &scratch)?;
    let new_objects = objects::missing(git, &stand_in, commit)?;
    check::check_fans(target, &new_objects)?;
    stand_in.add_new(&commit.git_dir);
    let call = |command: &str| stand_in.with_new(command);
    let paths = changes::read_changes(git, &call, [&commit.parent, &commit.commit], draft)?;
    let (device, inode) = target.identity();
    let plan = ApplyPlan {
        schema: SchemaId::APPLY.to_string(),
        run_id: order.run_id.clone(),
        kind,
        target: ApplyTarget {
            path: PathText::new(path_bytes(target.path())),
            device: device.to_string(),
            inode: inode.to_string(),
        },
        moves: ApplyRef::Branch {
            name: order.expected.branch.clone(),
        },
        old_commit: commit.parent.clone(),
        new_commit: commit.commit.clone(),
        new_tree: commit.tree.clone(),
        new_objects,
        paths,
        planned_at: rfc3339(wall_now()),
    };
    check::check_paths(git, &stand_in, target, &plan, &scratch)?;
    check::check_clean(git, &stand_in, &plan, draft, &scratch)?;
    Ok(plan)
}

fn path_bytes(path: &Path) -> &[u8] {
    std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str())
}
