//! Carrying a plan out, and bringing one that was cut off to its end: forward if the branch moved, back if it did not.

use cto_evidence::ApplyJournal;
use cto_schema::ApplyEnd;

use super::branch::Standing;
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
        self.lock_index()?;
        fault::point("index locked").at("begin", self.name())?;
        self.write_objects(made)?;
        fault::point("objects written").at("begin", self.name())?;
        self.move_branch(&made.committer)?;
        Ok(fault::point("branch moved").at("begin", self.name())?)
    }

    /// The steps after it; safe to repeat. Returns a sentence about what is not as it should be.
    pub(super) fn go_forward(&self) -> Result<Option<String>, Halt> {
        self.sync_branch()?;
        let foreign = self.follow_files()?;
        fault::point("files").at("finish", self.name())?;
        // Also where a file is foreign: it then shows as what it is, a change on top of the new commit.
        self.follow_index()?;
        fault::point("index followed").at("finish", self.name())?;
        let behind = self.files_behind()?;
        if let Some(path) = foreign.iter().chain(&behind).next() {
            let others = behind.len().max(foreign.len()).saturating_sub(1);
            let and = if others == 0 {
                String::new()
            } else {
                format!(" and {others} more")
            };
            return Ok(Some(format!(
                "\"{path}\"{and} was changed by somebody else and is left alone; give it the new or the old content"
            )));
        }
        match self.standing()? {
            Standing::New => Ok(self.index_behind()?),
            Standing::Old | Standing::MovedOn(_) => Ok(Some("the branch was moved by somebody else".to_owned())),
        }
    }

    /// Tells whether the index has the new entries, in a sentence if not.
    fn index_behind(&self) -> Result<Option<String>, ApplyError> {
        let entries = super::index::entries(self.git, &self.stand_in, self.target, &self.scratch)?.unwrap_or_default();
        for step in self.steps()? {
            let found = entries
                .get(&step.path)
                .map(|(mode, object, _)| (mode.as_str(), object.as_str()));
            let wanted = step.after.map(|after| (after.kind.git_mode(), after.object.as_str()));
            if found != wanted {
                let path = super::files::shown(&step.path);
                return Ok(Some(format!("the index has another entry for \"{path}\"")));
            }
        }
        Ok(None)
    }

    /// Undoes what comes before the branch moves; files were not touched. Safe to repeat.
    pub(super) fn go_back(&self) -> Result<(), ApplyError> {
        self.clear_branch_lock()?;
        self.remove_objects()?;
        self.unlock_index()
    }

    /// Leaves the target as others made it, but for what is only in their way.
    pub(super) fn let_go(&self) -> Result<(), ApplyError> {
        self.sweep_files()?;
        self.unlock_index()
    }
}

/// Carries a plan out whose journal is durable.
pub(super) fn carry_out(order: &ApplyOrder<'_>, journal: ApplyJournal) -> Result<ApplyOutcome, ApplyError> {
    let operation = Operation::take_up(order.git, order.target, &journal)?;
    let (commit, name) = (journal.plan().new_commit.clone(), journal.name().to_owned());
    if let Err(halt) = operation.begin(order.commit) {
        let why = match &halt {
            Halt::Refused(Refusal::Undone { why }) => why.clone(),
            Halt::Refused(refusal) => refusal.to_string(),
            Halt::Failed(error) => chain(error),
        };
        // What decides is where the branch is, not which step complained.
        if operation.standing()? != Standing::New {
            let undone = operation.go_back();
            undone.map_err(|error| ApplyError::NotUndone { why: chain(&error) })?;
            journal.finish(ApplyEnd::RolledBack, &why)?;
            return Ok(ApplyOutcome::Refused(match halt {
                Halt::Refused(refusal) => refusal,
                Halt::Failed(_) => Refusal::Undone { why },
            }));
        }
        return Err(ApplyError::Unfinished { commit, why });
    }
    let unfinished = |why| ApplyError::Unfinished {
        commit: commit.clone(),
        why,
    };
    match operation.go_forward() {
        Ok(None) => {}
        Ok(Some(why)) => return Err(unfinished(why)),
        Err(Halt::Refused(refusal)) => return Err(unfinished(refusal.to_string())),
        Err(Halt::Failed(error)) => return Err(unfinished(chain(&error))),
    }
    fault::point("before done").at("finish", &name)?;
    journal.finish(ApplyEnd::Committed, "")?;
    Ok(ApplyOutcome::Applied(Applied { target_commit: commit }))
}
