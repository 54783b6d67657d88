//! Claims about manifests: what is refused when one is read, and what the embedded ones start.

use std::path::Path;

use cto_schema::{EventType, TaskContract};
use serde_json::Value;

use super::*;

const MINIMAL: &str = "schema: cto/engine/1.0\nname: mine\nsummary: s\nfind: {names: [x]}\nargv: [go, '{prompt}']\n\
                       stream: {parser: lines}\n";

fn refusal(text: &str) -> String {
    let error = read_manifest(text.as_bytes(), "m.yaml").map(|_| ()).unwrap_err();
    crate::run::chain(&error)
}

fn embedded() -> Vec<ManifestEngine> {
    let read = |(from, text): &(&str, &str)| read_manifest(text.as_bytes(), from).unwrap();
    EMBEDDED.iter().map(read).collect()
}

fn engine(name: &str) -> ManifestEngine {
    embedded().into_iter().find(|engine| engine.about.name == name).unwrap()
}

fn contract() -> TaskContract {
    let case = crate::cases::find("r1-string-slugify", &[]).unwrap();
    crate::cases::contract_for(&case, 0)
}

fn installation() -> Installation {
    Installation {
        program: PathBuf::from("/opt/agents/bin/agent"),
        interpreter: None,
        binds: vec![PathBuf::from("/opt/agents")],
        package: None,
        how: "test".to_owned(),
    }
}

fn endpoint(model: &str) -> ModelEndpoint {
    ModelEndpoint {
        provider: "local".to_owned(),
        model: model.to_owned(),
        base: "http://127.0.0.1:8080".to_owned(),
        key: "cto-dummy-key".to_owned(),
    }
}

fn invoke(engine: &ManifestEngine, contract: &TaskContract, model: &ModelEndpoint) -> Result<Invocation, EngineError> {
    engine.invocation(&EngineTask {
        contract,
        case: None,
        variant: None,
        command: &[],
        program: Some(&installation()),
        model: Some(model),
    })
}

fn argv(invocation: &Invocation) -> Vec<String> {
    match &invocation.program {
        Program::Argv(words) => words.iter().map(|word| word.to_str().unwrap().to_owned()).collect(),
        Program::Embedded { .. } => panic!("an embedded program"),
    }
}

#[test]
fn every_file_of_the_directory_is_embedded() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../engines");
    let mut files: Vec<String> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| format!("engines/{}", entry.unwrap().file_name().to_str().unwrap()))
        .collect();
    files.sort();
    let mut known: Vec<&str> = EMBEDDED.iter().map(|(from, _)| *from).collect();
    known.sort_unstable();
    assert_eq!(files, known);
    for engine in embedded() {
        let about = engine.manifest();
        assert!(
            about.gated && about.wire.is_some() && about.minimum.memory_mib >= 512,
            "{about:?}"
        );
    }
}

#[test]
fn a_minimal_manifest_is_read_and_every_slip_is_refused() {
    assert!(read_manifest(MINIMAL.as_bytes(), "m").is_ok());
    for (from, to, part) in [
        ("argv:", "argw:", "did you mean 'argv'"),
        ("{prompt}", "{promt}", "did you mean '{prompt}'"),
        ("{prompt}", "-m={prompt}", "of its own"),
        ("{prompt}", "{model}", "add 'model:'"),
        ("cto/engine/1.0", "cto/engine/2.0", "cto/engine/2.0"),
        ("name: mine", "name: Mine", "name 'Mine'"),
        ("name: mine", "name: mine\nname: x", "duplicate"),
        ("{names: [x]}", "{names: [a/x]}", "no name of a program"),
        ("{names: [x]}", "{names: [x], only_by_variable: true}", "excludes"),
        ("{names: [x]}", "{npm: {package: x}}", "either native or script"),
        (
            "{names: [x]}",
            "{npm: {package: ../x, script: y}}",
            "no plain relative path",
        ),
        ("parser: lines", "parser: jsonl", "belong together"),
        ("parser: lines", "parser: codex", "'turn.completed'"),
        ("parser: lines", "parser: codex, final_event: done", "'turn.completed'"),
        ("parser: lines", "parser: perl", "perl"),
        (
            "parser: lines",
            "parser: jsonl, jsonl: {name: type, events: []}",
            "no JSON pointer",
        ),
        (
            "parser: lines",
            "parser: jsonl, final_event: x, jsonl: {name: /type, events: []}",
            "not among its events",
        ),
    ] {
        let text = refusal(&MINIMAL.replacen(from, to, 1));
        assert!(text.contains(part), "{to}: {text}");
        assert!(text.contains("m.yaml"), "{text}");
    }
    for (more, part) in [
        ("lifecycle: {idle_seconds: 0}", "idle_seconds is 0"),
        ("home: [{path: ../x, content: a}]", "no plain relative path"),
        ("home: [{path: /etc/x, content: a}]", "no plain relative path"),
        ("mask: [a/../b]", "no plain relative path"),
        ("keep: [{from: a, to: ../b, max_kib: 1}]", "no plain relative path"),
        ("env: {PATH: /x}", "'PATH'"),
        ("env: {LD_PRELOAD: /x}", "'LD_PRELOAD'"),
        ("env: {'A B': x}", "'A B'"),
        (
            "failures: [{text: boom, blocker: timeout, marker: x.txt}]",
            "must be one of",
        ),
        (
            "failures: [{text: b, blocker: engine_failed, marker: x.txt}]",
            "shorter",
        ),
        (
            "failures: [{text: boom, blocker: engine_failed, marker: ../x}]",
            "no plain relative path",
        ),
        ("model: {dialects: [], key_variable: K}", "dialects is empty"),
        (
            "model: {dialects: [messages], key_variable: K, base_path: v1}",
            "base_path",
        ),
        ("model: {dialects: [telepathy], key_variable: K}", "telepathy"),
    ] {
        let text = refusal(&format!("{MINIMAL}{more}\n"));
        assert!(text.contains(part), "{more}: {text}");
    }
    assert!(read_manifest(b"\xff", "m").is_err());
    assert!(read_manifest(&vec![b' '; 300_000], "m").is_err());
}

