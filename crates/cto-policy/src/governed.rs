//! What a run says of approval, repository and copy, as pure functions of what is on record: who writes it down and who
//! checks it call the same.

use cto_schema::{
    ApprovalStatus, Blocker, BlockerCode, BranchPolicy, EXECUTION_SCOPE, EligibilityDecision, Facts, GovernedReport,
    MutationMode, Observations, OperatorOutcome, RepositoryStageProof, SandboxDisposition, SchemaId,
    TargetAdmissionProof, TaskContract, TreeProof,
};
use serde_json::{Value, json};

use crate::approval::needs_approval;
use crate::outcome::ends_in_a_repository;

/// Returns what a run reports that may change a repository; `None` for every other.
pub fn governed_report(
    contract: Option<&TaskContract>,
    facts: &Facts,
    decision: &EligibilityDecision,
    observed: &Observations,
    run_id: &str,
) -> Option<GovernedReport> {
    let contract = contract?;
    if !ends_in_a_repository(contract.mutation_mode) {
        return None;
    }
    let applied = observed.applied.as_ref();
    let refused = decision
        .gates
        .iter()
        .any(|gate| gate.gate == "repository-admission" && gate.refusal.is_some());
    let target_commit = applied.and_then(|applied| applied.target_commit.clone());
    Some(GovernedReport {
        approval_source: facts.approval.statement.as_ref().map(|said| said.approval_source),
        execution_scope: EXECUTION_SCOPE.to_owned(),
        target_repository_admission_status: match (contract.target_repository.is_some(), refused) {
            (false, _) => "not-required",
            (true, true) => "not_admitted",
            (true, false) => "admitted",
        }
        .to_owned(),
        target_repository_start_clean: facts.target.dirty_paths.as_ref().map(Vec::is_empty),
        target_repository_ending_clean: applied.and_then(|applied| applied.ending_clean),
        rollback_command: target_commit
            .as_ref()
            .filter(|_| is_owned(contract))
            .map(|_| format!("cto rollback {run_id}")),
        target_commit,
        operator_outcome: outcome(observed),
    })
}

/// Returns what a run reports about its approval.
pub fn approval_status(
    contract: Option<&TaskContract>,
    observed: &Observations,
    blockers: &[Blocker],
) -> ApprovalStatus {
    let denied = blockers
        .iter()
        .any(|b| matches!(b.code, BlockerCode::ApprovalDenied | BlockerCode::ApprovalStale));
    match (contract.is_some_and(needs_approval), denied, consumed(observed)) {
        (false, _, _) => ApprovalStatus::NotRequired,
        (true, true, _) => ApprovalStatus::Denied,
        (true, false, true) => ApprovalStatus::Granted,
        (true, false, false) => ApprovalStatus::Requested,
    }
}

/// Returns where a verified change goes.
pub fn branch_policy(branch: &str, base_commit: &str) -> BranchPolicy {
    BranchPolicy {
        schema: SchemaId::PROOF.to_string(),
        proof: "branch_policy".to_owned(),
        holds: true,
        branch: branch.to_owned(),
        base_commit: base_commit.to_owned(),
        commits: 1,
        written_by: "the harness, after verification; the engine works on a copy".to_owned(),
        push: "never: nothing is sent to a remote".to_owned(),
        merge: "never: one commit on top of the base, no other branch moves".to_owned(),
    }
}

/// Returns the branch of a disposable repository that gets the change, in full.
pub fn disposable_branch(run_id: &str) -> String {
    format!("refs/heads/cto/{run_id}")
}

/// What became of a disposable repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disposition {
    /// `disposed` or `retained`.
    pub word: String,
    /// Whether it is as it says.
    pub holds: bool,
    /// What was seen.
    pub detail: String,
}

