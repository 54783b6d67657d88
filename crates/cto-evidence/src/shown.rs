//! What a checked bundle shows, read out of its own documents.

use std::collections::BTreeSet;

use cto_policy::{admissions_of, missing_artifacts, missing_report_fields, secret_shaped_key};
use cto_schema::{
    ApprovalProof, ApprovalProvenance, BlockerCode, BranchPolicy, BundleFacts, EligibilityDecision, Event, Facts,
    HIDDEN_PATH, JournalEvent, JournalRecord, OperatorOutcome, OperatorWord, OutcomeProof, OutcomeStatement, Report,
    RepositoryStageProof, Sha256Digest, StageProofShown, Status, TargetShown, escape,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::bundle::Bundle;
use crate::verify::VerificationOutcome;

/// Most names that are kept of a kind.
const MOST: usize = 200;

/// Reads out of a bundle what it shows. `verified` is what checking that very bundle found; what failed is among the
/// facts, so that who asks cannot forget to look.
pub fn bundle_facts(bundle: &Bundle, verified: &VerificationOutcome) -> Result<BundleFacts, String> {
    let report: Report = read(bundle, "report.json")?.ok_or("report.json is missing")?;
    let fields: Value = read(bundle, "report.json")?.unwrap_or_default();
    let decision: Option<EligibilityDecision> = read(bundle, "decision.json")?;
    let facts = facts(bundle).unwrap_or_default();
    let approval: Option<ApprovalProof> = read(bundle, "approval.json")?;
    let only_the_word = matches!(report.blockers.as_slice(), [one] if one.code == BlockerCode::MissingOperatorOutcome);
    let has = |name: &str| bundle.files().contains_key(name) || report.not_applicable.contains_key(name);
    let attempted = u32::try_from(report.forbidden_actions_attempted.len()).unwrap_or(u32::MAX);
    let says = said_in(bundle);
    Ok(BundleFacts {
        run_id: report.run_id.clone(),
        manifest_digest: verified.manifest_digest.ok_or("SHA256SUMS is missing")?,
        failed_checks: verified.failed().map(|check| check.name.to_owned()).collect(),
        keyid: verified.keyid.clone(),
        engine: report.backend.split(':').next().unwrap_or_default().to_owned(),
        stage: report.stage,
        mutation_mode: report.mutation_mode,
        status: report.status,
        effective_status: verified.effective_status,
        blockers: report.blockers.iter().map(|blocker| blocker.code).collect(),
        refused_by: decision.map(|decision| decision.missing_gates).unwrap_or_default(),
        started: report.case_process_started,
        missing_report_fields: missing_report_fields(|name| fields.get(name).is_some()),
        missing_artifacts: missing_artifacts(report.stage, report.status == Status::Pass || only_the_word, has),
        events: events(bundle),
        required_events_passed: report.required_events_passed,
        changed_files: report.changed_files.iter().take(MOST).cloned().collect(),
        allowed_writes_passed: report.allowed_writes_passed,
        forbidden_paths_passed: report.forbidden_paths_passed,
        forbidden_actions_attempted: attempted,
        tests_passed: report.tests_passed,
        source_repository_mutated: report.source_repository_mutated,
        admissions: admissions_of(&facts),
        stale_values: stale_values(&report, &facts),
        approval: approval.map(provenance),
        operator: operator(bundle, verified),
        target: target(bundle, &report, &facts)?,
        stage_proof: stage_proof(bundle)?,
        says_default_activation: says.activation || report.runtime_default_activation,
        says_promotion: says.promotion || report.core_promotion_status != cto_schema::NotPromoted::WORD,
        secret_shaped_keys: says.secret_keys.into_iter().take(MOST).collect(),
        harness_version: report.harness_version,
        backend: report.backend,
        case_id: report.case_id,
        started_at: report.run_started_at,
        finished_at: report.run_finished_at,
        source_admission_status: report.source_admission_status,
    })
}

fn read<T: DeserializeOwned>(bundle: &Bundle, name: &str) -> Result<Option<T>, String> {
    let Some(bytes) = bundle.document(name) else {
        return Ok(None);
    };
    serde_json::from_slice(bytes)
        .map(Some)
        .map_err(|error| format!("{name}: {error}"))
}

fn lines<'a>(bundle: &'a Bundle, name: &str) -> impl DoubleEndedIterator<Item = &'a [u8]> {
    let bytes = bundle.document(name).unwrap_or_default();
    bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
}

fn facts(bundle: &Bundle) -> Option<Facts> {
    lines(bundle, "journal.jsonl").rev().find_map(|line| {
        match serde_json::from_slice::<JournalRecord>(line).ok()?.event {
            JournalEvent::FactsGathered { facts } => Some(*facts),
            _ => None,
        }
    })
}

/// What an engine says is the engine's own.
fn events(bundle: &Bundle) -> Vec<String> {
    lines(bundle, "events.normalized.jsonl")
        .filter_map(|line| serde_json::from_slice::<Event>(line).ok())
        .map(|event| event.kind.name())
        .filter(|name| !name.starts_with("engine."))
        .take(MOST)
        .collect()
}

/// Names of bound values that were other ones when the run was decided, where that is why it was refused.
fn stale_values(report: &Report, facts: &Facts) -> Vec<String> {
    if !report
        .blockers
        .iter()
        .any(|blocker| blocker.code == BlockerCode::ApprovalStale)
    {
        return vec![];
    }
    let approval = &facts.approval;
    let mut now = approval.now.clone();
    now.extend(approval.target_now.clone());
    let names: BTreeSet<&String> = approval.bound.keys().chain(now.keys()).collect();
    let mut stale: Vec<String> = names
        .into_iter()
        // The target is only looked at when nothing else differs.
        .filter(|name| !name.starts_with("target.") || !approval.target_now.is_empty())
        .filter(|name| approval.bound.get(*name) != now.get(*name))
        .cloned()
        .collect();
    stale.sort();
    stale
}

