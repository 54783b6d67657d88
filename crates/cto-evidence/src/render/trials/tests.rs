//! Drawn reports: complete, inert whatever a run is called, small for many cells, and readable by other programs.

use std::io::Read as _;

use cto_policy::{Reported, aggregate, planned_cells};
use cto_schema::{
    CellState, CellTimes, CellTokens, Matrix, MatrixCell, MatrixOptions, MatrixPlan, PlannedLane, SchemaId,
    Sha256Digest,
};

use super::{DrawnMatrix, MatrixView, draw_matrix, inspect_log};

fn plan(engines: &[&str], cases: &[String], repeats: u32) -> MatrixPlan {
    MatrixPlan {
        schema: SchemaId::MATRIX_PLAN.to_string(),
        matrix_id: "20261120t100000z-matrix-aaaaaaaaaa".parse().unwrap(),
        name: "nightly".to_owned(),
        created_at: "2026-11-20T10:00:00.000000Z".to_owned(),
        harness_version: "0.2.0".to_owned(),
        engines: engines.iter().map(|engine| (*engine).to_owned()).collect(),
        cases: cases.to_vec(),
        repeats,
        lanes: cases
            .iter()
            .flat_map(|case| {
                engines.iter().map(|engine| PlannedLane {
                    engine: (*engine).to_owned(),
                    case_id: case.clone(),
                    contract_digest: Sha256Digest::of(case.as_bytes()),
                })
            })
            .collect(),
        options: MatrixOptions::default(),
        bootstrap_seed: "5eed".to_owned(),
    }
}

/// States by turns: the first engine passes, the second fails at every third cell, the third cannot run.
fn matrix(engines: &[&str], cases: &[String], repeats: u32, why: &str) -> Matrix {
    let plan = plan(engines, cases, repeats);
    let turn = |planned: &cto_policy::PlannedCell<'_>| planned.cell / u32::try_from(engines.len()).unwrap();
    let cells: Vec<MatrixCell> = planned_cells(&plan)
        .map(|planned| {
            let at = engines
                .iter()
                .position(|engine| *engine == planned.lane.engine)
                .unwrap();
            let state = match at % 3 {
                1 if turn(&planned) % 3 == 1 => CellState::Fail,
                2 => CellState::Blocked,
                _ => CellState::Pass,
            };
            let tried = state != CellState::Blocked;
            MatrixCell {
                cell: planned.cell,
                repeat: planned.repeat,
                engine: planned.lane.engine.clone(),
                case_id: planned.lane.case_id.clone(),
                state,
                status: None,
                rationale: if state == CellState::Pass {
                    vec![]
                } else {
                    vec![why.to_owned()]
                },
                blockers: match state {
                    CellState::Fail => vec!["no_diff".to_owned()],
                    CellState::Blocked => vec!["gate_missing".to_owned()],
                    CellState::Pass | CellState::Unverified | CellState::NotRun => vec![],
                },
                engine_started: tried,
                attempts: u32::from(tried),
                run_id: tried.then(|| format!("20261120t100100z-x-{:010}", planned.cell).parse().unwrap()),
                manifest_digest: tried.then(|| Sha256Digest::of(planned.cell.to_string().as_bytes())),
                times: tried.then_some(CellTimes {
                    total_ms: 1000 + u64::from(planned.cell % 97) * 10,
                    engine_ms: 400,
                    verification_ms: 500,
                    harness_ms: 100,
                }),
                tokens: (at % 3 == 1).then(|| CellTokens {
                    input: "1200".to_owned(),
                    output: "34".to_owned(),
                }),
                cost_micro_usd: None,
            }
        })
        .collect();
    let reported = Reported {
        at: "2026-11-20T11:00:00.000000Z",
        harness_version: "0.2.0",
        jobs: 2,
    };
    aggregate(&plan, cells, reported)
}

fn cases(count: usize) -> Vec<String> {
    (0..count).map(|case| format!("case-{case:03}")).collect()
}

fn drawn(matrix: &Matrix) -> DrawnMatrix {
    let runs = "../../runs";
    draw_matrix(MatrixView { matrix, runs }).unwrap()
}

