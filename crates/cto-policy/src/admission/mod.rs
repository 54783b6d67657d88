//! Judgements of admission records: what a record says, held against what is asked for and what is there now.

mod alone;
mod build;
mod classes;
mod decision;
mod model;
mod repository;
mod source;
#[cfg(test)]
pub(crate) mod tests;

use cto_schema::{Facts, MutationMode, TaskContract};

pub use alone::{Alone, judge_decision_alone, judge_model_alone, judge_repository_alone, judge_source_alone};
pub use build::{BuildStatus, judge_build};
pub use decision::{DecisionRefusal, judge_decision};
pub use model::{ModelAdmissionStatus, judge_model};
pub use repository::{RepositoryRefusal, judge_repository, shown_path};
pub use source::{SourceAdmissionStatus, judge_source};

/// How far a clock may be behind the one that dated a record.
const CLOCK_SKEW_SECONDS: i64 = 300;
/// A date begins up to fourteen hours earlier where the operator is than in UTC.
const EARLIEST_DATE_SECONDS: i64 = 14 * 3600;

/// What came of judging a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement<S> {
    /// The status, as reports show it.
    pub status: S,
    /// What was seen, as a sentence without a full stop; empty when all of it holds.
    pub reason: String,
    /// Whether a run in the given mode must not start.
    pub blocks: bool,
}

impl<S> Judgement<S> {
    fn holds(status: S) -> Self {
        Self {
            status,
            reason: String::new(),
            blocks: false,
        }
    }

    fn refuses(status: S, reason: impl Into<String>) -> Self {
        Self {
            status,
            reason: reason.into(),
            blocks: true,
        }
    }
}

/// True when a record is dated later than any clock of an operator can be.
fn in_the_future(moment: &cto_schema::Moment, now_seconds: i64) -> bool {
    let slack = if moment.is_date() {
        EARLIEST_DATE_SECONDS
    } else {
        CLOCK_SKEW_SECONDS
    };
    moment.unix_seconds() > now_seconds.saturating_add(slack)
}

/// The words of a report about admissions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdmissionWords {
    /// `source_admission_status`.
    pub source: &'static str,
    /// `case_model_admission_status`.
    pub model: &'static str,
}

/// Returns the words of a report, from the facts that the gates looked at.
pub fn admission_words(facts: &Facts, contract: Option<&TaskContract>) -> AdmissionWords {
    if !facts.engine.needs_model {
        return AdmissionWords {
            source: "not-required",
            model: "not-required",
        };
    }
    let mode = contract.map_or(MutationMode::CandidateDefault, |contract| contract.mutation_mode);
    AdmissionWords {
        source: judge_source(&facts.admissions, mode).status.word(),
        model: judge_model(&facts.admissions).status.word(),
    }
}