/// Returns `sandbox-disposition.json`; without a disposition an admitted repository was used, which stays.
pub fn sandbox_disposition(facts: &Facts, run_id: &str, disposition: Option<&Disposition>) -> SandboxDisposition {
    let admitted = Disposition {
        word: "retained".to_owned(),
        holds: true,
        detail: "an admitted repository".to_owned(),
    };
    let became = disposition.unwrap_or(&admitted).clone();
    SandboxDisposition {
        schema: SchemaId::PROOF.to_string(),
        proof: "sandbox_disposition".to_owned(),
        holds: became.holds,
        sandbox_disposition: became.word,
        disposable_repository_dir: match disposition {
            Some(_) => format!("disposable/{run_id}"),
            None => "the target repository".to_owned(),
        },
        disposable_repository_owner: owner(facts).unwrap_or_else(|| "the harness".to_owned()),
        creation_source: disposition.map_or("admitted", |_| "created").to_owned(),
        detail: became.detail,
    }
}

/// Returns `target-admission.json`; `None` where there is no record. Only of a run that was admitted.
pub fn target_admission(facts: &Facts) -> Option<TargetAdmissionProof> {
    let admission = &facts.target.admission;
    let record = admission.record.as_ref();
    let risk = record.and_then(|record| record.risk_classification.as_ref());
    admission.present.then(|| TargetAdmissionProof {
        schema: SchemaId::PROOF.to_string(),
        proof: "target_admission".to_owned(),
        holds: true,
        target_repository_admission_status: "admitted".to_owned(),
        record_digest: admission.digest,
        repository_owner: owner(facts),
        risk_classification: risk.map(ToString::to_string).filter(|word| !word.is_empty()),
    })
}

/// Returns `clean-end.json`.
pub fn clean_end(observed: &Observations) -> TreeProof {
    let left = observed.verification.as_ref().map(|room| room.left_behind.clone());
    TreeProof {
        schema: SchemaId::PROOF.to_string(),
        proof: "clean_end".to_owned(),
        holds: left.as_ref().is_some_and(Vec::is_empty),
        detail: "the patched tree after verification, compared with baseline and patch".to_owned(),
        paths: left.unwrap_or_default(),
    }
}

/// The part proofs of `stage3-copied-repo-proof.json`.
pub const COPIED_REPO_PARTS: [&str; 3] = ["source-non-mutation.json", "clean-start.json", "clean-end.json"];

/// Returns `stage3-copied-repo-proof.json`.
pub fn copied_repo_proof(observed: &Observations, starts_clean: bool) -> Value {
    let mutated = observed.target_after.as_ref().map(|after| !after.unchanged);
    let ends_clean = clean_end(observed).holds;
    json!({
        "schema": SchemaId::PROOF.to_string(),
        "proof": "stage3_copied_repo",
        "holds": mutated == Some(false) && ends_clean,
        "source_repository_mutated": mutated,
        "copied_fixture_starts_clean": starts_clean,
        "copied_fixture_ends_clean": ends_clean,
        "parts": COPIED_REPO_PARTS,
    })
}

/// Returns `stage4-disposable-sandbox-proof.json` or `stage5-owned-repo-proof.json`.
pub fn repository_stage_proof(
    contract: &TaskContract,
    facts: &Facts,
    observed: &Observations,
    branch: Option<&str>,
    disposition: Option<&Disposition>,
) -> RepositoryStageProof {
    let is_owned = is_owned(contract);
    let applied = observed.applied.as_ref();
    let consumed = consumed(observed);
    let outcome = outcome(observed);
    let whole = applied.is_some_and(|applied| applied.target_commit.is_some() && applied.ending_clean == Some(true));
    let proof = if is_owned {
        "stage5_owned_repo"
    } else {
        "stage4_disposable_sandbox"
    };
    RepositoryStageProof {
        schema: SchemaId::PROOF.to_string(),
        proof: proof.to_owned(),
        holds: consumed && whole && (!is_owned || outcome == OperatorOutcome::Accepted),
        approval_status: if consumed { "granted" } else { "requested" }.to_owned(),
        approval_source: facts.approval.statement.as_ref().map(|said| said.approval_source),
        execution_scope: EXECUTION_SCOPE.to_owned(),
        branch_policy: branch.map(str::to_owned),
        target_commit: applied.and_then(|applied| applied.target_commit.clone()),
        target_repository_start_clean: facts.target.dirty_paths.as_ref().map(Vec::is_empty),
        target_repository_ending_clean: applied.and_then(|applied| applied.ending_clean),
        sandbox_disposition: disposition.map(|became| became.word.clone()),
        operator_outcome: is_owned.then_some(outcome),
        parts: parts(is_owned, facts, observed),
    }
}

