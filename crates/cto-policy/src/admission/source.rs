//! Whether the agent's source is admitted for a mutation mode.

use cto_schema::{AdmissionFacts, BuildAdmission, LicenceStatus, MutationMode, SourceAdmission};

use super::{Judgement, in_the_future};

/// The lowest stage that needs an admitted source; below it the status is recorded and the run goes on.
const NEEDED_FROM_STAGE: u8 = 3;

/// What a source admission says (spec 04).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceAdmissionStatus {
    /// The source is admitted for the mode.
    Admitted,
    /// It is not, or there is no record.
    NotAdmitted,
    /// The binary comes from another pin than the admitted one.
    Stale,
}

impl SourceAdmissionStatus {
    /// Returns the word used in documents.
    pub fn word(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::NotAdmitted => "not_admitted",
            Self::Stale => "stale",
        }
    }
}

/// Judges the source of an engine for a mode. A record that cannot be used blocks at every stage; one that does not
/// admit the mode blocks from stage 3 on.
pub fn judge_source(facts: &AdmissionFacts, mode: MutationMode) -> Judgement<SourceAdmissionStatus> {
    use SourceAdmissionStatus as S;
    if let Some(problem) = &facts.source.problem {
        return Judgement::refuses(
            S::NotAdmitted,
            format!("the source admission cannot be used: {problem}"),
        );
    }
    let (status, reason) = match &facts.source.record {
        None => (S::NotAdmitted, "the engine has no source admission".to_owned()),
        Some(record) => {
            if let Some(defect) = defect(record, facts.judged_at_seconds) {
                return Judgement::refuses(S::NotAdmitted, defect);
            }
            match not_for(record, mode) {
                Some(reason) => (S::NotAdmitted, reason),
                None => match facts.build.record.as_ref().and_then(|build| other_pin(record, build)) {
                    Some(reason) => (S::Stale, reason),
                    None => return Judgement::holds(S::Admitted),
                },
            }
        }
    };
    Judgement {
        status,
        reason,
        blocks: mode.stage() >= NEEDED_FROM_STAGE,
    }
}

/// What makes a record no record of a source.
fn defect(record: &SourceAdmission, now_seconds: i64) -> Option<String> {
    if record.source_id().is_none() {
        return Some("the source admission pins nothing: it needs a commit, a tag or a package".to_owned());
    }
    if in_the_future(&record.retrieval_date, now_seconds) {
        return Some(format!(
            "the source admission says that it was retrieved in the future ({})",
            record.retrieval_date
        ));
    }
    None
}

fn not_for(record: &SourceAdmission, mode: MutationMode) -> Option<String> {
    let word = mode.word();
    if record.admission_status.as_str() != "admitted" {
        return Some(format!(
            "the source admission's status is '{}', not 'admitted'",
            record.admission_status
        ));
    }
    if !record.allowed_execution_modes.contains(&mode) {
        return Some(format!("the source admission does not allow mutation mode {word}"));
    }
    let licence = &record.licence_note;
    if licence.status == LicenceStatus::Unresolved {
        return Some("the licence note of the source is unresolved".to_owned());
    }
    (!licence.permits.contains(&mode)).then(|| format!("the licence note does not permit mutation mode {word}"))
}

/// Why a binary does not come from what is pinned.
fn other_pin(record: &SourceAdmission, build: &BuildAdmission) -> Option<String> {
    match (&record.pinned_commit, &build.pinned_commit) {
        (Some(pinned), Some(built)) if pinned != built => {
            return Some(format!(
                "the source is pinned to {pinned} and the binary was built from {built}"
            ));
        }
        _ => {}
    }
    match (&record.pinned_package, &build.package) {
        (Some(pinned), Some(installed)) if pinned != installed => {
            return Some(format!(
                "the source is pinned to {}@{} and the binary comes from {}@{} or from another copy of it",
                pinned.name, pinned.version, installed.name, installed.version
            ));
        }
        _ => {}
    }
    let compared = (record.pinned_commit.is_some() && build.pinned_commit.is_some())
        || (record.pinned_package.is_some() && build.package.is_some());
    let only_tag = record.pinned_commit.is_none() && record.pinned_package.is_none();
    (!compared && !only_tag)
        .then(|| "the source and the build pin different things; name the same commit or package in both".to_owned())
}
