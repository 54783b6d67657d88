//! The program that the tests re-execute: an inner stage, and a harness that can be killed.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test program: any surprise must end it loudly"
)]

use std::path::PathBuf;
use std::process::ExitCode;

use cto_sandbox::{
    Embedded, INNER_ARGUMENT, JailSpec, Limits, Observe, Program, ProviderKind, Reexec, Workspace, inner_main, prepare,
};

const EMBEDDED: &[Embedded] = &[Embedded {
    name: "answer",
    run: answer,
}];

fn answer(input: &str) -> i32 {
    println!("the answer to {input}");
    42
}

/// Starts a jail, says so, and waits for a death from outside.
fn doomed_harness(mut words: impl Iterator<Item = std::ffi::OsString>) -> ExitCode {
    let name = words.next().unwrap().into_string().unwrap();
    let provider = match words.next().unwrap().to_str().unwrap() {
        "native" => ProviderKind::Native,
        "bwrap" => ProviderKind::Bwrap,
        _ => ProviderKind::None,
    };
    let lower = PathBuf::from(words.next().unwrap());
    let scratch_dir = PathBuf::from(words.next().unwrap());
    let marker = words.next().unwrap();
    let spec = JailSpec {
        name,
        workspace: Workspace::Copied { sources: vec![lower] },
        changes: Vec::new(),
        home: Vec::new(),
        read_only: Vec::new(),
        masks: Vec::new(),
        listen: None,
        binds: Vec::new(),
        program: Program::Argv(vec!["/bin/sleep".into(), marker]),
        env: Vec::new(),
        limits: Limits::default(),
        engine_uid: None,
        engine_gid: None,
        observe: Observe::Nothing,
        workdir: PathBuf::new(),
        scratch_dir,
    };
    let running = prepare(provider.provider(), &spec, &Reexec::current())
        .unwrap()
        .start()
        .unwrap();
    println!("started");
    running.wait_empty().unwrap();
    ExitCode::FAILURE
}

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    match words.next() {
        Some(word) if word == INNER_ARGUMENT => inner_main(EMBEDDED),
        Some(word) if word == "doomed" => doomed_harness(words),
        _ => ExitCode::FAILURE,
    }
}
