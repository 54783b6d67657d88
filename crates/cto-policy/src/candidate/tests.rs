//! Stage 6 over its whole table: the accepted case, and each change that must refuse it.

use cto_schema::{
    ApprovalProvenance, EXECUTION_SCOPE, MutationMode, OperatorWord, RepositoryState, Sha256Digest, StageProofShown,
    TargetShown, TargetWatch,
};

use super::*;
use crate::ladder::needs;

pub(crate) fn bundle(run: &str, engine: &str) -> BundleFacts {
    BundleFacts {
        run_id: run.to_owned(),
        manifest_digest: Sha256Digest::of(run.as_bytes()),
        failed_checks: vec![],
        keyid: Some("k".to_owned()),
        harness_version: "0.2.0".to_owned(),
        engine: engine.to_owned(),
        backend: engine.to_owned(),
        case_id: "TIDY-1".to_owned(),
        stage: Some(2),
        mutation_mode: Some(MutationMode::CopiedFixture),
        status: Status::Pass,
        effective_status: Some(Status::Pass),
        blockers: vec![],
        refused_by: vec![],
        started: true,
        started_at: "2026-11-20T10:00:00.000000Z".to_owned(),
        finished_at: "2026-11-20T10:00:01.000000Z".to_owned(),
        missing_report_fields: vec![],
        missing_artifacts: vec![],
        events: ["run.started", "patch.applied", "run.completed"]
            .map(str::to_owned)
            .to_vec(),
        required_events_passed: true,
        changed_files: vec!["strings.py".to_owned()],
        allowed_writes_passed: Some(true),
        forbidden_paths_passed: Some(true),
        forbidden_actions_attempted: 0,
        tests_passed: Some(true),
        source_repository_mutated: Some(false),
        admissions: BTreeMap::new(),
        source_admission_status: "not-required".to_owned(),
        stale_values: vec![],
        approval: None,
        operator: None,
        target: None,
        stage_proof: None,
        says_default_activation: false,
        says_promotion: false,
        secret_shaped_keys: vec![],
    }
}

pub(crate) fn pass(engine: &str, stage: u8) -> BundleFacts {
    let mut made = bundle(&format!("{engine}-pass-{stage}"), engine);
    made.stage = Some(stage);
    if stage > 3 {
        made.approval = Some(provenance(&made.run_id));
    }
    made
}

fn provenance(run: &str) -> ApprovalProvenance {
    ApprovalProvenance {
        approval_source: ApprovalSource::Operator,
        actor: "me@example.org".to_owned(),
        signer_key: "SHA256:k".to_owned(),
        packet_id: format!("ap-{run}"),
        packet_digest: Sha256Digest::of(run.as_bytes()),
        execution_scope: EXECUTION_SCOPE.to_owned(),
        approval_granted: true,
        approval_consumed: true,
        consumed_by: run.to_owned(),
        consumed_at: "2026-11-20T10:00:00Z".to_owned(),
    }
}

/// An accepted run on an owned repository, sealed before the operator's word.
pub(crate) fn accepted_run(engine: &str) -> BundleFacts {
    let mut made = pass(engine, 5);
    made.status = Status::Blocked;
    made.blockers = vec![cto_schema::BlockerCode::MissingOperatorOutcome];
    made.operator = Some(OperatorWord {
        outcome: OperatorOutcome::Accepted,
        actor: "me@example.org".to_owned(),
    });
    made.target = Some(TargetShown {
        path_digest: Some(Sha256Digest::of(b"/shop")),
        admission_digest: Some(Sha256Digest::of(b"admission")),
        admission_status: "admitted".to_owned(),
        risk_classification: Some("low_risk_noncritical".to_owned()),
        repository_owner: Some("me".to_owned()),
        start_clean: Some(true),
        ending_clean: Some(true),
        target_commit: Some("a".repeat(40)),
        branch: Some("refs/heads/main".to_owned()),
    });
    made.stage_proof = Some(StageProofShown {
        name: "stage5-owned-repo-proof.json".to_owned(),
        holds: false,
        missing_parts: vec![],
    });
    made
}

