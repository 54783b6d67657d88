//! The life of the process: how it starts, what it keeps to itself, how it ends.

use std::ffi::OsString;
use std::fs::Permissions;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use cto_gateway::{
    CallOutcome, CallSide, CredentialSource, Dialect, GatewayError, GatewayOrder, GatewayProcess, Preflight, Price,
    Record,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use crate::streams::{CHAT, good};
use crate::upstream::{EVENTS, Upstream, chunk, document, events, hold, json, say};
use crate::world::{KEY, MODEL, World, environment, order, program, question};

fn listener() -> OwnedFd {
    TcpListener::bind("127.0.0.1:0").unwrap().into()
}

fn start(order: &GatewayOrder) -> Result<GatewayProcess, GatewayError> {
    GatewayProcess::start(program(), order, listener(), environment())
}

/// Why a gateway does not serve; it says so, ends, and is no error.
fn unavailable(order: &GatewayOrder) -> (CallOutcome, String) {
    let mut records = start(order).unwrap().finish().unwrap();
    match (records.pop(), records.is_empty()) {
        (Some(Record::Unavailable { outcome, detail }), true) => (outcome, detail),
        other => panic!("{other:?}"),
    }
}

fn pid(id: u32) -> Pid {
    Pid::from_raw(id.try_into().unwrap()).unwrap()
}

/// Waits until a process of somebody else is gone.
fn is_gone(id: u32, within: Duration) -> bool {
    let Ok(process) = pidfd_open(pid(id), PidfdFlags::empty()) else {
        return true;
    };
    let within = Timespec::try_from(within).unwrap();
    poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&within)).unwrap() > 0
}

#[test]
fn a_credential_that_cannot_be_had_is_told_by_its_source() {
    let dir = tempfile::tempdir().unwrap();
    let open = dir.path().join("open");
    std::fs::write(&open, KEY).unwrap();
    std::fs::set_permissions(&open, Permissions::from_mode(0o644)).unwrap();
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&open, &link).unwrap();
    let shell = |script: &str| CredentialSource::Command(["/bin/sh", "-c", script].map(str::to_owned).to_vec());
    let keyring = CredentialSource::Keyring {
        service: "cto".to_owned(),
        account: "nobody".to_owned(),
    };
    for (source, named) in [
        (CredentialSource::Environment("NO_SUCH".to_owned()), "NO_SUCH"),
        (CredentialSource::File(open), "chmod 600"),
        (CredentialSource::File(link), "symbolic"),
        (CredentialSource::File(PathBuf::from("/no/such/file")), "/no/such/file"),
        (shell("exit 1"), "exit status: 1"),
        (shell("true"), "gave no credential"),
        (keyring, "secret-tool"),
    ] {
        let mut order = order(1);
        order.routes[0].credential = source;
        let (outcome, detail) = unavailable(&order);
        assert_eq!(outcome, CallOutcome::CredentialUnavailable, "{detail}");
        assert!(detail.contains(named) && !detail.contains(KEY), "{detail}");
    }
}

#[test]
fn an_order_that_cannot_be_served_is_told() {
    type Change = fn(&mut GatewayOrder);
    let changes: [(Change, &str); 7] = [
        (|order| order.routes.clear(), "no route"),
        (|order| order.dialects.clear(), "no wire format"),
        (
            |order| order.routes[0].base_url = "file:///etc/passwd".to_owned(),
            "local",
        ),
        (
            |order| order.routes[0].base_url = "http://user:word@host.example".to_owned(),
            "local",
        ),
        (|order| order.routes[0].base_url = String::new(), "local"),
        (|order| order.routes.push(order.routes[0].clone()), "two routes"),
        (|order| order.budget.cost_micro_usd = Some(1), "prices"),
    ];
    for (change, named) in changes {
        let mut order = order(1);
        change(&mut order);
        let (outcome, detail) = unavailable(&order);
        assert_eq!(outcome, CallOutcome::NotConfigured, "{detail}");
        assert!(
            detail.contains(named) && !detail.contains("word") && !detail.contains("passwd"),
            "{detail}"
        );
    }
}

