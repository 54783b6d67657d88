//! The program that the tests and the benchmark re-execute: a gateway, and a harness that can be killed.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test program: any surprise must end it loudly"
)]

use std::ffi::OsString;
use std::io::Read;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::thread;

use cto_gateway::{
    Budget, CredentialSource, Dialect, GATEWAY_ARGUMENT, GatewayLimits, GatewayOrder, GatewayProcess, Preflight, Route,
    gateway_main,
};

fn order(base_url: String, model: String) -> GatewayOrder {
    GatewayOrder {
        routes: vec![Route {
            provider: "local".to_owned(),
            model,
            base_url,
            credential: CredentialSource::None,
            price: None,
        }],
        dialects: vec![Dialect::ChatCompletions, Dialect::Responses, Dialect::Messages],
        limits: GatewayLimits::default(),
        budget: Budget::default(),
        provider_tools: Vec::new(),
        request_fields: Vec::new(),
        preflight: Preflight::None,
        egress: Vec::new(),
    }
}

fn start(address: &str, order: &GatewayOrder) -> GatewayProcess {
    let listener = OwnedFd::from(TcpListener::bind(address).unwrap());
    GatewayProcess::start(&std::env::current_exe().unwrap(), order, listener, Vec::new()).unwrap()
}

/// Starts a gateway on a thread that ends at once, says which process it is, and waits for a death from outside.
fn doomed_harness() -> ExitCode {
    let order = order("http://127.0.0.1:1/v1".to_owned(), "model".to_owned());
    let starter = thread::spawn(move || start("127.0.0.1:0", &order));
    let gateway = starter.join().unwrap();
    println!("{}", gateway.id());
    loop {
        thread::park();
    }
}

/// `serve ADDRESS BASE_URL MODEL`: a gateway to try an agent with, until standard input ends; then its records.
fn serve(words: impl Iterator<Item = OsString>) -> ExitCode {
    let words: Vec<String> = words.map(|word| word.into_string().unwrap()).collect();
    let [address, base_url, model] = words.try_into().unwrap();
    let gateway = start(&address, &order(base_url, model));
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    for record in gateway.finish().unwrap() {
        println!("{}", serde_json::to_string(&record).unwrap());
    }
    ExitCode::SUCCESS
}

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    match words.next() {
        Some(word) if word == GATEWAY_ARGUMENT => gateway_main(words),
        Some(word) if word == "doomed" => doomed_harness(),
        Some(word) if word == "serve" => serve(words),
        _ => ExitCode::FAILURE,
    }
}
