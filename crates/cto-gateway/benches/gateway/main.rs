//! What the gateway costs: first byte, and 64 streams at once, direct and through it in turn in one run.
//!
//! `cargo bench -p cto-gateway`, or `scripts/bench` with everything else (`--quick`: fewer rounds, `--json`: numbers
//! instead of the table); goals: at most 1 ms more to the first byte, at most 3 % at the median of 64 streams
//! that come at the pace of a model, at most 30 MiB of memory. `profile` repeats the unpaced load alone.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark: any surprise must end it loudly"
)]

mod load;
mod upstream;

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use cto_gateway::{
    Budget, CredentialSource, Dialect, GATEWAY_ARGUMENT, GatewayLimits, GatewayOrder, GatewayProcess, Preflight,
    Record, Route, gateway_main,
};
use serde_json::json;

use crate::load::{Times, first_byte, streams};
use crate::upstream::MODEL;

const WARM_UP: usize = 50;
/// Rounds of `profile`.
const PROFILED: usize = 50;

fn order(port: u16) -> GatewayOrder {
    GatewayOrder {
        routes: vec![Route {
            provider: "local".to_owned(),
            model: MODEL.to_owned(),
            base_url: format!("http://127.0.0.1:{port}/v1"),
            credential: CredentialSource::Environment("MODEL_SECRET".to_owned()),
            price: None,
        }],
        dialects: vec![Dialect::ChatCompletions],
        limits: GatewayLimits {
            calls: 1_000_000,
            ..GatewayLimits::default()
        },
        budget: Budget::default(),
        provider_tools: Vec::new(),
        request_fields: Vec::new(),
        preflight: Preflight::None,
        egress: Vec::new(),
    }
}

fn memory(id: u32, name: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kib / 1024.0
}

fn row(what: &str, direct: &Times, through: &Times) {
    let (direct_ms, through_ms) = (direct.median_ms(), through.median_ms());
    println!(
        "| {what:<38} | {direct_ms:>9.3} | {through_ms:>9.3} | {:>+8.3} | {:>6.3} | {:>9.3} | {:>9.3} |",
        through_ms - direct_ms,
        through_ms / direct_ms,
        direct.high_ms(),
        through.high_ms(),
    );
}

fn drain(gateway: &mut GatewayProcess) -> usize {
    let mut records = gateway.take().unwrap();
    records.retain(|record| !matches!(record, Record::Begun { .. }));
    for record in &records {
        let is_good = match record {
            Record::Ready => true,
            Record::Call(call) => call.outcome == cto_gateway::CallOutcome::Completed,
            _ => false,
        };
        assert!(is_good, "{record:?}");
    }
    records.len()
}

/// Nothing but the unpaced load through the gateway, again and again: for a profiler.
fn profile() {
    let mut upstream = Command::new(std::env::current_exe().unwrap())
        .arg("upstream")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let port = upstream::port_of(&mut upstream);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let through = listener.local_addr().unwrap().port();
    let environment = vec![("MODEL_SECRET".into(), "sk-benchmark-0123456789abcdef".into())];
    let program = std::env::current_exe().unwrap();
    let mut gateway = GatewayProcess::start(&program, &order(port), OwnedFd::from(listener), environment).unwrap();
    let mut load = [Times::default(), Times::default()];
    for _ in 0..PROFILED {
        load[0].extend(streams(port, Duration::ZERO));
        load[1].extend(streams(through, Duration::ZERO));
        drain(&mut gateway);
    }
    println!(
        "{:.1} ms direct, {:.1} ms through; the gateway, process {}: {}",
        load[0].median_ms(),
        load[1].median_ms(),
        gateway.id(),
        processor_time(gateway.id())
    );
    gateway.finish().unwrap();
    upstream.kill().unwrap();
    upstream.wait().unwrap();
}

/// Ticks of a process in its own code and in the kernel.
fn processor_time(id: u32) -> String {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    format!("{} ticks of its own, {} of the kernel", fields[11], fields[12])
}

struct Options {
    first_bytes: usize,
    rounds: usize,
    json: bool,
}

fn measure(options: &Options) {
    let mut upstream = Command::new(std::env::current_exe().unwrap())
        .arg("upstream")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let direct = upstream::port_of(&mut upstream);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let through = listener.local_addr().unwrap().port();
    let environment = vec![("MODEL_SECRET".into(), "sk-benchmark-0123456789abcdef".into())];
    let program = std::env::current_exe().unwrap();
    let mut gateway = GatewayProcess::start(&program, &order(direct), OwnedFd::from(listener), environment).unwrap();
    let started_mib = memory(gateway.id(), "VmRSS:");

    let [mut bytes_direct, mut bytes_through] = [Times::default(), Times::default()];
    for number in 0..WARM_UP + options.first_bytes {
        let (one, other) = (first_byte(direct), first_byte(through));
        if number >= WARM_UP {
            bytes_direct.add(one);
            bytes_through.add(other);
        }
        drain(&mut gateway);
    }
    let mut load = [(); 4].map(|()| Times::default());
    for _ in 0..options.rounds {
        for (pace, at) in [(Duration::from_millis(10), 0), (Duration::ZERO, 2)] {
            load[at].extend(streams(direct, pace));
            load[at + 1].extend(streams(through, pace));
            drain(&mut gateway);
        }
    }
    if options.json {
        println!(
            "{}",
            json!({
                "first_byte_added_ms": bytes_through.median_ms() - bytes_direct.median_ms(),
                "paced_direct_ms": load[0].median_ms(),
                "paced_through_ms": load[1].median_ms(),
                "unpaced_direct_ms": load[2].median_ms(),
                "unpaced_through_ms": load[3].median_ms(),
                "peak_mib": memory(gateway.id(), "VmHWM:"),
            })
        );
    } else {
        print_table([&bytes_direct, &bytes_through], &load);
        println!(
            "memory of the gateway: {started_mib:.1} MiB at the start, {:.1} MiB now, {:.1} MiB at most",
            memory(gateway.id(), "VmRSS:"),
            memory(gateway.id(), "VmHWM:"),
        );
    }
    gateway.finish().unwrap();
    upstream.kill().unwrap();
    upstream.wait().unwrap();
}

fn print_table([bytes_direct, bytes_through]: [&Times; 2], load: &[Times; 4]) {
    println!(
        "| {:<38} | direct ms | gateway   | added    | ratio  | direct 95 | gate. 95  |",
        "median of"
    );
    println!("|{}|", "-".repeat(107));
    row("first byte, one call at a time", bytes_direct, bytes_through);
    row("64 streams at a model's pace, whole", &load[0], &load[1]);
    row("64 streams as fast as they go, whole", &load[2], &load[3]);
}

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    match words.next() {
        Some(word) if word == GATEWAY_ARGUMENT => return gateway_main(words),
        Some(word) if word == "upstream" => upstream::serve(),
        Some(word) if word == "profile" => profile(),
        first => {
            let words: Vec<_> = first.into_iter().chain(words).collect();
            let is_quick = words.iter().any(|word| word == "--quick");
            measure(&Options {
                first_bytes: if is_quick { 200 } else { 400 },
                rounds: if is_quick { 3 } else { 6 },
                json: words.iter().any(|word| word == "--json"),
            });
        }
    }
    ExitCode::SUCCESS
}
