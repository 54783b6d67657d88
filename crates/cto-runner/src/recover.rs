//! Recovery: runs that a dead harness left unfinished are closed as blocked, with what is known.

use cto_evidence::{
    ApplyJournalError, ApprovalStore, Interrupted, KeyError, Keys, Ledger, LedgerError, LiveError, LiveMarker,
    ReopenError, Reopened, RunDir, RunDirError, Signer, apply_record, reopen, unfinished,
};
use cto_policy::{RunState, undecided};
use cto_schema::{
    AppliedObservation, ApplyEnd, ApplyRef, ApprovalObservation, EligibilityDecision, Enforcement, EngineObservation,
    EventType, Facts, ForbiddenActionsProof, JournalEvent, JournalRecord, Observations, RunId, SourceNonMutation,
    Status, TargetAfter, TaskContract, WriteSet,
};
use serde::de::DeserializeOwned;

use crate::apply::{ApplyRecovery, recover_applies};
use crate::closing::{CloseError, Ending, close};
use crate::leftovers;
use crate::request::Harness;
use crate::run::{about_approval, chain, leave_approval, public_values};

/// A run that recovery looked after.
#[derive(Clone, Debug)]
pub struct Recovered {
    /// The run.
    pub run_id: RunId,
    /// What became of it.
    pub outcome: RecoveryOutcome,
}

/// What became of an unfinished run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecoveryOutcome {
    /// There was a marker and no directory: nothing had begun.
    NothingBegun,
    /// The bundle was sealed already; only the ledger or the marker was missing.
    WasSealed,
    /// The run was closed now.
    Closed(Status),
    /// The run could not be closed; the next command tries again.
    Failed(String),
}