fn file<'a>(drawn: &'a DrawnMatrix, name: &str) -> &'a str {
    let (_, bytes) = drawn.files.iter().find(|(found, _)| found == name).unwrap();
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn every_cell_leads_to_its_bundle_in_every_format() {
    let matrix = matrix(&["fake", "pi", "codex"], &cases(2), 3, "gate_missing: not allowed");
    let drawn = drawn(&matrix);
    let html = file(&drawn, "matrix.html");
    let junit = file(&drawn, "matrix.junit.xml");
    for cell in matrix.cells.iter().filter(|cell| cell.run_id.is_some()) {
        let link = format!("../../runs/{}/report.html", cell.run_id.as_ref().unwrap());
        assert!(html.contains(&format!("href=\"{link}\"")) && junit.contains(&link));
        assert!(
            drawn.markdown.contains(&link) == (cell.state != CellState::Pass),
            "the page of words lists what failed"
        );
    }
    for text in [html, &drawn.markdown] {
        assert!(
            text.contains("gate_missing: not allowed"),
            "a lane that cannot run has its row and its reason"
        );
    }
    assert!(
        html.contains("10 of 18 cells passed, 6 could not run")
            && drawn.markdown.starts_with("# Matrix: 10 of 18 cells passed")
    );
}

#[test]
fn the_page_asks_for_nothing_and_runs_nothing() {
    let matrix = matrix(&["fake", "pi", "codex"], &cases(2), 3, "why");
    let drawn = drawn(&matrix);
    let html = file(&drawn, "matrix.html");
    assert!(html.contains("default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"));
    let asking = [
        "<script",
        "src=",
        "http:",
        "https:",
        "url(",
        "@import",
        "<link",
        "<object",
        "<img",
        "javascript",
        " style=",
        " onl",
    ];
    for bad in asking {
        assert!(!html.contains(bad), "{bad}");
    }
    // One drawing a row, each with its numbers as its label; the engine without a try has words instead.
    assert_eq!(html.matches("class=\"dot\"").count(), 2 + 1);
    assert_eq!(html.matches("<svg").count(), html.matches("role=\"img\"").count());
    assert!(html.contains("aria-label=\"100 %, 61 % to 100 %\""));
}

/// A name can be anything that an engine file or a directory of cases says.
const HOSTILE: &str = "</td><script>alert(1)</script>`|\u{1b}[2J\n&\"'";

#[test]
fn a_hostile_name_stays_text_in_every_format() {
    let matrix = matrix(&["fake", HOSTILE, "codex"], &[HOSTILE.to_owned()], 2, HOSTILE);
    let drawn = drawn(&matrix);
    for (name, bytes) in &drawn.files {
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert!(!text.contains("<script") && !text.contains('\u{1b}'), "{name}");
    }
    assert!(!drawn.markdown.contains('\u{1b}') && !drawn.markdown.contains("|\u{1b}"));
    // In a code span nothing is HTML, and nothing in it can end the span or the cell of a table.
    for line in drawn.markdown.lines().filter(|line| line.contains("<script")) {
        assert_eq!(line.matches('`').count() % 2, 0, "{line}");
        assert!(
            line.split('`').step_by(2).all(|outside| !outside.contains("<script")),
            "{line}"
        );
    }
    let read = quick_junit::Report::deserialize_from_str(file(&drawn, "matrix.junit.xml")).unwrap();
    assert_eq!(read.test_suites.len(), 3);
}

#[test]
fn junit_counts_what_the_matrix_counts() {
    let mut matrix = matrix(&["fake", "pi", "codex"], &cases(2), 3, "why");
    matrix.cells[0].state = CellState::Unverified;
    matrix.cells[3].state = CellState::NotRun;
    let drawn = drawn(&matrix);
    let read = quick_junit::Report::deserialize_from_str(file(&drawn, "matrix.junit.xml")).unwrap();
    assert_eq!((read.tests, read.errors), (18, 1));
    let failed = matrix.cells.iter().filter(|cell| cell.state == CellState::Fail).count();
    assert_eq!(read.failures, failed);
    let skipped = file(&drawn, "matrix.junit.xml").matches("<skipped").count();
    assert_eq!(skipped, 7, "what did not run is skipped, not passed");
    assert_eq!(read.test_suites[0].name.as_str(), "fake");
}

