//! What an operator may speak about after a run, and taking its commit back.

use std::path::PathBuf;

use cto_evidence::{
    ApplyJournalError, Home, KeyError, Keys, OutcomeError, apply_record, committed_revert, has_rollback_beside,
    taken_back, write_rollback,
};
use cto_schema::{
    ApplyEnd, ApplyRef, JournalEvent, JournalRecord, Moment, OperatorOutcome, OutcomeStatement, RunId, SchemaId,
    Sha256Digest,
};

use crate::apply::{ApplyError, ApplyOutcome, CommitText, Person, RevertOrder, revert};
use crate::request::Harness;
use crate::source::{SourceError, SourceRepository};
use rustix::fs::{FlockOperation, flock};

/// Why there is nothing to speak about.
#[derive(Debug, thiserror::Error)]
pub enum OutcomeRefused {
    /// The run's journal cannot be read.
    #[error("read the journal of run {run_id}: {reason}")]
    Unreadable {
        /// The run.
        run_id: RunId,
        /// Why.
        reason: String,
    },
    /// It was taken back.
    #[error("accept what run {run_id} put in: it was taken back")]
    TakenBack {
        /// The run.
        run_id: RunId,
    },
    /// It is about to.
    #[error("say what became of run {run_id}: its change is being put in and is not in yet; say it again in a moment")]
    NotYet {
        /// The run.
        run_id: RunId,
    },
    /// The run put nothing into an owned repository.
    #[error("say what became of run {run_id}: it put nothing into an owned repository")]
    Nothing {
        /// The run.
        run_id: RunId,
    },
}

/// Returns what an outcome is about, from the run's own journal; whether the run is sealed decides whether it is about
/// the seal. Actor and time are filled in when it is signed.
pub fn outcome_statement(
    harness: &Harness,
    run_id: &RunId,
    outcome: OperatorOutcome,
    reason: &str,
) -> Result<OutcomeStatement, OutcomeRefused> {
    let bundle = harness.home.run(run_id);
    let unreadable = |reason: String| OutcomeRefused::Unreadable {
        run_id: run_id.clone(),
        reason,
    };
    let text = std::fs::read_to_string(bundle.join("journal.jsonl")).map_err(|error| unreadable(error.to_string()))?;
    let (mut nonce, mut patch_digest, mut target_commit, mut intended) = (None, None, None, false);
    for line in text.lines() {
        let record: JournalRecord = serde_json::from_str(line).map_err(|error| unreadable(error.to_string()))?;
        match record.event {
            JournalEvent::Opened { nonce: drawn, .. } => nonce = Some(drawn),
            JournalEvent::Collected {
                patch_digest: digest, ..
            } => patch_digest = Some(digest),
            JournalEvent::ApplyIntent { .. } => intended = true,
            JournalEvent::Applied { target_commit: commit } => target_commit = Some(commit),
            _ => {}
        }
    }
    let is_owned = owned(&text);
    let attestation = std::fs::read(bundle.join("attestation.dsse.json")).ok();
    if target_commit.is_none() && intended && is_owned {
        if attestation.is_none() {
            return Err(OutcomeRefused::NotYet { run_id: run_id.clone() });
        }
        // A harness that died in between has not written that down; whoever brought the change to its end has.
        target_commit = committed(harness, run_id);
    }
    let (Some(nonce), Some(target_commit), true) = (nonce, target_commit, is_owned) else {
        return Err(OutcomeRefused::Nothing { run_id: run_id.clone() });
    };
    if taken_back(&harness.home, run_id).is_some() && outcome == OperatorOutcome::Accepted {
        return Err(OutcomeRefused::TakenBack { run_id: run_id.clone() });
    }
    Ok(OutcomeStatement {
        schema: SchemaId::OPERATOR_OUTCOME.to_string(),
        run_id: run_id.to_string(),
        nonce,
        outcome,
        reason: reason.to_owned(),
        actor: String::new(),
        decided_at: undated(),
        attestation_digest: attestation.map(|bytes| Sha256Digest::of(&bytes)),
        patch_digest,
        target_commit: Some(target_commit),
    })
}

/// Returns the commit that a run's change is, by the journal of that change.
fn committed(harness: &Harness, run_id: &RunId) -> Option<String> {
    let (plan, done) = apply_record(&harness.home, run_id).ok()??;
    (done?.outcome == ApplyEnd::Committed).then_some(plan.new_commit)
}

/// A run on an owned repository has its target's admission among its facts.
fn owned(journal: &str) -> bool {
    journal.lines().any(|line| {
        let record = serde_json::from_str::<JournalRecord>(line);
        record.is_ok_and(|record| match record.event {
            JournalEvent::FactsGathered { facts } => facts
                .approval
                .statement
                .is_some_and(|said| said.mutation_mode == cto_schema::MutationMode::OwnedNoncriticalRepo),
            _ => false,
        })
    })
}

/// A time that is replaced when the statement is signed.
#[expect(clippy::expect_used, reason = "a constant that is a date")]
pub(crate) fn undated() -> Moment {
    "1970-01-01".parse().expect("a date")
}

/// A commit that was taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rolled {
    /// The commit of the run.
    pub reverted: String,
    /// The inverse commit.
    pub commit: String,
    /// The branch that has both.
    pub branch: String,
}

