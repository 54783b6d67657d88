//! Stage 6 and what follows it: comparing a candidate, and reading sealed documents again. Only sealing writes.

mod audit;
mod collect;
mod gather;
mod now;
mod packet;
mod read;
mod refresh;
mod word;

use std::collections::BTreeMap;
use std::io;

use cto_evidence::{
    DocumentDraft, DocumentError, DocumentName, KeyError, Keys, LedgerError, SealedDocument, SnapshotError,
    comparison_markdown, wall_now,
};
use cto_policy::{judge_candidate, runs_of_verdict};
use cto_schema::{
    CandidateComparison, CandidateFacts, DocumentKind, NotActivated, NotPromoted, OperatorOutcome, SchemaId,
};

use crate::request::Harness;
pub use audit::audit;
pub use collect::{CollectedRows, collect_missing};
pub(crate) use gather::{Belief, bundles_of};
pub(crate) use now::{Watched, lane_now};
pub use packet::{PacketRefused, PacketRequest, make_decision_packet};
pub use read::{CheckedDocument, ReadError, newest_comparison, read_checked};
pub(crate) use read::{comparison_of, newest_refresh};
pub use refresh::{PinRequest, RefreshRequest, prose_of, refresh};
pub use word::{DocumentWordError, say_about_document};

/// Why nothing could be decided. Evidence that is missing is no error: it is a fact that refuses.
#[derive(Debug, thiserror::Error)]
pub enum DecideError {
    /// The ledger.
    #[error("read the run ledger")]
    Ledger(#[from] LedgerError),
    /// The ledger beside its runs.
    #[error("read the run ledger")]
    Snapshot(#[from] SnapshotError),
    /// The keys.
    #[error("use the installation's keys")]
    Keys(#[from] KeyError),
    /// The document could not be sealed.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// No name could be drawn for it.
    #[error("draw a name for a document")]
    Name(#[source] io::Error),
}

/// What is to be compared.
#[derive(Clone, Debug, Default)]
pub struct CompareRequest {
    /// The candidate.
    pub candidate: String,
    /// The lanes.
    pub against: Vec<String>,
    /// Rows that cannot be shown here, each with its rationale.
    pub blocked_rows: BTreeMap<String, String>,
}

/// A sealed document and what it says.
#[derive(Clone, Debug)]
pub struct Decided<T> {
    /// The document.
    pub document: T,
    /// Where it is, and its digests.
    pub sealed: SealedDocument,
}

/// Compares a candidate with its lanes and seals what was found. Runs nothing and changes no repository.
pub fn compare(
    harness: &Harness,
    request: &CompareRequest,
    progress: &dyn Fn(&str, &str),
) -> Result<Decided<CandidateComparison>, DecideError> {
    let facts = candidate_facts(harness, request, progress)?;
    progress("sealing", "");
    let name = DocumentName::fresh(DocumentKind::Comparison).map_err(DecideError::Name)?;
    let document = CandidateComparison {
        schema: SchemaId::CANDIDATE_COMPARISON.to_string(),
        comparison_id: name.id.to_string(),
        created_at: name.made_at.clone(),
        candidate: request.candidate.clone(),
        against: request.against.clone(),
        verdict: judge_candidate(&facts),
        candidate_default_eligible: false,
        operator_outcome: OperatorOutcome::Pending,
        runtime_default_activation: NotActivated,
        core_promotion_status: NotPromoted,
        facts,
    };
    let rests_on = document.facts.bundles.iter();
    let draft = DocumentDraft {
        name: &name,
        document: &document,
        markdown: &comparison_markdown(&document),
        more: &[],
        rests_on: rests_on
            .map(|(run, facts)| (run.clone(), facts.manifest_digest))
            .collect(),
    };
    let signer = Keys::open(&harness.home)?.ensure_signing_key()?;
    let sealed = SealedDocument::seal(&harness.home, &signer, &draft)?;
    Ok(Decided { document, sealed })
}

/// Returns what a comparison rests on: bundles of now, each checked, and the world around them.
pub(crate) fn candidate_facts(
    harness: &Harness,
    request: &CompareRequest,
    progress: &dyn Fn(&str, &str),
) -> Result<CandidateFacts, DecideError> {
    let belief = Belief::of(harness)?;
    let mut engines = request.against.clone();
    engines.push(request.candidate.clone());
    let bundles = bundles_of(harness, &belief, &engines, progress)?;
    let default_lane = harness.settings.default_lane.clone();
    let mut facts = CandidateFacts {
        judged_at_seconds: wall_now().as_second(),
        harness_version: env!("CARGO_PKG_VERSION").to_owned(),
        default_lane: default_lane.unwrap_or_else(|| "fake".to_owned()),
        candidate: lane_now(harness, &request.candidate, None),
        lanes: request
            .against
            .iter()
            .map(|lane| lane_now(harness, lane, None))
            .collect(),
        bundles,
        blocked_rows: request.blocked_rows.clone(),
        target: None,
    };
    // Which run it is decides which repository is looked at, and which program stands for `command`.
    let accepted = judge_candidate(&facts).candidate_run;
    let bundle = accepted.and_then(|run| run.parse().ok()).and_then(|run| {
        let (_, bundle) = belief.look(&harness.home.run(&run)).ok()?;
        Some(bundle)
    });
    if let Some(bundle) = &bundle {
        facts.candidate = lane_now(harness, &request.candidate, Some(bundle));
        let watched = Watched::begin(harness, &request.candidate, bundle);
        let kept = runs_of_verdict(&facts, &judge_candidate(&facts));
        facts.bundles.retain(|run, _| kept.contains(run));
        facts.target = watched.map(Watched::end);
    } else {
        let kept = runs_of_verdict(&facts, &judge_candidate(&facts));
        facts.bundles.retain(|run, _| kept.contains(run));
    }
    Ok(facts)
}
