//! What sealed documents say about the candidate: each is checked with everything that it rests on, or is absent.

use cto_policy::CandidateDocuments;
use cto_schema::{DocumentKind, ReplayPath, RunId};

use crate::comparison::{newest_comparison, newest_refresh};
use crate::ladder::EngineLadder;
use crate::request::Harness;

/// Returns the newest comparison and refresh of a candidate. A matrix report is not read here: checking one verifies every
/// bundle of its cells, which is more than a summary may cost.
pub(super) fn candidate_documents(
    harness: &Harness,
    candidate: &str,
    ladder: Option<&EngineLadder>,
) -> CandidateDocuments {
    let comparison = newest_comparison(harness, candidate).filter(|found| found.outcome.ok());
    // The sixth rung asks for the operator's acceptance, the same records and a version that counts.
    let sixth = ladder.and_then(|ladder| ladder.rungs.iter().find(|rung| rung.stage == 6));
    let refresh = newest_refresh(harness).and_then(Result::ok);
    let refresh = refresh.filter(|found| found.outcome.ok() && found.document.candidate == candidate);
    CandidateDocuments {
        matrix_report: None,
        comparison_eligible: comparison.is_some() && sixth.is_some_and(cto_policy::Rung::validated),
        comparison: comparison.and_then(|found| place(DocumentKind::Comparison, &found.id)),
        refresh: refresh
            .as_ref()
            .and_then(|found| place(DocumentKind::Refresh, &found.id)),
        refresh_status: refresh.map(|found| found.document.repeatability_status.word().to_owned()),
    }
}

fn place(kind: DocumentKind, id: &RunId) -> Option<ReplayPath> {
    format!("{}/{id}/{}", kind.directory(), kind.file()).parse().ok()
}
