//! The program that the tests and the benchmark re-execute: a gateway, and a harness that can be killed.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test program: any surprise must end it loudly"
)]

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::thread;

use cto_gateway::{
    Budget, CredentialSource, Dialect, GATEWAY_ARGUMENT, GatewayLimits, GatewayOrder, GatewayProcess, Preflight, Route,
    gateway_main,
};

/// Starts a gateway on a thread that ends at once, says which process it is, and waits for a death from outside.
fn doomed_harness() -> ExitCode {
    let order = GatewayOrder {
        routes: vec![Route {
            provider: "local".to_owned(),
            model: "model".to_owned(),
            base_url: "http://127.0.0.1:1/v1".to_owned(),
            credential: CredentialSource::None,
            price: None,
        }],
        dialects: vec![Dialect::Responses],
        limits: GatewayLimits::default(),
        budget: Budget::default(),
        provider_tools: Vec::new(),
        preflight: Preflight::None,
        egress: Vec::new(),
    };
    let starter = thread::spawn(move || {
        let listener = OwnedFd::from(TcpListener::bind("127.0.0.1:0").unwrap());
        GatewayProcess::start(&std::env::current_exe().unwrap(), &order, listener, Vec::new()).unwrap()
    });
    let gateway = starter.join().unwrap();
    println!("{}", gateway.id());
    loop {
        thread::park();
    }
}

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    match words.next() {
        Some(word) if word == GATEWAY_ARGUMENT => gateway_main(words),
        Some(word) if word == "doomed" => doomed_harness(),
        _ => ExitCode::FAILURE,
    }
}
