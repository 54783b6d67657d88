//! Stages 4 and 5: a repository that changes by one commit, with an operator's word before and after, or not at all.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::operator::{Operator, admit, approve, climbed, gated, owned_contract, say};
use crate::support::{GOOD, Installation, codes, git, snapshot, write};

pub const SCRIPT: [&str; 4] = ["--", "/bin/sh", "-c", GOOD];

pub fn verified(installation: &Installation, report: &Value) -> Value {
    let bundle = installation.bundle(report);
    let (code, verified) = installation.json(&["verify", bundle.to_str().unwrap()]);
    assert_eq!(code, 0, "{verified:#}");
    verified["bundles"][0].clone()
}

/// A repository with two commits whose value is bad, admitted for the engine `command`.
pub fn world() -> (Installation, Operator, std::path::PathBuf) {
    let (installation, operator) = climbed();
    let repository = installation.scripted("target");
    write(&repository.join("other.txt"), b"y\n");
    git(&repository, &["commit", "--quiet", "--all", "--message=second"]);
    admit(&installation, &repository, "command");
    (installation, operator, repository)
}

pub struct Asked {
    pub contract: String,
    pub packet: Value,
}

pub fn ask(installation: &Installation, repository: &Path, task: &str, agent: &[&str]) -> Asked {
    let contract = installation.contract(&owned_contract(task, repository));
    let contract = contract.to_str().unwrap().to_owned();
    let words = [&["request", "--contract", &contract, "--engine", "command"], agent].concat();
    let (code, packet) = gated(installation, "command", 5, &words);
    assert_eq!(code, 0, "{packet:#}");
    Asked { contract, packet }
}

pub fn run(installation: &Installation, asked: &Asked, more: &[&str], agent: &[&str]) -> (i32, Value) {
    let id = asked.packet["packet_id"].as_str().unwrap();
    let words = [
        &[
            "run",
            "--contract",
            &asked.contract,
            "--engine",
            "command",
            "--approval",
            id,
        ],
        more,
        agent,
    ]
    .concat();
    gated(installation, "command", 5, &words)
}

pub fn head(repository: &Path) -> String {
    git(repository, &["rev-parse", "HEAD"]).trim().to_owned()
}

#[test]
fn a_disposable_repository_is_made_changed_by_one_commit_and_thrown_away() {
    let (installation, operator) = climbed();
    let mode = ["r1-string-slugify", "--mode", "sandbox-repo"];
    let (code, packet) = gated(&installation, "fake", 4, &[&["request"][..], &mode].concat());
    assert_eq!(code, 0, "{packet:#}");
    assert_eq!(approve(&installation, &operator, &packet).0, 0);
    let id = packet["packet_id"].as_str().unwrap();
    let kept = [&["run", "--approval", id, "--keep-workspace"][..], &mode].concat();
    let (code, report) = gated(&installation, "fake", 4, &kept);
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(report["approval_status"], "granted");
    let verified = verified(&installation, &report);
    assert_eq!(verified["status"], "pass");
    let proof = installation.document(&report, "stage4-disposable-sandbox-proof.json");
    assert_eq!(
        (&proof["holds"], &proof["sandbox_disposition"]),
        (&json!(true), &json!("retained"))
    );
    let kept = installation
        .home()
        .join("disposable")
        .join(report["run_id"].as_str().unwrap());
    assert_eq!(git(&kept, &["rev-list", "--count", "main..HEAD"]).trim(), "1");
    assert_eq!(git(&kept, &["status", "--porcelain"]), "");
    assert_eq!(head(&kept), report["governed"]["target_commit"]);
    assert_eq!(
        git(&kept, &["diff", "--name-only", "HEAD^", "HEAD"]).trim(),
        "strings.py"
    );
    assert_eq!(git(&kept, &["remote"]), "");
    // The same packet never works again, and without --keep-workspace nothing stays.
    let (code, again) = gated(
        &installation,
        "fake",
        4,
        &[&["run", "--approval", id][..], &mode].concat(),
    );
    assert_eq!((code, codes(&again)), (3, vec!["approval_denied".to_owned()]));
    let (_, packet) = gated(&installation, "fake", 4, &[&["request"][..], &mode].concat());
    approve(&installation, &operator, &packet);
    let id = packet["packet_id"].as_str().unwrap();
    let (code, report) = gated(
        &installation,
        "fake",
        4,
        &[&["run", "--approval", id][..], &mode].concat(),
    );
    assert_eq!(code, 0, "{report:#}");
    assert!(
        !installation
            .home()
            .join("disposable")
            .join(report["run_id"].as_str().unwrap())
            .exists()
    );
    let disposition = installation.document(&report, "sandbox-disposition.json");
    assert_eq!(
        (&disposition["sandbox_disposition"], &disposition["creation_source"]),
        (&json!("disposed"), &json!("created"))
    );
}

