//! Running cells: a few threads over one list, in the plan's order.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cto_evidence::{CellMarks, MatrixDir, MatrixError};
use cto_policy::{PlannedCell, planned_cells};
use cto_schema::{Blocker, BlockerCode, RunId, Status};

use super::Lanes;
use super::evidence::has_verdict;
use crate::request::Harness;
use crate::run::{RunError, Watch, chain, run};
use crate::watch::{RunObserver, Stage, Stop};

/// Somebody who watches a matrix, from several threads.
pub trait TrialsObserver: Sync {
    /// The plan is known: how many cells there are, how many have their verdict already, and how many cannot run.
    fn planned(&self, _cells: u32, _finished: u32, _blocked: u32) {}

    /// A lane's gates are asked.
    fn asked(&self, _engine: &str, _case: &str) {}

    /// A cell is started.
    fn started(&self, _cell: PlannedCell<'_>) {}

    /// A cell has ended; without a status it has no verdict.
    fn ended(&self, _cell: PlannedCell<'_>, _status: Option<Status>, _took: Duration) {}

    /// So many bundles of all were verified for the report.
    fn verified(&self, _done: usize, _all: usize) {}
}

/// What is to be worked on, and how.
#[derive(Clone, Copy)]
pub struct TrialsWork<'a> {
    /// The installation.
    pub harness: &'a Harness,
    /// The matrix, held by this process.
    pub dir: &'a MatrixDir,
    /// Its lanes.
    pub lanes: &'a Lanes<'a>,
    /// How many cells run side by side, from 1.
    pub jobs: usize,
    /// May stop everything.
    pub stop: &'a Stop,
    /// Watches.
    pub observer: &'a dyn TrialsObserver,
}

impl std::fmt::Debug for TrialsWork<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TrialsWork")
            .field("jobs", &self.jobs)
            .finish_non_exhaustive()
    }
}

/// Runs every cell that has no verdict and whose lane may run. `Ok` holds the first failure of the harness itself, which
/// ends the work: what one cell cannot write, the next one cannot either.
pub fn work(work: TrialsWork<'_>) -> Result<Option<String>, MatrixError> {
    let marks = adopt(work)?;
    let plan = work.dir.plan();
    let mut finished = 0;
    let mut blocked = 0;
    let mut left: Vec<PlannedCell<'_>> = Vec::new();
    for cell in planned_cells(plan) {
        if marks.get(&cell.cell).is_some_and(|marks| marks.done.is_some()) {
            finished += 1;
        } else if work.lanes.denied(lane_of(work, cell)).is_some() {
            blocked += 1;
        } else {
            left.push(cell);
        }
    }
    work.observer
        .planned(plan.cells().unwrap_or_default(), finished, blocked);
    let next = AtomicUsize::new(0);
    let failure: Mutex<Option<String>> = Mutex::new(None);
    let over = AtomicBool::new(false);
    let turn = || {
        while !work.stop.asked() && !over.load(Ordering::SeqCst) {
            let Some(cell) = left.get(next.fetch_add(1, Ordering::SeqCst)) else {
                return;
            };
            let attempt = marks.get(&cell.cell).and_then(|marks| marks.begun.keys().next_back());
            if let Err(error) = one_cell(work, *cell, attempt.map_or(1, |last| last + 1)) {
                over.store(true, Ordering::SeqCst);
                let mut failure = failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                failure.get_or_insert(error);
            }
        }
    };
    std::thread::scope(|scope| {
        // The helper of a cage dies with the thread that started it, and this thread outlives each of its cells.
        for _ in 1..work.jobs.clamp(1, left.len().max(1)) {
            scope.spawn(turn);
        }
        turn();
    });
    Ok(failure.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
}

fn lane_of(work: TrialsWork<'_>, cell: PlannedCell<'_>) -> usize {
    usize::try_from(cell.cell).unwrap_or_default() % work.dir.plan().lanes.len().max(1)
}

/// Cells whose run was sealed, but not marked, before the harness died have their verdict: they are marked now.
fn adopt(work: TrialsWork<'_>) -> Result<BTreeMap<u32, CellMarks>, MatrixError> {
    let mut marks = work.dir.marks()?;
    for (cell, marks) in &mut marks {
        let Some((attempt, run_id)) = marks.begun.last_key_value().filter(|_| marks.done.is_none()) else {
            continue;
        };
        if has_verdict(work.harness, run_id) {
            work.dir.finish(*cell, *attempt, run_id)?;
            marks.done = Some(run_id.clone());
        }
    }
    Ok(marks)
}

/// Runs a cell and marks what it has come to. An error is one of the harness, told as text.
fn one_cell(work: TrialsWork<'_>, cell: PlannedCell<'_>, attempt: u32) -> Result<(), String> {
    let Some(request) = work.lanes.request(lane_of(work, cell)) else {
        return Err("the plan has no such lane".to_owned());
    };
    let watcher = Begin {
        dir: work.dir,
        cell: cell.cell,
        attempt,
        stop: work.stop,
        problem: Mutex::new(None),
    };
    work.observer.started(cell);
    let begun = Instant::now();
    let watch = Watch {
        observer: &watcher,
        stop: work.stop,
    };
    let ended = run(work.harness, &request, watch);
    let problem = watcher
        .problem
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let outcome = match (ended, problem) {
        (_, Some(problem)) => return Err(problem),
        (Ok(outcome), None) => outcome,
        (Err(error @ (RunError::Open(_) | RunError::Close { .. })), None) => return Err(chain(&error)),
    };
    let verdict = outcome.status != Status::Blocked || !outcome.blockers.iter().any(interrupted);
    if verdict {
        let marked = work.dir.finish(cell.cell, attempt, &outcome.run_id);
        marked.map_err(|error| chain(&error))?;
    }
    work.observer
        .ended(cell, verdict.then_some(outcome.status), begun.elapsed());
    Ok(())
}

/// Returns whether a blocked run is no verdict on its engine.
pub(super) fn interrupted(blocker: &Blocker) -> bool {
    matches!(blocker.code, BlockerCode::Cancelled | BlockerCode::HarnessInterrupted)
}

/// Marks the cell as soon as its run has a directory, so that a kill leaves a trace of it.
struct Begin<'a> {
    dir: &'a MatrixDir,
    cell: u32,
    attempt: u32,
    stop: &'a Stop,
    problem: Mutex<Option<String>>,
}

impl RunObserver for Begin<'_> {
    fn stage(&self, stage: Stage, bundle: &Path) {
        if stage != Stage::Opened {
            return;
        }
        let run_id: Option<RunId> = bundle.file_name().and_then(|name| name.to_str()?.parse().ok());
        let marked = match run_id {
            Some(run_id) => self
                .dir
                .begin(self.cell, self.attempt, &run_id)
                .map_err(|error| chain(&error)),
            None => Err("the run's directory has no run's name".to_owned()),
        };
        if let Err(problem) = marked {
            // A cell that nobody could find again is not worth running on.
            self.stop.ask();
            *self.problem.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(problem);
        }
    }
}
