//! What a matrix has come to, for a terminal: a line for each engine, and what to look at first.

use std::fmt::Write as _;

use cto_evidence::percent;
use cto_schema::{Matrix, Spread, TrialSummary, escape};

use crate::output::Output;

/// Most flaky lanes, and most reasons, that are listed; the report has all.
const LISTED: usize = 10;

/// Returns the summary. Writing to a String cannot fail.
pub(crate) fn summary(matrix: &Matrix, output: &Output) -> String {
    let totals = &matrix.totals;
    let (color, mark) = match (matrix.passed, totals.fail + totals.unverified > 0) {
        (true, _) => ("1;32", "✔"),
        (false, true) => ("1;31", "✘"),
        (false, false) => ("1;33", "■"),
    };
    let mut text = output.paint(
        color,
        &format!("{mark} {} of {} cells passed", totals.pass, totals.cells),
    );
    for (count, word) in [
        (totals.fail, "failed"),
        (totals.blocked, "blocked"),
        (totals.unverified, "unverified"),
        (totals.not_run, "without a verdict"),
    ] {
        if count > 0 {
            write!(text, ", {count} {word}").unwrap_or_default();
        }
    }
    text.push_str("\n\n");
    text.push_str(&table(matrix));
    let blocked = matrix.engine_rows.iter().filter(|row| !row.blocked_because.is_empty());
    for row in blocked.take(LISTED) {
        let engine = output.paint("1", &escape(row.engine.as_bytes(), 60));
        write!(text, "\n  {engine} could not run:\n").unwrap_or_default();
        for why in row.blocked_because.iter().take(LISTED) {
            writeln!(text, "    {}", escape(why.as_bytes(), 300)).unwrap_or_default();
        }
    }
    if !matrix.flaky.is_empty() {
        text.push_str("\n  flaky:\n");
    }
    for lane in matrix.flaky.iter().take(LISTED) {
        let (engine, case) = (escape(lane.engine.as_bytes(), 60), escape(lane.case_id.as_bytes(), 60));
        writeln!(text, "    {engine} on {case}: {} of {} pass", lane.pass, lane.of).unwrap_or_default();
    }
    if matrix.flaky.len() > LISTED {
        writeln!(text, "    and {} more", matrix.flaky.len() - LISTED).unwrap_or_default();
    }
    text
}

/// Columns that are words; the others are numbers and stand at the right.
const WORDS: [usize; 2] = [0, 3];

fn table(matrix: &Matrix) -> String {
    let k = matrix.repeats;
    let mut rows = vec![vec![
        "engine".to_owned(),
        "pass".to_owned(),
        "rate".to_owned(),
        "95 % Wilson".to_owned(),
        format!("pass@{k}"),
        format!("pass^{k}"),
        "median".to_owned(),
        "engine".to_owned(),
        "harness".to_owned(),
    ]];
    rows.extend(matrix.engine_rows.iter().map(|row| cells(row, k)));
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let line = |row: &Vec<String>| {
        let cells = row.iter().enumerate().map(|(column, cell)| {
            let width = width(column);
            if WORDS.contains(&column) {
                format!("{cell:<width$}")
            } else {
                format!("{cell:>width$}")
            }
        });
        format!("  {}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

fn cells(row: &TrialSummary, k: u32) -> Vec<String> {
    let none = || "–".to_owned();
    let at = |list: &[cto_schema::AtK]| {
        list.iter()
            .find(|at| at.k == k)
            .map_or_else(none, |at| percent(at.value))
    };
    let seconds =
        |spread: Option<Spread>| spread.map_or_else(none, |spread| format!("{:.2} s", spread.median / 1000.0));
    vec![
        escape(row.engine.as_bytes(), 60),
        format!("{}/{}", row.counts.pass, row.counts.judged()),
        row.pass_rate.map_or_else(none, percent),
        row.wilson
            .map_or_else(none, |ends| format!("{} to {}", percent(ends.low), percent(ends.high))),
        at(&row.pass_at_k),
        at(&row.pass_all_k),
        seconds(row.total_ms),
        seconds(row.engine_ms),
        seconds(row.harness_ms),
    ]
}
