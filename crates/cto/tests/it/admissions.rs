//! Admissions from outside: records are made, judged and kept; a run with a model needs them, and shows no endpoint.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Output;

use cto_gateway::scripted::{ScriptedModel, ScriptedOptions};
use serde_json::{Value, json};

use crate::support::{GOOD, Installation, codes, contract, snapshot, write};

const ENDPOINT: &str = "http://10.11.12.13:4567/v1";

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn admit_model(installation: &Installation, engine: &str, pair: &str, more: &[&str]) -> Output {
    let fixed = [
        "admit",
        "model",
        "--engine",
        engine,
        "--model",
        pair,
        "--approval",
        "operator, in a test",
    ];
    installation.cto(&[&fixed[..], more].concat())
}

fn record(installation: &Installation, engine: &str, kind: &str) -> PathBuf {
    installation
        .home()
        .join("admissions")
        .join(engine)
        .join(format!("{kind}.json"))
}

/// A directory that is not below a temporary one, where binaries may be admitted.
fn lasting_place() -> tempfile::TempDir {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let candidates = [
        Some(env!("CARGO_TARGET_TMPDIR").into()),
        home,
        Some("/srv".into()),
        Some("/opt".into()),
    ];
    let lasting = |path: &PathBuf| !["/tmp", "/var/tmp", "/dev/shm"].iter().any(|t| path.starts_with(t));
    let made = candidates
        .iter()
        .flatten()
        .filter(|path| lasting(path))
        .find_map(|path| tempfile::Builder::new().prefix("cto-it-").tempdir_in(path).ok());
    let Some(made) = made else {
        panic!("no directory that can be written is lasting: {candidates:?}");
    };
    fs::set_permissions(made.path(), fs::Permissions::from_mode(0o755)).unwrap();
    made
}

fn program(path: &Path, text: &str) {
    write(path, text.as_bytes());
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_record_is_shown_asked_for_written_once_and_kept_when_it_is_replaced() {
    let installation = Installation::new();
    let path = record(&installation, "pi", "model");
    let output = admit_model(&installation, "pi", "scripted/scripted-fix", &[]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("--yes") && !path.exists());

    let output = admit_model(
        &installation,
        "pi",
        "scripted/scripted-fix",
        &["--yes", "--expires", "2031-01-01"],
    );
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    let first = fs::read(&path).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&first).unwrap(), shown);
    assert_eq!(
        (shown["provider"].as_str(), shown["model"].as_str()),
        (Some("scripted"), Some("scripted-fix"))
    );
    assert_eq!(shown["credential_source_class"], "none");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

    let output = admit_model(&installation, "pi", "openai/gpt-x", &["--yes"]);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output));
    assert_eq!(fs::read(&path).unwrap(), first, "nothing is overwritten");

    let output = admit_model(&installation, "pi", "openai/gpt-x", &["--yes", "--replace"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let history: Vec<_> = fs::read_dir(path.parent().unwrap().join("history")).unwrap().collect();
    assert_eq!(history.len(), 1);
    assert_eq!(fs::read(history[0].as_ref().unwrap().path()).unwrap(), first);
}

#[test]
fn what_a_run_could_not_read_is_not_written() {
    let installation = Installation::new();
    let secret = ["sk-", "proj-0123456789abcdefABCDEF0123456789"].concat();
    for (flag, value, part) in [
        ("--approval", secret.as_str(), "approval_source"),
        ("--expires", "tomorrow", "expires_at"),
        ("--network-class", "http://10.0.0.1/v1", "allowed_network_class"),
        ("--review-trigger", "a\nb", "review_trigger"),
    ] {
        let fixed = [
            "admit",
            "model",
            "--engine",
            "pi",
            "--model",
            "scripted/scripted-fix",
            "--yes",
        ];
        let approval = if flag == "--approval" {
            vec![]
        } else {
            vec!["--approval", "operator"]
        };
        let output = installation.cto(&[&fixed[..], &approval[..], &[flag, value]].concat());
        let said = text(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(part) && !said.contains(&secret), "{said}");
        assert!(!record(&installation, "pi", "model").exists());
    }
    for pair in ["scripted", "Open AI/m", "scripted/../m", "scripted/"] {
        let output = admit_model(&installation, "pi", pair, &["--yes"]);
        assert_eq!(output.status.code(), Some(2), "{pair}: {}", text(&output));
    }
}

/// Runs the contract with a model that is asked for.
fn run_with(installation: &Installation, contract: &Path, pair: &str, variables: &[(&str, &str)]) -> (i32, Value) {
    let mut command = installation.command();
    command.args(["--json", "run", "--contract"]).arg(contract);
    command.args(["--model", pair, "--engine", "command"]);
    command.envs(variables.iter().copied());
    let output = command.args(["--", "/bin/sh", "-c", GOOD]).output().unwrap();
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output)));
    (output.status.code().unwrap(), report)
}

