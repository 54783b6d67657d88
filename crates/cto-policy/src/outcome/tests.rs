//! The accepted observation with one change gives exactly one blocker.

use cto_schema::*;

use super::*;
use crate::eligibility::decide;
use crate::eligibility::tests::{contract, facts};

fn run(label: RunLabel, passed: bool) -> VerificationRun {
    let command = CommandResult {
        argv: vec!["x".to_owned()],
        exit_code: Some(i32::from(!passed)),
        signal: None,
        duration_ms: 1,
        timed_out: false,
        passed,
        start_error: None,
    };
    VerificationRun {
        label,
        cached: false,
        commands: vec![command],
    }
}

fn canary(state: CanaryState) -> CanaryOutcome {
    CanaryOutcome {
        command: 0,
        runner: "pytest".to_owned(),
        file: "t".to_owned(),
        state,
        detail: "d".to_owned(),
    }
}

fn change(path: &str) -> Change {
    let state = EntryState {
        kind: EntryKind::File,
        digest: Sha256Digest::of(b"x"),
        size_bytes: 1,
    };
    Change {
        path: PathText::new(path.as_bytes()),
        kind: ChangeKind::Added,
        before: None,
        after: Some(state),
    }
}

fn integrity(allowed: bool) -> IntegrityFact {
    IntegrityFact {
        kind: "test_deleted".to_owned(),
        path: "tests/test_a.py".to_owned(),
        detail: String::new(),
        allowed,
    }
}

struct World {
    contract: TaskContract,
    write_set: WriteSet,
    seen: Observations,
}

fn accepted() -> World {
    let events = [
        "run.started",
        "task.contract.created",
        "plan.updated",
        "patch.applied",
        "git.diff.checked",
    ];
    let verification = Verification {
        runs: vec![run(RunLabel::Baseline, false), run(RunLabel::Patched, true)],
        canaries: vec![canary(CanaryState::FailedAsItMust)],
        ..Verification::default()
    };
    let seen = Observations {
        engine: Some(EngineObservation {
            started: true,
            exit_code: Some(0),
            ..EngineObservation::default()
        }),
        patch_exists: true,
        verification: Some(verification),
        target_after: Some(TargetAfter {
            state: None,
            unchanged: true,
            detail: String::new(),
        }),
        events: events
            .into_iter()
            .chain(["verification.completed", "run.completed"])
            .map(str::to_owned)
            .collect(),
        ..Observations::default()
    };
    let write_set = WriteSet {
        schema: String::new(),
        workspace: "overlay".to_owned(),
        changes: vec![change("a")],
        touched: vec![],
        ignored: vec![],
        unsafe_entries: vec![],
        empty_directories: vec![],
        git: vec![],
        truncated: None,
    };
    World {
        contract: contract(),
        write_set,
        seen,
    }
}

fn concluded(world: &World) -> (Vec<Blocker>, Status) {
    let decision = decide(Ok(&world.contract), &facts());
    let evidence = Evidence {
        contract: Some(&world.contract),
        decision: &decision,
        write_set: Some(&world.write_set),
        observations: &world.seen,
    };
    let blockers = conclude(&evidence);
    let status = status_of(&blockers, evidence.context());
    (blockers, status)
}

fn codes(world: &World) -> (Vec<BlockerCode>, Status) {
    let (blockers, status) = concluded(world);
    (blockers.into_iter().map(|b| b.code).collect(), status)
}

fn engine(world: &mut World) -> &mut EngineObservation {
    world.seen.engine.as_mut().unwrap()
}

fn room(world: &mut World) -> &mut Verification {
    world.seen.verification.as_mut().unwrap()
}

type Row = (BlockerCode, Status, fn(&mut World));