/// The part proofs of a run that may change a repository.
fn parts(is_owned: bool, facts: &Facts, observed: &Observations) -> Vec<String> {
    let always = [
        "approval.json",
        "branch-policy.json",
        "clean-start.json",
        "clean-end.json",
    ];
    let more = [
        ("sandbox-disposition.json", !is_owned),
        ("target-admission.json", facts.target.admission.present),
        ("operator-outcome.json", observed.outcome.is_some()),
    ];
    let more = more.into_iter().filter_map(|(name, there)| there.then_some(name));
    always.into_iter().chain(more).map(str::to_owned).collect()
}

fn is_owned(contract: &TaskContract) -> bool {
    contract.mutation_mode == MutationMode::OwnedNoncriticalRepo
}

fn consumed(observed: &Observations) -> bool {
    observed.approval.as_ref().is_some_and(|approval| approval.consumed)
}

fn outcome(observed: &Observations) -> OperatorOutcome {
    observed
        .outcome
        .as_ref()
        .map_or(OperatorOutcome::Pending, |said| said.outcome)
}

fn owner(facts: &Facts) -> Option<String> {
    let record = facts.target.admission.record.as_ref();
    record
        .and_then(|record| record.repository_owner.as_ref())
        .map(ToString::to_string)
}

#[cfg(test)]
mod tests {
    use cto_schema::{AppliedObservation, ApprovalObservation, OutcomeObservation};

    use super::*;
    use crate::eligibility::tests::contract as plain;

    fn seen(outcome: Option<OperatorOutcome>) -> Observations {
        Observations {
            approval: Some(ApprovalObservation {
                consumed: true,
                ..ApprovalObservation::default()
            }),
            applied: Some(AppliedObservation {
                branch: "refs/heads/main".to_owned(),
                target_commit: Some("c".to_owned()),
                ending_clean: Some(true),
                ..AppliedObservation::default()
            }),
            outcome: outcome.map(|outcome| OutcomeObservation {
                outcome,
                actor: "anna@x".to_owned(),
                reason: "seen".to_owned(),
                signer_key: String::new(),
            }),
            ..Observations::default()
        }
    }

    #[test]
    fn a_stage_proof_holds_only_when_all_of_it_was_seen() {
        let proves = |mode, observed: &Observations| {
            let contract = TaskContract {
                mutation_mode: mode,
                ..plain()
            };
            repository_stage_proof(&contract, &Facts::default(), observed, None, None).holds
        };
        use MutationMode as M;
        use OperatorOutcome as O;
        for (mode, outcome, holds) in [
            (M::SandboxRepo, None, true),
            (M::OwnedNoncriticalRepo, None, false),
            (M::OwnedNoncriticalRepo, Some(O::Rejected), false),
            (M::OwnedNoncriticalRepo, Some(O::Accepted), true),
        ] {
            let whole = seen(outcome);
            assert_eq!(proves(mode, &whole), holds, "{mode:?} {outcome:?}");
            let breaks: [fn(&mut Observations); 4] = [
                |o| o.approval = None,
                |o| o.applied = None,
                |o| o.applied.as_mut().unwrap().target_commit = None,
                |o| o.applied.as_mut().unwrap().ending_clean = Some(false),
            ];
            for (index, change) in breaks.iter().enumerate() {
                let mut broken = whole.clone();
                change(&mut broken);
                assert!(!proves(mode, &broken), "{mode:?} {index}");
            }
        }
    }

    #[test]
    fn only_an_owned_repository_has_something_to_take_back() {
        let decision = crate::undecided(None, &Facts::default());
        let report = |mode| {
            let contract = TaskContract {
                mutation_mode: mode,
                ..plain()
            };
            governed_report(Some(&contract), &Facts::default(), &decision, &seen(None), "r")
        };
        assert_eq!(report(MutationMode::CopiedRepo), None);
        assert_eq!(report(MutationMode::SandboxRepo).unwrap().rollback_command, None);
        let owned = report(MutationMode::OwnedNoncriticalRepo).unwrap();
        assert_eq!(owned.rollback_command.as_deref(), Some("cto rollback r"));
        assert_eq!(owned.operator_outcome, OperatorOutcome::Pending);
    }
}
