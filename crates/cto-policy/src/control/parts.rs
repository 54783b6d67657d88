//! The parts of the control summary, each decided from facts.

use std::collections::{BTreeMap, BTreeSet};

use cto_schema::{
    AlwaysFalse, ApprovalCommand, ApprovalDecision, ApprovalSource, ControlPacket, ControlText, EngineProof,
    EvidenceState, GovernedExecution, GovernedState, MutationMode, ProofStage, ProofState, REPEATABILITY_REQUIRED,
    ReplayPath, RiskClass, RunId, Sha256Digest, TargetReadOnly,
};

use super::{CandidateDocuments, ControlFacts, RunFact};
use crate::ladder::{Rung, needs};

/// The proof of stage 5.
pub(super) const STAGE_5_PROOF: &str = "stage5-owned-repo-proof.json";

/// A packet, what was said about it, and what became of it.
#[derive(Clone, Debug)]
pub struct PacketFact {
    /// Its name.
    pub packet_id: String,
    /// Whether its files could be read; nothing else here counts when not.
    pub readable: bool,
    /// The task.
    pub task_id: String,
    /// The engine.
    pub engine: String,
    /// The stage.
    pub stage: u8,
    /// The mutation mode.
    pub mutation_mode: Option<MutationMode>,
    /// Risk class of the change.
    pub risk_class: Option<RiskClass>,
    /// Digest of its contract.
    pub contract_digest: Option<Sha256Digest>,
    /// Runs that the stage rests on.
    pub prior_evidence: Vec<String>,
    /// What may change.
    pub allowed_paths: Vec<String>,
    /// What may not be done.
    pub forbidden_actions: Vec<String>,
    /// When it was made.
    pub created_at: String,
    /// When it ends.
    pub expires_at: String,
    /// Whether that is over.
    pub expired: bool,
    /// What was said, and by whom.
    pub said: Option<(ApprovalDecision, ApprovalSource)>,
    /// The run that consumed it, and when.
    pub consumed: Option<(RunId, String)>,
    /// Whether that run passed, with the operator's word.
    pub passed: bool,
}

impl PacketFact {
    /// Returns how far the approval has come.
    pub fn state(&self) -> GovernedState {
        if !self.readable {
            return GovernedState::Unreadable;
        }
        governed_state(self.said, self.consumed.is_some(), self.passed, self.expired)
    }
}

/// Decides how far an approval has come (spec 07).
pub fn governed_state(
    said: Option<(ApprovalDecision, ApprovalSource)>,
    consumed: bool,
    passed: bool,
    expired: bool,
) -> GovernedState {
    match (consumed, said) {
        (true, _) if passed => GovernedState::ConsumedByPassEvidence,
        (true, _) => GovernedState::ConsumedByRun,
        (false, Some((ApprovalDecision::Denied, _))) => GovernedState::Denied,
        (false, _) if expired => GovernedState::Expired,
        // What the validator said holds for its own runs only, and those are over.
        (false, Some((ApprovalDecision::Approved, ApprovalSource::Validator))) => GovernedState::Expired,
        (false, Some((ApprovalDecision::Approved, ApprovalSource::Operator))) => GovernedState::Approved,
        (false, None) => GovernedState::Requested,
    }
}

/// May a governed run start now?
pub(super) struct Posture {
    pub(super) required: bool,
    pub(super) granted: bool,
    pub(super) allowed: bool,
    pub(super) reason: ControlText,
}

/// An approval is always required: stages 4 and 5 have no other way, and lower stages change no repository.
pub(super) fn posture(packets: &[PacketFact]) -> Posture {
    let find = |state| packets.iter().find(|packet| packet.state() == state);
    let (granted, reason) = match (find(GovernedState::Approved), find(GovernedState::Requested)) {
        (Some(packet), _) => (
            true,
            format!("packet {} is approved for one run and unused", packet.packet_id),
        ),
        (None, Some(packet)) => (
            false,
            format!("packet {} waits for an operator's word", packet.packet_id),
        ),
        (None, None) => (
            false,
            "no approval is open; a run that changes a repository needs one".to_owned(),
        ),
    };
    Posture {
        required: true,
        granted,
        allowed: granted,
        reason: reason.into(),
    }
}

/// Returns a place in a run's bundle, below the home.
pub(super) fn run_path(run: &RunId, name: &str) -> Option<ReplayPath> {
    format!("runs/{run}/{name}").parse().ok()
}

/// The run that shows a stage itself: its pass, or at stage 1 that nothing runs.
const OWN: [&str; 3] = ["pass", "runs-nothing", "comparison"];

/// The document of stage 6.
const COMPARISON: &str = "stage6-candidate-default-comparison.json";

