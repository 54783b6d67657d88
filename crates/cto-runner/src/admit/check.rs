//! Judging one record by itself: what a run would make of it now.

use std::path::Path;

use cto_policy::{DecisionRefusal, judge_build, judge_decision, judge_model, judge_repository, judge_source};
use cto_schema::{
    AdmissionFacts, BuildAdmission, ModelAdmission, MutationMode, ProviderDecision, ProviderReach, Record, RecordFact,
    RecordKind, RepositoryAdmission, SourceAdmission, read_object,
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
    let mut facts = AdmissionFacts {
        judged_at_seconds: now,
        ..AdmissionFacts::default()
    };
    match kind {
        RecordKind::Model => model(path, facts),
        RecordKind::Source => {
            facts.source = read_fact::<SourceAdmission>(path);
            source(&facts)
        }
        RecordKind::Build => {
            facts.build = read_fact::<BuildAdmission>(path);
            build(facts)
        }
        RecordKind::Decision => decision(path, facts),
        RecordKind::Repository => repository(&read_fact(path), now),
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

fn model(path: &Path, mut facts: AdmissionFacts) -> Checked {
    facts.model.admission = read_fact::<ModelAdmission>(path);
    missing(&facts.model.admission).unwrap_or_else(|| judged(facts))
}

/// Judges a model admission that is not written yet, by itself.
pub fn check_model(record: ModelAdmission) -> Checked {
    let mut facts = AdmissionFacts {
        judged_at_seconds: cto_evidence::wall_now().as_second(),
        ..AdmissionFacts::default()
    };
    facts.model.admission.present = true;
    facts.model.admission.record = Some(record);
    judged(facts)
}

/// Judges a model admission for the very pair that it names.
fn judged(mut facts: AdmissionFacts) -> Checked {
    let pair = facts.model.admission.record.as_ref().map(ModelAdmission::pair);
    facts.model.provider = pair.as_ref().map(|pair| pair.provider.to_string());
    facts.model.model = pair.as_ref().map(|pair| pair.model.to_string());
    let judged = judge_model(&facts);
    checked(RecordKind::Model, judged.status.word(), judged.reason, !judged.blocks)
}

/// A source is admitted when it is for every mode that it names.
fn source(facts: &AdmissionFacts) -> Checked {
    if let Some(missing) = missing(&facts.source) {
        return missing;
    }
    let modes = facts
        .source
        .record
        .as_ref()
        .map(|record| record.allowed_execution_modes.clone());
    let mut modes = modes.unwrap_or_default();
    if modes.is_empty() {
        modes.push(MutationMode::CopiedFixture);
    }
    let judged = modes
        .into_iter()
        .map(|mode| judge_source(facts, mode))
        .find(|judged| !judged.reason.is_empty());
    match judged {
        Some(judged) => checked(RecordKind::Source, judged.status.word(), judged.reason, false),
        None => checked(RecordKind::Source, "admitted", String::new(), true),
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

fn decision(path: &Path, mut facts: AdmissionFacts) -> Checked {
    facts.decision = read_fact::<ProviderDecision>(path);
    if let Some(missing) = missing(&facts.decision) {
        return missing;
    }
    if let Some(record) = &facts.decision.record {
        facts.model.provider = record.provider.as_ref().map(ToString::to_string);
        facts.model.model = record.model.as_ref().map(ToString::to_string);
        let external = record
            .provider_class
            .is_some_and(cto_schema::ProviderClass::is_external);
        facts.model.providers = vec![ProviderReach {
            provider: facts.model.provider.clone().unwrap_or_default(),
            class: if external { "external" } else { "local" }.to_owned(),
            ..ProviderReach::default()
        }];
    }
    let word = facts
        .decision
        .record
        .as_ref()
        .map_or("invalid_admission", |record| record.decision_status.word());
    match judge_decision(&facts) {
        Ok(status) => checked(RecordKind::Decision, status.word(), String::new(), true),
        Err(DecisionRefusal::NotDecided(reason) | DecisionRefusal::Forbids(reason)) => {
            checked(RecordKind::Decision, word, reason, false)
        }
    }
}

fn repository(fact: &RecordFact<RepositoryAdmission>, now_seconds: i64) -> Checked {
    let found = judge_repository(fact, None, now_seconds);
    let admits = found.is_empty();
    Checked {
        kind: Some(RecordKind::Repository),
        status: if admits { "admitted" } else { "not_admitted" }.to_owned(),
        reasons: found.into_iter().map(|(_, detail)| detail).collect(),
        admits,
    }
}
