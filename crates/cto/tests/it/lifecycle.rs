//! Engines that linger after their work, and those that only look as if they did.

use cto_gateway::scripted::When;
use serde_json::{Value, json};

use crate::operator::FIX;
use crate::support::{Installation, codes, contract, git, write};

/// What an agent does that commits; the rest of the script comes after it.
const COMMIT: &str = "git config user.name agent; git config user.email agent@example.invalid\n\
                      echo good > value.txt; git commit --quiet --all --message=done\n";
const MARKER: &str = "backend/provider-lifecycle-harness-completed.txt";
const TIMEOUT: &str = "backend/provider-timeout.txt";

/// An installation whose engine is a shell script, looked at after a second of silence.
fn installation(script: &str, lifecycle: bool) -> Installation {
    let installation = Installation::new();
    // On the ladder's own fixture it does that fixture's task.
    let script = format!("if test -e strings.py; then {FIX}; exit 0; fi\n{script}");
    let mut manifest = json!({
        "schema": "cto/engine/1.0",
        "name": "lingers",
        "summary": "an agent that commits",
        "find": {},
        "argv": ["-c", script],
        "scratch": [".notes/"],
        "commits": true,
        "stream": { "parser": "lines" },
    });
    if lifecycle {
        manifest["lifecycle"] = json!({ "idle_seconds": 1 });
    }
    let path = installation.dir.path().join("engine.yaml");
    write(&path, manifest.to_string().as_bytes());
    let settings = json!({ "engines": { "lingers": { "manifest": path, "program": "/bin/sh" } } });
    write(
        &installation.home().join("harness.yaml"),
        settings.to_string().as_bytes(),
    );
    let (code, found) = installation.json(&["stage", "validate", "2", "--engine", "lingers"]);
    assert_eq!(code, 0, "{found:#}");
    installation
}

fn run(installation: &Installation, task: &str, history: &str, more: &[&str]) -> (i32, Value) {
    run_beside(installation, task, history, more, &[])
}

fn run_beside(
    installation: &Installation,
    task: &str,
    history: &str,
    more: &[&str],
    environment: &[(&str, &str)],
) -> (i32, Value) {
    let repository = installation.scripted(task);
    if history == "full" {
        for number in 0..3 {
            write(&repository.join("other.txt"), format!("{number}\n").as_bytes());
            git(&repository, &["commit", "--quiet", "--all", "--message=more"]);
        }
    }
    let mut document = contract(task, &repository);
    document["history"] = json!(history);
    let file = installation.contract(&document);
    let mut command = installation.command();
    command
        .env("CTO_HARNESS_ALLOW_LINGERS", "1")
        .env("CTO_HARNESS_LINGERS_STAGE", "3")
        .envs(environment.iter().copied())
        .args(["--json", "run", "--engine", "lingers", "--contract"])
        .arg(file)
        .args(more);
    let output = command.output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    let (exit, verified) = installation.json(&["verify", report["run_id"].as_str().unwrap()]);
    assert_eq!(exit, 0, "{verified:#}");
    (output.status.code().unwrap(), report)
}

fn left(installation: &Installation, report: &Value, name: &str) -> Option<String> {
    std::fs::read_to_string(installation.bundle(report).join(name)).ok()
}

fn assert_ended(script: &str, more: &[&str]) {
    let installation = installation(script, true);
    let (exit, report) = run(&installation, "done", "baseline", more);
    assert_eq!((exit, codes(&report)), (0, vec![]), "{script}: {report:#}");
    assert_eq!(report["changed_files"], json!(["value.txt"]));
    let said = left(&installation, &report, MARKER).unwrap();
    assert!(said.contains("HEAD went from"), "{said}");
    assert_eq!(left(&installation, &report, TIMEOUT), None);
}

