//! Runs on real local repositories: the change is exact, the source stays as it was.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::operator::FIX;
use crate::support::{GOOD, Installation, codes, contract, git, snapshot, write};

#[test]
fn an_agent_edits_one_allowed_file_and_the_source_is_not_touched() {
    let installation = Installation::new();
    let repository = installation.scripted("repo");
    let before = snapshot(&repository);
    let (exit, report) = installation.agent(&contract("edit", &repository), GOOD);
    assert_eq!((exit, codes(&report)), (0, vec![]), "{report:#}");
    assert_eq!(snapshot(&repository), before);
    assert_eq!(report["source_repository_mutated"], false);
    assert_eq!(report["changed_files"], serde_json::json!(["value.txt"]));
    // Anybody can apply the patch.
    let patch = installation.bundle(&report).join("patch.diff");
    git(&repository, &["apply", patch.to_str().unwrap()]);
    assert_eq!(fs::read_to_string(repository.join("value.txt")).unwrap(), "good\n");
}

#[test]
fn a_disallowed_file_is_named_and_is_in_the_patch() {
    let installation = Installation::new();
    let repository = installation.scripted("repo");
    let (exit, report) = installation.agent(
        &contract("disallowed", &repository),
        &format!("{GOOD}; echo y > other.txt"),
    );
    assert_eq!((exit, codes(&report)), (1, vec!["disallowed_file_change".to_owned()]));
    assert!(report["blockers"][0]["detail"].as_str().unwrap().contains("other.txt"));
    assert_eq!(report["allowed_writes_passed"], false);
    let patch = fs::read_to_string(installation.bundle(&report).join("patch.diff")).unwrap();
    assert!(patch.contains("+++ b/other.txt"));
}

#[test]
fn uncommitted_changes_are_not_in_the_baseline_and_refuse_only_when_asked() {
    let installation = Installation::new();
    let repository = installation.scripted("repo");
    fs::write(repository.join("value.txt"), "good\n").unwrap();
    let path = installation.contract(&contract("dirty", &repository));
    let path = path.to_str().unwrap();
    let run = ["run", "--contract", path, "--clean-start", "--", "/bin/sh", "-c", GOOD];
    let (exit, report) = installation.json(&run);
    assert_eq!((exit, codes(&report)), (3, vec!["dirty_starting_tree".to_owned()]));
    let (exit, report) = installation.json(&["run", "--contract", path, "--", "/bin/sh", "-c", GOOD]);
    assert_eq!(
        (exit, codes(&report)),
        (0, vec![]),
        "the committed baseline is red, so the change counts"
    );
}

#[test]
fn unusual_content_is_patched_byte_for_byte() {
    let installation = Installation::new();
    let repository = installation.scripted("repo");
    fs::create_dir(repository.join("d")).unwrap();
    fs::write(repository.join("d/crlf.txt"), "a\r\nb\r\n").unwrap();
    fs::write(repository.join("d/gone.txt"), "x").unwrap();
    fs::write(repository.join("d/moved.txt"), "moved\n").unwrap();
    git(&repository, &["add", "--all"]);
    git(&repository, &["commit", "--quiet", "--message=more"]);
    let mut task = contract("unusual", &repository);
    task["allowed_paths"] = serde_json::json!(["**"]);
    let script = "printf 'good\\n' > value.txt; cd d; printf 'a\\r\\nc\\r\\n' > crlf.txt; rm gone.txt; mv moved.txt new.txt; \
                  printf 'no newline' > end.txt; : > empty; printf 'x' > \"$(printf 'bad\\377name')\"; \
                  printf 'y' > \"$(printf 'line\\nbreak')\"; ln -s new.txt link; printf '#!/bin/sh\\n' > run.sh; chmod 755 run.sh; \
                  printf '\\000\\001\\002binary' > blob";
    let (exit, report) = installation.agent(&task, script);
    // A new name with a control character is a violation of its own, and is in the patch all the same.
    assert_eq!(
        (exit, codes(&report)),
        (1, vec!["unsafe_file".to_owned()]),
        "{:#}",
        report["blockers"]
    );
    assert_eq!(report["tests_passed"], true);
    let patch = installation.bundle(&report).join("patch.diff");
    git(&repository, &["apply", "--index", patch.to_str().unwrap()]);
    use std::os::unix::ffi::OsStrExt as _;
    let d = repository.join("d");
    let read = |name: &[u8]| fs::read(d.join(std::ffi::OsStr::from_bytes(name))).unwrap();
    assert_eq!(read(b"crlf.txt"), b"a\r\nc\r\n");
    assert_eq!(read(b"end.txt"), b"no newline");
    assert_eq!(read(b"empty"), b"");
    assert_eq!(read(b"bad\xffname"), b"x");
    assert_eq!(read(b"line\nbreak"), b"y");
    assert_eq!(read(b"new.txt"), b"moved\n");
    assert_eq!(read(b"blob"), b"\0\x01\x02binary");
    assert!(!d.join("gone.txt").exists());
    assert_eq!(fs::read_link(d.join("link")).unwrap(), Path::new("new.txt"));
    assert_eq!(
        fs::metadata(d.join("run.sh")).unwrap().permissions().mode() & 0o111,
        0o111
    );
}