/// What a refusal leaves: the code, the gate that said no, the marker, the status in the report.
struct Refusal {
    code: &'static str,
    gate: &'static str,
    marker: &'static str,
    status: &'static str,
}

const NOT_ADMITTED: Refusal = Refusal {
    code: "model_not_admitted",
    gate: "model-admission",
    marker: "provider-model-not-admitted.txt",
    status: "missing_admission",
};

fn assert_refused(installation: &Installation, seen: &(i32, Value), refusal: &Refusal) {
    let (exit, report) = seen;
    assert_eq!((*exit, codes(report)), (3, vec![refusal.code.to_owned()]), "{report:#}");
    assert_eq!(report["case_process_started"], false);
    assert_eq!(report["case_model_admission_status"], refusal.status, "{report:#}");
    let backend = installation.bundle(report).join("backend");
    let said = fs::read_to_string(backend.join(refusal.marker)).unwrap();
    let detail = report["blockers"][0]["detail"].as_str().unwrap();
    assert!(detail.contains(said.trim()), "{said}");
    let log = fs::read_to_string(backend.join("command-gate.log")).unwrap();
    assert!(log.contains(refusal.gate), "{log}");
    let events = installation.events(report);
    let blocked = |event: &&Value| event["type"] == "backend.gate.blocked" && event["data"]["gate"] == refusal.gate;
    assert_eq!(events.iter().filter(blocked).count(), 1);
    let id = report["run_id"].as_str().unwrap();
    assert_eq!(installation.json(&["verify", id]).0, 0, "a refusal is evidence too");
}

#[test]
fn a_run_with_a_model_needs_its_admission_its_endpoint_and_its_credential() {
    let installation = Installation::new();
    let repository = installation.scripted("repo");
    let contract = installation.contract(&contract("model", &repository));
    let local = [("CTO_HARNESS_COMMAND_LOCAL_BASE_URL", ENDPOINT)];
    let refused = |pair: &str, variables: &[(&str, &str)], refusal: Refusal| {
        let seen = run_with(&installation, &contract, pair, variables);
        assert_refused(&installation, &seen, &refusal);
        seen.1
    };
    let admit = |pair: &str, more: &[&str]| {
        let output = admit_model(
            &installation,
            "command",
            pair,
            &[&["--yes", "--replace"], more].concat(),
        );
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    };
    refused("scripted/scripted-fix", &local, NOT_ADMITTED);
    admit("scripted/scripted-fix", &[]);
    refused(
        "scripted/other",
        &local,
        Refusal {
            status: "mismatch",
            ..NOT_ADMITTED
        },
    );
    let report = refused(
        "scripted/scripted-fix",
        &[],
        Refusal {
            code: "provider_local_config_unavailable",
            gate: "provider-config",
            marker: "provider-local-config-unavailable.txt",
            status: "admitted",
        },
    );
    assert_eq!(report["failure_reason"], "provider unavailable");
    admit("openai/gpt-x", &[]);
    refused(
        "openai/gpt-x",
        &local,
        Refusal {
            code: "provider_auth_unavailable",
            gate: "provider-auth",
            marker: "provider-auth-unavailable.txt",
            status: "admitted",
        },
    );
    admit("openai/gpt-x", &["--deny"]);
    refused(
        "openai/gpt-x",
        &[],
        Refusal {
            status: "not_admitted",
            ..NOT_ADMITTED
        },
    );
}