#[test]
fn the_same_report_gives_the_same_bytes() {
    let matrix = matrix(&["fake", "pi", "codex"], &cases(3), 2, "why");
    assert_eq!(drawn(&matrix).files, drawn(&matrix).files);
    let view = MatrixView {
        matrix: &matrix,
        runs: "../../runs",
    };
    assert_eq!(inspect_log(view, None).unwrap(), inspect_log(view, None).unwrap());
}

#[test]
fn ten_thousand_cells_are_drawn_on_pages_that_a_browser_opens() {
    let matrix = matrix(&["a", "b", "c", "d", "e"], &cases(100), 20, &"long reason ".repeat(40));
    assert_eq!(matrix.cells.len(), 10_000);
    let drawn = drawn(&matrix);
    let size = |name: &str| drawn.files.iter().find(|(found, _)| found == name).unwrap().1.len();
    assert!(size("matrix.html") < 512 << 10, "{}", size("matrix.html"));
    let pages: Vec<_> = drawn
        .files
        .iter()
        .filter(|(name, _)| name.starts_with("cells-"))
        .collect();
    assert_eq!(pages.len(), 10, "two thousand cells of an engine are two pages");
    let mut rows = 0;
    for (name, page) in &pages {
        assert!(page.len() < 1 << 20, "{name}: {}", page.len());
        let text = std::str::from_utf8(page).unwrap();
        rows += text.matches("<tr><td class=\"mark").count();
        assert!(file(&drawn, "matrix.html").contains(&format!("href=\"{name}\"")));
    }
    assert_eq!(rows, 10_000);
    assert!(drawn.markdown.len() < 512 << 10);
    // What is sealed must fit the limit of sealed documents.
    assert!(serde_json::to_vec_pretty(&matrix).unwrap().len() < crate::document::DOCUMENT_BYTES);
    let peak = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = peak.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(
        kib < 512 << 10,
        "{kib} KiB at most, of which the tests' own cells are a part"
    );
}

fn archive(log: Vec<u8>) -> zip::ZipArchive<std::io::Cursor<Vec<u8>>> {
    zip::ZipArchive::new(std::io::Cursor::new(log)).unwrap()
}

fn samples(archive: &zip::ZipArchive<std::io::Cursor<Vec<u8>>>) -> usize {
    let names = archive.file_names().map(Result::unwrap);
    names.filter(|name| name.starts_with("samples/")).count()
}

fn member(archive: &mut zip::ZipArchive<std::io::Cursor<Vec<u8>>>, name: &str) -> serde_json::Value {
    let mut text = String::new();
    archive.by_name(name).unwrap().read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn an_inspect_log_has_a_sample_for_each_cell_that_was_tried() {
    let matrix = matrix(&["fake", "pi", "codex"], &cases(2), 3, "why");
    let view = MatrixView {
        matrix: &matrix,
        runs: "../../runs",
    };
    let mut all = archive(inspect_log(view, None).unwrap());
    assert_eq!(samples(&all), 12);
    let header = member(&mut all, "header.json");
    assert_eq!(
        (&header["status"], &header["results"]["total_samples"]),
        (&"success".into(), &18.into())
    );
    assert_eq!(header["results"]["completed_samples"], 12);
    assert_eq!(
        header["results"]["scores"][0]["metrics"]["accuracy"]["value"],
        0.833_333
    );
    assert_eq!(header["eval"]["dataset"]["samples"], 4);
    let mut own = archive(inspect_log(view, Some("pi")).unwrap());
    let sample = member(&mut own, "samples/case-000_epoch_2.json");
    assert_eq!((&sample["id"], &sample["epoch"]), (&"case-000".into(), &2.into()));
    assert_eq!(sample["model_usage"]["cto/pi"]["total_tokens"], 1234);
    let header = member(&mut own, "header.json");
    assert_eq!(header["stats"]["model_usage"]["cto/pi"]["total_tokens"], 6 * 1234);
    assert_eq!(member(&mut own, "summaries.json").as_array().unwrap().len(), 6);
    let blocked = archive(inspect_log(view, Some("codex")).unwrap());
    assert_eq!(samples(&blocked), 0);
}
