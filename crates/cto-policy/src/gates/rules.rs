//! The gates themselves: each refuses unless its fact is on record and says yes.

use cto_schema::{BlockerCode, LimitName, MutationMode};

use super::{GateInput, Refusal, admissions};
use crate::admission::{judge_repository, shown_path};
use crate::approval::{judge_approval, judge_approved_target};
use crate::scope::Scope;

/// The highest stage that this version can prove the gates of.
const HIGHEST_STAGE: u8 = 5;

pub(super) fn contract(input: &GateInput<'_>) -> Option<Refusal> {
    match input.contract {
        Err(reason) => Some((BlockerCode::ContractInvalid, reason.to_owned())),
        Ok(contract) => Scope::of(contract)
            .err()
            .map(|e| (BlockerCode::ContractInvalid, e.to_string())),
    }
}

pub(super) fn mutation_mode(input: &GateInput<'_>) -> Option<Refusal> {
    let contract = input.contract.ok()?;
    let mode = contract.mutation_mode;
    let invalid = |reason: &str| Some((BlockerCode::ContractInvalid, reason.to_owned()));
    match mode {
        MutationMode::None => Some((
            BlockerCode::GateMissing,
            "mutation_mode none belongs to stage 1, where nothing is run".to_owned(),
        )),
        MutationMode::CopiedFixture if contract.target_repository.is_some() => invalid(
            "mutation_mode copied-fixture works on a case's fixture, but target_repository is set; use copied-repo",
        ),
        MutationMode::CopiedRepo if contract.target_repository.is_none() => {
            invalid("mutation_mode copied-repo needs target_repository: the path of a local git repository")
        }
        MutationMode::CopiedRepo if contract.target_repository.as_deref().is_some_and(is_url) => {
            invalid("target_repository is a URL; clone it, and name the directory of the clone")
        }
        MutationMode::OwnedNoncriticalRepo if contract.target_repository.is_none() => {
            invalid("mutation_mode owned-noncritical-repo needs target_repository: the path of a local git repository")
        }
        MutationMode::SandboxRepo | MutationMode::OwnedNoncriticalRepo
            if contract.target_repository.as_deref().is_some_and(is_url) =>
        {
            invalid("target_repository is a URL; clone it, and name the directory of the clone")
        }
        mode if mode.stage() > HIGHEST_STAGE => Some((
            BlockerCode::GateMissing,
            "mutation_mode candidate-default belongs to stage 6, where bundles are compared and nothing is run"
                .to_owned(),
        )),
        MutationMode::CopiedFixture
        | MutationMode::CopiedRepo
        | MutationMode::SandboxRepo
        | MutationMode::OwnedNoncriticalRepo
        | MutationMode::CandidateDefault => None,
    }
}

fn is_url(target: &str) -> bool {
    target.contains("://") || target.split_once(':').is_some_and(|(host, _)| host.contains('@'))
}

pub(super) fn engine_registered(input: &GateInput<'_>) -> Option<Refusal> {
    let engine = &input.facts.engine;
    (!engine.registered).then(|| {
        (
            BlockerCode::ProviderUnavailable,
            format!("no engine named '{}' is registered; see cto engines", engine.name),
        )
    })
}

/// True where the engine needs no gate of its own: `fake` and `command` on copies.
pub(super) fn ungated(input: &GateInput<'_>) -> bool {
    let stage = input
        .contract
        .map_or(u8::MAX, |contract| contract.mutation_mode.stage());
    let engine = &input.facts.engine;
    !engine.gated && stage <= engine.ungated_up_to_stage
}

pub(super) fn engine_allow(input: &GateInput<'_>) -> Option<Refusal> {
    let engine = &input.facts.engine;
    if input.contract.is_err() || !engine.registered || ungated(input) || engine.allow_gate_set {
        return None;
    }
    let gate = engine.allow_gate.as_deref().unwrap_or("its allow gate");
    Some((
        BlockerCode::GateMissing,
        format!(
            "engine '{}' is denied by default; set {gate}=1 to allow it",
            engine.name
        ),
    ))
}

pub(super) fn engine_stage(input: &GateInput<'_>) -> Option<Refusal> {
    let engine = &input.facts.engine;
    let stage = input.contract.ok()?.mutation_mode.stage();
    if !engine.registered || ungated(input) || engine.stage_gate_value.as_deref() == Some(&stage.to_string()) {
        return None;
    }
    let gate = engine.stage_gate.as_deref().unwrap_or("its stage gate");
    Some((
        BlockerCode::GateMissing,
        format!("{gate} must be exactly {stage} for this contract's mutation mode"),
    ))
}