const TABLE: &[Row] = &[
    (BlockerCode::NoDiff, Status::Fail, |w| {
        w.write_set.changes.clear();
    }),
    (BlockerCode::DisallowedFileChange, Status::Fail, |w| {
        w.write_set.changes.push(change("b"));
    }),
    (BlockerCode::DisallowedFileChange, Status::Fail, |w| {
        w.contract.allowed_paths = vec!["**".to_owned()];
        w.write_set.changes.push(change("x/.env"));
    }),
    (BlockerCode::VerificationFailed, Status::Fail, |w| {
        room(w).runs[1] = run(RunLabel::Patched, false);
    }),
    (BlockerCode::MissingRequiredEvent, Status::Fail, |w| {
        drop(w.seen.events.remove(3));
    }),
    (BlockerCode::MissingRequiredEvent, Status::Fail, |w| {
        engine(w).stream.final_event = Some("turn.completed".to_owned());
    }),
    (BlockerCode::ReviewerRejected, Status::Blocked, |w| {
        engine(w).stream.reviewer_rejection = Some("no".to_owned());
    }),
    (BlockerCode::Timeout, Status::Fail, |w| {
        engine(w).ended_by = EndedBy::Timeout;
    }),
    (BlockerCode::Timeout, Status::Blocked, |w| {
        engine(w).ended_by = EndedBy::IdleTimeout;
        w.write_set.changes.clear();
        w.seen.patch_exists = false;
        room(w).runs.clear();
    }),
    (BlockerCode::Timeout, Status::Fail, |w| {
        room(w).runs[1] = run(RunLabel::Patched, false);
        room(w).runs[1].commands[0].timed_out = true;
    }),
    (BlockerCode::DirtyEndingTree, Status::Fail, |w| {
        room(w).left_behind.push("b".to_owned());
    }),
    (BlockerCode::ArtifactWriteFailure, Status::Fail, |w| {
        w.seen.artifact_failures.push(ArtifactFailure {
            artifact: "x".to_owned(),
            error: "full".to_owned(),
        });
    }),
    (BlockerCode::ProviderUnavailable, Status::Blocked, |w| {
        engine(w).start_error = Some("ENOENT".to_owned());
        engine(w).started = false;
        engine(w).exit_code = None;
        w.write_set.changes.clear();
    }),
    (BlockerCode::AgentProtocol, Status::Fail, |w| {
        engine(w).stream.protocol_error = Some("no envelope".to_owned());
    }),
    (BlockerCode::ForbiddenAction, Status::Fail, |w| {
        engine(w).forbidden.push(ForbiddenAttempt {
            action: "push".to_owned(),
            detail: "git push".to_owned(),
        });
        engine(w).exit_code = Some(128);
    }),
    (BlockerCode::ForbiddenAction, Status::Fail, |w| {
        room(w).forbidden.push(ForbiddenAttempt {
            action: "push".to_owned(),
            detail: "git push".to_owned(),
        });
    }),
    (BlockerCode::TargetModified, Status::Fail, |w| {
        w.seen.target_after.as_mut().unwrap().unchanged = false;
    }),
    (BlockerCode::UnsafeFile, Status::Fail, |w| {
        let entry = UnsafeEntry {
            path: PathText::new(b"f"),
            reason: "special_file".to_owned(),
        };
        w.write_set.unsafe_entries.push(entry);
    }),
    (BlockerCode::PatchRoundtripFailed, Status::Fail, |w| {
        w.seen.roundtrip_error = Some("differs".to_owned());
    }),
    (BlockerCode::Cancelled, Status::Blocked, |w| {
        w.seen.cancelled = true;
        engine(w).ended_by = EndedBy::Cancelled;
        engine(w).signal = Some(15);
        w.write_set.changes.clear();
        w.seen.verification = None;
    }),
    (BlockerCode::SecretDetected, Status::Fail, |w| {
        let finding = SecretFinding {
            artifact: "a".to_owned(),
            rule: "r".to_owned(),
            fingerprint: "0".to_owned(),
        };
        w.seen.secrets.push(finding);
    }),
    (BlockerCode::VerificationUntrusted, Status::Fail, |w| {
        room(w).canaries[0] = canary(CanaryState::Passed);
    }),
    (BlockerCode::VerificationUntrusted, Status::Fail, |w| {
        room(w).canaries[0] = canary(CanaryState::NotGenerated);
    }),
    (BlockerCode::VerificationUntrusted, Status::Fail, |w| {
        room(w).canaries[0] = canary(CanaryState::Unusable);
    }),
    (BlockerCode::VerificationUntrusted, Status::Fail, |w| {
        room(w).canaries.clear();
    }),
    (BlockerCode::VerificationUntrusted, Status::Fail, |w| {
        drop(room(w).runs.remove(0));
    }),
    (BlockerCode::VerificationUntrusted, Status::Fail, |w| {
        drop(room(w).runs.remove(1));
    }),
    (BlockerCode::VerificationUntrusted, Status::Fail, |w| {
        w.contract.verification_inputs = vec!["t".to_owned()];
    }),
    (BlockerCode::VerificationUntrusted, Status::Fail, |w| {
        w.contract.verification_inputs = vec!["t".to_owned()];
        room(w).runs.push(run(RunLabel::RestoredInputs, false));
    }),
    (BlockerCode::VerificationUntrusted, Status::Fail, |w| {
        w.contract.baseline_expectation = BaselineExpectation::Green;
        room(w).runs[0] = run(RunLabel::Baseline, false);
    }),
    (BlockerCode::VerificationUntrusted, Status::Fail, |w| {
        w.contract.baseline_expectation = BaselineExpectation::Red;
        room(w).runs[0] = run(RunLabel::Baseline, true);
    }),
    (BlockerCode::VerificationUntrusted, Status::Fail, |w| {
        room(w).runs[1] = run(RunLabel::Patched, false);
        room(w).passes_in_engine_tree = Some(true);
    }),
    (BlockerCode::VerificationUntrusted, Status::Fail, |w| {
        room(w).integrity = vec![integrity(true), integrity(false)];
    }),
    (BlockerCode::NoDiff, Status::Fail, |w| {
        w.write_set.changes.clear();
        room(w).runs[1] = run(RunLabel::Patched, false);
        room(w).canaries.clear();
    }),
    (BlockerCode::SurvivingProcess, Status::Fail, |w| {
        engine(w).survivors.push("sleep".to_owned());
    }),
    (BlockerCode::ResourceLimit, Status::Blocked, |w| {
        engine(w).limits_hit.push(LimitHit {
            limit: "disk".to_owned(),
            detail: "full".to_owned(),
        });
        engine(w).exit_code = Some(1);
        w.write_set.changes.clear();
    }),
    (BlockerCode::ResourceLimit, Status::Blocked, |w| {
        w.write_set.truncated = Some("files".to_owned());
    }),
    (BlockerCode::HarnessInterrupted, Status::Blocked, |w| {
        w.seen.interrupted = Some("after collected".to_owned());
    }),
    (BlockerCode::HarnessInterrupted, Status::Blocked, |w| {
        w.seen.harness_error = Some("mount".to_owned());
    }),
    (BlockerCode::HarnessInterrupted, Status::Blocked, |w| {
        w.seen.verification = None;
    }),
    (BlockerCode::HarnessInterrupted, Status::Blocked, |w| {
        w.seen.engine = None;
    }),
    (BlockerCode::HarnessInterrupted, Status::Blocked, |w| {
        w.seen.target_after = None;
    }),
    (BlockerCode::SandboxUnavailable, Status::Blocked, |w| {
        w.seen.bound_refused = Some("landlock".to_owned());
        w.seen.engine = None;
        w.write_set.changes.clear();
        w.seen.verification = None;
    }),
    (BlockerCode::ContractInvalid, Status::Blocked, |w| {
        w.seen.target_refused = Some("a submodule".to_owned());
        w.seen.engine = None;
        w.write_set.changes.clear();
        w.seen.verification = None;
    }),
    (BlockerCode::EngineFailed, Status::Fail, |w| engine(w).exit_code = None),
    (BlockerCode::EngineFailed, Status::Fail, |w| {
        engine(w).exit_code = Some(3);
    }),
    (BlockerCode::EngineFailed, Status::Fail, |w| {
        engine(w).signal = Some(11);
        engine(w).exit_code = None;
        w.write_set.changes.clear();
    }),
    (BlockerCode::EngineFailed, Status::Fail, |w| {
        engine(w).stream.failure = Some("turn.failed".to_owned());
    }),
    (BlockerCode::ProviderAuthUnavailable, Status::Blocked, |w| {
        engine(w).stream.failure = Some("turn.failed".to_owned());
        engine(w).stream.provider_failure = Some(cto_schema::ProviderFailure {
            code: BlockerCode::ProviderAuthUnavailable,
            detail: "unexpected status 401".to_owned(),
        });
    }),
];

