//! No secret in a bundle, wherever it came from; and every such bundle verifies.

use std::fs;
use std::path::Path;

use cto_gateway::scripted::When;
use serde_json::{Value, json};

use crate::model::{KEY, Modelled, failing};
use crate::support::{GOOD, Installation, codes, contract, git, snapshot};

/// In two parts, so that it is none here.
fn token() -> String {
    ["ghp_", "k3J9dLq0XvB7tYw2ZmN5cRf8HsA1eUgP4oI6"].concat()
}

const VALUE: &str = "zz9-plural-z-alpha-1";
const CASE: &str = "r1-string-slugify";

/// No byte of a bundle, names of files included, may hold the value.
fn assert_absent(installation: &Installation, report: &Value, value: &str) {
    for (path, bytes) in snapshot(&installation.bundle(report)) {
        let found = bytes.windows(value.len()).any(|part| part == value.as_bytes());
        assert!(
            !found && !path.to_string_lossy().contains(value),
            "{value} in {}",
            path.display()
        );
    }
}

fn assert_verifies(installation: &Installation, report: &Value) {
    let (exit, verified) = installation.json(&["verify", report["run_id"].as_str().unwrap()]);
    let failed: Vec<&Value> = verified["bundles"][0]["checks"]
        .as_array()
        .map(|checks| checks.iter().filter(|check| check["result"] == "failed").collect())
        .unwrap_or_default();
    assert_eq!(exit, 0, "{failed:#?}\n{verified:#}");
}

/// Runs with variables in the environment of the harness; the bundle has to verify.
fn run_beside(installation: &Installation, variables: &[(&str, &str)], arguments: &[&str]) -> (i32, Value) {
    let mut command = installation.command();
    command.envs(variables.iter().copied()).args(["--json", "run"]);
    let output = command.args(arguments).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    assert_verifies(installation, &report);
    (output.status.code().unwrap(), report)
}

fn contract_file(installation: &Installation, task: &str, repository: &Path) -> String {
    let path = installation.contract(&contract(task, repository));
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_token_in_a_forbidden_command_is_in_no_proof() {
    let installation = Installation::new();
    let push = format!("git push https://x:{}@github.com/a/b", token());
    let (exit, report) = run_beside(
        &installation,
        &[],
        &[CASE, "--engine", "command", "--", "sh", "-c", &push],
    );
    let found = codes(&report);
    assert_eq!(exit, 1, "{report:#}");
    for code in ["forbidden_action", "secret_detected"] {
        assert!(found.contains(&code.to_owned()), "{found:?}");
    }
    assert_absent(&installation, &report, &token());
    let proof = installation.document(&report, "forbidden-actions.json");
    assert_eq!(proof["attempted"], report["forbidden_actions_attempted"]);
    assert!(proof.to_string().contains("[redacted sha256:"), "{proof:#}");
}

#[test]
fn a_secret_in_what_the_operator_says_is_in_no_byte_of_the_refusal() {
    let installation = Installation::new();
    let (program, pair) = (format!("/nonexist/{VALUE}"), format!("lab/{VALUE}"));
    let (bin, file) = (format!("/opt/{VALUE}/pi"), format!("/opt/{VALUE}"));
    type Asked<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)]);
    let asked: [Asked<'_>; 4] = [
        (&[CASE, "--engine", "command", "--", &program], &[]),
        (&[CASE, "--engine", "pi", "--model", &pair], &[]),
        (&[CASE, "--engine", "pi"], &[("CTO_HARNESS_PI_BIN", &bin)]),
        (
            &[CASE, "--engine", "pi"],
            &[("CTO_HARNESS_PI_MODEL_ADMISSION_FILE", &file)],
        ),
    ];
    for (arguments, more) in asked {
        let variables = [&[("MY_TOKEN", VALUE)], more].concat();
        let (exit, report) = run_beside(&installation, &variables, arguments);
        assert_eq!(exit, 3, "{arguments:?}: {:#}", report["blockers"]);
        assert!(!codes(&report).contains(&"secret_detected".to_owned()), "{arguments:?}");
        assert_absent(&installation, &report, VALUE);
    }
}

