//! The verified change becomes one commit of the repository that the stage lets the harness change.

use std::time::Duration;

use cto_policy::{Evidence, before_apply, branch_policy, ends_in_a_repository};
use cto_schema::{AppliedObservation, EventType, JournalEvent, TaskContract};
use rustix::event::{Timespec, poll};

use super::disposable::Disposable;
use super::verification::VerifiedChange;
use super::{Halt, Journey, chain};
use crate::apply::{ApplyOrder, ApplyOutcome, CommitText, Expected, Person, apply, make_commit, verified};
use crate::source::{Head, SourceLock, SourceRepository};
use crate::watch::Stage;

/// How often a held run looks for the operator's word.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

impl Journey<'_> {
    /// Decides where the change will go, and says so before the engine starts.
    pub(super) fn settle_branch(&mut self, contract: &TaskContract) -> Result<(), Halt> {
        if !ends_in_a_repository(contract.mutation_mode) {
            return Ok(());
        }
        let Some((commit, _)) = self.baseline.clone() else {
            return Err(Halt::Ignorant("the baseline is not known".to_owned()));
        };
        if self.source.is_none() {
            let objects = self.fixture_objects.take();
            let objects = objects.ok_or_else(|| Halt::Ignorant("the fixture's objects are gone".to_owned()))?;
            let made = Disposable::make(self.harness, self.dir.run_id(), &objects, &commit);
            self.disposable = Some(made.map_err(Halt::Ignorant)?);
        }
        let (repository, _) = self.repository()?;
        let head = repository.head().map_err(|error| Halt::Ignorant(chain(&error)))?;
        let Head::Branch(branch) = head else {
            let reason = "HEAD of the repository names no branch any more".to_owned();
            return Err(Halt::Ignorant(reason));
        };
        let policy = branch_policy(&branch, &commit);
        self.write_json("branch-policy.json", &policy)?;
        self.branch = Some(branch);
        Ok(())
    }

    /// The repository that may be changed, and our hold on it.
    fn repository(&self) -> Result<(&SourceRepository, &SourceLock), Halt> {
        let found = match &self.disposable {
            Some(disposable) => Some((&disposable.repository, &disposable.lock)),
            None => self.source.as_ref().zip(self.target_lock.as_ref()),
        };
        found.ok_or_else(|| Halt::Ignorant("there is no repository to change".to_owned()))
    }

    /// Puts the verified change into the repository, if nothing at all stands against it.
    pub(super) fn apply(&mut self, change: &VerifiedChange) -> Result<(), Halt> {
        let contract = &change.workspace.contract;
        if !ends_in_a_repository(contract.mutation_mode) {
            return Ok(());
        }
        self.look_at_target();
        self.clean_seen()?;
        if !self.may_apply() {
            return Ok(());
        }
        if self.watch.stop.asked() {
            return Err(Halt::Stopped);
        }
        self.stage(Stage::Apply);
        let from = self.now();
        let Some(branch) = self.branch.clone() else {
            return Err(Halt::Ignorant("no branch was settled".to_owned()));
        };
        let scratch = tempfile::tempdir_in(&change.workspace.scratch.0)
            .map_err(|error| Halt::Ignorant(format!("failed to make a directory: {error}")))?;
        let collected = verified(&change.collection.write_set, &change.collection.changes);
        let (author, message) = (self.author(), self.message(contract));
        let text = CommitText {
            author: &author,
            committer: &author,
            message: message.as_bytes(),
        };
        let baseline = &change.workspace.baseline;
        let made = make_commit(&self.harness.git, baseline, &collected, text, scratch.path());
        let made = made.map_err(|error| Halt::Ignorant(chain(&error)))?;
        let mut seen = AppliedObservation {
            branch: branch.clone(),
            ..AppliedObservation::default()
        };
        if let Some(dirty) = self.changed_by_others() {
            seen.refused = Some(dirty);
            self.seen.applied = Some(seen);
            return Ok(());
        }
        self.know_public(std::slice::from_ref(&made.commit));
        self.dir.journal(JournalEvent::ApplyIntent {
            target_commit: made.commit.clone(),
            branch: branch.clone(),
        })?;
        let (repository, lock) = self.repository()?;
        let expected = Expected {
            identity: self.approved_identity(repository)?,
            branch: branch.clone(),
            commit: baseline.commit().to_owned(),
        };
        let outcome = apply(&ApplyOrder {
            home: &self.harness.home,
            git: &self.harness.git,
            run_id: self.dir.run_id(),
            target: repository,
            lock,
            expected: &expected,
            commit: &made,
        });
        match outcome {
            Ok(ApplyOutcome::Applied(applied)) => seen.target_commit = Some(applied.target_commit),
            Ok(ApplyOutcome::Refused(refusal)) => seen.refused = Some(refusal.to_string()),
            Err(error) => {
                // The branch may have it although files or index do not follow yet; recovery brings that to its end.
                seen.target_commit = error.target_commit().map(str::to_owned);
                seen.problem = Some(chain(&error));
            }
        }
        self.look_at_end(&mut seen);
        let applied = seen.target_commit.clone().filter(|_| seen.problem.is_none());
        self.seen.applied = Some(seen);
        if let Some(target_commit) = applied {
            self.dir.journal(JournalEvent::Applied { target_commit })?;
        }
        self.span("apply", from, "ok", "");
        self.look_at_target();
        self.await_outcome(contract)
    }

    /// Says what others changed in the work tree since the start; HEAD, refs and index were compared already.
    fn changed_by_others(&self) -> Option<String> {
        let mut seen = AppliedObservation {
            target_commit: Some(String::new()),
            ..AppliedObservation::default()
        };
        self.look_at_end(&mut seen);
        match seen.ending_clean {
            Some(true) => None,
            _ => Some(format!(
                "others changed the work tree during the run: {}",
                seen.dirty_paths.join(", ")
            )),
        }
    }

    /// The directory that was approved; a disposable one is the one that was made.
    fn approved_identity(&self, repository: &SourceRepository) -> Result<(u64, u64), Halt> {
        if self.disposable.is_some() {
            return Ok(repository.identity());
        }
        let bound = |name: &str| self.facts.approval.bound.get(name)?.parse().ok();
        bound("target.device")
            .zip(bound("target.inode"))
            .ok_or_else(|| Halt::Ignorant("the approval names no directory".to_owned()))
    }

    /// The pure question, over what is on record now, with the one event that is written at the end.
    fn may_apply(&self) -> bool {
        let Some(decision) = &self.decision else { return false };
        let mut observations = self.seen.clone();
        observations.artifact_failures.extend_from_slice(self.dir.failures());
        let mut events: Vec<String> = self.dir.required_events().iter().map(|event| event.name()).collect();
        events.push(EventType::RunCompleted.name());
        observations.events = events;
        let evidence = Evidence {
            contract: self.contract.as_ref().ok(),
            decision,
            write_set: self.write_set.as_ref(),
            observations: &observations,
        };
        before_apply(&evidence).is_empty()
    }

    /// Compares the repository with the commit that it got.
    fn look_at_end(&self, seen: &mut AppliedObservation) {
        if seen.target_commit.is_none() {
            return;
        }
        let Ok((repository, _)) = self.repository() else { return };
        let (device, inode) = repository.identity();
        let keep = self.harness.home.cache().join(format!("status-{device:x}-{inode:x}"));
        let looked = std::fs::create_dir_all(&keep)
            .map_err(|error| error.to_string())
            .and_then(|()| {
                repository
                    .dirty_paths(&self.harness.git, &keep)
                    .map_err(|error| chain(&error))
            });
        match looked {
            Ok(dirty) => {
                seen.ending_clean = Some(dirty.count == 0);
                seen.dirty_paths = dirty.shown;
            }
            Err(problem) => seen.dirty_paths = vec![problem],
        }
    }

    fn author(&self) -> Person {
        Person {
            name: "cto".to_owned(),
            email: "cto@localhost".to_owned(),
            seconds: cto_evidence::wall_now().as_second(),
        }
    }

    /// Says whose change it is and where the evidence is; no word of the engine's is in it.
    fn message(&self, contract: &TaskContract) -> String {
        let said = self.facts.approval.statement.as_ref();
        let approved = said.map(|said| format!("Approved-by: {} ({})\n", said.actor, said.packet_id));
        format!(
            "{}\n\nRun: {}\nTask: {}\nEngine: {}\n{}",
            cto_schema::escape(contract.title.as_bytes(), 200),
            self.dir.run_id(),
            contract.task_id,
            cto_schema::escape(self.backend.as_bytes(), 80),
            approved.unwrap_or_default(),
        )
    }

    /// Holds the run open until the operator has spoken, where that was asked for.
    fn await_outcome(&mut self, contract: &TaskContract) -> Result<(), Halt> {
        let is_owned = contract.mutation_mode == cto_schema::MutationMode::OwnedNoncriticalRepo;
        let applied = self
            .seen
            .applied
            .as_ref()
            .is_some_and(|applied| applied.target_commit.is_some());
        let (Some(limit), true, true) = (self.request.await_outcome, is_owned, applied) else {
            return Ok(());
        };
        self.stage(Stage::Outcome);
        let tick = Timespec {
            tv_sec: 0,
            tv_nsec: i64::from(LOOK_AGAIN.subsec_nanos()),
        };
        let looks = limit.as_millis() / LOOK_AGAIN.as_millis();
        for _ in 0..=looks {
            if self.watch.stop.asked() {
                // The change is in; that the operator did not wait is no reason to call it unfinished.
                return Ok(());
            }
            if self.read_outcome()? {
                return Ok(());
            }
            // A signal only makes the next look come sooner.
            let _early = poll(&mut [], Some(&tick)).is_err();
        }
        Ok(())
    }

    /// Reads a word that was said although nobody waited for it.
    pub(super) fn hear_outcome(&mut self) {
        let applied = self
            .seen
            .applied
            .as_ref()
            .is_some_and(|applied| applied.target_commit.is_some());
        if applied && self.seen.outcome.is_none() {
            // What does not count is as if it were not said.
            drop(self.read_outcome());
        }
    }
}