#[test]
fn the_accepted_world_passes() {
    assert_eq!(codes(&accepted()), (vec![], Status::Pass));
}

#[test]
fn one_change_gives_exactly_its_own_blocker() {
    for (index, (code, status, mutate)) in TABLE.iter().enumerate() {
        let mut world = accepted();
        mutate(&mut world);
        assert_eq!(codes(&world), (vec![*code], *status), "row {index}");
    }
}

#[test]
fn no_pair_of_changes_gives_a_pass() {
    for (_, _, first) in TABLE {
        for (_, _, second) in TABLE {
            let mut world = accepted();
            first(&mut world);
            // The second change may need what the first took away; then the first stands alone.
            let applied = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| second(&mut world)));
            assert_ne!(codes(&world).1, Status::Pass, "{applied:?}");
        }
    }
}

#[test]
fn an_engine_that_was_ended_as_done_answers_for_what_it_had_said() {
    let lingered = |said_all: bool, mutate: fn(&mut EngineObservation)| {
        let mut world = accepted();
        let seen = engine(&mut world);
        (seen.ended_by, seen.exit_code, seen.signal) = (EndedBy::Lifecycle, None, Some(15));
        seen.stream.final_event = Some("end".to_owned());
        seen.stream.final_event_seen = said_all;
        mutate(seen);
        codes(&world).0
    };
    for said_all in [false, true] {
        assert_eq!(lingered(said_all, |_| {}), []);
        let rejected = lingered(said_all, |seen| seen.stream.reviewer_rejection = Some("no".to_owned()));
        assert_eq!(rejected, [BlockerCode::ReviewerRejected]);
        let failed = lingered(said_all, |seen| seen.stream.failure = Some("red".to_owned()));
        assert_eq!(failed, [BlockerCode::EngineFailed][..usize::from(said_all)]);
    }
}

