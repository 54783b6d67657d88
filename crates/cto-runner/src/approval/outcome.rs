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
    let (mut nonce, mut patch_digest, mut target_commit) = (None, None, None);
    for line in text.lines() {
        let record: JournalRecord = serde_json::from_str(line).map_err(|error| unreadable(error.to_string()))?;
        match record.event {
            JournalEvent::Opened { nonce: drawn, .. } => nonce = Some(drawn),
            JournalEvent::Collected {
                patch_digest: digest, ..
            } => patch_digest = Some(digest),
            JournalEvent::Applied { target_commit: commit } => target_commit = Some(commit),
            _ => {}
        }
    }
    let is_owned = owned(&text);
    let (Some(nonce), Some(target_commit), true) = (nonce, target_commit, is_owned) else {
        return Err(OutcomeRefused::Nothing { run_id: run_id.clone() });
    };
    if taken_back(&harness.home, run_id).is_some() && outcome == OperatorOutcome::Accepted {
        return Err(OutcomeRefused::TakenBack { run_id: run_id.clone() });
    }
    let attestation = std::fs::read(bundle.join("attestation.dsse.json")).ok();
    Ok(OutcomeStatement {
        schema: SchemaId::OPERATOR_OUTCOME.to_string(),
        run_id: run_id.to_string(),
        nonce,
        outcome,
        reason: reason.to_owned(),
        actor: String::new(),
        decided_at: epoch(),
        attestation_digest: attestation.map(|bytes| Sha256Digest::of(&bytes)),
        patch_digest,
        target_commit: Some(target_commit),
    })
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
fn epoch() -> Moment {
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
    let scratch = tempfile::tempdir_in(harness.home.work())?;
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