/// Not ended by the harness as done: the time limit comes, and what was done until then is no pass.
fn assert_times_out(script: &str, lifecycle: bool) -> Value {
    let installation = installation(script, lifecycle);
    let (exit, report) = run(&installation, "lingers", "baseline", &["--timeout", "4"]);
    assert_eq!(
        (exit, codes(&report)),
        (1, vec!["timeout".to_owned()]),
        "{script}: {report:#}"
    );
    assert_eq!(left(&installation, &report, MARKER), None, "{script}");
    let said = left(&installation, &report, TIMEOUT).unwrap();
    assert!(said.contains("time limit"), "{said}");
    report
}

#[test]
fn an_engine_that_committed_and_lingers_is_ended_and_its_work_is_judged() {
    assert_ended(&format!("{COMMIT} sleep 600"), &[]);
}

#[test]
fn it_is_ended_in_a_copied_workspace_and_with_packed_refs_on_another_branch_as_well() {
    assert_ended(&format!("{COMMIT} sleep 600"), &["--workspace", "copied"]);
    assert_ended(
        &format!("git checkout --quiet -b fix/it; {COMMIT} git pack-refs --all; sleep 600"),
        &[],
    );
}

#[test]
fn what_the_manifest_calls_scratch_and_what_is_ignored_leaves_the_tree_clean() {
    assert_ended(
        &format!("{COMMIT} mkdir .notes build; echo x > .notes/log; echo x > build/out; sleep 600"),
        &[],
    );
}

#[test]
fn work_that_is_not_committed_as_it_lies_there_is_not_done() {
    for script in [
        "echo good > value.txt; sleep 600".to_owned(),
        // Committed, and HEAD set back to where it was.
        format!("base=$(git rev-parse HEAD); {COMMIT} git update-ref HEAD $base; sleep 600"),
        // HEAD names what is no commit.
        format!("{COMMIT} tree=$(git rev-parse HEAD:); echo $tree > .git/HEAD; sleep 600"),
        // The index says that all is well; the tree says otherwise.
        format!(
            "{COMMIT} git update-index --assume-unchanged value.txt; printf 'good\\ngood\\n' > value.txt; sleep 600"
        ),
    ] {
        assert_times_out(&script, true);
    }
}

#[test]
fn a_timeout_after_a_valid_patch_stays_a_failure_and_says_so() {
    let report = assert_times_out(&format!("{COMMIT} sleep 600"), false);
    assert_eq!(report["failure_reason"], "lifecycle timeout after valid patch");
    assert_eq!(report["status"], "fail");
}

#[test]
fn a_target_with_history_does_not_end_an_engine_at_birth() {
    let installation = installation(
        "sleep 4; test $(git rev-list --count HEAD) -gt 1 && echo good > value.txt",
        true,
    );
    let (exit, report) = run(&installation, "history", "full", &[]);
    assert_eq!((exit, codes(&report)), (0, vec![]), "{report:#}");
    assert_eq!(left(&installation, &report, MARKER), None);
}

#[test]
fn an_engine_that_still_speaks_is_not_ended() {
    let script = format!("{COMMIT} for second in 1 2 3 4 5 6 7 8; do echo still here; sleep 0.5; done; echo last word");
    let installation = installation(&script, true);
    let (exit, report) = run(&installation, "speaks", "baseline", &[]);
    assert_eq!((exit, codes(&report)), (0, vec![]), "{report:#}");
    assert_eq!(left(&installation, &report, MARKER), None);
    let said = left(&installation, &report, "backend/stdout.log").unwrap();
    assert!(said.contains("last word"), "{said}");
}

#[test]
fn no_git_of_the_harness_reads_what_the_engine_configured() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::set_permissions(outside.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let owned = outside.path().join("owned");
    let script = format!(
        "{COMMIT}\
         git config core.fsmonitor 'touch {owned}; false'; git config core.hooksPath /workspace/.git/hooks\n\
         git config filter.x.clean 'touch {owned}'; git config core.attributesFile /workspace/.git/attributes\n\
         echo '* filter=x' > .git/attributes; echo '* filter=x' > .git/info/attributes\n\
         printf '#!/bin/sh\\ntouch {owned}\\n' > .git/hooks/post-index-change; chmod +x .git/hooks/*\n\
         mkdir -p .git/objects/info; mkfifo .git/objects/info/alternates .git/index.lock; sleep 600",
        owned = owned.display()
    );
    let installation = installation(&format!("mkdir -p .git/hooks .git/info; {script}"), true);
    let (_, report) = run(&installation, "hostile", "baseline", &["--timeout", "20"]);
    assert!(left(&installation, &report, MARKER).is_some(), "{report:#}");
    assert!(!owned.exists(), "what the engine configured was run on the host");
}

