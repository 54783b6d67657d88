//! The decision table: the admitted world with one change is refused by exactly one gate.

use cto_schema::{BlockerCode as C, Facts, LimitName, MutationMode, TaskContract};

use crate::eligibility::decide;
use crate::eligibility::tests::{contract, facts};

type Mutate = fn(&mut TaskContract, &mut Facts);

const TABLE: &[(&str, C, Mutate)] = &[
    ("contract", C::ContractInvalid, |c, _| {
        c.allowed_paths = vec!["[".to_owned()];
    }),
    ("mutation-mode", C::GateMissing, |c, _| {
        c.mutation_mode = MutationMode::None;
    }),
    ("mutation-mode", C::ContractInvalid, |c, _| {
        c.target_repository = Some("/x".to_owned());
    }),
    ("mutation-mode", C::ContractInvalid, |c, _| {
        c.mutation_mode = MutationMode::CopiedRepo;
    }),
    ("mutation-mode", C::ContractInvalid, |c, _| {
        c.mutation_mode = MutationMode::CopiedRepo;
        c.target_repository = Some("https://example.invalid/x.git".to_owned());
    }),
    ("mutation-mode", C::ContractInvalid, |c, _| {
        c.mutation_mode = MutationMode::CopiedRepo;
        c.target_repository = Some("git@example.invalid:x.git".to_owned());
    }),
    ("engine-registered", C::ProviderUnavailable, |_, f| {
        f.engine.registered = false;
    }),
    ("engine-program", C::ProviderUnavailable, |_, f| {
        f.engine.program_found = Some(false);
    }),
    ("approval", C::ApprovalDenied, |c, _| {
        c.approval_required = true;
    }),
    ("verification", C::MissingTestCommand, |c, _| {
        c.verification_commands.clear();
    }),
    ("verification-program", C::ProviderUnavailable, |_, f| {
        f.verification.missing_programs.push("pytest".to_owned());
    }),
    ("dependency-layers", C::ProviderUnavailable, |_, f| {
        f.verification.missing_layers.push("layer".to_owned());
    }),
    ("evidence", C::ArtifactWriteFailure, |_, f| {
        f.runs_root.writable = false;
    }),
    ("evidence", C::ContractInvalid, |_, f| {
        f.runs_root.inside_target = true;
    }),
    ("sandbox", C::SandboxUnavailable, |_, f| {
        f.sandbox.self_test_passed = false;
    }),
    ("sandbox", C::SandboxUnavailable, |_, f| {
        f.sandbox.provider = "none".to_owned();
        f.engine.name = "command".to_owned();
    }),
    ("sandbox", C::SandboxUnavailable, |c, f| {
        f.sandbox.provider = "none".to_owned();
        c.accept_unsandboxed = Some("a reason".to_owned());
        c.mutation_mode = MutationMode::CopiedRepo;
        c.target_repository = Some("/x".to_owned());
    }),
    ("limits", C::SandboxUnavailable, |c, f| {
        c.limits_required = vec![LimitName::Memory, LimitName::Processes, LimitName::Disk];
        f.sandbox.enforced = vec!["memory_limit".to_owned(), "disk_limit".to_owned()];
    }),
    ("limits", C::SandboxUnavailable, |c, _| {
        c.limits_required = vec![LimitName::Memory];
    }),
    ("git", C::ProviderUnavailable, |_, f| {
        f.git_problem = Some("it says 2.39.5".to_owned());
    }),
    ("engine-minimum", C::ContractInvalid, |c, f| {
        f.engine.minimum_memory_mib = c.limits.memory_mib + 1;
    }),
    ("engine-minimum", C::ContractInvalid, |c, f| {
        f.engine.minimum_processes = c.limits.processes + 1;
    }),
    ("target", C::ContractInvalid, |_, f| {
        f.target.problem = Some("gone".to_owned());
    }),
    ("target", C::ContractInvalid, |_, f| f.target.commit = None),
    ("target-free", C::TargetBusy, |_, f| f.target.busy = true),
    ("clean-start", C::DirtyStartingTree, |_, f| {
        f.target.clean_start_required = true;
    }),
    ("clean-start", C::DirtyStartingTree, |_, f| {
        f.target.clean_start_required = true;
        f.target.dirty_paths = Some(vec!["a".to_owned()]);
    }),
];