/// Why a commit was not taken back.
#[derive(Debug, thiserror::Error)]
pub enum RollbackError {
    /// The run put nothing in.
    #[error("take back what run {run_id} put in: it put nothing in")]
    NothingThere {
        /// The run.
        run_id: RunId,
    },
    /// It was taken back before.
    #[error("take back what run {run_id} put in: that was done already")]
    Before {
        /// The run.
        run_id: RunId,
    },
    /// Nothing was changed.
    #[error("take the commit back: {0}")]
    Refused(String),
    /// The record of what was put in.
    #[error("read what was put in")]
    Record(#[from] ApplyJournalError),
    /// What lies beside the bundle.
    #[error(transparent)]
    Beside(#[from] OutcomeError),
    /// The target.
    #[error("use the target")]
    Target(#[from] SourceError),
    /// It was begun and is not whole; recovery finishes it.
    #[error("take the commit back; mend the cause, then run: cto recover")]
    Apply(#[from] ApplyError),
    /// The key that signs that it was done.
    #[error("use the signing key")]
    Keys(#[from] KeyError),
    /// A directory of the harness.
    #[error("make a directory")]
    Io(#[from] std::io::Error),
}

/// Takes the one commit of a run back with an inverse one, if the target has not moved on.
pub fn rollback(harness: &Harness, run_id: &RunId) -> Result<Rolled, RollbackError> {
    let nothing = || RollbackError::NothingThere { run_id: run_id.clone() };
    note_rollback(&harness.home, run_id)?;
    if taken_back(&harness.home, run_id).is_some() {
        return Err(RollbackError::Before { run_id: run_id.clone() });
    }
    let (plan, done) = apply_record(&harness.home, run_id)?.ok_or_else(nothing)?;
    if !done.is_some_and(|done| done.outcome == ApplyEnd::Committed) {
        return Err(nothing());
    }
    let ApplyRef::Branch { name: branch } = &plan.moves else {
        return Err(nothing());
    };
    let path: PathBuf = {
        use std::os::unix::ffi::OsStringExt as _;
        std::ffi::OsString::from_vec(plan.target.path.bytes().ok_or_else(nothing)?).into()
    };
    let target = SourceRepository::open(&path)?;
    let lock = target.lock()?;
    let number = |text: &str| text.parse::<u64>().map_err(|_| nothing());
    let (scratch, _held) = own_scratch(&harness.home)?;
    let who = Person {
        name: "cto".to_owned(),
        email: "cto@localhost".to_owned(),
        seconds: cto_evidence::wall_now().as_second(),
    };
    let message = format!("Take back {}\n\nRun: {run_id}\n", plan.new_commit);
    let outcome = revert(&RevertOrder {
        home: &harness.home,
        git: &harness.git,
        run_id,
        target: &target,
        lock: &lock,
        identity: (number(&plan.target.device)?, number(&plan.target.inode)?),
        branch,
        target_commit: &plan.new_commit,
        text: CommitText {
            author: &who,
            committer: &who,
            message: message.as_bytes(),
        },
        directory: scratch.path(),
    })?;
    match outcome {
        ApplyOutcome::Applied(applied) => {
            note_rollback(&harness.home, run_id)?;
            Ok(Rolled {
                reverted: plan.new_commit.clone(),
                commit: applied.target_commit,
                branch: branch.clone(),
            })
        }
        ApplyOutcome::Refused(refusal) => Err(RollbackError::Refused(refusal.to_string())),
    }
}

/// Puts beside the bundle that the journal has its change taken back, signed, where nobody has put that there yet.
pub(crate) fn note_rollback(home: &Home, run_id: &RunId) -> Result<(), RollbackError> {
    let Some(commit) = committed_revert(home, run_id)? else {
        return Ok(());
    };
    if has_rollback_beside(home, run_id)? {
        return Ok(());
    }
    let Some((plan, _)) = apply_record(home, run_id)? else {
        return Ok(());
    };
    let signer = Keys::open(home)?.ensure_signing_key()?;
    write_rollback(home, run_id, &plan.new_commit, &commit, &signer)?;
    Ok(())
}

/// What directories of rollbacks are called below `work/`.
const SCRATCH: &str = "rollback-";

/// Makes a directory that is locked for as long as this process lives.
fn own_scratch(home: &Home) -> std::io::Result<(tempfile::TempDir, std::fs::File)> {
    // Whoever tidies up may take it before it is locked.
    for _ in 0..8 {
        let scratch = tempfile::Builder::new().prefix(SCRATCH).tempdir_in(home.work())?;
        if let Ok(held) = std::fs::File::open(scratch.path())
            && flock(&held, FlockOperation::NonBlockingLockExclusive).is_ok()
            && scratch.path().exists()
        {
            return Ok((scratch, held));
        }
    }
    Err(std::io::Error::other("somebody removes it again and again"))
}

/// Removes the directories that interrupted rollbacks left.
pub(crate) fn sweep_rollbacks(home: &Home) -> std::io::Result<()> {
    for entry in std::fs::read_dir(home.work())?.filter_map(Result::ok) {
        if !entry.file_name().as_encoded_bytes().starts_with(SCRATCH.as_bytes()) {
            continue;
        }
        let Ok(held) = std::fs::File::open(entry.path()) else {
            continue;
        };
        if flock(&held, FlockOperation::NonBlockingLockExclusive).is_ok() {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_interrupted_rollback_left_is_swept_and_nothing_of_a_live_one() {
        let place = tempfile::tempdir().unwrap();
        let home = Home::open(&place.path().join("home")).unwrap();
        let (live, held) = own_scratch(&home).unwrap();
        let (dead, gone) = own_scratch(&home).unwrap();
        let dead = dead.keep();
        drop(gone);
        sweep_rollbacks(&home).unwrap();
        assert!(live.path().exists() && !dead.exists());
        drop(held);
    }
}
