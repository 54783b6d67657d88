//! The whole table of what can become of a cell, and reports over made-up cells.

use cto_schema::{
    Blocker, BlockerCode, CellState, EventType, Matrix, MatrixCell, MatrixOptions, MatrixPlan, PlannedLane, Report,
    RunId, SchemaId, Sha256Digest, Status,
};
use serde_json::{Value, json};

use super::{Reported, SeenCell, aggregate, cell_at, judge_cell, plan_problem, planned_cells};

const CREATED: &str = "2026-11-20T10:00:00.000000Z";
const REPORTED: Reported<'static> = Reported {
    at: "2026-11-20T11:00:00.000000Z",
    harness_version: "0.2.0",
    jobs: 1,
};

fn plan(engines: &[&str], cases: &[&str], repeats: u32) -> MatrixPlan {
    let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let lane = |case: &&str, engine: &&str| PlannedLane {
        engine: (*engine).to_owned(),
        case_id: (*case).to_owned(),
        contract_digest: Sha256Digest::of(case.as_bytes()),
    };
    MatrixPlan {
        schema: SchemaId::MATRIX_PLAN.to_string(),
        matrix_id: "20261120t100000z-matrix-aaaaaaaaaa".parse().unwrap(),
        name: String::new(),
        created_at: CREATED.to_owned(),
        harness_version: "0.2.0".to_owned(),
        engines: named(engines),
        cases: named(cases),
        repeats,
        lanes: cases
            .iter()
            .flat_map(|case| engines.iter().map(move |engine| lane(case, engine)))
            .collect(),
        options: MatrixOptions::default(),
        bootstrap_seed: "00000000000000ff".to_owned(),
    }
}

fn blocker(code: BlockerCode) -> Blocker {
    Blocker {
        code,
        detail: "what was seen".to_owned(),
        event: EventType::RunCompleted,
    }
}

const REPORT: &str = r#"{
  "schema": "cto/report/1.0", "run_id": "20261120t100100z-one-aaaaaaaaaa", "harness_version": "0.2.0", "stage": 2,
  "mutation_mode": "copied-fixture", "allowed_mutation_scope": "", "run_started_at": "2026-11-20T10:01:00.000000Z",
  "run_finished_at": "2026-11-20T10:02:00.000000Z", "backend_exit_code": 0, "artifacts_dir": "",
  "runtime_workspace_root": "", "run_artifact_dir": "", "baseline_commit": null, "baseline_tree": null,
  "changed_files": [], "allowed_writes_passed": null, "forbidden_paths_passed": null,
  "forbidden_actions_attempted": [], "approval_status": "not-required", "verification": [], "clean_room": null,
  "tests_passed": null, "required_events_passed": true, "failure_reason": null, "artifact_paths": {},
  "artifact_digests": {}, "report_digest_rule": "rfc8785-without-own-entry", "source_admission_status": "",
  "freshness": {"nonce": "", "written_at_ns": {}, "clock_step_ms": 0,
    "event_chain_head": "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
  "case_model_provider": null, "case_model": null, "case_model_admission_status": "",
  "case_runtime_model_provider": null, "model_fallback_used": false, "not_applicable": {}, "enforcement": null,
  "claims": [], "forbidden_path_exceptions": {}, "source_repository_mutated": null, "usage": {"total_ms": 900,
    "engine_ms": 500, "verification_ms": 300, "harness_ms": 100, "engine_output_bytes": "0"},
  "runtime_default_activation": false, "core_promotion_status": "not-promoted"
}"#;

fn report(case: &str, engine: &str, status: Status, started: bool, blockers: &[BlockerCode]) -> Report {
    let mut value: Value = serde_json::from_str(REPORT).unwrap();
    value["case_id"] = json!(case);
    value["backend"] = json!(engine);
    value["status"] = json!(status);
    value["case_process_started"] = json!(started);
    value["contract_digest"] = json!(Sha256Digest::of(case.as_bytes()));
    value["blockers"] = json!(blockers.iter().map(|code| blocker(*code)).collect::<Vec<_>>());
    serde_json::from_value(value).unwrap()
}

fn judged(plan: &MatrixPlan, report: &Report) -> MatrixCell {
    let seen = SeenCell::Sealed {
        report,
        status: report.status,
        manifest_digest: Some(Sha256Digest::of(b"sums")),
    };
    judge_cell(cell_at(plan, 0).unwrap(), CREATED, 1, &seen)
}

