//! The model gateway through the whole program, with a few lines of Python as the agent.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use cto_gateway::scripted::{FaultPlan, ScriptedModel, ScriptedOptions, SeenRequest, When};
use serde_json::{Value, json};

use crate::support::{Installation, codes, contract, snapshot, write};

/// An installation with a scripted model and an admission for it.
pub(crate) struct Modelled {
    pub(crate) installation: Installation,
    pub(crate) model: ScriptedModel,
    /// Variables on top of the installation's own.
    pub(crate) env: Vec<(String, String)>,
}

/// The credential that only the gateway may hold.
pub(crate) const KEY: &str = "sk-canary-7Qx2mV9pLr4TnB8wZc3yKd6hJf1sGa5e";

impl Modelled {
    /// Serves a model, whose name may ask for a fault, to one engine.
    pub(crate) fn new(engine: &str, model: &str) -> Self {
        Self::with(engine, model, ScriptedOptions::default())
    }

    pub(crate) fn with(engine: &str, model: &str, options: ScriptedOptions) -> Self {
        let installation = Installation::new();
        fs::create_dir_all(installation.home()).unwrap();
        // Short enough for a test, long enough for a loaded machine.
        write(
            &installation.home().join("harness.yaml"),
            b"gateway: {limits: {first_byte_ms: 4000, idle_ms: 4000}}\n",
        );
        let served = ScriptedModel::start(options).unwrap();
        let part = engine.to_uppercase();
        let base = if engine == "claude" {
            served.anthropic_base_url()
        } else {
            served.openai_base_url()
        };
        let admission = installation.dir.path().join(format!("admission-{engine}.json"));
        let record = json!({
            "status": "admitted",
            "provider": "scripted",
            "model": model,
            "credential_source_class": "environment",
            "allowed_network_class": "local-scripted-model",
            "approval_source": "a test",
            "admission_timestamp": "2026-01-01T00:00:00Z",
            "review_trigger": "never",
        });
        write(&admission, record.to_string().as_bytes());
        fs::set_permissions(&admission, fs::Permissions::from_mode(0o600)).unwrap();
        let env = [
            (format!("CTO_HARNESS_ALLOW_{part}"), "1".to_owned()),
            (format!("CTO_HARNESS_{part}_STAGE"), "2".to_owned()),
            (format!("CTO_HARNESS_{part}_MODEL_PROVIDER"), "scripted".to_owned()),
            (format!("CTO_HARNESS_{part}_MODEL"), model.to_owned()),
            (format!("CTO_HARNESS_{part}_LOCAL_BASE_URL"), base),
            (
                format!("CTO_HARNESS_{part}_MODEL_ADMISSION_FILE"),
                admission.display().to_string(),
            ),
            ("CTO_SCRIPTED_KEY".to_owned(), KEY.to_owned()),
        ];
        Self {
            installation,
            model: served,
            env: env.to_vec(),
        }
    }

    pub(crate) fn without(mut self, suffix: &str) -> Self {
        self.env.retain(|(name, _)| !name.ends_with(suffix));
        self
    }

