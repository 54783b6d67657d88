//! The control surface from outside: the summary, and the panel as raw requests see it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::support::{GOOD, Installation, contract, write};

/// A panel that serves; it ends with this value.
pub struct Panel {
    child: Child,
    pub link: String,
    pub port: u16,
}

impl Panel {
    pub fn start(installation: &Installation, arguments: &[&str]) -> Self {
        Self::of(installation.command(), arguments)
    }

    fn of(mut command: Command, arguments: &[&str]) -> Self {
        let mut child = command
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut link = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut link)
            .unwrap();
        let link = link.trim_end().to_owned();
        let port = link
            .split(['/', ':'])
            .find_map(|part| part.parse::<u16>().ok().filter(|port| *port > 1000))
            .unwrap_or_else(|| panic!("no port in '{link}'"));
        Self { child, link, port }
    }

    /// Sends a request as it is and returns status, head and body.
    pub fn raw(&self, request: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        // A server that refuses a long head may close before all of it was sent.
        drop(stream.write_all(request.as_bytes()));
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer));
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.unwrap_or(0), head.to_lowercase(), body.to_owned())
    }

    pub fn get(&self, path: &str, headers: &str) -> (u16, String, String) {
        self.raw(&format!(
            "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n{headers}Connection: close\r\n\r\n",
            self.port
        ))
    }

    /// Waits until the first snapshot is there.
    pub fn ready(&self, headers: &str) -> Value {
        for _ in 0..600 {
            let (status, _, body) = self.get("/api/cto/control-summary", headers);
            if status == 200 {
                return serde_json::from_str(&body).unwrap();
            }
            assert_eq!(status, 503, "{body}");
            std::thread::park_timeout(std::time::Duration::from_millis(50));
        }
        panic!("no snapshot after half a minute");
    }
}

