//! `matrix.html` and, for many cells, pages of them: no script, no request, drawings that have their numbers beside them.

mod cells;
mod grids;
mod spreads;

use askama::Template;
use cto_schema::{Matrix, TrialSummary};

use self::cells::{CellTable, cell_pages, cell_table};
use self::grids::{Blocked, GridRow, blocked, case_grid, failure_grid, flaky};
use self::spreads::{Spreads, spreads};
use super::plot::{Dot, dot};
use super::{DrawError, MatrixView, words};
use crate::render::rows::{Mark, text};

/// How many rows of one table are shown.
const SHOWN: usize = 500;
/// With more cells than this they are on pages of their own.
const CELLS_INSIDE: usize = 1000;

/// One row with a drawing of a value and its intervals.
struct DotRow {
    dot: Option<Dot>,
    cells: Vec<String>,
}

#[derive(Template)]
#[template(path = "matrix.html")]
struct Page {
    verdict: String,
    verdict_mark: Mark,
    name: String,
    scope: String,
    matrix_id: String,
    k: u32,
    engines: Vec<String>,
    rates: Vec<DotRow>,
    blocked: Vec<Blocked>,
    case_grid: Vec<GridRow>,
    case_grid_cut: String,
    failure_grid: Vec<GridRow>,
    flaky: Vec<(String, String, String)>,
    comparisons: Vec<DotRow>,
    spreads: Vec<Spreads>,
    lanes: Vec<Vec<String>>,
    lanes_cut: String,
    pages: Vec<(String, String)>,
    tables: Vec<CellTable>,
    methods: Vec<(&'static str, String)>,
    limits: String,
}

/// Draws `matrix.html` and the pages of cells, each with its name.
pub(super) fn pages(view: MatrixView<'_>) -> Result<Vec<(String, String)>, DrawError> {
    let matrix = view.matrix;
    let paged = matrix.cells.len() > CELLS_INSIDE;
    let tables: Vec<CellTable> = matrix.engine_rows.iter().map(|row| cell_table(view, row)).collect();
    let (inside, outside) = if paged {
        (vec![], cell_pages(tables))
    } else {
        (tables, vec![])
    };
    let listed = outside
        .iter()
        .map(|(name, page)| (name.clone(), page.title.clone()))
        .collect();
    let mut files = vec![("matrix.html".to_owned(), page(view, inside, listed).render()?)];
    for (name, page) in outside {
        files.push((name, page.render()?));
    }
    Ok(files)
}

fn page(view: MatrixView<'_>, tables: Vec<CellTable>, pages: Vec<(String, String)>) -> Page {
    let matrix = view.matrix;
    let (class, verdict) = words::verdict(matrix);
    Page {
        verdict,
        verdict_mark: Mark::new(class, ""),
        name: text(&matrix.name),
        scope: words::scope(matrix),
        matrix_id: matrix.matrix_id.to_string(),
        k: matrix.repeats,
        engines: matrix.engines.iter().map(|engine| text(engine)).collect(),
        rates: matrix
            .engine_rows
            .iter()
            .map(|row| rate_row(row, matrix.repeats))
            .collect(),
        blocked: blocked(matrix),
        case_grid: case_grid(matrix),
        case_grid_cut: cut(matrix.cases.len(), "cases"),
        failure_grid: failure_grid(matrix),
        flaky: flaky(matrix),
        comparisons: comparisons(matrix),
        spreads: spreads(matrix),
        lanes: matrix
            .lane_rows
            .iter()
            .take(SHOWN)
            .map(|row| lane_row(row, matrix.repeats))
            .collect(),
        lanes_cut: cut(matrix.lane_rows.len(), "lanes"),
        pages,
        tables,
        methods: methods(matrix),
        limits: text(&matrix.limits_of_this_report),
    }
}

fn cut(all: usize, what: &str) -> String {
    if all > SHOWN {
        format!("Shown are {SHOWN} of {all} {what}; matrix.json has all of them.")
    } else {
        String::new()
    }
}

fn at(list: &[cto_schema::AtK], k: u32) -> String {
    words::rate(words::at(list, k).map(|at| at.value))
}

fn rate_row(row: &TrialSummary, k: u32) -> DotRow {
    DotRow {
        dot: row
            .pass_rate
            .map(|rate| dot(rate, row.wilson, row.clustered, (0.0, 1.0))),
        cells: vec![
            text(&row.engine),
            words::rate(row.pass_rate),
            words::interval(row.wilson),
            words::interval(row.clustered),
            at(&row.pass_at_k, k),
            at(&row.pass_all_k, k),
            words::counts(row),
        ],
    }
}

fn lane_row(row: &TrialSummary, k: u32) -> Vec<String> {
    vec![
        text(&row.engine),
        text(row.case_id.as_deref().unwrap_or_default()),
        words::rate(row.pass_rate),
        words::interval(row.wilson),
        at(&row.pass_at_k, k),
        at(&row.pass_all_k, k),
        words::median_time(row.total_ms),
        words::p95_time(row.total_ms),
        words::counts(row),
    ]
}

fn comparisons(matrix: &Matrix) -> Vec<DotRow> {
    let row = |one: &cto_schema::PairedComparison| {
        let ends = one.clustered.map_or_else(
            || words::NONE.to_owned(),
            |ends| format!("{} to {}", words::points(ends.low), words::points(ends.high)),
        );
        DotRow {
            dot: one
                .difference
                .map(|difference| dot(difference, None, one.clustered, (-1.0, 1.0))),
            cells: vec![
                text(&one.engine),
                text(&one.against),
                one.difference.map_or_else(|| words::NONE.to_owned(), words::points),
                ends,
                one.pairs.to_string(),
                one.only_engine.to_string(),
                one.only_against.to_string(),
                words::p_value(one.mcnemar_p),
                words::p_value(one.mcnemar_p_holm),
            ],
        }
    };
    matrix.comparisons.iter().take(SHOWN).map(row).collect()
}

fn methods(matrix: &Matrix) -> Vec<(&'static str, String)> {
    let methods = &matrix.methods;
    vec![
        ("Order", text(&methods.order)),
        ("Pass rate", text(&methods.pass_rate)),
        ("Wilson", text(&methods.wilson)),
        ("By cases", text(&methods.clustered)),
        (
            "Resampling",
            format!(
                "{} replicates, seed {}",
                methods.bootstrap_replicates,
                text(&methods.bootstrap_seed)
            ),
        ),
        ("pass@k", text(&methods.pass_at_k)),
        ("pass^k", text(&methods.pass_all_k)),
        ("Percentiles", text(&methods.quantiles)),
        ("Comparison", text(&methods.comparison)),
        ("Times", text(&methods.times)),
        (
            "Made",
            format!("{} by cto {}", text(&matrix.reported_at), text(&matrix.harness_version)),
        ),
        ("Plan", format!("{}, {}", text(&matrix.created_at), matrix.plan_digest)),
    ]
}