#[test]
fn each_missing_condition_is_refused_by_its_gate_and_no_other() {
    for (index, (gate, code, mutate)) in TABLE.iter().enumerate() {
        let (mut contract, mut facts) = (contract(), facts());
        mutate(&mut contract, &mut facts);
        let decision = decide(Ok(&contract), &facts);
        let refusals: Vec<_> = decision
            .gates
            .iter()
            .filter_map(|g| g.refusal.as_ref().map(|r| (&*g.gate, r.code)))
            .collect();
        assert_eq!(refusals, [(*gate, *code)], "row {index}");
        assert_eq!(decision.selected_backend, "none");
        assert_eq!(decision.allowed_mutation_mode, None);
    }
}

#[test]
fn the_world_without_a_change_is_admitted() {
    let decision = decide(Ok(&contract()), &facts());
    assert_eq!(decision.missing_gates, Vec::<String>::new());
    assert_eq!(decision.selected_backend, "fake");
}

#[test]
fn facts_that_nobody_gathered_admit_nothing() {
    let decision = decide(Ok(&contract()), &Facts::default());
    assert_eq!(decision.selected_backend, "none");
}

#[test]
fn every_reason_is_reported_at_once() {
    let mut contract = contract();
    contract.verification_commands.clear();
    contract.approval_required = true;
    let mut facts = facts();
    facts.sandbox.self_test_passed = false;
    assert_eq!(decide(Ok(&contract), &facts).missing_gates, ["verification", "sandbox"]);
}

#[test]
fn a_gated_engine_needs_its_allow_gate_and_the_exact_stage() {
    let mut facts = facts();
    facts.engine.name = "codex".to_owned();
    facts.engine.gated = true;
    facts.engine.allow_gate = Some("CTO_HARNESS_ALLOW_CODEX".to_owned());
    facts.engine.stage_gate = Some("CTO_HARNESS_CODEX_STAGE".to_owned());
    assert_eq!(
        decide(Ok(&contract()), &facts).missing_gates,
        ["engine-allow", "engine-stage"]
    );
    facts.engine.allow_gate_set = true;
    for wrong in ["3", "02", "2 ", ""] {
        facts.engine.stage_gate_value = Some(wrong.to_owned());
        assert_eq!(
            decide(Ok(&contract()), &facts).missing_gates,
            ["engine-stage"],
            "{wrong:?}"
        );
    }
    facts.engine.stage_gate_value = Some("2".to_owned());
    assert_eq!(decide(Ok(&contract()), &facts).selected_backend, "codex");
}

#[test]
fn no_target_fact_is_asked_for_while_the_environment_refuses() {
    let mut facts = facts();
    facts.engine.registered = false;
    let decision = decide(Ok(&contract()), &facts);
    assert!(
        decision
            .gates
            .iter()
            .all(|gate| !gate.gate.starts_with("target") && gate.gate != "clean-start")
    );
}

#[test]
fn what_is_proven_is_admitted() {
    let changes: &[Mutate] = &[
        |c, _| {
            c.mutation_mode = MutationMode::CopiedRepo;
            c.target_repository = Some("/x:y/a@b".to_owned());
        },
        |c, _| {
            c.verification_commands.clear();
            c.no_test_rationale = Some("only prose".to_owned());
        },
        |_, f| f.sandbox.provider = "none".to_owned(),
        |c, f| {
            f.sandbox.provider = "none".to_owned();
            f.engine.name = "command".to_owned();
            c.accept_unsandboxed = Some("a reason".to_owned());
        },
        |c, f| {
            c.limits_required = vec![LimitName::Memory, LimitName::Processes, LimitName::Disk];
            f.sandbox.enforced = ["memory_limit", "process_limit", "disk_limit"]
                .map(str::to_owned)
                .to_vec();
        },
        |_, f| {
            f.target.clean_start_required = true;
            f.target.dirty_paths = Some(vec![]);
        },
        |_, f| f.engine.program_found = Some(true),
    ];
    for (index, change) in changes.iter().enumerate() {
        let (mut contract, mut facts) = (contract(), facts());
        change(&mut contract, &mut facts);
        let decision = decide(Ok(&contract), &facts);
        assert_eq!(decision.missing_gates, Vec::<String>::new(), "change {index}");
        assert_eq!(decision.allowed_mutation_mode, Some(contract.mutation_mode));
        assert_eq!(decision.passed_gates, decision.required_gates);
        assert!(decision.denied_backends.is_empty());
    }
}