impl Drop for Panel {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// An installation with one pass and one failure.
fn with_runs() -> (Installation, Value, Value) {
    let installation = Installation::new();
    let repository = installation.scripted("target");
    let (code, pass) = installation.agent(&contract("T-1", &repository), GOOD);
    assert_eq!(code, 0, "{pass}");
    let (code, fail) = installation.agent(&contract("T-2", &repository), "echo x > other.txt");
    assert_eq!(code, 1, "{fail}");
    (installation, pass, fail)
}

#[test]
fn the_summary_follows_from_the_bundles_and_a_changed_one_is_refused() {
    let (installation, pass, _) = with_runs();
    let (code, summary) = installation.json(&["summary"]);
    assert_eq!(code, 0);
    assert_eq!(summary["evidence"]["runs_on_record"], 2);
    assert_eq!(summary["runtime_default_activation"], json!(false));
    assert_eq!(summary["core_promotion_status"], "not-promoted");
    assert_eq!(summary["execution_allowed"], json!(false));
    let target = &summary["target_repository_read_only_proof"];
    assert_eq!(summary["target_repository_read_only_proof_status"], "proven");
    assert_eq!(target["commit_before"], target["commit_after"]);
    let command = summary["proof_ladder"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["engine"] == "command")
        .unwrap();
    assert_eq!(command["stages"][2]["run_id"], pass["run_id"]);
    let file = installation.dir.path().join("summary.json");
    let check = |value: &Value| {
        write(&file, value.to_string().as_bytes());
        installation.json(&["summary", "--check", file.to_str().unwrap()])
    };
    assert_eq!(check(&summary).0, 0);
    let mut changed = summary.clone();
    changed["execution_allowed"] = json!(true);
    let (code, found) = check(&changed);
    assert_eq!((code, &found["holds"]), (5, &json!(false)));
    // A bundle that was changed counts no more, and is named.
    write(&installation.bundle(&pass).join("patch.diff"), b"other");
    let (_, later) = installation.json(&["summary"]);
    let source = later["bundles"]
        .as_array()
        .unwrap()
        .iter()
        .find(|source| source["run_id"] == pass["run_id"])
        .unwrap();
    assert_eq!(source["state"], "unverifiable");
    assert_eq!(later["evidence"]["bundles_unverifiable"], 1);
    std::fs::remove_dir_all(installation.bundle(&pass)).unwrap();
    let (_, gone) = installation.json(&["summary"]);
    assert!(
        gone["attention"]
            .as_array()
            .unwrap()
            .iter()
            .any(|one| one["kind"] == "gone")
    );
}

#[test]
fn nothing_secret_is_in_the_summary_or_on_any_control_page() {
    let installation = Installation::new();
    let repository = installation.repository(
        "canary-target",
        &[
            ("value.txt", "bad\n"),
            ("check.sh", "#!/bin/sh\ngrep -qx good value.txt\n"),
        ],
    );
    let mut contract = contract("CANARY", &repository);
    let canaries = [
        "sk-proj-canary0123456789abcdefgh",
        "https://canary.example/v1",
        "10.99.88.77:4321",
        "/home/canary-user/secret",
    ];
    contract["brief"] = json!(format!("prompt canary-prompt-text {}", canaries.join(" ")));
    contract["title"] = json!(format!("title {}", canaries[3]));
    let (_, report) = installation.agent(
        &contract,
        &format!("echo 'canary-patch-line {}' > value.txt", canaries[1]),
    );
    let (_, summary) = installation.json(&["summary"]);
    let panel = Panel::start(&installation, &["--no-login"]);
    panel.ready("");
    let mut texts = vec![summary.to_string()];
    for place in [
        "/",
        "/runs",
        "/ladder",
        "/ladder/3",
        "/approvals",
        "/lanes",
        "/failures",
        "/state",
        "/promotion",
        "/planning",
        "/api/cto/control-summary",
    ] {
        let (status, head, body) = panel.get(place, "");
        assert_eq!(status, 200, "{place}");
        texts.push(format!("{head}{body}"));
    }
    let live = format!("/api/cto/runs/{}/live", report["run_id"].as_str().unwrap());
    texts.push(panel.get(&live, "").2);
    texts.push(panel.get("/runs/../../etc/passwd", "").2);
    let home = installation.home();
    let more = ["canary-prompt-text", "canary-patch-line", home.to_str().unwrap()];
    for text in &texts {
        for canary in canaries.iter().chain(&more) {
            assert!(!text.contains(canary), "{canary} in {text}");
        }
    }
}

#[test]
fn only_looks_from_this_machine_by_its_own_name_are_answered() {
    let (installation, ..) = with_runs();
    let panel = Panel::start(&installation, &["--no-login"]);
    panel.ready("");
    let port = panel.port;
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"] {
        for path in ["/", "/api/cto/control-summary", "/approvals", "/login"] {
            let (status, head, body) = panel.raw(&format!(
                "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            ));
            assert_eq!(status, 405, "{method} {path}");
            assert!(head.contains("allow: get, head"), "{head}");
            assert_eq!(body, "{\"error\":\"read_only\"}");
        }
    }
    for host in [
        "evil.example",
        "127.0.0.1",
        &format!("evil.example:{port}"),
        "127.0.0.1:1",
        "",
    ] {
        let (status, _, body) = panel.raw(&format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
        assert_eq!((status, body.as_str()), (421, "{\"error\":\"misdirected\"}"), "{host}");
    }
    let two = panel.raw(&format!(
        "GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    ));
    assert!(matches!(two.0, 400 | 421), "{}", two.0);
    for header in [
        "Sec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: same-site\r\n",
        "Origin: http://evil.example\r\n",
        "Origin: null\r\n",
        "Origin: http://127.0.0.1:1\r\n",
    ] {
        assert_eq!(panel.get("/", header).0, 403, "{header}");
    }
    let own = format!("Sec-Fetch-Site: same-origin\r\nOrigin: http://127.0.0.1:{port}\r\n");
    assert_eq!(panel.get("/", &own).0, 200);
    assert_eq!(panel.get("/", "Sec-Fetch-Site: none\r\n").0, 200);
    let long = format!("X-Long: {}\r\n", "a".repeat(66_000));
    assert_eq!(panel.get("/", &long).0, 431);
    assert_eq!(panel.get(&format!("/?q={}", "a".repeat(5_000)), "").0, 414);
    let (status, head, body) = panel.raw(&format!(
        "HEAD / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
    ));
    assert!(
        status == 200 && body.is_empty() && head.contains("content-length"),
        "{head}"
    );
}

#[test]
fn every_answer_carries_the_policy_and_an_unchanged_summary_is_told_by_its_tag() {
    let (installation, pass, _) = with_runs();
    let panel = Panel::start(&installation, &["--no-login"]);
    let summary = panel.ready("");
    let run = pass["run_id"].as_str().unwrap();
    for path in [
        "/",
        "/nope",
        "/runs",
        &format!("/runs/{run}"),
        "/api/cto/control-summary",
        "/api/nope",
    ] {
        let (_, head, _) = panel.get(path, "");
        for part in [
            "content-security-policy: default-src 'none'; script-src 'self'",
            "require-trusted-types-for 'script'; trusted-types 'none'",
            "x-content-type-options: nosniff",
            "x-frame-options: deny",
            "referrer-policy: no-referrer",
            "cross-origin-opener-policy: same-origin",
            "cross-origin-resource-policy: same-origin",
        ] {
            assert!(head.contains(part), "{path}: {head}");
        }
        assert!(head.contains("no-store") || head.contains("no-cache"), "{head}");
    }
    let (_, head, _) = panel.get("/api/cto/control-summary", "");
    let tag = head
        .lines()
        .find_map(|line| line.strip_prefix("etag: "))
        .unwrap()
        .to_owned();
    let digest = summary["snapshot_sha256"].as_str().unwrap();
    assert_eq!(tag, format!("\"seq-{}-{}\"", summary["snapshot_seq"], &digest[7..19]));
    let (status, _, body) = panel.get("/api/cto/control-summary", &format!("If-None-Match: {tag}\r\n"));
    assert_eq!((status, body.as_str()), (304, ""));
    assert_eq!(panel.get("/api/nope", "").2, "{\"error\":\"not_found\"}");
    let (status, head, _) = panel.get(&format!("/runs/{run}/patch.diff"), "");
    assert!(
        status == 200 && head.contains("attachment") && head.contains("sandbox"),
        "{head}"
    );
    // Another run is a new snapshot with another number.
    installation.json(&["run", "r1-string-slugify"]);
    let mut later = panel.ready("");
    for _ in 0..200 {
        if later["evidence"]["runs_on_record"] == 3 {
            break;
        }
        std::thread::park_timeout(std::time::Duration::from_millis(100));
        later = panel.ready("");
    }
    assert!(later["snapshot_seq"].as_u64() > summary["snapshot_seq"].as_u64());
    assert_eq!(later["evidence"]["runs_on_record"], 3);
}

#[test]
fn a_link_opens_one_session_and_nothing_is_shown_without() {
    let (installation, ..) = with_runs();
    let panel = Panel::start(&installation, &[]);
    let place = panel.link.split_once(&format!(":{}", panel.port)).unwrap().1.to_owned();
    assert!(place.starts_with("/login?k="), "{}", panel.link);
    for path in ["/", "/runs", "/help", "/nope", "/theme?to=dark"] {
        let (status, _, body) = panel.get(path, "");
        assert!(
            status == 401 && !body.contains("r1-") && body.contains("Log in"),
            "{path} {status}"
        );
    }
    for path in ["/api/cto/control-summary", "/api/cto/events"] {
        assert_eq!(panel.get(path, "").2, "{\"error\":\"unauthorized\"}", "{path}");
    }
    assert_eq!(panel.get("/health", "").2, "{\"ok\":true}");
    assert_eq!(panel.get("/login?k=wrong", "").0, 401);
    let (status, head, _) = panel.get(&place, "");
    assert_eq!(status, 303);
    let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    assert!(cookie.starts_with(&format!("cto_session_{}=", panel.port)), "{cookie}");
    assert!(
        cookie.contains("httponly") && cookie.contains("samesite=strict"),
        "{cookie}"
    );
    let session = format!("Cookie: {}\r\n", cookie.split(';').next().unwrap());
    panel.ready(&session);
    assert_eq!(panel.get("/", &session).0, 200);
    assert_eq!(panel.get(&place, "").0, 401, "the link a second time");
    assert_eq!(panel.get("/", &session.replace(char::is_numeric, "x")).0, 401);
}

#[test]
fn another_address_needs_a_secret_in_a_private_file_and_every_request_carries_it() {
    let (installation, ..) = with_runs();
    let refused = |arguments: &[&str]| {
        let output = installation.cto(arguments);
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, text) = refused(&["serve", "--listen", "0.0.0.0:0"]);
    assert!(code == 2 && text.contains("--behind-proxy"), "{text}");
    let file = installation.dir.path().join("secret");
    write(&file, b"0123456789abcdef0123456789abcdef\n");
    let path = file.to_str().unwrap();
    let proxied = [
        "serve",
        "--listen",
        "0.0.0.0:0",
        "--behind-proxy",
        "--secret-file",
        path,
    ];
    let (code, text) = refused(&proxied);
    assert!(code == 3 && text.contains("chmod 600"), "{text}");
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let content: Vec<&str> = proxied.iter().copied().chain(["--evidence-content"]).collect();
    assert_eq!(refused(&content).0, 2);
    let mut command = installation.command();
    command.args([
        "serve",
        "--listen",
        "0.0.0.0:0",
        "--behind-proxy",
        "--secret-file",
        path,
        "--host",
        "panel.example",
    ]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut link = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut link)
        .unwrap();
    let port = link
        .split([':', '/'])
        .filter_map(|part| part.parse::<u16>().ok())
        .next_back()
        .unwrap();
    let panel = Panel { child, link, port };
    let ask = |header: &str| {
        panel.raw(&format!(
            "GET /runs HTTP/1.1\r\nHost: panel.example\r\n{header}Connection: close\r\n\r\n"
        ))
    };
    let secret = "Authorization: Bearer 0123456789abcdef0123456789abcdef\r\n";
    panel.ready(secret);
    assert_eq!(ask(secret).0, 200);
    for wrong in [
        "",
        "Authorization: Bearer 0123456789abcdef0123456789abcdee\r\n",
        "Authorization: Basic x\r\n",
    ] {
        assert_eq!(ask(wrong).0, 401, "{wrong}");
    }
}

#[test]
fn an_owned_repository_keeps_its_content_to_itself_and_an_approval_shows_its_whole_course() {
    use crate::owned::{SCRIPT, ask, run, world};
    let (installation, operator, repository) = world();
    let summary = || installation.json(&["summary", "--candidate", "command"]).1;
    let asked = ask(&installation, &repository, "OWNED", &SCRIPT);
    let packet = asked.packet["packet_id"].as_str().unwrap();
    let waiting = summary();
    assert_eq!(waiting["next_recommended_operator_action"]["id"], "decide_packet");
    assert_eq!(waiting["approval_packet"]["executable"], json!(false));
    let digest = waiting["approval_packet"]["contract_sha256"].as_str().unwrap();
    let digest = digest.strip_prefix("sha256:").unwrap();
    assert_eq!(
        waiting["approval_packet"]["approval_command_text"],
        format!("cto approve {packet} --contract-sha256 {digest}")
    );
    // The text works as it stands, with the operator's sentence and key; about another contract it does not.
    let sentence = asked.packet["sentence"].as_str().unwrap();
    let approve = |digest: &str| {
        let words = ["approve", packet, "--contract-sha256", digest, "--sentence", sentence];
        crate::operator::say(&installation, &operator, &words).0
    };
    assert_eq!(approve(&digest.replace(char::is_numeric, "a")), 3);
    assert_eq!(summary()["approval_packet"]["state"], "requested");
    assert_eq!(approve(digest), 0);
    let approved = summary();
    assert_eq!(
        (&approved["execution_allowed"], &approved["approval_granted"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(approved["approval_packet"]["approval_command_text"], Value::Null);
    let (_, report) = run(&installation, &asked, &[], &SCRIPT);
    let id = report["run_id"].as_str().unwrap();
    let unsaid = summary();
    assert_eq!(unsaid["execution_allowed"], json!(false));
    assert_eq!(unsaid["next_recommended_operator_action"]["id"], "say_operator_outcome");
    let course = |summary: &Value| {
        let all = summary["governed_execution"].as_array().unwrap();
        all.iter().find(|one| one["approval_id"] == packet).unwrap().clone()
    };
    assert_eq!(
        (&course(&unsaid)["state"], &unsaid["repeatability_count"]),
        (&json!("consumed_by_run"), &json!(0))
    );
    let (code, said) = crate::operator::say(
        &installation,
        &operator,
        &["outcome", id, "accept", "--reason", "looked at it"],
    );
    assert_eq!(code, 0, "{said}");
    let accepted = summary();
    let one = course(&accepted);
    assert_eq!(
        (&one["state"], &one["run_id"]),
        (&json!("consumed_by_pass_evidence"), &json!(id))
    );
    assert_eq!(
        one["proof_replay_path"],
        format!("runs/{id}/stage5-owned-repo-proof.json")
    );
    assert_eq!(accepted["repeatability_count"], 1);
    assert_eq!(accepted["repeatability_status"], "blocked");
    assert_eq!(accepted["real_stage5_pass_report"], format!("runs/{id}/report.json"));
    assert_eq!(accepted["runtime_default_activation"], json!(false));

    owned_pages(&installation, id, packet);
}

/// What the pages of a run on an owned repository show, without and with its content.
fn owned_pages(installation: &Installation, id: &str, packet: &str) {
    let closed = Panel::start(installation, &["--no-login"]);
    let open = Panel::start(installation, &["--no-login", "--evidence-content"]);
    closed.ready("");
    open.ready("");
    for tab in ["patch", "tests"] {
        let page = closed.get(&format!("/runs/{id}/{tab}"), "").2;
        assert!(
            page.contains("Not shown here") && !page.contains("class=\"diff"),
            "{tab}"
        );
        let page = open.get(&format!("/runs/{id}/{tab}"), "").2;
        assert!(
            !page.contains("Not shown here") && page.contains("--evidence-content"),
            "{tab}"
        );
    }
    for file in ["patch.diff", "test.log", "report"] {
        assert_eq!(closed.get(&format!("/runs/{id}/{file}"), "").0, 404, "{file}");
        assert_eq!(open.get(&format!("/runs/{id}/{file}"), "").0, 200, "{file}");
    }
    let events = closed.get(&format!("/runs/{id}/events"), "").2;
    assert!(
        events.contains("run.started") && !events.contains("value.txt"),
        "{events}"
    );
    assert!(closed.get(&format!("/runs/{id}"), "").2.contains("Accepted"));
    assert!(
        closed
            .get(&format!("/approvals/{packet}"), "")
            .2
            .contains("consumed by a pass")
    );
}

#[test]
fn a_run_under_way_is_watched_to_its_end() {
    let installation = Installation::new();
    let (code, none) = installation.json(&["watch"]);
    assert_eq!((code, &none["state"]), (0, &json!("none")));
    let repository = installation.scripted("target");
    let path = installation.contract(&contract("WATCHED", &repository));
    // It waits until the test has seen it: the file is in the mapped toolchain, which the run may read.
    let gate = installation.dir.path().join("gate");
    std::fs::create_dir_all(gate.join("bin")).unwrap();
    let script = format!("while [ ! -e {}/open ]; do sleep 0.1; done; {GOOD}", gate.display());
    let mut running = installation.command();
    running.args([
        "--json",
        "run",
        "--toolchain",
        gate.to_str().unwrap(),
        "--contract",
        path.to_str().unwrap(),
    ]);
    let mut child = running
        .args(["--", "/bin/sh", "-c", &script])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // A marker appears under its name when it is complete and locked; before that it has a temporary one.
    let begun = || {
        let listed = std::fs::read_dir(installation.home().join("live")).unwrap();
        listed
            .flatten()
            .any(|entry| !entry.file_name().to_string_lossy().starts_with('.'))
    };
    while !begun() {
        std::thread::park_timeout(std::time::Duration::from_millis(20));
    }
    let mut watch = installation.command();
    let mut watch = watch
        .arg("watch")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    assert!(first.contains("run.started"), "{first}");
    write(&gate.join("open"), b"");
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert!(rest.iter().any(|line| line.contains("run.completed")), "{rest:?}");
    assert!(child.wait().unwrap().success());
    let told = watch.wait_with_output().unwrap();
    assert!(told.status.success());
    let told = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(told.contains("it ended: pass"), "{told}");
}
