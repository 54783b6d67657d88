//! Approval packets as facts: what each asks for, what was said, and which run consumed it.

use cto_evidence::{ApprovalStore, StoredApproval};
use cto_policy::PacketFact;
use cto_schema::{ApprovalStatement, Status};

use super::SummaryError;
use super::reader::Reader;
use crate::ladder::status_with_the_word;
use crate::request::Harness;

/// Returns every packet, newest first; one that cannot be read is there as such.
pub(super) fn packets(harness: &Harness, reader: &Reader<'_>) -> Result<Vec<PacketFact>, SummaryError> {
    let store = ApprovalStore::open(&harness.home);
    let names = store.list().map_err(|error| SummaryError::State(Box::new(error)))?;
    let mut found = Vec::new();
    for name in names {
        found.push(match store.read(&name) {
            Ok(stored) => packet(harness, reader, &stored)?,
            Err(_) => unreadable(name),
        });
    }
    // RFC 3339 in UTC sorts by its bytes; what cannot be read comes last.
    found.sort_by(|a, b| b.created_at.cmp(&a.created_at));
    Ok(found)
}

fn packet(harness: &Harness, reader: &Reader<'_>, stored: &StoredApproval) -> Result<PacketFact, SummaryError> {
    let packet = &stored.packet;
    let said = stored.decision.as_ref();
    let said = said.and_then(|signed| serde_json::from_str::<ApprovalStatement>(&signed.statement).ok());
    let consumed = stored.consumed.as_ref();
    let passed = match consumed {
        Some(consumed) => {
            let entry = reader.ledger().find(&consumed.run_id)?;
            entry.is_some_and(|entry| status_with_the_word(harness, &entry) == Some(Status::Pass))
        }
        None => false,
    };
    Ok(PacketFact {
        packet_id: packet.packet_id.clone(),
        readable: true,
        task_id: packet.contract.task_id.clone(),
        engine: packet.engine.clone(),
        stage: packet.stage,
        mutation_mode: Some(packet.mutation_mode),
        risk_class: Some(packet.risk_class),
        contract_digest: Some(packet.contract_digest),
        prior_evidence: packet.prior_evidence.clone(),
        allowed_paths: packet.contract.allowed_paths.clone(),
        forbidden_actions: packet.forbidden_actions.clone(),
        created_at: packet.created_at.as_str().to_owned(),
        expires_at: packet.expires_at.as_str().to_owned(),
        expired: cto_evidence::wall_now().as_second() >= packet.expires_at.unix_seconds(),
        said: said.map(|said| (said.decision, said.approval_source)),
        consumed: consumed.map(|consumed| (consumed.run_id.clone(), consumed.consumed_at.clone())),
        passed,
    })
}

fn unreadable(packet_id: String) -> PacketFact {
    PacketFact {
        packet_id,
        readable: false,
        task_id: String::new(),
        engine: String::new(),
        stage: 0,
        mutation_mode: None,
        risk_class: None,
        contract_digest: None,
        prior_evidence: vec![],
        allowed_paths: vec![],
        forbidden_actions: vec![],
        created_at: String::new(),
        expires_at: String::new(),
        expired: false,
        said: None,
        consumed: None,
        passed: false,
    }
}
