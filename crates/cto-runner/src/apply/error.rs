//! Why nothing was changed, and why something is not known.

use std::io;
use std::path::PathBuf;

use cto_evidence::ApplyJournalError;

use super::commit::CommitError;
use crate::source::SourceError;
use crate::tool::GitError;

/// A *no*: the target is what it was. The text is a sentence that says what was seen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The path leads to another directory.
    #[error("the target is not the directory that was approved: another one is in its place")]
    Identity,
    /// `HEAD` names no branch.
    #[error("`HEAD` of the target is detached; check out the branch that is to move")]
    Detached,
    /// `HEAD` names another branch, or no plain one.
    #[error("`HEAD` of the target names {found}, not {expected}")]
    Head {
        /// What was approved.
        expected: String,
        /// What was found, escaped.
        found: String,
    },
    /// The branch is at another commit.
    #[error("the target has moved on: {branch} is at {found}, not at {expected}")]
    Moved {
        /// The branch.
        branch: String,
        /// What was expected.
        expected: String,
        /// What was found.
        found: String,
    },
    /// As above, and there is a commit that could be taken back by hand.
    #[error("the target has moved on since {commit}: {seen}; run `git revert {commit}` there")]
    CannotRevert {
        /// The commit.
        commit: String,
        /// What was seen.
        seen: String,
    },
    /// As above, and it is not the branch but a file that is in the way; `git revert` would meet the same.
    #[error(
        "{seen}; commit {commit} is still the newest: stash or undo what was changed there, then run cto rollback again"
    )]
    InTheWay {
        /// The commit.
        commit: String,
        /// What was seen.
        seen: String,
    },
    /// Moving the branch would pull the floor from under another work tree.
    #[error("{branch} is also checked out in {place}")]
    Elsewhere {
        /// The branch.
        branch: String,
        /// Where.
        place: String,
    },
    /// git is in the middle of something.
    #[error("the target is in the middle of {what}; finish or abort it")]
    InProgress {
        /// What.
        what: &'static str,
    },
    /// Somebody holds a lock.
    #[error("`{name}` is there: a git works in the target, or one died; if none runs, remove the file")]
    Locked {
        /// The lock's name below the git directory.
        name: String,
    },
    /// A path of the change is not what the old commit says.
    #[error("\"{path}\" {what}")]
    Path {
        /// The path, escaped.
        path: String,
        /// What is there.
        what: &'static str,
    },
    /// The target cannot carry the change out.
    #[error("the target {what}")]
    Unsupported {
        /// What it does or lacks.
        what: &'static str,
    },
    /// A step failed, and all steps before it were undone.
    #[error("nothing was changed: {why}")]
    Undone {
        /// The failure and its causes.
        why: String,
    },
}

/// An apply that failed.
///
/// Only after [`ApplyError::Unfinished`], [`ApplyError::NotUndone`] and [`ApplyError::Unknown`] is there anything of it
/// in the target, and a journal that [`crate::recover_applies`] ends; after any other error the target is what it was.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The target could not be looked at.
    #[error("look at the target")]
    Source {
        /// Why.
        #[from]
        source: SourceError,
    },
    /// The journal failed.
    #[error("keep a journal of the change")]
    Journal {
        /// Why.
        #[from]
        source: ApplyJournalError,
    },
    /// The inverse commit could not be made.
    #[error("make the inverse commit")]
    Commit {
        /// Why.
        #[from]
        source: CommitError,
    },
    /// git gave no answer.
    #[error("{what} with git")]
    Git {
        /// What it was asked for.
        what: &'static str,
        /// Why.
        source: GitError,
    },
    /// A file could not be read or written.
    #[error("{what} {}", .path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// git said what it never says.
    #[error("understand what git says about {what}")]
    Answer {
        /// What it was asked for.
        what: &'static str,
    },
    /// The branch has the new commit; files or index do not have all of it.
    #[error(
        "finish the change of the target, which has commit {commit} already: {why}; mend that and run: cto recover"
    )]
    Unfinished {
        /// The new commit.
        commit: String,
        /// What is left, with causes.
        why: String,
    },
    /// The branch could not be read after the step that moves it.
    #[error("tell whether the target has commit {commit}: {why}; mend that and run: cto recover")]
    Unknown {
        /// The new commit.
        commit: String,
        /// What failed, with causes.
        why: String,
    },
    /// Nothing of the new commit is visible, but what was prepared could not be removed.
    #[error("undo what was prepared in the target: {why}; mend that and run: cto recover")]
    NotUndone {
        /// What failed, with causes.
        why: String,
    },
}

impl ApplyError {
    /// Returns the commit that the target's branch has, or may have, although files or index do not follow it yet:
    /// whoever reports on the target must name it.
    pub fn target_commit(&self) -> Option<&str> {
        match self {
            Self::Unfinished { commit, .. } | Self::Unknown { commit, .. } => Some(commit),
            _ => None,
        }
    }
}

/// Why a step did not come to its end.
#[derive(Debug)]
pub(super) enum Halt {
    Refused(Refusal),
    Failed(ApplyError),
}

impl Halt {
    /// Returns what happened, with its causes.
    pub(super) fn into_text(self) -> String {
        match self {
            Self::Refused(Refusal::Undone { why }) => why,
            Self::Refused(refusal) => refusal.to_string(),
            Self::Failed(error) => chain(&error),
        }
    }
}

impl From<Refusal> for Halt {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl<E: Into<ApplyError>> From<E> for Halt {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Names the place of a system's error.
pub(super) trait At<T> {
    fn at(self, what: &'static str, path: impl Into<PathBuf>) -> Result<T, ApplyError>;
}

impl<T, E: Into<io::Error>> At<T> for Result<T, E> {
    fn at(self, what: &'static str, path: impl Into<PathBuf>) -> Result<T, ApplyError> {
        self.map_err(|error| ApplyError::Io {
            what,
            path: path.into(),
            source: error.into(),
        })
    }
}

/// Writes an error and its causes in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}
