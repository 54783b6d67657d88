//! An operator with an SSH key, and repositories that may be changed.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Installation, write};

/// Whose approvals count.
pub struct Operator {
    pub key: PathBuf,
    pub name: &'static str,
}

impl Operator {
    /// Makes a key and lets its holder approve.
    pub fn of(installation: &Installation) -> Self {
        let operator = Self::stranger(installation, "operator");
        let public = std::fs::read_to_string(operator.key.with_extension("pub")).unwrap();
        let line = format!("{} namespaces=\"cto-approval@v1\" {public}", operator.name);
        write(&installation.home().join("allowed_signers"), line.as_bytes());
        operator
    }

    /// Makes a key that nobody has allowed anything.
    pub fn stranger(installation: &Installation, file: &str) -> Self {
        let key = installation.dir.path().join(file);
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"])
            .arg(&key)
            .status();
        assert!(
            made.unwrap().success(),
            "ssh-keygen is in openssh-client; scripts/test installs it"
        );
        Self {
            key,
            name: "operator@cto.invalid",
        }
    }
}

/// The gates of an engine at a stage.
pub fn gates(engine: &str, stage: u8) -> [(String, String); 2] {
    let name = engine.to_uppercase();
    [
        (format!("CTO_HARNESS_ALLOW_{name}"), "1".to_owned()),
        (format!("CTO_HARNESS_{name}_STAGE"), stage.to_string()),
    ]
}

/// `cto` with an engine's gates; returns exit code and document.
pub fn gated(installation: &Installation, engine: &str, stage: u8, arguments: &[&str]) -> (i32, Value) {
    let mut command = installation.command();
    command.arg("--json").args(arguments).envs(gates(engine, stage));
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let document = serde_json::from_str(&text).unwrap_or_else(|_| {
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        json!({ "error": error })
    });
    (output.status.code().unwrap(), document)
}

/// Says yes to a packet.
pub fn approve(installation: &Installation, operator: &Operator, packet: &Value) -> (i32, String) {
    say(
        installation,
        operator,
        &[
            "approve",
            packet["packet_id"].as_str().unwrap(),
            "--sentence",
            packet["sentence"].as_str().unwrap(),
        ],
    )
}

/// Says something with an operator's key; returns exit code and both outputs.
pub fn say(installation: &Installation, operator: &Operator, words: &[&str]) -> (i32, String) {
    let output = installation
        .command()
        .args(words)
        .arg("--key")
        .arg(&operator.key)
        .output()
        .unwrap();
    let both = [output.stdout, output.stderr].concat();
    (
        output.status.code().unwrap(),
        String::from_utf8_lossy(&both).into_owned(),
    )
}

/// The admission of a repository for `value.txt`.
pub fn admit(installation: &Installation, repository: &Path, engine: &str) {
    let (code, said) = installation.json(&[
        "admit",
        "repository",
        "--engine",
        engine,
        "--path",
        repository.to_str().unwrap(),
        "--allow",
        "value.txt",
        "--owner",
        "test",
        "--ownership-evidence",
        "made by this test",
        "--rationale",
        "thrown away afterwards",
        "--approval",
        "the test",
        "--yes",
        "--replace",
    ]);
    assert_eq!(code, 0, "{said}");
}

/// The contract of a run that changes a repository of its own.
pub fn owned_contract(task: &str, repository: &Path) -> Value {
    let mut contract = crate::support::contract(task, repository);
    contract["mutation_mode"] = json!("owned-noncritical-repo");
    contract
}

/// What makes the accepted change of `r1-string-slugify`.
pub const FIX: &str = r#"sed -i 's/return .*/return "-".join(text.lower().split())/' strings.py"#;

/// Returns a copy of an installation in which `fake` stands on stage 3 and `/bin/sh`, as engine `command`, on stage 4; and
/// the operator who approved that. The climb is made once for a program, and each test gets its own copy.
pub fn climbed() -> (Installation, Operator) {
    shared("climbed", &climb)
}

/// The same with every row of the failure matrix on record, and stage 5 as far as it needs no operator.
pub fn with_every_row() -> (Installation, Operator) {
    shared("rows", &|installation| {
        climb(installation);
        let (_, found) = installation.json(&[
            "stage", "validate", "5", "--engine", "command", "--", "/bin/sh", "-c", FIX,
        ]);
        assert_eq!(found["ok"], true, "{found:#}");
        let (code, found) = installation.json(&["compare", "--candidate", "command", "--play-missing"]);
        assert_eq!(code, 1, "nothing was accepted yet: {found:#}");
        assert_eq!(found["play_problems"], json!([]), "{found:#}");
    })
}

fn shared(kind: &str, make: &dyn Fn(&Installation)) -> (Installation, Operator) {
    let installation = Installation::new();
    let program = std::fs::metadata(crate::support::program()).unwrap();
    let stamp = program
        .modified()
        .unwrap()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let name = format!("{kind}-{}-{}", program.len(), stamp.as_nanos());
    let shared = Path::new(env!("CARGO_TARGET_TMPDIR"));
    std::fs::create_dir_all(shared).unwrap();
    let lock = std::fs::File::create(shared.join(format!("{kind}.lock"))).unwrap();
    lock.lock().unwrap();
    let top = shared.join(&name);
    if top.exists() {
        copy(&top, installation.dir.path());
    } else {
        let old = std::fs::read_dir(shared).unwrap().filter_map(Result::ok);
        for entry in old.filter(|entry| entry.file_name().to_string_lossy().starts_with(&format!("{kind}-"))) {
            std::fs::remove_dir_all(entry.path()).unwrap();
        }
        make(&installation);
        copy(installation.dir.path(), &top);
    }
    drop(lock);
    let key = installation.dir.path().join("operator");
    let name = "operator@cto.invalid";
    (installation, Operator { key, name })
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    let copied = Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status();
    assert!(copied.unwrap().success());
}

fn climb(installation: &Installation) {
    let operator = Operator::of(installation);
    let agent = ["--", "/bin/sh", "-c", FIX];
    let validate = |words: &[&str]| {
        let (code, found) = installation.json(&[&["stage", "validate"][..], words].concat());
        assert_eq!(code, 0, "{found:#}");
    };
    validate(&["3"]);
    validate(&[&["4", "--engine", "command"][..], &agent].concat());
    let mode = ["r1-string-slugify", "--mode", "sandbox-repo", "--engine", "command"];
    let (code, packet) = gated(installation, "command", 4, &[&["request"][..], &mode, &agent].concat());
    assert_eq!(code, 0, "{packet:#}");
    assert_eq!(approve(installation, &operator, &packet).0, 0);
    let id = packet["packet_id"].as_str().unwrap();
    let run = [&["run", "--approval", id][..], &mode, &agent].concat();
    let (code, report) = gated(installation, "command", 4, &run);
    assert_eq!(code, 0, "{report:#}");
}
