//! `matrix.md`: the numbers first, then every cell that is no pass.

use std::fmt::Write as _;

use cto_schema::{CellState, TrialSummary, escape};

use super::{MatrixView, words};

/// How many rows of one table are shown.
const SHOWN: usize = 500;

/// Draws `matrix.md`.
pub(super) fn markdown(view: MatrixView<'_>) -> String {
    let matrix = view.matrix;
    let mut page = Page(String::new());
    let (_, verdict) = words::verdict(matrix);
    page.line(&format!("# Matrix: {verdict}\n"));
    if !matrix.name.is_empty() {
        page.line(&format!("{}\n", code(&matrix.name)));
    }
    page.line(&format!(
        "{}. Matrix {}, reported {}.\n",
        words::scope(matrix),
        code(matrix.matrix_id.as_str()),
        code(&matrix.reported_at)
    ));
    engines(&mut page, view);
    times(&mut page, view);
    comparisons(&mut page, view);
    flaky(&mut page, view);
    page.line("## Every engine on every case\n");
    page.line("| Engine | Case | Pass rate | 95 % Wilson | Cells | Median time |\n|---|---|--:|---|---|--:|");
    page.rows(&matrix.lane_rows, |row| {
        format!(
            "| {} | {} | {} | {} | {} | {} |",
            code(&row.engine),
            code(row.case_id.as_deref().unwrap_or_default()),
            words::rate(row.pass_rate),
            words::interval(row.wilson),
            words::counts(row),
            words::median_time(row.total_ms)
        )
    });
    cells(&mut page, view);
    methods(&mut page, view);
    page.0
}

fn engines(page: &mut Page, view: MatrixView<'_>) {
    let matrix = view.matrix;
    page.line("## Engines\n");
    let k = matrix.repeats;
    page.line(&format!(
        "| Engine | Pass rate | 95 % Wilson | 95 % by cases | pass@1 | pass@{k} | pass^{k} | Cells |\n|---|--:|---|---|--:|--:|--:|---|"
    ));
    page.rows(&matrix.engine_rows, |row| {
        let at = |list, k| words::rate(words::at(list, k).map(|at| at.value));
        format!(
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            code(&row.engine),
            words::rate(row.pass_rate),
            words::interval(row.wilson),
            words::interval(row.clustered),
            at(&row.pass_at_k, 1),
            at(&row.pass_at_k, k),
            at(&row.pass_all_k, k),
            words::counts(row)
        )
    });
    let blocked: Vec<&TrialSummary> = matrix
        .lane_rows
        .iter()
        .filter(|row| !row.blocked_because.is_empty())
        .collect();
    if !blocked.is_empty() {
        page.line("Blocked:\n");
        page.rows(&blocked, |row| {
            let why: Vec<String> = row.blocked_because.iter().map(|why| code(why)).collect();
            let case = row.case_id.as_deref().unwrap_or_default();
            format!("- {} on {}: {}", code(&row.engine), code(case), why.join("; "))
        });
    }
    let failures: Vec<String> = matrix
        .engine_rows
        .iter()
        .flat_map(|row| {
            row.blockers
                .iter()
                .map(|count| format!("| {} | {} | {} |", code(&row.engine), code(&count.code), count.cells))
        })
        .collect();
    if !failures.is_empty() {
        page.line("## What cells ended with\n\n| Engine | Blocker | Cells |\n|---|---|--:|");
        page.rows(&failures, Clone::clone);
    }
}