    /// Puts stage 1 of an engine on record, without which no run at stage 2 starts.
    pub(crate) fn climb(&self, engine: &str, more: &[&str]) {
        let (exit, found) = self.run(&[&["stage", "validate", "1", "--engine", engine], more].concat());
        assert_eq!((exit, &found["ok"]), (0, &json!(true)), "{engine}: {found:#}");
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = self.installation.command();
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.arg("--json").args(arguments);
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> (i32, Value) {
        let output = self.command(arguments).output().unwrap();
        let report = serde_json::from_slice(&output.stdout);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        (
            output.status.code().unwrap(),
            report.unwrap_or_else(|_| panic!("{error}")),
        )
    }

    /// Runs a Python script as the agent on a small repository.
    pub(crate) fn python(&self, task: &str, script: &str) -> (i32, Value) {
        let repository = self.repository(task);
        let file = self.installation.contract(&contract(task, &repository));
        let script = format!("{CLIENT}\n{script}");
        self.run(&[
            "run",
            "--contract",
            file.to_str().unwrap(),
            "--",
            "/usr/bin/python3",
            "-c",
            &script,
        ])
    }

    /// Claims that the sealed bundle verifies.
    fn verifies(&self, report: &Value) {
        let id = report["run_id"].as_str().unwrap();
        let (exit, verified) = self.installation.json(&["verify", id]);
        assert_eq!(exit, 0, "{verified:#}");
    }

    fn repository(&self, task: &str) -> PathBuf {
        self.installation.scripted(&format!("repository-{task}"))
    }

    /// Requests after the harness's own preflight.
    pub(crate) fn requests_of_the_engine(&self) -> Vec<SeenRequest> {
        let all = self.model.requests();
        let posts = all.into_iter().filter(|request| request.method == "POST");
        posts.skip(1).collect()
    }
}

/// A model that fails at some call or turn.
pub(crate) fn failing(fault: &str, when: When) -> ScriptedOptions {
    let FaultPlan { fault, .. } = fault.parse().unwrap();
    ScriptedOptions {
        fault: Some(FaultPlan { fault, when }),
        ..ScriptedOptions::default()
    }
}

/// What the agent's script starts with: a client of the gateway.
const CLIENT: &str = r#"
import json, socket, urllib.request, urllib.error
MODEL = "scripted-fix"
def ask(model=MODEL, path="/v1/chat/completions", **more):
    body = {"model": model, "messages": [{"role": "user", "content": "hello"}], **more}
    request = urllib.request.Request("http://127.0.0.1:8080" + path, json.dumps(body).encode(), {
        "content-type": "application/json", "authorization": "Bearer dummy"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)
def raw(body):
    s = socket.create_connection(("127.0.0.1", 8080), 10)
    s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Type: application/json\r\n"
              b"Content-Length: %d\r\n\r\n" % len(body) + body)
    return s.recv(4096)
def good():
    open("value.txt", "w").write("good\n")
"#;

fn events<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events
        .iter()
        .filter(|event| event["type"] == kind)
        .map(|event| &event["data"])
        .collect()
}