#[test]
fn a_sealed_cell_is_what_its_bundle_says() {
    use BlockerCode as C;
    let plan = plan(&["pi"], &["one"], 1);
    for (status, started, codes, state) in [
        (Status::Pass, true, &[][..], CellState::Pass),
        (Status::Fail, true, &[C::NoDiff][..], CellState::Fail),
        (Status::Fail, false, &[C::ArtifactWriteFailure][..], CellState::Fail),
        (Status::Blocked, true, &[C::Timeout][..], CellState::Fail),
        (Status::Blocked, false, &[C::GateMissing][..], CellState::Blocked),
        (Status::Blocked, true, &[C::Cancelled][..], CellState::NotRun),
        (Status::Blocked, false, &[C::HarnessInterrupted][..], CellState::NotRun),
        // A fail stays one, whoever stopped it afterwards.
        (Status::Fail, true, &[C::NoDiff, C::Cancelled][..], CellState::Fail),
    ] {
        let cell = judged(&plan, &report("one", "pi", status, started, codes));
        assert_eq!((cell.state, cell.status), (state, Some(status)), "{codes:?} {started}");
        assert_eq!(cell.rationale.is_empty(), status == Status::Pass);
        assert_eq!(cell.blockers.len(), codes.len());
        assert_eq!(cell.times.unwrap().harness_ms, 100);
        assert_eq!((cell.tokens, cell.cost_micro_usd), (None, None), "unknown is not zero");
    }
}

#[test]
fn a_bundle_that_is_not_the_cells_never_passes() {
    let plan = plan(&["pi"], &["one"], 1);
    let good = report("one", "pi", Status::Pass, true, &[]);
    assert_eq!(judged(&plan, &good).state, CellState::Pass);
    let changes: [fn(&mut Report); 5] = [
        |report| report.case_id = "two".to_owned(),
        |report| report.backend = "codex".to_owned(),
        |report| report.contract_digest = None,
        |report| report.contract_digest = Some(Sha256Digest::of(b"another")),
        |report| report.run_started_at = "2026-11-20T09:59:59.999999Z".to_owned(),
    ];
    for change in changes {
        let mut other = good.clone();
        change(&mut other);
        let cell = judged(&plan, &other);
        assert_eq!(
            (cell.state, cell.status, cell.times),
            (CellState::Unverified, None, None)
        );
    }
}

#[test]
fn cells_without_a_bundle_say_why() {
    let plan = plan(&["pi"], &["one"], 1);
    let run_id: RunId = "20261120t100100z-one-aaaaaaaaaa".parse().unwrap();
    let reasons = [blocker(BlockerCode::GateMissing), blocker(BlockerCode::GateMissing)];
    for (seen, state) in [
        (
            SeenCell::Nothing {
                why: "not reached".to_owned(),
            },
            CellState::NotRun,
        ),
        (SeenCell::Denied { reasons: &reasons }, CellState::Blocked),
        (
            SeenCell::Broken {
                run_id,
                why: "it is gone".to_owned(),
            },
            CellState::Unverified,
        ),
    ] {
        let cell = judge_cell(cell_at(&plan, 0).unwrap(), CREATED, 0, &seen);
        assert_eq!(cell.state, state);
        assert!(cell.rationale.iter().any(|why| !why.is_empty()));
        assert!(cell.blockers.len() <= 1, "a code is named once");
    }
}

#[test]
fn engines_take_turns_within_a_repeat_of_a_case() {
    let plan = plan(&["a", "b"], &["x", "y"], 2);
    let order: Vec<String> = planned_cells(&plan)
        .map(|cell| format!("{}{}{}", cell.repeat, cell.lane.case_id, cell.lane.engine))
        .collect();
    assert_eq!(order, ["1xa", "1xb", "1ya", "1yb", "2xa", "2xb", "2ya", "2yb"]);
    assert!(cell_at(&plan, 8).is_none());
    assert_eq!(plan.cells(), Some(8));
}

#[test]
fn refuses_a_plan_whose_cells_cannot_be_numbered() {
    let good = plan(&["a", "b"], &["x", "y"], 2);
    assert_eq!(plan_problem(&good), None);
    let changes: [fn(&mut MatrixPlan); 8] = [
        |plan| plan.schema = "cto/matrix-plan/2.0".to_owned(),
        |plan| plan.engines[1] = "a".to_owned(),
        |plan| plan.engines.clear(),
        |plan| plan.cases[1] = "x".to_owned(),
        |plan| plan.repeats = 0,
        |plan| plan.repeats = u32::MAX,
        |plan| plan.lanes.swap(0, 1),
        |plan| plan.bootstrap_seed = "seed".to_owned(),
    ];
    for (at, change) in changes.iter().enumerate() {
        let mut bad = good.clone();
        change(&mut bad);
        assert!(plan_problem(&bad).is_some(), "change {at}");
    }
}

