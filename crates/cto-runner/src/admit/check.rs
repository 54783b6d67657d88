//! Judging one record by itself: what a run would make of it now.

use std::path::Path;

use cto_policy::{
    Alone, judge_build, judge_decision_alone, judge_model_alone, judge_repository_alone, judge_source_alone,
};
use cto_schema::{
    AdmissionFacts, BuildAdmission, ModelAdmission, MutationMode, Record, RecordFact, RecordKind, read_object,
};

use crate::authority::{Links, read_authority};
use crate::model::{binary_facts, read_fact};

/// What a record came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Its kind; `None` when it could not be told.
    pub kind: Option<RecordKind>,
    /// The status, as reports show it.
    pub status: String,
    /// What stands against it; empty when nothing does.
    pub reasons: Vec<String>,
    /// Whether it admits what it is about.
    pub admits: bool,
}

/// Judges the record in a file. Its kind is told by its fields when nobody names it.
pub fn check_file(path: &Path, kind: Option<RecordKind>) -> Checked {
    let now = cto_evidence::wall_now().as_second();
    let Some(kind) = kind.or_else(|| guess(path)) else {
        let unread = read_authority(path, Links::Refused, cto_schema::RECORD_MAX_BYTES as u64)
            .map_err(|error| error.to_string())
            .and_then(|bytes| read_object(&bytes).map_err(|error| error.to_string()));
        let reason = unread.map_or_else(|error| error, |_| "its fields are of no kind of record".to_owned());
        return Checked {
            kind: None,
            status: "invalid_admission".to_owned(),
            reasons: vec![reason],
            admits: false,
        };
    };
    match kind {
        RecordKind::Model => {
            let record = read_fact(path);
            missing(&record).unwrap_or_else(|| alone(kind, judge_model_alone(record, now)))
        }
        RecordKind::Source => {
            let record = read_fact(path);
            missing(&record).unwrap_or_else(|| alone(kind, judge_source_alone(record, now)))
        }
        RecordKind::Build => build(AdmissionFacts {
            judged_at_seconds: now,
            build: read_fact::<BuildAdmission>(path),
            ..AdmissionFacts::default()
        }),
        RecordKind::Decision => {
            let record = read_fact(path);
            missing(&record).unwrap_or_else(|| alone(kind, judge_decision_alone(record, now)))
        }
        RecordKind::Repository => alone(kind, judge_repository_alone(&read_fact(path), now)),
    }
}

fn guess(path: &Path) -> Option<RecordKind> {
    let bytes = read_authority(path, Links::Refused, cto_schema::RECORD_MAX_BYTES as u64).ok()?;
    RecordKind::guess(&read_object(&bytes).ok()?)
}

fn checked(kind: RecordKind, status: &str, reason: String, admits: bool) -> Checked {
    Checked {
        kind: Some(kind),
        status: status.to_owned(),
        reasons: if reason.is_empty() { vec![] } else { vec![reason] },
        admits,
    }
}

fn missing<T: Record>(fact: &RecordFact<T>) -> Option<Checked> {
    (!fact.present).then(|| checked(T::KIND, "missing_admission", "there is no such file".to_owned(), false))
}

/// Judges a model admission that is not written yet, by itself.
pub fn check_model(record: ModelAdmission) -> Checked {
    let fact = RecordFact {
        present: true,
        record: Some(record),
        ..RecordFact::absent()
    };
    let now = cto_evidence::wall_now().as_second();
    alone(RecordKind::Model, judge_model_alone(fact, now))
}

fn alone(kind: RecordKind, judged: Alone) -> Checked {
    Checked {
        kind: Some(kind),
        status: judged.status.to_owned(),
        reasons: judged.reasons,
        admits: judged.admits,
    }
}

fn build(mut facts: AdmissionFacts) -> Checked {
    if let Some(missing) = missing(&facts.build) {
        return missing;
    }
    let engine = facts.build.record.as_ref().map(|record| record.engine.to_string());
    if let Some(record) = &facts.build.record {
        // How it is started is the engine's affair; here it only has to be there.
        let program = Path::new(record.binary_path.as_str());
        facts.binary = binary_facts(Some(program), true, record);
    }
    let engine = engine.unwrap_or_default();
    let judged = judge_build(&facts, &engine, MutationMode::CopiedFixture);
    let reason = match judge_build(&facts, &engine, MutationMode::CopiedRepo) {
        above if above.blocks && !judged.blocks => format!("up to stage 2 only: {}", above.reason),
        _ => judged.reason,
    };
    checked(RecordKind::Build, judged.status.word(), reason, !judged.blocks)
}
