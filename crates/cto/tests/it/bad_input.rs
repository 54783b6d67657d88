//! Bad input: one clear error that names the thing, the place and the mend; the right exit; nothing half-written.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{GOOD, Installation, codes, contract, git, snapshot, write};

fn refused(installation: &Installation, contract: &Value, expected: &str) {
    let (exit, report) = installation.agent(contract, GOOD);
    assert_eq!(exit, 3, "{report:#}");
    assert_eq!(codes(&report), ["contract_invalid"], "{report:#}");
    assert_eq!(report["case_process_started"], false);
    let detail = report["blockers"][0]["detail"].as_str().unwrap();
    assert!(detail.contains(expected), "'{expected}' is not in: {detail}");
    let id = report["run_id"].as_str().unwrap();
    assert_eq!(installation.json(&["verify", id]).0, 0, "a refusal is evidence too");
}

#[test]
fn targets_that_cannot_be_used_say_which_and_why() {
    let installation = Installation::new();
    let root = installation.dir.path();
    let good = installation.scripted("good");
    let at = |name: &str| contract(name, &root.join(name));

    refused(&installation, &at("missing"), "missing");
    write(&root.join("a-file"), b"x");
    refused(&installation, &at("a-file"), "director");
    fs::create_dir(root.join("plain")).unwrap();
    refused(&installation, &at("plain"), "git");
    git(root, &["clone", "--quiet", "--bare", good.to_str().unwrap(), "bare"]);
    refused(&installation, &at("bare"), "bare");
    fs::create_dir(root.join("empty")).unwrap();
    git(&root.join("empty"), &["init", "--quiet"]);
    refused(&installation, &at("empty"), "commit");
    symlink(&good, root.join("link")).unwrap();
    refused(&installation, &at("link"), "symbolic link");
    let parent = installation.scripted("parent");
    git(&parent, &["submodule", "--quiet", "add", good.to_str().unwrap(), "sub"]);
    refused(&installation, &contract("submodule", &parent.join("sub")), "submodule");
    let corrupt = installation.scripted("corrupt");
    for object in snapshot(&corrupt.join(".git/objects")) {
        if object.0.is_file() {
            fs::set_permissions(&object.0, fs::Permissions::from_mode(0o644)).unwrap();
            fs::write(&object.0, b"garbage").unwrap();
        }
    }
    let (exit, report) = installation.agent(&contract("corrupt", &corrupt), GOOD);
    assert!(exit == 3 || exit == 4, "{report:#}");
    assert_ne!(report["status"], "pass");
    assert_eq!(report["case_process_started"], false);
}

#[test]
fn what_others_may_write_decides_nothing_and_nothing_is_begun() {
    let installation = Installation::new();
    let root = installation.dir.path();
    let repository = installation.scripted("repo");
    let path = installation.contract(&contract("theirs", &repository));
    let chmod = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let refuses = |arguments: &[&str], exit: i32, expected: &str| {
        let output = installation.cto(arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(exit), "{text}");
        assert!(text.contains(expected), "'{expected}' is not in: {text}");
    };
    let run = ["run", "--contract", path.to_str().unwrap(), "--", "/bin/true"];
    for mode in [0o666, 0o664, 0o646] {
        chmod(&path, mode);
        refuses(&run, 3, "chmod go-w");
        refuses(
            &["decide", path.to_str().unwrap()],
            3,
            "theirs.json: others than its owner",
        );
    }
    chmod(&path, 0o644);
    refuses(&["run", "--contract", root.to_str().unwrap()], 3, "not a regular file");
    // A link of the operator's own is only another name of the file.
    symlink(&path, root.join("link.json")).unwrap();
    let (exit, decision) = installation.json(&["decide", root.join("link.json").to_str().unwrap()]);
    assert_eq!(exit, 0, "{decision:#}");
    let settings = installation.home().join("harness.yaml");
    write(&settings, b"workspace: copied\n");
    chmod(&settings, 0o666);
    refuses(&["doctor"], 2, "harness.yaml: others than its owner");
    let key = root.join("key.pem");
    write(&key, b"x");
    symlink("key.pem", root.join("key-link.pem")).unwrap();
    refuses(
        &["key", "trust", root.join("key-link.pem").to_str().unwrap()],
        2,
        "symbolic link",
    );
    chmod(&key, 0o622);
    refuses(
        &["key", "trust", key.to_str().unwrap()],
        2,
        "key.pem: others than its owner",
    );
    let case = root.join("case");
    write(&case.join("fixture/a.py"), b"");
    write(&case.join("real.yaml"), b"case_id: linked\n");
    symlink("real.yaml", case.join("case.yaml")).unwrap();
    write(&settings, format!("cases: [{}]\n", case.display()).as_bytes());
    chmod(&settings, 0o644);
    refuses(&["run", "case"], 2, "symbolic link");
    assert_eq!(fs::read_dir(installation.home().join("runs")).unwrap().count(), 0);
}