#[test]
fn the_agent_has_a_working_repository_with_one_commit_and_no_remote() {
    let installation = Installation::new();
    let repository = installation.scripted("repo");
    fs::write(repository.join("second.txt"), "2").unwrap();
    git(&repository, &["add", "--all"]);
    git(&repository, &["commit", "--quiet", "--message=second"]);
    git(&repository, &["tag", "secret-tag"]);
    git(
        &repository,
        &["remote", "add", "origin", "https://example.invalid/x.git"],
    );
    let script = "set -e; test \"$(git rev-list --all --count)\" = 1; test -z \"$(git remote)\"; test -z \"$(git tag)\"; \
                  test -z \"$(git status --porcelain)\"; echo good > value.txt; git commit --quiet --all --message=done; git log --oneline";
    let (exit, report) = installation.agent(&contract("git", &repository), script);
    assert_eq!((exit, codes(&report)), (0, vec![]), "{report:#}");
    let facts = installation.document(&report, "write-set.json")["git"].to_string();
    assert!(facts.contains("head_moved"), "{facts}");
    let mut full = contract("full", &repository);
    full["history"] = "full".into();
    let (exit, report) = installation.agent(
        &full,
        "set -e; test \"$(git rev-list --all --count)\" = 2; echo good > value.txt",
    );
    assert_eq!(exit, 0, "{:#}", report["blockers"]);
}

#[test]
fn a_detached_head_and_a_linked_worktree_are_good_targets() {
    let installation = Installation::new();
    let repository = installation.scripted("repo");
    git(&repository, &["checkout", "--quiet", "--detach"]);
    let (exit, _) = installation.agent(&contract("detached", &repository), GOOD);
    assert_eq!(exit, 0);
    let linked = installation.dir.path().join("linked");
    git(&repository, &["worktree", "add", "--quiet", linked.to_str().unwrap()]);
    let (exit, report) = installation.agent(&contract("linked", &linked), GOOD);
    assert_eq!(exit, 0, "{:#}", report["blockers"]);
}