#[test]
fn an_agent_reaches_the_admitted_model_and_every_call_is_an_event() {
    let world = Modelled::new("command", "scripted-fix");
    let (exit, report) = world.python("calls", "print(ask()[0]); print(ask()[0]); good()");
    assert_eq!((exit, codes(&report)), (0, vec![]), "{report:#}");
    assert_eq!(world.requests_of_the_engine().len(), 2);
    let written = world.installation.events(&report);
    let calls = events(&written, "model.request");
    assert_eq!(calls.len(), 2);
    for call in calls {
        assert_eq!(
            (&call["outcome"], &call["served_model"]),
            (&json!("completed"), &json!("scripted-fix"))
        );
        assert!(call["request_digest"].as_str().unwrap().starts_with("sha256:"));
    }
    let shown = world
        .installation
        .cto(&["show", report["run_id"].as_str().unwrap(), "events"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    let call = shown.lines().find(|line| line.contains("model.request")).unwrap();
    for part in [
        "\"served_model\":\"scripted-fix\"",
        "\"outcome\":\"completed\"",
        "input_tokens",
    ] {
        assert!(call.contains(part), "{part} is cut from: {call}");
    }
    assert_eq!(report["model"]["completed"], 2);
    assert_ne!(report["model"]["usage"]["input_tokens"], "0");
    world.verifies(&report);
}

#[test]
fn an_agent_that_asks_for_another_model_fails_whatever_it_does_afterwards() {
    let world = Modelled::new("command", "scripted-fix");
    let (exit, report) = world.python("other", "print(ask('gpt-9')[0]); print(ask()[0]); good()");
    assert_eq!(
        (exit, codes(&report)),
        (1, vec!["model_not_admitted".to_owned()]),
        "{report:#}"
    );
    assert_eq!(report["blockers"][0]["event"], "model.refused");
    let written = world.installation.events(&report);
    let refused = events(&written, "model.refused");
    assert_eq!((refused.len(), &refused[0]["model"]), (1, &json!("gpt-9")));
    let models: Vec<Option<String>> = world
        .model
        .requests()
        .into_iter()
        .map(|request| request.model)
        .collect();
    assert!(!models.contains(&Some("gpt-9".to_owned())), "it never left the machine");
    let marker = world
        .installation
        .bundle(&report)
        .join("backend/provider-model-not-admitted.txt");
    assert!(fs::read_to_string(marker).unwrap().contains("gpt-9"));
    world.verifies(&report);
}

#[test]
fn a_tool_of_the_provider_that_reaches_a_network_is_a_forbidden_action() {
    let world = Modelled::new("command", "scripted-fix");
    let script = "print(ask(web_search_options={})); good()";
    let (exit, report) = world.python("search", script);
    assert_eq!(
        (exit, codes(&report)),
        (1, vec!["forbidden_action".to_owned()]),
        "{report:#}"
    );
    world.verifies(&report);
}

#[test]
fn no_path_body_or_flood_hides_a_request_for_another_model() {
    for (name, script) in [
        ("path", "ask(); ask('gpt-9', '/v1/embeddings'); good()"),
        (
            "twice",
            "ask(); raw(b'{\"model\":\"scripted-fix\",\"model\":\"gpt-9\",\"messages\":[]}'); good()",
        ),
        ("folded", "ask(); raw(b'{\"Model\":\"gpt-9\",\"messages\":[]'); good()"),
        (
            "flood",
            "ask()\nfor n in range(60): ask(path='/n')\nask('gpt-9'); good()",
        ),
    ] {
        let world = Modelled::new("command", "scripted-fix");
        let settings = b"gateway: {limits: {first_byte_ms: 4000, idle_ms: 4000, calls: 5}}\n";
        write(&world.installation.home().join("harness.yaml"), settings);
        let (exit, report) = world.python(&format!("hidden-{name}"), script);
        assert_eq!(
            (exit, codes(&report)),
            (1, vec!["model_not_admitted".to_owned()]),
            "{name}: {report:#}"
        );
        assert!(
            report["blockers"][0]["detail"].as_str().unwrap().contains("gpt-9"),
            "{name}"
        );
        world.verifies(&report);
    }
}

#[test]
fn a_key_in_another_case_goes_nowhere() {
    let world = Modelled::new("command", "scripted-fix");
    let script =
        "ask(); print(ask(Tools=[{'type': 'mcp'}])[0], ask(Model='gpt-9')[0], ask(api_base='http://x')[0]); good()";
    let (_, report) = world.python("case", script);
    let stdout = fs::read_to_string(world.installation.bundle(&report).join("backend/stdout.log")).unwrap();
    assert_eq!(stdout, "403 403 403\n");
    assert_eq!(world.requests_of_the_engine().len(), 1);
}

#[test]
fn nothing_but_the_gateway_can_be_reached() {
    let world = Modelled::new("command", "scripted-fix");
    let port = world.model.address().port();
    let script = format!(
        "s = socket.socket(); s.settimeout(5)\ntry:\n    s.connect(('127.0.0.1', {port})); print('reached')\nexcept OSError as e:\n    print('no', e.errno)\ngood()"
    );
    let (exit, report) = world.python("loopback", &script);
    assert_eq!((exit, codes(&report)), (0, vec![]), "{report:#}");
    let stdout = fs::read_to_string(world.installation.bundle(&report).join("backend/stdout.log")).unwrap();
    assert!(stdout.starts_with("no "), "{stdout}");
}

#[test]
fn a_program_of_the_operators_finds_its_model_in_the_usual_variables() {
    let world = Modelled::new("command", "scripted-fix");
    let script = r#"
import os
assert os.environ["OPENAI_BASE_URL"] == "http://127.0.0.1:8080/v1" and os.environ["ANTHROPIC_BASE_URL"]
assert ask(os.environ["MODEL"])[0] == 200
good()
"#;
    let (exit, report) = world.python("variables", script);
    assert_eq!((exit, codes(&report)), (0, vec![]), "{report:#}");
}

#[test]
fn admitted_hosts_are_reached_through_the_gate_and_others_are_not() {
    let world = Modelled::new("command", "scripted-fix");
    let registry = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = registry.local_addr().unwrap().to_string();
    let served = std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        let (mut stream, _) = registry.accept().unwrap();
        let mut heard = [0; 4];
        stream.read_exact(&mut heard).unwrap();
        stream.write_all(b"pong").unwrap();
        heard
    });
    let settings = format!("gateway: {{egress: ['{host}']}}\n");
    write(&world.installation.home().join("harness.yaml"), settings.as_bytes());
    let script = format!(
        r#"
import os
assert os.environ["HTTPS_PROXY"] == "http://127.0.0.1:8080"
def tunnel(host):
    s = socket.create_connection(("127.0.0.1", 8080), 10)
    s.sendall(f"CONNECT {{host}} HTTP/1.1\r\nHost: {{host}}\r\n\r\n".encode())
    head = s.recv(4096).decode()
    if " 200 " not in head.splitlines()[0]: return head.splitlines()[0]
    s.sendall(b"ping"); return s.recv(4).decode()
print(tunnel("{host}")); print(tunnel("other.invalid:443")); good()
"#
    );
    let (exit, report) = world.python("egress", &script);
    assert_eq!((exit, codes(&report)), (0, vec![]), "{report:#}");
    assert_eq!(&served.join().unwrap(), b"ping");
    let written = world.installation.events(&report);
    let connections: Vec<&Value> = events(&written, "model.request")
        .into_iter()
        .filter(|data| !data["egress"].is_null())
        .collect();
    assert_eq!((connections.len(), &connections[0]["connected"]), (1, &json!(true)));
    assert_eq!(events(&written, "model.refused")[0]["reason"], "host_not_admitted");
    world.verifies(&report);
}