#[test]
fn a_variable_bounds_the_time_and_becomes_part_of_the_contract() {
    let variable = "CTO_HARNESS_LINGERS_TIMEOUT_SECONDS";
    let installation = installation("sleep 600", false);
    let (exit, report) = run_beside(&installation, "bounded", "baseline", &[], &[(variable, "2")]);
    assert_eq!((exit, codes(&report)), (4, vec!["timeout".to_owned()]), "{report:#}");
    let executed = installation.document(&report, "contract.json");
    assert_eq!(executed["timeouts"]["engine_seconds"], 2);
    assert!(left(&installation, &report, TIMEOUT).is_some());
    let (_, report) = run_beside(
        &installation,
        "flag",
        "baseline",
        &["--timeout", "3"],
        &[(variable, "600")],
    );
    let executed = installation.document(&report, "contract.json");
    assert_eq!(executed["timeouts"]["engine_seconds"], 3, "the flag comes first");
    for (number, text) in ["0", "-1", "soon", "4294967296"].iter().enumerate() {
        let task = format!("slip-{number}");
        let (exit, report) = run_beside(&installation, &task, "baseline", &[], &[(variable, text)]);
        assert_eq!(
            (exit, codes(&report)),
            (3, vec!["contract_invalid".to_owned()]),
            "{text}"
        );
        let detail = report["blockers"][0]["detail"].as_str().unwrap();
        assert!(detail.contains(variable) && detail.contains("whole number"), "{detail}");
    }
}

/// Commits, then asks a model whose answer takes longer than anybody is idle.
const ASKS: &str = r##"
import json, subprocess, urllib.request
open("strings.py", "a").write("# asked\n")
name = ["-c", "user.name=agent", "-c", "user.email=agent@example.invalid"]
subprocess.run(["git", *name, "commit", "--quiet", "--all", "--message=done"], check=True)
body = json.dumps({"model": "scripted-fix", "messages": [{"role": "user", "content": "hello"}]}).encode()
request = urllib.request.Request("http://127.0.0.1:8080/v1/chat/completions", body, {"content-type": "application/json"})
try:
    urllib.request.urlopen(request, timeout=60).read()
except OSError as error:
    print(error)
print("last word")
"##;

#[test]
fn an_engine_that_waits_for_its_model_is_not_idle() {
    let world = crate::model::Modelled::with("lingers", "scripted-fix", crate::model::failing("hang", When::Call(2)));
    let installation = &world.installation;
    let manifest = json!({
        "schema": "cto/engine/1.0",
        "name": "lingers",
        "summary": "an agent that asks",
        "find": {},
        "argv": ["-c", ASKS],
        "model": { "dialects": ["chat_completions"], "base_path": "/v1", "key_variable": "KEY" },
        "stream": { "parser": "lines" },
        "lifecycle": { "idle_seconds": 1 },
    });
    let path = installation.dir.path().join("engine.yaml");
    write(&path, manifest.to_string().as_bytes());
    let settings = json!({
        "engines": { "lingers": { "manifest": path, "program": "/usr/bin/python3" } },
        "gateway": { "limits": { "first_byte_ms": 4000, "idle_ms": 4000 } },
    });
    write(
        &installation.home().join("harness.yaml"),
        settings.to_string().as_bytes(),
    );
    world.climb("lingers", &[]);
    let output = world
        .command(&["run", "r1-string-slugify", "--engine", "lingers"])
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(left(installation, &report, MARKER), None, "{report:#}");
    let said = left(installation, &report, "backend/stdout.log").unwrap();
    assert!(said.contains("last word"), "{said}");
}
