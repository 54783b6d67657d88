//! The same for an ordinary user: no root, no delegated cgroup, and nothing weaker in silence.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, lchown};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::lacks::lacks;
use crate::support::{Installation, codes, contract, is_root, program, write};

const USER: u32 = 1717;

/// Runs the program as a user who is nobody else, in a directory of its own that `prepare` fills.
fn run_as_user(installation: &Installation, arguments: &[&str], prepare: impl Fn(&Path)) -> Value {
    let directory = installation.dir.path();
    let binary = directory.join("cto");
    fs::copy(program(), &binary).unwrap();
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
    let home = directory.join("user");
    fs::create_dir(&home).unwrap();
    prepare(&home);
    give(&home);
    let output = Command::new("setpriv")
        .args([
            format!("--reuid={USER}"),
            format!("--regid={USER}"),
            "--clear-groups".to_owned(),
        ])
        .arg(&binary)
        .args(["--json", "run"])
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("CTO_HOME", home.join("cto"))
        .current_dir(&home)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr)))
}

fn give(path: &Path) {
    lchown(path, Some(USER), Some(USER)).unwrap();
    if path.symlink_metadata().unwrap().is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            give(&entry.unwrap().path());
        }
    }
}

#[test]
fn what_an_agent_closes_to_its_own_user_is_read_all_the_same() {
    if lacks("root", is_root()) {
        return;
    }
    let installation = Installation::new();
    let script = "echo good > value.txt
        mkdir -p new/deep .git/hooks && echo x > new/deep/f && ln -s /etc new/deep/link
        echo changed > old/in/f && echo x > .git/hooks/pre-commit
        chmod 000 new/deep/f old/in/f .git/hooks/pre-commit
        chmod 000 new/deep old/in .git/hooks && chmod 400 new old .git/refs && chmod 000 .git .";
    let arguments = ["--contract", "contract.json", "--", "/bin/sh", "-c", script];
    let report = run_as_user(&installation, &arguments, |home| {
        let repository = installation.repository("user/repo", &[("value.txt", "bad\n"), ("old/in/f", "x\n")]);
        let mut contract = contract("closed", &repository);
        contract["allowed_paths"] = serde_json::json!(["**"]);
        contract["no_test_rationale"] = "only what is read counts here".into();
        for field in ["verification_commands", "canary_patch"] {
            contract.as_object_mut().unwrap().remove(field);
        }
        write(&home.join("contract.json"), contract.to_string().as_bytes());
    });
    assert_eq!(codes(&report), ["unsafe_file"], "{:#}", report["blockers"]);
    let detail = report["blockers"][0]["detail"].as_str().unwrap();
    assert_eq!(detail, "new/deep/link (escaping_symlink)");
    assert_eq!(
        report["changed_files"],
        serde_json::json!(["new/deep/f", "new/deep/link", "old/in/f", "value.txt"])
    );
    let runs = installation.dir.path().join("user/cto/runs");
    let write_set = runs.join(report["run_id"].as_str().unwrap()).join("write-set.json");
    let write_set: Value = serde_json::from_slice(&fs::read(write_set).unwrap()).unwrap();
    assert!(
        write_set["git"]
            .as_array()
            .unwrap()
            .iter()
            .any(|fact| fact["kind"] == "hook_added"),
        "{:#}",
        write_set["git"]
    );
}

#[test]
fn an_ordinary_user_runs_the_demo_and_is_told_which_limits_are_missing() {
    if lacks("root", is_root()) {
        return;
    }
    let installation = Installation::new();
    let report = run_as_user(&installation, &["r1-string-slugify"], |_| ());
    assert_eq!(report["status"], "pass", "{:#}", report["blockers"]);
    let bounds = report["enforcement"]["bounds"].as_array().unwrap();
    let state = |name: &str| bounds.iter().find(|bound| bound["name"] == name).unwrap()["state"].clone();
    for name in [
        "user_namespace",
        "network",
        "landlock",
        "seccomp",
        "capabilities",
        "disk_limit",
        "outer_uid",
    ] {
        assert_eq!(state(name), "enforced", "{name}");
    }
    assert_eq!(
        state("memory_limit"),
        "absent",
        "no cgroup was delegated, and the report must say so"
    );
}
