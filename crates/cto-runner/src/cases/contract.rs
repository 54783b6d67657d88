//! The task contract that a case stands for.

use cto_schema::{
    Budget, DEFAULT_SCRATCH_PATHS, Enforce, FORBIDDEN_ACTIONS, History, Limits, MutationMode, RiskClass, SchemaId,
    TaskContract,
};

use super::LoadedCase;

/// Returns the contract of a case with one of its verification commands, chosen by index; none out of range.
pub(crate) fn contract_for(loaded: &LoadedCase, verification: usize) -> TaskContract {
    let case = &loaded.case;
    let command = case.verification.get(verification);
    let shown = command.map(|argv| argv.join(" ")).unwrap_or_default();
    let harbor = loaded.harbor.as_ref();
    let change = if case.expected_change.is_empty() {
        "the change stays inside the paths that may change".to_owned()
    } else {
        format!(
            "the change touches {} and nothing else",
            case.expected_change.join(", ")
        )
    };
    TaskContract {
        schema: SchemaId::CONTRACT.to_string(),
        task_id: case.case_id.clone(),
        title: case.title.clone(),
        brief: case.task.clone(),
        target_repository: None,
        authority_basis: format!("case {}", case.case_id),
        risk_class: RiskClass::Low,
        allowed_paths: case.allowed_writes.clone(),
        // Only from the root: a task may have directories of that name below.
        forbidden_paths: harbor.iter().map(|_| "tests/**".to_owned()).collect(),
        forbidden_path_exceptions: Vec::new(),
        forbidden_actions: FORBIDDEN_ACTIONS.iter().map(|action| (*action).to_owned()).collect(),
        mutation_mode: MutationMode::CopiedFixture,
        approval_required: false,
        success_criteria: vec![
            format!("'{shown}' exits 0 on the patch in a clean room, and its canary fails"),
            change,
        ],
        architecture_notes: harbor.map(|task| task.notes.clone()).unwrap_or_default(),
        verification_commands: command.into_iter().cloned().collect(),
        no_test_rationale: None,
        evidence_expectations: vec![
            "the baseline's own result, the patched result and the result with the baseline's tests".to_owned(),
        ],
        timeouts: harbor.map(|task| task.timeouts.clone()).unwrap_or_default(),
        budget: Budget::default(),
        rollback_expectation: "none: the fixture is a copy".to_owned(),
        allowed_network_class: "none".to_owned(),
        requires_diff: true,
        limits: Limits::default(),
        limits_required: Vec::new(),
        scratch_paths: DEFAULT_SCRATCH_PATHS.iter().map(|path| (*path).to_owned()).collect(),
        verification_inputs: case.verification_inputs.clone(),
        canary_patch: harbor.and_then(|task| task.canary_patch.clone()),
        enforce: Enforce::Judge,
        history: History::Baseline,
        dependency_layers: Vec::new(),
        allow_gitlinks: false,
        accept_unsandboxed: None,
        baseline_expectation: case.baseline_expectation,
    }
}
