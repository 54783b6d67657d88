//! `cto dev scripted-model`: what it prints, what it answers, and how it ends.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::Installation;

/// A served model, which is killed when a test fails.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended already, as it should.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn serve(installation: &Installation, arguments: &[&str]) -> (Served, Value) {
    let mut command = installation.command();
    command.args(["--json", "dev", "scripted-model"]).args(arguments);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut served = Served(child.unwrap());
    let mut text = String::new();
    for line in BufReader::new(served.0.stdout.as_mut().unwrap()).lines() {
        text.push_str(&line.unwrap());
        if let Ok(document) = serde_json::from_str(&text) {
            return (served, document);
        }
    }
    panic!("no document: {text}");
}

fn ask(address: &str, model: &str, key: &str) -> String {
    let body =
        serde_json::json!({ "model": model, "messages": [{ "role": "user", "content": "Say OK." }] }).to_string();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let head = format!("POST /v1/chat/completions HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    let rest = format!(
        "Authorization: Bearer {key}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all((head + &rest).as_bytes()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    reply
}

#[test]
fn a_scripted_model_is_served_until_it_is_interrupted() {
    let installation = Installation::new();
    let script = installation.dir.path().join("script.yaml");
    crate::support::write(&script, b"final: All is said.\n");
    let setup = installation.dir.path().join("setup");
    let (mut served, document) = serve(
        &installation,
        &[
            "--script",
            script.to_str().unwrap(),
            "--setup",
            setup.to_str().unwrap(),
            "--fault",
            "429:2",
            "--require-key",
            "test-key",
        ],
    );
    let address = document["address"].as_str().unwrap();
    assert!(address.starts_with("127.0.0.1:"));
    assert_eq!(document["credential_variable"], "CTO_SCRIPTED_KEY");
    assert!(!document.to_string().contains("test-key"));
    let engine = &document["engines"]["codex"];
    assert_eq!(engine["CTO_HARNESS_ALLOW_CODEX"], "1");
    assert_eq!(
        engine["CTO_HARNESS_CODEX_LOCAL_BASE_URL"],
        format!("http://{address}/v1")
    );
    let admission = engine["CTO_HARNESS_CODEX_MODEL_ADMISSION_FILE"].as_str().unwrap();
    assert_eq!(fs::metadata(admission).unwrap().permissions().mode() & 0o777, 0o600);

    assert!(ask(address, "any", "test-key").contains("All is said."));
    assert!(ask(address, "any", "test-key").starts_with("HTTP/1.1 429 "));
    assert!(ask(address, "any", "another-key").starts_with("HTTP/1.1 401 "));

    let interrupted = Command::new("kill").args(["-INT", &served.0.id().to_string()]).status();
    assert!(interrupted.unwrap().success());
    assert_eq!(served.0.wait().unwrap().code(), Some(0));
    let mut said = String::new();
    served.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(
        said.contains("2 POST /v1/chat/completions model=any results=0 fault=429 -> 429"),
        "{said}"
    );
    assert!(!said.contains("-key"), "{said}");
}

#[test]
fn what_cannot_be_served_is_refused_with_a_reason() {
    let installation = Installation::new();
    let script = installation.dir.path().join("script.yaml");
    crate::support::write(&script, b"turns: [{ say: nothing }]\nfinal: x\n");
    let script = script.to_str().unwrap();
    for (arguments, exit, reason) in [
        (["--listen", "0.0.0.0:0"], 2, "use 127.0.0.1"),
        (["--fault", "no-such-fault"], 2, "faults are 401, 404"),
        (
            ["--script", "missing.yaml"],
            3,
            "failed to read the script missing.yaml",
        ),
        (["--script", script], 2, "turn 1 needs exactly one"),
        (["--setup", script], 3, "failed to make the directory"),
    ] {
        let output = installation.cto(&["dev", "scripted-model", arguments[0], arguments[1]]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(exit), "{said}");
        assert!(said.contains(reason), "{said}");
    }
}
