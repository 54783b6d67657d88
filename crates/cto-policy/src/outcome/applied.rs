//! The change in the repository, and the operator's word about it: what stages 4 and 5 add to a verdict.

use cto_schema::{AppliedObservation, BlockerCode, MutationMode, OperatorOutcome};

use super::change::list;
use super::{Evidence, Reasons};

/// Returns whether a mode ends with the change in a repository.
pub fn ends_in_a_repository(mode: MutationMode) -> bool {
    match mode {
        MutationMode::SandboxRepo | MutationMode::OwnedNoncriticalRepo => true,
        MutationMode::None
        | MutationMode::CopiedFixture
        | MutationMode::CopiedRepo
        | MutationMode::CandidateDefault => false,
    }
}

pub(super) fn judge(evidence: &Evidence<'_>, reasons: &mut Reasons) {
    let Some(contract) = evidence.contract else { return };
    if !ends_in_a_repository(contract.mutation_mode) {
        return;
    }
    let observed = evidence.observations;
    match &observed.applied {
        Some(applied) => judge_applied(applied, reasons),
        // Something else is wrong, so it was not put in, which is as it must be.
        None if !reasons.is_empty() => return,
        None => {
            reasons.add(
                BlockerCode::HarnessInterrupted,
                "not observed: the change in the repository",
            );
            return;
        }
    }
    if contract.mutation_mode != MutationMode::OwnedNoncriticalRepo || !reasons.is_empty() {
        return;
    }
    // A green test run is not an acceptance.
    match &observed.outcome {
        Some(said) if said.outcome == OperatorOutcome::Accepted => {}
        Some(said) => reasons.add(
            BlockerCode::MissingOperatorOutcome,
            format!("{} rejected the change: {}", said.actor, said.reason),
        ),
        None => reasons.add(
            BlockerCode::MissingOperatorOutcome,
            "the operator has not accepted or rejected the change yet; say it with cto outcome",
        ),
    }
}

fn judge_applied(applied: &AppliedObservation, reasons: &mut Reasons) {
    if let Some(why) = &applied.refused {
        reasons.add(BlockerCode::TargetModified, format!("nothing was put in: {why}"));
        return;
    }
    if let Some(why) = &applied.problem {
        reasons.add(
            BlockerCode::HarnessInterrupted,
            format!("the change is not known to be whole: {why}"),
        );
        return;
    }
    if applied.target_commit.is_none() {
        reasons.add(
            BlockerCode::HarnessInterrupted,
            "not observed: the commit in the repository",
        );
    }
    match applied.ending_clean {
        Some(true) => {}
        Some(false) => reasons.add(
            BlockerCode::DirtyEndingTree,
            format!("the repository is not clean afterwards: {}", list(&applied.dirty_paths)),
        ),
        None if reasons.has(BlockerCode::HarnessInterrupted) => {}
        None => reasons.add(
            BlockerCode::DirtyEndingTree,
            "whether the repository is clean afterwards could not be told",
        ),
    }
}

#[cfg(test)]
mod tests {
    use cto_schema::{OutcomeObservation, TaskContract};

    use super::*;
    use crate::eligibility::tests::contract as plain;

    fn judged(
        mode: MutationMode,
        applied: Option<AppliedObservation>,
        outcome: Option<OperatorOutcome>,
    ) -> Vec<BlockerCode> {
        let contract = TaskContract {
            mutation_mode: mode,
            ..plain()
        };
        let observations = cto_schema::Observations {
            applied,
            outcome: outcome.map(|outcome| OutcomeObservation {
                outcome,
                actor: "anna@x".to_owned(),
                reason: "seen".to_owned(),
                signer_key: String::new(),
            }),
            ..cto_schema::Observations::default()
        };
        let decision = crate::undecided(None, &cto_schema::Facts::default());
        let evidence = Evidence {
            contract: Some(&contract),
            decision: &decision,
            write_set: None,
            observations: &observations,
        };
        let mut reasons = Reasons::default();
        judge(&evidence, &mut reasons);
        reasons.0.into_keys().collect()
    }

    fn whole() -> AppliedObservation {
        AppliedObservation {
            branch: "refs/heads/main".to_owned(),
            target_commit: Some("c".to_owned()),
            ending_clean: Some(true),
            ..AppliedObservation::default()
        }
    }

    #[test]
    fn a_change_that_is_not_seen_whole_in_its_repository_is_no_pass() {
        use BlockerCode as C;
        use MutationMode as M;
        for mode in [M::SandboxRepo, M::OwnedNoncriticalRepo] {
            let with = |change: fn(&mut AppliedObservation)| {
                let mut applied = whole();
                change(&mut applied);
                judged(mode, Some(applied), Some(OperatorOutcome::Accepted))
            };
            assert_eq!(with(|_| {}), []);
            assert_eq!(with(|a| a.refused = Some(String::new())), [C::TargetModified]);
            assert_eq!(with(|a| a.problem = Some(String::new())), [C::HarnessInterrupted]);
            assert_eq!(with(|a| a.target_commit = None), [C::HarnessInterrupted]);
            assert_eq!(with(|a| a.ending_clean = None), [C::DirtyEndingTree]);
            assert_eq!(with(|a| a.ending_clean = Some(false)), [C::DirtyEndingTree]);
            assert_eq!(
                judged(mode, None, Some(OperatorOutcome::Accepted)),
                [C::HarnessInterrupted]
            );
        }
        assert_eq!(judged(M::CopiedRepo, None, None), []);
    }

    #[test]
    fn an_owned_repository_needs_the_operators_yes_besides() {
        use MutationMode as M;
        let missing = [BlockerCode::MissingOperatorOutcome];
        for outcome in [None, Some(OperatorOutcome::Rejected), Some(OperatorOutcome::Pending)] {
            assert_eq!(judged(M::OwnedNoncriticalRepo, Some(whole()), outcome), missing);
            assert_eq!(judged(M::SandboxRepo, Some(whole()), outcome), []);
        }
    }
}
