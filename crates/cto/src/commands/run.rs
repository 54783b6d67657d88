//! `cto run`: one governed run.

use std::path::Path;

use cto_runner::{Links, RunOutcome, RunRequest, Stop, Task, Watch, WorkspaceKind, run as governed_run};
use cto_schema::ExitClass;

use crate::cli::{Global, RunArgs, WorkspaceChoice};
use crate::error::CommandError;
use crate::installation;
use crate::output::{Exit, Output};
use crate::progress::Progress;
use crate::render;

/// Longest contract file that is read at all; the reader's own limit is lower and says so.
const MAX_BYTES: u64 = 1 << 20;

pub(super) fn run(global: &Global, args: &RunArgs, output: &Output) -> Result<Exit, CommandError> {
    let harness = installation::open(global)?;
    let task = task(args, &harness.settings.cases)?;
    super::recover::recover_quietly(&harness, output)?;
    let default = harness.settings.default_lane.as_deref().unwrap_or("fake");
    let default = if args.command.is_empty() || args.engine.is_some() {
        default
    } else {
        "command"
    };
    let request = RunRequest {
        task,
        engine: args.engine.clone().unwrap_or_else(|| default.to_owned()),
        command: args.command.clone(),
        provider: args.sandbox.clone(),
        workspace: args.workspace.map(|kind| match kind {
            WorkspaceChoice::Overlay => WorkspaceKind::Overlay,
            WorkspaceChoice::Copied => WorkspaceKind::Copied,
        }),
        timeout_seconds: args.timeout,
        keep_workspace: args.keep_workspace,
        clean_start: args.clean_start,
        toolchains: args
            .toolchain
            .iter()
            .map(|path| absolute(path))
            .collect::<Result<_, _>>()?,
        model: None,
        stage: None,
        budget: cto_schema::Budget::default(),
    };
    harness.engines.find(&request.engine).map_err(|error| {
        CommandError::usage(crate::error::chain(&error)).hint("cto engines lists the engines and the plays of fake")
    })?;
    let stop = Stop::new().and_then(|stop| stop.on_signals().map(|()| stop));
    let stop = stop.map_err(|error| CommandError::failed(&error))?;
    let progress = Progress::new(!output.json());
    let outcome = governed_run(
        &harness,
        &request,
        Watch {
            observer: &progress,
            stop: &stop,
        },
    );
    progress.finish();
    let outcome = outcome.map_err(|error| match &error {
        cto_runner::RunError::Open(_) => {
            CommandError::failed(&error).hint("nothing was started and nothing is left; mend the cause and run again")
        }
        cto_runner::RunError::Close { .. } => CommandError {
            class: ExitClass::Fail,
            text: crate::error::chain(&error),
            hints: vec![],
        }
        .hint("when the cause is mended, cto recover closes the run"),
    })?;
    report(&outcome, output);
    Ok(Exit(ExitClass::of_run(outcome.status, outcome.engine_started)))
}

fn report(outcome: &RunOutcome, output: &Output) {
    if output.json() {
        output.document(&outcome.report);
    } else {
        output.print(&render::verdict(outcome, output));
    }
}

fn task(args: &RunArgs, case_directories: &[std::path::PathBuf]) -> Result<Task, CommandError> {
    if let Some(path) = &args.contract {
        return Ok(Task::Contract {
            path: path.clone(),
            bytes: read_contract(path)?,
        });
    }
    let id = args.case.as_deref().unwrap_or_default();
    let case = cto_runner::find_case(id, case_directories).map_err(|error| {
        CommandError::usage(crate::error::chain(&error)).hint("for a contract file use: cto run --contract FILE")
    })?;
    Ok(Task::Case(Box::new(case)))
}

/// Reads a contract's bytes once; the run uses these and never the file again.
pub(super) fn read_contract(path: &Path) -> Result<Vec<u8>, CommandError> {
    cto_runner::read_authority(path, Links::Followed, MAX_BYTES).map_err(|error| {
        CommandError::refused(crate::error::chain(&error)).hint("name the YAML or JSON file of your contract")
    })
}

fn absolute(path: &Path) -> Result<std::path::PathBuf, CommandError> {
    std::fs::canonicalize(path).map_err(|error| {
        let shown = cto_schema::escape(path.as_os_str().as_encoded_bytes(), 400);
        CommandError::usage(format!("failed to find toolchain {shown}: {error}")).hint("cto doctor lists what it found")
    })
}