/// A run for each row of the failure matrix, in its order.
pub(crate) fn every_row(engine: &str) -> Vec<BundleFacts> {
    FAILURE_ROWS
        .iter()
        .map(|row| {
            let mut made = bundle(&format!("{engine}-{}", row.name), engine);
            made.status = row.status;
            made.effective_status = Some(row.status);
            made.blockers = vec![row.blocker];
            made.started = row.starts;
            if !row.starts {
                made.changed_files = vec![];
            }
            if row.name.ends_with("-repository") {
                let risk = row.name == "critical-repository";
                made.target = accepted_run(engine).target.map(|mut target| {
                    target.risk_classification = risk.then(|| "critical".to_owned());
                    target
                });
            }
            made.stale_values = match row.name {
                "contract-changed" => vec!["contract".to_owned()],
                "target-moved" => vec!["target.commit".to_owned(), "target.refs".to_owned()],
                _ => vec![],
            };
            made
        })
        .collect()
}

/// Everything that rungs 1 to 5 of an engine stand on.
fn rungs(engine: &str) -> Vec<BundleFacts> {
    let mut all = Vec::new();
    for stage in 1..=5 {
        for need in needs(stage) {
            let played_by = if need.own { engine } else { "fake" };
            let mut made = match need.code {
                None if stage == 5 => accepted_run(engine),
                None => pass(engine, stage),
                Some(code) => {
                    let mut made = bundle(&format!("{played_by}-{stage}-{}", need.name), played_by);
                    made.status = Status::Blocked;
                    made.effective_status = Some(Status::Blocked);
                    made.blockers = vec![code];
                    made
                }
            };
            made.stage = Some(if stage == 1 && !need.own { 2 } else { stage });
            if need.name == "runs-nothing" {
                made.started = false;
                made.refused_by = vec!["mutation-mode".to_owned()];
            }
            all.push(made);
        }
    }
    all
}

pub(crate) fn state(commit: &str) -> RepositoryState {
    RepositoryState {
        head: "ref: refs/heads/main".to_owned(),
        commit: commit.to_owned(),
        ..RepositoryState::default()
    }
}

pub(crate) fn watch() -> TargetWatch {
    TargetWatch {
        path_digest: Sha256Digest::of(b"/shop"),
        admission_digest: Some(Sha256Digest::of(b"admission")),
        admission_problem: None,
        before: Some(state(&"a".repeat(40))),
        after: Some(state(&"a".repeat(40))),
        clean: Some(true),
        problem: None,
    }
}

fn now(lane: &str, problem: Option<&str>) -> LaneNow {
    LaneNow {
        lane: lane.to_owned(),
        problem: problem.map(str::to_owned),
        ..LaneNow::default()
    }
}

/// Facts from which a candidate is eligible, once an operator says so.
pub(crate) fn eligible() -> CandidateFacts {
    let mut bundles = rungs("case");
    bundles.extend(every_row("fake"));
    bundles.push(pass("fake", 2));
    CandidateFacts {
        judged_at_seconds: 1_800_000_000,
        harness_version: "0.2.3".to_owned(),
        default_lane: "fake".to_owned(),
        candidate: now("case", None),
        lanes: vec![now("fake", None), now("codex", Some("program: it is not installed"))],
        bundles: bundles
            .into_iter()
            .map(|bundle| (bundle.run_id.clone(), bundle))
            .collect(),
        blocked_rows: BTreeMap::new(),
        target: Some(watch()),
    }
}

fn wrong(facts: &CandidateFacts) -> Vec<String> {
    let verdict = judge_candidate(facts);
    let failed: Vec<String> = verdict
        .checks
        .iter()
        .filter(|check| !check.ok)
        .map(|check| check.name.clone())
        .collect();
    assert_eq!(verdict.proof_holds, failed.is_empty());
    failed
}