#[test]
fn an_owned_repository_gets_one_commit_and_passes_with_the_operators_yes() {
    let (installation, operator, repository) = world();
    let before = head(&repository);
    let asked = ask(&installation, &repository, "OWN-1", &SCRIPT);
    assert_eq!(head(&repository), before);
    assert_eq!(approve(&installation, &operator, &asked.packet).0, 0);
    let (code, report) = run(&installation, &asked, &[], &SCRIPT);
    assert_eq!(
        (code, codes(&report)),
        (4, vec!["missing_operator_outcome".to_owned()]),
        "{report:#}"
    );
    assert_eq!(report["governed"]["operator_outcome"], "pending");
    let commit = head(&repository);
    assert_eq!(report["governed"]["target_commit"], commit.as_str());
    assert_eq!(git(&repository, &["rev-parse", "HEAD^"]).trim(), before);
    assert_eq!(git(&repository, &["status", "--porcelain"]), "");
    assert_eq!(fs::read_to_string(repository.join("value.txt")).unwrap(), "good\n");
    let seen = verified(&installation, &report);
    assert_eq!(
        (&seen["status"], &seen["effective_status"]),
        (&json!("blocked"), &json!("blocked"))
    );
    let run_id = report["run_id"].as_str().unwrap();
    let consumed = || {
        installation
            .json(&["approvals", asked.packet["packet_id"].as_str().unwrap()])
            .1["state"]
            .clone()
    };
    assert_eq!(consumed(), "consumed_by_run");
    let (code, said) = say(
        &installation,
        &operator,
        &["outcome", run_id, "accept", "--reason", "looked at it"],
    );
    assert_eq!(code, 0, "{said}");
    assert_eq!(consumed(), "consumed_by_pass_evidence");
    let next = ask(&installation, &repository, "OWN-2", &SCRIPT);
    let prior = &next.packet["prior_evidence"];
    assert!(prior.to_string().contains(run_id), "{prior}");
    let seen = verified(&installation, &report);
    assert_eq!(
        (&seen["status"], &seen["effective_status"]),
        (&json!("blocked"), &json!("pass"))
    );
    assert_eq!(seen["operator_outcome"]["outcome"], "accepted");
    let (code, said) = say(
        &installation,
        &operator,
        &["outcome", run_id, "reject", "--reason", "changed my mind"],
    );
    assert_eq!(code, 3, "an outcome is said once: {said}");
    assert_eq!(installation.json(&["verify", "--all"]).0, 0);
    let (_, runs) = installation.json(&["runs", "--limit", "1"]);
    assert_eq!(
        (&runs["runs"][0]["status"], &runs["runs"][0]["effective_status"]),
        (&json!("blocked"), &json!("pass"))
    );
    // An archive has the word beside it, as the bundle has.
    let archive = installation.home().parent().unwrap().join("accepted.tar.zst");
    let archive = archive.to_str().unwrap();
    assert_eq!(installation.json(&["export", run_id, "--output", archive]).0, 0);
    let (code, seen) = installation.json(&["verify", archive]);
    assert_eq!(
        (code, &seen["bundles"][0]["effective_status"]),
        (0, &json!("pass")),
        "{seen:#}"
    );
    // With one byte more nothing verifies, and what was said beside it changes nothing.
    let bundle = installation.bundle(&report);
    let log = [fs::read(bundle.join("test.log")).unwrap(), b"\n".to_vec()].concat();
    write(&bundle.join("test.log"), &log);
    let words = ["verify", bundle.to_str().unwrap()];
    let (code, seen) = installation.json(&words);
    assert_ne!(code, 0);
    assert_eq!(seen["bundles"][0]["effective_status"], Value::Null);
    let text = String::from_utf8_lossy(&installation.cto(&words).stdout).into_owned();
    assert!(
        text.contains("does not verify") && !text.contains("effective status"),
        "{text}"
    );
}

#[test]
fn a_rejected_change_is_taken_back_unless_the_repository_has_moved_on() {
    let (installation, operator, repository) = world();
    let tree = git(&repository, &["rev-parse", "HEAD^{tree}"]);
    let asked = ask(&installation, &repository, "OWN-2", &SCRIPT);
    approve(&installation, &operator, &asked.packet);
    let (_, report) = run(&installation, &asked, &[], &SCRIPT);
    let run_id = report["run_id"].as_str().unwrap();
    assert_eq!(report["governed"]["rollback_command"], format!("cto rollback {run_id}"));
    let (code, said) = say(
        &installation,
        &operator,
        &["outcome", run_id, "reject", "--reason", "not what I meant"],
    );
    assert_eq!(code, 0, "{said}");
    assert!(said.contains(&format!("cto rollback {run_id}")));
    let seen = verified(&installation, &report);
    assert_eq!(seen["effective_status"], "blocked");
    write(&repository.join("other.txt"), b"z\n");
    git(&repository, &["commit", "--quiet", "--all", "--message=moved on"]);
    let output = installation.cto(&["rollback", run_id]);
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("git revert"));
    git(&repository, &["reset", "--quiet", "--hard", "HEAD^"]);
    let (code, rolled) = installation.json(&["rollback", run_id]);
    assert_eq!(code, 0, "{rolled:#}");
    assert_eq!(git(&repository, &["rev-parse", "HEAD^{tree}"]), tree);
    assert_eq!(git(&repository, &["status", "--porcelain"]), "");
    assert_eq!(installation.cto(&["rollback", run_id]).status.code(), Some(3), "once");
}

