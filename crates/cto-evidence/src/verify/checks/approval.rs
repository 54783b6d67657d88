//! Checks of the approval that a run consumed: packet, statement and signature as they were signed, and what they bind.

use cto_schema::{
    ApprovalDecision, ApprovalPacket, ApprovalProof, ApprovalSource, ApprovalStatement, ApprovalStatus, BoundValues,
    EXECUTION_SCOPE, EventType, Facts, JournalEvent, Report, SchemaId, Sha256Digest, StrictLimits, check_schema,
    parse_strict,
};

use super::documents::differing;
use crate::approvals::check_signature;
use crate::verify::{Context, Finding, not_applicable, yes};

const PACKET: &str = "approval/packet.json";
const STATEMENT: &str = "approval/statement.json";
const SIGNATURE: &str = "approval/statement.json.sig";
const DOCUMENT: StrictLimits = StrictLimits { bytes: 4 << 20 };

/// Approval status, contract and events agree; and a granted one is the operator's signature under exactly this run.
pub(super) fn approval(context: &Context<'_>) -> Finding {
    let report = context.report()?;
    let has = |kind| -> Result<bool, String> { Ok(context.events()?.iter().any(|(event, _)| event.kind == kind)) };
    let required = context.contract()?.is_some_and(cto_policy::needs_approval);
    let granted = has(EventType::ApprovalGranted)?;
    let denied = has(EventType::ApprovalDenied)?;
    let holds = match report.approval_status {
        ApprovalStatus::NotRequired => !required && !granted && !denied,
        ApprovalStatus::Requested => required && !granted && !denied,
        ApprovalStatus::Granted => granted && !denied,
        ApprovalStatus::Denied => required && !granted,
    };
    if !holds {
        return Err("approval_status does not follow from contract and events".to_owned());
    }
    if required && report.case_process_started && !granted {
        return Err("an engine was started without the approval that the run needs".to_owned());
    }
    if !granted {
        return match required {
            true => yes("it follows from contract and events"),
            false => not_applicable("the run needs no approval"),
        };
    }
    consumed(context)
}

/// What the bundle holds of the approval, byte for byte and read.
struct Consumed<'a> {
    packet_bytes: &'a [u8],
    packet: ApprovalPacket,
    statement_bytes: &'a [u8],
    statement: ApprovalStatement,
    armored: &'a str,
    proof: ApprovalProof,
}

impl<'a> Consumed<'a> {
    fn read(context: &'a Context<'_>) -> Result<Self, String> {
        let packet_bytes = document(context, PACKET)?;
        let statement_bytes = document(context, STATEMENT)?;
        let armored = std::str::from_utf8(document(context, SIGNATURE)?);
        let read = Self {
            packet: read(PACKET, packet_bytes)?,
            statement: read(STATEMENT, statement_bytes)?,
            armored: armored.map_err(|_| format!("{SIGNATURE} is not text"))?,
            proof: read("approval.json", document(context, "approval.json")?)?,
            packet_bytes,
            statement_bytes,
        };
        check_schema(&read.packet.schema, SchemaId::APPROVAL_PACKET).map_err(|error| format!("{PACKET}: {error}"))?;
        check_schema(&read.statement.schema, SchemaId::APPROVAL).map_err(|error| format!("{STATEMENT}: {error}"))?;
        Ok(read)
    }

    /// The statement is a yes to the packet, in its words and for its stage.
    fn is_one_yes(&self, report: &Report) -> Result<(), String> {
        let (packet, statement) = (&self.packet, &self.statement);
        let stage = Some(statement.stage) == report.stage && statement.stage == packet.stage;
        differing(&[
            ("packet in canonical form", packet.canonical() == self.packet_bytes),
            (
                "statement in canonical form",
                statement.canonical() == self.statement_bytes,
            ),
            ("statement packet_digest", statement.packet_digest == packet.digest()),
            ("statement packet_id", statement.packet_id == packet.packet_id),
            ("statement decision", statement.decision == ApprovalDecision::Approved),
            (
                "statement sentence",
                statement.sentence.as_ref() == Some(&packet.sentence),
            ),
            ("statement stage", stage),
            (
                "statement mutation_mode",
                Some(statement.mutation_mode) == report.mutation_mode,
            ),
            (
                "statement execution_scope",
                statement.execution_scope == EXECUTION_SCOPE,
            ),
        ])
    }

