//! `cto matrix`: engines × cases × repeats, and what their bundles show.

use std::path::{Path, PathBuf};

use cto_evidence::{MatrixDir, SealedDocument, list_matrices};
use cto_runner::{
    Harness, Lanes, Stop, TrialsError, TrialsRequest, TrialsWork, check_places, make_plan, matrix_report, seal_matrix,
    work_on_matrix, write_inspect, write_matrix,
};
use cto_schema::{ExitClass, Matrix, MatrixOptions};
use serde_json::json;

use crate::cli::{Global, WorkspaceChoice};
use crate::cli_matrix::MatrixArgs;
use crate::error::{CommandError, chain};
use crate::installation;
use crate::matrix_text;
use crate::output::{Exit, Output};
use crate::progress::MatrixProgress;

pub(super) fn matrix(global: &Global, args: &MatrixArgs, output: &Output) -> Result<Exit, CommandError> {
    if args.fleet {
        return Err(
            CommandError::usage("--fleet does not exist yet: a matrix runs on this machine alone")
                .hint("leave --fleet out; --jobs runs several cells side by side"),
        );
    }
    let harness = installation::open(global)?;
    check_places(args.out.as_deref(), args.inspect.as_deref()).map_err(|error| refused(&error))?;
    let dir = match &args.resume {
        Some(typed) => reopen(&harness, typed)?,
        None => begin(&harness, args)?,
    };
    super::recover::recover_quietly(&harness, output)?;
    let stop = Stop::new().and_then(|stop| stop.on_signals().map(|()| stop));
    let stop = stop.map_err(|error| CommandError::failed(&error))?;
    if !output.json() {
        output.note(&format!("matrix {}", dir.plan().matrix_id));
    }
    let progress = MatrixProgress::new(!output.json());
    let worked = go(&harness, &dir, args, &stop, &progress);
    progress.finish();
    let (matrix, problem) = worked.map_err(|error| failed(&error, &dir))?;
    let written = publish(&harness, &dir, &matrix, args).map_err(|error| failed(&error, &dir))?;
    print(&matrix, &written, problem.as_deref(), output);
    Ok(Exit(exit_of(&matrix, problem.is_some())))
}

/// What is named cannot be used; nothing was started.
fn refused(error: &TrialsError) -> CommandError {
    let text = chain(error);
    match error {
        TrialsError::Plan { .. } | TrialsError::Engine(_) => {
            CommandError::usage(text).hint("cto engines and cto cases list what there is")
        }
        TrialsError::Case(_) => CommandError::usage(text).hint("cto cases lists the cases"),
        _ => CommandError::refused(text),
    }
}

/// The matrix is on record, and what it has done stays.
fn failed(error: &TrialsError, dir: &MatrixDir) -> CommandError {
    let again = format!(
        "every finished cell is kept; when the cause is mended: cto matrix --resume {}",
        dir.plan().matrix_id
    );
    match error {
        TrialsError::Changed { .. } => CommandError::refused(chain(error)),
        _ => CommandError::failed(error).hint(again),
    }
}

fn begin(harness: &Harness, args: &MatrixArgs) -> Result<MatrixDir, CommandError> {
    let asked = TrialsRequest {
        engines: args.engines.clone(),
        cases: if args.cases == ["all"] {
            vec![]
        } else {
            args.cases.clone()
        },
        repeats: args.repeat,
        name: args.name.clone().unwrap_or_default(),
        options: options(args)?,
        max_cells: args.max_cells,
    };
    let plan = make_plan(harness, &asked).map_err(|error| refused(&error))?;
    MatrixDir::create(&harness.home, &plan).map_err(|error| CommandError::failed(&error))
}

fn options(args: &MatrixArgs) -> Result<MatrixOptions, CommandError> {
    let toolchain = |path: &PathBuf| {
        let shown = cto_schema::escape(path.as_os_str().as_encoded_bytes(), 400);
        let real = std::fs::canonicalize(path).map_err(|error| {
            CommandError::usage(format!("failed to find toolchain {shown}: {error}"))
                .hint("cto doctor lists what it found")
        })?;
        real.into_os_string()
            .into_string()
            .map_err(|_| CommandError::usage(format!("the name of toolchain {shown} is not UTF-8")))
    };
    if !args.command.is_empty() && !args.engines.iter().any(|engine| engine == "command") {
        return Err(CommandError::usage("a program after -- is for the engine 'command'")
            .hint("name it among --engines, or leave the program out"));
    }
    Ok(MatrixOptions {
        toolchains: args.toolchain.iter().map(toolchain).collect::<Result<_, _>>()?,
        timeout_seconds: args.timeout,
        sandbox: args.sandbox.clone(),
        workspace: args.workspace.map(|kind| match kind {
            WorkspaceChoice::Overlay => "overlay".to_owned(),
            WorkspaceChoice::Copied => "copied".to_owned(),
        }),
        command: args.command.clone(),
    })
}

