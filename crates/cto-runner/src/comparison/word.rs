//! The operator's word on a comparison: signed over its seal, put beside it, and said once.

use std::path::PathBuf;

use cto_evidence::{OutcomeError, write_document_outcome};
use cto_schema::{CandidateComparison, DocumentKind, OperatorOutcome, OutcomeStatement, RunId, SchemaId};

use super::read::{ReadError, read_checked};
use crate::approval::{SaidOutcome, SayError, Signing, say_outcome, undated};
use crate::request::Harness;

/// Why nothing was said about a document.
#[derive(Debug, thiserror::Error)]
pub enum DocumentWordError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It does not verify, or its proof does not hold.
    #[error("accept comparison '{id}': {reason}")]
    Refused {
        /// Its id.
        id: RunId,
        /// Why.
        reason: String,
    },
    /// Nothing was signed.
    #[error(transparent)]
    Say(#[from] SayError),
    /// The word could not be put on record.
    #[error(transparent)]
    Outcome(#[from] OutcomeError),
}

/// Accepts or rejects a comparison. One that does not verify, or whose proof does not hold, cannot be accepted.
pub fn say_about_document(
    harness: &Harness,
    id: &RunId,
    outcome: OperatorOutcome,
    reason: &str,
    signing: &Signing,
    actor: Option<&str>,
) -> Result<(SaidOutcome, PathBuf), DocumentWordError> {
    let found = read_checked::<CandidateComparison>(harness, DocumentKind::Comparison, id)?;
    let refused = |reason: String| DocumentWordError::Refused { id: id.clone(), reason };
    if outcome == OperatorOutcome::Accepted {
        if let Some(problem) = found.problem() {
            return Err(refused(format!("it does not verify: {problem}")));
        }
        if let Some(check) = found.document.verdict.checks.iter().find(|check| !check.ok) {
            return Err(refused(format!(
                "its proof does not hold: {}: {}",
                check.name, check.detail
            )));
        }
    }
    let about = OutcomeStatement {
        schema: SchemaId::OPERATOR_OUTCOME.to_string(),
        run_id: id.to_string(),
        nonce: found.seen.predicate.nonce.clone(),
        outcome,
        reason: reason.to_owned(),
        actor: String::new(),
        decided_at: undated(),
        attestation_digest: Some(found.seen.attestation_digest),
        patch_digest: None,
        target_commit: None,
    };
    let said = say_outcome(harness, about, signing, actor)?;
    let path = write_document_outcome(&harness.home, DocumentKind::Comparison, id, &said.signed)?;
    Ok((said, path))
}