#[test]
fn every_engine_is_told_the_model_and_the_address_and_only_the_dummy_key() {
    let contract = contract();
    for engine in embedded() {
        let invocation = invoke(&engine, &contract, &endpoint("qwen2.5-coder:7b")).unwrap();
        let mut said = argv(&invocation).join("\n");
        for (name, value) in &invocation.env {
            said = format!("{said}\n{}={}", name.to_str().unwrap(), value.to_str().unwrap());
        }
        for file in &invocation.home {
            let text = std::str::from_utf8(&file.content).unwrap();
            said = format!("{said}\n{text}");
            assert_eq!(file.mode, 0o600);
            if file.path.extension().is_some_and(|extension| extension == "json") {
                let parsed: Result<Value, _> = serde_json::from_str(text);
                assert!(parsed.is_ok(), "{}: {}", engine.about.name, file.path.display());
            }
        }
        let path = engine.document.model.as_ref().unwrap().base_path.clone();
        for part in [
            "qwen2.5-coder:7b",
            &format!("http://127.0.0.1:8080{path}"),
            "cto-dummy-key",
        ] {
            assert!(said.contains(part), "{}: no {part} in {said}", engine.about.name);
        }
        assert!(!said.contains("{model}") && !said.contains("{home}") && !said.contains("{base_url}"));
        assert_eq!(invocation.shown.len(), argv(&invocation).len());
        assert!(!invocation.shown.join(" ").contains(&contract.brief));
    }
}

#[test]
fn values_that_would_need_quoting_start_nothing() {
    for model in ["a b", "x\"}", "x\ny", "--help", "", "ä"] {
        for engine in embedded() {
            let error = invoke(&engine, &contract(), &endpoint(model)).map(|_| ()).unwrap_err();
            assert!(
                matches!(error, EngineError::UnsafeValue { what: "model", .. }),
                "{model}: {error}"
            );
        }
    }
}

#[test]
fn an_engine_without_program_or_model_starts_nothing() {
    let (engine, contract) = (engine("codex"), contract());
    let task = EngineTask {
        contract: &contract,
        case: None,
        variant: None,
        command: &[],
        program: None,
        model: None,
    };
    assert!(matches!(engine.invocation(&task), Err(EngineError::NoProgram { .. })));
    let found = installation();
    let task = EngineTask {
        program: Some(&found),
        ..task
    };
    assert!(matches!(engine.invocation(&task), Err(EngineError::NoModel { .. })));
}

