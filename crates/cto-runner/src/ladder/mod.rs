//! The ladder as this installation's own bundles show it, and the validators that put them on record.

mod compare;
mod evidence;
mod play;
mod validate;

use std::collections::BTreeMap;
use std::ffi::OsString;

use cto_policy::{Rung, RungEvidence, RungQuestion, rung};
use cto_schema::{Facts, Sha256Digest};

pub use compare::{StageComparison, StageField};
pub(crate) use evidence::{EvidenceReader, Looked, base, evidence_of_stage};
pub use evidence::{LadderError, status_with_the_word};
pub use validate::{StageCheck, StageValidation, Who, validate_stage};

use crate::request::{Harness, RunRequest, Task};

/// How high an engine stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineLadder {
    /// The engine.
    pub engine: String,
    /// The highest stage up to which every stage is validated; 0 when none is.
    pub stands_on: u8,
    /// Stages 1 to 5.
    pub rungs: Vec<Rung>,
}

/// Computes an engine's ladder from the bundles of this installation; each is verified again.
pub fn engine_ladder(harness: &Harness, engine: &str) -> Result<EngineLadder, LadderError> {
    ladder_from(&EvidenceReader::open(harness)?, harness, engine)
}

/// Computes an engine's ladder from evidence that several ladders share.
pub(crate) fn ladder_from(
    reader: &EvidenceReader<'_>,
    harness: &Harness,
    engine: &str,
) -> Result<EngineLadder, LadderError> {
    let admissions = current_admissions(harness, engine, &[]);
    let mut rungs = Vec::new();
    for stage in 1..=5 {
        let evidence = reader.of_stage(engine, stage)?;
        rungs.push(rung_of(harness, engine, stage, &admissions, &evidence));
    }
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
    let evidence = evidence_of_stage(harness, engine, stage)?;
    Ok(rung_of(harness, engine, stage, admissions, &evidence))
}

fn rung_of(
    harness: &Harness,
    engine: &str,
    stage: u8,
    admissions: &BTreeMap<String, String>,
    evidence: &[RungEvidence],
) -> Rung {
    let question = RungQuestion {
        engine,
        harness_version: env!("CARGO_PKG_VERSION"),
        admissions,
        proving: harness.validator.is_some(),
    };
    rung(&question, stage, evidence)
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

/// Names the records that make an engine what it is; one that is not there is not named.
pub(crate) fn admissions_of(facts: &Facts) -> BTreeMap<String, String> {
    let program = facts
        .engine
        .climbs_as
        .clone()
        .map(|program| ("program".to_owned(), program));
    // A changed manifest makes another engine of the same program.
    let manifest = facts
        .engine
        .manifest_digest
        .map(|digest| ("manifest".to_owned(), digest.to_string()));
    let facts = &facts.admissions;
    let named = |name: &str, digest: Option<Sha256Digest>| digest.map(|digest| (name.to_owned(), digest.to_string()));
    [
        named("model", facts.model.admission.digest),
        named("source", facts.source.digest),
        named("build", facts.build.digest),
    ]
    .into_iter()
    .flatten()
    .chain(program)
    .chain(manifest)
    .collect()
}
