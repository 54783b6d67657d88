//! Checking a control summary: its form, its bounds, its digest and the rules that hold between its fields.

use std::collections::BTreeSet;

use super::{ControlSummary, GovernedState, LaneReadiness, ProofState};
use crate::strict::{StrictLimits, parse_strict};
use crate::version::{SchemaId, check_schema};

/// Largest summary, in bytes.
pub const SUMMARY_MAX_BYTES: usize = 64 * 1024;

/// Reads a control summary and returns it, or everything that is wrong with it.
pub fn check_summary(bytes: &[u8]) -> Result<ControlSummary, Vec<String>> {
    let limits = StrictLimits {
        bytes: SUMMARY_MAX_BYTES,
    };
    let summary: ControlSummary = parse_strict(bytes, limits).map_err(|error| vec![error.to_string()])?;
    let problems: Vec<String> = RULES.iter().filter_map(|rule| rule(&summary)).collect();
    if problems.is_empty() {
        Ok(summary)
    } else {
        Err(problems)
    }
}

type Rule = fn(&ControlSummary) -> Option<String>;

const RULES: &[Rule] = &[
    schema, digest, posture, ladders, lanes, executions, packet, target, candidate,
];

fn unless(holds: bool, problem: &str) -> Option<String> {
    (!holds).then(|| problem.to_owned())
}

fn schema(summary: &ControlSummary) -> Option<String> {
    if let Err(error) = check_schema(&summary.schema, SchemaId::CONTROL_SUMMARY) {
        return Some(error.to_string());
    }
    let same = summary.schema.ends_with(&format!("/{}", summary.schema_version));
    unless(same, "schema and schema_version differ")
}

fn digest(summary: &ControlSummary) -> Option<String> {
    let holds = summary.snapshot_sha256 == Some(summary.computed_digest());
    unless(holds, "snapshot_sha256 is not the digest of this summary")
}

fn posture(summary: &ControlSummary) -> Option<String> {
    let holds = !summary.execution_allowed || !summary.approval_required || summary.approval_granted;
    unless(
        holds,
        "execution is allowed although a required approval is not granted",
    )
}

fn ladders(summary: &ControlSummary) -> Option<String> {
    summary.proof_ladder.iter().find_map(|ladder| {
        let stages: Vec<u8> = ladder.stages.iter().map(|stage| stage.stage).collect();
        let passed = |state| state == ProofState::Passed;
        let highest = ladder.stages.iter().take_while(|stage| passed(stage.status)).count();
        let above = ladder.stages.iter().skip(highest).any(|stage| passed(stage.status));
        let whole = ladder.stages.iter().all(|stage| {
            !passed(stage.status) || (stage.missing.is_empty() && stage.evidence_found == stage.evidence_needed)
        });
        let holds = stages == [1, 2, 3, 4, 5, 6]
            && usize::from(ladder.highest_passed_stage) == highest
            && ladder.gap == above
            && whole;
        unless(
            holds,
            &format!("the ladder of {} does not follow from its rungs", ladder.engine),
        )
    })
}

fn lanes(summary: &ControlSummary) -> Option<String> {
    let named: BTreeSet<&str> = summary.lanes.iter().map(|lane| lane.lane.as_str()).collect();
    if !named.contains("codex") || !named.contains("pi") {
        return Some("the lanes of codex and pi are not both there".to_owned());
    }
    summary.lanes.iter().find_map(|lane| {
        let explained = lane.blocker.is_some() && !lane.rationale.as_str().is_empty();
        let holds = lane.status == LaneReadiness::Ready || explained;
        unless(holds, &format!("lane {} is blocked without a rationale", lane.lane))
    })
}

fn executions(summary: &ControlSummary) -> Option<String> {
    let mut seen = BTreeSet::new();
    summary.governed_execution.iter().find_map(|one| {
        let consumed = matches!(
            one.state,
            GovernedState::ConsumedByRun | GovernedState::ConsumedByPassEvidence
        );
        let passed = one.state == GovernedState::ConsumedByPassEvidence;
        let holds = one.approval_consumed == consumed
            && one.consumed_by_pass_evidence == passed
            && one.run_id.is_some() == consumed
            && one.pass_replay_path.is_some() == passed;
        if !holds {
            return Some(format!(
                "approval {} says what its state does not mean",
                one.approval_id
            ));
        }
        let once = one.run_id.as_ref().is_none_or(|run| seen.insert(run.clone()));
        unless(
            once,
            &format!("approval {} names a run that consumed another as well", one.approval_id),
        )
    })
}

fn packet(summary: &ControlSummary) -> Option<String> {
    let packet = summary.approval_packet.as_ref()?;
    let holds = match packet.state {
        GovernedState::Requested => packet.approval_command_text.as_ref().is_some_and(|text| {
            let words: Vec<&str> = text.as_str().split(' ').collect();
            words.get(2) == Some(&packet.packet_id.as_str())
                && words.last() == Some(&packet.contract_sha256.hex().as_str())
        }),
        GovernedState::Approved => packet.approval_command_text.is_none(),
        GovernedState::Denied
        | GovernedState::Expired
        | GovernedState::ConsumedByRun
        | GovernedState::ConsumedByPassEvidence
        | GovernedState::Unreadable => false,
    };
    unless(
        holds,
        "the packet's approval text is not about this packet and contract, or its state does not wait",
    )
}

fn target(summary: &ControlSummary) -> Option<String> {
    let word = summary.target_repository_read_only_proof_status.as_str();
    let Some(proof) = &summary.target_repository_read_only_proof else {
        return unless(word == "absent", "a read-only status has no proof");
    };
    let same = proof.commit_before.is_some()
        && proof.commit_before == proof.commit_after
        && proof.refs_index_metadata_unchanged;
    let expected = if proof.read_only && proof.verified {
        "proven"
    } else {
        "failed"
    };
    unless(
        (same || !proof.read_only) && word == expected,
        "the target's read-only status does not follow from before and after",
    )
}

fn candidate(summary: &ControlSummary) -> Option<String> {
    let repeated = summary.repeatability_count >= summary.repeatability_required
        && summary.repeatability_status.as_str() == "pass";
    let holds = (!summary.candidate_default_repeatability_eligible || repeated)
        && (!summary.proof_ready
            || (summary.candidate_default_eligible && summary.candidate_default_repeatability_eligible));
    unless(holds, "the candidate's fields claim more than their counts")
}
