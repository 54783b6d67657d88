//! How times, tokens and cost are spread: a row for each engine and part, all of one table on one scale.

use cto_schema::{Matrix, Spread, TrialSummary};

use crate::render::rows::text;
use crate::render::trials::plot::{Box, spread_box};
use crate::render::trials::words;

/// One row with a drawing of a spread.
pub(super) struct SpreadRow {
    pub(super) drawn: Option<Box>,
    pub(super) cells: Vec<String>,
    pub(super) last: bool,
}

/// One table of spreads on one scale.
pub(super) struct Spreads {
    pub(super) title: &'static str,
    pub(super) what: &'static str,
    pub(super) note: &'static str,
    pub(super) empty: &'static str,
    pub(super) high: String,
    pub(super) rows: Vec<SpreadRow>,
}

type SpreadOf = fn(&TrialSummary) -> Option<(Spread, u32)>;

/// Returns the tables of times, tokens and cost.
pub(super) fn spreads(matrix: &Matrix) -> Vec<Spreads> {
    let times: [(&str, SpreadOf); 4] = [
        ("whole run", |row| Some((row.total_ms?, 0))),
        ("engine", |row| Some((row.engine_ms?, 0))),
        ("verification", |row| Some((row.verification_ms?, 0))),
        ("harness", |row| Some((row.harness_ms?, 0))),
    ];
    let tokens: [(&str, SpreadOf); 2] = [
        ("input", |row| {
            row.input_tokens
                .as_ref()
                .map(|amount| (amount.spread, amount.unknown_cells))
        }),
        ("output", |row| {
            row.output_tokens
                .as_ref()
                .map(|amount| (amount.spread, amount.unknown_cells))
        }),
    ];
    let costs: [(&str, SpreadOf); 1] = [("cost", |row| {
        row.cost_micro_usd
            .as_ref()
            .map(|amount| (amount.spread, amount.unknown_cells))
    })];
    vec![
        block(
            matrix,
            Spreads {
                title: "How long a cell takes",
                what: "Part",
                note: "The box holds the middle half, the thick mark is the median, the line reaches from the smallest to the \
                       largest, with a mark at the 95th percentile. Harness is the overhead of governing: the whole run less \
                       the engine and the clean room's commands.",
                empty: "No cell was tried.",
                high: String::new(),
                rows: vec![],
            },
            &times,
            words::time,
        ),
        block(
            matrix,
            Spreads {
                title: "How many tokens a cell takes",
                what: "Tokens",
                note: "As the provider counted them, through the gateway.",
                empty: "No engine used a model that names its usage. Unknown is not zero.",
                high: String::new(),
                rows: vec![],
            },
            &tokens,
            words::thousands,
        ),
        block(
            matrix,
            Spreads {
                title: "What a cell costs",
                what: "Of a cell",
                note: "From the prices of the provider's settings.",
                empty: "No cost is known: no model was used, or its provider has no prices in harness.yaml. Unknown is not zero.",
                high: String::new(),
                rows: vec![],
            },
            &costs,
            words::dollars,
        ),
    ]
}

/// Fills a table of spreads: a row for each engine and part, all on one scale.
fn block(matrix: &Matrix, mut block: Spreads, parts: &[(&str, SpreadOf)], shown: fn(f64) -> String) -> Spreads {
    let all = matrix
        .engine_rows
        .iter()
        .flat_map(|row| parts.iter().filter_map(|(_, of)| of(row)));
    let high = all.map(|(spread, _)| spread.max).fold(0.0, f64::max);
    block.high = shown(high);
    for row in &matrix.engine_rows {
        let known: Vec<_> = parts.iter().filter_map(|(name, of)| Some((name, of(row)?))).collect();
        for (at, (name, (spread, unknown))) in known.iter().enumerate() {
            let cells = if *unknown == 0 {
                spread.n.to_string()
            } else {
                format!("{}, {unknown} not known", spread.n)
            };
            block.rows.push(SpreadRow {
                drawn: Some(spread_box(*spread, high)),
                cells: vec![
                    if at == 0 { text(&row.engine) } else { String::new() },
                    (**name).to_owned(),
                    shown(spread.median),
                    shown(spread.p95),
                    shown(spread.min),
                    shown(spread.max),
                    cells,
                ],
                last: at + 1 == known.len(),
            });
        }
    }
    block
}
