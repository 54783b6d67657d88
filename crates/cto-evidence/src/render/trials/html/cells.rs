//! Tables of cells, each with the way to its evidence; many of them are on pages of their own.

use askama::Template;
use cto_schema::{CellState, MatrixCell, TrialSummary};

use crate::render::rows::{Mark, text};
use crate::render::trials::{MatrixView, words};

/// How many cells one page holds.
const CELLS_A_PAGE: usize = 1000;

pub(super) struct CellRow {
    pub(super) mark: Mark,
    pub(super) case_id: String,
    pub(super) repeat: u32,
    pub(super) total: String,
    pub(super) engine: String,
    pub(super) why: String,
    pub(super) link: String,
    pub(super) run_id: String,
    pub(super) short: String,
    pub(super) attempts: u32,
}

pub(super) struct CellTable {
    pub(super) engine: String,
    pub(super) counts: String,
    pub(super) rows: Vec<CellRow>,
}

#[derive(Template)]
#[template(path = "matrix-cells.html")]
pub(super) struct CellsPage {
    pub(super) title: String,
    pub(super) before: String,
    pub(super) after: String,
    pub(super) table: CellTable,
}

pub(super) fn cell_table(view: MatrixView<'_>, row: &TrialSummary) -> CellTable {
    let cells = view.matrix.cells.iter().filter(|cell| cell.engine == row.engine);
    CellTable {
        engine: text(&row.engine),
        counts: words::counts(row),
        rows: cells.map(|cell| cell_row(view, cell)).collect(),
    }
}

fn cell_row(view: MatrixView<'_>, cell: &MatrixCell) -> CellRow {
    let class = match cell.state {
        CellState::Pass => "good",
        CellState::Fail | CellState::Unverified => "bad",
        CellState::Blocked => "warn",
        CellState::NotRun => "none",
    };
    let run_id = cell.run_id.as_ref().map(ToString::to_string).unwrap_or_default();
    let time = |ms: u64| words::time(ms as f64);
    CellRow {
        mark: Mark::new(class, cell.state.word()),
        case_id: text(&cell.case_id),
        repeat: cell.repeat,
        total: cell
            .times
            .map_or_else(|| words::NONE.to_owned(), |times| time(times.total_ms)),
        engine: cell
            .times
            .map_or_else(|| words::NONE.to_owned(), |times| time(times.engine_ms)),
        why: words::why(cell),
        link: view.link(cell).unwrap_or_default(),
        short: run_id.rsplit('-').next().unwrap_or_default().to_owned(),
        run_id,
        attempts: cell.attempts,
    }
}

/// Cuts tables into pages, each of one engine.
pub(super) fn cell_pages(tables: Vec<CellTable>) -> Vec<(String, CellsPage)> {
    let mut cut: Vec<(String, CellTable)> = Vec::new();
    for table in tables {
        let all = table.rows.len().div_ceil(CELLS_A_PAGE).max(1);
        let mut rows = table.rows.into_iter();
        for number in 1..=all {
            let title = if all == 1 {
                format!("Cells of {}", table.engine)
            } else {
                format!("Cells of {}, page {number} of {all}", table.engine)
            };
            let part = CellTable {
                engine: table.engine.clone(),
                counts: table.counts.clone(),
                rows: rows.by_ref().take(CELLS_A_PAGE).collect(),
            };
            cut.push((title, part));
        }
    }
    let last = cut.len();
    let name = |at: usize| format!("cells-{at:04}.html");
    let page = |(at, (title, table)): (usize, (String, CellTable))| {
        let page = CellsPage {
            title,
            before: if at == 0 { String::new() } else { name(at) },
            after: if at + 1 == last { String::new() } else { name(at + 2) },
            table,
        };
        (name(at + 1), page)
    };
    cut.into_iter().enumerate().map(page).collect()
}
