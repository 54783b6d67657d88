//! Reading sealed documents of this installation again, each checked with everything that it rests on.

use cto_evidence::{Bundle, BundleError, DocumentSeen, Reach, VerificationOutcome, documents, read_document};
use cto_policy::ComparisonShown;
use cto_schema::{CandidateComparison, DocumentKind, RepeatabilityRefresh, RunId};
use serde::de::DeserializeOwned;

use super::gather::Belief;
use crate::request::Harness;

/// How many documents are tried before there is none that counts.
const TRIES: usize = 8;

/// A document as it was read, with what checking it found.
#[derive(Clone, Debug)]
pub struct CheckedDocument<T> {
    /// Its id.
    pub id: RunId,
    /// What it says.
    pub document: T,
    /// What checking it found.
    pub outcome: VerificationOutcome,
    /// What is signed about it.
    pub seen: DocumentSeen,
}

impl<T> CheckedDocument<T> {
    /// Returns why it may not be believed; `None` when every check holds.
    pub fn problem(&self) -> Option<String> {
        let failed = self.outcome.failed().next();
        failed.map(|check| format!("{}: {}", check.name, check.detail))
    }
}

/// Why a document could not be read at all.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Its directory.
    #[error("read {} '{id}'", .kind.word())]
    Bundle {
        /// What it is.
        kind: DocumentKind,
        /// Its id.
        id: RunId,
        /// The cause.
        source: BundleError,
    },
    /// What is in it.
    #[error("read {} '{id}': {reason}", .kind.word())]
    Document {
        /// What it is.
        kind: DocumentKind,
        /// Its id.
        id: RunId,
        /// What is wrong.
        reason: String,
    },
    /// What this installation believes.
    #[error("read what this installation believes")]
    Belief(#[source] Box<super::DecideError>),
}

/// Reads a document and checks it with everything that it rests on.
pub fn read_checked<T: DeserializeOwned>(
    harness: &Harness,
    kind: DocumentKind,
    id: &RunId,
) -> Result<CheckedDocument<T>, ReadError> {
    let belief = Belief::of(harness).map_err(|error| ReadError::Belief(Box::new(error)))?;
    read_believing(harness, &belief, kind, id)
}

pub(crate) fn read_believing<T: DeserializeOwned>(
    harness: &Harness,
    belief: &Belief,
    kind: DocumentKind,
    id: &RunId,
) -> Result<CheckedDocument<T>, ReadError> {
    let bundle = Bundle::open(&harness.home.document(kind, id)).map_err(|source| ReadError::Bundle {
        kind,
        id: id.clone(),
        source,
    })?;
    let wrong = |reason: String| ReadError::Document {
        kind,
        id: id.clone(),
        reason,
    };
    let document = read_document(&bundle, kind).map_err(wrong)?;
    let outcome = Reach::new(&belief.keys, Some(belief.view()), &[]).verify(&bundle);
    let seen = outcome
        .document
        .clone()
        .ok_or_else(|| wrong("it is not signed".to_owned()))?;
    Ok(CheckedDocument {
        id: id.clone(),
        document,
        outcome,
        seen,
    })
}

/// Returns what a comparison shows about its candidate; nothing when it does not verify.
pub(crate) fn comparison_of(found: &CheckedDocument<CandidateComparison>) -> Option<ComparisonShown> {
    found.outcome.ok().then(|| ComparisonShown {
        comparison_id: found.id.to_string(),
        candidate: found.document.candidate.clone(),
        proof_holds: found.document.verdict.proof_holds,
        accepted: found.seen.accepted,
        harness_version: found.seen.predicate.harness_version.clone(),
        made_at: found.seen.predicate.made_at.clone(),
        admissions: found.document.facts.candidate.admissions.clone(),
    })
}

/// Returns the newest comparison of a candidate that counts most: an accepted one, else one whose proof holds, else any
/// that verifies.
pub fn newest_comparison(harness: &Harness, engine: &str) -> Option<CheckedDocument<CandidateComparison>> {
    let ids = documents(&harness.home, DocumentKind::Comparison).ok()?;
    if ids.is_empty() {
        return None;
    }
    let belief = Belief::of(harness).ok()?;
    let mut best: Option<CheckedDocument<CandidateComparison>> = None;
    for id in ids.iter().filter(|id| is_about(harness, id, engine)).take(TRIES) {
        let Ok(found) = read_believing::<CandidateComparison>(harness, &belief, DocumentKind::Comparison, id) else {
            continue;
        };
        if !found.outcome.ok() || found.document.candidate != engine {
            continue;
        }
        let worth = |found: &CheckedDocument<CandidateComparison>| {
            let holds = found.document.verdict.proof_holds;
            (holds && found.seen.accepted, holds)
        };
        let found_worth = worth(&found);
        if best.as_ref().is_none_or(|best| worth(best) < found_worth) {
            best = Some(found);
        }
        if found_worth == (true, true) {
            break;
        }
    }
    best
}

/// Returns the newest refresh; the error says why it cannot be read. `None` when there is none.
pub(crate) fn newest_refresh(harness: &Harness) -> Option<Result<CheckedDocument<RepeatabilityRefresh>, String>> {
    let id = documents(&harness.home, DocumentKind::Refresh)
        .ok()?
        .into_iter()
        .next()?;
    Some(read_checked(harness, DocumentKind::Refresh, &id).map_err(|error| crate::run::chain(&error)))
}

/// A cheap look at whom a comparison is about, which is believed only once the document was checked.
fn is_about(harness: &Harness, id: &RunId, engine: &str) -> bool {
    let path = harness
        .home
        .document(DocumentKind::Comparison, id)
        .join(DocumentKind::Comparison.file());
    let about = std::fs::read(path)
        .ok()
        .and_then(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).ok());
    about.is_some_and(|about| about.get("candidate").and_then(serde_json::Value::as_str) == Some(engine))
}
