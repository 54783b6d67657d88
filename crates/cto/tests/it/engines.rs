//! Engines that are manifests, through the whole program.

use serde_json::Value;

use crate::support::{Installation, write};

/// An agent without a line of Rust: the fix of the slugify case as one Python statement.
const MANIFEST: &str = r##"
schema: cto/engine/1.0
name: my-agent
summary: an agent for tests
find: {}
argv:
  - -c
  - |
    open('strings.py', 'w').write('''import re


    def slugify(text):
        return re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")
    ''')
    print("working\ndone")
  - "{prompt}"
stream:
  parser: lines
  final_event: done
"##;

fn installation(manifest: &str) -> Installation {
    let installation = Installation::new();
    let path = installation.dir.path().join("engine.yaml");
    write(&path, manifest.as_bytes());
    std::fs::create_dir_all(installation.home()).unwrap();
    let settings = format!(
        "engines: {{my-agent: {{manifest: {}, program: /usr/bin/python3}}}}\n",
        path.display()
    );
    write(&installation.home().join("harness.yaml"), settings.as_bytes());
    installation
}

/// As [`installation`], with stage 1 on record, so that stage 2 is open.
fn climbed(manifest: &str) -> Installation {
    let installation = installation(manifest);
    let (exit, found) = installation.json(&["stage", "validate", "1", "--engine", "my-agent"]);
    assert_eq!(exit, 0, "{found:#}");
    installation
}