fn run_mut(facts: &mut CandidateFacts) -> &mut BundleFacts {
    facts.bundles.get_mut("case-pass-5").unwrap()
}

#[test]
fn the_proof_holds_over_all_of_it_and_names_each_lane() {
    let verdict = judge_candidate(&eligible());
    assert!(verdict.proof_holds, "{:#?}", verdict.checks);
    let names: Vec<&str> = verdict.checks.iter().map(|check| check.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "fake_lane_passes",
            "case_default_disabled",
            "stage5_failure_closure_inherited",
            "case_lane_passes",
            "source_admission_freshness",
            "forbidden_action_closure",
            "target_read_only_proof",
            "operator_acceptance",
            "candidate_default_comparison"
        ]
    );
    assert_eq!(verdict.candidate_run.as_deref(), Some("case-pass-5"));
    let [fake, codex] = verdict.lanes.as_slice() else {
        panic!()
    };
    assert_eq!((fake.state, fake.dimensions.len()), (LaneState::Compared, 5));
    assert!(fake.dimensions.iter().all(|one| one.verdict == Standing::Matches));
    assert_eq!(codex.state, LaneState::Blocked);
    assert!(codex.rationale.contains("it is not installed"));
    assert_eq!(verdict.rows.len(), 40);
    assert!(
        verdict
            .rows
            .iter()
            .all(|row| matches!(row.state, RowState::Closed | RowState::Inherited))
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "one line for each change")]
fn each_change_of_the_accepted_case_refuses_it() {
    type Change = fn(&mut CandidateFacts);
    let changes: &[(&str, Change)] = &[
        ("fake_lane_passes", |f| drop(f.bundles.remove("fake-pass-2"))),
        ("case_default_disabled", |f| f.default_lane = "case".to_owned()),
        ("case_default_disabled", |f| {
            f.bundles.get_mut("fake-no-diff").unwrap().says_default_activation = true;
        }),
        ("case_default_disabled", |f| {
            f.bundles.get_mut("fake-no-diff").unwrap().says_promotion = true;
        }),
        ("stage5_failure_closure_inherited", |f| {
            drop(f.bundles.remove("fake-5-timeout"));
        }),
        ("case_lane_passes", |f| drop(f.bundles.remove("case-pass-4"))),
        ("case_lane_passes", |f| drop(f.bundles.remove("case-1-runs-nothing"))),
        ("case_lane_passes", |f| drop(f.bundles.remove("case-pass-5"))),
        ("case_lane_passes", |f| {
            run_mut(f).effective_status = Some(Status::Blocked);
        }),
        ("case_lane_passes", |f| {
            run_mut(f).failed_checks.push("signature".to_owned());
        }),
        ("case_lane_passes", |f| run_mut(f).harness_version = "1.0.0".to_owned()),
        ("case_lane_passes", |f| {
            run_mut(f).finished_at = "2099-01-01T00:00:00Z".to_owned();
        }),
        ("case_lane_passes", |f| run_mut(f).started_at = "soon".to_owned()),
        ("case_lane_passes", |f| {
            run_mut(f).approval.as_mut().unwrap().approval_source = ApprovalSource::Validator;
        }),
        ("operator_acceptance", |f| run_mut(f).operator = None),
        ("operator_acceptance", |f| {
            run_mut(f).operator.as_mut().unwrap().outcome = OperatorOutcome::Rejected;
        }),
        ("source_admission_freshness", |f| {
            f.candidate.admissions.insert("source".to_owned(), "another".to_owned());
        }),
        ("source_admission_freshness", |f| {
            f.candidate.source_problem = Some("the record is gone".to_owned());
        }),
        ("forbidden_action_closure", |f| {
            drop(f.bundles.remove("fake-forbidden-action"));
        }),
        ("forbidden_action_closure", |f| {
            run_mut(f).forbidden_actions_attempted = 1;
        }),
        ("target_read_only_proof", |f| f.target = None),
        ("target_read_only_proof", |f| {
            f.target.as_mut().unwrap().after = Some(state(&"b".repeat(40)));
        }),
        ("target_read_only_proof", |f| f.target.as_mut().unwrap().after = None),
        ("target_read_only_proof", |f| {
            f.target.as_mut().unwrap().problem = Some("it is gone".to_owned());
        }),
        ("candidate_default_comparison", |f| f.lanes.clear()),
        ("candidate_default_comparison", |f| drop(f.lanes.remove(0))),
        ("candidate_default_comparison", |f| {
            drop(f.bundles.remove("fake-secret-leak"));
        }),
        ("candidate_default_comparison", |f| {
            run_mut(f).missing_report_fields.push("freshness".to_owned());
        }),
        ("candidate_default_comparison", |f| {
            run_mut(f).missing_artifacts.push("test.log".to_owned());
        }),
        ("candidate_default_comparison", |f| {
            let proof = run_mut(f).stage_proof.as_mut().unwrap();
            proof.missing_parts.push("approval.json".to_owned());
        }),
        ("candidate_default_comparison", |f| {
            run_mut(f).allowed_writes_passed = None;
        }),
        ("candidate_default_comparison", |f| {
            run_mut(f).required_events_passed = false;
        }),
        ("candidate_default_comparison", |f| {
            run_mut(f).events.retain(|event| event != "patch.applied");
        }),
    ];
    for (at, (name, change)) in changes.iter().enumerate() {
        let mut facts = eligible();
        change(&mut facts);
        assert!(
            wrong(&facts).contains(&(*name).to_owned()),
            "{at}: {name}: {:?}",
            wrong(&facts)
        );
    }
}

