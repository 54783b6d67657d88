//! The program that the tests and the benchmark re-execute: a gateway, and a harness that can be killed.

use std::process::ExitCode;

use cto_gateway::{GATEWAY_ARGUMENT, gateway_main};

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    match words.next() {
        Some(word) if word == GATEWAY_ARGUMENT => gateway_main(words),
        _ => ExitCode::FAILURE,
    }
}