fn reopen(harness: &Harness, typed: &str) -> Result<MatrixDir, CommandError> {
    let known = list_matrices(&harness.home).map_err(|error| CommandError::failed(&error))?;
    let shown = cto_schema::escape(typed.as_bytes(), 80);
    let mut meant = known
        .iter()
        .filter(|id| id.as_str() == typed || (typed.len() >= 4 && id.as_str().contains(typed)));
    let id = match (typed, meant.next(), meant.next()) {
        ("last", _, _) => known.last(),
        (_, Some(first), Some(_)) if first.as_str() != typed => {
            return Err(CommandError::usage(format!("'{shown}' is a part of several matrices"))
                .hint("name one in full; they are in the directory matrices of the home directory"));
        }
        (_, first, _) => first,
    };
    let id = id.map_or(typed, |id| id.as_str());
    MatrixDir::open(&harness.home, id)
        .map_err(|error| CommandError::refused(chain(&error)).hint("start one with: cto matrix --engines …"))
}

/// Runs what is left and reads what all of it has come to; with it, what stopped the harness, if anything did.
fn go(
    harness: &Harness,
    dir: &MatrixDir,
    args: &MatrixArgs,
    stop: &Stop,
    progress: &MatrixProgress,
) -> Result<(Matrix, Option<String>), TrialsError> {
    let jobs = usize::from(args.jobs);
    let marks = dir.marks()?;
    let lanes = dir.plan().lanes.len().max(1);
    let all = usize::try_from(dir.plan().cells().unwrap_or_default()).unwrap_or_default();
    let mut finished = vec![0_usize; lanes];
    for cell in marks
        .iter()
        .filter(|(_, marks)| marks.done.is_some())
        .map(|(cell, _)| *cell)
    {
        finished[usize::try_from(cell).unwrap_or_default() % lanes] += 1;
    }
    let wanted = |lane: usize| finished[lane] < all / lanes;
    let lanes = Lanes::open(harness, dir.plan(), wanted, progress)?;
    let problem = work_on_matrix(TrialsWork {
        harness,
        dir,
        lanes: &lanes,
        jobs,
        stop,
        observer: progress,
    })?;
    let matrix = matrix_report(harness, dir, &lanes, jobs, progress)?;
    Ok((matrix, problem))
}

/// Where the report went.
struct Written {
    sealed: SealedDocument,
    out: Option<PathBuf>,
    inspect: Vec<PathBuf>,
}

fn publish(harness: &Harness, dir: &MatrixDir, matrix: &Matrix, args: &MatrixArgs) -> Result<Written, TrialsError> {
    let sealed = seal_matrix(harness, dir, matrix)?;
    if let Some(out) = &args.out {
        write_matrix(harness, matrix, out)?;
    }
    let inspect = args
        .inspect
        .as_ref()
        .map_or(Ok(vec![]), |path| write_inspect(harness, matrix, path))?;
    Ok(Written {
        sealed,
        out: args.out.clone(),
        inspect,
    })
}

fn exit_of(matrix: &Matrix, problem: bool) -> ExitClass {
    let totals = &matrix.totals;
    match () {
        () if problem => ExitClass::Internal,
        () if totals.unverified > 0 => ExitClass::Unverified,
        () if !matrix.complete => ExitClass::BlockedAfter,
        () if totals.fail > 0 => ExitClass::Fail,
        () if matrix.passed => ExitClass::Pass,
        () => ExitClass::BlockedBefore,
    }
}

fn print(matrix: &Matrix, written: &Written, problem: Option<&str>, output: &Output) {
    let Written { sealed, out, inspect } = written;
    if output.json() {
        output.document(&json!({
            "matrix": matrix,
            "report": { "document_id": sealed.id, "path": sealed.path, "manifest_digest": sealed.manifest_digest },
            "out": out,
            "inspect": inspect,
            "problem": problem,
        }));
    } else {
        output.print(&matrix_text::summary(matrix, output));
        let place = |path: &Path| cto_schema::escape(path.as_os_str().as_encoded_bytes(), 400);
        output.print(&format!("\n  report     {}\n", place(&sealed.path.join("matrix.html"))));
        if let Some(out) = out {
            output.print(&format!("  copy       {}\n", place(&out.join("matrix.html"))));
        }
        for log in inspect {
            output.print(&format!("  inspect    {}\n", place(log)));
        }
        output.print(&format!("\nNext:\n  cto verify {}\n", place(&sealed.path)));
        if !matrix.complete {
            output.print(&format!("  cto matrix --resume {}\n", matrix.matrix_id));
        }
    }
    if let Some(problem) = problem {
        output.note(&format!("error: the matrix stopped: {problem}"));
        output.note(&format!(
            "hint: mend the cause, then go on with: cto matrix --resume {}",
            matrix.matrix_id
        ));
    }
}
