//! Grids whose cells are shaded and hold their numbers: cases by engine, blockers by engine; and the lists beside them.

use cto_schema::{Matrix, TrialSummary};

use super::SHOWN;
use crate::render::rows::text;
use crate::render::trials::words;

pub(super) struct GridCell {
    pub(super) class: &'static str,
    pub(super) text: String,
}

pub(super) struct GridRow {
    pub(super) name: String,
    pub(super) cells: Vec<GridCell>,
}

pub(super) struct Blocked {
    pub(super) name: String,
    pub(super) cases: String,
    pub(super) why: Vec<String>,
}

/// Engines with cells that could not start, each with its reasons and the cases that they are about.
pub(super) fn blocked(matrix: &Matrix) -> Vec<Blocked> {
    let rows = matrix.engine_rows.iter().filter(|row| !row.blocked_because.is_empty());
    let about = |row: &TrialSummary| {
        let lanes = matrix.lane_rows.iter().filter(|lane| lane.engine == row.engine);
        let named: Vec<String> = lanes
            .filter(|lane| lane.counts.blocked > 0)
            .filter_map(|lane| lane.case_id.as_deref().map(text))
            .collect();
        if named.len() == matrix.cases.len() {
            "every case".to_owned()
        } else {
            let more = named.len().saturating_sub(10);
            let shown = named[..named.len() - more].join(", ");
            if more > 0 {
                format!("{shown} and {more} more")
            } else {
                shown
            }
        }
    };
    rows.map(|row| Blocked {
        name: text(&row.engine),
        cases: about(row),
        why: row.blocked_because.iter().map(|why| text(why)).collect(),
    })
    .collect()
}

/// Returns how dark a share is shown; every cell also has its numbers.
fn shade(part: u32, whole: u32) -> &'static str {
    if part == 0 || whole == 0 {
        return "";
    }
    match u64::from(part) * 4 / u64::from(whole) {
        0 => "h1",
        1 => "h2",
        2 => "h3",
        _ => "h4",
    }
}

pub(super) fn case_grid(matrix: &Matrix) -> Vec<GridRow> {
    let cell = |row: Option<&TrialSummary>| {
        let (pass, of) = row.map_or((0, 0), |row| (row.counts.pass, row.counts.judged()));
        GridCell {
            class: shade(of - pass, of),
            text: if of == 0 {
                words::NONE.to_owned()
            } else {
                format!("{pass}/{of}")
            },
        }
    };
    let width = matrix.cases.len();
    let row = |(at, case): (usize, &String)| GridRow {
        name: text(case),
        cells: (0..matrix.engines.len())
            .map(|engine| cell(matrix.lane_rows.get(engine * width + at)))
            .collect(),
    };
    matrix.cases.iter().enumerate().take(SHOWN).map(row).collect()
}

pub(super) fn failure_grid(matrix: &Matrix) -> Vec<GridRow> {
    let mut codes: Vec<&str> = Vec::new();
    for count in matrix.engine_rows.iter().flat_map(|row| &row.blockers) {
        if !codes.contains(&count.code.as_str()) {
            codes.push(&count.code);
        }
    }
    codes.sort_unstable();
    let cell = |row: &TrialSummary, code: &str| {
        let found = row.blockers.iter().find(|count| count.code == code);
        let cells = found.map_or(0, |count| count.cells);
        let share = f64::from(cells) / f64::from(row.counts.cells.max(1));
        GridCell {
            class: shade(cells, row.counts.cells),
            text: if cells == 0 {
                words::NONE.to_owned()
            } else {
                format!("{cells} ({})", words::percent(share))
            },
        }
    };
    codes
        .into_iter()
        .map(|code| GridRow {
            name: text(code),
            cells: matrix.engine_rows.iter().map(|row| cell(row, code)).collect(),
        })
        .collect()
}

pub(super) fn flaky(matrix: &Matrix) -> Vec<(String, String, String)> {
    let lane = |lane: &cto_schema::FlakyLane| {
        let ends: Vec<String> = lane
            .blockers
            .iter()
            .map(|count| format!("{} × {}", count.cells, text(&count.code)))
            .collect();
        let told = format!(
            "{} of {} pass; the others ended with {}",
            lane.pass,
            lane.of,
            ends.join(", ")
        );
        (text(&lane.engine), text(&lane.case_id), told)
    };
    matrix.flaky.iter().take(SHOWN).map(lane).collect()
}
