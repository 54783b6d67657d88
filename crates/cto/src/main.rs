//! The program: arguments in, printing and exit codes out; it decides nothing.

mod cli;
mod cli_admissions;
mod cli_decide;
mod cli_engines;
mod cli_governed;
mod cli_guard;
mod cli_import;
mod cli_matrix;
mod cli_panel;
mod cli_workspace;
mod commands;
mod credentials;
mod error;
mod find;
mod installation;
mod matrix_text;
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
    // The inner stage of a sandbox and the model gateway are this same binary; they come before anything that could
    // start a thread.
    if let Some(word) = std::env::args_os().nth(1) {
        if word == cto_runner::INNER_ARGUMENT {
            return cto_runner::inner_stage();
        }
        if word == cto_runner::GATEWAY_ARGUMENT {
            return cto_runner::gateway_main(std::env::args_os().skip(2));
        }
    }
    let cli = Cli::parse();
    let output = Output::new(cli.global.json, cli.global.color());
    match commands::dispatch(&cli, &output) {
        Ok(exit) => exit.into(),
        Err(error) => output.fail(&error).into(),
    }
}