#[test]
fn garbage_instead_of_an_order_ends_without_a_word() {
    for garbage in [&b""[..], b"\0\0\0\x02{}", b"\xff\xff\xff\xff", b"garbage"] {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let mut child = Command::new(program())
            .arg("__gateway")
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        ours.write_all(garbage).unwrap();
        drop(ours);
        let mut said = String::new();
        child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(
            (said.as_str(), child.wait().unwrap().code()),
            ("", Some(70)),
            "{garbage:?}"
        );
    }
    let status = Command::new(program()).args(["__gateway", "more"]).status().unwrap();
    assert_eq!(status.code(), Some(2));
}

#[test]
fn a_program_that_is_no_gateway_is_an_error_that_names_its_end() {
    for no_gateway in ["/bin/false", "/bin/true"] {
        let started = GatewayProcess::start(no_gateway.as_ref(), &order(1), listener(), Vec::new());
        let Err(GatewayError::Lost { ended, records }) = started else {
            panic!("{started:?}")
        };
        assert!(ended.starts_with("exit status") && records.is_empty(), "{ended}");
    }
    let started = GatewayProcess::start("/no/such/program".as_ref(), &order(1), listener(), Vec::new());
    assert!(matches!(started, Err(GatewayError::Start(_))));
    for (line, named) in [
        ("hello", "expected"),
        ("{\"record\":\"closed\"}", "before"),
        ("{\"record\":\"of_tomorrow\"}", "of_tomorrow"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("gateway");
        let text = format!("#!/bin/sh\nhead -c 4 >/dev/null\necho '{line}'\nsleep 5\n");
        std::fs::write(&script, text).unwrap();
        std::fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
        let started = GatewayProcess::start(
            &script,
            &order(1),
            listener(),
            vec![("PATH".into(), "/usr/bin:/bin".into())],
        );
        let Err(GatewayError::Record(detail)) = started else {
            panic!("{started:?}")
        };
        assert!(detail.contains(named), "{detail}");
    }
}

#[test]
fn a_gateway_that_dies_is_an_error_with_what_it_had_said() {
    let world = World::new(Upstream::saying(events(CHAT.as_bytes())));
    assert_eq!(world.post("/v1/chat/completions", &question(true)).status, 200);
    let mut gateway = world.gateway;
    let mut records = Vec::new();
    while records.len() < 2 {
        records.extend(gateway.take().unwrap());
    }
    kill_process(pid(gateway.id()), Signal::KILL).unwrap();
    assert!(is_gone(gateway.id(), Duration::from_secs(10)));
    let error = gateway.take().unwrap_err();
    assert!(
        matches!(&error, GatewayError::Lost { ended, .. } if ended.contains("SIGKILL")),
        "{error:?}"
    );
    assert!(error.to_string().contains("SIGKILL"), "{error}");
    assert!(matches!(gateway.finish(), Err(GatewayError::Lost { .. })));
}

#[test]
fn a_gateway_outlives_the_thread_that_started_it_and_not_the_process() {
    let mut harness = Command::new(program())
        .arg("doomed")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(harness.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let gateway: u32 = line.trim().parse().unwrap();
    assert!(!is_gone(gateway, Duration::from_millis(300)));
    harness.kill().unwrap();
    harness.wait().unwrap();
    assert!(is_gone(gateway, Duration::from_secs(10)));
}

#[test]
fn open_calls_are_ended_and_recorded_when_the_run_ends() {
    let upstream = Upstream::start(|_, _, stream| {
        say(stream, EVENTS);
        say(stream, &chunk(&CHAT.as_bytes()[..CHAT.len() / 2]));
        hold(stream, Duration::from_secs(30));
    });
    let world = World::new(upstream);
    let port = world.port;
    let engine = thread::spawn(move || {
        crate::wire::exchange(
            port,
            &crate::wire::request(port, "/v1/chat/completions", "", &question(true)),
        )
    });
    while world.upstream.asked().is_empty() {
        thread::yield_now();
    }
    let began = Instant::now();
    let call = world.call();
    assert!(began.elapsed() < Duration::from_secs(3));
    assert_eq!((call.outcome, call.side), (CallOutcome::EngineGone, CallSide::Gateway));
    assert!(engine.join().unwrap().has_failed());
}

#[test]
fn nothing_shows_the_credential_or_the_endpoint() {
    // No other test has this one in the environment of its gateway.
    let key = format!("{KEY}-{}", std::process::id());
    let environment = vec![("MODEL_SECRET".into(), OsString::from(&key))];
    let upstream = Upstream::saying(events(good(Dialect::Messages).as_bytes()));
    let world = World::start(upstream, environment, |_| {});
    assert_eq!(world.post("/v1/messages", &question(true)).status, 200);
    assert_eq!(
        world
            .post("/v1/messages", format!("{{\"model\":\"{MODEL}\"").as_bytes())
            .status,
        403
    );
    let id = world.gateway.id();
    let endpoint = format!("127.0.0.1:{}", world.upstream.port);
    let arguments = std::fs::read_to_string(format!("/proc/{id}/cmdline")).unwrap();
    assert!(arguments.ends_with("\0__gateway\0"), "{arguments}");
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    // Its own process group: an interrupt of the terminal does not reach it.
    let group = rustix::process::getpgid(Some(pid(id))).unwrap();
    assert_eq!(group, pid(id));
    let limits = std::fs::read_to_string(format!("/proc/{id}/limits")).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    // Only root looks into a process that does not let itself be looked into.
    let environ = std::fs::read(format!("/proc/{id}/environ"));
    assert!(rustix::process::geteuid().is_root() || environ.is_err());
    for process in std::fs::read_dir("/proc").unwrap() {
        let process = process.unwrap().path();
        let is_gateway = process.file_name().unwrap().to_str() == Some(&id.to_string());
        for file in ["cmdline", "environ"] {
            let text = std::fs::read(process.join(file)).unwrap_or_default();
            let text = String::from_utf8_lossy(&text).into_owned();
            assert!(
                !text.contains(&key) || (is_gateway && file == "environ"),
                "{}",
                process.display()
            );
        }
    }
    let records = format!("{:?}", world.finish());
    assert!(!records.contains("canary") && !records.contains(&endpoint), "{records}");
}

#[test]
fn a_command_gives_the_credential_and_the_right_header_carries_it() {
    for (dialect, header, value) in [
        (Dialect::Messages, "x-api-key", KEY.to_owned()),
        (Dialect::Responses, "authorization", format!("Bearer {KEY}")),
    ] {
        let world = World::with(Upstream::saying(events(good(dialect).as_bytes())), |order| {
            let words = ["/bin/sh", "-c", "echo \"$MODEL_SECRET\""];
            order.routes[0].credential = CredentialSource::Command(words.map(str::to_owned).to_vec());
            order.routes[0].base_url = order.routes[0].base_url.trim_end_matches("/v1").to_owned();
        });
        assert_eq!(world.post(crate::world::path(dialect), &question(true)).status, 200);
        let asked = world.upstream.asked().remove(0);
        assert_eq!(asked.header(header), Some(value.as_str()));
        assert_eq!(
            asked.header("anthropic-version").is_some(),
            dialect == Dialect::Messages
        );
    }
}

/// A server that lists models and completes.
fn local(list: Vec<u8>, completion: Vec<u8>) -> Upstream {
    Upstream::start(move |_, asked, stream| match asked.head.starts_with("GET ") {
        true => say(stream, &list),
        false => say(stream, &completion),
    })
}

fn asked(list: Vec<u8>, completion: &str) -> Result<(), (CallOutcome, String)> {
    let upstream = local(list, json(completion));
    let mut order = order(upstream.port);
    order.preflight = Preflight::Local;
    order.limits.first_byte_ms = 2000;
    let records = start(&order).unwrap().finish().unwrap();
    let asked = upstream.asked();
    match &records[..] {
        [Record::Ready, Record::Closed] => {
            let body = String::from_utf8(asked[1].body.clone()).unwrap();
            assert!(body.contains("\"max_tokens\":1024") && body.contains(MODEL), "{body}");
            Ok(())
        }
        [Record::Unavailable { outcome, detail }] => {
            assert!(!detail.contains(&upstream.port.to_string()), "{detail}");
            Err((*outcome, detail.clone()))
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_local_server_is_asked_before_the_engine_starts() {
    let list = || {
        json(&format!(
            "{{\"object\":\"list\",\"data\":[{{\"id\":\"a\"}},{{\"id\":\"{MODEL}\"}}]}}"
        ))
    };
    let says = |message: &str, model: &str| {
        format!("{{\"model\":\"{model}\",\"choices\":[{{\"message\":{{{message}}},\"finish_reason\":\"stop\"}}]}}")
    };
    let ready = says("\"content\":\"ready\"", MODEL);
    let outcome = |list, completion: &str| asked(list, completion).map_err(|(outcome, _)| outcome);
    assert_eq!(outcome(list(), &ready), Ok(()));
    assert_eq!(outcome(document("404 No", "", b""), &ready), Ok(()));
    let thinks = says("\"content\":\"\",\"reasoning_content\":\"hm\"", MODEL);
    assert_eq!(outcome(list(), &thinks), Err(CallOutcome::ReasoningOnly));
    let other = asked(list(), &says("\"content\":\"ready\"", "other")).unwrap_err();
    assert_eq!(other.0, CallOutcome::ModelMismatch);
    assert!(other.1.contains("other answered"), "{}", other.1);
    assert_eq!(
        outcome(json("{\"data\":[{\"id\":\"a\"}]}"), &ready),
        Err(CallOutcome::NotFound)
    );
    assert_eq!(outcome(json("<html>"), &ready), Err(CallOutcome::Malformed));
    assert_eq!(
        outcome(document("401 X", "", b""), &ready),
        Err(CallOutcome::Unauthorized)
    );
    assert_eq!(
        outcome(document("500 X", "", b""), &ready),
        Err(CallOutcome::UpstreamError)
    );
    assert_eq!(
        outcome(document("302 X", "", b""), &ready),
        Err(CallOutcome::UnexpectedStatus)
    );
    assert_eq!(outcome(list(), "{}"), Err(CallOutcome::ModelMismatch));
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut order = order(free);
    order.preflight = Preflight::Local;
    assert_eq!(unavailable(&order).0, CallOutcome::Unreachable);
}

#[test]
fn fallbacks_are_marked_and_prices_belong_to_their_route() {
    let stream = CHAT.replace(MODEL, "second");
    let world = World::with(Upstream::saying(events(stream.as_bytes())), |order| {
        let mut second = order.routes[0].clone();
        second.model = "second".to_owned();
        second.price = Some(Price {
            input: 1_000_000,
            cached_input: 0,
            output: 0,
        });
        order.routes.push(second);
    });
    assert_eq!(
        world.post("/v1/chat/completions", b"{\"model\":\"second\"}").status,
        200
    );
    let call = world.call();
    assert_eq!(
        (call.fallback, call.cost_micro_usd, call.stream),
        (true, Some(4), false)
    );
}

#[test]
fn the_environment_of_the_gateway_is_what_it_was_given() {
    let world = World::new(Upstream::saying(""));
    let environ = std::fs::read(format!("/proc/{}/environ", world.gateway.id()));
    let Ok(environ) = environ else { return };
    let mut names: Vec<OsString> = environment().into_iter().map(|(name, _)| name).collect();
    let mut seen: Vec<OsString> = environ
        .split(|byte| *byte == 0)
        .filter(|entry| !entry.is_empty())
        .map(|entry| String::from_utf8_lossy(entry).split('=').next().unwrap().into())
        .collect();
    names.sort();
    seen.sort();
    assert_eq!(seen, names);
}