/// Cells of a plan with the states that a function gives them.
fn made(plan: &MatrixPlan, state: impl Fn(&str, &str, u32) -> CellState) -> Vec<MatrixCell> {
    planned_cells(plan)
        .map(|planned| {
            let (engine, case) = (planned.lane.engine.as_str(), planned.lane.case_id.as_str());
            let state = state(engine, case, planned.repeat);
            let mut cell = judged(plan, &report(&plan.cases[0], &plan.engines[0], Status::Pass, true, &[]));
            cell.cell = planned.cell;
            cell.repeat = planned.repeat;
            cell.engine = engine.to_owned();
            cell.case_id = case.to_owned();
            cell.state = state;
            cell.run_id = Some(format!("20261120t100100z-x-{:010}", planned.cell).parse().unwrap());
            cell.blockers = match state {
                CellState::Fail => vec!["no_diff".to_owned()],
                CellState::Blocked => vec!["gate_missing".to_owned()],
                CellState::Pass | CellState::Unverified | CellState::NotRun => vec![],
            };
            cell.rationale = if state == CellState::Pass {
                vec![]
            } else {
                vec![format!("because of {engine}")]
            };
            cell
        })
        .collect()
}

fn alternating() -> Matrix {
    let plan = plan(&["good", "flaky", "gone"], &["x", "y", "z"], 4);
    let cells = made(&plan, |engine, case, repeat| match (engine, case) {
        ("gone", _) => CellState::Blocked,
        ("flaky", "x" | "y") if repeat % 2 == 0 => CellState::Fail,
        _ => CellState::Pass,
    });
    aggregate(&plan, cells, REPORTED)
}

#[test]
fn counts_rates_and_blockers_are_of_the_cells() {
    let matrix = alternating();
    let rows = &matrix.engine_rows;
    assert_eq!(
        rows.iter().map(|row| row.engine.as_str()).collect::<Vec<_>>(),
        matrix.engines
    );
    assert_eq!(
        (rows[0].pass_rate, rows[1].pass_rate, rows[2].pass_rate),
        (Some(1.0), Some(0.666_667), None)
    );
    assert_eq!(
        (rows[0].counts.pass, rows[1].counts.fail, rows[2].counts.blocked),
        (12, 4, 12)
    );
    assert_eq!(rows[2].blocked_because, ["because of gone"]);
    assert_eq!(
        (rows[2].wilson, rows[2].clustered, rows[2].total_ms),
        (None, None, None)
    );
    assert_eq!(rows[1].blockers[0].cells, 4);
    // Cases x and y: 2 of 4; z: 4 of 4. pass@2 is 1 - C(2,2)/C(4,2) = 5/6 for the first two; pass^2 is 1/6.
    let at = |list: &[cto_schema::AtK], k| list.iter().find(|at| at.k == k).unwrap().value;
    assert!((at(&rows[1].pass_at_k, 2) - (5.0 / 6.0 * 2.0 + 1.0) / 3.0).abs() < 1e-6);
    assert!((at(&rows[1].pass_all_k, 2) - (1.0 / 6.0 * 2.0 + 1.0) / 3.0).abs() < 1e-6);
    assert_eq!(
        rows[1].pass_at_k.iter().map(|at| at.k).collect::<Vec<_>>(),
        [1, 2, 3, 4]
    );
    assert!(
        (at(&rows[1].pass_all_k, 4) - 1.0 / 3.0).abs() < 1e-6,
        "only z passes four times in four"
    );
    assert_eq!(matrix.lane_rows.len(), 9);
    assert_eq!(matrix.lane_rows[3].case_id.as_deref(), Some("x"));
    assert_eq!(
        (matrix.lane_rows[3].counts.pass, matrix.lane_rows[3].counts.fail),
        (2, 2)
    );
    assert!(
        matrix.lane_rows[3].clustered.is_none(),
        "one case says nothing about others"
    );
    assert!((matrix.complete, matrix.passed) == (true, false));
}

#[test]
fn flaky_lanes_are_those_that_sometimes_pass() {
    let matrix = alternating();
    let named: Vec<_> = matrix
        .flaky
        .iter()
        .map(|lane| (lane.engine.as_str(), lane.case_id.as_str()))
        .collect();
    assert_eq!(named, [("flaky", "x"), ("flaky", "y")]);
    assert_eq!(
        (
            matrix.flaky[0].pass,
            matrix.flaky[0].of,
            matrix.flaky[0].blockers[0].cells
        ),
        (2, 4, 2)
    );
}

