//! The main job: a case or a contract in, a sealed and verifiable bundle out.

use crate::support::{GOOD, Installation, codes, contract};

#[test]
fn the_demo_case_passes_and_its_bundle_verifies() {
    let installation = Installation::new();
    let (exit, report) = installation.json(&["run", "r1-string-slugify"]);
    assert_eq!((exit, &report["status"]), (0, &"pass".into()), "{report:#}");
    assert_eq!(report["changed_files"], serde_json::json!(["strings.py"]));
    assert_eq!(report["runtime_default_activation"], false);
    assert_eq!(report["core_promotion_status"], "not-promoted");
    let id = report["run_id"].as_str().unwrap();
    let (exit, verified) = installation.json(&["verify", id]);
    assert_eq!((exit, &verified["ok"]), (0, &true.into()), "{verified:#}");
}

#[test]
fn every_python_and_node_case_passes_with_its_reference_edit() {
    let installation = Installation::new();
    for case in [
        "r1-string-slugify",
        "r1-src-string-slugify",
        "r1-slugify-punctuation",
        "r1-node-slugify",
    ] {
        let (exit, report) = installation.json(&["run", case]);
        assert_eq!(exit, 0, "{case}: {:#}", report["blockers"]);
        let runs = report["clean_room"]["runs"].as_array().unwrap();
        assert_eq!(runs[0]["label"], "baseline");
        assert_eq!(
            runs[0]["commands"][0]["passed"], false,
            "{case}: the baseline must be red"
        );
    }
}

#[test]
fn a_runner_that_the_view_does_not_show_is_blocked_with_the_mend() {
    let installation = Installation::new();
    let repository = installation.scripted("repo");
    let mut contract = contract("missing", &repository);
    contract["verification_commands"] = serde_json::json!([["no-such-runner", "check.sh"]]);
    let (exit, report) = installation.agent(&contract, GOOD);
    assert_eq!((exit, codes(&report)), (3, vec!["provider_unavailable".to_owned()]));
    assert!(
        report["blockers"][0]["detail"]
            .as_str()
            .unwrap()
            .contains("--toolchain"),
        "{report:#}"
    );
    assert_eq!(report["case_process_started"], false);
}

#[test]
fn people_read_a_verdict_and_the_next_two_commands() {
    let installation = Installation::new();
    let output = installation.cto(&["run", "r1-string-slugify"]);
    let text = String::from_utf8(output.stdout).unwrap();
    for part in [
        "PASS",
        "strings.py",
        "a test that must fail failed",
        "cto show",
        "cto verify",
    ] {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
    assert!(!text.contains('\x1b'), "colour without a terminal");
    for what in ["report", "patch", "tests", "events", "timeline", "bounds"] {
        let shown = installation.cto(&["show", "last", what]);
        assert!(shown.status.success() && !shown.stdout.is_empty(), "{what}");
        assert!(!shown.stdout.contains(&0x1b), "{what}");
    }
}

#[test]
fn every_workspace_and_provider_gives_the_same_patch() {
    let installation = Installation::new();
    let mut patches = Vec::new();
    for arguments in [
        &["run", "r1-string-slugify"][..],
        &["run", "r1-string-slugify", "--workspace", "copied"],
        &["run", "r1-string-slugify", "--sandbox", "bwrap"],
        &["run", "r1-string-slugify", "--sandbox", "none"],
    ] {
        let (exit, report) = installation.json(arguments);
        assert_eq!(exit, 0, "{arguments:?}: {:#}", report["blockers"]);
        patches.push(std::fs::read(installation.bundle(&report).join("patch.diff")).unwrap());
    }
    assert!(patches.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn a_time_limit_on_the_command_line_becomes_part_of_the_contract() {
    let installation = Installation::new();
    let (_, first) = installation.json(&["run", "r1-string-slugify", "--timeout", "7"]);
    let (_, second) = installation.json(&["run", "r1-string-slugify", "--timeout", "8"]);
    assert_eq!(
        installation.document(&first, "contract.json")["timeouts"]["engine_seconds"],
        7
    );
    assert_ne!(first["contract_digest"], second["contract_digest"]);
}

#[test]
fn a_kept_workspace_lies_outside_the_bundle() {
    let installation = Installation::new();
    let (_, report) = installation.json(&["run", "r1-string-slugify", "--keep-workspace"]);
    let kept = installation
        .home()
        .join("workspaces")
        .join(report["run_id"].as_str().unwrap());
    assert!(
        std::fs::read_to_string(kept.join("strings.py"))
            .unwrap()
            .contains("split")
    );
}

#[test]
fn nothing_is_left_on_the_host_but_bundles_and_caches() {
    let installation = Installation::new();
    let mounts = || std::fs::read_to_string("/proc/self/mounts").unwrap();
    let before = mounts();
    for engine in ["fake", "fake:surviving-process", "fake:engine-failed"] {
        installation.json(&["run", "r1-string-slugify", "--engine", engine]);
    }
    assert_eq!(mounts(), before);
    let home = installation.home();
    for directory in ["work", "live"] {
        let left: Vec<_> = std::fs::read_dir(home.join(directory)).unwrap().collect();
        assert!(left.is_empty(), "{directory}: {left:?}");
    }
}

#[test]
fn what_is_asked_for_and_does_not_exist_is_a_usage_error_with_the_nearest_name() {
    let installation = Installation::new();
    for (arguments, hint) in [
        (&["run", "r1-string-slugfy"][..], "r1-string-slugify"),
        (&["run", "r1-string-slugify", "--engine", "fkae"], "fake"),
        (&["run", "r1-string-slugify", "--engine", "fake:nodiff"], "no-diff"),
    ] {
        let output = installation.cto(arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(hint), "{text}");
    }
}

#[test]
fn every_listing_is_valid_json() {
    let installation = Installation::new();
    installation.json(&["run", "r1-string-slugify"]);
    for arguments in [
        &["runs"][..],
        &["engines"],
        &["cases"],
        &["key", "show"],
        &["doctor"],
        &["config", "show"],
        &["recover"],
        &["gc", "--check"],
        &["deps", "list"],
        &["fixtures", "list"],
        &["verify", "--all"],
    ] {
        let (exit, _) = installation.json(arguments);
        assert_eq!(exit, 0, "{arguments:?}");
    }
}