fn times(page: &mut Page, view: MatrixView<'_>) {
    page.line("## Time, tokens and cost, of one cell\n");
    page.line(
        "| Engine | Median | p95 | Engine itself | Verification | Harness | Tokens in | Tokens out | Cost | Cost of all |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    );
    page.rows(&view.matrix.engine_rows, |row| {
        format!(
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            code(&row.engine),
            words::median_time(row.total_ms),
            words::p95_time(row.total_ms),
            words::median_time(row.engine_ms),
            words::median_time(row.verification_ms),
            words::median_time(row.harness_ms),
            words::amount(row.input_tokens.as_ref(), words::thousands),
            words::amount(row.output_tokens.as_ref(), words::thousands),
            words::amount(row.cost_micro_usd.as_ref(), words::dollars),
            words::total(row.cost_micro_usd.as_ref(), words::dollars),
        )
    });
}

fn comparisons(page: &mut Page, view: MatrixView<'_>) {
    let matrix = view.matrix;
    if matrix.comparisons.is_empty() {
        return;
    }
    page.line("## Two engines over the cells that both have\n");
    page.line("Differences are in percentage points of the pass rate.\n");
    page.line("| Engine | Against | Pairs | Difference | 95 % by cases | Only first | Only second | McNemar p | Holm p |\n|---|---|--:|--:|---|--:|--:|--:|--:|");
    page.rows(&matrix.comparisons, |one| {
        let ends = one.clustered.map_or_else(
            || words::NONE.to_owned(),
            |ends| format!("{} to {}", words::points(ends.low), words::points(ends.high)),
        );
        format!(
            "| {} | {} | {} | {} | {ends} | {} | {} | {} | {} |",
            code(&one.engine),
            code(&one.against),
            one.pairs,
            one.difference.map_or_else(|| words::NONE.to_owned(), words::points),
            one.only_engine,
            one.only_against,
            words::p_value(one.mcnemar_p),
            words::p_value(one.mcnemar_p_holm)
        )
    });
}

fn flaky(page: &mut Page, view: MatrixView<'_>) {
    page.line("## Flaky\n");
    if view.matrix.flaky.is_empty() {
        page.line("No engine passed a case only sometimes.\n");
        return;
    }
    page.rows(&view.matrix.flaky, |lane| {
        let ends: Vec<String> = lane
            .blockers
            .iter()
            .map(|count| format!("{} × {}", count.cells, code(&count.code)))
            .collect();
        format!(
            "- {} on {}: {} of {} pass; the others: {}",
            code(&lane.engine),
            code(&lane.case_id),
            lane.pass,
            lane.of,
            ends.join(", ")
        )
    });
}

fn cells(page: &mut Page, view: MatrixView<'_>) {
    let ended: Vec<_> = view
        .matrix
        .cells
        .iter()
        .filter(|cell| cell.state != CellState::Pass && cell.run_id.is_some())
        .collect();
    if ended.is_empty() {
        return;
    }
    page.line(
        "## Runs that are no pass\n\n| Engine | Case | Repeat | State | Why | Bundle |\n|---|---|--:|---|---|---|",
    );
    page.rows(&ended, |cell| {
        let link = view.link(cell).unwrap_or_default();
        let run_id = cell.run_id.as_ref().map(ToString::to_string).unwrap_or_default();
        format!(
            "| {} | {} | {} | {} | {} | [{run_id}](<{link}>) |",
            code(&cell.engine),
            code(&cell.case_id),
            cell.repeat,
            cell.state.word(),
            code(&words::why(cell))
        )
    });
}

fn methods(page: &mut Page, view: MatrixView<'_>) {
    let methods = &view.matrix.methods;
    page.line("## How these numbers are made\n");
    for (name, text) in [
        ("Order", &methods.order),
        ("Pass rate", &methods.pass_rate),
        ("Wilson", &methods.wilson),
        ("By cases", &methods.clustered),
        ("pass@k", &methods.pass_at_k),
        ("pass^k", &methods.pass_all_k),
        ("Percentiles", &methods.quantiles),
        ("Comparison", &methods.comparison),
        ("Times", &methods.times),
    ] {
        page.line(&format!("- {name}: {text}."));
    }
    page.line(&format!(
        "- Resampling: {} replicates, seed `{}`.\n",
        methods.bootstrap_replicates,
        code(&methods.bootstrap_seed).trim_matches('`')
    ));
    page.line("## What this does not prove\n");
    page.line(&view.matrix.limits_of_this_report);
}

/// Quotes a text in a code span, where Markdown and HTML mean nothing.
fn code(text: &str) -> String {
    // Neither a backslash nor an entity can hide a backtick in a code span, so it is spelled.
    let shown = escape(text.as_bytes(), 300)
        .replace('`', "\\u{60}")
        .replace('|', "\\u{7c}");
    if shown.trim().is_empty() {
        "(empty)".to_owned()
    } else {
        format!("`{shown}`")
    }
}

struct Page(String);

impl Page {
    fn line(&mut self, text: &str) {
        // Writing to a String cannot fail.
        writeln!(self.0, "{text}").unwrap_or_default();
    }

    /// Writes a row for each item and an empty line; says how many are left out.
    fn rows<T>(&mut self, items: &[T], row: impl Fn(&T) -> String) {
        for item in items.iter().take(SHOWN) {
            self.line(&row(item));
        }
        if items.len() > SHOWN {
            self.line(&format!("\n{} more are in matrix.json.", items.len() - SHOWN));
        }
        self.line("");
    }
}
