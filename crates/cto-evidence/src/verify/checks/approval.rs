//! Checks of the approval that a run consumed: packet, statement and signature as they were signed, and what they bind.

use cto_schema::{
    ApprovalDecision, ApprovalPacket, ApprovalProof, ApprovalSource, ApprovalStatement, ApprovalStatus, BoundValues,
    CLOCK_SKEW_SECONDS, EXECUTION_SCOPE, EventType, JournalEvent, Moment, Report, SchemaId, Sha256Digest, StrictLimits,
    check_schema, parse_strict,
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
    if context.contract()?.is_none() && context.unwritten("contract.json")? {
        return not_applicable("contract.json could not be written, and the verdict says so");
    }
    let required = context.contract()?.is_some_and(cto_policy::needs_approval);
    let granted = has(EventType::ApprovalGranted)?;
    let denied = has(EventType::ApprovalDenied)?;
    let holds = match report.approval_status {
        ApprovalStatus::NotRequired => !required && !granted && !denied,
        ApprovalStatus::Requested => required && !granted && !denied,
        // It is spent from the moment that it was taken, also where that could not be told any more.
        ApprovalStatus::Granted => (granted || context.stopped_at_a_write()?) && !denied,
        ApprovalStatus::Denied => required && !granted,
    };
    if !holds {
        return Err("approval_status does not follow from contract and events".to_owned());
    }
    if required && report.case_process_started && !granted {
        return Err("an engine was started without the approval that the run needs".to_owned());
    }
    if report.approval_status == ApprovalStatus::Granted && unwritten(context)? {
        return not_applicable("the approval was spent and could not be written down whole, and the verdict says so");
    }
    if !granted {
        return match required {
            true => yes("it follows from contract and events"),
            false => not_applicable("the run needs no approval"),
        };
    }
    consumed(context)
}

/// Whether the run stopped at a part of the approval, or at telling of it, that could not be written.
fn unwritten(context: &Context<'_>) -> Result<bool, String> {
    let is_there = |name: &str| context.bundle.files().contains_key(name);
    let whole = [PACKET, STATEMENT, SIGNATURE, "approval.json"]
        .into_iter()
        .all(is_there);
    Ok(!whole && context.stopped_at_a_write()?)
}

/// Returns the digest of the packet that the run consumed.
pub(in crate::verify) fn consumed_packet(context: &Context<'_>) -> Option<Sha256Digest> {
    let granted = context.report().ok()?.approval_status == ApprovalStatus::Granted;
    granted.then(|| context.bundle.digest(PACKET)).flatten()
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
        check_schema(&read.proof.schema, SchemaId::PROOF).map_err(|error| format!("approval.json: {error}"))?;
        if read.proof.proof != "approval" {
            return Err("approval.json is another proof".to_owned());
        }
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
        let approval = &context.facts()?.ok_or("the journal has no facts")?.approval;
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
            (
                "journal approval_intent",
                intent(context, &self.packet.packet_id, digest)?,
            ),
        ])?;
        self.is_spent_here(context)
    }

    /// `approval.json` says of packet and statement what they say themselves, and that nothing of the approval is left.
    fn is_spent_here(&self, context: &Context<'_>) -> Result<(), String> {
        let (packet, statement, proof) = (&self.packet, &self.statement, &self.proof);
        let approval = &context.facts()?.ok_or("the journal has no facts")?.approval;
        let observed = context.observations()?.approval.as_ref();
        // An interruption keeps what came after the intent from being observed.
        let recovered = context.observations()?.interrupted.is_some();
        differing(&[
            (
                "observed approval",
                observed.map_or(recovered, |seen| seen.consumed && seen.packet_id == packet.packet_id),
            ),
            ("recorded name", approval.named.as_ref() == Some(&packet.packet_id)),
            (
                "recorded signer_key",
                approval.signer_key.as_ref() == Some(&proof.signer_key),
            ),
            (
                "recorded sentence",
                approval.sentence.as_ref() == Some(&packet.sentence),
            ),
            (
                "recorded packet times",
                approval.packet_created_at_seconds == Some(packet.created_at.unix_seconds())
                    && approval.expires_at_seconds == packet.expires_at.unix_seconds(),
            ),
            ("approval.json packet_id", proof.packet_id == packet.packet_id),
            (
                "approval.json execution_scope",
                proof.execution_scope == EXECUTION_SCOPE,
            ),
            ("approval.json approval_granted: true", proof.approval_granted),
            ("approval.json execution_allowed: false", !proof.execution_allowed),
            (
                "approval.json expires_at",
                proof.expires_at == statement.expires_at.to_string()
                    && statement.expires_at.unix_seconds() <= packet.expires_at.unix_seconds(),
            ),
        ])
    }

    /// Asked, said and consumed in this order. A key is judged at the time that its statement names, so one that has
    /// ended since must not be able to name an earlier one.
    fn in_order(&self, report: &Report) -> Result<(), String> {
        let seconds = |name: &str, text: &str| {
            let at: Result<Moment, _> = text.parse();
            at.map(|at| at.unix_seconds()).map_err(|_| format!("{name} is no time"))
        };
        let consumed = seconds("approval.json consumed_at", &self.proof.consumed_at)?;
        let started = seconds("run_started_at", &report.run_started_at)?;
        let finished = seconds("run_finished_at", &report.run_finished_at)?;
        let decided = self.statement.decided_at.unix_seconds();
        // The operator's machine may be ahead of this one, and the run's own clock may have stepped.
        let step = i64::try_from(report.freshness.clock_step_ms.unsigned_abs() / 1000).unwrap_or(i64::MAX);
        let slack = step.saturating_add(1);
        let said_by = consumed.min(finished.saturating_add(slack));
        differing(&[
            (
                "decided_at is not before the packet's created_at",
                self.packet.created_at.unix_seconds() <= decided,
            ),
            (
                "decided_at is not after consumed_at",
                decided <= said_by.saturating_add(CLOCK_SKEW_SECONDS),
            ),
            (
                "consumed_at is within the run",
                consumed >= started.saturating_sub(slack) && consumed <= finished.saturating_add(slack),
            ),
        ])
    }
}

fn consumed(context: &Context<'_>) -> Finding {
    let read = Consumed::read(context)?;
    read.is_one_yes(context.report()?)?;
    read.in_order(context.report()?)?;
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

/// The approval was spent before the engine started, and it was this packet's.
fn intent(context: &Context<'_>, id: &str, digest: Sha256Digest) -> Result<bool, String> {
    Ok(context.journal_events()?.any(|event| {
        matches!(event, JournalEvent::ApprovalIntent { packet_id, packet_digest }
            if *packet_digest == digest && packet_id == id)
    }))
}
