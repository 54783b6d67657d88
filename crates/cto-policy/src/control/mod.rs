//! The control summary as a pure function of what was found; every claim in it follows from a fact named here.

mod actions;
mod fit;
mod parts;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use cto_schema::{
    AlwaysTrue, BundleSource, ControlAttention, ControlSummary, EvidenceState, GovernedState, LaneSummary,
    NotActivated, NotPromoted, REPEATABILITY_REQUIRED, ReplayPath, RunId, SUMMARY_VERSION, Sha256Digest,
    TargetReadOnly,
};

use crate::ladder::Rung;
pub use parts::{PacketFact, governed_state};

/// The engine that may become a candidate default where no other is named.
pub const CANDIDATE: &str = "case";

/// What was found in an installation. Nothing in it was decided by whoever gathered it.
#[derive(Clone, Debug, Default)]
pub struct ControlFacts {
    /// When it was gathered, RFC 3339 UTC.
    pub generated_at: String,
    /// How many summaries the gathering process made before, plus one.
    pub snapshot_seq: u32,
    /// Version of the harness.
    pub harness_version: String,
    /// The engine that the candidate fields speak of.
    pub candidate: String,
    /// The rungs of each engine, in the order in which engines are listed.
    pub ladders: Vec<(String, Vec<Rung>)>,
    /// What the ledger says about runs that are named here.
    pub runs: BTreeMap<RunId, RunFact>,
    /// Bundles that were looked at, counted or not.
    pub bundles: Vec<BundleSource>,
    /// Each engine's chain.
    pub lanes: Vec<LaneSummary>,
    /// Every packet, newest first.
    pub packets: Vec<PacketFact>,
    /// The newest proof that a run left its target alone.
    pub target: Option<TargetReadOnly>,
    /// Accepted runs of stage 5 of the candidate that verify, newest first.
    pub accepted: Vec<RunId>,
    /// Runs that wait for the operator's word.
    pub waiting: Vec<RunId>,
    /// Runs that a dead process left.
    pub dead: Vec<RunId>,
    /// The store.
    pub evidence: Option<EvidenceState>,
    /// Documents about the candidate; all absent where none was made.
    pub candidate_documents: CandidateDocuments,
}

/// What the ledger says about one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFact {
    /// Digest of `SHA256SUMS`.
    pub manifest_digest: Sha256Digest,
    /// When it ended, RFC 3339 UTC.
    pub finished_at: String,
}

/// What documents beside the runs say about the candidate. Each is read from a document that verifies, or is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CandidateDocuments {
    /// The newest matrix report.
    pub matrix_report: Option<ReplayPath>,
    /// The newest comparison of stage 6.
    pub comparison: Option<ReplayPath>,
    /// Whether it says that the candidate is eligible, and the operator accepted it.
    pub comparison_eligible: bool,
    /// The newest repeatability refresh.
    pub refresh: Option<ReplayPath>,
    /// Its status; null when there is none.
    pub refresh_status: Option<String>,
}