#[test]
fn contracts_that_cannot_be_read_are_evidence_and_name_line_and_field() {
    let installation = Installation::new();
    let repository = installation.scripted("repo");
    let good = contract("good", &repository).to_string();
    let run = |name: &str, bytes: &[u8]| {
        let path = installation.dir.path().join(name);
        write(&path, bytes);
        let (exit, report) = installation.json(&["run", "--contract", path.to_str().unwrap(), "--", "/bin/true"]);
        assert_eq!(
            (exit, codes(&report)),
            (3, vec!["contract_invalid".to_owned()]),
            "{name}: {report:#}"
        );
        assert_eq!(report["case_id"], "unreadable");
        report["blockers"][0]["detail"].as_str().unwrap().to_owned()
    };
    let bom = [b"\xef\xbb\xbf", good.as_bytes()].concat();
    assert!(run("bom.json", &bom).contains("byte order mark"));
    assert!(run("latin.json", b"\xff\xfe").contains("UTF-8"));
    assert!(run("twice.json", good.replacen('{', "{\"title\":\"a\",", 1).as_bytes()).contains("title"));
    assert!(run("unknown.json", good.replacen('{', "{\"allow\":1,", 1).as_bytes()).contains("allow"));
    assert!(run("nan.yaml", b"task_id: x\nlimits: {files: .nan}\n").contains("line 2"));
    run(
        "deep.json",
        format!("{}{}", "[".repeat(50_000), "]".repeat(50_000)).as_bytes(),
    );
    run("huge.json", &vec![b' '; 600_000]);
    run("empty.yaml", b"");
    let escaping = good.replace("\"value.txt\"]", "\"../value.txt\"]");
    assert!(run("escaping.json", escaping.as_bytes()).contains("allowed_paths"));
}

#[test]
fn a_contract_file_that_is_no_file_is_refused_before_anything_is_written() {
    let installation = Installation::new();
    for path in ["/nonexistent/contract.yaml", "/dev/zero", "/"] {
        let output = installation.cto(&["run", "--contract", path]);
        assert_eq!(output.status.code(), Some(3), "{path}");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.contains(path) && text.contains("error:"), "{text}");
    }
}

#[test]
fn a_home_that_cannot_be_used_says_so_and_leaves_nothing() {
    let installation = Installation::new();
    let root = installation.dir.path();
    write(&root.join("file"), b"x");
    let open = root.join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    symlink(root, root.join("link")).unwrap();
    for home in ["file", "open", "link"] {
        let output = installation.cto(&["--home", root.join(home).to_str().unwrap(), "run", "r1-string-slugify"]);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains(home), "{home}: {text}");
        assert!(text.contains("hint:") || text.contains("chmod"), "{text}");
    }
}

#[test]
fn evidence_inside_the_target_is_refused() {
    let installation = Installation::new();
    let repository = installation.scripted("repo");
    let path = installation.contract(&contract("inside", &repository));
    let home = repository.join(".cto");
    let (exit, report) = installation.json(&[
        "--home",
        home.to_str().unwrap(),
        "run",
        "--contract",
        path.to_str().unwrap(),
        "--",
        "/bin/true",
    ]);
    assert_eq!((exit, codes(&report)), (3, vec!["contract_invalid".to_owned()]));
}

#[test]
fn modes_that_need_more_than_a_copy_are_blocked_until_all_of_it_is_there() {
    let installation = Installation::new();
    let repository = installation.scripted("repo");
    let both = ["target_not_admitted", "gate_missing"];
    for (mode, missing) in [
        ("none", &both[1..]),
        ("sandbox-repo", &both[..]),
        ("owned-noncritical-repo", &both[..]),
        ("candidate-default", &both[1..]),
        ("copied-fixture", &["contract_invalid"]),
    ] {
        let mut task = contract(mode, &repository);
        task["mutation_mode"] = json!(mode);
        let (exit, report) = installation.agent(&task, GOOD);
        assert_eq!(exit, 3, "{mode}");
        assert_eq!(codes(&report), missing, "{mode}");
    }
    let mut task = contract("approval", &repository);
    task["approval_required"] = json!(true);
    let (exit, report) = installation.agent(&task, GOOD);
    assert_eq!(
        (exit, codes(&report), &report["approval_status"]),
        (3, vec!["approval_denied".to_owned()], &json!("denied"))
    );
}

#[test]
fn an_engine_program_that_is_not_there_is_blocked_before_anything_starts() {
    let installation = Installation::new();
    let repository = installation.scripted("repo");
    let path = installation.contract(&contract("program", &repository));
    for program in ["/nonexistent/agent", "no-such-agent", "/root/agent"] {
        let (exit, report) = installation.json(&["run", "--contract", path.to_str().unwrap(), "--", program]);
        assert_eq!(
            (exit, codes(&report)),
            (3, vec!["provider_unavailable".to_owned()]),
            "{program}"
        );
        assert_eq!(report["case_process_started"], false);
        assert!(
            Path::new(&installation.bundle(&report))
                .join("backend/command-gate.log")
                .exists()
        );
    }
}
