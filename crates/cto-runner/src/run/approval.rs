//! The approval, asked for, told, and consumed as the last thing before the start.

use cto_evidence::{ApprovalError, ApprovalStore, Consumption, RunDir, RunDirError, StoredApproval};
use cto_schema::{
    ApprovalFacts, ApprovalObservation, ApprovalProof, ApprovalStatement, BlockerCode, EXECUTION_SCOPE, EventType,
    JournalEvent, MutationMode, SchemaId, TaskContract,
};
use serde_json::{Value, json};

use super::{Halt, Journey, chain};

impl Journey<'_> {
    /// Tells that an approval is asked for.
    pub(super) fn tell_request(&mut self, contract: &TaskContract) -> Result<(), Halt> {
        let data = self.about_approval(contract);
        self.dir.event(EventType::ApprovalRequested, data)?;
        Ok(())
    }

    /// Tells that there is none; `None` where a refusal is about something else.
    pub(super) fn tell_denial(
        &mut self,
        contract: &TaskContract,
        reasons: &[(BlockerCode, String)],
    ) -> Result<(), Halt> {
        self.tell_request(contract)?;
        for (code, reason) in reasons {
            let mut data = self.about_approval(contract);
            data["code"] = json!(code);
            data["reason"] = json!(reason);
            data["case_executed"] = json!(false);
            self.dir.event(EventType::ApprovalDenied, data)?;
        }
        Ok(())
    }

    fn about_approval(&self, contract: &TaskContract) -> Value {
        about_approval(&self.facts.approval, contract.mutation_mode)
    }

    /// Consumes the approval. From the intent on it is spent, whatever happens; the run that was second is denied.
    pub(super) fn spend_approval(&mut self, contract: &TaskContract) -> Result<(), Halt> {
        if !cto_policy::needs_approval(contract) {
            return Ok(());
        }
        let facts = &self.facts.approval;
        let (Some(packet_id), Some(packet_digest)) = (facts.named.clone(), facts.packet_digest) else {
            return Err(Halt::Ignorant(
                "a run was admitted whose approval is not on record".to_owned(),
            ));
        };
        self.dir.journal(JournalEvent::ApprovalIntent {
            packet_id: packet_id.clone(),
            packet_digest,
        })?;
        let spent = self.consume(&packet_id);
        let problem = spent.as_ref().err().map(|error| chain(error));
        self.seen.approval = Some(ApprovalObservation {
            packet_id,
            consumed: spent.is_ok(),
            problem: problem.clone(),
        });
        match spent {
            Ok((stored, consumption)) => {
                // First that it is spent: whatever cannot be done after this, it does not work again.
                let data = self.about_approval(contract);
                self.dir.event(EventType::ApprovalGranted, data)?;
                let facts = self.facts.approval.clone();
                leave_approval(&mut self.dir, &facts, &stored, &consumption)?.map_err(Halt::Ignorant)?;
                self.settle_branch(contract)
            }
            Err(_) => {
                let mut data = self.about_approval(contract);
                data["code"] = json!(BlockerCode::ApprovalDenied);
                data["reason"] = json!(problem);
                data["case_executed"] = json!(false);
                self.dir.event(EventType::ApprovalDenied, data)?;
                Err(Halt::Refused)
            }
        }
    }

    /// The packet is read again, so that what was judged is what is consumed.
    fn consume(&self, packet_id: &str) -> Result<(StoredApproval, Consumption), ApprovalError> {
        let store = ApprovalStore::open(&self.harness.home);
        let consumption = store.consume(packet_id, self.dir.run_id())?;
        Ok((store.read(packet_id)?, consumption))
    }
}

/// Puts packet, statement and signature into the bundle, byte for byte, so that a stranger can check them. What is there
/// already stays: recovery goes on where a dead harness stopped.
pub(crate) fn leave_approval(
    dir: &mut RunDir,
    facts: &ApprovalFacts,
    stored: &StoredApproval,
    consumption: &Consumption,
) -> Result<Result<(), String>, RunDirError> {
    let (Some(signed), Some(statement)) = (&stored.decision, &facts.statement) else {
        return Ok(Err("the approval was gone when it was consumed".to_owned()));
    };
    let same = Some(stored.packet_digest) == facts.packet_digest && signed.statement == text_of(statement);
    if !same {
        return Ok(Err("the approval was another one when it was consumed".to_owned()));
    }
    let proof = ApprovalProof {
        schema: SchemaId::PROOF.to_string(),
        proof: "approval".to_owned(),
        holds: true,
        packet_id: stored.packet.packet_id.clone(),
        packet_digest: stored.packet_digest,
        actor: statement.actor.clone(),
        signer_key: facts.signer_key.clone().unwrap_or_default(),
        approval_source: statement.approval_source,
        execution_scope: statement.execution_scope.clone(),
        approval_granted: true,
        approval_consumed: true,
        execution_allowed: false,
        consumed_by: consumption.run_id.to_string(),
        consumed_at: consumption.consumed_at.clone(),
        expires_at: statement.expires_at.to_string(),
        bound: stored.packet.bound.clone(),
    };
    let mut proof = serde_json::to_vec_pretty(&proof).unwrap_or_default();
    proof.push(b'\n');
    let files = [
        ("approval/packet.json", stored.packet.canonical()),
        ("approval/statement.json", signed.statement.clone().into_bytes()),
        ("approval/statement.json.sig", signed.signature.clone().into_bytes()),
        ("approval.json", proof),
    ];
    // What is signed cannot be shown without a part of it.
    if let Some(finding) = files.iter().find_map(|(name, bytes)| dir.scan_own(name, bytes).pop()) {
        return Ok(Err(format!(
            "{} holds what looks like a credential ({}); no secret belongs in an approval",
            finding.artifact, finding.rule
        )));
    }
    for (name, bytes) in files {
        if !dir.exists(name) {
            dir.write(name, &bytes)?;
        }
    }
    Ok(Ok(()))
}

/// Who, for what, until when.
pub(crate) fn about_approval(facts: &ApprovalFacts, mode: MutationMode) -> Value {
    let statement = facts.statement.as_ref();
    json!({
        "packet_id": facts.named,
        "packet_digest": facts.packet_digest,
        "actor": statement.map(|statement| &statement.actor),
        "approval_source": statement.map(|statement| statement.approval_source.word()),
        "scope": EXECUTION_SCOPE,
        "mutation_mode": mode,
        "decided_at": statement.map(|statement| &statement.decided_at),
        "expires_at": statement.map(|statement| &statement.expires_at),
    })
}

fn text_of(statement: &ApprovalStatement) -> String {
    String::from_utf8(statement.canonical()).unwrap_or_default()
}