#[test]
fn every_row_has_to_be_shown_or_blocked_with_a_rationale() {
    for row in FAILURE_ROWS {
        let mut facts = eligible();
        facts.bundles.retain(|_, bundle| !shows_row(row, bundle));
        let stage5 = facts.bundles.contains_key("case-pass-5");
        let missing = judge_candidate(&facts)
            .rows
            .into_iter()
            .find(|one| one.row == row.name)
            .unwrap();
        assert_eq!(missing.state, RowState::Open, "{}", row.name);
        assert!(missing.rationale.contains(row.name));
        facts
            .blocked_rows
            .insert(row.name.to_owned(), "this machine has no such thing".to_owned());
        let blocked = judge_candidate(&facts);
        let shown = blocked.rows.iter().find(|one| one.row == row.name).unwrap();
        assert_eq!(shown.state, RowState::Blocked, "{}", row.name);
        let compared = blocked
            .checks
            .iter()
            .find(|check| check.name == "candidate_default_comparison")
            .unwrap();
        assert_eq!(compared.ok, stage5, "{}: {}", row.name, compared.detail);
        facts.blocked_rows.insert(row.name.to_owned(), "  ".to_owned());
        let blank = judge_candidate(&facts)
            .rows
            .into_iter()
            .find(|one| one.row == row.name)
            .unwrap();
        assert_eq!(blank.state, RowState::Open, "a blank rationale is none");
    }
}

#[test]
fn rows_with_one_blocker_are_told_apart() {
    let all = every_row("fake");
    for (row, own) in FAILURE_ROWS.iter().zip(&all) {
        for bundle in &all {
            // An owned row is not mistaken for another, whatever they share.
            assert_eq!(
                shows_row(row, bundle),
                bundle.run_id == own.run_id,
                "{} by {}",
                row.name,
                bundle.run_id
            );
        }
        let mut two = own.clone();
        two.blockers.push(cto_schema::BlockerCode::Cancelled);
        assert!(!shows_row(row, &two), "{}: a row holds its own blocker alone", row.name);
    }
}

#[test]
fn a_row_that_another_engine_played_shows_nothing_for_this_one() {
    let mut facts = eligible();
    for bundle in facts
        .bundles
        .values_mut()
        .filter(|bundle| bundle.run_id == "fake-no-diff")
    {
        bundle.engine = "pi".to_owned();
    }
    facts.bundles.retain(|run, _| run != "fake-2-no-diff");
    let row = judge_candidate(&facts)
        .rows
        .into_iter()
        .find(|row| row.row == "no-diff")
        .unwrap();
    assert_eq!(row.state, RowState::Open, "{row:?}");
}

