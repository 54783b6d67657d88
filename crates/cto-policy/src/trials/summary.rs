//! One row of a matrix report: an engine, or an engine on one case, over its cells.

use std::collections::{BTreeMap, BTreeSet};

use cto_schema::{Amount, AtK, BlockerCount, CellCounts, CellState, CellTimes, MatrixCell, TrialSummary};

use crate::statistics::{Cluster, clustered_interval, pass_all_k, pass_at_k, rounded, spread, wilson};

/// Most different reasons for cells that could not start in one row.
const REASONS: usize = 10;

/// Numbers of tries that are estimated, as far as there are repeats; the number of repeats is one as well.
const TRIES: [u32; 8] = [1, 2, 3, 5, 10, 20, 50, 100];

/// Returns the row over `cells`, which are all of one engine, and of one case when one is named.
pub(super) fn summary(
    engine: &str,
    case_id: Option<&str>,
    cells: &[&MatrixCell],
    seed: u64,
    repeats: u32,
) -> TrialSummary {
    let counts = count(cells);
    let judged: Vec<&MatrixCell> = cells.iter().copied().filter(|cell| is_judged(cell)).collect();
    let by_case = by_case(&judged);
    let of_case = |(pass, n): &(u32, u32)| Cluster {
        total: f64::from(*pass),
        weight: f64::from(*n),
    };
    let clusters: Vec<Cluster> = by_case.values().map(of_case).collect();
    let n = counts.judged();
    let tries = tries(repeats);
    let time =
        |of: fn(&CellTimes) -> u64| spread(judged.iter().filter_map(|cell| Some(of(&cell.times?) as f64)).collect());
    TrialSummary {
        engine: engine.to_owned(),
        case_id: case_id.map(str::to_owned),
        counts,
        pass_rate: (n > 0).then(|| rounded(f64::from(counts.pass) / f64::from(n))),
        wilson: wilson(counts.pass, n).map(rounded_interval),
        clustered: clustered_interval(&clusters, seed).map(rounded_interval),
        pass_at_k: over_cases(&by_case, &tries, pass_at_k),
        pass_all_k: over_cases(&by_case, &tries, pass_all_k),
        total_ms: time(|times| times.total_ms),
        engine_ms: time(|times| times.engine_ms),
        verification_ms: time(|times| times.verification_ms),
        harness_ms: time(|times| times.harness_ms),
        input_tokens: amount(&judged, |cell| Some(&cell.tokens.as_ref()?.input)),
        output_tokens: amount(&judged, |cell| Some(&cell.tokens.as_ref()?.output)),
        cost_micro_usd: amount(&judged, |cell| cell.cost_micro_usd.as_ref()),
        blockers: blocker_counts(cells),
        blocked_because: reasons(cells),
    }
}

pub(super) fn rounded_interval(interval: cto_schema::Interval) -> cto_schema::Interval {
    cto_schema::Interval {
        low: rounded(interval.low),
        high: rounded(interval.high),
    }
}

/// Returns whether a cell counts towards a pass rate.
pub(super) fn is_judged(cell: &MatrixCell) -> bool {
    match cell.state {
        CellState::Pass | CellState::Fail | CellState::Unverified => true,
        CellState::Blocked | CellState::NotRun => false,
    }
}

pub(super) fn count(cells: &[&MatrixCell]) -> CellCounts {
    let mut counts = CellCounts::default();
    cells.iter().for_each(|cell| counts.add(cell.state));
    counts
}

/// Returns passes and judged cells of each case.
fn by_case<'a>(judged: &[&'a MatrixCell]) -> BTreeMap<&'a str, (u32, u32)> {
    let mut cases = BTreeMap::new();
    for cell in judged {
        let (pass, n): &mut (u32, u32) = cases.entry(cell.case_id.as_str()).or_default();
        *pass += u32::from(cell.state == CellState::Pass);
        *n += 1;
    }
    cases
}

fn tries(repeats: u32) -> Vec<u32> {
    let known = TRIES.into_iter().filter(|k| *k <= repeats);
    known.chain([repeats]).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Returns the mean over cases of an estimate; a case with fewer judged cells than tries has none.
fn over_cases(
    cases: &BTreeMap<&str, (u32, u32)>,
    tries: &[u32],
    estimate: fn(u32, u32, u32) -> Option<f64>,
) -> Vec<AtK> {
    let at = |k: &u32| {
        let values: Vec<f64> = cases.values().filter_map(|(pass, n)| estimate(*n, *pass, *k)).collect();
        let cases = u32::try_from(values.len()).ok().filter(|cases| *cases > 0)?;
        Some(AtK {
            k: *k,
            value: rounded(values.iter().sum::<f64>() / f64::from(cases)),
            cases,
        })
    };
    tries.iter().filter_map(at).collect()
}

/// Returns a quantity that not every cell knows; `None` when none does.
fn amount(judged: &[&MatrixCell], of: fn(&MatrixCell) -> Option<&String>) -> Option<Amount> {
    let known: Vec<u64> = judged.iter().filter_map(|cell| of(cell)?.parse().ok()).collect();
    let total = known.iter().fold(0_u64, |sum, one| sum.saturating_add(*one));
    Some(Amount {
        total: total.to_string(),
        unknown_cells: u32::try_from(judged.len() - known.len()).ok()?,
        spread: spread(known.into_iter().map(|one| one as f64).collect())?,
    })
}

/// Counts cells by blocker code, most frequent first and then by name.
pub(super) fn blocker_counts(cells: &[&MatrixCell]) -> Vec<BlockerCount> {
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    for code in cells.iter().flat_map(|cell| &cell.blockers) {
        *counts.entry(code).or_default() += 1;
    }
    let mut counts: Vec<BlockerCount> = counts
        .into_iter()
        .map(|(code, cells)| BlockerCount {
            code: code.to_owned(),
            cells,
        })
        .collect();
    counts.sort_by(|a, b| b.cells.cmp(&a.cells).then_with(|| a.code.cmp(&b.code)));
    counts
}

fn reasons(cells: &[&MatrixCell]) -> Vec<String> {
    let blocked = cells.iter().filter(|cell| cell.state == CellState::Blocked);
    let mut reasons: Vec<String> = Vec::new();
    for reason in blocked.flat_map(|cell| &cell.rationale) {
        if reasons.len() < REASONS && !reasons.contains(reason) {
            reasons.push(reason.clone());
        }
    }
    reasons
}
