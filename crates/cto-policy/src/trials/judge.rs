//! What became of one cell: read from its sealed bundle, or from the decision that kept it from starting.

use cto_schema::{
    Blocker, BlockerCode, CellState, CellTimes, CellTokens, MatrixCell, Report, RunId, Sha256Digest, Status,
};

use super::PlannedCell;

/// What there is about a cell.
#[derive(Clone, Debug)]
pub enum SeenCell<'a> {
    /// No run of it has a bundle.
    Nothing {
        /// Why, for people.
        why: String,
    },
    /// The decision, taken before any cell was started, denies engine and case.
    Denied {
        /// Every reason.
        reasons: &'a [Blocker],
    },
    /// There should be a bundle, and it is gone, cannot be read, or does not verify.
    Broken {
        /// The run.
        run_id: RunId,
        /// What is wrong, for people.
        why: String,
    },
    /// A bundle that verifies.
    Sealed {
        /// Its report.
        report: &'a Report,
        /// The verdict as it was recomputed.
        status: Status,
        /// Digest of its `SHA256SUMS`.
        manifest_digest: Option<Sha256Digest>,
    },
}

/// Judges a cell. `created_at` is when the plan was made: no run of a cell is older.
pub fn judge_cell(planned: PlannedCell<'_>, created_at: &str, attempts: u32, seen: &SeenCell<'_>) -> MatrixCell {
    let bare = MatrixCell {
        cell: planned.cell,
        repeat: planned.repeat,
        engine: planned.lane.engine.clone(),
        case_id: planned.lane.case_id.clone(),
        state: CellState::NotRun,
        status: None,
        rationale: vec![],
        blockers: vec![],
        engine_started: false,
        attempts,
        run_id: None,
        manifest_digest: None,
        times: None,
        tokens: None,
        cost_micro_usd: None,
    };
    match seen {
        SeenCell::Nothing { why } => MatrixCell {
            rationale: vec![why.clone()],
            ..bare
        },
        SeenCell::Denied { reasons } => MatrixCell {
            state: CellState::Blocked,
            rationale: told(reasons),
            blockers: codes(reasons),
            ..bare
        },
        SeenCell::Broken { run_id, why } => MatrixCell {
            state: CellState::Unverified,
            rationale: vec![why.clone()],
            run_id: Some(run_id.clone()),
            ..bare
        },
        SeenCell::Sealed {
            report,
            status,
            manifest_digest,
        } => match stranger(planned, created_at, report) {
            Some(why) => MatrixCell {
                state: CellState::Unverified,
                rationale: vec![format!("the bundle verifies and is not this cell's: {why}")],
                run_id: report.run_id.parse().ok(),
                manifest_digest: *manifest_digest,
                ..bare
            },
            None => sealed(bare, report, *status, *manifest_digest),
        },
    }
}

/// Returns why a bundle is not a cell's.
fn stranger(planned: PlannedCell<'_>, created_at: &str, report: &Report) -> Option<String> {
    let lane = planned.lane;
    if report.case_id != lane.case_id {
        return Some("it is of another case".to_owned());
    }
    if report.backend != lane.engine {
        return Some("it is of another engine".to_owned());
    }
    if report.contract_digest != Some(lane.contract_digest) {
        return Some("it is of another contract than the plan's".to_owned());
    }
    // Both are RFC 3339 UTC with microseconds, which sort as text.
    (report.run_started_at.as_str() < created_at).then(|| "it is older than the plan".to_owned())
}

fn sealed(bare: MatrixCell, report: &Report, status: Status, manifest_digest: Option<Sha256Digest>) -> MatrixCell {
    let stopped = |blocker: &Blocker| matches!(blocker.code, BlockerCode::Cancelled | BlockerCode::HarnessInterrupted);
    let state = match status {
        Status::Pass => CellState::Pass,
        Status::Fail => CellState::Fail,
        // Nobody waited for the engine, so nothing was learnt about it.
        Status::Blocked if report.blockers.iter().any(stopped) => CellState::NotRun,
        Status::Blocked if report.case_process_started => CellState::Fail,
        Status::Blocked => CellState::Blocked,
    };
    let usage = &report.usage;
    let model = report.model.as_ref();
    // A call that named no usage makes the sum a lower bound, and that is not known.
    let whole = model.filter(|model| model.usage.calls_without_usage == 0);
    MatrixCell {
        state,
        status: Some(status),
        rationale: told(&report.blockers),
        blockers: codes(&report.blockers),
        engine_started: report.case_process_started,
        run_id: report.run_id.parse().ok(),
        manifest_digest,
        times: Some(CellTimes {
            total_ms: usage.total_ms,
            engine_ms: usage.engine_ms,
            verification_ms: usage.verification_ms,
            harness_ms: usage.harness_ms,
        }),
        tokens: whole.map(|model| CellTokens {
            input: model.usage.input_tokens.clone(),
            output: model.usage.output_tokens.clone(),
        }),
        cost_micro_usd: whole.and_then(|model| model.usage.cost_micro_usd.clone()),
        ..bare
    }
}

fn codes(blockers: &[Blocker]) -> Vec<String> {
    let mut codes: Vec<String> = blockers.iter().map(|blocker| blocker.code.name()).collect();
    codes.dedup();
    codes
}

/// Most bytes of one reason, and most reasons; the bundle has all of it.
const REASON_BYTES: usize = 600;
const REASONS: usize = 20;

fn told(blockers: &[Blocker]) -> Vec<String> {
    let one = |blocker: &Blocker| format!("{}: {}", blocker.code.name(), blocker.detail);
    let reasons = blockers.iter().take(REASONS).map(one);
    reasons
        .map(|reason| cto_schema::escape(reason.as_bytes(), REASON_BYTES))
        .collect()
}
