//! What goes wrong around an owned repository: kills, other people, changed engines, and words at the wrong time.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use serde_json::{Value, json};

use crate::operator::{Operator, approve, gated, gates, say};
use crate::owned::{Asked, SCRIPT, ask, head, run, verified, world};
use crate::support::{GOOD, Installation, all, codes, git, write};

/// Starts an approved run and waits until its journal has a record.
fn start(installation: &Installation, asked: &Asked, more: &[&str], agent: &[&str], record: &str) -> (Child, PathBuf) {
    let id = asked.packet["packet_id"].as_str().unwrap();
    let task = asked.packet["contract"]["task_id"].as_str().unwrap().to_lowercase();
    let child = installation
        .command()
        .args([
            "--json",
            "run",
            "--contract",
            &asked.contract,
            "--engine",
            "command",
            "--approval",
            id,
        ])
        .args(more)
        .args(agent)
        .envs(gates("command", 5))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let runs = installation.home().join("runs");
    let wanted = format!("\"type\":\"{record}\"");
    let found = (0..6000).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        let ours = |path: &Path| path.to_string_lossy().contains(&format!("-{task}-"));
        let has = |path: &Path| fs::read_to_string(path.join("journal.jsonl")).is_ok_and(|text| text.contains(&wanted));
        let entries = fs::read_dir(&runs)
            .ok()?
            .filter_map(Result::ok)
            .map(|entry| entry.path());
        entries.into_iter().find(|path| ours(path) && has(path))
    });
    (child, found.unwrap_or_else(|| panic!("the run never came to {record}")))
}

fn recovered(installation: &Installation, bundle: &Path) -> Value {
    let (code, told) = installation.json(&["recover"]);
    assert_eq!(code, 0, "{told:#}");
    let report: Value = serde_json::from_slice(&fs::read(bundle.join("report.json")).unwrap()).unwrap();
    verified(installation, &report);
    report
}

#[test]
fn a_run_that_is_killed_after_it_consumed_its_approval_verifies_and_never_runs_again() {
    let (installation, operator, repository) = world();
    let before = head(&repository);
    let agent = ["--", "/bin/sh", "-c", "sleep 60"];
    let asked = ask(&installation, &repository, "KILL-1", &agent);
    approve(&installation, &operator, &asked.packet);
    let (mut child, bundle) = start(&installation, &asked, &[], &agent, "engine_intent");
    child.kill().unwrap();
    child.wait().unwrap();
    let report = recovered(&installation, &bundle);
    assert_eq!(
        (codes(&report), &report["approval_status"]),
        (vec!["harness_interrupted".to_owned()], &json!("granted"))
    );
    assert_eq!(head(&repository), before);
    let (code, again) = run(&installation, &asked, &[], &agent);
    assert_eq!((code, codes(&again)), (3, vec!["approval_denied".to_owned()]));
    // A home that was restored from before has forgotten it; the run on record has not.
    let id = asked.packet["packet_id"].as_str().unwrap();
    fs::remove_file(installation.home().join("approvals").join(id).join("consumed.json")).unwrap();
    let (code, again) = run(&installation, &asked, &[], &agent);
    assert_eq!((code, codes(&again)), (3, vec!["approval_denied".to_owned()]));
}

#[test]
fn a_run_that_is_killed_while_it_is_held_is_interrupted_and_nothing_worse() {
    let (installation, operator, repository) = world();
    let asked = ask(&installation, &repository, "KILL-2", &SCRIPT);
    approve(&installation, &operator, &asked.packet);
    let (mut child, bundle) = start(&installation, &asked, &["--await-outcome"], &SCRIPT, "applied");
    child.kill().unwrap();
    child.wait().unwrap();
    let report = recovered(&installation, &bundle);
    assert_eq!(codes(&report), ["harness_interrupted"], "{report:#}");
    assert_eq!(report["governed"]["target_commit"], head(&repository).as_str());
    assert_eq!(git(&repository, &["status", "--porcelain"]), "");
    let run_id = report["run_id"].as_str().unwrap();
    assert_eq!(installation.json(&["rollback", run_id]).0, 0);
}