#[test]
fn a_name_that_a_child_looks_up_is_an_attempt_to_reach_somebody() {
    let world = Modelled::new("command", "scripted-fix");
    let own = "\ntry: socket.getaddrinfo('example.com', 443)\nexcept OSError as e: print(e)\n";
    let (exit, report) = world.python("lookup", &format!("{own}good()"));
    assert_eq!((exit, codes(&report)), (0, vec![]), "agents call home: {report:#}");
    let written = world.installation.events(&report);
    assert!(
        events(&written, "bound.refused")
            .iter()
            .any(|data| data["address"] == "a host by its name")
    );
    let child = "import subprocess; subprocess.run(['curl', '-s', '-m', '5', 'https://example.com']); good()";
    let (exit, report) = world.python("curl", child);
    assert_eq!(
        (exit, codes(&report)),
        (1, vec!["forbidden_action".to_owned()]),
        "{report:#}"
    );
}

#[test]
fn the_last_call_decides_and_a_mended_failure_does_not() {
    let world = Modelled::new("command", "scripted-fix");
    let mended = "print(ask('scripted-fix')[0]); good()";
    assert_eq!(world.python("mended", mended).0, 0);
    for (fault, code, exit) in [
        ("500", "provider_unavailable", 4),
        ("401", "provider_unavailable", 4),
        ("404", "provider_unavailable", 4),
        ("429", "provider_unavailable", 4),
        ("hang", "provider_unavailable", 4),
        ("cut", "provider_unavailable", 4),
        ("html", "provider_unavailable", 4),
        ("redirect", "provider_unavailable", 4),
        ("reasoning-only", "provider_response_shape", 4),
        ("other-model", "model_not_admitted", 1),
        ("echo-credential", "secret_detected", 1),
    ] {
        // The preflight is the first call.
        let world = Modelled::with("command", "scripted-fix", failing(fault, When::Call(2)));
        let (seen, report) = world.python(&format!("fault-{fault}"), "print(ask()[0]); good()");
        assert_eq!(
            (seen, codes(&report)),
            (exit, vec![code.to_owned()]),
            "{fault}: {report:#}"
        );
        assert_eq!(report["model"]["calls"], 1, "{fault}");
        world.verifies(&report);
    }
}