#[test]
fn stage_six_runs_nothing() {
    let (mut contract, mut facts) = (contract(), facts());
    contract.mutation_mode = MutationMode::CandidateDefault;
    facts.engine.ungated_up_to_stage = u8::MAX;
    let decision = decide(Ok(&contract), &facts);
    assert_eq!(decision.missing_gates, ["mutation-mode"]);
    assert_eq!(decision.denied_backends[0].reasons[0].code, C::GateMissing);
}

#[test]
fn a_repository_is_changed_only_with_an_admission_of_its_own_and_an_approval() {
    let admitted = |path: &str| {
        let mut facts = facts();
        facts.engine.ungated_up_to_stage = u8::MAX;
        let mut record = crate::admission::tests::repository();
        record.target_repository_path = Some(crate::shown_path(path).parse().unwrap());
        facts.target.admission = cto_schema::RecordFact::read(record, cto_schema::Sha256Digest::of(b""));
        facts.approval.judged_at_seconds = 1_800_000_000;
        facts
    };
    let (mut contract, facts) = (contract(), admitted("/repository"));
    contract.allowed_paths = vec!["strings.py".to_owned()];
    contract.mutation_mode = MutationMode::OwnedNoncriticalRepo;
    contract.target_repository = Some("/repository/".to_owned());
    let missing = |contract: &TaskContract, facts: &Facts| decide(Ok(contract), facts).missing_gates;
    assert_eq!(missing(&contract, &facts), ["approval"]);
    assert_eq!(missing(&contract, &admitted("/elsewhere")), ["repository-admission"]);
    let mut none = facts.clone();
    none.target.admission = cto_schema::RecordFact::absent();
    assert_eq!(missing(&contract, &none), ["repository-admission"]);
    contract.mutation_mode = MutationMode::SandboxRepo;
    assert_eq!(missing(&contract, &none), ["repository-admission"]);
    contract.target_repository = None;
    assert_eq!(missing(&contract, &none), ["approval"], "a disposable copy is made");
    contract.mutation_mode = MutationMode::OwnedNoncriticalRepo;
    assert_eq!(missing(&contract, &facts), ["mutation-mode", "repository-admission"]);
}

#[test]
fn a_stage_is_open_only_on_the_one_below_unless_the_harness_proves_itself() {
    let (mut contract, mut facts) = (contract(), facts());
    facts.engine.gated = true;
    facts.engine.allow_gate_set = true;
    facts.engine.ladder.validated = false;
    let mut missing = |mode: MutationMode, facts: &mut Facts| {
        contract.mutation_mode = mode;
        contract.target_repository = (mode != MutationMode::CopiedFixture).then(|| "/x".to_owned());
        facts.engine.stage_gate_value = Some(mode.stage().to_string());
        decide(Ok(&contract), facts).missing_gates
    };
    for mode in [MutationMode::CopiedFixture, MutationMode::CopiedRepo] {
        assert_eq!(missing(mode, &mut facts), ["engine-ladder"]);
        facts.engine.ladder.proving = true;
        assert_eq!(missing(mode, &mut facts), Vec::<String>::new());
        facts.engine.ladder.proving = false;
    }
    facts.engine.program_found = Some(false);
    assert_eq!(
        missing(MutationMode::CopiedRepo, &mut facts),
        ["engine-program"],
        "nothing can be proven of a program that is not there"
    );
    facts.engine.program_found = Some(true);
    facts.engine.allow_gate_set = false;
    assert_eq!(
        missing(MutationMode::CopiedRepo, &mut facts),
        ["engine-allow"],
        "the gate is the cause"
    );
}
