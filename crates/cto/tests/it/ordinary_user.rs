//! The same for an ordinary user: no root, no delegated cgroup, and nothing weaker in silence.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::process::{Command, Stdio};

use crate::support::{Installation, program};

const USER: u32 = 1717;

#[test]
fn an_ordinary_user_runs_the_demo_and_is_told_which_limits_are_missing() {
    let installation = Installation::new();
    let directory = installation.dir.path();
    let binary = directory.join("cto");
    fs::copy(program(), &binary).unwrap();
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
    let home = directory.join("user");
    fs::create_dir(&home).unwrap();
    chown(&home, Some(USER), Some(USER)).unwrap();
    let output = Command::new("setpriv")
        .args([
            format!("--reuid={USER}"),
            format!("--regid={USER}"),
            "--clear-groups".to_owned(),
        ])
        .arg(&binary)
        .args(["--json", "run", "r1-string-slugify"])
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("CTO_HOME", home.join("cto"))
        .current_dir(&home)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr)));
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
