//! An installation in a directory of its own, and repositories to work on.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

pub fn program() -> &'static str {
    env!("CARGO_BIN_EXE_cto")
}

/// Baselines and self-tests are made once for all tests of a process' neighbours: each test has its own home, but the
/// directory that holds them is one that other users may enter, as the tests of an ordinary user need it.
pub struct Installation {
    pub dir: TempDir,
}

impl Installation {
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("cto-it-").tempdir().unwrap();
        Self { dir }
    }

    /// An installation in memory where there is such a place.
    pub fn in_memory() -> Self {
        let memory = Path::new("/dev/shm");
        if !memory.is_dir() {
            return Self::new();
        }
        let dir = tempfile::Builder::new().prefix("cto-it-").tempdir_in(memory).unwrap();
        Self { dir }
    }

    pub fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(program());
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("CTO_HOME", self.home());
        command.current_dir(self.dir.path()).stdin(Stdio::null());
        command
    }

    pub fn cto(&self, arguments: &[&str]) -> Output {
        self.command().args(arguments).output().unwrap()
    }

    /// Runs with `--json` and returns exit code and document.
    pub fn json(&self, arguments: &[&str]) -> (i32, Value) {
        let output = self.command().arg("--json").args(arguments).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let value = serde_json::from_str(&text)
            .unwrap_or_else(|e| panic!("{e}: {text}\n{}", String::from_utf8_lossy(&output.stderr)));
        (output.status.code().unwrap(), value)
    }

    /// Runs a contract with a shell script as the agent.
    pub fn agent(&self, contract: &Value, script: &str) -> (i32, Value) {
        let path = self.contract(contract);
        self.json(&[
            "run",
            "--contract",
            path.to_str().unwrap(),
            "--",
            "/bin/sh",
            "-c",
            script,
        ])
    }

    /// The same with a variable in the environment of the harness.
    pub fn agent_beside(&self, variable: (&str, &str), contract: &Value, script: &str) -> (i32, Value) {
        let path = self.contract(contract);
        let mut command = self.command();
        command
            .env(variable.0, variable.1)
            .args(["--json", "run", "--contract"])
            .arg(path);
        let output = command.args(["--", "/bin/sh", "-c", script]).output().unwrap();
        (
            output.status.code().unwrap(),
            serde_json::from_slice(&output.stdout).unwrap(),
        )
    }

    pub fn contract(&self, contract: &Value) -> PathBuf {
        let path = self
            .dir
            .path()
            .join(format!("contract-{}.json", contract["task_id"].as_str().unwrap()));
        write(&path, contract.to_string().as_bytes());
        path
    }

    pub fn bundle(&self, report: &Value) -> PathBuf {
        self.home().join("runs").join(report["run_id"].as_str().unwrap())
    }

    pub fn document(&self, report: &Value, name: &str) -> Value {
        serde_json::from_slice(&fs::read(self.bundle(report).join(name)).unwrap()).unwrap()
    }

    pub fn events(&self, report: &Value) -> Vec<Value> {
        let text = fs::read_to_string(self.bundle(report).join("events.normalized.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Makes a repository with the given files, committed.
    pub fn repository(&self, name: &str, files: &[(&str, &str)]) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::create_dir(&path).unwrap();
        git(&path, &["init", "--quiet", "--initial-branch=main"]);
        for (file, content) in files {
            write(&path.join(file), content.as_bytes());
            if content.starts_with("#!") {
                fs::set_permissions(path.join(file), fs::Permissions::from_mode(0o755)).unwrap();
            }
        }
        git(&path, &["add", "--all"]);
        git(&path, &["commit", "--quiet", "--message=first"]);
        path
    }

    /// A repository whose check is a script: it passes when `value.txt` says `good`.
    pub fn scripted(&self, name: &str) -> PathBuf {
        self.repository(
            name,
            &[
                ("value.txt", "bad\n"),
                ("check.sh", CHECK),
                (".gitignore", "build/\n"),
                ("other.txt", "x\n"),
            ],
        )
    }
}

const CHECK: &str = "#!/bin/sh\n# Passes when the value is good and nobody broke the tree.\nset -e\ntest ! -e broken\ngrep -qx good value.txt\n";

/// The contract of a run on [`Installation::scripted`]; the canary patch breaks the tree.
pub fn contract(task: &str, repository: &Path) -> Value {
    serde_json::json!({
        "task_id": task,
        "title": "make the value good",
        "brief": "write good into value.txt",
        "target_repository": repository,
        "allowed_paths": ["value.txt"],
        "forbidden_actions": ["push"],
        "mutation_mode": "copied-repo",
        "success_criteria": ["check.sh exits 0"],
        "verification_commands": [["/bin/sh", "check.sh"]],
        "canary_patch": "diff --git a/broken b/broken\nnew file mode 100644\n--- /dev/null\n+++ b/broken\n@@ -0,0 +1 @@\n+x\n",
        "baseline_expectation": "red",
        "timeouts": {"grace_seconds": 1}
    })
}

pub const GOOD: &str = "echo good > value.txt";

pub fn write(path: &Path, bytes: &[u8]) {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).unwrap();
    }
    fs::File::create(path).unwrap().write_all(bytes).unwrap();
}

pub fn git(directory: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args([
            "-c",
            "user.name=test",
            "-c",
            "user.email=test@cto.invalid",
            "-c",
            "protocol.file.allow=always",
        ])
        .args(arguments)
        .current_dir(directory)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "git {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn codes(report: &Value) -> Vec<String> {
    let blockers = report["blockers"].as_array().unwrap();
    blockers
        .iter()
        .map(|blocker| blocker["code"].as_str().unwrap().to_owned())
        .collect()
}

/// Every file below a directory with its content, for before-and-after comparisons.
pub fn snapshot(root: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    fn walk(at: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
        let mut entries: Vec<_> = fs::read_dir(at).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            let meta = fs::symlink_metadata(&path).unwrap();
            if meta.is_dir() {
                found.push((path.clone(), vec![]));
                walk(&path, found);
            } else if meta.is_file() {
                found.push((path.clone(), fs::read(&path).unwrap()));
            } else {
                found.push((path, b"special".to_vec()));
            }
        }
    }
    let mut found = Vec::new();
    walk(root, &mut found);
    found
}

pub fn is_root() -> bool {
    fs::read_to_string("/proc/self/status")
        .unwrap()
        .lines()
        .any(|line| line.starts_with("Uid:\t0"))
}

/// Long checks run only with `--all`.
pub fn all() -> bool {
    std::env::var_os("CTO_TEST_ALL").is_some()
}