pub(super) fn engine_ladder(input: &GateInput<'_>) -> Option<Refusal> {
    let stage = input.contract.ok()?.mutation_mode.stage();
    let engine = &input.facts.engine;
    let asked = (2..=HIGHEST_STAGE).contains(&stage);
    if !engine.registered || !asked || ungated(input) || engine.ladder.proving || engine.ladder.validated {
        return None;
    }
    // Without its gates the engine may not run whatever is proven, and what was proven was proven of its program and
    // under its records: where one of them is wrong, that is the cause.
    let causes = [
        engine_allow,
        engine_stage,
        engine_program,
        engine_minimum,
        admissions::provider_decision,
        admissions::model_admission,
        admissions::source_admission,
        admissions::build,
    ];
    if causes.iter().any(|gate| gate(input).is_some()) {
        return None;
    }
    let below = stage - 1;
    let program = if engine.name == "command" { " -- PROGRAM" } else { "" };
    Some((
        BlockerCode::GateMissing,
        format!(
            "stage {below} of engine '{}' is not validated ({} missing); see cto ladder, and run: cto stage validate {below} --engine {0}{program}",
            engine.name,
            engine.ladder.missing.join(", ")
        ),
    ))
}

pub(super) fn engine_program(input: &GateInput<'_>) -> Option<Refusal> {
    let engine = &input.facts.engine;
    let missing = engine.registered && engine.program_found == Some(false);
    let detail = if engine.program.is_empty() && engine.program_problem.is_empty() {
        format!(
            "engine '{}' runs a program that is named with each run, and none was; name it after '--'",
            engine.name
        )
    } else if engine.program_problem.is_empty() {
        format!(
            "program '{}' is not in the sandbox's view; give an absolute path below /usr, or map its directory with --toolchain",
            engine.program
        )
    } else {
        format!(
            "the program of engine '{}' was not found: {}",
            engine.name, engine.program_problem
        )
    };
    missing.then_some((BlockerCode::ProviderUnavailable, detail))
}

pub(super) fn approval(input: &GateInput<'_>) -> Option<Refusal> {
    judge_approval(input.contract.ok()?, &input.facts.approval)
}

/// A run that changes a repository of somebody needs the record that says so.
pub(super) fn repository_admission(input: &GateInput<'_>) -> Option<Refusal> {
    let contract = input.contract.ok()?;
    let named = contract.target_repository.as_deref();
    let needed = match contract.mutation_mode {
        MutationMode::OwnedNoncriticalRepo => true,
        MutationMode::SandboxRepo => named.is_some(),
        MutationMode::None
        | MutationMode::CopiedFixture
        | MutationMode::CopiedRepo
        | MutationMode::CandidateDefault => false,
    };
    if !needed {
        return None;
    }
    let facts = input.facts;
    let now = facts.approval.judged_at_seconds;
    let mut reasons: Vec<String> = judge_repository(&facts.target.admission, Some(contract), now)
        .into_iter()
        .map(|(_, detail)| detail)
        .collect();
    let admitted = facts
        .target
        .admission
        .record
        .as_ref()
        .and_then(|record| record.target_repository_path.as_ref());
    let same = |admitted: &str| named.is_some_and(|named| shown_path(named) == admitted);
    if reasons.is_empty() && !admitted.is_some_and(|path| same(path.as_str())) {
        reasons.push("the target admission is about another repository than the contract's".to_owned());
    }
    (!reasons.is_empty()).then(|| (BlockerCode::TargetNotAdmitted, reasons.join("; ")))
}

pub(super) fn approved_target(input: &GateInput<'_>) -> Option<Refusal> {
    let target = &input.facts.target;
    // A target that could not be looked at is refused by its own gate; that is the cause.
    if target.busy || target.problem.is_some() {
        return None;
    }
    judge_approved_target(input.contract.ok()?, &input.facts.approval)
}

pub(super) fn verification(input: &GateInput<'_>) -> Option<Refusal> {
    let contract = input.contract.ok()?;
    (contract.verification_commands.is_empty() && contract.no_test_rationale.is_none()).then(|| {
        (
            BlockerCode::MissingTestCommand,
            "the contract names no verification command; add verification_commands, or no_test_rationale with the reason".to_owned(),
        )
    })
}

pub(super) fn verification_program(input: &GateInput<'_>) -> Option<Refusal> {
    let missing = &input.facts.verification.missing_programs;
    (!missing.is_empty()).then(|| {
        let detail = format!(
            "verification needs programs that the sandbox's view does not show: {}; install them below /usr, or map their directory with --toolchain (cto doctor lists what it found)",
            missing.join(", ")
        );
        (BlockerCode::ProviderUnavailable, detail)
    })
}

pub(super) fn git(input: &GateInput<'_>) -> Option<Refusal> {
    let problem = input.facts.git_problem.clone()?;
    Some((BlockerCode::ProviderUnavailable, problem))
}