#[test]
fn a_secret_in_the_name_of_a_file_of_the_target_is_not_told() {
    let installation = Installation::new();
    let repository = installation.scripted("repo");
    fs::File::create(repository.join(VALUE)).unwrap();
    let file = contract_file(&installation, "untracked", &repository);
    let arguments = ["--contract", &file, "--clean-start", "--", "/bin/sh", "-c", GOOD];
    let (exit, report) = run_beside(&installation, &[("MY_TOKEN", VALUE)], &arguments);
    assert_eq!(exit, 3, "{report:#}");
    assert_absent(&installation, &report, VALUE);
}

#[test]
fn a_secret_in_the_name_of_a_branch_is_not_told_and_fails_nothing() {
    for (name, secret) in [
        (format!("x/{}", token()), token()),
        (format!("feature/{VALUE}"), VALUE.to_owned()),
    ] {
        let installation = Installation::new();
        let repository = installation.scripted("repo");
        git(&repository, &["switch", "--quiet", "--create", &name]);
        let file = contract_file(&installation, "branch", &repository);
        let arguments = ["--contract", &file, "--", "/bin/sh", "-c", GOOD];
        let (exit, report) = run_beside(&installation, &[("LAB_KEY", VALUE)], &arguments);
        assert_eq!((exit, codes(&report)), (0, vec![]), "{report:#}");
        assert_absent(&installation, &report, &secret);
        let proof = installation.document(&report, "source-non-mutation.json");
        assert!(proof.to_string().contains("[redacted sha256:"), "{proof:#}");
    }
}

#[test]
fn a_token_that_an_agent_asks_for_as_a_model_is_in_no_marker() {
    let world = Modelled::new("command", "scripted-fix");
    let script = format!("print(ask('{}')[0]); print(ask()[0]); good()", token());
    let (exit, report) = world.python("token", &script);
    let found = codes(&report);
    assert_eq!(exit, 1, "{report:#}");
    for code in ["model_not_admitted", "secret_detected"] {
        assert!(found.contains(&code.to_owned()), "{found:?}");
    }
    assert_absent(&world.installation, &report, &token());
    assert_verifies(&world.installation, &report);
    let marker = world
        .installation
        .bundle(&report)
        .join("backend/provider-model-not-admitted.txt");
    assert!(fs::read_to_string(marker).unwrap().contains("[redacted sha256:"));
}

#[test]
fn what_target_and_harness_name_is_no_secret_whatever_variable_holds_it_too() {
    let installation = Installation::new();
    let (_, plain) = run_beside(&installation, &[], &[CASE]);
    let fact = |name: &str| plain[name].as_str().unwrap().to_owned();
    let digest = |name: &str| plain["artifact_digests"][name].as_str().unwrap().to_owned();
    let patch = fs::read_to_string(installation.bundle(&plain).join("patch.diff")).unwrap();
    let index = patch.lines().find_map(|line| line.strip_prefix("index ")).unwrap();
    let content = index.split("..").next().unwrap().to_owned();
    let hex = digest("patch.diff").trim_start_matches("sha256:").to_owned();
    for value in [
        fact("baseline_tree"),
        fact("baseline_commit"),
        fact("contract_digest"),
        digest("patch.diff"),
        hex,
        content,
        CASE.to_owned(),
    ] {
        let (exit, report) = run_beside(&installation, &[("CACHE_KEY", &value)], &[CASE]);
        assert_eq!((exit, codes(&report)), (0, vec![]), "{value}: {report:#}");
        assert_eq!(report["baseline_tree"], plain["baseline_tree"], "{value}");
    }
}