#[test]
fn less_beats_the_same_matches_and_more_falls_short() {
    let candidate = accepted_run("case");
    let lane = pass("fake", 2);
    for dimension in [Dimension::ReportShape, Dimension::ArtifactCompleteness] {
        let lacking = |bundle: &BundleFacts, what: &[&str]| {
            let mut bundle = bundle.clone();
            let list: Vec<String> = what.iter().map(|one| (*one).to_owned()).collect();
            if dimension == Dimension::ReportShape {
                bundle.missing_report_fields = list;
            } else {
                bundle.missing_artifacts = list;
            }
            bundle
        };
        for (own, other, expected) in [
            (&[][..], &[][..], Standing::Matches),
            (&[], &["a"], Standing::Beats),
            (&["a"], &["a"], Standing::Matches),
            (&["a"], &["a", "b"], Standing::Beats),
            (&["a"], &[], Standing::FallsShort),
            (&["a"], &["b"], Standing::FallsShort),
        ] {
            let (candidate, lane) = (lacking(&candidate, own), lacking(&lane, other));
            let side = |bundle| Side { bundle, rows: &[] };
            let compared = compare_sides(side(&candidate), side(&lane));
            let found = compared.iter().find(|one| one.dimension == dimension).unwrap();
            assert_eq!(found.verdict, expected, "{own:?} against {other:?}");
        }
    }
}

#[test]
fn the_sixth_rung_needs_an_accepted_comparison_of_this_engine_as_it_is() {
    let admissions = BTreeMap::from([("source".to_owned(), "s".to_owned())]);
    let question = RungQuestion {
        engine: "case",
        harness_version: "0.2.0",
        admissions: &admissions,
        proving: false,
    };
    let shown = ComparisonShown {
        comparison_id: "c".to_owned(),
        candidate: "case".to_owned(),
        proof_holds: true,
        accepted: true,
        harness_version: "0.3.0".to_owned(),
        made_at: "2026-11-20T10:00:00Z".to_owned(),
        admissions: admissions.clone(),
    };
    let rung = |shown: Option<&ComparisonShown>| candidate_rung(&question, shown, 1_800_000_000);
    assert!(rung(Some(&shown)).validated());
    assert_eq!(rung(None).missing, ["comparison", "operator-acceptance"]);
    type Change = fn(&mut ComparisonShown);
    let changes: [(&str, usize, Change); 6] = [
        ("not accepted", 1, |s| s.accepted = false),
        ("another candidate", 2, |s| s.candidate = "pi".to_owned()),
        ("no proof", 2, |s| s.proof_holds = false),
        ("another major version", 2, |s| s.harness_version = "1.0.0".to_owned()),
        ("from the future", 2, |s| s.made_at = "2099-01-01T00:00:00Z".to_owned()),
        ("other records", 2, |s| s.admissions.clear()),
    ];
    for (name, missing, change) in changes {
        let mut changed = shown.clone();
        change(&mut changed);
        assert_eq!(rung(Some(&changed)).missing.len(), missing, "{name}");
    }
}

#[test]
fn what_a_verdict_names_is_all_that_it_needs() {
    let facts = eligible();
    let verdict = judge_candidate(&facts);
    let kept = runs_of_verdict(&facts, &verdict);
    let mut less = facts;
    less.bundles.insert("spare".to_owned(), {
        let mut spare = pass("fake", 2);
        spare.run_id = "spare".to_owned();
        spare.started_at = "2026-11-19T10:00:00.000000Z".to_owned();
        spare
    });
    less.bundles.retain(|run, _| kept.contains(run));
    assert!(!less.bundles.contains_key("spare"));
    assert_eq!(judge_candidate(&less), verdict);
}
