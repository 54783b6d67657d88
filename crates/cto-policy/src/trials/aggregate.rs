//! The report over all cells of a matrix.

use std::collections::BTreeSet;

use cto_schema::{
    CellState, FlakyLane, Matrix, MatrixCell, MatrixMethods, MatrixPlan, NotActivated, NotPromoted, SchemaId,
    TrialSummary,
};

use super::ORDER;
use super::compare::comparisons;
use super::summary::{blocker_counts, count, summary};
use crate::statistics::{CONFIDENCE, REPLICATES};

/// When and by whom a report is made.
#[derive(Clone, Copy, Debug)]
pub struct Reported<'a> {
    /// RFC 3339 UTC.
    pub at: &'a str,
    /// Version of the harness.
    pub harness_version: &'a str,
    /// How many cells ran side by side.
    pub jobs: u32,
}

/// What no report of a matrix proves.
const LIMITS: &str = "The cells are what the harness recorded and signed on this machine; the seal proves that it said so, not \
that its host was sound. A pass means that the verification commands of a case exited 0 on the patch in a clean room and the \
canary failed as it must, never that the code is right. The intervals speak of runs like these and, where clustered, of \
cases like these; they do not know whether your work is like them. No engine becomes a default by any number here.";

/// Makes the report. `cells` are all cells of the plan, in order. A run that two cells name counts for the first alone.
pub fn aggregate(plan: &MatrixPlan, mut cells: Vec<MatrixCell>, reported: Reported<'_>) -> Matrix {
    once_each(&mut cells);
    let seed = u64::from_str_radix(&plan.bootstrap_seed, 16).unwrap_or_default();
    let all: Vec<&MatrixCell> = cells.iter().collect();
    let totals = count(&all);
    let width = plan.engines.len().max(1);
    let of_engine = |engine: usize| cells.iter().skip(engine).step_by(width).collect::<Vec<_>>();
    let mut engine_rows = Vec::with_capacity(width);
    let mut lane_rows = Vec::with_capacity(plan.lanes.len());
    for (at, engine) in plan.engines.iter().enumerate() {
        let own = of_engine(at);
        engine_rows.push(summary(engine, None, &own, seed, plan.repeats));
        for (case_at, case) in plan.cases.iter().enumerate() {
            let lane: Vec<&MatrixCell> = own
                .iter()
                .copied()
                .skip(case_at)
                .step_by(plan.cases.len().max(1))
                .collect();
            lane_rows.push(summary(engine, Some(case), &lane, seed, plan.repeats));
        }
    }
    let flaky = lane_rows.iter().filter_map(|row| flaky_lane(row, &all)).collect();
    let comparisons = comparisons(plan, &cells, seed);
    Matrix {
        schema: SchemaId::MATRIX.to_string(),
        matrix_id: plan.matrix_id.clone(),
        name: plan.name.clone(),
        created_at: plan.created_at.clone(),
        reported_at: reported.at.to_owned(),
        harness_version: reported.harness_version.to_owned(),
        plan_digest: plan.digest(),
        engines: plan.engines.clone(),
        cases: plan.cases.clone(),
        repeats: plan.repeats,
        jobs: reported.jobs,
        complete: totals.not_run == 0,
        passed: totals.cells > 0 && totals.pass == totals.cells,
        methods: methods(plan),
        totals,
        engine_rows,
        lane_rows,
        comparisons,
        flaky,
        cells,
        limits_of_this_report: LIMITS.to_owned(),
        runtime_default_activation: NotActivated,
        core_promotion_status: NotPromoted,
    }
}

/// One run is the evidence of one cell.
fn once_each(cells: &mut [MatrixCell]) {
    let mut seen = BTreeSet::new();
    for cell in cells {
        let repeated = cell.run_id.as_ref().is_some_and(|run_id| !seen.insert(run_id.clone()));
        if repeated {
            cell.state = CellState::Unverified;
            cell.status = None;
            cell.rationale = vec!["another cell before it names the same run".to_owned()];
            cell.times = None;
            cell.tokens = None;
            cell.cost_micro_usd = None;
        }
    }
}

fn flaky_lane(row: &TrialSummary, cells: &[&MatrixCell]) -> Option<FlakyLane> {
    let case_id = row.case_id.as_ref()?;
    let (pass, of) = (row.counts.pass, row.counts.judged());
    if pass == 0 || pass == of {
        return None;
    }
    let others: Vec<&MatrixCell> = cells
        .iter()
        .copied()
        .filter(|cell| cell.engine == row.engine && cell.case_id == *case_id && cell.state != CellState::Pass)
        .collect();
    Some(FlakyLane {
        engine: row.engine.clone(),
        case_id: case_id.clone(),
        pass,
        of,
        blockers: blocker_counts(&others),
    })
}

fn methods(plan: &MatrixPlan) -> MatrixMethods {
    let text = |text: &str| text.to_owned();
    MatrixMethods {
        order: text(ORDER),
        pass_rate: text(
            "passes among the cells whose engine was tried: pass, fail (also blocked after the engine had started, such as a \
             timeout) and unverified. Cells that were blocked before the engine started, or have no verdict, are counted beside it",
        ),
        confidence: CONFIDENCE,
        wilson: text(
            "Wilson's score interval (1927) without continuity correction; it takes the cells for independent",
        ),
        clustered: text(
            "percentile bootstrap over whole cases (Davison and Hinkley 1997, section 3.8), because cells of one case are alike; \
             none with fewer than two cases, and a point where every case has the same rate, which then says nothing about others",
        ),
        bootstrap_replicates: REPLICATES,
        bootstrap_seed: plan.bootstrap_seed.clone(),
        pass_at_k: text("mean over cases of 1 - C(n-c, k) / C(n, k) (Chen et al. 2021); cases with n < k are left out"),
        pass_all_k: text(
            "pass^k: mean over cases of C(c, k) / C(n, k) (Yao et al. 2024); cases with n < k are left out",
        ),
        quantiles: text(
            "linear between order statistics (Hyndman and Fan 1996, type 7); with few cells p95 is nearly the largest",
        ),
        comparison: text(
            "pairs of the same case and repeat in which both engines were tried; difference of pass rates with the clustered \
             bootstrap; exact two-sided McNemar, also adjusted by Holm for the number of comparisons. McNemar takes pairs of one \
             case for independent, so where the two disagree believe the clustered interval",
        ),
        times: text(
            "total is the whole run; engine is the engine's process; verification is the clean room's commands; harness is the \
             rest, which is the overhead of governing",
        ),
    }
}