#[test]
fn an_admitted_run_names_its_model_and_shows_its_endpoint_nowhere() {
    let installation = Installation::new();
    let repository = installation.scripted("repo");
    let contract = installation.contract(&contract("model", &repository));
    let output = admit_model(&installation, "command", "scripted/scripted-fix", &["--yes"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let model = ScriptedModel::start(ScriptedOptions::default()).unwrap();
    let endpoint = model.openai_base_url();
    let local = [("CTO_HARNESS_COMMAND_LOCAL_BASE_URL", endpoint.as_str())];
    let (exit, report) = run_with(&installation, &contract, "scripted/scripted-fix", &local);
    assert_eq!((exit, &report["status"]), (0, &json!("pass")), "{report:#}");
    for (field, value) in [
        ("case_model_provider", "scripted"),
        ("case_model", "scripted-fix"),
        ("case_model_admission_status", "admitted"),
        ("source_admission_status", "not_admitted"),
        ("case_runtime_model_provider", "scripted"),
    ] {
        assert_eq!(report[field], value, "{field}");
    }
    for (file, bytes) in snapshot(&installation.bundle(&report)) {
        let shown = String::from_utf8_lossy(&bytes).into_owned();
        assert!(
            !shown.contains(&model.address().to_string()),
            "{} shows the endpoint",
            file.display()
        );
    }
    let id = report["run_id"].as_str().unwrap();
    assert_eq!(installation.json(&["verify", id]).0, 0);
}

#[test]
fn a_record_that_changed_hands_admits_no_run() {
    let installation = Installation::new();
    let repository = installation.scripted("repo");
    let file = installation.contract(&contract("hands", &repository));
    assert_eq!(
        admit_model(&installation, "command", "scripted/scripted-fix", &["--yes"])
            .status
            .code(),
        Some(0)
    );
    let path = record(&installation, "command", "model");
    let model = ScriptedModel::start(ScriptedOptions::default()).unwrap();
    let run = || {
        let mut command = installation.command();
        command.env("CTO_HARNESS_COMMAND_LOCAL_BASE_URL", model.openai_base_url());
        command
            .args(["--json", "run", "--model", "scripted/scripted-fix", "--contract"])
            .arg(&file);
        let output = command.args(["--", "/bin/sh", "-c", GOOD]).output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        (
            codes(&report),
            report["case_model_admission_status"].as_str().unwrap().to_owned(),
        )
    };
    assert_eq!(run(), (vec![], "admitted".to_owned()));
    let refused = (vec!["model_not_admitted".to_owned()], "invalid_admission".to_owned());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(run(), refused);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(run().1, "admitted");
    let real = path.with_extension("real");
    fs::rename(&path, &real).unwrap();
    symlink(&real, &path).unwrap();
    assert_eq!(run(), refused);
}

#[test]
fn a_closed_gate_is_the_only_reason_and_an_engine_is_not_looked_at_behind_it() {
    let installation = Installation::new();
    for engine in ["codex", "case"] {
        let (exit, report) = installation.json(&["run", "r1-string-slugify", "--engine", engine]);
        assert_eq!(exit, 3, "{report:#}");
        let codes = codes(&report);
        assert!(codes.contains(&"gate_missing".to_owned()), "{codes:?}");
        assert!(!codes.contains(&"model_not_admitted".to_owned()), "{codes:?}");
        assert!(
            installation
                .bundle(&report)
                .join(format!("backend/{engine}-gate.log"))
                .exists()
        );
    }
}

#[test]
fn every_record_is_judged_with_a_status_and_an_exit() {
    let installation = Installation::new();
    let path = installation.dir.path().join("record.json");
    let model = json!({
        "admission_timestamp": "2026-05-31T00:00:00-04:00",
        "allowed_network_class": "codex-oauth-hosted-model-plus-local-vllm-fallback",
        "approval_source": "operator chat approval on 2026-05-31",
        "credential_source_class": "codex-oauth-and-local-vllm-config",
        "model": "gpt-5.5",
        "provider": "openai-codex",
        "review_trigger": "Before the admission path changes.",
        "status": "admitted"
    });
    let with = |key: &str, value: Value| {
        let mut changed = model.clone();
        changed[key] = value;
        changed.to_string()
    };
    let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
    let check = |arguments: &[&str]| {
        let fixed = ["admission", "check", path.to_str().unwrap()];
        let (exit, said) = installation.json(&[&fixed[..], arguments].concat());
        (
            exit,
            said["status"].as_str().unwrap().to_owned(),
            said["reasons"].clone(),
        )
    };
    for (content, exit, status) in [
        (model.to_string(), 0, "admitted"),
        (with("status", json!("denied")), 3, "not_admitted"),
        (with("expires_at", json!("2026-06-01")), 3, "expired"),
        (with("admission_timestamp", json!("2099-01-01")), 3, "invalid_admission"),
        (with("extra", json!(1)), 3, "invalid_admission"),
        (
            model.to_string().replacen('{', "{\"status\":\"admitted\",", 1),
            3,
            "invalid_admission",
        ),
        (model.to_string().replace("\"admitted\"", "NaN"), 3, "invalid_admission"),
        (model.to_string().replace("\"admitted\"", &deep), 3, "invalid_admission"),
        (format!("\u{feff}{model}"), 3, "invalid_admission"),
        (format!("{model}\r\n"), 3, "invalid_admission"),
        (format!("{model}{}", " ".repeat(1 << 20)), 3, "invalid_admission"),
    ] {
        write(&path, content.as_bytes());
        let seen = check(&["--kind", "model"]);
        assert_eq!((seen.0, seen.1.as_str()), (exit, status), "{content:.120}: {}", seen.2);
        assert_eq!(seen.2.as_array().unwrap().is_empty(), exit == 0);
    }
    write(&path, b"{}");
    assert_eq!(check(&[]).0, 2, "no kind can be told");
    fs::remove_file(&path).unwrap();
    assert_eq!(check(&["--kind", "model"]).1, "missing_admission");
    symlink("/dev/zero", &path).unwrap();
    assert_eq!(check(&["--kind", "source"]).0, 3);
}

#[test]
fn a_target_and_a_decision_are_made_and_judged() {
    let installation = Installation::new();
    let repository = installation.scripted("target");
    let file = installation.dir.path().join("target.json");
    let make = |more: &[&str]| {
        let fixed = [
            "admit",
            "repository",
            "--engine",
            "case",
            "--yes",
            "--replace",
            "--file",
            file.to_str().unwrap(),
            "--path",
            repository.to_str().unwrap(),
            "--owner",
            "operator",
            "--ownership-evidence",
            "made for a test",
            "--rationale",
            "a sandbox",
            "--allow",
            "value.txt",
            "--approval",
            "operator",
        ];
        let output = installation.cto(&[&fixed[..], more].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
        installation.json(&["admission", "check", file.to_str().unwrap()])
    };
    assert_eq!(make(&[]).0, 0);
    let (exit, said) = make(&["--deny"]);
    assert_eq!((exit, &said["status"]), (3, &json!("not_admitted")));
    assert!(
        !fs::read_to_string(&file)
            .unwrap()
            .contains(repository.to_str().unwrap()),
        "a refusal holds no path"
    );

    let decide = |more: &[&str]| {
        let fixed = [
            "admit",
            "decision",
            "--engine",
            "case",
            "--yes",
            "--replace",
            "--effect",
            "as decided",
            "--status",
        ];
        let output = installation.cto(&[&fixed[..], more].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
        let path = record(&installation, "case", "decision");
        let (exit, said) = installation.json(&["admission", "check", path.to_str().unwrap()]);
        (exit, said["status"].as_str().unwrap().to_owned())
    };
    assert_eq!(decide(&["not_decided"]), (3, "not_decided".to_owned()));
    let local = [
        "local_provider_required",
        "--class",
        "local_case_compatible",
        "--model",
        "qwen-local/q",
        "--approval",
        "operator",
        "--credential-class",
        "none",
        "--network-class",
        "local",
    ];
    assert_eq!(decide(&local), (0, "local_provider_required".to_owned()));
    let external = [&local[..1], &["--class", "external_anthropic"], &local[3..]].concat();
    assert_eq!(decide(&external).0, 3, "a decision that contradicts itself");
}

#[test]
fn a_build_is_recorded_by_path_and_digest_and_asked_what_it_is_in_a_cage() {
    let installation = Installation::new();
    let place = lasting_place();
    let binary = place.path().join("agent");
    program(&binary, "#!/bin/sh\necho my-agent 1.2.3\n");
    let build = |bin: &Path, more: &[&str]| {
        let fixed = [
            "admit",
            "build",
            "--engine",
            "command",
            "--yes",
            "--replace",
            "--bin",
            bin.to_str().unwrap(),
        ];
        installation.cto(&[&fixed[..], more].concat())
    };
    let output = build(&binary, &["--identity", "my-agent", "--tool", "sh=5"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let path = record(&installation, "command", "build");
    let made: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(made["identity_check"]["passed"], true);
    assert_eq!(made["tool_versions"]["sh"], "5");
    let check = || installation.json(&["admission", "check", path.to_str().unwrap()]).0;
    assert_eq!(check(), 0);
    let (_, said) = installation.json(&["admission", "check", path.to_str().unwrap()]);
    let reason = said["reasons"][0].as_str().unwrap();
    assert!(
        reason.starts_with("up to stage 2 only: ") && reason.contains("pins neither"),
        "{reason}"
    );
    program(&binary, "#!/bin/sh\necho my-agent 1.2.4\n");
    assert_eq!(check(), 3, "a changed binary");

    let before = fs::read(&path).unwrap();
    let temporary = installation.dir.path().join("agent");
    program(&temporary, "#!/bin/sh\necho my-agent\n");
    fs::set_permissions(installation.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    program(&place.path().join("other"), "#!/bin/sh\necho somebody else\n");
    write(&place.path().join("data"), b"x");
    fs::set_permissions(place.path().join("data"), fs::Permissions::from_mode(0o644)).unwrap();
    for (bin, part) in [
        (temporary.as_path(), "discovery only"),
        (&place.path().join("other"), "did not say"),
        (&place.path().join("data"), "not executable"),
        (&place.path().join("none"), "none"),
        (Path::new("case"), "bare name"),
    ] {
        let output = build(bin, &["--identity", "my-agent"]);
        assert_eq!(output.status.code(), Some(3), "{}", text(&output));
        assert!(text(&output).contains(part), "'{part}' is not in: {}", text(&output));
    }
    assert_eq!(fs::read(&path).unwrap(), before, "what is refused is not written");
}

#[test]
fn a_source_takes_its_pin_from_the_build_and_remembers_the_one_before() {
    let installation = Installation::new();
    let place = lasting_place();
    let binary = place.path().join("agent");
    program(&binary, "#!/bin/sh\necho my-agent\n");
    let checkout = installation.scripted("checkout");
    let source = |more: &[&str]| {
        let fixed = [
            "admit",
            "source",
            "--engine",
            "command",
            "--yes",
            "--replace",
            "--url",
            "https://example.org/agent",
            "--type",
            "git",
            "--commit-date",
            "2026-01-01",
            "--retrieval-command",
            "git clone",
            "--integrity",
        ];
        let digest = format!("sha256:{}", "0f".repeat(32));
        installation.cto(
            &[
                &fixed[..],
                &[&digest, "--mode", "copied-repo", "--permit", "copied-repo"],
                more,
            ]
            .concat(),
        )
    };
    assert_eq!(source(&[]).status.code(), Some(2), "nothing is pinned");
    let build = || {
        let output = installation.cto(&[
            "admit",
            "build",
            "--engine",
            "command",
            "--yes",
            "--replace",
            "--bin",
            binary.to_str().unwrap(),
            "--source",
            checkout.to_str().unwrap(),
            "--build-command",
            "make",
        ]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
        let made: Value = serde_json::from_slice(&output.stdout).unwrap();
        made
    };
    let first = build();
    assert_eq!(first["checkout_clean"], true);
    let output = source(&["--licence", "MIT"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let path = record(&installation, "command", "source");
    assert_eq!(installation.json(&["admission", "check", path.to_str().unwrap()]).0, 0);
    write(&checkout.join("other.txt"), b"changed\n");
    crate::support::git(&checkout, &["commit", "--quiet", "--all", "--message=second"]);
    write(&checkout.join("other.txt"), b"dirty\n");
    let second = build();
    assert_ne!(first["pinned_commit"], second["pinned_commit"]);
    assert_eq!(second["checkout_clean"], false);
    let output = source(&["--licence-unresolved"]);
    let made: Value = serde_json::from_slice(&output.stdout).unwrap();
    let previous = made["previous_source_id"].as_str().unwrap();
    assert!(
        previous.ends_with(first["pinned_commit"].as_str().unwrap()),
        "{previous}"
    );
    assert_eq!(
        installation.json(&["admission", "check", path.to_str().unwrap()]).0,
        3,
        "unresolved"
    );
}

#[test]
fn status_says_where_each_chain_stops_and_what_to_type_with_nothing_installed() {
    let installation = Installation::new();
    let (exit, all) = installation.json(&["status"]);
    assert_eq!(exit, 0);
    let stop = |all: &Value, engine: &str| {
        let row = all["engines"]
            .as_array()
            .unwrap()
            .iter()
            .find(|row| row["engine"] == engine)
            .unwrap();
        (
            row["ready"] == true,
            row["stops_at"].as_str().map(str::to_owned),
            row["next"].as_str().unwrap_or_default().to_owned(),
        )
    };
    for engine in ["fake", "command"] {
        assert!(stop(&all, engine).0, "{engine}");
    }
    let (ready, at, next) = stop(&all, "case");
    assert_eq!((ready, at.as_deref()), (false, Some("decision")));
    assert!(next.starts_with("cto admit decision"), "{next}");
    let (_, at, next) = stop(&all, "codex");
    assert_eq!(at.as_deref(), Some("model"));
    assert!(next.starts_with("cto admit model --engine codex"), "{next}");
    assert_eq!(
        admit_model(&installation, "codex", "openai/gpt-x", &["--yes"])
            .status
            .code(),
        Some(0)
    );
    let (_, all) = installation.json(&["status", "--engine", "codex"]);
    assert_eq!(stop(&all, "codex").1.as_deref(), Some("program"));
    let plain = installation.cto(&["status", "--engine", "codex"]);
    let said = text(&plain);
    for part in ["model", "admitted: openai/gpt-x", "source", "next:"] {
        assert!(said.contains(part), "'{part}' is not in: {said}");
    }
    assert_eq!(
        installation.cto(&["status", "--engine", "codxe"]).status.code(),
        Some(2)
    );
}

#[test]
fn settings_show_classes_and_origins_and_profiles_fix_what_flags_leave_open() {
    let installation = Installation::new();
    let settings = installation.home().join("harness.yaml");
    installation.cto(&["key", "create"]);
    write(
        &settings,
        b"providers:\n  lan: {class: local, base_url: 'http://10.11.12.13:4567/v1', credential: {file: /k/secret-key}}\n\
          profiles:\n  quick: {engine: 'fake:no-diff', stage: 2, limits: {timeout_seconds: 60}}\n\
          engines:\n  codex: {model_provider: lan, model: m}\n  command: {model_admission_file: /a/b.json}\n",
    );
    let mut command = installation.command();
    command.env("CTO_HARNESS_CASE_LOCAL_BASE_URL", "http://10.11.12.13:99/v1");
    let output = command.args(["config", "show"]).output().unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(!said.contains("10.11.12.13") && !said.contains("secret-key"), "{said}");
    for part in [
        "providers",
        "\"configured\"",
        "\"file\"",
        "CTO_HARNESS_CASE_LOCAL_BASE_URL",
        "(environment)",
        "profiles",
    ] {
        assert!(said.contains(part), "'{part}' is not in: {said}");
    }
    let (exit, report) = installation.json(&["run", "r1-string-slugify", "--profile", "quick"]);
    assert_eq!((exit, codes(&report)), (1, vec!["no_diff".to_owned()]), "{report:#}");
    let output = installation.cto(&["run", "r1-string-slugify", "--profile", "quik"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).contains("did you mean 'quick'?"), "{}", text(&output));
    let output = installation.cto(&["run", "r1-string-slugify", "--model", "scripted/scripted-fix"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).contains("uses no model"), "{}", text(&output));
}

#[test]
fn a_model_record_that_no_run_could_use_is_not_written() {
    let installation = Installation::new();
    let path = record(&installation, "pi", "model");
    let same = ["--fallback", "scripted/scripted-fix"];
    for (pair, more, why) in [
        (
            "scripted/scripted-fix",
            &["--expires", "2001-01-01"][..],
            "ends before it begins",
        ),
        (
            "scripted/scripted-fix",
            &["--network-class", "moonbase"],
            "neither local nor external",
        ),
        (
            "scripted/scripted-fix",
            &["--network-class", "non-local"],
            "say what is allowed",
        ),
        ("scripted/scripted-fix", &same, "names a pair twice"),
        ("nobody/scripted-fix", &[], "is not known"),
    ] {
        let output = admit_model(&installation, "pi", pair, &[&["--yes"], more].concat());
        assert_eq!(output.status.code(), Some(2), "{more:?}: {}", text(&output));
        assert!(text(&output).contains(why) && !path.exists(), "{}", text(&output));
    }
    // One that denies need not be of use.
    let output = admit_model(&installation, "pi", "nobody/scripted-fix", &["--yes", "--deny"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
}
