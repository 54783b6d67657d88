//! `cto matrix`: engines, cases and repeats through the real binary, killed, stopped, tampered with and resumed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::model::eventually;
use crate::support::{Installation, write};

const SLUGIFY: &str = "r1-string-slugify";
const PUNCTUATION: &str = "r1-slugify-punctuation";

/// Runs a matrix and returns its exit code and document.
fn matrix(installation: &Installation, arguments: &[&str]) -> (i32, Value) {
    let mut all = vec!["matrix"];
    all.extend(arguments);
    installation.json(&all)
}

/// Starts a matrix that is not waited for.
fn start(installation: &Installation, arguments: &[&str]) -> Child {
    let mut command = installation.command();
    command.args(["--json", "matrix"]).args(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

fn refused(installation: &Installation, arguments: &[&str]) -> (i32, String) {
    let mut all = vec!["matrix"];
    all.extend(arguments);
    let output = installation.cto(&all);
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

fn cells(document: &Value) -> &Vec<Value> {
    document["matrix"]["cells"].as_array().unwrap()
}

fn states(document: &Value) -> Vec<&str> {
    cells(document)
        .iter()
        .map(|cell| cell["state"].as_str().unwrap())
        .collect()
}

/// The only matrix of an installation, once there is one.
fn place(installation: &Installation) -> Option<PathBuf> {
    let entries = fs::read_dir(installation.home().join("matrices")).ok()?;
    let named = |path: &PathBuf| !path.file_name().unwrap().to_str().unwrap().starts_with('.');
    entries.map(|entry| entry.unwrap().path()).find(named)
}

fn marks(installation: &Installation, word: &str) -> Vec<PathBuf> {
    let Some(place) = place(installation) else {
        return vec![];
    };
    let mut found: Vec<PathBuf> = fs::read_dir(place.join("cells"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_str().unwrap().ends_with(word))
        .collect();
    found.sort();
    found
}

fn run_of(mark: &Path) -> String {
    let mark: Value = serde_json::from_slice(&fs::read(mark).unwrap()).unwrap();
    mark["run_id"].as_str().unwrap().to_owned()
}

/// Claims that every link of a page leads to a file from where the page is.
fn links_lead_to_bundles(html: &Path, count: usize) {
    let text = fs::read_to_string(html).unwrap();
    let after = text.split("href=\"").skip(1);
    let links: Vec<&str> = after.map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(links.len(), count);
    assert!(
        links.iter().all(|link| html.parent().unwrap().join(link).is_file()),
        "{links:?}"
    );
}

#[test]
fn engines_take_turns_and_every_cell_is_a_bundle_that_verifies() {
    let installation = Installation::new();
    let cases = format!("{SLUGIFY},{PUNCTUATION}");
    let engines = "fake,fake:no-diff,codex";
    let arguments = [
        "--engines",
        engines,
        "--cases",
        &cases,
        "--repeat",
        "2",
        "--jobs",
        "2",
        "--name",
        "it",
        "--out",
        "out",
        "--inspect",
        "all.eval",
    ];
    let (exit, document) = matrix(&installation, &arguments);
    assert_eq!(exit, 1, "{document:#}");
    let order: Vec<(u64, &str, &str)> = cells(&document)
        .iter()
        .map(|cell| {
            let text = |name: &str| cell[name].as_str().unwrap();
            (cell["repeat"].as_u64().unwrap(), text("case_id"), text("engine"))
        })
        .collect();
    let mut expected = Vec::new();
    for repeat in 1..=2 {
        for case in [SLUGIFY, PUNCTUATION] {
            expected.extend(engines.split(',').map(|engine| (repeat, case, engine)));
        }
    }
    assert_eq!(order, expected);
    let totals = &document["matrix"]["totals"];
    assert_eq!(
        (&totals["pass"], &totals["fail"], &totals["blocked"]),
        (&4.into(), &4.into(), &4.into())
    );

    // A lane that cannot run is a row with its reason, and none of its cells was started.
    let rows = document["matrix"]["engine_rows"].as_array().unwrap();
    assert_eq!(
        (&rows[0]["pass_rate"], &rows[1]["pass_rate"], &rows[2]["pass_rate"]),
        (&1.0.into(), &0.0.into(), &Value::Null)
    );
    let why = rows[2]["blocked_because"].to_string();
    assert!(why.contains("CTO_HARNESS_ALLOW_CODEX"), "{why}");
    assert_eq!(fs::read_dir(installation.home().join("runs")).unwrap().count(), 8);
    assert_eq!(
        (
            marks(&installation, ".done.json").len(),
            marks(&installation, ".begun.json").len()
        ),
        (8, 8)
    );

    let report = PathBuf::from(document["report"]["path"].as_str().unwrap());
    links_lead_to_bundles(&report.join("matrix.html"), 8);
    links_lead_to_bundles(&installation.dir.path().join("out/matrix.html"), 8);
    // What the report says of a cell is what its bundle says.
    for cell in cells(&document).iter().filter(|cell| !cell["run_id"].is_null()) {
        let report = installation.document(cell, "report.json");
        for (own, reported) in [("case_id", "case_id"), ("engine", "backend"), ("status", "status")] {
            assert_eq!(cell[own], report[reported]);
        }
        assert_eq!(cell["times"]["total_ms"], report["usage"]["total_ms"]);
    }
    let (exit, verified) = installation.json(&["verify", report.to_str().unwrap()]);
    assert_eq!(exit, 0, "{verified:#}");
    let (exit, _) = installation.json(&["verify", "--all"]);
    assert_eq!(exit, 0);
    assert!(installation.dir.path().join("all.eval").is_file());
    let junit = fs::read_to_string(report.join("matrix.junit.xml")).unwrap();
    assert!(
        junit.contains("tests=\"12\"") && junit.contains("failures=\"4\""),
        "{junit}"
    );
}

#[test]
fn a_matrix_killed_in_the_middle_goes_on_and_runs_nothing_twice_that_was_done() {
    let installation = Installation::new();
    let mut child = start(
        &installation,
        &["--engines", "fake", "--cases", SLUGIFY, "--repeat", "5"],
    );
    // The third cell has begun; two have their verdict.
    eventually(|| (marks(&installation, ".begun.json").len() >= 3).then_some(()));
    child.kill().unwrap();
    child.wait().unwrap();
    let done: Vec<String> = marks(&installation, ".done.json")
        .iter()
        .map(|mark| run_of(mark))
        .collect();
    assert!((2..5).contains(&done.len()), "{done:?}");
    let before = fs::read_dir(installation.home().join("runs")).unwrap().count();

    let (exit, document) = matrix(&installation, &["--resume", "last"]);
    assert_eq!((exit, states(&document)), (0, vec!["pass"; 5]), "{document:#}");
    let runs: Vec<&str> = cells(&document)
        .iter()
        .map(|cell| cell["run_id"].as_str().unwrap())
        .collect();
    assert_eq!(runs[..done.len()], done, "what was done is what it was");
    let attempts: Vec<u64> = cells(&document)
        .iter()
        .map(|cell| cell["attempts"].as_u64().unwrap())
        .collect();
    assert!(
        attempts.iter().filter(|attempts| **attempts == 2).count() <= 1,
        "{attempts:?}"
    );
    // Only what ran when the kill came is run again; its first bundle is closed and stays.
    let after = fs::read_dir(installation.home().join("runs")).unwrap().count();
    assert!(after - before >= 5 - done.len() - 1 && after <= 6, "{before} {after}");
    let (exit, verified) = installation.json(&["verify", "--all"]);
    assert_eq!(exit, 0, "{verified:#}");

    // A matrix with nothing left runs nothing, and its report is made anew.
    let (exit, again) = matrix(&installation, &["--resume", "last"]);
    assert_eq!((exit, cells(&again)), (0, cells(&document)));
    assert_ne!(again["report"]["document_id"], document["report"]["document_id"]);
    assert_eq!(fs::read_dir(installation.home().join("runs")).unwrap().count(), after);
}

#[test]
fn a_matrix_that_is_stopped_seals_what_ran_and_reports_what_there_is() {
    let installation = Installation::new();
    let arguments = ["--engines", "fake,fake:timeout", "--cases", SLUGIFY, "--repeat", "2"];
    let child = start(&installation, &arguments);
    // The engine that hangs has begun.
    eventually(|| marks(&installation, "000001.1.begun.json").first().cloned());
    let id = place(&installation)
        .unwrap()
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();

    // Nobody else works on it meanwhile.
    let (exit, text) = refused(&installation, &["--resume", &id]);
    assert_eq!(exit, 3, "{text}");
    assert!(text.contains("another cto works on it"), "{text}");

    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(states(&document), ["pass", "not_run", "not_run", "not_run"]);
    assert_eq!(document["matrix"]["complete"], false);
    assert_eq!(cells(&document)[1]["blockers"], serde_json::json!(["cancelled"]));
    assert_eq!(cells(&document)[2]["run_id"], Value::Null);
    let (exit, verified) = installation.json(&["verify", "--all"]);
    assert_eq!(exit, 0, "{verified:#}");
    // What was stopped is no verdict: it has no mark, and the next sitting tries it again.
    assert_eq!(marks(&installation, ".done.json").len(), 1);
}

#[test]
fn a_bundle_that_was_touched_removed_or_borrowed_is_no_pass() {
    let installation = Installation::new();
    let (exit, document) = matrix(
        &installation,
        &["--engines", "fake", "--cases", SLUGIFY, "--repeat", "4"],
    );
    assert_eq!((exit, states(&document)), (0, vec!["pass"; 4]));
    let bundle = |cell: usize| {
        installation
            .home()
            .join("runs")
            .join(cells(&document)[cell]["run_id"].as_str().unwrap())
    };
    let report = fs::read_to_string(bundle(0).join("report.json")).unwrap();
    write(
        &bundle(0).join("report.json"),
        report.replace("fake", "fake ").as_bytes(),
    );
    fs::remove_dir_all(bundle(1)).unwrap();
    // The mark of the last cell names the run of the third.
    let mark = marks(&installation, "000003.done.json").remove(0);
    let own = run_of(&mark);
    let text = fs::read_to_string(&mark).unwrap();
    let borrowed = cells(&document)[2]["run_id"].as_str().unwrap();
    write(&mark, text.replace(&own, borrowed).as_bytes());

    let (exit, document) = matrix(&installation, &["--resume", "last"]);
    assert_eq!(
        (exit, states(&document)),
        (5, vec!["unverified", "unverified", "pass", "unverified"]),
        "{document:#}"
    );
    assert_eq!(document["matrix"]["engine_rows"][0]["pass_rate"], 0.25);
    assert!(
        cells(&document).iter().all(|cell| cell["attempts"] == 1),
        "it is not tried until it looks better"
    );
}

/// Somebody who holds the key could sign any report; its numbers must follow from its cells all the same.
#[test]
fn a_report_whose_numbers_do_not_follow_from_its_cells_does_not_verify() {
    let installation = Installation::new();
    let arguments = ["--engines", "fake,fake:no-diff", "--cases", SLUGIFY, "--repeat", "2"];
    let (exit, document) = matrix(&installation, &arguments);
    assert_eq!(exit, 1);
    let report = PathBuf::from(document["report"]["path"].as_str().unwrap());
    let failed = || -> Vec<String> {
        let (_, verified) = installation.json(&["verify", report.to_str().unwrap()]);
        let checks = verified["bundles"][0]["checks"].as_array().unwrap().clone();
        assert!(checks.iter().any(|check| check["name"] == "matrix-numbers"));
        let failed = checks.iter().filter(|check| check["state"] == "failed");
        failed.map(|check| check["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(failed(), Vec::<String>::new());
    let file = report.join("matrix.json");
    let whole: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let changes: [fn(&mut Value); 4] = [
        |matrix| matrix["engine_rows"][1]["pass_rate"] = 0.5.into(),
        |matrix| matrix["comparisons"][0]["mcnemar_p"] = 0.01.into(),
        |matrix| matrix["passed"] = true.into(),
        |matrix| matrix["cells"][1]["state"] = "pass".into(),
    ];
    for change in changes {
        let mut bad = whole.clone();
        change(&mut bad);
        write(&file, bad.to_string().as_bytes());
        assert!(failed().contains(&"matrix-numbers".to_owned()));
    }
    let mut bad = whole.clone();
    bad["cells"][0]["manifest_digest"] = bad["cells"][1]["manifest_digest"].clone();
    write(&file, bad.to_string().as_bytes());
    assert!(failed().contains(&"matrix-evidence".to_owned()));
}

#[test]
fn a_bundle_of_another_matrix_is_not_this_ones() {
    let installation = Installation::new();
    let arguments = ["--engines", "fake", "--cases", SLUGIFY, "--repeat", "1"];
    let (_, older) = matrix(&installation, &arguments);
    let (_, newer) = matrix(&installation, &arguments);
    let run = |document: &Value| cells(document)[0]["run_id"].as_str().unwrap().to_owned();
    let id = newer["matrix"]["matrix_id"].as_str().unwrap();
    let mark = installation
        .home()
        .join("matrices")
        .join(id)
        .join("cells/000000.done.json");
    let text = fs::read_to_string(&mark).unwrap();
    write(&mark, text.replace(&run(&newer), &run(&older)).as_bytes());
    let (exit, document) = matrix(&installation, &["--resume", id]);
    assert_eq!((exit, states(&document)), (5, vec!["unverified"]));
    assert!(
        cells(&document)[0]["rationale"]
            .to_string()
            .contains("older than the plan")
    );
}

#[test]
fn a_case_that_changed_is_not_gone_on_with() {
    let installation = Installation::new();
    let case = installation.dir.path().join("cases/own-case");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../cases").join(SLUGIFY);
    for file in [
        "case.yaml",
        "fixture/.gitignore",
        "fixture/strings.py",
        "fixture/test_strings.py",
    ] {
        write(&case.join(file), &fs::read(root.join(file)).unwrap());
    }
    let text = fs::read_to_string(case.join("case.yaml"))
        .unwrap()
        .replace(SLUGIFY, "own-case");
    write(&case.join("case.yaml"), text.as_bytes());
    fs::create_dir_all(installation.home()).unwrap();
    let settings = format!("cases: [{}]\n", case.parent().unwrap().display());
    write(&installation.home().join("harness.yaml"), settings.as_bytes());

    let child = start(
        &installation,
        &["--engines", "fake,fake:timeout", "--cases", "own-case", "--repeat", "2"],
    );
    eventually(|| marks(&installation, "000001.1.begun.json").first().cloned());
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(4));

    write(
        &case.join("case.yaml"),
        text.replace("single hyphens", "one hyphen each").as_bytes(),
    );
    let (exit, told) = refused(&installation, &["--resume", "last"]);
    assert_eq!(exit, 3, "{told}");
    assert!(told.contains("another contract") && told.contains("own-case"), "{told}");
}

#[test]
fn ten_thousand_cells_are_planned_reported_and_gone_on_with() {
    let installation = Installation::in_memory();
    let arguments = ["--engines", "codex,pi", "--cases", SLUGIFY, "--repeat", "5000"];
    let (exit, document) = matrix(&installation, &arguments);
    assert_eq!((exit, cells(&document).len()), (3, 10_000));
    assert_eq!(document["matrix"]["totals"]["blocked"], 10_000);
    let (exit, again) = matrix(&installation, &["--resume", "last"]);
    assert_eq!((exit, cells(&again).len()), (3, 10_000));
    let report = PathBuf::from(again["report"]["path"].as_str().unwrap());
    assert_eq!(
        fs::read_dir(&report)
            .unwrap()
            .filter(|entry| {
                entry
                    .as_ref()
                    .unwrap()
                    .file_name()
                    .to_str()
                    .unwrap()
                    .starts_with("cells-")
            })
            .count(),
        10
    );
    let (exit, _) = installation.json(&["verify", report.to_str().unwrap()]);
    assert_eq!(exit, 0);
    let more = ["--engines", "codex,pi", "--cases", SLUGIFY, "--repeat", "5001"];
    let (exit, told) = refused(&installation, &more);
    assert!(
        exit == 2 && told.contains("10002 cells") && told.contains("--max-cells"),
        "{told}"
    );
}

#[test]
fn bad_input_is_refused_before_anything_is_on_record() {
    let installation = Installation::new();
    write(&installation.dir.path().join("full/file"), b"x");
    write(&installation.dir.path().join("there.eval"), b"x");
    let good = ["--engines", "fake", "--cases", SLUGIFY];
    for (arguments, exit, told) in [
        (&["--engines", "fake", "--fleet"][..], 2, "does not exist yet"),
        (&["--fleet"][..], 2, "does not exist yet"),
        (&[][..], 2, "--engines"),
        (&["--engines", "fakke"][..], 2, "fakke"),
        (&["--engines", "fake:nothing"][..], 2, "nothing"),
        (&["--engines", "fake,fake"][..], 2, "named twice"),
        (
            &["--engines", "fake", "--cases", "r1-strin-slugify"][..],
            2,
            "did you mean 'r1-string-slugify'",
        ),
        (
            &["--engines", "fake", "--cases", "r1-string-slugify,r1-string-slugify"][..],
            2,
            "named twice",
        ),
        (&["--engines", "fake", "--repeat", "0"][..], 2, "--repeat"),
        (&["--engines", "fake", "--jobs", "0"][..], 2, "--jobs"),
        (&["--engines", "fake", "--name", "a/b"][..], 2, "letters"),
        (&["--engines", "fake", "--repeat", "4294967295"][..], 2, "--max-cells"),
        (&["--engines", "fake", "--", "true"][..], 2, "'command'"),
        (
            &["--resume", "20261120t100000z-matrix-aaaaaaaaaa"][..],
            3,
            "find matrix",
        ),
        (&["--resume", "../runs"][..], 3, "find matrix"),
        (&["--resume", "last"][..], 3, "find matrix"),
        (&["--resume", "last", "--engines", "fake"][..], 2, "--resume"),
        (
            &[good[0], good[1], good[2], good[3], "--out", "full"][..],
            3,
            "empty directory",
        ),
        (
            &[good[0], good[1], good[2], good[3], "--inspect", "there.eval"][..],
            3,
            "there.eval",
        ),
        (
            &[good[0], good[1], good[2], good[3], "--inspect", "no/where.eval"][..],
            3,
            "no/where.eval",
        ),
        (
            &[good[0], good[1], good[2], good[3], "--out", "same", "--inspect", "same"][..],
            2,
            "same directory",
        ),
    ] {
        let (found, text) = refused(&installation, arguments);
        assert_eq!(found, exit, "{arguments:?}: {text}");
        assert!(text.contains(told), "{arguments:?}: {text}");
    }
    assert!(place(&installation).is_none(), "nothing is on record");
}

#[test]
fn no_secret_of_the_environment_gets_into_a_plan() {
    let installation = Installation::new();
    let secret = "sk-canary-7Qx2mV9pLr4TnB8wZc3yKd6hJf1sGa5e";
    let mut command = installation.command();
    command.env("SOME_API_KEY", secret);
    command.args([
        "matrix",
        "--engines",
        "command",
        "--cases",
        SLUGIFY,
        "--",
        "/bin/echo",
        secret,
    ]);
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("SOME_API_KEY") && !text.contains(secret), "{text}");
    assert!(place(&installation).is_none());
}

/// inspect-ai itself reads what we wrote: once one log for all engines, once one for each.
#[test]
fn inspect_opens_the_logs_with_their_samples_and_scores() {
    let Some(python) = std::env::var_os("CTO_TEST_VERIFIERS") else {
        panic!("CTO_TEST_VERIFIERS names no Python with inspect-ai: run scripts/test");
    };
    let installation = Installation::new();
    let cases = format!("{SLUGIFY},{PUNCTUATION}");
    let arguments = [
        "--engines",
        "fake,fake:no-diff,codex",
        "--cases",
        &cases,
        "--repeat",
        "2",
        "--inspect",
        "all.eval",
    ];
    let (exit, document) = matrix(&installation, &arguments);
    assert_eq!(exit, 1);
    let (exit, _) = matrix(&installation, &["--resume", "last", "--inspect", "logs"]);
    assert_eq!(exit, 1);
    let script = r#"
import glob, json, sys
from inspect_ai.log import list_eval_logs, read_eval_log, read_eval_log_sample, read_eval_log_sample_summaries
log = read_eval_log("all.eval")
assert log.status == "success" and log.eval.config.epochs == 2, log
assert len(log.samples) == 8 and log.results.completed_samples == 8 and log.results.total_samples == 12
values = sorted(sample.scores["cto"].value for sample in log.samples)
assert values == ["C"] * 4 + ["I"] * 4, values
assert log.results.scores[0].metrics["accuracy"].value == 0.5
runs = {sample.metadata["run_id"] for sample in log.samples}
assert runs == set(json.loads(sys.argv[1])), runs
listed = list_eval_logs("logs")
assert len(listed) == 2, listed
for info in listed:
    header = read_eval_log(info, header_only=True)
    assert header.eval.task == "cto-matrix"
    expected = "C" if header.eval.model == "cto/fake" else "I"
    assert header.results.scores[0].metrics["accuracy"].value == (1.0 if expected == "C" else 0.0)
    sample = read_eval_log_sample(info, id="r1-string-slugify", epoch=2)
    assert sample.scores["cto"].value == expected and sample.total_time > 0
    summaries = read_eval_log_sample_summaries(info)
    assert len(summaries) == 4 and all(summary.completed for summary in summaries)
print("opened")
"#;
    let runs: Vec<&Value> = cells(&document)
        .iter()
        .map(|cell| &cell["run_id"])
        .filter(|run| !run.is_null())
        .collect();
    let mut command = Command::new(&python);
    command
        .current_dir(installation.dir.path())
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let output = command
        .args(["-c", script, &serde_json::to_string(&runs).unwrap()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "opened");
    let mut dump = Command::new(&python);
    dump.current_dir(installation.dir.path())
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let output = dump
        .args(["-m", "inspect_ai", "log", "dump", "all.eval"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let dumped: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(dumped["samples"].as_array().unwrap().len(), 8);
}