/// As on a disk where the harness died between the branch and its own record of it.
#[test]
fn a_change_that_recovery_found_in_can_be_spoken_about() {
    let (installation, operator, repository) = world();
    let asked = ask(&installation, &repository, "KILL-3", &SCRIPT);
    approve(&installation, &operator, &asked.packet);
    let (mut child, bundle) = start(&installation, &asked, &["--await-outcome"], &SCRIPT, "applied");
    child.kill().unwrap();
    child.wait().unwrap();
    let journal = bundle.join("journal.jsonl");
    let text = fs::read_to_string(&journal).unwrap();
    let without = text.split("\n").filter(|line| !line.contains("\"type\":\"applied\""));
    write(&journal, without.collect::<Vec<_>>().join("\n").as_bytes());
    let run_id = bundle.file_name().unwrap().to_str().unwrap();
    let reject = ["outcome", run_id, "reject", "--reason", "not so"];
    let (code, said) = say(&installation, &operator, &reject);
    assert!(code == 3 && said.contains("not in yet"), "{said}");
    let report = recovered(&installation, &bundle);
    assert_eq!(codes(&report), ["harness_interrupted"], "{report:#}");
    let commit = head(&repository);
    assert_eq!(report["governed"]["target_commit"], commit.as_str());
    let shown = fs::read_to_string(bundle.join("report.md")).unwrap();
    assert!(shown.contains(&commit), "{shown}");
    assert!(!shown.contains("was not reached"), "{shown}");
    let (code, said) = say(&installation, &operator, &reject);
    assert_eq!(code, 0, "{said}");
    assert_eq!(
        verified(&installation, &report)["operator_outcome"]["outcome"],
        "rejected"
    );
    assert_eq!(installation.json(&["rollback", run_id]).0, 0);
}

