//! The program: arguments in, printing and exit codes out; it decides nothing.

mod cli;
mod cli_admissions;
mod commands;
mod error;
mod find;
mod installation;
mod output;
mod progress;
#[cfg(test)]
mod reference;
mod render;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::Cli;
use crate::output::Output;

fn main() -> ExitCode {
    // The inner stage of a sandbox is this same binary; it must come before anything that could start a thread.
    if std::env::args_os()
        .nth(1)
        .is_some_and(|word| word == cto_runner::INNER_ARGUMENT)
    {
        return cto_runner::inner_stage();
    }
    let cli = Cli::parse();
    let output = Output::new(cli.global.json, cli.global.color());
    match commands::dispatch(&cli, &output) {
        Ok(exit) => exit.into(),
        Err(error) => output.fail(&error).into(),
    }
}