pub(super) fn dependency_layers(input: &GateInput<'_>) -> Option<Refusal> {
    let missing = &input.facts.verification.missing_layers;
    (!missing.is_empty()).then(|| (BlockerCode::ProviderUnavailable, missing.join("; ")))
}

pub(super) fn evidence(input: &GateInput<'_>) -> Option<Refusal> {
    let root = &input.facts.runs_root;
    if !root.writable {
        return Some((
            BlockerCode::ArtifactWriteFailure,
            "the runs root is not writable".to_owned(),
        ));
    }
    root.inside_target.then(|| {
        (
            BlockerCode::ContractInvalid,
            "the evidence directory lies inside the target repository; set CTO_HOME to a directory outside it"
                .to_owned(),
        )
    })
}

pub(super) fn sandbox(input: &GateInput<'_>) -> Option<Refusal> {
    let contract = input.contract.ok()?;
    let sandbox = &input.facts.sandbox;
    let refuse = |detail: String| Some((BlockerCode::SandboxUnavailable, detail));
    if sandbox.provider == "none" {
        let accepted =
            input.facts.engine.name.split(':').next() == Some("fake") || contract.accept_unsandboxed.is_some();
        return match (accepted, contract.mutation_mode.stage()) {
            (true, ..=2) => None,
            (true, stage) => refuse(format!(
                "sandbox provider 'none' is never allowed above stage 2; this is stage {stage}"
            )),
            (false, _) => refuse(
                "sandbox provider 'none' bounds nothing; use 'native', or state the reason in accept_unsandboxed"
                    .to_owned(),
            ),
        };
    }
    if sandbox.self_test_passed {
        None
    } else {
        refuse(sandbox.detail.clone())
    }
}

pub(super) fn limits(input: &GateInput<'_>) -> Option<Refusal> {
    let contract = input.contract.ok()?;
    let missing: Vec<&str> = contract
        .limits_required
        .iter()
        .map(|limit| match limit {
            LimitName::Memory => "memory_limit",
            LimitName::Processes => "process_limit",
            LimitName::Disk => "disk_limit",
        })
        .filter(|bound| !input.facts.sandbox.enforced.iter().any(|e| e == bound))
        .collect();
    (!missing.is_empty()).then(|| {
        let detail = format!(
            "the contract insists on limits that this machine cannot keep: {}; see cto doctor",
            missing.join(", ")
        );
        (BlockerCode::SandboxUnavailable, detail)
    })
}

pub(super) fn engine_minimum(input: &GateInput<'_>) -> Option<Refusal> {
    let limits = &input.contract.ok()?.limits;
    let engine = &input.facts.engine;
    let low: Vec<String> = [
        ("memory_mib", limits.memory_mib, engine.minimum_memory_mib),
        ("processes", limits.processes, engine.minimum_processes),
    ]
    .into_iter()
    .filter(|(_, has, needs)| has < needs)
    .map(|(name, has, needs)| format!("limits.{name} is {has}, it needs {needs}"))
    .collect();
    (!low.is_empty()).then(|| {
        let detail = format!(
            "engine '{}' does not work within the contract's limits: {}; raise them in the contract",
            engine.name,
            low.join(", ")
        );
        (BlockerCode::ContractInvalid, detail)
    })
}

pub(super) fn target(input: &GateInput<'_>) -> Option<Refusal> {
    let target = &input.facts.target;
    if let Some(problem) = &target.problem {
        return Some((BlockerCode::ContractInvalid, problem.clone()));
    }
    (target.commit.is_none() && !target.busy).then(|| {
        (
            BlockerCode::ContractInvalid,
            "the target's commit is not known".to_owned(),
        )
    })
}

pub(super) fn target_free(input: &GateInput<'_>) -> Option<Refusal> {
    input.facts.target.busy.then(|| {
        (
            BlockerCode::TargetBusy,
            "another run holds the target repository; wait for it to end".to_owned(),
        )
    })
}

pub(super) fn clean_start(input: &GateInput<'_>) -> Option<Refusal> {
    let target = &input.facts.target;
    // A target that could not be looked at is refused by its own gate; that is the cause.
    if !target.clean_start_required || target.busy || target.problem.is_some() {
        return None;
    }
    match target.dirty_paths.as_deref() {
        Some([]) => None,
        Some(paths) => Some((
            BlockerCode::DirtyStartingTree,
            format!(
                "the target has uncommitted changes: {}; commit or stash them",
                paths.join(", ")
            ),
        )),
        None => Some((
            BlockerCode::DirtyStartingTree,
            "whether the target is clean could not be told".to_owned(),
        )),
    }
}