/// What a dead run has written is what its verdict can be made from, however little it is.
#[test]
fn a_run_that_is_killed_as_soon_as_it_has_written_something_verifies_as_what_it_is() {
    let (installation, operator, repository) = world();
    let runs = installation.home().join("runs");
    for (kill, name) in [
        "journal.jsonl",
        "events.normalized.jsonl",
        "contract.json",
        "decision.json",
    ]
    .iter()
    .enumerate()
    {
        let asked = ask(&installation, &repository, &format!("EARLY-{kill}"), &SCRIPT);
        assert_eq!(approve(&installation, &operator, &asked.packet).0, 0);
        let before: std::collections::BTreeSet<_> = fs::read_dir(&runs).map(names).unwrap_or_default();
        let id = asked.packet["packet_id"].as_str().unwrap();
        let words = ["--json", "run", "--contract", &asked.contract, "--engine", "command"];
        let mut command = installation.command();
        command.args(words).args(["--approval", id]).args(SCRIPT);
        command.envs(gates("command", 5)).stdout(Stdio::null());
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        while child.try_wait().unwrap().is_none() {
            let now: std::collections::BTreeSet<_> = fs::read_dir(&runs).map(names).unwrap_or_default();
            if now.difference(&before).any(|run| runs.join(run).join(name).exists()) {
                break;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(installation.json(&["recover"]).0, 0, "{name}");
        let (code, verified) = installation.json(&["verify", "--all"]);
        assert_eq!(code, 0, "{name}: {verified:#}");
    }
}

fn names(entries: fs::ReadDir) -> std::collections::BTreeSet<std::ffi::OsString> {
    entries.filter_map(Result::ok).map(|entry| entry.file_name()).collect()
}

/// Kills of a stage 5 run in tier 1, and with `--all`.
const KILLS: (u32, u32) = (12, 200);

/// Wherever an approved run is killed, the repository has the commit or has not, and nothing between.
#[test]
fn a_run_that_is_killed_at_any_moment_leaves_the_one_commit_or_none() {
    let (installation, operator, repository) = world();
    let before = head(&repository);
    let spawned = |asked: &Asked| {
        let id = asked.packet["packet_id"].as_str().unwrap();
        let words = ["--json", "run", "--contract", &asked.contract, "--engine", "command"];
        let mut command = installation.command();
        command.args(words).args(["--approval", id]).args(SCRIPT);
        command.envs(gates("command", 5)).stdout(Stdio::null());
        command.stderr(Stdio::null()).spawn().unwrap()
    };
    let kills = if all() { KILLS.1 } else { KILLS.0 };
    let mut whole = std::time::Duration::ZERO;
    let (mut committed, mut none, mut interrupted) = (0, 0, 0);
    // The first run is not killed: it says how long one takes.
    for kill in 0..=kills {
        let asked = ask(&installation, &repository, &format!("ANY-{kill}"), &SCRIPT);
        assert_eq!(approve(&installation, &operator, &asked.packet).0, 0);
        let begun = std::time::Instant::now();
        let mut child = spawned(&asked);
        if kill == 0 {
            child.wait().unwrap();
            whole = begun.elapsed();
        } else {
            std::thread::sleep(whole * kill / kills);
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let (code, told) = installation.json(&["recover"]);
        assert_eq!(code, 0, "{kill}: {told:#}");
        let (_, listed) = installation.json(&["runs", "--limit", "1"]);
        let run = &listed["runs"][0];
        let ours = run["case_id"] == format!("ANY-{kill}");
        let now = head(&repository);
        assert_eq!(git(&repository, &["status", "--porcelain"]), "", "{kill}");
        assert!(!repository.join(".git/index.lock").exists(), "{kill}");
        let commit = if now == before {
            none += 1;
            Value::Null
        } else {
            committed += 1;
            assert_eq!(git(&repository, &["rev-parse", "HEAD^"]).trim(), before, "{kill}");
            assert_eq!(fs::read_to_string(repository.join("value.txt")).unwrap(), "good\n");
            json!(now)
        };
        assert!(ours || commit.is_null(), "{kill}: a commit of no run");
        if ours {
            let path = installation.home().join("runs").join(run["run_id"].as_str().unwrap());
            let report: Value = serde_json::from_slice(&fs::read(path.join("report.json")).unwrap()).unwrap();
            assert_ne!(report["status"], "pass", "{kill}");
            assert_eq!(report["governed"]["target_commit"], commit, "{kill}: {report:#}");
            interrupted += usize::from(codes(&report) == ["harness_interrupted"]);
        }
        git(&repository, &["reset", "--quiet", "--hard", &before]);
    }
    assert!(
        committed > 0 && none > 0 && interrupted > 0,
        "{committed} {none} {interrupted}"
    );
    let (code, verified) = installation.json(&["verify", "--all"]);
    assert_eq!(code, 0, "{verified:#}");
}

#[test]
fn whoever_stops_waiting_for_the_operator_cancels_nothing() {
    let (installation, operator, repository) = world();
    let asked = ask(&installation, &repository, "STOP-1", &SCRIPT);
    approve(&installation, &operator, &asked.packet);
    let (mut child, bundle) = start(&installation, &asked, &["--await-outcome"], &SCRIPT, "applied");
    let pid = child.id().to_string();
    assert!(
        std::process::Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .unwrap()
            .success()
    );
    child.wait().unwrap();
    let report: Value = serde_json::from_slice(&fs::read(bundle.join("report.json")).unwrap()).unwrap();
    assert_eq!(codes(&report), ["missing_operator_outcome"], "{report:#}");
    let run_id = report["run_id"].as_str().unwrap();
    assert_eq!(
        say(
            &installation,
            &operator,
            &["outcome", run_id, "accept", "--reason", "seen"]
        )
        .0,
        0
    );
    assert_eq!(verified(&installation, &report)["effective_status"], "pass");
}

#[test]
fn what_others_do_to_the_target_meanwhile_keeps_the_change_out() {
    let (installation, operator, repository) = world();
    let before = head(&repository);
    let agent = ["--", "/bin/sh", "-c", "echo good > value.txt; sleep 3"];
    for (task, file) in [("MEAN-1", "other.txt"), ("MEAN-2", "untracked.txt")] {
        let asked = ask(&installation, &repository, task, &agent);
        approve(&installation, &operator, &asked.packet);
        let (mut child, bundle) = start(&installation, &asked, &[], &agent, "engine_intent");
        write(&repository.join(file), b"mine\n");
        child.wait().unwrap();
        let report: Value = serde_json::from_slice(&fs::read(bundle.join("report.json")).unwrap()).unwrap();
        assert_eq!(codes(&report), ["target_modified"], "{task}: {report:#}");
        assert_eq!(head(&repository), before, "{task}");
        assert_eq!(fs::read(repository.join(file)).unwrap(), b"mine\n");
        verified(&installation, &report);
        git(&repository, &["checkout", "--quiet", "other.txt"]);
    }
}

#[test]
fn a_target_whose_configuration_points_elsewhere_is_refused_and_the_request_says_why() {
    let (installation, _, repository) = world();
    let contract = installation.contract(&crate::operator::owned_contract("CONF-1", &repository));
    let request = || {
        let words = [
            "request",
            "--contract",
            contract.to_str().unwrap(),
            "--engine",
            "command",
        ];
        let output = installation
            .command()
            .args(words)
            .args(SCRIPT)
            .envs(gates("command", 5))
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let elsewhere = installation.dir.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    type Spoil = fn(&Path, &Path);
    let spoilt: [(&str, Spoil, Spoil); 4] = [
        (
            "core.worktree",
            |repository, elsewhere| {
                drop(git(
                    repository,
                    &["config", "core.worktree", elsewhere.to_str().unwrap()],
                ));
            },
            |repository, _| {
                let config = repository.join(".git/config");
                let text = fs::read_to_string(&config).unwrap();
                let kept: String = text
                    .lines()
                    .filter(|line| !line.contains("worktree"))
                    .map(|line| format!("{line}\n"))
                    .collect();
                fs::write(config, kept).unwrap();
            },
        ),
        (
            "names no branch",
            |repository, _| drop(git(repository, &["checkout", "--quiet", "--detach"])),
            |repository, _| drop(git(repository, &["checkout", "--quiet", "main"])),
        ),
        (
            "in the middle of a merge",
            |repository, _| fs::write(repository.join(".git/MERGE_HEAD"), head(repository)).unwrap(),
            |repository, _| fs::remove_file(repository.join(".git/MERGE_HEAD")).unwrap(),
        ),
        (
            "uncommitted changes",
            |repository, _| write(&repository.join("other.txt"), b"dirty\n"),
            |repository, _| drop(git(repository, &["checkout", "--quiet", "other.txt"])),
        ),
    ];
    for (says, spoil, mend) in spoilt {
        spoil(&repository, &elsewhere);
        let (code, told) = request();
        assert!(code == Some(3) && told.contains(says), "{says}: {told}");
        mend(&repository, &elsewhere);
    }
    assert_eq!(request().0, Some(0));
}

#[test]
fn an_engine_whose_manifest_changed_is_not_the_approved_one() {
    let installation = Installation::new();
    let operator = Operator::of(&installation);
    let manifest = installation.dir.path().join("mine.yaml");
    let say_manifest = |script: &str| {
        let text = json!({
            "schema": "cto/engine/1.0", "name": "mine", "summary": "a shell", "find": {},
            "argv": ["-c", script], "stream": {"parser": "lines"},
        });
        write(&manifest, text.to_string().as_bytes());
    };
    say_manifest("false");
    let settings = json!({ "engines": { "mine": { "manifest": manifest, "program": "/bin/sh" } } });
    write(
        &installation.home().join("harness.yaml"),
        settings.to_string().as_bytes(),
    );
    let mut contract = crate::support::contract("MANI-1", &installation.scripted("target"));
    contract["mutation_mode"] = json!("copied-fixture");
    contract["approval_required"] = json!(true);
    contract.as_object_mut().unwrap().remove("target_repository");
    let words = [
        "request",
        "r1-string-slugify",
        "--mode",
        "sandbox-repo",
        "--engine",
        "mine",
    ];
    // Stage 4 is closed for it; that its packet binds the manifest is seen in the reason alone.
    let (code, told) = gated(&installation, "mine", 4, &words);
    assert_eq!(code, 3, "{told:#}");
    drop(operator);
    let (_, facts) = gated(
        &installation,
        "mine",
        2,
        &["run", "r1-string-slugify", "--engine", "mine"],
    );
    let digest = |report: &Value| {
        let text = fs::read_to_string(installation.bundle(report).join("journal.jsonl")).unwrap();
        let line = text.lines().find(|line| line.contains("facts_gathered")).unwrap();
        let record: Value = serde_json::from_str(line).unwrap();
        record["event"]["facts"]["engine"]["manifest_digest"].clone()
    };
    let before = digest(&facts);
    say_manifest(GOOD);
    let (_, facts) = gated(
        &installation,
        "mine",
        2,
        &["run", "r1-string-slugify", "--engine", "mine"],
    );
    assert!(before.is_string() && before != digest(&facts));
}

#[test]
fn a_change_that_was_taken_back_is_not_accepted_afterwards() {
    let (installation, operator, repository) = world();
    let asked = ask(&installation, &repository, "BACK-0", &SCRIPT);
    approve(&installation, &operator, &asked.packet);
    let (_, accepted) = run(&installation, &asked, &[], &SCRIPT);
    let run_id = accepted["run_id"].as_str().unwrap();
    assert_eq!(
        say(
            &installation,
            &operator,
            &["outcome", run_id, "accept", "--reason", "seen"]
        )
        .0,
        0
    );
    assert_eq!(verified(&installation, &accepted)["effective_status"], "pass");
    assert_eq!(installation.json(&["rollback", run_id]).0, 0);
    let seen = verified(&installation, &accepted);
    assert_eq!(seen["effective_status"], "blocked");
    assert!(
        seen["operator_outcome"]["problem"]
            .as_str()
            .unwrap()
            .contains("taken back")
    );
    let asked = ask(&installation, &repository, "BACK-1", &SCRIPT);
    approve(&installation, &operator, &asked.packet);
    let (_, report) = run(&installation, &asked, &[], &SCRIPT);
    let run_id = report["run_id"].as_str().unwrap();
    assert_eq!(installation.json(&["rollback", run_id]).0, 0);
    let (code, said) = say(
        &installation,
        &operator,
        &["outcome", run_id, "accept", "--reason", "too late"],
    );
    assert!(code == 3 && said.contains("taken back"), "{said}");
    assert_eq!(verified(&installation, &report)["effective_status"], "blocked");
    let output = installation.cto(&["rollback", run_id]);
    assert_eq!(output.status.code(), Some(3));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("already"),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
