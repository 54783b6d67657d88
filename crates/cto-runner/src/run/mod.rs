//! One governed run: the journey from a contract to a sealed bundle, as code.

mod admit;
mod apply;
mod approval;
mod collection;
mod disposable;
mod engine_facts;
mod engine_run;
mod governed;
mod markers;
mod names;
mod open;
mod outfit;
mod secrets;
mod serving;
mod target;
mod verification;
mod work_done;
mod workspace;

use cto_evidence::{Ledger, RunDir, RunDirError, Signer};
use cto_schema::{EligibilityDecision, Enforcement, Observations, RunId, Span, TaskContract, TreeProof, WriteSet};

use crate::closing::{self, CloseError, Ending};
use crate::leftovers;
use crate::request::{Harness, RunOutcome, RunRequest};
use crate::source::{SourceLock, SourceRepository};
use crate::watch::{RunObserver, Stage, Stop};

pub(crate) use approval::{about_approval, leave_approval};
pub use open::OpenError;
pub(crate) use open::read_task;
pub(crate) use secrets::public_values;
pub(crate) use workspace::open_scratch_path;

/// A run that ended without a sealed bundle.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No evidence directory could be had, so nothing was started.
    #[error("open the run")]
    Open(#[from] OpenError),
    /// The bundle could not be closed; the run stays on record as unfinished.
    #[error("close run {run_id}")]
    Close {
        /// The run.
        run_id: RunId,
        /// Why.
        source: Box<CloseError>,
    },
}

/// Who watches a run and may stop it.
#[derive(Clone, Copy)]
pub struct Watch<'a> {
    /// Sees stages and activity.
    pub observer: &'a dyn RunObserver,
    /// May stop the run.
    pub stop: &'a Stop,
}

impl std::fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch")
            .field("stop", &self.stop)
            .finish_non_exhaustive()
    }
}

/// Why a journey ends early. What was observed until then is on record all the same.
#[derive(Debug)]
enum Halt {
    /// An artifact could not be written; the run directory holds the failure.
    Unwritable,
    /// The harness could not go on: where and why.
    Ignorant(String),
    /// A bound was refused; that is on record already.
    Refused,
    /// The operator stopped the run.
    Stopped,
}

impl From<RunDirError> for Halt {
    fn from(error: RunDirError) -> Self {
        match error {
            RunDirError::ArtifactWrite { .. } => Self::Unwritable,
            other => Self::Ignorant(chain(&other)),
        }
    }
}

/// Returns an error with its causes, escaped, as one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = format!("failed to {error}");
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        // Some errors repeat their source in their own text.
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    cto_schema::escape(text.as_bytes(), 2000)
}

/// A run in progress: its evidence and everything known so far.
struct Journey<'a> {
    harness: &'a Harness,
    request: &'a RunRequest,
    watch: Watch<'a>,
    dir: RunDir,
    signer: Signer,
    ledger: Ledger,
    case_id: String,
    /// The engine as it was asked for, as evidence may show it.
    backend: String,
    contract: Result<TaskContract, String>,
    decision: Option<EligibilityDecision>,
    source: Option<SourceRepository>,
    /// Held to the end, so that no run that needs the target alone can begin.
    target_lock: Option<SourceLock>,
    facts: cto_schema::Facts,
    baseline: Option<(String, String)>,
    enforcement: Option<Enforcement>,
    /// The copy as it was before the engine started.
    clean_start: Option<TreeProof>,
    write_set: Option<WriteSet>,
    patch: Vec<u8>,
    test_log: Vec<u8>,
    spans: Vec<Span>,
    engine_output_bytes: u64,
    verification_ms: u64,
    seen: Observations,
    kept_workspace: Option<std::path::PathBuf>,
    /// The objects of a fixture, from which a disposable repository is made.
    fixture_objects: Option<crate::baseline::ObjectSource>,
    /// The disposable repository, once it is made.
    disposable: Option<disposable::Disposable>,
    /// What became of it.
    disposition: Option<cto_policy::Disposition>,
    /// The operator's word, as it was signed.
    outcome: Option<cto_schema::SignedStatement>,
    /// The branch that gets the change.
    branch: Option<String>,
    /// The engine's own installation, as far as the cage shows it.
    engine_binds: Vec<std::path::PathBuf>,
}