#[test]
fn a_timeout_after_a_valid_patch_is_called_so_and_after_no_other() {
    let reason = |mutate: fn(&mut World)| {
        let mut world = accepted();
        engine(&mut world).ended_by = EndedBy::Timeout;
        mutate(&mut world);
        let (blockers, status) = concluded(&world);
        assert_ne!(status, Status::Pass);
        failure_reason(&blockers, "case", None).unwrap()
    };
    assert_eq!(reason(|_| {}), "lifecycle timeout after valid patch");
    assert_eq!(
        reason(|world| room(world).runs[1] = run(RunLabel::Patched, false)),
        "timeout"
    );
    assert_eq!(reason(|world| room(world).runs.clear()), "timeout");
    assert_eq!(reason(|world| world.seen.patch_exists = false), "timeout");
    let stray = reason(|world| world.write_set.changes.push(change("stray")));
    assert_ne!(stray, "lifecycle timeout after valid patch");
}

#[test]
fn nothing_observed_is_never_a_pass() {
    let mut world = accepted();
    world.seen = Observations::default();
    assert_ne!(codes(&world).1, Status::Pass);
}

fn with_model(model: ModelObservation) -> World {
    let mut world = accepted();
    world.seen.model = Some(model);
    world
}

fn ended(outcome: ModelOutcome) -> ModelEnd {
    ModelEnd {
        outcome,
        detail: "seen".to_owned(),
    }
}

fn model_codes(world: &World) -> Vec<BlockerCode> {
    codes(world).0
}

#[test]
fn a_last_word_that_is_missing_after_failed_calls_is_the_providers_doing() {
    type Silence = (fn(&mut EngineObservation), BlockerCode);
    let silent: &[Silence] = &[
        (
            |engine| engine.stream.protocol_error = Some("no envelope".to_owned()),
            BlockerCode::AgentProtocol,
        ),
        (
            |engine| engine.stream.final_event_seen = false,
            BlockerCode::MissingRequiredEvent,
        ),
    ];
    let world = |failures: &[(ModelOutcome, u32)]| {
        let mut world = with_model(ModelObservation {
            calls: 9,
            completed: 5,
            last: Some(ended(ModelOutcome::Completed)),
            failures: failures.iter().copied().collect(),
            ..ModelObservation::default()
        });
        let stream = &mut engine(&mut world).stream;
        (stream.final_event, stream.final_event_seen) = (Some("result".to_owned()), true);
        world
    };
    for (fall_silent, alone) in silent {
        for (failures, code) in [
            (
                &[(ModelOutcome::UpstreamError, 3)][..],
                BlockerCode::ProviderUnavailable,
            ),
            (&[(ModelOutcome::ReasoningOnly, 1)], BlockerCode::ProviderResponseShape),
            (&[(ModelOutcome::EngineGone, 1)], *alone),
            (&[], *alone),
        ] {
            let mut world = world(failures);
            fall_silent(engine(&mut world));
            assert_eq!(codes(&world).0, [code], "{failures:?}");
        }
    }
    let recovered = world(&[(ModelOutcome::UpstreamError, 3)]);
    assert_eq!(codes(&recovered).0, [], "an engine may recover from a failed call");
}