#[test]
fn two_runs_on_one_target_at_once_both_pass() {
    let installation = Installation::new();
    let repository = installation.scripted("repo");
    let path = installation.contract(&contract("twice", &repository));
    let start = || {
        let mut command = installation.command();
        command.args([
            "--json",
            "run",
            "--contract",
            path.to_str().unwrap(),
            "--",
            "/bin/sh",
            "-c",
            GOOD,
        ]);
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let children: Vec<_> = (0..4).map(|_| start()).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let (exit, runs) = installation.json(&["runs"]);
    assert_eq!((exit, runs["runs"].as_array().unwrap().len()), (0, 4));
    assert_eq!(installation.json(&["verify", "--all"]).0, 0);
}

#[test]
fn forbidden_literal_paths_are_read_only_when_the_contract_asks_the_kernel() {
    let installation = Installation::new();
    let repository = installation.scripted("repo");
    let mut task = contract("kernel", &repository);
    task["enforce"] = "kernel".into();
    task["forbidden_paths"] = serde_json::json!(["other.txt"]);
    let (exit, report) = installation.agent(
        &task,
        &format!("{GOOD}; echo y > other.txt; rm -f other.txt; mv other.txt z; true"),
    );
    assert_eq!((exit, codes(&report)), (0, vec![]), "{:#}", report["blockers"]);
}

#[test]
fn a_hostile_repository_runs_nothing_in_the_harness() {
    let installation = Installation::new();
    let repository = installation.scripted("repo");
    let marker = installation.dir.path().join("marker");
    let touch = format!("touch {}", marker.display());
    git(&repository, &["config", "core.fsmonitor", &touch]);
    git(&repository, &["config", "diff.external", &touch]);
    git(&repository, &["config", "filter.evil.smudge", &touch]);
    git(&repository, &["config", "filter.evil.clean", &touch]);
    git(&repository, &["config", "uploadpack.packObjectsHook", &touch]);
    fs::write(repository.join(".gitattributes"), "* filter=evil diff=evil\n").unwrap();
    for hook in [
        "post-checkout",
        "post-index-change",
        "pre-commit",
        "reference-transaction",
    ] {
        let path = repository.join(".git/hooks").join(hook);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("#!/bin/sh\n{touch}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = installation.contract(&contract("hostile", &repository));
    let (exit, report) = installation.json(&[
        "run",
        "--contract",
        path.to_str().unwrap(),
        "--clean-start",
        "--",
        "/bin/sh",
        "-c",
        GOOD,
    ]);
    assert!(exit == 3 || exit == 0, "{report:#}");
    let (exit, report) = installation.json(&["run", "--contract", path.to_str().unwrap(), "--", "/bin/sh", "-c", GOOD]);
    assert_eq!(exit, 0, "{:#}", report["blockers"]);
    assert!(!marker.exists(), "code of the target ran in the harness");
}

#[test]
fn fifty_thousand_files_cost_what_four_do_once_the_baseline_is_there() {
    // On a disk, making and removing the files would be what takes the time, and not what is tested here.
    let installation = Installation::in_memory();
    let few = installation.scripted("few");
    let many = installation.scripted("many");
    for directory in 0..100 {
        let path = many.join(format!("d{directory}"));
        fs::create_dir(&path).unwrap();
        for file in 0..500 {
            fs::write(path.join(format!("f{file}.txt")), format!("{directory} {file}\n")).unwrap();
        }
    }
    git(&many, &["add", "--all"]);
    // Else git packs so many objects by itself, during a run, which the run then reports.
    git(
        &many,
        &[
            "-c",
            "gc.auto=0",
            "-c",
            "maintenance.auto=false",
            "commit",
            "--quiet",
            "--message=many",
        ],
    );
    let contracts = [contract("few", &few), contract("many", &many)];
    let run = |contract| {
        let started = Instant::now();
        let (exit, report) = installation.agent(contract, GOOD);
        assert_eq!((exit, codes(&report)), (0, vec![]), "{report:#}");
        (started.elapsed(), report)
    };
    let entries = contracts.each_ref().map(|contract| {
        let (_, report) = run(contract);
        let trace = fs::read_to_string(installation.bundle(&report).join("trace.jsonl")).unwrap();
        ["\"4 entries, ", "\"50004 entries, "].map(|count| trace.contains(count))
    });
    assert_eq!(entries, [[true, false], [false, true]]);
    // In turn, and the best of each: the machine may be busy with other tests.
    let mut best = [Duration::MAX; 2];
    for _ in 0..7 {
        for (best, contract) in best.iter_mut().zip(&contracts) {
            *best = run(contract).0.min(*best);
        }
    }
    assert!(best[1] < best[0] * 3, "four files and fifty thousand: {best:?}");
}

/// A refusal about the target: nothing starts, the bundle verifies, and the gate is on record.
fn refused_target(installation: &Installation, exit: i32, report: &Value) -> String {
    assert_eq!(
        (exit, codes(report)),
        (3, vec!["contract_invalid".to_owned()]),
        "{report:#}"
    );
    assert_eq!(report["case_process_started"], false);
    let events = installation.events(report);
    let gate = |event: &&Value| event["type"] == "backend.gate.blocked" && event["data"]["gate"] == "target";
    assert_eq!(events.iter().filter(gate).count(), 1);
    let (exit, verified) = installation.json(&["verify", report["run_id"].as_str().unwrap()]);
    assert_eq!(exit, 0, "{verified:#}");
    report["blockers"][0]["detail"].as_str().unwrap().to_owned()
}

#[test]
fn a_submodule_is_refused_with_what_accepts_it_and_accepted_with_the_contracts_word() {
    let installation = Installation::new();
    let other = installation.scripted("other");
    let repository = installation.scripted("super");
    git(
        &repository,
        &["submodule", "--quiet", "add", other.to_str().unwrap(), "module"],
    );
    git(&repository, &["commit", "--quiet", "--message=module"]);
    let mut document = contract("submodule", &repository);
    let (exit, report) = installation.agent(&document, GOOD);
    let detail = refused_target(&installation, exit, &report);
    assert!(
        detail.contains("allow_gitlinks: true") && detail.contains("module"),
        "{detail}"
    );
    document["allow_gitlinks"] = Value::Bool(true);
    let (exit, report) = installation.agent(&document, GOOD);
    assert_eq!(exit, 0, "{report:#}");
}

#[test]
fn a_link_where_an_engine_needs_a_mask_is_refused_with_what_to_do() {
    let installation = Installation::new();
    let manifest = installation.dir.path().join("engine.yaml");
    // On the ladder's own fixture it does that fixture's task.
    let script = format!("if test -e strings.py; then {FIX}; else echo good > value.txt; fi; echo done");
    let document = json!({
        "schema": "cto/engine/1.0", "name": "my-agent", "summary": "for tests", "find": {}, "argv": ["-c", script],
        "stream": {"parser": "lines", "final_event": "done"}, "mask": [".agent/", ".hooks/agent"],
    });
    write(&manifest, document.to_string().as_bytes());
    let settings = format!(
        "engines: {{my-agent: {{manifest: {}, program: /bin/sh}}}}\n",
        manifest.display()
    );
    write(&installation.home().join("harness.yaml"), settings.as_bytes());
    let (exit, found) = installation.json(&["stage", "validate", "2", "--engine", "my-agent"]);
    assert_eq!(exit, 0, "{found:#}");
    for (name, link) in [("direct", ".agent"), ("above", ".hooks")] {
        let repository = installation.scripted(name);
        std::os::unix::fs::symlink("elsewhere", repository.join(link)).unwrap();
        git(&repository, &["add", "--all"]);
        git(&repository, &["commit", "--quiet", "--message=link"]);
        let file = installation.contract(&contract(name, &repository));
        let mut command = installation.command();
        command
            .env("CTO_HARNESS_ALLOW_MY_AGENT", "1")
            .env("CTO_HARNESS_MY_AGENT_STAGE", "3");
        command
            .args(["--json", "run", "--engine", "my-agent", "--contract"])
            .arg(file);
        let output = command.output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let detail = refused_target(&installation, output.status.code().unwrap(), &report);
        assert!(
            detail.contains(&format!("'{link}'")) && detail.contains("symbolic link"),
            "{detail}"
        );
    }
}

#[test]
fn a_git_that_is_too_old_is_named_with_its_version_and_is_no_fault_of_the_contract() {
    let installation = Installation::new();
    let old = installation.dir.path().join("old-git");
    write(
        &old,
        b"#!/bin/sh\ncase \"$*\" in *version*) echo git version 2.39.5;; *) exec /usr/bin/git \"$@\";; esac\n",
    );
    fs::set_permissions(&old, fs::Permissions::from_mode(0o755)).unwrap();
    write(
        &installation.home().join("harness.yaml"),
        format!("git: {}\n", old.display()).as_bytes(),
    );
    let repository = installation.scripted("repository");
    let own = installation.agent(&contract("old-git", &repository), GOOD);
    let case = installation.json(&["run", "r1-string-slugify"]);
    for (exit, report) in [own, case] {
        assert_eq!(
            (exit, codes(&report)),
            (3, vec!["provider_unavailable".to_owned()]),
            "{report:#}"
        );
        let detail = report["blockers"][0]["detail"].as_str().unwrap();
        for part in ["2.39.5", "2.40", "install a newer git"] {
            assert!(detail.contains(part), "{detail}");
        }
        let (exit, verified) = installation.json(&["verify", report["run_id"].as_str().unwrap()]);
        assert_eq!(exit, 0, "{verified:#}");
    }
}