#[test]
fn a_local_provider_is_asked_before_any_engine_starts() {
    for (fault, code, marker) in [
        ("500", "provider_unavailable", "provider-unavailable.txt"),
        (
            "reasoning-only",
            "provider_response_shape",
            "provider-reasoning-only.txt",
        ),
        ("other-model", "provider_unavailable", "provider-unavailable.txt"),
    ] {
        let world = Modelled::with("command", "scripted-fix", failing(fault, When::Call(1)));
        let (exit, report) = world.python(&format!("preflight-{fault}"), "good()");
        assert_eq!(
            (exit, codes(&report)),
            (3, vec![code.to_owned()]),
            "{fault}: {report:#}"
        );
        assert_eq!(report["case_process_started"], false);
        let bundle = world.installation.bundle(&report);
        assert!(bundle.join("backend").join(marker).exists(), "{fault}");
        let written = world.installation.events(&report);
        assert_eq!(events(&written, "backend.gate.blocked").len(), 1, "{fault}");
        world.verifies(&report);
    }
}

#[test]
fn what_is_missing_is_named_with_what_to_set_and_nothing_starts() {
    for (missing, code, mend) in [
        (
            "_LOCAL_BASE_URL",
            "provider_local_config_unavailable",
            "CTO_HARNESS_COMMAND_LOCAL_BASE_URL",
        ),
        ("_MODEL_ADMISSION_FILE", "model_not_admitted", "cto admit model"),
    ] {
        let world = Modelled::new("command", "scripted-fix").without(missing);
        let (exit, report) = world.python(
            &format!("missing{}", missing.to_lowercase().replace('_', "-")),
            "good()",
        );
        assert_eq!((exit, codes(&report)), (3, vec![code.to_owned()]), "{report:#}");
        let detail = report["blockers"][0]["detail"].as_str().unwrap();
        assert!(detail.contains(mend), "{detail}");
        assert_eq!(report["case_process_started"], false);
    }
}

#[test]
fn an_admission_of_another_class_of_network_or_credential_admits_nothing() {
    for (field, word, part) in [
        (
            "allowed_network_class",
            "hosted-provider",
            "is local, and the model admission's allowed_network_class",
        ),
        ("allowed_network_class", "vllm", "says neither local nor external"),
        ("credential_source_class", "file", "is of class environment"),
    ] {
        let world = Modelled::new("command", "scripted-fix");
        let file = world.installation.dir.path().join("admission-command.json");
        let mut record: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        record[field] = json!(word);
        write(&file, record.to_string().as_bytes());
        let (exit, report) = world.python(&format!("class-{word}"), "good()");
        assert_eq!(
            (exit, codes(&report)),
            (3, vec!["model_not_admitted".to_owned()]),
            "{report:#}"
        );
        let detail = report["blockers"][0]["detail"].as_str().unwrap();
        assert!(detail.starts_with("mismatch: ") && detail.contains(part), "{detail}");
        assert_eq!(report["case_process_started"], false);
        assert_eq!(report["case_model_admission_status"], "mismatch");
        world.verifies(&report);
    }
}

#[test]
fn a_named_admission_that_is_not_there_is_named_by_its_path() {
    let mut world = Modelled::new("command", "scripted-fix");
    let gone = world.installation.dir.path().join("gone.json");
    for (name, value) in &mut world.env {
        if name.ends_with("_MODEL_ADMISSION_FILE") {
            *value = gone.display().to_string();
        }
    }
    let (exit, report) = world.python("gone", "good()");
    assert_eq!(
        (exit, codes(&report)),
        (3, vec!["model_not_admitted".to_owned()]),
        "{report:#}"
    );
    let detail = report["blockers"][0]["detail"].as_str().unwrap();
    let named = format!("CTO_HARNESS_COMMAND_MODEL_ADMISSION_FILE names {}, ", gone.display());
    assert!(
        detail.starts_with("missing_admission: ") && detail.contains(&named),
        "{detail}"
    );
}

#[test]
fn a_budget_ends_the_calls_and_the_run() {
    let world = Modelled::new("command", "scripted-fix");
    let repository = world.repository("budget");
    let mut document = contract("budget", &repository);
    document["budget"] = json!({"tokens": 1});
    let file = world.installation.contract(&document);
    let script = format!("{CLIENT}\nprint(ask()[0]); print(ask()[0]); good()");
    let (exit, report) = world.run(&[
        "run",
        "--contract",
        file.to_str().unwrap(),
        "--",
        "/usr/bin/python3",
        "-c",
        &script,
    ]);
    assert_eq!(
        (exit, codes(&report)),
        (4, vec!["resource_limit".to_owned()]),
        "{report:#}"
    );
    assert_eq!(world.requests_of_the_engine().len(), 1);
}

