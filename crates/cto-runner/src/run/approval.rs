//! Stop 9: the approval, asked for, told, and consumed as the last thing before the start.

use cto_evidence::{ApprovalError, ApprovalStore, Consumption, StoredApproval};
use cto_schema::{
    ApprovalObservation, ApprovalProof, ApprovalStatement, BlockerCode, EXECUTION_SCOPE, EventType, JournalEvent,
    SchemaId, TaskContract,
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

    /// Who, for what, until when.
    fn about_approval(&self, contract: &TaskContract) -> Value {
        let facts = &self.facts.approval;
        let statement = facts.statement.as_ref();
        json!({
            "packet_id": facts.named,
            "packet_digest": facts.packet_digest,
            "actor": statement.map(|statement| &statement.actor),
            "approval_source": statement.map(|statement| statement.approval_source.word()),
            "scope": EXECUTION_SCOPE,
            "mutation_mode": contract.mutation_mode,
            "decided_at": statement.map(|statement| &statement.decided_at),
            "expires_at": statement.map(|statement| &statement.expires_at),
        })
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
                self.leave_approval(&stored, &consumption)?;
                let data = self.about_approval(contract);
                self.dir.event(EventType::ApprovalGranted, data)?;
                Ok(())
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

    /// Puts packet, statement and signature into the bundle, byte for byte, so that a stranger can check them.
    fn leave_approval(&mut self, stored: &StoredApproval, consumption: &Consumption) -> Result<(), Halt> {
        let facts = self.facts.approval.clone();
        let (Some(signed), Some(statement)) = (&stored.decision, &facts.statement) else {
            return Err(Halt::Ignorant("the approval was gone when it was consumed".to_owned()));
        };
        let same = Some(stored.packet_digest) == facts.packet_digest && signed.statement == text_of(statement);
        if !same {
            return Err(Halt::Ignorant(
                "the approval was another one when it was consumed".to_owned(),
            ));
        }
        self.dir.write("approval/packet.json", &stored.packet.canonical())?;
        self.dir.write("approval/statement.json", signed.statement.as_bytes())?;
        self.dir
            .write("approval/statement.json.sig", signed.signature.as_bytes())?;
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
        self.write_json("approval.json", &proof)?;
        Ok(())
    }
}

fn text_of(statement: &ApprovalStatement) -> String {
    String::from_utf8(statement.canonical()).unwrap_or_default()
}
