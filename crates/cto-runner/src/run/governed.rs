//! What stages 4 and 5 leave besides: disposition, admission, the operator's word, and the proof that names them all.

use cto_evidence::{check_outcome, read_outcome};
use cto_schema::{
    MutationMode, OperatorOutcome, OutcomeObservation, OutcomeProof, RepositoryStageProof, SandboxDisposition,
    SchemaId, SignedStatement, TargetAdmissionProof,
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
        self.disposition = Some(match disposable.dispose() {
            Ok(true) => ("disposed", true, "removed after the run".to_owned()),
            Ok(false) => (
                "retained",
                true,
                "kept, as asked for; remove it with its directory".to_owned(),
            ),
            Err(problem) => ("retained", false, problem),
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
        let checked = check_outcome(&signed, &signers);
        let (statement, key) =
            checked.map_err(|problem| Halt::Ignorant(format!("the outcome does not count: {problem}")))?;
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
    pub(super) fn repository_proofs(&self, proofs: &mut Vec<Document>) -> Result<(), Halt> {
        let schema = || SchemaId::PROOF.to_string();
        let contract = self.contract.as_ref().ok();
        let is_owned = contract.is_some_and(|contract| contract.mutation_mode == MutationMode::OwnedNoncriticalRepo);
        let mut parts: Vec<&str> = [
            "approval.json",
            "branch-policy.json",
            "clean-start.json",
            "clean-end.json",
        ]
        .to_vec();
        let disposition = self.disposition.as_ref();
        if !is_owned {
            let (word, holds, detail) =
                disposition
                    .cloned()
                    .unwrap_or(("retained", true, "an admitted repository".to_owned()));
            let created = self.disposable.is_some();
            let proof = SandboxDisposition {
                schema: schema(),
                proof: "sandbox_disposition".to_owned(),
                holds,
                sandbox_disposition: word.to_owned(),
                disposable_repository_dir: if created {
                    format!("disposable/{}", self.dir.run_id())
                } else {
                    "the target repository".to_owned()
                },
                disposable_repository_owner: self.owner().unwrap_or_else(|| "the harness".to_owned()),
                creation_source: if created { "created" } else { "admitted" }.to_owned(),
                detail,
            };
            proofs.push(document("sandbox-disposition.json", &proof)?);
            parts.push("sandbox-disposition.json");
        }
        if self.facts.target.admission.present {
            let record = self.facts.target.admission.record.as_ref();
            let text = |word: Option<String>| word.filter(|word| !word.is_empty());
            let proof = TargetAdmissionProof {
                schema: schema(),
                proof: "target_admission".to_owned(),
                holds: true,
                target_repository_admission_status: "admitted".to_owned(),
                record_digest: self.facts.target.admission.digest,
                repository_owner: self.owner(),
                risk_classification: text(record.and_then(|r| r.risk_classification.as_ref().map(ToString::to_string))),
            };
            proofs.push(document("target-admission.json", &proof)?);
            parts.push("target-admission.json");
        }
        if let Some(signed) = &self.outcome {
            let proof = self.outcome_proof(signed);
            proofs.push(document("operator-outcome.json", &proof)?);
            parts.push("operator-outcome.json");
        }
        let proof = self.stage_proof(is_owned, parts);
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

    fn stage_proof(&self, is_owned: bool, parts: Vec<&str>) -> RepositoryStageProof {
        let consumed = self.seen.approval.as_ref().is_some_and(|approval| approval.consumed);
        let applied = self.seen.applied.as_ref();
        let outcome = self
            .seen
            .outcome
            .as_ref()
            .map_or(OperatorOutcome::Pending, |said| said.outcome);
        let whole =
            applied.is_some_and(|applied| applied.target_commit.is_some() && applied.ending_clean == Some(true));
        RepositoryStageProof {
            schema: SchemaId::PROOF.to_string(),
            proof: if is_owned {
                "stage5_owned_repo"
            } else {
                "stage4_disposable_sandbox"
            }
            .to_owned(),
            holds: consumed && whole && (!is_owned || outcome == OperatorOutcome::Accepted),
            approval_status: if consumed { "granted" } else { "requested" }.to_owned(),
            approval_source: self.facts.approval.statement.as_ref().map(|said| said.approval_source),
            execution_scope: cto_schema::EXECUTION_SCOPE.to_owned(),
            branch_policy: self.branch.clone(),
            target_commit: applied.and_then(|applied| applied.target_commit.clone()),
            target_repository_start_clean: self.facts.target.dirty_paths.as_ref().map(Vec::is_empty),
            target_repository_ending_clean: applied.and_then(|applied| applied.ending_clean),
            sandbox_disposition: self.disposition.as_ref().map(|(word, _, _)| (*word).to_owned()),
            operator_outcome: is_owned.then_some(outcome),
            parts: parts.into_iter().map(str::to_owned).collect(),
        }
    }

    fn owner(&self) -> Option<String> {
        let record = self.facts.target.admission.record.as_ref();
        record
            .and_then(|record| record.repository_owner.as_ref())
            .map(ToString::to_string)
    }
}