#[test]
fn known_argument_lists_are_as_they_were_verified() {
    let contract = contract();
    let words = |name| argv(&invoke(&engine(name), &contract, &endpoint("m1")).unwrap());
    let prompt = prompt::prompt(&contract);
    let program = "/opt/agents/bin/agent";
    let expected = |words: &str| -> Vec<String> {
        let words = words.split(' ').map(|word| word.replace("PROMPT", &prompt));
        [program.to_owned()].into_iter().chain(words).collect()
    };
    assert_eq!(
        words("codex"),
        expected("exec --json --skip-git-repo-check --ephemeral -C /workspace PROMPT")
    );
    assert_eq!(
        words("opencode"),
        expected("run --format json --pure --auto --model cto/m1 --title cto PROMPT")
    );
    assert_eq!(
        words("pi"),
        expected(
            "--mode json -p --no-session --no-extensions --no-skills --no-prompt-templates --no-context-files \
             --provider cto --model m1 PROMPT"
        )
    );
    assert_eq!(
        words("claude"),
        expected(
            "-p --output-format stream-json --verbose --dangerously-skip-permissions --no-session-persistence \
             --setting-sources user --strict-mcp-config --tools Bash,Edit,Read,Write --model m1 PROMPT"
        )
    );
    assert_eq!(
        words("case"),
        expected("run --task /workspace/.case/tasks/active/cto-task.task.json --mode unattended")
    );
}

#[test]
fn a_script_is_started_by_its_interpreter() {
    let contract = contract();
    let found = Installation {
        interpreter: Some("node".to_owned()),
        ..installation()
    };
    let task = EngineTask {
        contract: &contract,
        case: None,
        variant: None,
        command: &[],
        program: Some(&found),
        model: Some(&endpoint("m")),
    };
    let invocation = engine("pi").invocation(&task).unwrap();
    assert_eq!(argv(&invocation)[..2], ["node", "/opt/agents/bin/agent"]);
}

#[test]
fn a_repository_cannot_own_the_agents() {
    let contract = contract();
    for (name, masks) in [
        ("opencode", vec![".opencode", "opencode.json", "opencode.jsonc"]),
        ("claude", vec![".claude", ".mcp.json"]),
        ("pi", vec![".pi"]),
        ("codex", vec![".codex"]),
    ] {
        let invocation = invoke(&engine(name), &contract, &endpoint("m")).unwrap();
        let expected: Vec<PathBuf> = masks.into_iter().map(PathBuf::from).collect();
        assert_eq!(invocation.masks, expected);
    }
}

