//! `cto engine validate`: the adapter of one engine, proved by running it with a stub.

use cto_runner::{EngineCheck, Stop, Validation, validate_engine};
use cto_schema::ExitClass;
use serde_json::{Value, json};

use crate::cli::Global;
use crate::cli_engines::EngineAction;
use crate::error::CommandError;
use crate::installation;
use crate::output::{Exit, Output};
use crate::progress::Progress;

pub(super) fn engine(global: &Global, action: &EngineAction, output: &Output) -> Result<Exit, CommandError> {
    let EngineAction::Validate { engine } = action;
    let harness = installation::open(global)?;
    super::recover::recover_quietly(&harness, output)?;
    let stop = Stop::new().and_then(|stop| stop.on_signals().map(|()| stop));
    let stop = stop.map_err(|error| CommandError::failed(&error))?;
    let progress = Progress::new(!output.json());
    let validation = validate_engine(&harness, engine, &stop, &mut |name| progress.set(engine, name));
    progress.finish();
    let validation = validation
        .map_err(|error| CommandError::usage(crate::error::chain(&error)).hint("cto engines lists the engines"))?;
    print(&validation, output);
    Ok(Exit(if validation.holds() {
        ExitClass::Pass
    } else {
        ExitClass::Fail
    }))
}

fn print(validation: &Validation, output: &Output) {
    if output.json() {
        let errors: Vec<String> = validation.checks.iter().flat_map(errors).collect();
        output.document(&json!({
            "engine": validation.engine,
            "ok": validation.holds(),
            "checks": validation.checks.iter().map(describe).collect::<Vec<_>>(),
            "errors": errors,
        }));
        return;
    }
    for check in &validation.checks {
        let (mark, detail) = if check.problems.is_empty() {
            (output.paint("32", "✔ holds"), check.detail.clone())
        } else {
            (output.paint("31", "✘ fails"), check.problems.join("\n           "))
        };
        output.print(&format!("{mark}  {}\n           {detail}\n", check.name));
    }
    let failed = validation
        .checks
        .iter()
        .filter(|check| !check.problems.is_empty())
        .count();
    let count = validation.checks.len();
    output.print(&match failed {
        0 => format!("\nengine {}: all {count} checks hold\n", validation.engine),
        _ => format!("\nengine {}: {failed} of {count} checks fail\n", validation.engine),
    });
    let shown = validation.checks.iter().filter(|check| !check.problems.is_empty());
    for run_id in shown.filter_map(|check| check.run_id.as_ref()) {
        output.note(&format!("hint: run: cto show {run_id}"));
    }
}

fn describe(check: &EngineCheck) -> Value {
    json!({
        "name": check.name,
        "ok": check.problems.is_empty(),
        "detail": if check.problems.is_empty() { check.detail.clone() } else { check.problems.join("; ") },
        "run_id": check.run_id,
    })
}

fn errors(check: &EngineCheck) -> Vec<String> {
    let named = |problem: &String| format!("{}: {problem}", check.name);
    check.problems.iter().map(named).collect()
}
