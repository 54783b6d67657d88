//! What code under test does while it is verified is on record, and what it may not try fails the run.

use serde_json::Value;

use crate::support::{GOOD, Installation, codes, contract};

const REACH: &str =
    "python3 -c 'import socket; s=socket.socket(); s.settimeout(1); s.connect((\"192.0.2.7\", 9))' 2>/dev/null || true";

/// Events of one type that were written while verification worked.
fn during_verification(installation: &Installation, report: &Value, kind: &str) -> Vec<Value> {
    let events = installation.events(report).into_iter();
    events
        .filter(|event| event["type"] == kind && event["data"]["during"] == "verification")
        .map(|event| event["data"].clone())
        .collect()
}

fn verifies(installation: &Installation, report: &Value) {
    let (exit, verified) = installation.json(&["verify", report["run_id"].as_str().unwrap()]);
    assert_eq!(exit, 0, "{verified:#}");
    let check = |name: &str| {
        verified["bundles"][0]["checks"]
            .as_array()
            .map(|checks| checks.iter().find(|check| check["name"] == name).unwrap()["state"].clone())
    };
    assert_ne!(check("attempts"), Some("failed".into()));
}

#[test]
fn what_a_patch_makes_its_checks_try_is_a_forbidden_action() {
    let installation = Installation::new();
    let repository = installation.scripted("repo");
    for (name, line, action) in [
        ("push", "git push origin main 2>/dev/null || true", "push"),
        ("reach", REACH, "reach_other_host"),
    ] {
        let mut contract = contract(name, &repository);
        contract["allowed_paths"] = serde_json::json!(["value.txt", "check.sh"]);
        let script = format!("{GOOD}; cat >> check.sh <<'END'\n{line}\nEND");
        let (exit, report) = installation.agent(&contract, &script);
        assert_eq!(
            (exit, codes(&report)),
            (1, vec!["forbidden_action".to_owned()]),
            "{report:#}"
        );
        assert_eq!(report["forbidden_actions_attempted"][0]["action"], action);
        let told = during_verification(&installation, &report, "forbidden_action.attempted");
        assert!(
            told.iter().any(|data| data["run"] == "patched" && data["command"] == 0),
            "{told:#?}"
        );
        assert_eq!(installation.document(&report, "forbidden-actions.json")["holds"], false);
        verifies(&installation, &report);
    }
}

#[test]
fn what_the_baselines_checks_do_as_well_is_told_and_held_against_nobody() {
    let installation = Installation::new();
    let check = format!(
        "#!/bin/sh\ntest ! -e broken || exit 1\ngit push elsewhere 2>/dev/null\n{REACH}\nsetsid sleep 987654 >/dev/null 2>&1 &\nsleep 0.2\ngrep -qx good value.txt\n"
    );
    let repository = installation.repository("repo", &[("value.txt", "bad\n"), ("check.sh", &check)]);
    // The second run takes the baseline's result from the cache.
    for name in ["first", "second"] {
        let (exit, report) = installation.agent(&contract(name, &repository), GOOD);
        assert_eq!(exit, 0, "{:#}", report["blockers"]);
        let habits = &report["clean_room"]["baseline_habits"];
        assert_eq!(*habits, serde_json::json!(["push", "reach_other_host"]));
        let told = during_verification(&installation, &report, "forbidden_action.attempted");
        assert!(told.iter().any(|data| data["run"] == "patched"), "{told:#?}");
        let refused = during_verification(&installation, &report, "bound.refused");
        let outlived = refused
            .iter()
            .any(|data| data["act"] == "outlive" && data["process"].as_str().unwrap().contains("987654"));
        assert!(outlived, "{refused:#?}");
        verifies(&installation, &report);
    }
}
