//! Making a plan: every name is checked before anything is put on record.

use std::collections::BTreeSet;

use cto_evidence::{rfc3339, wall_now};
use cto_schema::{MatrixOptions, MatrixPlan, PlannedLane, RunId, SchemaId};

use super::TrialsError;
use super::lanes::request_of;
use crate::cases::{LoadedCase, find, known};
use crate::request::Harness;
use crate::run::read_task;

/// What is asked of a new matrix.
#[derive(Clone, Debug)]
pub struct TrialsRequest {
    /// The engines, in the order in which they take turns.
    pub engines: Vec<String>,
    /// The cases in order; empty for all that there are.
    pub cases: Vec<String>,
    /// How often each engine runs each case.
    pub repeats: u32,
    /// A name for people; empty for none.
    pub name: String,
    /// What every run is asked with.
    pub options: MatrixOptions,
    /// Most cells; a plan with more is refused.
    pub max_cells: u32,
}

/// Makes a plan. Nothing is written.
pub fn make_plan(harness: &Harness, asked: &TrialsRequest) -> Result<MatrixPlan, TrialsError> {
    let refuse = |what: String| TrialsError::Plan { what };
    let cases = if asked.cases.is_empty() {
        known(&harness.settings.cases)
    } else {
        asked.cases.clone()
    };
    for (kind, names) in [("engine", &asked.engines), ("case", &cases)] {
        if names.is_empty() {
            return Err(refuse(format!("there is no {kind}")));
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = names.iter().find(|name| !seen.insert(*name)) {
            let shown = cto_schema::escape(twice.as_bytes(), 80);
            return Err(refuse(format!(
                "{kind} '{shown}' is named twice; --repeat says how often each runs"
            )));
        }
    }
    let lanes = asked.engines.len().saturating_mul(cases.len());
    let repeats = usize::try_from(asked.repeats).unwrap_or(usize::MAX);
    let cells = lanes.saturating_mul(repeats);
    if asked.repeats == 0 {
        return Err(refuse("--repeat must be at least 1".to_owned()));
    }
    if cells > usize::try_from(asked.max_cells).unwrap_or(usize::MAX) {
        return Err(refuse(format!(
            "{} engines × {} cases × {} repeats are {cells} cells and {} are allowed; --max-cells raises that",
            asked.engines.len(),
            cases.len(),
            asked.repeats,
            asked.max_cells
        )));
    }
    secret_free(harness, asked)?;
    let mut lanes = Vec::with_capacity(lanes);
    for id in &cases {
        let case = find(id, &harness.settings.cases)?;
        for engine in &asked.engines {
            lanes.push(lane(harness, &case, engine, &asked.options)?);
        }
    }
    let (matrix_id, seed) = names(&asked.name)?;
    Ok(MatrixPlan {
        schema: SchemaId::MATRIX_PLAN.to_string(),
        matrix_id,
        name: asked.name.clone(),
        created_at: rfc3339(wall_now()),
        harness_version: env!("CARGO_PKG_VERSION").to_owned(),
        engines: asked.engines.clone(),
        cases,
        repeats: asked.repeats,
        lanes,
        options: asked.options.clone(),
        bootstrap_seed: seed,
    })
}

fn lane(
    harness: &Harness,
    case: &LoadedCase,
    engine: &str,
    options: &MatrixOptions,
) -> Result<PlannedLane, TrialsError> {
    harness.engines.find(engine)?;
    let (_, contract) = read_task(harness, &request_of(case, engine, options));
    let contract = contract.map_err(|what| TrialsError::Plan { what })?;
    Ok(PlannedLane {
        engine: engine.to_owned(),
        case_id: case.case.case_id.clone(),
        contract_digest: contract.digest(),
    })
}

/// A plan is no place for a credential, and what is in it is in every report.
fn secret_free(harness: &Harness, asked: &TrialsRequest) -> Result<(), TrialsError> {
    let options = &asked.options;
    let texts = options.command.iter().chain(&options.toolchains).chain([&asked.name]);
    for text in texts {
        let holds = |secret: &&cto_evidence::KnownSecret| {
            !secret.value.is_empty()
                && text
                    .as_bytes()
                    .windows(secret.value.len())
                    .any(|part| part == secret.value)
        };
        if let Some(secret) = harness.secrets.iter().find(holds) {
            let name = cto_schema::escape(secret.name.as_bytes(), 80);
            return Err(TrialsError::Plan {
                what: format!("the command line holds the value of {name}; no secret belongs there"),
            });
        }
    }
    Ok(())
}

/// Draws the id, which holds the name, and the seed of the report's resampling.
fn names(name: &str) -> Result<(RunId, String), TrialsError> {
    let mut random = [0; 15];
    getrandom::fill(&mut random).map_err(|error| TrialsError::Random(std::io::Error::other(error.to_string())))?;
    let [a, b, c, d, e, f, g, seed @ ..] = random;
    let stamp = wall_now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let word = if name.is_empty() { "matrix" } else { name };
    let seed = format!("{:016x}", u64::from_be_bytes(seed));
    Ok((RunId::new(&stamp, word, [a, b, c, d, e, f, g]), seed))
}
