//! The ladder as this installation's own bundles show it, and the validators that put them on record.

mod candidate;
mod compare;
mod evidence;
mod play;
mod validate;

use std::collections::BTreeMap;
use std::ffi::OsString;

use cto_policy::{Rung, RungQuestion, admissions_of, candidate_rung, rung};

pub use compare::{StageComparison, StageField};
pub use evidence::{LadderError, status_with_the_word};
pub(crate) use evidence::{evidence_of_stage, has_a_word, trusted_keys};
pub(crate) use play::play_need;
pub use validate::{StageCheck, StageValidation, Who, validate_stage};

use crate::comparison::{comparison_of, newest_comparison};
use crate::request::{Harness, RunRequest, Task};

/// How high an engine stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineLadder {
    /// The engine.
    pub engine: String,
    /// The highest stage up to which every stage is validated; 0 when none is.
    pub stands_on: u8,
    /// Stages 1 to 6.
    pub rungs: Vec<Rung>,
}

/// Computes an engine's ladder from the bundles of this installation; each is verified again.
pub fn engine_ladder(harness: &Harness, engine: &str) -> Result<EngineLadder, LadderError> {
    let admissions = current_admissions(harness, engine, &[]);
    let mut rungs = Vec::new();
    for stage in 1..=5 {
        rungs.push(one_rung(harness, engine, stage, &admissions)?);
    }
    rungs.push(sixth_rung(harness, engine, &admissions));
    let stands_on = rungs.iter().take_while(|rung| rung.validated()).count();
    Ok(EngineLadder {
        engine: engine.to_owned(),
        stands_on: u8::try_from(stands_on).unwrap_or(0),
        rungs,
    })
}

/// Computes one rung of an engine under admissions as they are now.
pub(crate) fn one_rung(
    harness: &Harness,
    engine: &str,
    stage: u8,
    admissions: &BTreeMap<String, String>,
) -> Result<Rung, LadderError> {
    let question = RungQuestion {
        engine,
        harness_version: env!("CARGO_PKG_VERSION"),
        admissions,
        proving: harness.validator.is_some(),
    };
    let evidence = evidence_of_stage(harness, &question, stage)?;
    Ok(rung(&question, stage, &evidence))
}

/// Computes the sixth rung, which no run shows: a comparison that verifies with all that it rests on, and an operator's
/// word on it.
pub(crate) fn sixth_rung(harness: &Harness, engine: &str, admissions: &BTreeMap<String, String>) -> Rung {
    let question = RungQuestion {
        engine,
        harness_version: env!("CARGO_PKG_VERSION"),
        admissions,
        proving: false,
    };
    let shown = newest_comparison(harness, engine).as_ref().and_then(comparison_of);
    candidate_rung(&question, shown.as_ref(), cto_evidence::wall_now().as_second())
}

/// Returns the digests of the records that an engine would run under now.
pub(crate) fn current_admissions(harness: &Harness, engine: &str, command: &[OsString]) -> BTreeMap<String, String> {
    let task = Task::Contract {
        path: std::path::PathBuf::new(),
        bytes: vec![],
    };
    let mut request = RunRequest::of(task, engine.to_owned());
    request.command = command.to_vec();
    let (facts, _) = crate::facts::look_at_engine(harness, &request);
    admissions_of(&facts)
}