#[test]
fn the_credential_is_in_no_byte_that_anybody_but_the_gateway_sees() {
    let options = ScriptedOptions {
        required_key: Some(KEY.to_owned()),
        ..ScriptedOptions::default()
    };
    let world = Modelled::with("command", "scripted-fix", options);
    // The agent looks for it everywhere, and puts what it finds where it would be evidence.
    let script = r#"
import glob, os
found = [str(os.environ)]
for place in glob.glob("/proc/[0-9]*/environ") + glob.glob("/proc/[0-9]*/cmdline"):
    try: found.append(open(place, "rb").read().decode("latin-1"))
    except OSError: pass
print("\n".join(found)); print(ask()[0]); good()
"#;
    let (exit, report) = world.python("canary", script);
    assert_eq!((exit, codes(&report)), (0, vec![]), "{report:#}");
    let forms = [
        KEY.to_owned(),
        hex(KEY.as_bytes()),
        KEY.chars().rev().collect(),
        "c2stY2FuYXJ5LTdReDJtVjlwTHI0VG5COHdaYzN5S2Q2aEpmMXNHYTVl".to_owned(),
    ];
    for (file, bytes) in snapshot(&world.installation.home()) {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        for form in &forms {
            assert!(!text.contains(form.as_str()), "{} holds the credential", file.display());
        }
        let endpoint = world.model.address().to_string();
        assert!(
            !text.contains(&endpoint) || is_ledger(&file),
            "{} holds the endpoint",
            file.display()
        );
    }
}

fn is_ledger(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "sqlite")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_gateway_that_dies_ends_the_run_as_one_without_a_verdict() {
    let world = Modelled::new("command", "scripted-fix");
    let repository = world.repository("killed");
    let file = world.installation.contract(&contract("killed", &repository));
    let script = format!("{CLIENT}\nimport time\nprint('up', flush=True); time.sleep(60); good()");
    let mut command = world.command(&["run", "--contract", file.to_str().unwrap(), "--"]);
    let child = command
        .args(["/usr/bin/python3", "-c", &script])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let gateway = wait_for_child(child.id(), "__gateway");
    // The engine has been started once its program is there.
    wait_for_python(&script);
    rustix_kill(gateway);
    let output = child.wait_with_output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(codes(&report), ["harness_interrupted"], "{report:#}");
    assert!(report["blockers"][0]["detail"].as_str().unwrap().contains("gateway"));
    assert_eq!(output.status.code(), Some(4));
    world.verifies(&report);
}

fn rustix_kill(pid: u32) {
    let killed = std::process::Command::new("kill")
        .args(["-KILL", &pid.to_string()])
        .status();
    assert!(killed.unwrap().success());
}

fn command_lines() -> Vec<(u32, String, u32)> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().filter_map(Result::ok) {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else {
            continue;
        };
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let status = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let parent = status
            .rsplit(')')
            .next()
            .and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok());
        found.push((
            pid,
            String::from_utf8_lossy(&line).replace('\0', " "),
            parent.unwrap_or(0),
        ));
    }
    found
}

pub(crate) fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..600 {
        if let Some(found) = look() {
            return found;
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "a test that looks at processes can only look again"
        )]
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("it never came");
}

pub(crate) fn wait_for_child(parent: u32, word: &str) -> u32 {
    eventually(|| {
        let lines = command_lines();
        let found = lines.iter().find(|(_, line, of)| *of == parent && line.contains(word));
        found.map(|(pid, ..)| *pid)
    })
}

fn wait_for_python(script: &str) {
    let mark = script.lines().last().unwrap_or_default().to_owned();
    eventually(|| {
        let lines = command_lines();
        lines
            .iter()
            .any(|(_, line, _)| line.starts_with("/usr/bin/python3") && line.contains(&mark))
            .then_some(())
    });
}
