//! What stages 4 and 5 leave besides: disposition, admission, the operator's word, and the proof that names them all.

use cto_evidence::{hear_outcome, read_outcome};
use cto_policy::{Disposition, repository_stage_proof, sandbox_disposition, target_admission};
use cto_schema::{
    MutationMode, OperatorOutcome, OutcomeObservation, OutcomeProof, SchemaId, SignedStatement, TaskContract,
};

use super::target::{Document, document};
use super::{Halt, Journey};
use crate::approval::operators;

impl Journey<'_> {
    /// Throws a disposable repository away, or keeps it where that was asked for.
    pub(super) fn dispose(&mut self) {
        let keep = self.request.keep_workspace;
        let Some(disposable) = &mut self.disposable else { return };
        if keep {
            disposable.retain();
        }
        let became = |word: &str, holds, detail: &str| Disposition {
            word: word.to_owned(),
            holds,
            detail: detail.to_owned(),
        };
        self.disposition = Some(match disposable.dispose() {
            Ok(true) => became("disposed", true, "removed after the run"),
            Ok(false) => became("retained", true, "kept, as asked for; remove it with its directory"),
            Err(problem) => became("retained", false, &problem),
        });
    }

    /// Looks whether the operator has spoken; a word that does not count is as if it were not said.
    pub(super) fn read_outcome(&mut self) -> Result<bool, Halt> {
        let signed = match read_outcome(&self.harness.home, self.dir.run_id()) {
            Ok(Some(signed)) => signed,
            Ok(None) => return Ok(false),
            Err(error) => return Err(Halt::Ignorant(super::chain(&error))),
        };
        let signers = operators(self.harness).map_err(|error| Halt::Ignorant(super::chain(&error)))?;
        let checked = hear_outcome(&signed, &signers);
        let (statement, key) =
            checked.map_err(|problem| Halt::Ignorant(format!("the outcome does not count: {problem}")))?;
        if let Some(finding) = self
            .dir
            .scan_own("operator-outcome.json", signed.statement.as_bytes())
            .pop()
        {
            return Err(Halt::Ignorant(format!(
                "the outcome does not count: it holds what looks like a credential ({})",
                finding.rule
            )));
        }
        // Nobody can speak about a run that has not begun; whoever checks the bundle asks the same.
        if statement.decided_at.unix_seconds() < self.dir.clock().started_at().as_second() {
            return Err(Halt::Ignorant(format!(
                "the outcome does not count: it is dated {}, before the run started",
                statement.decided_at
            )));
        }
        let applied = self
            .seen
            .applied
            .as_ref()
            .and_then(|applied| applied.target_commit.clone());
        let ours = statement.run_id == self.dir.run_id().as_str()
            && statement.nonce == self.dir.nonce_hex()
            && statement.attestation_digest.is_none()
            && statement.target_commit == applied;
        if !ours {
            return Err(Halt::Ignorant("the outcome is about another change".to_owned()));
        }
        self.seen.outcome = Some(OutcomeObservation {
            outcome: statement.outcome,
            actor: statement.actor.clone(),
            reason: statement.reason.clone(),
            signer_key: key,
        });
        self.dir.event(
            cto_schema::EventType::OperatorOutcome,
            serde_json::json!({ "outcome": statement.outcome, "actor": statement.actor, "reason": statement.reason }),
        )?;
        self.outcome = Some(signed);
        Ok(true)
    }

    /// The proofs of a run that may change a repository.
    pub(super) fn repository_proofs(&self, contract: &TaskContract, proofs: &mut Vec<Document>) -> Result<(), Halt> {
        let is_owned = contract.mutation_mode == MutationMode::OwnedNoncriticalRepo;
        let disposition = self.disposition.as_ref();
        if !is_owned {
            let proof = sandbox_disposition(&self.facts, self.dir.run_id().as_str(), disposition);
            proofs.push(document("sandbox-disposition.json", &proof)?);
        }
        if let Some(proof) = target_admission(&self.facts) {
            proofs.push(document("target-admission.json", &proof)?);
        }
        if let Some(signed) = &self.outcome {
            let proof = self.outcome_proof(signed);
            proofs.push(document("operator-outcome.json", &proof)?);
        }
        let branch = self.branch.as_deref();
        let proof = repository_stage_proof(contract, &self.facts, &self.seen, branch, disposition);
        let name = if is_owned {
            "stage5-owned-repo-proof.json"
        } else {
            "stage4-disposable-sandbox-proof.json"
        };
        proofs.push(document(name, &proof)?);
        Ok(())
    }

    fn outcome_proof(&self, signed: &SignedStatement) -> OutcomeProof {
        let accepted = |outcome: &OutcomeObservation| outcome.outcome == OperatorOutcome::Accepted;
        OutcomeProof {
            schema: SchemaId::PROOF.to_string(),
            proof: "operator_outcome".to_owned(),
            holds: self.seen.outcome.as_ref().is_some_and(accepted),
            signed: signed.clone(),
        }
    }
}
