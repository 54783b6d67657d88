//! What lies beside a bundle: a change that was taken back is not accepted any more, and a forged word is seen.

use std::fs;

use serde_json::{Value, json};

use crate::operator::{approve, say};
use crate::owned::{SCRIPT, ask, held_and_accepted, run, verified, world};

#[test]
fn a_pass_whose_change_was_taken_back_is_none_any_more() {
    let (installation, operator, repository) = world();
    let asked = ask(&installation, &repository, "TAKE-1", &SCRIPT);
    approve(&installation, &operator, &asked.packet);
    let (code, report) = held_and_accepted(&installation, &operator, &asked);
    assert_eq!((code, &report["status"]), (0, &json!("pass")), "{report:#}");
    let run_id = report["run_id"].as_str().unwrap();
    let state = || {
        let packet = asked.packet["packet_id"].as_str().unwrap();
        installation.json(&["approvals", packet]).1["state"].clone()
    };
    let shown_at_5 = || {
        let (_, ladder) = installation.json(&["ladder", "--engine", "command"]);
        ladder["engines"][0]["rungs"][4]["evidence"]["pass"].clone()
    };
    assert_eq!(
        (state(), shown_at_5()),
        (json!("consumed_by_pass_evidence"), json!(run_id))
    );
    assert_eq!(installation.json(&["rollback", run_id]).0, 0);
    assert_eq!((state(), shown_at_5()), (json!("consumed_by_run"), Value::Null));
    let seen = verified(&installation, &report);
    assert_eq!(
        (&seen["status"], &seen["effective_status"]),
        (&json!("pass"), &json!("blocked"))
    );
    let next = ask(&installation, &repository, "TAKE-2", &SCRIPT);
    assert!(!next.packet["prior_evidence"].to_string().contains(run_id));
    // A stranger believes the signed record, which goes along with the archive.
    let home = installation.home();
    let dir = home.parent().unwrap();
    let (key, archive) = (dir.join("key.pem"), dir.join("a.tar.zst"));
    fs::write(&key, installation.cto(&["key", "show"]).stdout).unwrap();
    let archive = archive.to_str().unwrap();
    assert_eq!(installation.json(&["export", run_id, "--output", archive]).0, 0);
    let words = ["verify", "--key", key.to_str().unwrap(), archive];
    let (code, seen) = installation.json(&words);
    assert_eq!(
        (code, &seen["bundles"][0]["effective_status"]),
        (0, &json!("blocked")),
        "{seen:#}"
    );
    let record = dir.join("a.tar.zst.outcome/rollback.json");
    let bytes = fs::read(&record).unwrap();
    fs::write(&record, b"{}").unwrap();
    let (code, seen) = installation.json(&words);
    assert_eq!((code, &seen["bundles"][0]["bundle_verifies"]), (5, &json!(true)));
    assert_eq!(seen["bundles"][0]["effective_status"], "blocked");
    fs::write(&record, bytes).unwrap();
    // Here the journal of the change says so as well, and puts the record back.
    let beside = installation.home().join("runs").join(format!("{run_id}.outcome"));
    fs::remove_file(beside.join("rollback.json")).unwrap();
    assert_eq!(verified(&installation, &report)["effective_status"], "blocked");
    assert_eq!((state(), shown_at_5()), (json!("consumed_by_run"), Value::Null));
    assert_eq!(installation.cto(&["rollback", run_id]).status.code(), Some(3), "once");
    assert!(beside.join("rollback.json").exists());
}

#[test]
fn a_forged_word_beside_a_bundle_fails_and_leaves_the_bundle() {
    let (installation, operator, repository) = world();
    let asked = ask(&installation, &repository, "FORGE-1", &SCRIPT);
    approve(&installation, &operator, &asked.packet);
    let (_, report) = run(&installation, &asked, &[], &SCRIPT);
    let run_id = report["run_id"].as_str().unwrap();
    let accept = ["outcome", run_id, "accept", "--reason", "seen"];
    let (code, said) = say(&installation, &operator, &[&accept[..4], &[""]].concat());
    assert!(code == 2 && said.contains("--reason"), "{said}");
    assert_eq!(say(&installation, &operator, &accept).0, 0);
    assert_eq!(verified(&installation, &report)["effective_status"], "pass");
    let beside = installation.home().join("runs").join(format!("{run_id}.outcome"));
    let word = beside.join("operator-outcome.json");
    let text = fs::read_to_string(&word).unwrap();
    fs::write(&word, text.replace("seen", "SEEN")).unwrap();
    let output = installation.cto(&["verify", run_id]);
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(5), "{shown}");
    assert!(
        shown.contains("✔ verifies") && shown.contains("✘ outcome-beside"),
        "{shown}"
    );
    assert!(shown.contains("the run's verdict is blocked"), "{shown}");
}
