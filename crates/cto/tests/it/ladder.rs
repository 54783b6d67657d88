//! The ladder: computed from bundles that verify, never stored, and asked by the gates.

use std::fs;

use serde_json::{Value, json};

use crate::operator::{Operator, climbed, gated};
use crate::support::{GOOD, Installation, codes, contract};

fn stands_on(installation: &Installation, engine: &str) -> Value {
    let (code, found) = installation.json(&["ladder", "--engine", engine]);
    assert_eq!(code, 0, "{found:#}");
    found["engines"][0].clone()
}

#[test]
fn an_engine_climbs_by_evidence_and_falls_with_it() {
    let (installation, _) = climbed();
    assert_eq!(stands_on(&installation, "fake")["stands_on"], 3);
    let command = stands_on(&installation, "command");
    assert_eq!(command["stands_on"], 4, "{command:#}");
    assert_eq!(stands_on(&installation, "codex")["stands_on"], 0);
    // A bundle that is edited is evidence no more, and neither is what stands on it.
    let runs: Vec<String> = command["rungs"][2]["evidence"]
        .as_object()
        .unwrap()
        .values()
        .map(|run| run.as_str().unwrap().to_owned())
        .collect();
    let (_, list) = installation.json(&["ladder", "--engine", "command"]);
    let pass = list["engines"][0]["rungs"][2]["evidence"]["pass"].as_str().unwrap();
    assert!(runs.iter().any(|run| run == pass));
    let report = installation.home().join("runs").join(pass).join("report.json");
    let text = fs::read_to_string(&report).unwrap();
    fs::write(
        &report,
        text.replace("\"tests_passed\": true", "\"tests_passed\": true "),
    )
    .unwrap();
    let fallen = stands_on(&installation, "command");
    assert_eq!(fallen["stands_on"], 2, "{fallen:#}");
    assert_eq!(fallen["rungs"][2]["missing"], json!(["pass"]));
    fs::write(&report, text).unwrap();
    assert_eq!(stands_on(&installation, "command")["stands_on"], 4);
}

#[test]
fn a_stage_is_closed_until_the_one_below_is_validated() {
    let installation = Installation::new();
    Operator::of(&installation);
    let words = ["run", "r1-string-slugify", "--mode", "sandbox-repo"];
    let (code, report) = gated(&installation, "fake", 4, &words);
    assert_eq!(
        (code, codes(&report)),
        (3, vec!["gate_missing".to_owned()]),
        "{report:#}"
    );
    let why = report["blockers"][0]["detail"].as_str().unwrap();
    assert!(why.contains("cto stage validate 3 --engine fake"), "{why}");
    let bundle = installation.bundle(&report);
    assert_eq!(installation.json(&["verify", bundle.to_str().unwrap()]).0, 0);
    // Nobody can write a rung down: there is no file that says so.
    let (code, found) = installation.json(&["stage", "validate", "1"]);
    assert_eq!((code, &found["ok"]), (0, &json!(true)), "{found:#}");
    assert_eq!(stands_on(&installation, "fake")["stands_on"], 1);
}

#[test]
fn a_validator_moves_no_rung_that_needs_an_operator() {
    let (installation, _) = climbed();
    let (code, found) = installation.json(&["stage", "validate", "4"]);
    assert_eq!((code, &found["ok"]), (0, &json!(true)), "{found:#}");
    let fake = stands_on(&installation, "fake");
    assert_eq!(fake["stands_on"], 3, "{fake:#}");
    assert_eq!(fake["rungs"][3]["missing"], json!(["pass"]));
    let pass = found["pass_report_path"].as_str().unwrap();
    let report: Value = serde_json::from_slice(&fs::read(pass).unwrap()).unwrap();
    assert_eq!(report["governed"]["approval_source"], "validator");
    assert!(
        found["proof_paths"][0]
            .as_str()
            .unwrap()
            .ends_with("stage4-disposable-sandbox-proof.json")
    );
    assert!(
        fs::read_dir(installation.home().join("disposable"))
            .unwrap()
            .next()
            .is_none()
    );
}

#[test]
fn every_stage_of_the_embedded_engine_holds() {
    let (installation, _) = climbed();
    let (code, found) = installation.json(&["stage", "validate", "5"]);
    assert_eq!((code, &found["ok"]), (0, &json!(true)), "{found:#}");
    assert_eq!(installation.json(&["verify", "--all"]).0, 0);
}

#[test]
fn a_stage_is_held_against_fake_and_against_the_one_below_field_by_field() {
    let (installation, _) = climbed();
    let agent = ["--", "/bin/sh", "-c", crate::operator::FIX];
    let validate = |stage: &str| {
        let words = ["stage", "validate", stage, "--engine", "command"];
        let (code, found) = installation.json(&[&words[..], &agent].concat());
        assert_eq!(code, 0, "{found:#}");
        found
    };
    for (stage, name) in [("2", "fake_baseline"), ("3", "stage_below")] {
        let compared = validate(stage)[name].clone();
        let fields = compared["fields"].as_array().unwrap();
        let named: Vec<&str> = fields.iter().map(|field| field["field"].as_str().unwrap()).collect();
        let all = [
            "report_shape",
            "event_order",
            "allowed_writes",
            "verification",
            "blockers",
            "digests",
            "freshness",
        ];
        assert_eq!(named, all, "{compared:#}");
        assert!(fields.iter().all(|field| field["holds"] == true), "{compared:#}");
        assert_ne!(compared["report_path"], compared["baseline_report_path"]);
    }
}

/// Only a bundle that is gone, or that does not verify, costs a rung.
#[test]
fn no_number_of_other_passes_takes_a_rung_away() {
    let (installation, _) = climbed();
    let ask = || {
        let words = [
            "request",
            "r1-string-slugify",
            "--mode",
            "sandbox-repo",
            "--engine",
            "command",
        ];
        let agent = ["--", "/bin/sh", "-c", crate::operator::FIX];
        gated(&installation, "command", 4, &[&words[..], &agent].concat())
    };
    assert_eq!(ask().0, 0);
    let repository = installation.scripted("others");
    let contract = installation.contract(&contract("OTHERS", &repository));
    for _ in 0..6 {
        let words = ["run", "--contract", contract.to_str().unwrap(), "--engine", "command"];
        let agent = ["--", "/usr/bin/bash", "-c", GOOD];
        let (code, report) = installation.json(&[&words[..], &agent].concat());
        assert_eq!(code, 0, "{report:#}");
    }
    let (code, packet) = ask();
    assert_eq!(code, 0, "{packet:#}");
}