/// Draws one engine's ladder; a stage that nothing is known of is not reached.
pub(super) fn engine_proof(engine: &str, rungs: &[Rung], runs: &BTreeMap<RunId, RunFact>) -> EngineProof {
    let stages: Vec<ProofStage> = (1..=6)
        .map(|stage| {
            let rung = rungs.iter().find(|rung| rung.stage == stage);
            rung.map_or_else(|| unreached(stage), |rung| proof_stage(rung, runs))
        })
        .collect();
    let passed = |stage: &&ProofStage| stage.status == ProofState::Passed;
    let highest = stages.iter().take_while(passed).count();
    EngineProof {
        engine: engine.into(),
        highest_passed_stage: u8::try_from(highest).unwrap_or(0),
        gap: stages.iter().skip(highest).any(|stage| passed(&stage)),
        stages,
    }
}

fn unreached(stage: u8) -> ProofStage {
    let names: Vec<ControlText> = needs(stage).iter().map(|need| need.name.into()).collect();
    let missing = if names.is_empty() {
        vec!["comparison".into()]
    } else {
        names
    };
    ProofStage {
        stage,
        status: ProofState::NotReached,
        evidence_found: 0,
        evidence_needed: u32::try_from(missing.len()).unwrap_or(u32::MAX),
        missing,
        run_id: None,
        evidence_path: None,
        evidence_sha256: None,
        finished_at: None,
    }
}

fn proof_stage(rung: &Rung, runs: &BTreeMap<RunId, RunFact>) -> ProofStage {
    let found = rung.evidence.len();
    let status = match (rung.validated() && found > 0, found) {
        (true, _) => ProofState::Passed,
        (false, 0) => ProofState::NotReached,
        (false, _) => ProofState::Partial,
    };
    let run: Option<RunId> = OWN
        .iter()
        .find_map(|name| rung.evidence.get(name))
        .and_then(|run| run.parse().ok());
    let fact = run.as_ref().and_then(|run| runs.get(run));
    let needed = found + rung.missing.len();
    ProofStage {
        stage: rung.stage,
        status,
        evidence_found: u32::try_from(found).unwrap_or(u32::MAX),
        evidence_needed: u32::try_from(needed).unwrap_or(u32::MAX),
        missing: rung.missing.iter().map(|name| (*name).into()).collect(),
        evidence_path: run.as_ref().and_then(|run| {
            if rung.stage == 6 {
                return format!("comparisons/{run}/{COMPARISON}").parse().ok();
            }
            run_path(run, "report.json")
        }),
        evidence_sha256: fact.map(|fact| fact.manifest_digest),
        finished_at: fact.map(|fact| fact.finished_at.as_str().into()),
        run_id: run,
    }
}

/// Returns the reports of the runs that show that failures fail closed, without repeats.
pub(super) fn failure_closure(rungs: &[Rung]) -> Vec<ReplayPath> {
    let rows = rungs
        .iter()
        .filter(|rung| rung.stage < 6)
        .flat_map(|rung| &rung.evidence)
        .filter(|(name, _)| !OWN.contains(name));
    let runs: BTreeSet<RunId> = rows.filter_map(|(_, run)| run.parse().ok()).collect();
    runs.iter().filter_map(|run| run_path(run, "report.json")).collect()
}

pub(super) fn candidate_reason(facts: &ControlFacts, climbed: u8, eligible: bool) -> String {
    let engine = &facts.candidate;
    let documents = &facts.candidate_documents;
    match (eligible, climbed, &documents.comparison) {
        (true, _, _) => format!("{engine} is proven through stage 5 and its accepted comparison says eligible"),
        (false, 0, _) => format!("{engine} has proven no stage; a comparison needs the first five"),
        (false, 1..5, _) => format!("{engine} is proven up to stage {climbed}; stage 5 comes before a comparison"),
        (false, _, None) => format!("{engine} is proven through stage 5; no comparison of stage 6 is on record"),
        (false, _, Some(_)) => format!("the comparison of {engine} does not say eligible, or is not accepted"),
    }
}

/// Without a refresh on record repeatability is blocked, whatever else is there.
pub(super) fn repeatability_status(documents: &CandidateDocuments) -> &str {
    match documents.refresh_status.as_deref() {
        Some(status @ ("pass" | "fail")) if documents.refresh.is_some() => status,
        _ => "blocked",
    }
}

pub(super) fn repeatability_reason(count: u32, documents: &CandidateDocuments) -> String {
    let counted = format!("{count} of {REPEATABILITY_REQUIRED} accepted stage 5 runs verify");
    match (&documents.refresh, count >= REPEATABILITY_REQUIRED) {
        (None, false) => format!("{counted}, and no refresh is on record"),
        (None, true) => format!("{counted}; no refresh over them is on record"),
        (Some(_), _) => counted,
    }
}