/// Recovery as a whole could not be tried.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The live markers.
    #[error("look for unfinished runs")]
    Live(#[from] LiveError),
    /// The changes of targets.
    #[error("look for unfinished changes of target repositories")]
    Applies(#[from] ApplyJournalError),
    /// The signing key.
    #[error("use the signing key")]
    Keys(#[from] KeyError),
    /// The ledger.
    #[error("read the run ledger")]
    Ledger(#[from] LedgerError),
}

/// What recovery found to do.
#[derive(Clone, Debug, Default)]
pub struct Recovery {
    /// Changes of target repositories that were begun.
    pub applies: Vec<ApplyRecovery>,
    /// Runs.
    pub runs: Vec<Recovered>,
}

impl Recovery {
    /// Returns whether there was nothing to do.
    pub fn is_empty(&self) -> bool {
        self.applies.is_empty() && self.runs.is_empty()
    }
}

/// Brings every change of a target to its end and closes every run whose harness is dead. Safe to kill at any point and
/// to call again.
pub fn recover(harness: &Harness) -> Result<Recovery, RecoverError> {
    // First the repositories: what a run says of its target must be how it stays.
    let applies = recover_applies(&harness.home, &harness.git)?;
    for run_id in applies.iter().filter_map(|apply| apply.run_id.as_ref()) {
        // The journal has it, which counts here; `cto rollback` tries again to say it to others.
        drop(crate::approval::note_rollback(&harness.home, run_id));
    }
    let runs = recover_runs(harness)?;
    // Litter is in nobody's way; what cannot be removed now is tried again by the next command.
    drop(crate::approval::sweep_rollbacks(&harness.home));
    drop(ApprovalStore::open(&harness.home).sweep());
    Ok(Recovery { applies, runs })
}

fn recover_runs(harness: &Harness) -> Result<Vec<Recovered>, RecoverError> {
    let markers = unfinished(&harness.home)?;
    if markers.is_empty() {
        return Ok(vec![]);
    }
    let keys = Keys::open(&harness.home)?;
    let signer = keys.ensure_signing_key()?;
    let ledger = Ledger::open(&harness.home)?;
    Ok(markers
        .into_iter()
        .map(|marker| recover_one(harness, marker, &keys, &signer, &ledger))
        .collect())
}

fn recover_one(harness: &Harness, marker: LiveMarker, keys: &Keys, signer: &Signer, ledger: &Ledger) -> Recovered {
    let run_id = marker.run_id().clone();
    let outcome = match sweep_and_close(harness, marker, keys, signer, ledger) {
        Ok(outcome) => outcome,
        Err(error) => RecoveryOutcome::Failed(chain(error.as_ref())),
    };
    Recovered { run_id, outcome }
}

type AnyError = Box<dyn std::error::Error>;

fn sweep_and_close(
    harness: &Harness,
    marker: LiveMarker,
    keys: &Keys,
    signer: &Signer,
    ledger: &Ledger,
) -> Result<RecoveryOutcome, AnyError> {
    // Whatever still runs must be gone before anything is written down about the run.
    let unique = marker.info().map_or("", |info| info.opened.cgroup_prefix.as_str());
    leftovers::clear(&harness.home, marker.run_id(), unique)?;
    match reopen(&harness.home, marker, keys, ledger).map_err(Box::<ReopenError>::new)? {
        Reopened::Nothing => Ok(RecoveryOutcome::NothingBegun),
        Reopened::AlreadySealed(_) => Ok(RecoveryOutcome::WasSealed),
        Reopened::Interrupted(interrupted) => {
            let status = close_interrupted(harness, *interrupted, signer, ledger).map_err(Box::<CloseError>::new)?;
            Ok(RecoveryOutcome::Closed(status))
        }
    }
}

fn close_interrupted(
    harness: &Harness,
    interrupted: Interrupted,
    signer: &Signer,
    ledger: &Ledger,
) -> Result<Status, CloseError> {
    let Interrupted {
        mut run_dir,
        records,
        rebooted,
    } = interrupted;
    run_dir.know_secrets(&harness.secrets);
    let last = run_dir.last_record().to_owned();
    run_dir.journal(JournalEvent::RecoveryIntent { last: last.clone() })?;
    let known = Known::read(&run_dir, &records)?;
    run_dir.know_public(&public_values(&known.facts));
    // What the run itself called it was shown before.
    let named = [run_dir.opened().case_id.clone(), run_dir.opened().backend.clone()];
    run_dir.know_public(&named);
    let mut observations = known.observations(&last, rebooted);
    if observations.applied.is_none() {
        observations.applied = applied(harness, run_dir.run_id());
    }
    if !run_dir.exists("test.log") {
        run_dir.write(
            "test.log",
            format!("no verification result: {}\n", place(&last)).as_bytes(),
        )?;
    }
    if !run_dir.exists("patch.diff") {
        run_dir.write("patch.diff", b"")?;
    }
    if !run_dir.exists("decision.json") {
        let mut bytes = serde_json::to_vec_pretty(&known.decision)?;
        bytes.push(b'\n');
        run_dir.write("decision.json", &bytes)?;
    }
    if run_dir.required_events().first() != Some(&EventType::RunStarted) {
        let nonce = run_dir.nonce_hex();
        run_dir.event(
            EventType::RunStarted,
            serde_json::json!({ "nonce": nonce, "recovered": true }),
        )?;
    }
    observations.approval = spent(harness, &known, &mut run_dir)?.or(observations.approval);
    let opened = run_dir.opened().clone();
    let patch = run_dir.read("patch.diff")?.unwrap_or_default();
    let test_log = run_dir.read("test.log")?.unwrap_or_default();
    let ending = Ending {
        case_id: &opened.case_id,
        backend: &opened.backend,
        contract: known.contract.as_ref(),
        decision: &known.decision,
        facts: &known.facts,
        write_set: known.write_set.as_ref(),
        enforcement: known.enforcement.as_ref(),
        baseline: known
            .baseline
            .as_ref()
            .map(|(commit, tree)| (commit.as_str(), tree.as_str())),
        patch: &patch,
        test_log: &test_log,
        spans: &[],
        engine_output_bytes: 0,
        verification_ms: 0,
        observations,
    };
    Ok(close(run_dir, signer, ledger, ending)?.status)
}

/// Returns whether the run had consumed its approval, and finishes telling so. The store decides: an intent is not a deed.
fn spent(harness: &Harness, known: &Known, run_dir: &mut RunDir) -> Result<Option<ApprovalObservation>, RunDirError> {
    let Some(packet_id) = known.spending.clone() else {
        return Ok(None);
    };
    let stored = ApprovalStore::open(&harness.home).read(&packet_id);
    let ours = stored.ok().and_then(|stored| {
        let consumption = stored.consumed.clone()?;
        (consumption.run_id == *run_dir.run_id()).then_some((stored, consumption))
    });
    let consumed = ours.is_some();
    if let Some((stored, consumption)) = ours {
        let facts = &known.facts.approval;
        // What cannot be told of it is told by the interruption.
        drop(leave_approval(run_dir, facts, &stored, &consumption)?);
        if !run_dir.required_events().contains(&EventType::ApprovalGranted) {
            let mode = stored.packet.mutation_mode;
            run_dir.event(EventType::ApprovalGranted, about_approval(facts, mode))?;
        }
    }
    Ok(Some(ApprovalObservation {
        packet_id,
        consumed,
        problem: None,
    }))
}

/// Returns what became of the change in its repository, which was brought to its end before.
fn applied(harness: &Harness, run_id: &RunId) -> Option<AppliedObservation> {
    let (plan, done) = apply_record(&harness.home, run_id).ok()??;
    let branch = match &plan.moves {
        ApplyRef::Branch { name } => name.clone(),
        ApplyRef::DetachedHead => String::new(),
    };
    let committed = done.as_ref().is_some_and(|done| done.outcome == ApplyEnd::Committed);
    let problem = match done.as_ref().map(|done| done.outcome) {
        Some(ApplyEnd::Committed) => None,
        Some(_) => {
            Some("the harness was interrupted while it put the change in, and it was taken out again".to_owned())
        }
        None => Some("the harness was interrupted while it put the change in, and it is not at its end".to_owned()),
    };
    Some(AppliedObservation {
        branch,
        target_commit: committed.then(|| plan.new_commit.clone()),
        problem,
        ..AppliedObservation::default()
    })
}

fn place(last: &str) -> String {
    format!("the harness was interrupted after the journal record '{last}'")
}

/// What the interrupted run left on record.
struct Known {
    contract: Option<TaskContract>,
    decision: EligibilityDecision,
    facts: Facts,
    write_set: Option<WriteSet>,
    enforcement: Option<Enforcement>,
    baseline: Option<(String, String)>,
    state: RunState,
    /// Also when an earlier recovery was interrupted since.
    engine_may_have_started: bool,
    exited: Option<(Option<i32>, Option<i32>)>,
    /// The packet whose approval was about to be consumed.
    spending: Option<String>,
    earlier: Option<Observations>,
    forbidden: Option<ForbiddenActionsProof>,
    non_mutation: Option<SourceNonMutation>,
    patch_exists: bool,
}

impl Known {
    /// What cannot be read is not what is not there: recovery is tried again.
    fn read(dir: &RunDir, records: &[JournalRecord]) -> Result<Self, RunDirError> {
        let contract: Option<TaskContract> = document(dir, "contract.json")?;
        let mut known = Self {
            decision: undecided(None, &Facts::default()),
            facts: Facts::default(),
            write_set: document(dir, "write-set.json")?,
            enforcement: document(dir, "enforcement.json")?,
            baseline: None,
            state: RunState::default(),
            engine_may_have_started: false,
            exited: None,
            spending: None,
            earlier: None,
            forbidden: document(dir, "forbidden-actions.json")?,
            non_mutation: document(dir, "source-non-mutation.json")?,
            patch_exists: dir.read("patch.diff")?.is_some_and(|patch| !patch.is_empty()),
            contract,
        };
        for record in records {
            known.take(&record.event);
        }
        known.decision =
            document(dir, "decision.json")?.unwrap_or_else(|| undecided(known.contract.as_ref(), &known.facts));
        Ok(known)
    }

    fn take(&mut self, event: &JournalEvent) {
        // Records were replayed when the journal was opened; an illegal one is not among them.
        self.state = self.state.next(event).unwrap_or(self.state);
        self.engine_may_have_started |= self.state.engine_may_have_started();
        match event {
            JournalEvent::FactsGathered { facts } => self.facts = (**facts).clone(),
            JournalEvent::WorkspaceIntent { commit, tree, .. } => self.baseline = Some((commit.clone(), tree.clone())),
            JournalEvent::ApprovalIntent { packet_id, .. } => self.spending = Some(packet_id.clone()),
            JournalEvent::EngineExited { exit_code, signal } => self.exited = Some((*exit_code, *signal)),
            JournalEvent::Observed { observations } => self.earlier = Some((**observations).clone()),
            _ => {}
        }
    }

    fn observations(&self, last: &str, rebooted: bool) -> Observations {
        let mut seen = self.earlier.clone().unwrap_or_default();
        let suffix = if rebooted {
            "; the machine was restarted since"
        } else {
            ""
        };
        seen.interrupted = Some(format!("{}{suffix}", place(last)));
        seen.patch_exists = self.patch_exists;
        if seen.engine.is_none() && self.engine_may_have_started {
            let (exit_code, signal) = self.exited.unwrap_or_default();
            seen.engine = Some(EngineObservation {
                started: true,
                exit_code,
                signal,
                forbidden: self
                    .forbidden
                    .iter()
                    .flat_map(|proof| proof.attempted.clone())
                    .collect(),
                ..EngineObservation::default()
            });
        }
        // The proofs were written before the observations that they repeat.
        if let (None, Some(proof)) = (&seen.target_after, &self.non_mutation) {
            seen.target_after = Some(TargetAfter {
                state: proof.after.clone(),
                unchanged: proof.holds,
                detail: proof.detail.clone(),
            });
        }
        if seen.target_after.is_none() && self.facts.target.kind == "fixture" {
            let detail = "a fixture: there is no source repository".to_owned();
            seen.target_after = Some(TargetAfter {
                state: None,
                unchanged: true,
                detail,
            });
        }
        seen
    }
}

fn document<T: DeserializeOwned>(dir: &RunDir, name: &str) -> Result<Option<T>, RunDirError> {
    let bytes = dir.read(name)?;
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}
