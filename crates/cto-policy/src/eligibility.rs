//! The eligibility decision: contract and facts in, one document out.

use cto_schema::{
    BackendDenial, Blocker, EligibilityDecision, Escalation, Facts, GateOutcome, SchemaId, Sha256Digest, StatusContext,
    TaskContract,
};

use crate::gates::{GATES, GateInput, Phase};

/// Asks every gate and reports every reason at once.
///
/// The approval is asked for only when the environment's gates have passed, and the target only after that: until then no repository fact may
/// be gathered, and a fact that is not there must not read as a reason. `contract` carries why it cannot be read.
pub fn decide(contract: Result<&TaskContract, &str>, facts: &Facts) -> EligibilityDecision {
    let input = GateInput { contract, facts };
    let mut gates = Vec::new();
    for phase in [Phase::Environment, Phase::Approval, Phase::Target] {
        // A fixture's facts, like a repository's, count only once somebody looked: `kind` says so.
        if gates.iter().all(|gate: &GateOutcome| gate.refusal.is_none()) {
            gates.extend(ask(&input, phase));
        }
    }
    let refusals: Vec<Blocker> = gates.iter().filter_map(|gate| gate.refusal.clone()).collect();
    let admitted = refusals.is_empty();
    let names = |passed: bool| {
        gates
            .iter()
            .filter(|g| g.refusal.is_none() == passed)
            .map(|g| g.gate.clone())
            .collect::<Vec<_>>()
    };
    let backend = facts.engine.name.clone();
    let contract = contract.ok();
    let reasons = if admitted {
        vec![format!("every gate of engine '{backend}' holds")]
    } else {
        refusals
            .iter()
            .map(|r| format!("{}: {}", r.code.name(), r.detail))
            .collect()
    };
    EligibilityDecision {
        schema: SchemaId::DECISION.to_string(),
        decision_id: decision_id(contract, &backend, &gates),
        task_id: contract.map(|c| c.task_id.clone()),
        contract_digest: contract.map(TaskContract::digest),
        selected_backend: if admitted { backend.clone() } else { "none".to_owned() },
        denied_backends: if admitted {
            vec![]
        } else {
            vec![BackendDenial {
                backend,
                reasons: refusals.clone(),
            }]
        },
        risk_class: contract.map(|c| c.risk_class),
        required_gates: GATES.iter().map(|gate| gate.name.to_owned()).collect(),
        passed_gates: names(true),
        missing_gates: names(false),
        gates,
        allowed_mutation_mode: contract.filter(|_| admitted).map(|c| c.mutation_mode),
        approval_required: contract.is_some_and(crate::needs_approval),
        reasons,
        escalation_path: if contract.is_none() {
            Escalation::Blocked
        } else {
            Escalation::Operator
        },
    }
}

/// Returns why a target would be refused, whatever the operator says: for whoever asks the operator.
pub fn target_refusals(contract: &TaskContract, facts: &Facts) -> Vec<String> {
    let input = GateInput {
        contract: Ok(contract),
        facts,
    };
    ask(&input, Phase::Target)
        .into_iter()
        .filter(|outcome| outcome.gate != "approved-target")
        .filter_map(|outcome| Some(format!("{}: {}", outcome.gate, outcome.refusal?.detail)))
        .collect()
}

/// Returns the decision of a run that ended before its gates were asked: no refusal, and nothing is admitted.
pub fn undecided(contract: Option<&TaskContract>, facts: &Facts) -> EligibilityDecision {
    let mut decision = decide(contract.ok_or("not on record"), facts);
    for gate in &mut decision.gates {
        gate.refusal = None;
    }
    decision.passed_gates.clear();
    decision.missing_gates.clone_from(&decision.required_gates);
    "none".clone_into(&mut decision.selected_backend);
    decision.denied_backends.clear();
    decision.allowed_mutation_mode = None;
    decision.reasons = vec!["the run ended before the gates were asked".to_owned()];
    decision
}

fn ask(input: &GateInput<'_>, phase: Phase) -> Vec<GateOutcome> {
    let context = StatusContext::default();
    GATES
        .iter()
        .filter(|gate| gate.phase == phase)
        .map(|gate| {
            let refusal = (gate.judge)(input).map(|(code, detail)| Blocker {
                code,
                detail,
                event: code.event(context),
            });
            GateOutcome {
                gate: gate.name.to_owned(),
                refusal,
            }
        })
        .collect()
}

/// Names the decision by its inputs, so that equal worlds give equal ids.
fn decision_id(contract: Option<&TaskContract>, backend: &str, gates: &[GateOutcome]) -> String {
    let digest = contract.map(TaskContract::digest);
    let bytes = serde_json::to_vec(&(digest, backend, gates)).unwrap_or_default();
    format!("decision-{}", &Sha256Digest::of(&bytes).hex()[..16])
}

#[cfg(test)]
pub(crate) mod tests {
    use cto_schema::parse_contract;

    use super::*;

    /// The contract of the admitted world.
    pub(crate) fn contract() -> TaskContract {
        parse_contract(
            b"{task_id: T, title: t, brief: b, allowed_paths: [a], forbidden_actions: [push], \
              mutation_mode: copied-fixture, success_criteria: [s], verification_commands: [[x]]}",
        )
        .unwrap()
    }

    /// The facts of the admitted world.
    pub(crate) fn facts() -> Facts {
        let mut facts = Facts::default();
        facts.engine.name = "fake".to_owned();
        facts.engine.registered = true;
        facts.engine.ungated_up_to_stage = 3;
        facts.engine.ladder.validated = true;
        facts.runs_root.writable = true;
        facts.sandbox.provider = "native".to_owned();
        facts.sandbox.self_test_passed = true;
        facts.target.kind = "fixture".to_owned();
        facts.target.commit = Some("c".to_owned());
        facts
    }

    #[test]
    fn an_unreadable_contract_is_refused_with_its_reason() {
        let decision = decide(Err("line 3: no"), &facts());
        assert_eq!(decision.reasons, ["contract_invalid: line 3: no"]);
        assert_eq!(decision.escalation_path, Escalation::Blocked);
    }

    #[test]
    fn equal_worlds_have_equal_decision_ids() {
        let id = |facts: &Facts| decide(Ok(&contract()), facts).decision_id;
        assert_eq!(id(&facts()), id(&facts()));
        let mut other = facts();
        other.engine.name = "command".to_owned();
        assert_ne!(id(&facts()), id(&other));
    }

    #[test]
    fn a_run_that_ended_before_its_gates_is_neither_refused_nor_admitted() {
        for contract in [None, Some(&contract())] {
            let decision = undecided(contract, &Facts::default());
            assert!(decision.gates.iter().all(|gate| gate.refusal.is_none()));
            assert_eq!(decision.missing_gates, decision.required_gates);
            assert_eq!(
                (decision.selected_backend.as_str(), decision.allowed_mutation_mode),
                ("none", None)
            );
            assert!(decision.passed_gates.is_empty() && decision.denied_backends.is_empty());
            assert_eq!(decision.reasons.len(), 1);
        }
    }
}
