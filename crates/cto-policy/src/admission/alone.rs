//! Judging a record by itself: what a run that asks for just what it says would make of it.

use cto_schema::{
    AdmissionFacts, ModelAdmission, MutationMode, ProviderClass, ProviderDecision, ProviderReach, RecordFact,
    RepositoryAdmission, SourceAdmission,
};

use super::{DecisionRefusal, judge_decision, judge_model, judge_repository, judge_source};

/// What a record comes to when nothing but itself is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alone {
    /// The status, as reports show it.
    pub status: &'static str,
    /// What stands against it; empty when nothing does.
    pub reasons: Vec<String>,
    /// Whether it admits what it is about.
    pub admits: bool,
}

impl Alone {
    fn new(status: &'static str, reason: String, admits: bool) -> Self {
        let reasons = if reason.is_empty() { vec![] } else { vec![reason] };
        Self {
            status,
            reasons,
            admits,
        }
    }
}

fn facts(now_seconds: i64) -> AdmissionFacts {
    AdmissionFacts {
        judged_at_seconds: now_seconds,
        ..AdmissionFacts::default()
    }
}

/// Judges a model admission by the pair that it names.
pub fn judge_model_alone(record: RecordFact<ModelAdmission>, now_seconds: i64) -> Alone {
    let mut facts = facts(now_seconds);
    let pair = record.record.as_ref().map(ModelAdmission::pair);
    facts.model.provider = pair.as_ref().map(|pair| pair.provider.to_string());
    facts.model.model = pair.as_ref().map(|pair| pair.model.to_string());
    facts.model.admission = record;
    let judged = judge_model(&facts);
    Alone::new(judged.status.word(), judged.reason, !judged.blocks)
}

/// Judges a source admission, which is admitted when it is for every mode that it names.
pub fn judge_source_alone(record: RecordFact<SourceAdmission>, now_seconds: i64) -> Alone {
    let mut facts = facts(now_seconds);
    let modes = record
        .record
        .as_ref()
        .map(|record| record.allowed_execution_modes.clone());
    facts.source = record;
    let mut modes = modes.unwrap_or_default();
    if modes.is_empty() {
        modes.push(MutationMode::CopiedFixture);
    }
    let judged = modes
        .into_iter()
        .map(|mode| judge_source(&facts, mode))
        .find(|judged| !judged.reason.is_empty());
    match judged {
        Some(judged) => Alone::new(judged.status.word(), judged.reason, false),
        None => Alone::new("admitted", String::new(), true),
    }
}

/// Judges a provider decision by the provider that it names.
pub fn judge_decision_alone(record: RecordFact<ProviderDecision>, now_seconds: i64) -> Alone {
    let mut facts = facts(now_seconds);
    facts.decision = record;
    if let Some(record) = &facts.decision.record {
        facts.model.provider = record.provider.as_ref().map(ToString::to_string);
        facts.model.model = record.model.as_ref().map(ToString::to_string);
        let external = record.provider_class.is_some_and(ProviderClass::is_external);
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
        Ok(status) => Alone::new(status.word(), String::new(), true),
        Err(DecisionRefusal::NotDecided(reason) | DecisionRefusal::Forbids(reason)) => Alone::new(word, reason, false),
    }
}

/// Judges a repository admission without a contract.
pub fn judge_repository_alone(record: &RecordFact<RepositoryAdmission>, now_seconds: i64) -> Alone {
    let found = judge_repository(record, None, now_seconds);
    let admits = found.is_empty();
    Alone {
        status: if admits { "admitted" } else { "not_admitted" },
        reasons: found.into_iter().map(|(_, detail)| detail).collect(),
        admits,
    }
}
