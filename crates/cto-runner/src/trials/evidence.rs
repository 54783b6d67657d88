//! What came of the cells: read from their bundles, each verified again, never from what the matrix remembers.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use cto_evidence::{
    Bundle, CellMarks, Keys, Ledger, LedgerSnapshot, LedgerView, MatrixDir, TrustedKeys, VerificationOutcome, rfc3339,
    verify_bundle, wall_now,
};
use cto_policy::{PlannedCell, Reported, SeenCell, aggregate, judge_cell, planned_cells};
use cto_schema::{Matrix, MatrixCell, Report, RunId, Status};

use super::work::interrupted;
use super::{Lanes, TrialsError, TrialsObserver};
use crate::approval::operators;
use crate::request::Harness;

/// Returns whether a run that was begun as a cell has come to a verdict. What is sealed and cannot be believed has: it
/// stays what it is, and is not tried until it looks better.
pub(super) fn has_verdict(harness: &Harness, run_id: &RunId) -> bool {
    let place = harness.home.run(run_id);
    if !place.join("attestation.dsse.json").exists() {
        return false;
    }
    match report_of(harness, run_id) {
        Some(report) => report.status != Status::Blocked || !report.blockers.iter().any(interrupted),
        None => true,
    }
}

fn report_of(harness: &Harness, run_id: &RunId) -> Option<Report> {
    let bundle = Bundle::open(&harness.home.run(run_id)).ok()?;
    serde_json::from_slice(bundle.document("report.json")?).ok()
}

/// Makes the report of a matrix as it stands. `jobs` is how many cells ran, and how many bundles are read, side by side.
pub fn matrix_report(
    harness: &Harness,
    dir: &MatrixDir,
    lanes: &Lanes<'_>,
    jobs: usize,
    observer: &dyn TrialsObserver,
) -> Result<Matrix, TrialsError> {
    let keys = Keys::open(&harness.home)?;
    let mut trusted = TrustedKeys::of_installation(&keys)?;
    if let Ok(signers) = operators(harness) {
        trusted = trusted.with_signers(signers);
    }
    let ledger = LedgerSnapshot::read(&Ledger::open(&harness.home)?, &harness.home)?;
    let reader = Reader {
        harness,
        dir,
        lanes,
        marks: dir.marks()?,
        trusted,
        ledger,
    };
    let cells = reader.cells(jobs, observer);
    let at = rfc3339(wall_now());
    let reported = Reported {
        at: &at,
        harness_version: env!("CARGO_PKG_VERSION"),
        jobs: u32::try_from(jobs).unwrap_or(u32::MAX),
    };
    Ok(aggregate(dir.plan(), cells, reported))
}

struct Reader<'a> {
    harness: &'a Harness,
    dir: &'a MatrixDir,
    lanes: &'a Lanes<'a>,
    marks: BTreeMap<u32, CellMarks>,
    trusted: TrustedKeys,
    ledger: LedgerSnapshot,
}

impl Reader<'_> {
    /// Judges every cell. A bundle is read, judged and let go, so that many of them need no more memory than a few.
    fn cells(&self, threads: usize, observer: &dyn TrialsObserver) -> Vec<MatrixCell> {
        let planned: Vec<PlannedCell<'_>> = planned_cells(self.dir.plan()).collect();
        let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let judged: Mutex<Vec<MatrixCell>> = Mutex::new(Vec::with_capacity(planned.len()));
        let turn = || {
            while let Some(cell) = planned.get(next.fetch_add(1, Ordering::Relaxed)) {
                let cell = self.cell(*cell);
                observer.verified(done.fetch_add(1, Ordering::Relaxed) + 1, planned.len());
                judged
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner)
                    .push(cell);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..threads.clamp(1, planned.len().max(1)) {
                scope.spawn(turn);
            }
            turn();
        });
        let mut cells = judged.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        cells.sort_by_key(|cell| cell.cell);
        cells
    }

    fn cell(&self, cell: PlannedCell<'_>) -> MatrixCell {
        let none = CellMarks::default();
        let marks = self.marks.get(&cell.cell).unwrap_or(&none);
        let attempts = marks.begun.keys().next_back().copied().unwrap_or_default();
        let judge = |seen: &SeenCell<'_>| judge_cell(cell, &self.dir.plan().created_at, attempts, seen);
        let lane = usize::try_from(cell.cell).unwrap_or_default() % self.dir.plan().lanes.len().max(1);
        let last = marks.begun.values().next_back();
        match (&marks.done, self.lanes.denied(lane), last) {
            (Some(run_id), _, _) => self.run(run_id, judge),
            (None, Some(reasons), _) => judge(&SeenCell::Denied { reasons }),
            (None, None, Some(run_id)) if self.harness.home.run(run_id).exists() => self.run(run_id, judge),
            (None, None, Some(_)) => judge(&SeenCell::Nothing {
                why: "the harness was interrupted before the run had begun".to_owned(),
            }),
            (None, None, None) => judge(&SeenCell::Nothing {
                why: "not reached".to_owned(),
            }),
        }
    }

    /// Verifies the bundle of a run and judges the cell by it.
    fn run(&self, run_id: &RunId, judge: impl Fn(&SeenCell<'_>) -> MatrixCell) -> MatrixCell {
        let broken = |why: String| {
            judge(&SeenCell::Broken {
                run_id: run_id.clone(),
                why: cto_schema::escape(why.as_bytes(), 600),
            })
        };
        let bundle = match Bundle::open(&self.harness.home.run(run_id)) {
            Ok(bundle) => bundle,
            Err(error) => return broken(crate::run::chain(&error)),
        };
        let view: &dyn LedgerView = &self.ledger;
        let found = verify_bundle(&bundle, &self.trusted, Some(view));
        if let Some(why) = problem(&found) {
            return broken(why);
        }
        if found.run_id != run_id.as_str() {
            return broken("the bundle is another run's".to_owned());
        }
        let report = bundle.document("report.json").map(serde_json::from_slice::<Report>);
        match (report, found.status) {
            (Some(Ok(report)), Some(status)) => judge(&SeenCell::Sealed {
                report: &report,
                status,
                manifest_digest: found.manifest_digest,
            }),
            _ => broken("its report cannot be read".to_owned()),
        }
    }
}

/// Returns why a bundle does not verify.
fn problem(found: &VerificationOutcome) -> Option<String> {
    if found.ok() {
        return None;
    }
    let failed: Vec<String> = found
        .failed()
        .take(3)
        .map(|check| format!("{}: {}", check.name, check.detail))
        .collect();
    Some(format!("the bundle does not verify: {}", failed.join("; ")))
}