#[test]
fn commit_tree_and_branch_of_a_repository_are_no_secrets_and_that_is_on_record() {
    let installation = Installation::new();
    let repository = installation.scripted("repo");
    git(&repository, &["switch", "--quiet", "--create", "branch-name-2026"]);
    let file = contract_file(&installation, "public", &repository);
    let arguments = ["--contract", &file, "--", "/bin/sh", "-c", GOOD];
    for value in [
        git(&repository, &["rev-parse", "HEAD"]),
        git(&repository, &["rev-parse", "HEAD^{tree}"]),
        "branch-name-2026".to_owned(),
        "refs/heads/branch-name-2026".to_owned(),
    ] {
        let (exit, report) = run_beside(&installation, &[("CACHE_KEY", value.trim())], &arguments);
        assert_eq!((exit, codes(&report)), (0, vec![]), "{value}: {report:#}");
        let trace = fs::read_to_string(installation.bundle(&report).join("trace.jsonl")).unwrap();
        assert!(trace.contains("no-secret") && trace.contains("CACHE_KEY"), "{trace}");
    }
    // The same run with any other value in the patch.
    let leak = format!("{GOOD}; echo {VALUE} >> value.txt");
    let arguments = ["--contract", &file, "--", "/bin/sh", "-c", &leak];
    let (exit, report) = run_beside(&installation, &[("CACHE_KEY", VALUE)], &arguments);
    assert_eq!(exit, 1);
    assert!(codes(&report).contains(&"secret_detected".to_owned()), "{report:#}");
}

#[test]
fn a_variable_that_is_named_as_a_credential_is_a_secret_whatever_it_looks_like() {
    let settings =
        "providers:\n  lab: {class: local, base_url: 'http://127.0.0.1:9/v1', credential: {environment: OPENAI_PAT}}\n";
    for value in ["correct horse battery", "/leading/slash", "onlyletters", "12345678"] {
        let installation = Installation::new();
        fs::create_dir_all(installation.home()).unwrap();
        crate::support::write(&installation.home().join("harness.yaml"), settings.as_bytes());
        let repository = installation.scripted("repo");
        let file = contract_file(&installation, "named", &repository);
        let leak = format!("{GOOD}; echo \"$1\" >> value.txt");
        let arguments = ["--contract", &file, "--", "/bin/sh", "-c", &leak, "sh", value];
        for (variable, is_secret) in [("OPENAI_PAT", true), ("OTHER", false)] {
            let (_, report) = run_beside(&installation, &[(variable, value)], &arguments);
            let found = codes(&report).contains(&"secret_detected".to_owned());
            assert_eq!(found, is_secret, "{variable}={value}: {:#}", report["blockers"]);
            if is_secret {
                assert_absent(&installation, &report, value);
            }
        }
    }
}

#[test]
fn a_contract_that_holds_a_credential_is_refused_by_decide_as_by_run() {
    let installation = Installation::new();
    let repository = installation.scripted("repo");
    let mut task = contract("titled", &repository);
    let file = installation.contract(&task);
    let arguments = ["decide", file.to_str().unwrap(), "--engine", "command"];
    let decided = |arguments: &[&str]| {
        let (_, decided) = installation.json(arguments);
        decided["decisions"][0].clone()
    };
    assert!(!decided(&arguments).to_string().contains("contract_invalid"));
    task["title"] = json!(token());
    installation.contract(&task);
    let refused = decided(&arguments);
    assert_eq!(refused["selected_backend"], "none");
    assert!(refused.to_string().contains("contract_invalid"), "{refused:#}");
    assert!(!refused.to_string().contains(&token()));
}

#[test]
fn a_credential_that_comes_back_before_the_engine_starts_is_a_secret_that_others_know() {
    let world = Modelled::with("command", "scripted-fix", failing("echo-credential", When::Call(1)));
    let (exit, report) = world.python("echoed", "good()");
    assert_eq!(
        (exit, codes(&report)),
        (1, vec!["secret_detected".to_owned()]),
        "{report:#}"
    );
    assert_eq!(report["case_process_started"], false);
    assert_absent(&world.installation, &report, KEY);
    assert_verifies(&world.installation, &report);
}
