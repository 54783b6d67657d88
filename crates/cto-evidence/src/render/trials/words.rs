//! Numbers of a matrix report as people read them, the same in every format.

use cto_schema::{Amount, AtK, Interval, Matrix, MatrixCell, Spread, TrialSummary};

use crate::timeline::duration_text;

/// What stands where there is no number.
pub(super) const NONE: &str = "–";

/// Returns a share as a percentage.
pub fn percent(share: f64) -> String {
    let tenths = (share * 1000.0).round() / 10.0;
    if tenths.fract().abs() < 1e-9 {
        format!("{tenths:.0} %")
    } else {
        format!("{tenths:.1} %")
    }
}

pub(super) fn rate(rate: Option<f64>) -> String {
    rate.map_or_else(|| NONE.to_owned(), percent)
}

pub(super) fn interval(interval: Option<Interval>) -> String {
    interval.map_or_else(
        || NONE.to_owned(),
        |interval| format!("{} to {}", percent(interval.low), percent(interval.high)),
    )
}

/// Returns a difference of shares in percentage points, with its sign.
pub(super) fn points(difference: f64) -> String {
    let tenths = (difference * 1000.0).round() / 10.0;
    if tenths == 0.0 {
        "0.0".to_owned()
    } else {
        format!("{tenths:+.1}")
    }
}

pub(super) fn p_value(p: Option<f64>) -> String {
    match p {
        None => NONE.to_owned(),
        Some(p) if p < 0.001 => "< 0.001".to_owned(),
        Some(p) => format!("{p:.3}"),
    }
}

/// Returns milliseconds as a time.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast of a float saturates, and times are not negative"
)]
pub(super) fn time(ms: f64) -> String {
    if ms <= 0.0 {
        return "0".to_owned();
    }
    duration_text((ms * 1e6) as u64)
}

pub(super) fn median_time(spread: Option<Spread>) -> String {
    spread.map_or_else(|| NONE.to_owned(), |spread| time(spread.median))
}

pub(super) fn p95_time(spread: Option<Spread>) -> String {
    spread.map_or_else(|| NONE.to_owned(), |spread| time(spread.p95))
}

/// Returns a count with its thousands apart.
pub(super) fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns millionths of a US dollar as dollars.
pub(super) fn dollars(micro: f64) -> String {
    format!("${:.4}", micro / 1e6)
}

/// Returns the median of a quantity and how many cells do not know it.
pub(super) fn amount(amount: Option<&Amount>, shown: fn(f64) -> String) -> String {
    match amount {
        None => "not known".to_owned(),
        Some(amount) if amount.unknown_cells == 0 => shown(amount.spread.median),
        Some(amount) => format!(
            "{} ({} cells not known)",
            shown(amount.spread.median),
            amount.unknown_cells
        ),
    }
}

pub(super) fn total(amount: Option<&Amount>, shown: fn(f64) -> String) -> String {
    match amount {
        None => "not known".to_owned(),
        Some(amount) => {
            let total = amount.total.parse().unwrap_or_default();
            let at_least = if amount.unknown_cells > 0 { "at least " } else { "" };
            format!("{at_least}{}", shown(total))
        }
    }
}

/// Returns the estimate for a number of tries.
pub(super) fn at(list: &[AtK], k: u32) -> Option<&AtK> {
    list.iter().find(|at| at.k == k)
}

/// Returns the counts of a row in words; what is not there is not named.
pub(super) fn counts(row: &TrialSummary) -> String {
    let counts = &row.counts;
    let parts: Vec<String> = [
        (counts.pass, "pass"),
        (counts.fail, "fail"),
        (counts.blocked, "blocked"),
        (counts.unverified, "unverified"),
        (counts.not_run, "not run"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, word)| format!("{count} {word}"))
    .collect();
    parts.join(", ")
}

/// Returns the verdict of a matrix as a line.
pub(super) fn verdict(matrix: &Matrix) -> (&'static str, String) {
    let totals = &matrix.totals;
    let mut line = format!("{} of {} cells passed", totals.pass, totals.cells);
    if totals.blocked > 0 {
        line = format!("{line}, {} could not run", totals.blocked);
    }
    if totals.unverified > 0 {
        return (
            "bad",
            format!("{line}, and the evidence of {} does not verify", totals.unverified),
        );
    }
    if !matrix.complete {
        return ("warn", format!("{line} so far; {} have no verdict", totals.not_run));
    }
    let class = match (totals.pass == totals.cells, totals.fail > 0) {
        (true, _) => "good",
        (false, true) => "bad",
        (false, false) => "warn",
    };
    (class, line)
}

/// Returns what was run, as a line.
pub(super) fn scope(matrix: &Matrix) -> String {
    let many = |count: usize, one: &str| {
        let plural = if count == 1 { "" } else { "s" };
        format!("{count} {one}{plural}")
    };
    format!(
        "{} × {} × {}, {} at a time",
        many(matrix.engines.len(), "engine"),
        many(matrix.cases.len(), "case"),
        many(usize::try_from(matrix.repeats).unwrap_or_default(), "repeat"),
        many(usize::try_from(matrix.jobs).unwrap_or_default(), "cell")
    )
}

/// Most bytes of the reasons in a row of a table; `matrix.json` has all of them.
const WHY_BYTES: usize = 240;

/// Returns why a cell is no pass, cut to fit a table.
pub(super) fn why(cell: &MatrixCell) -> String {
    cto_schema::escape(cell.rationale.join("; ").as_bytes(), WHY_BYTES)
}
