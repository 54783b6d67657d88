//! Taking one applied commit back: an inverse commit on top of it, put there by the very same steps.

use std::path::Path;

use cto_evidence::Home;
use cto_schema::{ApplyKind, RunId};

use super::commit::{CommitError, CommitText, write_commit};
use super::error::{ApplyError, Refusal};
use super::{ApplyOrder, ApplyOutcome, Expected, put};
use crate::baseline::init_bare;
use crate::source::{SourceLock, SourceRepository};
use crate::tool::{Git, GitCall};

/// Which applied commit is taken back, and where.
#[derive(Debug)]
pub struct RevertOrder<'a> {
    /// Where journals are kept.
    pub home: &'a Home,
    /// The harness's git.
    pub git: &'a Git,
    /// The run whose commit it is.
    pub run_id: &'a RunId,
    /// The opened target.
    pub target: &'a SourceRepository,
    /// Shows that the target is locked for this alone.
    pub lock: &'a SourceLock,
    /// Device and inode of the target when the commit was applied.
    pub identity: (u64, u64),
    /// The branch that got the commit.
    pub branch: &'a str,
    /// The applied commit.
    pub target_commit: &'a str,
    /// What the inverse commit says.
    pub text: CommitText<'a>,
    /// An empty directory of the harness.
    pub directory: &'a Path,
}

/// Takes an applied commit back, if the branch is still at it and its files are still what it made them.
pub fn revert(order: &RevertOrder<'_>) -> Result<ApplyOutcome, ApplyError> {
    let expected = Expected {
        identity: order.identity,
        branch: order.branch.to_owned(),
        commit: order.target_commit.to_owned(),
    };
    let cannot = |seen: String| {
        Ok(ApplyOutcome::Refused(Refusal::CannotRevert {
            commit: order.target_commit.to_owned(),
            seen,
        }))
    };
    let found = order.target.branch_commit(order.branch)?;
    if found.as_deref() != Some(order.target_commit) {
        let found = found.unwrap_or_else(|| "nothing".to_owned());
        return cannot(format!("{} is at {found}", order.branch));
    }
    let tree = old_tree(order)?;
    let git_dir = order.directory.join("commit");
    init_bare(&git_dir, order.target.format()).map_err(|source| CommitError::Io {
        path: git_dir.clone(),
        source,
    })?;
    let commit = write_commit(
        order.git,
        order.target.format(),
        &tree,
        order.target_commit,
        order.text,
        &git_dir,
    )?;
    let outcome = put(
        &ApplyOrder {
            home: order.home,
            git: order.git,
            run_id: order.run_id,
            target: order.target,
            lock: order.lock,
            expected: &expected,
            commit: &commit,
        },
        ApplyKind::Revert,
    )?;
    match outcome {
        ApplyOutcome::Refused(refusal @ Refusal::Path { .. }) => Ok(ApplyOutcome::Refused(Refusal::InTheWay {
            commit: order.target_commit.to_owned(),
            seen: refusal.to_string(),
        })),
        ApplyOutcome::Refused(refusal @ (Refusal::Moved { .. } | Refusal::Head { .. })) => cannot(refusal.to_string()),
        other => Ok(other),
    }
}

/// Returns the tree of the commit before the applied one, from the target's objects.
fn old_tree(order: &RevertOrder<'_>) -> Result<String, ApplyError> {
    let reader = order.directory.join("reader");
    init_bare(&reader, order.target.format()).map_err(|source| CommitError::Io {
        path: reader.clone(),
        source,
    })?;
    let objects = order.target.objects()?.objects;
    let wanted = format!("{}^1^{{tree}}", order.target_commit);
    let call = GitCall::new("rev-parse").args(["--verify", &wanted]);
    let said = order
        .git
        .run(call.git_dir(&reader).alternate_objects(&objects).cap(256));
    let said = said.map_err(|source| ApplyError::Git {
        what: "find the commit before the applied one",
        source,
    })?;
    Ok(String::from_utf8_lossy(said.trim_ascii()).into_owned())
}