fn provenance(proof: ApprovalProof) -> ApprovalProvenance {
    ApprovalProvenance {
        approval_source: proof.approval_source,
        actor: escape(proof.actor.as_bytes(), 200),
        signer_key: proof.signer_key,
        packet_id: proof.packet_id,
        packet_digest: proof.packet_digest,
        execution_scope: proof.execution_scope,
        approval_granted: proof.approval_granted,
        approval_consumed: proof.approval_consumed,
        consumed_by: proof.consumed_by,
        consumed_at: proof.consumed_at,
    }
}

/// The operator's word that counts: what lies beside the bundle, else what was sealed in.
fn operator(bundle: &Bundle, verified: &VerificationOutcome) -> Option<OperatorWord> {
    let beside = verified.outcome.as_ref().filter(|said| said.problem.is_none());
    if let Some(said) = beside {
        return Some(OperatorWord {
            outcome: said.outcome,
            actor: said.actor.clone(),
        });
    }
    // A sealed-in word was checked with the bundle; when that failed the facts say so.
    if verified.outcome.is_some() {
        return None;
    }
    let proof: OutcomeProof = read(bundle, "operator-outcome.json").ok()??;
    let said: OutcomeStatement = serde_json::from_str(&proof.signed.statement).ok()?;
    Some(OperatorWord {
        outcome: said.outcome,
        actor: escape(said.actor.as_bytes(), 200),
    })
    .filter(|word| word.outcome != OperatorOutcome::Pending)
}

fn target(bundle: &Bundle, report: &Report, facts: &Facts) -> Result<Option<TargetShown>, String> {
    let governed = report.governed.as_ref();
    let admission = &facts.target.admission;
    if governed.is_none() && !admission.present {
        return Ok(None);
    }
    let record = admission.record.as_ref();
    let path = record.and_then(|record| record.target_repository_path.as_ref());
    let path_digest = path
        .and_then(|path| path.as_str().strip_prefix(HIDDEN_PATH))
        .and_then(Sha256Digest::from_hex);
    let policy: Option<BranchPolicy> = read(bundle, "branch-policy.json")?;
    let proof: Option<RepositoryStageProof> = read(bundle, "stage5-owned-repo-proof.json")?;
    let text = |text: &str| escape(text.as_bytes(), 200);
    Ok(Some(TargetShown {
        path_digest,
        admission_digest: admission.digest,
        admission_status: governed
            .map(|governed| governed.target_repository_admission_status.clone())
            .unwrap_or_default(),
        risk_classification: record
            .and_then(|record| record.risk_classification.as_ref())
            .map(|risk| text(risk.as_str())),
        repository_owner: record
            .and_then(|record| record.repository_owner.as_ref())
            .map(|owner| text(owner.as_str())),
        start_clean: governed.and_then(|governed| governed.target_repository_start_clean),
        ending_clean: governed.and_then(|governed| governed.target_repository_ending_clean),
        target_commit: governed.and_then(|governed| governed.target_commit.clone()),
        branch: policy
            .map(|policy| policy.branch)
            .or(proof.and_then(|proof| proof.branch_policy)),
    }))
}

/// The proof of a stage names its parts; a part that is not there proves nothing.
fn stage_proof(bundle: &Bundle) -> Result<Option<StageProofShown>, String> {
    let is_proof = |name: &&String| name.starts_with("stage") && name.ends_with(".json");
    let Some(name) = bundle.files().keys().find(is_proof) else {
        return Ok(None);
    };
    let proof: Value = read(bundle, name)?.unwrap_or_default();
    let parts = proof.get("parts").and_then(Value::as_array).into_iter().flatten();
    let missing = parts
        .filter_map(Value::as_str)
        .filter(|part| !bundle.files().contains_key(*part) && !bundle.files().contains_key(&format!("{part}.json")))
        .map(|part| escape(part.as_bytes(), 100));
    Ok(Some(StageProofShown {
        name: name.clone(),
        holds: proof.get("holds").and_then(Value::as_bool) == Some(true),
        missing_parts: missing.collect(),
    }))
}

#[derive(Default)]
struct Said {
    activation: bool,
    promotion: bool,
    secret_keys: BTreeSet<String>,
}

/// Looks through every document of the harness, but what an engine said.
fn said_in(bundle: &Bundle) -> Said {
    let mut said = Said::default();
    for name in bundle.files().keys() {
        if name.ends_with(".json") && !name.starts_with("backend/") {
            if let Ok(Some(document)) = read::<Value>(bundle, name) {
                look(&document, &mut said);
            }
        } else if name == "journal.jsonl" {
            for line in lines(bundle, name) {
                if let Ok(record) = serde_json::from_slice::<Value>(line) {
                    look(&record, &mut said);
                }
            }
        }
    }
    said
}

fn look(value: &Value, said: &mut Said) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match name.as_str() {
                    "runtime_default_activation" => said.activation |= *value != Value::Bool(false),
                    "core_promotion_status" => said.promotion |= value.as_str() != Some(cto_schema::NotPromoted::WORD),
                    _ => {}
                }
                if secret_shaped_key(name) {
                    said.secret_keys.insert(escape(name.as_bytes(), 100));
                }
                look(value, said);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| look(item, said)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
