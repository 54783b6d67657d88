//! `cto run`: one governed run.

use std::path::Path;

use cto_runner::{
    Harness, Links, ProfileSettings, RequestedModel, RunOutcome, RunRequest, Settings, Stop, Task, Watch,
    WorkspaceKind, run as governed_run,
};
use cto_schema::{Budget, ExitClass};

use crate::cli::{Global, RunArgs, TaskArgs, WorkspaceChoice};
use crate::error::CommandError;
use crate::installation;
use crate::output::{Exit, Output};
use crate::progress::Progress;
use crate::render;

/// Longest contract file that is read at all; the reader's own limit is lower and says so.
const MAX_BYTES: u64 = 1 << 20;

pub(super) fn run(global: &Global, args: &RunArgs, output: &Output) -> Result<Exit, CommandError> {
    let harness = installation::open(global)?;
    let mut request = request(&harness, &args.task)?;
    request.keep_workspace = args.keep_workspace;
    request.approval.clone_from(&args.approval);
    if request.approval.is_some() && cto_runner::approval_needed(&harness, &request) == Some(false) {
        return Err(CommandError::usage(
            "--approval names an approval, and this run needs none, so it would not be spent",
        )
        .hint("leave --approval out; or set approval_required in the contract, and ask anew with cto request"));
    }
    request.await_outcome = args
        .await_outcome
        .map(|seconds| std::time::Duration::from_secs(seconds.into()));
    super::recover::recover_quietly(&harness, output)?;
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

/// Returns what is asked for; flags, profile, settings and defaults in this order.
pub(super) fn request(harness: &Harness, args: &TaskArgs) -> Result<RunRequest, CommandError> {
    let task = task(args, &harness.settings.cases)?;
    if args.mode.is_some() && args.case.is_none() {
        return Err(CommandError::usage(
            "--mode is for cases; a contract names its own mutation_mode",
        ));
    }
    let default = harness.settings.default_lane.as_deref().unwrap_or("fake");
    let default = if args.command.is_empty() || args.engine.is_some() {
        default
    } else {
        "command"
    };
    let profile = profile(args, &harness.settings)?;
    let engine = args.engine.as_ref().or(profile.engine.as_ref());
    let request = RunRequest {
        command: args.command.clone(),
        provider: args.sandbox.clone(),
        workspace: args.workspace.map(|kind| match kind {
            WorkspaceChoice::Overlay => WorkspaceKind::Overlay,
            WorkspaceChoice::Copied => WorkspaceKind::Copied,
        }),
        timeout_seconds: args.timeout.or(profile.limits.timeout_seconds),
        clean_start: args.clean_start,
        toolchains: args
            .toolchain
            .iter()
            .map(|path| installation::toolchain(path))
            .collect::<Result<_, _>>()?,
        model: requested_model(args, &profile),
        stage: profile.stage,
        mode: args.mode,
        budget: Budget {
            tokens: profile.limits.tokens,
            cost_micro_usd: profile.limits.cost_micro_usd,
            wall_seconds: None,
        },
        ..RunRequest::of(task, engine.cloned().unwrap_or_else(|| default.to_owned()))
    };
    let (engine, _) = harness.engines.find(&request.engine).map_err(|error| {
        CommandError::usage(crate::error::chain(&error)).hint("cto engines lists the engines and the plays of fake")
    })?;
    if request.model.is_some() && !cto_runner::may_use_a_model(engine.manifest()) {
        let name = &engine.manifest().name;
        return Err(CommandError::usage(format!("engine '{name}' uses no model")).hint("leave --model out"));
    }
    Ok(request)
}

/// Returns the profile that is asked for; without one every setting is left open.
fn profile(args: &TaskArgs, settings: &Settings) -> Result<ProfileSettings, CommandError> {
    let Some(name) = &args.profile else {
        return Ok(ProfileSettings::default());
    };
    settings.profiles.get(name).cloned().ok_or_else(|| {
        let shown = cto_schema::escape(name.as_bytes(), 80);
        let near = cto_schema::nearest(name, settings.profiles.keys().map(String::as_str));
        let hint = near.map(|near| format!("; did you mean '{near}'?")).unwrap_or_default();
        CommandError::usage(format!("failed to find profile '{shown}'{hint}"))
            .hint("profiles: in harness.yaml names them")
    })
}

/// The flag first; a profile is asked for by a flag as well, so it comes before the environment.
fn requested_model(args: &TaskArgs, profile: &ProfileSettings) -> Option<RequestedModel> {
    if let Some(pair) = &args.model {
        return Some(RequestedModel {
            provider: Some(pair.provider.clone()),
            model: Some(pair.model.clone()),
            by: "flag",
        });
    }
    profile.model.as_ref().map(|model| RequestedModel {
        provider: profile.provider.clone(),
        model: Some(model.clone()),
        by: "profile",
    })
}

fn report(outcome: &RunOutcome, output: &Output) {
    if output.json() {
        output.document(&outcome.report);
    } else {
        output.print(&render::verdict(outcome, output));
    }
}

fn task(args: &TaskArgs, case_directories: &[std::path::PathBuf]) -> Result<Task, CommandError> {
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