/// Computes the summary. It fits its bound whatever the facts are: what is cut is counted.
pub fn control_summary(facts: &ControlFacts) -> ControlSummary {
    let ladder: Vec<_> = facts
        .ladders
        .iter()
        .map(|(engine, rungs)| parts::engine_proof(engine, rungs, &facts.runs))
        .collect();
    let documents = &facts.candidate_documents;
    let candidate = facts.ladders.iter().find(|(engine, _)| *engine == facts.candidate);
    let climbed = ladder
        .iter()
        .find(|one| one.engine.as_str() == facts.candidate)
        .map_or(0, |one| one.highest_passed_stage);
    let eligible = climbed >= 5 && documents.comparison.is_some() && documents.comparison_eligible;
    let count = u32::try_from(facts.accepted.len()).unwrap_or(u32::MAX);
    let status = parts::repeatability_status(documents);
    let repeated = eligible && count >= REPEATABILITY_REQUIRED && status == "pass";
    let posture = parts::posture(&facts.packets);
    let (allowed, blocked) = actions::actions(facts, posture.allowed);
    let newest = facts.accepted.first();
    let execution = parts::executions(&facts.packets);
    let summary = ControlSummary {
        schema: ControlSummary::schema_id().to_string(),
        schema_version: SUMMARY_VERSION.to_owned(),
        generated_at: facts.generated_at.as_str().into(),
        snapshot_seq: facts.snapshot_seq,
        snapshot_sha256: None,
        harness_version: facts.harness_version.as_str().into(),
        read_only: AlwaysTrue,
        approval_required: posture.required,
        approval_granted: posture.granted,
        execution_allowed: posture.allowed,
        reason: posture.reason,
        allowed_next_actions: allowed,
        blocked_next_actions: blocked,
        next_recommended_operator_action: actions::next_action(facts, &ladder),
        attention: attention(facts, &ladder, &execution),
        proof_ready: eligible && repeated && climbed == 6,
        proof_ladder: ladder,
        candidate_default_engine: facts.candidate.as_str().into(),
        candidate_default_eligible: eligible,
        candidate_default_reason: parts::candidate_reason(facts, climbed, eligible).into(),
        candidate_default_repeatability_eligible: repeated,
        repeatability_count: count,
        repeatability_required: REPEATABILITY_REQUIRED,
        repeatability_status: status.into(),
        repeatability_reason: parts::repeatability_reason(count, documents).into(),
        runtime_default_activation: NotActivated,
        runtime_default_activation_reason: "no code path of the harness makes an engine the default".into(),
        core_promotion_status: NotPromoted,
        matrix_report_path: documents.matrix_report.clone(),
        stage6_comparison_path: documents.comparison.clone(),
        case_stage6_real_governed_refresh: documents.refresh_status.as_deref().unwrap_or("absent").into(),
        stage6_real_governed_refresh_comparison_path: documents.refresh.clone(),
        real_stage5_pass_report: newest.and_then(|run| parts::run_path(run, "report.json")),
        real_stage5_proof: newest.and_then(|run| parts::run_path(run, parts::STAGE_5_PROOF)),
        failure_closure_report_paths: candidate
            .map(|(_, rungs)| parts::failure_closure(rungs))
            .unwrap_or_default(),
        failure_closure_omitted: 0,
        target_repository_read_only_proof_status: parts::target_word(facts.target.as_ref()).into(),
        target_repository_read_only_proof: facts.target.clone(),
        lanes: facts.lanes.clone(),
        approval_packet: parts::waiting_packet(&facts.packets),
        governed_execution: execution,
        governed_execution_omitted: 0,
        evidence: facts.evidence.clone().unwrap_or_else(parts::unknown_store),
        bundles: facts.bundles.clone(),
        bundles_omitted: 0,
    };
    fit::fitted(summary).sealed()
}

/// What wants an eye, worst first.
fn attention(
    facts: &ControlFacts,
    ladder: &[cto_schema::EngineProof],
    execution: &[cto_schema::GovernedExecution],
) -> Vec<ControlAttention> {
    use cto_schema::BundleState;
    let about = |kind: &str, run: Option<&RunId>, detail: String| ControlAttention {
        kind: kind.into(),
        run_id: run.cloned(),
        detail: detail.into(),
    };
    let mut found = Vec::new();
    if let Some(store) = &facts.evidence {
        if !store.ledger_chain_holds {
            found.push(about("ledger", None, store.ledger_detail.to_string()));
        }
        if store.unfinished_changes > 0 {
            let text = format!("{} changes of repositories are unfinished", store.unfinished_changes);
            found.push(about("unfinished_change", None, text));
        }
    }
    for one in execution.iter().filter(|one| one.state == GovernedState::Unreadable) {
        found.push(about(
            "approval",
            None,
            format!("packet {} cannot be read", one.approval_id),
        ));
    }
    for bundle in &facts.bundles {
        let (kind, text) = match bundle.state {
            BundleState::Verified => continue,
            BundleState::Unverifiable => ("unverifiable", bundle.detail.to_string()),
            BundleState::Gone => ("gone", "the ledger lists it and its bundle is not there".to_owned()),
            BundleState::Stale => ("stale", bundle.detail.to_string()),
        };
        found.push(about(kind, Some(&bundle.run_id), text));
    }
    for one in ladder.iter().filter(|one| one.gap) {
        let text = format!("{}: a stage is proven above one that is not", one.engine);
        found.push(about("ladder_gap", None, text));
    }
    for run in &facts.dead {
        let text = "its process is dead and it is not sealed; cto recover closes it as blocked";
        found.push(about("dead", Some(run), text.to_owned()));
    }
    for run in &facts.waiting {
        let text = "its commit is in the repository and waits for the operator's word";
        found.push(about("waits_for_outcome", Some(run), text.to_owned()));
    }
    found
}