fn run(installation: &Installation, gates: &[(&str, &str)]) -> (i32, Value) {
    let mut command = installation.command();
    command.envs(gates.iter().copied());
    command.args(["--json", "run", "r1-string-slugify", "--engine", "my-agent"]);
    let output = command.output().unwrap();
    let value = serde_json::from_slice(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    (
        output.status.code().unwrap(),
        value.unwrap_or_else(|_| panic!("{error}")),
    )
}

const GATES: [(&str, &str); 2] = [("CTO_HARNESS_ALLOW_MY_AGENT", "1"), ("CTO_HARNESS_MY_AGENT_STAGE", "2")];

#[test]
fn an_engine_that_is_only_a_manifest_passes_a_case() {
    let installation = climbed(MANIFEST);
    let (exit, report) = run(&installation, &GATES);
    assert_eq!(exit, 0, "{report:#}");
    let quoted = installation.events(&report);
    assert!(
        quoted
            .iter()
            .any(|event| event["type"] == "engine.message" && event["data"]["text"] == "done")
    );
}

#[test]
fn an_engine_that_never_says_that_it_is_done_fails() {
    let installation = climbed(&MANIFEST.replace("final_event: done", "final_event: finished"));
    let (exit, report) = run(&installation, &GATES);
    assert_eq!(exit, 1, "{report:#}");
    assert!(report.to_string().contains("missing_required_event"));
}

#[test]
fn a_manifest_is_denied_until_both_gates_say_otherwise() {
    let installation = installation(MANIFEST);
    for gates in [&GATES[..0], &GATES[..1], &GATES[1..]] {
        let (exit, report) = run(&installation, gates);
        assert_eq!(exit, 3, "{gates:?}: {report:#}");
        assert!(report.to_string().contains("gate_missing"));
    }
}

#[test]
fn a_run_that_a_gate_stops_points_to_the_whole_chain_and_one_that_ran_does_not() {
    let installation = climbed(MANIFEST);
    let run = |gates: &[(&str, &str)]| {
        let mut command = installation.command();
        command.envs(gates.iter().copied());
        command.args(["run", "r1-string-slugify", "--engine", "my-agent"]);
        String::from_utf8_lossy(&command.output().unwrap().stdout).into_owned()
    };
    let closed = run(&[]);
    assert!(closed.contains("status --engine my-agent"), "{closed}");
    let open = run(&GATES);
    assert!(open.contains("Next:") && !open.contains("status --engine"), "{open}");
}

#[test]
fn command_is_told_to_name_a_program_by_decide() {
    let installation = Installation::new();
    let repository = installation.scripted("repository");
    let file = installation.contract(&crate::support::contract("decide", &repository));
    let output = installation.cto(&["decide", "--engine", "command", file.to_str().unwrap()]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("name it after '--'") && !text.contains("''"), "{text}");
}

#[test]
fn a_manifest_with_a_slip_is_a_usage_error_that_names_it() {
    let installation = installation(&MANIFEST.replace("argv:", "args:"));
    let output = installation.cto(&["engines"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(
        text.contains("engine.yaml") && text.contains("did you mean 'argv'"),
        "{text}"
    );
}

#[test]
fn the_list_says_where_each_engine_is_and_what_comes_next() {
    let installation = installation(MANIFEST);
    let (_, list) = installation.json(&["engines"]);
    let engines = list["engines"].as_array().unwrap();
    let named = |name: &str| engines.iter().find(|engine| engine["name"] == name).unwrap();
    assert_eq!(named("fake")["program"]["state"], "not_needed");
    assert_eq!(named("codex")["program"]["state"], "missing");
    assert_eq!(named("codex")["wire"]["dialects"][0], "responses");
    let own = named("my-agent");
    assert_eq!(
        (&own["program"]["state"], &own["program"]["how"]),
        (&"found".into(), &"harness.yaml".into())
    );
    assert_eq!(own["next"].as_array().unwrap().len(), 2);
}

#[test]
fn a_contract_below_what_the_engine_needs_is_refused_with_what_to_raise() {
    let needs = format!("{MANIFEST}minimum: {{memory_mib: 9000, processes: 600}}\n");
    let installation = climbed(&needs);
    let (exit, report) = run(&installation, &GATES);
    assert_eq!(exit, 3, "{report:#}");
    assert_eq!(crate::support::codes(&report), ["contract_invalid"]);
    let detail = report["blockers"][0]["detail"].as_str().unwrap();
    for part in [
        "limits.memory_mib is 4096, it needs 9000",
        "limits.processes is 512, it needs 600",
        "raise",
    ] {
        assert!(detail.contains(part), "{detail}");
    }
    assert_eq!(report["case_process_started"], false);
}

#[test]
fn the_marker_of_a_known_failure_is_one_line() {
    let fails = MANIFEST.replace("print(\"working\\ndone\")", "sys.stderr.write('no key at all\\n')");
    let fails = fails.replace("    open('strings.py'", "    import sys\n    open('strings.py'");
    let known = "failures: [{text: no key, blocker: provider_auth_unavailable, marker: no-key.txt}]\n";
    let installation = climbed(&format!("{fails}{known}"));
    let (_, report) = run(&installation, &GATES);
    assert_eq!(
        crate::support::codes(&report),
        ["provider_auth_unavailable"],
        "{report:#}"
    );
    let marker = installation.bundle(&report).join("backend/no-key.txt");
    let text = std::fs::read_to_string(marker).unwrap();
    assert_eq!(text, "provider_auth_unavailable: no key at all\n");
}

/// Names of the checks of an engine that hold, after all of them did.
fn validated(engine: &str) -> Vec<String> {
    let installation = Installation::new();
    let (exit, document) = installation.json(&["engine", "validate", engine]);
    assert_eq!((exit, &document["ok"]), (0, &true.into()), "{document:#}");
    assert_eq!(document["errors"], serde_json::json!([]));
    let checks = document["checks"].as_array().unwrap();
    for check in checks {
        let run = installation.home().join("runs").join(check["run_id"].as_str().unwrap());
        assert!(
            check["ok"] == true && run.join("attestation.dsse.json").exists(),
            "{check}"
        );
    }
    checks
        .iter()
        .map(|check| check["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn the_adapter_of_case_is_proved_by_a_stub() {
    let names = validated("case");
    for name in [
        "denied_by_default",
        "command_shape",
        "task_file",
        "config_files",
        "model_provider_gate_blocks",
        "provider_timeout_fail_closed",
        "local_provider_delayed_content_allows_case",
        "qwen_local_openai_compat_allows_case",
        "lifecycle_supervision_accepts_committed_diff",
        "known_failure_agent_protocol",
        "stream_without_its_end_fails",
    ] {
        assert!(names.iter().any(|found| found == name), "{name} is not in {names:?}");
    }
}

#[test]
fn the_adapters_of_hosted_agents_are_proved_by_a_stub() {
    for engine in ["codex", "claude", "pi"] {
        let names = validated(engine);
        assert!(
            names.iter().any(|name| name == "model_reaches_engine"),
            "{engine}: {names:?}"
        );
    }
}

#[test]
fn every_other_adapter_is_proved_by_a_stub() {
    for engine in ["opencode", "aider", "command", "fake"] {
        let names = validated(engine);
        assert!(
            names.iter().any(|name| name == "provider_timeout_fail_closed"),
            "{engine}: {names:?}"
        );
    }
}

#[test]
fn an_adapter_that_does_not_hold_is_named_with_its_check_and_an_unknown_engine_is_a_usage_error() {
    // The prompt reaches it nowhere, and its end is never believed.
    let broken = MANIFEST.replace("  - \"{prompt}\"\n", "");
    let installation = installation(&broken);
    let (exit, document) = installation.json(&["engine", "validate", "my-agent"]);
    assert_eq!((exit, &document["ok"]), (1, &false.into()), "{document:#}");
    let errors = document["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(
        errors[0].as_str().unwrap().starts_with("task_reaches_engine: "),
        "{errors:?}"
    );
    let output = installation.cto(&["engine", "validate", "codx"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("did you mean 'codex'"), "{text}");
}
