//! Applies that a dead process left: each is finished if its branch moved, undone if not, and otherwise reported.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use cto_evidence::{ApplyJournal, ApplyJournalError, Home, unfinished_applies};
use cto_schema::{ApplyEnd, RunId};

use super::branch::Standing;
use super::error::{ApplyError, Halt, chain};
use super::{Operation, fault};
use crate::source::SourceRepository;
use crate::tool::Git;

/// An apply that recovery looked after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplyRecovery {
    /// The run; `None` when its plan cannot be read.
    pub run_id: Option<RunId>,
    /// The target's path, if it is known.
    pub target: Option<PathBuf>,
    /// What became of it.
    pub outcome: RecoveredApply,
}

/// What became of an unfinished apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecoveredApply {
    /// The target has the commit, in branch, files and index.
    Committed {
        /// The commit.
        target_commit: String,
    },
    /// The target is what it was before.
    RolledBack,
    /// The target has moved on; it was left as it is.
    Abandoned {
        /// What was seen.
        seen: String,
    },
    /// It could not be brought to an end; the next recovery tries again.
    Unfinished {
        /// What is in the way.
        why: String,
    },
}

/// Brings every apply to its end whose process is dead. Safe to kill at any point and to call again.
pub fn recover_applies(home: &Home, git: &Git) -> Result<Vec<ApplyRecovery>, ApplyJournalError> {
    let found = unfinished_applies(home)?;
    Ok(found.into_iter().map(|journal| recover_one(git, journal)).collect())
}

fn recover_one(git: &Git, journal: Result<ApplyJournal, ApplyJournalError>) -> ApplyRecovery {
    let journal = match journal {
        Ok(journal) => journal,
        Err(error) => {
            return ApplyRecovery {
                run_id: None,
                target: None,
                outcome: RecoveredApply::Unfinished { why: chain(&error) },
            };
        }
    };
    let run_id = Some(journal.plan().run_id.clone());
    let target = journal
        .plan()
        .target
        .path
        .bytes()
        .map(|path| OsStr::from_bytes(&path).into());
    let outcome = end(git, journal).unwrap_or_else(|halt| RecoveredApply::Unfinished { why: halt.into_text() });
    ApplyRecovery {
        run_id,
        target,
        outcome,
    }
}

fn end(git: &Git, journal: ApplyJournal) -> Result<RecoveredApply, Halt> {
    let plan = journal.plan();
    let path = plan.target.path.bytes().ok_or(ApplyError::Answer {
        what: "the target's path",
    })?;
    let target = SourceRepository::open(OsStr::from_bytes(&path).as_ref())?;
    let (device, inode) = target.identity();
    if (device.to_string(), inode.to_string()) != (plan.target.device.clone(), plan.target.inode.clone()) {
        return Err(super::Refusal::Identity.into());
    }
    let _lock = target.lock()?;
    let operation = Operation::take_up(git, &target, &journal)?;
    let standing = operation.standing()?;
    let (end, outcome) = match standing {
        Standing::New => match operation.go_forward()? {
            None => {
                let target_commit = plan.new_commit.clone();
                (ApplyEnd::Committed, RecoveredApply::Committed { target_commit })
            }
            Some(why) => return Ok(RecoveredApply::Unfinished { why }),
        },
        Standing::Old => {
            operation.go_back()?;
            (ApplyEnd::RolledBack, RecoveredApply::RolledBack)
        }
        Standing::MovedOn(seen) => {
            operation.let_go()?;
            (ApplyEnd::Abandoned, RecoveredApply::Abandoned { seen })
        }
    };
    fault::point("before done").map_err(|source| ApplyError::Io {
        what: "finish",
        path: target.path().to_owned(),
        source,
    })?;
    let detail = match &outcome {
        RecoveredApply::Abandoned { seen } => format!("the target has moved on: {seen}"),
        _ => "by recovery".to_owned(),
    };
    journal.finish(end, &detail)?;
    Ok(outcome)
}
