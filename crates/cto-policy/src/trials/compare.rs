//! Comparing every two engines over the cells that both have.

use cto_schema::{CellState, MatrixCell, MatrixPlan, PairedComparison};

use super::summary::{is_judged, rounded_interval};
use crate::statistics::{Cluster, clustered_interval, holm, mcnemar_exact};

/// Compares every two engines of a plan, in order; `cells` are all cells in order.
pub(super) fn comparisons(plan: &MatrixPlan, cells: &[MatrixCell], seed: u64) -> Vec<PairedComparison> {
    let engines = plan.engines.len();
    let mut found: Vec<PairedComparison> = (0..engines)
        .flat_map(|first| (first + 1..engines).map(move |second| (first, second)))
        .map(|(first, second)| compare(plan, cells, (first, second), seed))
        .collect();
    let p: Vec<f64> = found.iter().filter_map(|one| one.mcnemar_p).collect();
    let mut adjusted = holm(&p).into_iter();
    for one in found.iter_mut().filter(|one| one.mcnemar_p.is_some()) {
        one.mcnemar_p_holm = adjusted.next().map(precise);
        one.mcnemar_p = one.mcnemar_p.map(precise);
    }
    found
}

/// A small p is not rounded to 0.
fn precise(p: f64) -> f64 {
    format!("{p:.6e}").parse().unwrap_or(p)
}

fn compare(plan: &MatrixPlan, cells: &[MatrixCell], (first, second): (usize, usize), seed: u64) -> PairedComparison {
    let cases = plan.cases.len();
    // [neither, only the second, only the first, both], for each case.
    let mut by_case = vec![[0_u32; 4]; cases];
    // Cells are by repeat, then case, then engine.
    for (turn, engines) in cells.chunks_exact(plan.engines.len().max(1)).enumerate() {
        let both = engines.get(first).zip(engines.get(second));
        if let Some((a, b)) = both.filter(|(a, b)| is_judged(a) && is_judged(b)) {
            let index = usize::from(a.state == CellState::Pass) * 2 + usize::from(b.state == CellState::Pass);
            by_case[turn % cases.max(1)][index] += 1;
        }
    }
    by_case.retain(|counts| counts.iter().sum::<u32>() > 0);
    let sum = |index: usize| by_case.iter().map(|counts| counts[index]).sum::<u32>();
    let (neither, only_against, only_engine, both_pass) = (sum(0), sum(1), sum(2), sum(3));
    let pairs = neither + only_against + only_engine + both_pass;
    let clusters: Vec<Cluster> = by_case
        .iter()
        .map(|counts| Cluster {
            total: f64::from(counts[2]) - f64::from(counts[1]),
            weight: f64::from(counts.iter().sum::<u32>()),
        })
        .collect();
    let difference = (f64::from(only_engine) - f64::from(only_against)) / f64::from(pairs.max(1));
    let some = pairs > 0;
    PairedComparison {
        engine: plan.engines[first].clone(),
        against: plan.engines[second].clone(),
        pairs,
        cases: u32::try_from(by_case.len()).unwrap_or(u32::MAX),
        both_pass,
        only_engine,
        only_against,
        neither,
        difference: some.then(|| crate::statistics::rounded(difference)),
        clustered: clustered_interval(&clusters, seed).map(rounded_interval),
        mcnemar_p: some.then(|| mcnemar_exact(only_engine, only_against)),
        mcnemar_p_holm: None,
    }
}