    /// The packet binds exactly this run, as it was recorded before it started.
    fn binds_this_run(&self, context: &Context<'_>) -> Result<(), String> {
        let (packet, proof, report) = (&self.packet, &self.proof, context.report()?);
        let digest = Sha256Digest::of(self.packet_bytes);
        let approval = &facts(context)?.approval;
        let now: BoundValues = approval.now.iter().chain(&approval.target_now).map(owned).collect();
        let consumed = proof.consumed_by == report.run_id && proof.approval_consumed && proof.holds;
        let says = proof.actor == self.statement.actor && proof.approval_source == self.statement.approval_source;
        differing(&[
            ("packet contract", packet.contract.digest() == packet.contract_digest),
            (
                "packet contract_digest",
                Some(packet.contract_digest) == report.contract_digest,
            ),
            (
                "packet is not executable",
                !packet.executable && !packet.approval_granted,
            ),
            ("bound values", packet.bound == now && !now.is_empty()),
            (
                "recorded statement",
                approval.statement.as_ref() == Some(&self.statement),
            ),
            ("recorded packet", approval.packet_digest == Some(digest)),
            (
                "approval.json packet",
                proof.packet_digest == digest && proof.bound == packet.bound,
            ),
            ("approval.json consumed_by", consumed),
            ("approval.json actor", says),
            ("journal approval_intent", intent(context, digest)?),
        ])
    }
}

fn consumed(context: &Context<'_>) -> Finding {
    let read = Consumed::read(context)?;
    read.is_one_yes(context.report()?)?;
    read.binds_this_run(context)?;
    let statement = &read.statement;
    let checked = check_signature(read.statement_bytes, read.armored).map_err(|why| format!("{SIGNATURE}: {why}"))?;
    if checked.fingerprint != read.proof.signer_key {
        return Err("approval.json names another key than the one that signed".to_owned());
    }
    let actor = cto_schema::escape(statement.actor.as_bytes(), 100);
    match context.signers() {
        _ if statement.approval_source == ApprovalSource::Validator => yes(format!(
            "signed by {actor}, the harness itself while it proved itself; no operator approved this"
        )),
        Some(signers) => {
            checked.belongs_to(&statement.actor, signers, statement.decided_at.unix_seconds())?;
            yes(format!("signed by {actor}, an allowed signer, for this run alone"))
        }
        None => yes(format!(
            "signed as {actor} by key {}; whether that key is {actor}'s was not asked",
            checked.fingerprint
        )),
    }
}

fn owned(pair: (&String, &String)) -> (String, String) {
    (pair.0.clone(), pair.1.clone())
}

fn document<'a>(context: &'a Context<'_>, name: &str) -> Result<&'a [u8], String> {
    context
        .bundle
        .document(name)
        .ok_or_else(|| format!("the run consumed an approval, and {name} is missing"))
}

fn read<T: serde::de::DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T, String> {
    parse_strict(bytes, DOCUMENT).map_err(|error| format!("{name}: {error}"))
}

fn facts<'a>(context: &'a Context<'_>) -> Result<&'a Facts, String> {
    let found = context.journal_events()?.rev().find_map(|event| match event {
        JournalEvent::FactsGathered { facts } => Some(facts.as_ref()),
        _ => None,
    });
    found.ok_or_else(|| "the journal has no facts".to_owned())
}

/// The approval was spent before the engine started, and it was this packet's.
fn intent(context: &Context<'_>, digest: Sha256Digest) -> Result<bool, String> {
    Ok(context
        .journal_events()?
        .any(|event| matches!(event, JournalEvent::ApprovalIntent { packet_digest, .. } if *packet_digest == digest)))
}
