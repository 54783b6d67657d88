//! Making a packet: the very facts that a run would be judged by, asked for an operator's yes.

use cto_evidence::{ApprovalError, ApprovalStore, LedgerFilter, rfc3339};
use cto_policy::{decide, needs_approval, target_refusals};
use cto_schema::{ApprovalPacket, EXECUTION_SCOPE, Moment, SchemaId, Status, TaskContract, escape};

use crate::facts::{Purpose, gather};
use crate::ladder::status_with_the_word;
use crate::request::{Harness, RunRequest, Task};

/// How long a packet lives when nobody says otherwise.
const LIFETIME_SECONDS: i64 = 24 * 3600;
/// The longest that anybody may say.
pub(super) const LONGEST_SECONDS: i64 = 30 * 24 * 3600;
/// How many earlier bundles a packet names.
const PRIOR: u32 = 10;

/// What the caller may say about a packet.
#[derive(Clone, Debug, Default)]
pub struct PacketOptions {
    /// How long it lives, in seconds; a day when absent.
    pub lifetime_seconds: Option<i64>,
    /// The command that runs it, up to where `--approval` is put.
    pub run_command: String,
    /// What follows after that: the agent's own words.
    pub agent_words: String,
}

/// Why there is no packet.
#[derive(Debug, thiserror::Error)]
pub enum PacketError {
    /// The contract cannot be read.
    #[error("read the contract: {0}")]
    Contract(String),
    /// The run needs no approval.
    #[error("ask for an approval: stage {stage} needs none, and the contract asks for none")]
    NotNeeded {
        /// The stage.
        stage: u8,
    },
    /// The run would be refused whatever the operator says.
    #[error("ask for an approval: the run would be refused all the same")]
    WouldBeRefused {
        /// Why.
        reasons: Vec<String>,
    },
    /// Something that it is bound to could not be told.
    #[error("tell what the approval is bound to: {0}")]
    Unknown(String),
    /// It would live too long, or not at all.
    #[error("make a packet that lives {0} s; say 60 to 2592000")]
    Lifetime(i64),
    /// It could not be put on record.
    #[error(transparent)]
    Store(#[from] ApprovalError),
    /// No name could be drawn.
    #[error("draw the packet's name")]
    Name(#[from] std::io::Error),
}

/// Makes a packet for exactly this run and puts it on record. It approves nothing and changes nothing else.
pub fn make_packet(
    harness: &Harness,
    request: &RunRequest,
    options: &PacketOptions,
) -> Result<ApprovalPacket, PacketError> {
    let (_, contract) = crate::run::read_task(harness, request);
    let contract = contract.map_err(PacketError::Contract)?;
    if !needs_approval(&contract) {
        return Err(PacketError::NotNeeded {
            stage: contract.mutation_mode.stage(),
        });
    }
    let seconds = options.lifetime_seconds.unwrap_or(LIFETIME_SECONDS);
    if !(60..=LONGEST_SECONDS).contains(&seconds) {
        return Err(PacketError::Lifetime(seconds));
    }
    let unique = format!("request-{}", std::process::id());
    let gathering = gather(harness, &harness.git, request, Ok(&contract), &unique, Purpose::Packet);
    let facts = &gathering.facts;
    let decision = decide(Ok(&contract), facts);
    let mut reasons: Vec<String> = decision
        .gates
        .iter()
        .filter(|gate| !gate.gate.starts_with("approv"))
        .filter_map(|gate| Some(format!("{}: {}", gate.gate, gate.refusal.as_ref()?.detail)))
        .collect();
    if reasons.is_empty() {
        reasons = target_refusals(&contract, facts);
    }
    if !reasons.is_empty() {
        return Err(PacketError::WouldBeRefused { reasons });
    }
    if facts.approval.target_now.is_empty() {
        let problem = facts.approval.problem.clone();
        return Err(PacketError::Unknown(
            problem.unwrap_or_else(|| "the target was not looked at".to_owned()),
        ));
    }
    let mut bound = facts.approval.now.clone();
    bound.extend(facts.approval.target_now.clone());
    let created = cto_evidence::wall_now();
    let admission = facts.target.admission.record.as_ref();
    let packet_id = ApprovalStore::fresh_id()?;
    let packet = ApprovalPacket {
        schema: SchemaId::APPROVAL_PACKET.to_string(),
        run_command: format!("{} --approval {packet_id}{}", options.run_command, options.agent_words),
        packet_id,
        installation_id: harness.home.installation_id()?,
        created_at: moment(created)?,
        expires_at: moment(created + jiff::SignedDuration::from_secs(seconds))?,
        sentence: sentence(request, &contract),
        contract_digest: contract.digest(),
        engine: escape(request.engine.as_bytes(), 80),
        engine_command: request
            .command
            .iter()
            .map(|word| escape(word.as_encoded_bytes(), 4000))
            .collect(),
        stage: contract.mutation_mode.stage(),
        mutation_mode: contract.mutation_mode,
        allowed_mutation_scope: contract.mutation_mode.scope().to_owned(),
        execution_scope: EXECUTION_SCOPE.to_owned(),
        risk_class: contract.risk_class,
        repository_owner: admission
            .and_then(|record| record.repository_owner.as_ref())
            .map(ToString::to_string),
        admission_source: admission
            .and_then(|record| record.approval_source.as_ref())
            .map(ToString::to_string),
        target_state: facts.target.before.clone(),
        forbidden_paths: contract.effective_forbidden_paths(),
        forbidden_actions: contract.effective_forbidden_actions(),
        prior_evidence: prior_evidence(harness, &facts.engine.name),
        required_evidence: required_evidence(&contract),
        rollback_expectation: contract.rollback_expectation.clone(),
        bound,
        approval_required: true,
        approval_granted: false,
        execution_allowed: false,
        executable: false,
        contract,
    };
    ApprovalStore::open(&harness.home).add(&packet)?;
    Ok(packet)
}

/// Returns whether a run needs a human's signature; `None` when its contract cannot be read.
pub fn approval_needed(harness: &Harness, request: &RunRequest) -> Option<bool> {
    let (_, contract) = crate::run::read_task(harness, request);
    contract.ok().map(|contract| needs_approval(&contract))
}

fn moment(at: jiff::Timestamp) -> Result<Moment, PacketError> {
    let text = rfc3339(at);
    text.parse()
        .map_err(|_| PacketError::Unknown(format!("the time {text} cannot be written down")))
}

/// The sentence that the operator must say.
fn sentence(request: &RunRequest, contract: &TaskContract) -> String {
    let target = match (&contract.target_repository, &request.task) {
        (Some(path), _) => path.clone(),
        (None, Task::Case(case)) => format!("a disposable copy of {}", case.case.case_id),
        (None, Task::Contract { .. }) => "a disposable copy".to_owned(),
    };
    let ascii = |text: &str| text.escape_default().to_string();
    format!(
        "I approve {} against {} for the task: {}.",
        ascii(&contract.task_id),
        ascii(&target),
        ascii(contract.title.trim_end_matches('.'))
    )
}

/// Names the newest passes of the engine, those by the operator's word after the run among them.
fn prior_evidence(harness: &Harness, engine: &str) -> Vec<String> {
    let of = |status: &str| {
        let filter = LedgerFilter {
            status: Some(status.to_owned()),
            backend: Some(engine.to_owned()),
            limit: Some(PRIOR),
            ..LedgerFilter::default()
        };
        let ledger = cto_evidence::Ledger::open(&harness.home).and_then(|ledger| ledger.list(&filter));
        ledger.unwrap_or_default()
    };
    // A pass whose change was taken back is none any more.
    let mut found = of("pass");
    found.extend(of("blocked"));
    found.retain(|entry| status_with_the_word(harness, entry) == Some(Status::Pass));
    found.sort_by_key(|entry| std::cmp::Reverse(entry.seq));
    found
        .iter()
        .take(PRIOR as usize)
        .map(|entry| format!("{} (stage {})", entry.run_id, entry.stage.unwrap_or(0)))
        .collect()
}

fn required_evidence(contract: &TaskContract) -> Vec<String> {
    let mut required = vec![
        "a sealed bundle that cto verify accepts".to_owned(),
        "every verification command passes on the patch alone, in a clean room".to_owned(),
        "every changed path is allowed, none is forbidden".to_owned(),
    ];
    required.extend(contract.evidence_expectations.iter().cloned());
    required
}