pub(super) fn target_word(target: Option<&TargetReadOnly>) -> &'static str {
    match target {
        None => "absent",
        Some(target) if target.read_only && target.verified => "proven",
        Some(_) => "failed",
    }
}

fn texts(values: &[String]) -> Vec<ControlText> {
    values.iter().map(|value| value.as_str().into()).collect()
}

/// Returns the packet that waits for a run, else the one that waits for a word.
pub(super) fn waiting_packet(packets: &[PacketFact]) -> Option<ControlPacket> {
    let find = |state| packets.iter().find(move |packet| packet.state() == state);
    let packet = find(GovernedState::Approved).or_else(|| find(GovernedState::Requested))?;
    let contract_sha256 = packet.contract_digest?;
    let state = packet.state();
    let command = format!(
        "cto approve {} --contract-sha256 {}",
        packet.packet_id,
        contract_sha256.hex()
    );
    // A text outside of its grammar is not shown, and with it the packet: there is nothing to copy.
    let command: Option<ApprovalCommand> = if state == GovernedState::Requested {
        Some(command.parse().ok()?)
    } else {
        None
    };
    // Each names a run, and after it the stage.
    let names = packet.prior_evidence.iter().filter_map(|named| named.split(' ').next());
    let reports = names.filter_map(|run| run.parse().ok());
    Some(ControlPacket {
        packet_id: packet.packet_id.as_str().into(),
        state,
        task_id: packet.task_id.as_str().into(),
        engine: packet.engine.as_str().into(),
        stage: packet.stage,
        mutation_mode: packet.mutation_mode.map_or("", MutationMode::word).into(),
        risk_class: packet.risk_class.map_or("", RiskClass::word).into(),
        contract_sha256,
        approval_command_text: command,
        evidence_paths: reports.filter_map(|run: RunId| run_path(&run, "report.json")).collect(),
        allowed_paths: texts(&packet.allowed_paths),
        blocked_actions: texts(&packet.forbidden_actions),
        created_at: packet.created_at.as_str().into(),
        expires_at: packet.expires_at.as_str().into(),
        executable: AlwaysFalse,
    })
}

/// Draws every approval's course. One run consumes one approval: a second that names it is unreadable.
pub(super) fn executions(packets: &[PacketFact]) -> Vec<GovernedExecution> {
    let mut seen: BTreeSet<&RunId> = BTreeSet::new();
    packets
        .iter()
        .map(|packet| {
            let run = packet.consumed.as_ref().map(|(run, _)| run);
            let repeated = run.is_some_and(|run| !seen.insert(run));
            execution(packet, repeated)
        })
        .collect()
}

fn execution(packet: &PacketFact, repeated: bool) -> GovernedExecution {
    let state = if repeated {
        GovernedState::Unreadable
    } else {
        packet.state()
    };
    let consumed = matches!(
        state,
        GovernedState::ConsumedByRun | GovernedState::ConsumedByPassEvidence
    );
    let passed = state == GovernedState::ConsumedByPassEvidence;
    let run = packet.consumed.as_ref().filter(|_| consumed);
    let when = |text: &str| (!text.is_empty()).then(|| text.into());
    let proof = if packet.stage == 5 {
        STAGE_5_PROOF
    } else {
        "stage4-disposable-sandbox-proof.json"
    };
    let place = |name: &str| run.filter(|_| passed).and_then(|(run, _)| run_path(run, name));
    GovernedExecution {
        approval_id: packet.packet_id.as_str().into(),
        state,
        approval_consumed: consumed,
        consumed_by_pass_evidence: passed,
        approval_source: packet.said.map(|(_, source)| source.word().into()),
        engine: packet.engine.as_str().into(),
        stage: packet.stage,
        task_id: packet.task_id.as_str().into(),
        created_at: when(&packet.created_at),
        expires_at: when(&packet.expires_at),
        run_id: run.map(|(run, _)| run.clone()),
        consumed_at: run.and_then(|(_, at)| when(at)),
        pass_replay_path: place("report.json"),
        proof_replay_path: place(proof),
    }
}

/// What is said of a store that nobody looked at: nothing good.
pub(super) fn unknown_store() -> EvidenceState {
    EvidenceState {
        runs_on_record: 0,
        ledger_head_seq: 0,
        ledger_head_sha256: None,
        ledger_chain_holds: false,
        ledger_detail: "the ledger was not looked at".into(),
        runs_live: 0,
        runs_dead: 0,
        unfinished_changes: 0,
        bundles_verified: 0,
        bundles_unverifiable: 0,
    }
}