/// Runs a task from contract to sealed bundle.
///
/// Whatever is asked for, the result is a sealed bundle; `Err` means that there is none (nothing was started), or
/// that the run stays on record as unfinished until evidence can be written again.
pub fn run(harness: &Harness, request: &RunRequest, watch: Watch<'_>) -> Result<RunOutcome, RunError> {
    let mut journey = Journey::open(harness, request, watch)?;
    let travelled = journey.travel();
    journey.note(travelled);
    journey.leave_nothing();
    journey.dispose();
    journey.look_at_target();
    journey.hear_outcome();
    journey.leave_required_artifacts();
    journey.close()
}

impl Journey<'_> {
    /// The stops in order. Each takes what only the stop before can make, so none can be skipped.
    fn travel(&mut self) -> Result<(), Halt> {
        self.announce()?;
        let Some(admitted) = self.admit()? else {
            return Ok(());
        };
        let workspace = self.prepare(admitted)?;
        let caged = self.cage(workspace)?;
        let exited = self.supervise(caged)?;
        let collected = self.collect(exited)?;
        let verified = self.verify(collected)?;
        self.apply(&verified)
    }

    /// Puts on record why the journey ended early.
    fn note(&mut self, travelled: Result<(), Halt>) {
        match travelled {
            Ok(()) | Err(Halt::Unwritable | Halt::Refused) => {}
            Err(Halt::Ignorant(reason)) => self.seen.harness_error = Some(reason),
            Err(Halt::Stopped) => self.seen.cancelled = true,
        }
        // Once the change is in, not to wait for the operator any longer is no cancelling.
        let applied = self
            .seen
            .applied
            .as_ref()
            .is_some_and(|applied| applied.target_commit.is_some());
        self.seen.cancelled |= self.watch.stop.asked() && !applied;
    }

    /// What was used was removed when it was dropped; what could not be is tried again, and else the run cannot pass.
    fn leave_nothing(&mut self) {
        let run_id = self.dir.run_id();
        if let Err(error) = leftovers::clear(&self.harness.home, run_id, open::unique_part(run_id)) {
            let reason = format!("failed to remove what the run left on the host: {error}");
            self.seen.harness_error.get_or_insert(reason);
        }
    }

    fn stage(&self, stage: Stage) {
        self.watch.observer.stage(stage, self.dir.path());
    }

    /// Records a span that ends now.
    fn span(&mut self, name: &str, start_ns: u64, outcome: &str, detail: &str) {
        let span = Span {
            name: name.to_owned(),
            start_ns: start_ns.to_string(),
            end_ns: self.now().to_string(),
            outcome: outcome.to_owned(),
            detail: detail.to_owned(),
        };
        self.spans.extend(self.dir.clean("trace.jsonl", span));
        // A trace that cannot be written is on record as a failed artifact.
        drop(self.dir.span(name, start_ns, outcome, detail));
    }

    fn now(&self) -> u64 {
        self.dir.clock().mono_ns()
    }

    fn close(self) -> Result<RunOutcome, RunError> {
        self.stage(Stage::Seal);
        let run_id = self.dir.run_id().clone();
        let bundle = self.dir.path().to_owned();
        let fallback;
        let decision = match &self.decision {
            Some(decision) => decision,
            None => {
                fallback = cto_policy::undecided(self.contract.as_ref().ok(), &self.facts);
                &fallback
            }
        };
        let ending = Ending {
            case_id: &self.case_id,
            backend: &self.backend,
            contract: self.contract.as_ref().ok(),
            decision,
            facts: &self.facts,
            write_set: self.write_set.as_ref(),
            enforcement: self.enforcement.as_ref(),
            baseline: self
                .baseline
                .as_ref()
                .map(|(commit, tree)| (commit.as_str(), tree.as_str())),
            patch: &self.patch,
            test_log: &self.test_log,
            spans: &self.spans,
            engine_output_bytes: self.engine_output_bytes,
            verification_ms: self.verification_ms,
            observations: self.seen,
        };
        let report =
            closing::close(self.dir, &self.signer, &self.ledger, ending).map_err(|source| RunError::Close {
                run_id: run_id.clone(),
                source: Box::new(source),
            })?;
        Ok(RunOutcome {
            run_id,
            status: report.status,
            blockers: report.blockers.clone(),
            engine_started: report.case_process_started,
            bundle,
            report: Box::new(report),
            kept_workspace: self.kept_workspace,
        })
    }
}