#[test]
fn a_model_that_answered_speaks_against_nothing() {
    let model = ModelObservation {
        calls: 3,
        completed: 2,
        failures: [(ModelOutcome::UpstreamError, 1)].into(),
        last: Some(ended(ModelOutcome::Completed)),
        ..ModelObservation::default()
    };
    assert_eq!(
        model_codes(&with_model(model)),
        vec![],
        "an engine may recover from a failed call"
    );
}

#[test]
fn every_end_of_the_last_call_but_three_refuses_and_explains_the_engine() {
    for outcome in ModelOutcome::all() {
        let model = ModelObservation {
            calls: 1,
            last: Some(ended(*outcome)),
            ..ModelObservation::default()
        };
        let mut world = with_model(model);
        let harmless = [
            ModelOutcome::Completed,
            ModelOutcome::EngineGone,
            ModelOutcome::BudgetExhausted,
        ];
        assert_eq!(
            model_codes(&world).len(),
            usize::from(!harmless.contains(outcome)),
            "{outcome:?}"
        );
        if harmless.contains(outcome) {
            continue;
        }
        // What the engine says about it is a consequence.
        let before = model_codes(&world);
        let engine = world.seen.engine.as_mut().unwrap();
        engine.exit_code = Some(1);
        engine.stream.failure = Some("provider error".to_owned());
        engine.stream.protocol_error = Some("no envelope".to_owned());
        assert_eq!(model_codes(&world), before, "{outcome:?}");
    }
}

#[test]
fn what_the_contract_allows_is_no_reason() {
    let changes: &[fn(&mut World)] = &[
        |w| room(w).integrity = vec![integrity(true)],
        |w| {
            w.contract.no_test_rationale = Some("only prose".to_owned());
            room(w).runs.clear();
            room(w).canaries.clear();
        },
        |w| {
            w.contract.requires_diff = false;
            w.write_set.changes.clear();
        },
        |w| {
            w.contract.verification_inputs = vec!["t".to_owned()];
            room(w).runs.push(run(RunLabel::RestoredInputs, true));
        },
        |w| {
            w.contract.baseline_expectation = BaselineExpectation::Green;
            room(w).runs[0] = run(RunLabel::Baseline, true);
        },
        |w| room(w).canaries.push(canary(CanaryState::NotGenerated)),
        |w| {
            engine(w).stream.final_event = Some("turn.completed".to_owned());
            engine(w).stream.final_event_seen = true;
        },
    ];
    for (index, change) in changes.iter().enumerate() {
        let mut world = accepted();
        change(&mut world);
        assert_eq!(codes(&world), (vec![], Status::Pass), "change {index}");
    }
}