#[test]
fn engines_are_compared_over_the_pairs_that_both_have() {
    let matrix = alternating();
    let found = &matrix.comparisons;
    assert_eq!(found.len(), 3);
    assert_eq!((found[0].engine.as_str(), found[0].against.as_str()), ("good", "flaky"));
    assert_eq!((found[0].pairs, found[0].cases, found[0].both_pass), (12, 3, 8));
    assert_eq!(
        (found[0].only_engine, found[0].only_against, found[0].neither),
        (4, 0, 0)
    );
    assert_eq!(found[0].mcnemar_p, Some(0.125));
    assert_eq!(
        found[0].mcnemar_p_holm,
        Some(0.125),
        "the two without pairs are no comparisons"
    );
    assert_eq!(found[0].difference, Some(0.333_333));
    let interval = found[0].clustered.unwrap();
    assert!(
        interval.low <= 0.333_333 && 0.333_333 <= interval.high && interval.high <= 0.5,
        "{interval:?}"
    );
    assert_eq!(
        (found[1].pairs, found[1].mcnemar_p, found[1].difference),
        (0, None, None)
    );
}

#[test]
fn broken_evidence_does_not_make_a_rate_better() {
    let plan = plan(&["a"], &["x"], 4);
    let rate = |state| {
        aggregate(
            &plan,
            made(&plan, |_, _, repeat| if repeat == 1 { state } else { CellState::Pass }),
            REPORTED,
        )
    };
    assert_eq!(rate(CellState::Fail).engine_rows[0].pass_rate, Some(0.75));
    assert_eq!(rate(CellState::Unverified).engine_rows[0].pass_rate, Some(0.75));
    assert_eq!(rate(CellState::NotRun).engine_rows[0].pass_rate, Some(1.0));
    assert!(!rate(CellState::NotRun).complete);
    assert!(rate(CellState::Pass).passed && !rate(CellState::Blocked).passed);
}

#[test]
fn what_is_not_known_is_not_zero() {
    let plan = plan(&["a"], &["x"], 4);
    let mut cells = made(&plan, |_, _, _| CellState::Pass);
    cells[0].cost_micro_usd = Some("300".to_owned());
    cells[1].cost_micro_usd = Some("0".to_owned());
    let row = &aggregate(&plan, cells, REPORTED).engine_rows[0];
    let cost = row.cost_micro_usd.as_ref().unwrap();
    assert_eq!((cost.total.as_str(), cost.unknown_cells, cost.spread.n), ("300", 2, 2));
    assert_eq!((cost.spread.median, cost.spread.min), (150.0, 0.0));
    assert_eq!(row.input_tokens, None, "no cell knows its tokens");
}

#[test]
fn tokens_of_a_cell_are_known_only_when_every_call_named_them() {
    let plan = plan(&["pi"], &["one"], 1);
    let mut report = report("one", "pi", Status::Pass, true, &[]);
    let mut model = cto_schema::ModelObservation::default();
    model.usage.input_tokens = "1200".to_owned();
    model.usage.output_tokens = "34".to_owned();
    model.usage.cost_micro_usd = Some("56".to_owned());
    report.model = Some(model.clone());
    let known = judged(&plan, &report);
    assert_eq!(known.tokens.unwrap().input, "1200");
    assert_eq!(known.cost_micro_usd.as_deref(), Some("56"));
    model.usage.calls_without_usage = 1;
    report.model = Some(model);
    let unknown = judged(&plan, &report);
    assert_eq!((unknown.tokens, unknown.cost_micro_usd), (None, None));
}

#[test]
fn one_run_is_the_evidence_of_one_cell() {
    let plan = plan(&["a"], &["x"], 3);
    let mut cells = made(&plan, |_, _, _| CellState::Pass);
    cells[2].run_id = cells[0].run_id.clone();
    let matrix = aggregate(&plan, cells, REPORTED);
    assert_eq!((matrix.totals.pass, matrix.totals.unverified), (2, 1));
    assert_eq!(matrix.cells[2].state, CellState::Unverified);
}

#[test]
fn the_same_cells_give_the_same_report() {
    let text = || serde_json::to_string(&alternating()).unwrap();
    assert_eq!(text(), text());
}

#[test]
fn ten_thousand_cells_are_one_report() {
    let cases: Vec<String> = (0..100).map(|case| format!("case-{case}")).collect();
    let cases: Vec<&str> = cases.iter().map(String::as_str).collect();
    let plan = plan(&["a", "b", "c", "d", "e"], &cases, 20);
    let cells = made(&plan, |engine, case, repeat| {
        let mixed = engine.len() * 7 + case.len() * 13 + usize::try_from(repeat).unwrap() * 29;
        if (mixed + case.as_bytes().iter().map(|byte| usize::from(*byte)).sum::<usize>()) % 3 == 0 {
            CellState::Fail
        } else {
            CellState::Pass
        }
    });
    let matrix = aggregate(&plan, cells, REPORTED);
    assert_eq!(
        (matrix.totals.cells, matrix.lane_rows.len(), matrix.comparisons.len()),
        (10_000, 500, 10)
    );
    assert!(matrix.engine_rows.iter().all(|row| row.clustered.is_some()));
}
