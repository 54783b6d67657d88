//! Shell completions and man pages, generated from the command line's own definition.

use std::path::Path;

use clap::CommandFactory as _;
use cto_schema::ExitClass;

use crate::cli::Cli;
use crate::error::CommandError;
use crate::output::{Exit, Output};

pub(super) fn completions(shell: clap_complete::Shell, output: &Output) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "cto", &mut script);
    output.print(&String::from_utf8_lossy(&script));
    Exit(ExitClass::Pass)
}

pub(super) fn man(dir: &Path, output: &Output) -> Result<Exit, CommandError> {
    let failed = |error: std::io::Error| CommandError::refused(format!("failed to write man pages: {error}"));
    std::fs::create_dir_all(dir).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), dir).map_err(failed)?;
    output.print(&format!("man pages are in {}\n", dir.display()));
    Ok(Exit(ExitClass::Pass))
}