#[test]
fn case_gets_its_task_in_files_and_starts_outside_the_target() {
    let contract = contract();
    let invocation = invoke(&engine("case"), &contract, &endpoint("m")).unwrap();
    assert!(invocation.workdir_root);
    let input = |path: &str| {
        let found = invocation
            .inputs
            .iter()
            .find(|input| input.path == Path::new(path))
            .unwrap();
        String::from_utf8(found.content.clone()).unwrap()
    };
    let task: Value = serde_json::from_str(&input(".case/tasks/active/cto-task.task.json")).unwrap();
    assert_eq!((&task["id"], &task["status"]), (&"cto-task".into(), &"active".into()));
    let text = input(".case/tasks/active/cto-task.md");
    assert!(text.contains(&contract.brief) && text.contains("<<<AGENT_RESULT"));
    assert!(text.contains(r#""filesChanged":["strings.py"]"#), "{text}");
    assert_eq!(input(".case/active"), "cto-task");
    let words = argv(&invocation).join(" ");
    assert!(!words.contains(&contract.brief));
    let home: Vec<_> = invocation.home.iter().map(|file| file.path.to_str().unwrap()).collect();
    assert_eq!(
        home,
        [
            ".config/case/config.json",
            ".pi/agent/models.json",
            ".config/case/projects.json"
        ]
    );
    let models = String::from_utf8(invocation.home[1].content.clone()).unwrap();
    assert!(
        models.contains(r#"{"openai":{"baseUrl""#),
        "a name that Case knows: {models}"
    );
    assert_eq!(invocation.path, [PathBuf::from("/opt/agents/bin")]);
    assert_eq!(invocation.keep[0].to, "case-data");
    assert_eq!(invocation.keep[1].to, "case-data/pi-agent");
}

#[test]
fn known_failures_become_facts_and_markers_unless_the_stream_ends_well() {
    let refused = b"litellm.AuthenticationError: AuthenticationError: OpenAIException - boom\n";
    let seen = engine("aider").normalize(&EngineOutput {
        stdout: refused,
        ..EngineOutput::default()
    });
    let known = seen.stream.provider_failure.unwrap();
    assert_eq!(known.code, cto_schema::BlockerCode::ProviderAuthUnavailable);
    assert_eq!(seen.markers[0].name, "provider-auth-unavailable.txt");
    assert!(seen.events.iter().all(|(kind, _)| *kind == EventType::EngineMessage));

    let codex = engine("codex");
    let failed = br#"{"type":"turn.failed","error":{"message":"unexpected status 401 Unauthorized"}}"#;
    let stream = |stdout: &[u8]| {
        codex.normalize(&EngineOutput {
            stdout,
            ..EngineOutput::default()
        })
    };
    assert!(stream(failed).stream.provider_failure.is_some());
    // A tool's output may quote the words.
    let quoting = br#"{"type":"item.completed","item":{"type":"agent_message","text":"unexpected status 401"}}
{"type":"turn.completed"}
"#;
    assert!(stream(quoting).stream.provider_failure.is_none() && stream(quoting).markers.is_empty());

    let case = engine("case").normalize(&EngineOutput {
        stderr: b"AGENT_RESULT start delimiter not found\n",
        ..EngineOutput::default()
    });
    assert!(case.stream.protocol_error.is_some());
    assert_eq!(case.markers[0].name, "provider-agent-protocol.txt");
}

#[test]
fn the_same_contract_starts_the_same() {
    for engine in embedded() {
        let contract = contract();
        let one = invoke(&engine, &contract, &endpoint("m")).unwrap();
        let two = invoke(&engine, &contract, &endpoint("m")).unwrap();
        assert_eq!((argv(&one), one.home, one.env), (argv(&two), two.home, two.env));
    }
}

/// The last lines of real runs against an endpoint that refused, missed or failed every call.
#[test]
fn real_failures_of_a_provider_are_known() {
    use cto_schema::BlockerCode::{ProviderAuthUnavailable as Auth, ProviderUnavailable as Gone};
    let codex = |said: &str| format!(r#"{{"type":"turn.failed","error":{{"message":"{said}"}}}}"#);
    let pi = |said: &str| {
        format!(
            r#"{{"type":"agent_end","messages":[{{"role":"assistant","content":[],"stopReason":"error","errorMessage":"{said}"}}]}}"#
        )
    };
    let claude = |said: &str| {
        format!(r#"{{"type":"result","subtype":"success","is_error":true,"result":"{said}","permission_denials":[]}}"#)
    };
    let opencode = |status: u16| {
        format!(r#"{{"type":"error","error":{{"name":"APIError","data":{{"message":"boom","statusCode":{status}}}}}}}"#)
    };
    for (name, line, code) in [
        ("codex", codex("unexpected status 401 Unauthorized: boom, url: x"), Auth),
        ("codex", codex("unexpected status 404 Not Found: boom, url: x"), Gone),
        (
            "codex",
            codex("We’re currently experiencing high demand, which may cause temporary errors."),
            Gone,
        ),
        ("pi", pi("401 boom"), Auth),
        ("pi", pi("404 boom"), Gone),
        ("pi", pi("500 boom"), Gone),
        ("claude", claude("Failed to authenticate. API Error: 401 boom"), Auth),
        (
            "claude",
            claude("There's an issue with the selected model (m). It may not exist"),
            Gone,
        ),
        (
            "claude",
            claude("API Error: 500 boom. This is a server-side issue"),
            Gone,
        ),
        ("opencode", opencode(401), Auth),
        ("opencode", opencode(404), Gone),
        ("opencode", opencode(500), Gone),
    ] {
        let seen = engine(name).normalize(&EngineOutput {
            stdout: format!("{line}\n").as_bytes(),
            ..EngineOutput::default()
        });
        assert_eq!(
            seen.stream.provider_failure.map(|known| known.code),
            Some(code),
            "{name}: {line}"
        );
        assert_eq!(seen.markers.len(), 1, "{name}: {:?}", seen.markers);
    }
}

#[test]
fn the_example_of_the_guide_is_a_manifest() {
    let guide = include_str!("../../../../../docs/guides/an-engine.md");
    let example = guide.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let engine = read_manifest(example.as_bytes(), "guide").unwrap();
    let invocation = invoke(&engine, &contract(), &endpoint("m")).unwrap();
    assert_eq!(argv(&invocation)[1..4], ["--headless", "--model", "m"]);
    let good = b"{\"type\":\"text\",\"text\":\"x\"}\n{\"type\":\"done\",\"ok\":true}\n";
    let bad = b"{\"type\":\"done\",\"ok\":false}\n";
    for (stdout, expected) in [(&good[..], true), (&bad[..], false)] {
        let output = EngineOutput {
            stdout,
            ..EngineOutput::default()
        };
        assert_eq!(engine.normalize(&output).stream.claims_success, expected);
    }
}