/// Runs what was approved, and accepts it while it is held open.
pub fn held_and_accepted(installation: &Installation, operator: &Operator, asked: &Asked) -> (i32, Value) {
    let task = asked.packet["contract"]["task_id"].as_str().unwrap().to_lowercase();
    let task = format!("-{task}-");
    std::thread::scope(|scope| {
        let held = scope.spawn(|| run(installation, asked, &["--await-outcome", "120"], &SCRIPT));
        let runs = installation.home().join("runs");
        let applied = |path: &Path| {
            let ours = path.to_string_lossy().contains(&task);
            ours && fs::read_to_string(path.join("journal.jsonl"))
                .is_ok_and(|text| text.contains("\"type\":\"applied\""))
        };
        let found = (0..6000).find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            let entries = fs::read_dir(&runs)
                .ok()?
                .filter_map(Result::ok)
                .map(|entry| entry.path());
            entries.into_iter().find(|path| applied(path))
        });
        let bundle = found.unwrap_or_else(|| panic!("the run never came to hold"));
        let run_id = bundle.file_name().unwrap().to_str().unwrap();
        let (code, said) = say(
            installation,
            operator,
            &["outcome", run_id, "accept", "--reason", "looked at it"],
        );
        assert_eq!(code, 0, "{said}");
        held.join().unwrap()
    })
}

#[test]
fn an_outcome_that_is_said_while_the_run_is_held_open_is_sealed_in() {
    let (installation, operator, repository) = world();
    let asked = ask(&installation, &repository, "OWN-3", &SCRIPT);
    approve(&installation, &operator, &asked.packet);
    let (code, report) = held_and_accepted(&installation, &operator, &asked);
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(report["status"], "pass");
    let proof = installation.document(&report, "stage5-owned-repo-proof.json");
    assert_eq!(
        (&proof["holds"], &proof["operator_outcome"]),
        (&json!(true), &json!("accepted"))
    );
    let seen = verified(&installation, &report);
    assert_eq!(
        (&seen["status"], &seen["effective_status"]),
        (&json!("pass"), &json!("pass"))
    );
}

#[test]
fn a_change_that_is_not_good_changes_nothing() {
    let (installation, operator, repository) = world();
    let before = snapshot(&repository);
    for (task, script, code) in [
        ("BAD-1", "echo worse > value.txt", "verification_failed"),
        (
            "BAD-2",
            "echo good > value.txt; echo x > other.txt",
            "disallowed_file_change",
        ),
        ("BAD-3", "true", "no_diff"),
        (
            "BAD-4",
            "echo good > value.txt; git push origin main || true",
            "forbidden_action",
        ),
        ("BAD-5", "echo good > value.txt; exit 3", "engine_failed"),
    ] {
        let agent = ["--", "/bin/sh", "-c", script];
        let asked = ask(&installation, &repository, task, &agent);
        approve(&installation, &operator, &asked.packet);
        let (exit, report) = run(&installation, &asked, &[], &agent);
        assert_eq!((exit, codes(&report)), (1, vec![code.to_owned()]), "{task}: {report:#}");
        assert_eq!(report["governed"]["target_commit"], Value::Null);
        assert_eq!(snapshot(&repository), before, "{task}");
        verified(&installation, &report);
    }
}

#[test]
fn a_refused_run_never_shows_where_the_repository_is() {
    let (installation, operator, repository) = world();
    let asked = ask(&installation, &repository, "HID-1", &SCRIPT);
    approve(&installation, &operator, &asked.packet);
    write(&repository.join("other.txt"), b"dirty\n");
    let (code, report) = run(&installation, &asked, &[], &SCRIPT);
    assert_eq!(
        (code, codes(&report)),
        (3, vec!["dirty_starting_tree".to_owned()]),
        "{report:#}"
    );
    git(&repository, &["checkout", "--quiet", "other.txt"]);
    let moved = repository.with_file_name("elsewhere");
    fs::rename(&repository, &moved).unwrap();
    let (code, gone) = run(&installation, &asked, &[], &SCRIPT);
    assert_eq!(
        (code, codes(&gone)),
        (3, vec!["contract_invalid".to_owned()]),
        "{gone:#}"
    );
    for report in [report, gone] {
        verified(&installation, &report);
        let path = repository.to_str().unwrap();
        for (file, bytes) in snapshot(&installation.bundle(&report)) {
            let text = String::from_utf8_lossy(&bytes);
            assert!(!text.contains(path), "{} shows the target", file.display());
        }
    }
}
