//! Whether the requested pair is the admitted one.

use cto_schema::AdmissionFacts;

use super::classes::contradiction;
use super::{Judgement, in_the_future};

/// What a model admission says about a request (spec 04).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelAdmissionStatus {
    /// The requested pair is admitted.
    Admitted,
    /// There is no record.
    MissingAdmission,
    /// The record is of another pair.
    Mismatch,
    /// The record cannot be read or contradicts itself.
    InvalidAdmission,
    /// The record admits nothing.
    NotAdmitted,
    /// The record's time is over.
    Expired,
}

impl ModelAdmissionStatus {
    /// Returns the word used in documents.
    pub fn word(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::MissingAdmission => "missing_admission",
            Self::Mismatch => "mismatch",
            Self::InvalidAdmission => "invalid_admission",
            Self::NotAdmitted => "not_admitted",
            Self::Expired => "expired",
        }
    }
}

/// Judges the requested pair by the admission record; the record is the authority.
pub fn judge_model(facts: &AdmissionFacts) -> Judgement<ModelAdmissionStatus> {
    use ModelAdmissionStatus as S;
    let model = &facts.model;
    let fact = &model.admission;
    if let Some(problem) = &fact.problem {
        return Judgement::refuses(
            S::InvalidAdmission,
            format!("the model admission cannot be used: {problem}"),
        );
    }
    let Some(record) = &fact.record else {
        return Judgement::refuses(
            S::MissingAdmission,
            format!("there is no model admission; {}", model.how_to_request),
        );
    };
    if record.status.as_str() != "admitted" {
        let detail = format!("the model admission's status is '{}', not 'admitted'", record.status);
        return Judgement::refuses(S::NotAdmitted, detail);
    }
    if in_the_future(&record.admission_timestamp, facts.judged_at_seconds) {
        let detail = format!(
            "the model admission is dated in the future ({})",
            record.admission_timestamp
        );
        return Judgement::refuses(S::InvalidAdmission, detail);
    }
    if let Some(end) = &record.expires_at {
        if end.unix_seconds() <= record.admission_timestamp.unix_seconds() {
            return Judgement::refuses(S::InvalidAdmission, "the model admission ends before it begins");
        }
        if end.unix_seconds() <= facts.judged_at_seconds {
            return Judgement::refuses(S::Expired, format!("the model admission expired at {end}"));
        }
    }
    let pair = record.pair();
    let mut pairs: Vec<_> = record.fallback.iter().collect();
    pairs.push(&pair);
    let count = pairs.len();
    pairs.sort();
    pairs.dedup();
    if pairs.len() != count {
        return Judgement::refuses(S::InvalidAdmission, "the model admission names a pair twice");
    }
    match (&model.provider, &model.model) {
        (Some(provider), Some(name)) if *provider == *pair.provider.as_str() && *name == *pair.model.as_str() => {
            let (network, credential) = (&record.allowed_network_class, &record.credential_source_class);
            let found = contradiction(
                "model admission",
                network.as_str(),
                credential.as_str(),
                &model.providers,
            );
            found.map_or_else(
                || Judgement::holds(S::Admitted),
                |why| Judgement::refuses(S::Mismatch, why),
            )
        }
        (Some(provider), Some(name)) => Judgement::refuses(
            S::Mismatch,
            format!("{provider}/{name} was requested and {pair} is admitted"),
        ),
        (None, None) => Judgement::refuses(
            S::Mismatch,
            format!(
                "no model was requested and {pair} is admitted; {}",
                model.how_to_request
            ),
        ),
        (provider, name) => {
            let shown = |part: &Option<String>| part.clone().unwrap_or_else(|| "(not set)".to_owned());
            let detail = format!(
                "half a pair was requested: provider {}, model {}; {pair} is admitted; {}",
                shown(provider),
                shown(name),
                model.how_to_request
            );
            Judgement::refuses(S::Mismatch, detail)
        }
    }
}
