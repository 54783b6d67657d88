//! Carrying a plan out, and bringing one that was cut off to its end: forward if the branch moved, back if it did not.

use cto_evidence::{ApplyJournal, Side};
use cto_schema::ApplyEnd;

use super::branch::Standing;
use super::check::check_paths;
use super::commit::MadeCommit;
use super::error::{ApplyError, At as _, Halt, Refusal, chain};
use super::stand_in::StandIn;
use super::{Applied, ApplyOrder, ApplyOutcome, Operation, fault};
use crate::source::SourceRepository;
use crate::tool::Git;

impl<'a> Operation<'a> {
    /// Takes a journal up, which may have been left by a dead process.
    pub(super) fn take_up(
        git: &'a Git,
        target: &'a SourceRepository,
        journal: &'a ApplyJournal,
    ) -> Result<Self, ApplyError> {
        let scratch = journal.scratch().at("make a directory for", journal.name())?;
        let stand_in = StandIn::make(target, super::objects::branch(journal.plan()), &scratch)?;
        Ok(Self {
            git,
            target,
            journal,
            stand_in,
            scratch,
        })
    }

    /// The steps up to the one that decides.
    fn begin(&self, made: &MadeCommit) -> Result<(), Halt> {
        fault::point("journal").at("begin", self.name())?;
        self.lock_index()?;
        fault::point("index locked").at("begin", self.name())?;
        self.write_objects(made)?;
        fault::point("objects written").at("begin", self.name())?;
        // Once more, now that no git can change the index: what was saved or staged meanwhile is seen while it can
        // still be a refusal.
        check_paths(self.git, &self.stand_in, self.target, self.plan(), &self.scratch)?;
        self.move_branch(&made.committer)?;
        Ok(fault::point("branch moved").at("begin", self.name())?)
    }

    /// The steps after it; safe to repeat. Returns a sentence about what is not as it should be.
    pub(super) fn go_forward(&self) -> Result<Option<String>, Halt> {
        self.sync_branch()?;
        let foreign = self.follow_files(Side::After)?;
        fault::point("files").at("finish", self.name())?;
        // Also where a file is foreign: it then shows as what it is, a change on top of the new commit.
        let staged = self.follow_index(Side::After)?;
        fault::point("index followed").at("finish", self.name())?;
        if let Some(why) = foreign_files(&foreign, &self.files_behind(Side::After)?) {
            return Ok(Some(why));
        }
        if let Some(path) = staged {
            return Ok(Some(format!("somebody else has staged \"{path}\"; unstage it")));
        }
        match self.standing()? {
            Standing::New => Ok(None),
            Standing::Old | Standing::MovedOn(_) => Ok(Some("the branch was moved by somebody else".to_owned())),
        }
    }

    /// Undoes what was done; safe to repeat. The branch is not at the new commit, so nothing should have been done but
    /// the steps before it moves; whoever has moved it back by hand left the files, which have their old contents here.
    /// A file of neither side is somebody's work on the old commit, and stays.
    pub(super) fn go_back(&self) -> Result<(), Halt> {
        // Without a trace of the commit nobody has seen it, and what looks like its files is somebody's own work.
        if self.commit_is_named()? {
            if !self.files_behind(Side::Before)?.is_empty() {
                self.follow_files(Side::Before)?;
            }
            if self.index_is_ahead()? {
                self.follow_index(Side::Before)?;
            }
        }
        self.remove_objects()?;
        self.clear_logs()?;
        self.let_go()?;
        Ok(())
    }

    /// Leaves the target as others made it, but for what is only in their way.
    pub(super) fn let_go(&self) -> Result<(), ApplyError> {
        self.sweep_files()?;
        self.unlock_index()?;
        self.clear_branch_lock()
    }
}

/// Says which files are somebody else's.
fn foreign_files(foreign: &[String], behind: &[String]) -> Option<String> {
    let path = foreign.iter().chain(behind).next()?;
    let others = behind.len().max(foreign.len()).saturating_sub(1);
    let and = if others == 0 {
        String::new()
    } else {
        format!(" and {others} more")
    };
    Some(format!(
        "\"{path}\"{and} was changed by somebody else and is left alone; give it the new or the old content"
    ))
}

/// Carries a plan out whose journal is durable.
pub(super) fn carry_out(order: &ApplyOrder<'_>, journal: ApplyJournal) -> Result<ApplyOutcome, ApplyError> {
    let commit = journal.plan().new_commit.clone();
    let not_undone = |why| ApplyError::NotUndone { why };
    let unfinished = |why| ApplyError::Unfinished {
        commit: commit.clone(),
        why,
    };
    let operation = match Operation::take_up(order.git, order.target, &journal) {
        Ok(operation) => operation,
        Err(error) => return Err(not_undone(chain(&error))),
    };
    if let Err(halt) = operation.begin(order.commit) {
        // What decides is where the branch is, not which step complained.
        match operation.branch_is_new() {
            Ok(false) => {}
            Ok(true) => return Err(unfinished(halt.into_text())),
            Err(error) => {
                let why = format!("{}; {}", halt.into_text(), chain(&error));
                return Err(ApplyError::Unknown { commit, why });
            }
        }
        operation.go_back().map_err(|halt| not_undone(halt.into_text()))?;
        let refusal = match halt {
            Halt::Refused(refusal) => refusal,
            Halt::Failed(error) => Refusal::Undone { why: chain(&error) },
        };
        let finished = journal.finish(ApplyEnd::RolledBack, &refusal.to_string());
        finished.map_err(|error| not_undone(chain(&error)))?;
        return Ok(ApplyOutcome::Refused(refusal));
    }
    match operation.go_forward() {
        Ok(None) => {}
        Ok(Some(why)) => return Err(unfinished(why)),
        Err(halt) => return Err(unfinished(halt.into_text())),
    }
    let finished = fault::point("before done").at("finish", operation.name());
    finished.map_err(|error| unfinished(chain(&error)))?;
    let finished = journal.finish(ApplyEnd::Committed, "");
    finished.map_err(|error| unfinished(chain(&error)))?;
    Ok(ApplyOutcome::Applied(Applied { target_commit: commit }))
}