#[test]
fn a_blocker_names_what_was_seen() {
    type Row = (fn(&mut World), &'static str);
    let cases: &[Row] = &[
        (
            |w| {
                w.write_set
                    .changes
                    .extend((1..=12).map(|n| change(&format!("b{n:02}"))));
            },
            "outside allowed_paths: b01, b02, b03, b04, b05, b06, b07, b08, b09, b10 and 2 more",
        ),
        (
            |w| {
                w.write_set
                    .changes
                    .extend((1..=10).map(|n| change(&format!("b{n:02}"))));
            },
            "outside allowed_paths: b01, b02, b03, b04, b05, b06, b07, b08, b09, b10",
        ),
        (|w| room(w).runs[1] = run(RunLabel::Patched, false), "'x' exited 1"),
        (
            |w| {
                room(w).runs[1] = run(RunLabel::Patched, false);
                room(w).runs[1].commands[0].exit_code = None;
                room(w).runs[1].commands[0].signal = Some(9);
                let passed = run(RunLabel::Patched, true).commands.remove(0);
                room(w).runs[1].commands.push(passed);
            },
            "'x' ended by signal 9",
        ),
        (
            |w| {
                room(w).runs[1] = run(RunLabel::Patched, false);
                room(w).runs[1].commands[0].start_error = Some("ENOENT".to_owned());
            },
            "'x' could not be started: ENOENT",
        ),
        (
            |w| room(w).integrity = vec![integrity(true), integrity(false)],
            "changed outside the contract: test_deleted tests/test_a.py",
        ),
    ];
    for (mutate, detail) in cases {
        let mut world = accepted();
        mutate(&mut world);
        let decision = decide(Ok(&world.contract), &facts());
        let evidence = Evidence {
            contract: Some(&world.contract),
            decision: &decision,
            write_set: Some(&world.write_set),
            observations: &world.seen,
        };
        let details: Vec<String> = conclude(&evidence).into_iter().map(|blocker| blocker.detail).collect();
        assert_eq!(details, [*detail]);
    }
}

#[test]
fn violations_at_the_gateway_cannot_be_mended() {
    for (outcome, code) in [
        (ModelOutcome::ModelMismatch, BlockerCode::ModelNotAdmitted),
        (ModelOutcome::CredentialEchoed, BlockerCode::SecretDetected),
    ] {
        let model = ModelObservation {
            calls: 2,
            completed: 1,
            violations: vec![ended(outcome)],
            last: Some(ended(ModelOutcome::Completed)),
            ..ModelObservation::default()
        };
        assert_eq!(model_codes(&with_model(model)), vec![code]);
    }
    for (refusal, code) in [
        (ModelRefusal::ModelNotAdmitted, BlockerCode::ModelNotAdmitted),
        (ModelRefusal::ProviderToolNotAdmitted, BlockerCode::ForbiddenAction),
        (ModelRefusal::BudgetExhausted, BlockerCode::ResourceLimit),
    ] {
        let model = ModelObservation {
            calls: 2,
            completed: 2,
            refused: [(refusal, RefusedCalls::default())].into(),
            last: Some(ended(ModelOutcome::Completed)),
            ..ModelObservation::default()
        };
        assert_eq!(model_codes(&with_model(model)), vec![code]);
    }
}

#[test]
fn a_gateway_that_was_lost_or_never_served_refuses() {
    let lost = ModelObservation {
        lost: Some("it ended".to_owned()),
        ..ModelObservation::default()
    };
    assert_eq!(model_codes(&with_model(lost)), vec![BlockerCode::HarnessInterrupted]);
    let unavailable = ModelObservation {
        unavailable: Some(ended(ModelOutcome::CredentialUnavailable)),
        ..ModelObservation::default()
    };
    assert_eq!(
        model_codes(&with_model(unavailable)),
        vec![BlockerCode::ProviderAuthUnavailable]
    );
    let refused = ModelObservation {
        refused: [(ModelRefusal::PathNotAdmitted, RefusedCalls::default())].into(),
        ..ModelObservation::default()
    };
    assert_eq!(
        model_codes(&with_model(refused)),
        vec![BlockerCode::ProviderUnavailable]
    );
}

#[test]
fn failure_reason_is_a_stable_phrase_of_the_first_blocker_or_of_the_engines_failure() {
    use BlockerCode as C;
    let reason = |codes: &[C], exit_code| {
        let blocker = |code: &C| Blocker {
            code: *code,
            detail: String::new(),
            event: code.event(StatusContext::default()),
        };
        let blockers: Vec<Blocker> = codes.iter().map(blocker).collect();
        failure_reason(&blockers, "command", exit_code)
    };
    let cases: &[(&[C], Option<i32>, Option<&str>)] = &[
        (&[], Some(0), None),
        (&[C::NoDiff, C::Timeout], Some(0), Some("no diff")),
        (&[C::ProviderUnavailable], None, Some("provider unavailable")),
        (&[C::AgentProtocol], None, Some("case agent result protocol failed")),
        (
            &[C::NoDiff, C::EngineFailed],
            Some(3),
            Some("command engine failed with exit code 3"),
        ),
        (&[C::EngineFailed], Some(0), Some("command engine failed")),
        (&[C::EngineFailed], None, Some("command engine failed")),
    ];
    for (codes, exit_code, expected) in cases {
        assert_eq!(reason(codes, *exit_code).as_deref(), *expected, "{codes:?}");
    }
}
