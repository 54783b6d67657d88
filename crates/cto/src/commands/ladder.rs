//! `cto ladder` and `cto stage`: how far engines have climbed, and putting a stage's evidence on record.

use cto_runner::{EngineLadder, StageValidation, Who, engine_ladder, validate_stage};
use cto_schema::ExitClass;
use serde_json::json;

use crate::cli::Global;
use crate::cli_governed::StageAction;
use crate::error::CommandError;
use crate::installation;
use crate::output::{Exit, Output};
use crate::progress::Progress;

pub(super) fn ladder(global: &Global, engine: Option<&str>, output: &Output) -> Result<Exit, CommandError> {
    let harness = installation::open_without_git(global)?;
    let names: Vec<String> = match engine {
        Some(name) => {
            let found = harness.engines.find(name);
            found.map_err(|error| {
                CommandError::usage(crate::error::chain(&error)).hint("cto engines lists the engines")
            })?;
            vec![name.to_owned()]
        }
        None => harness
            .engines
            .all()
            .map(|engine| engine.manifest().name.clone())
            .collect(),
    };
    let mut ladders = Vec::new();
    for name in &names {
        ladders.push(engine_ladder(&harness, name).map_err(|error| CommandError::failed(&error))?);
    }
    if output.json() {
        let rows: Vec<_> = ladders.iter().map(row).collect();
        output.document(&json!({ "engines": rows }));
        return Ok(Exit(ExitClass::Pass));
    }
    for ladder in &ladders {
        print(ladder, engine.is_some(), output);
    }
    Ok(Exit(ExitClass::Pass))
}

/// What to type to climb on.
pub(super) fn next(ladder: &EngineLadder) -> String {
    let Some(rung) = ladder.rungs.iter().find(|rung| !rung.validated()) else {
        return "cto refresh checks the accepted runs again; nothing makes an engine the default".to_owned();
    };
    let engine = &ladder.engine;
    if rung.stage == 6 {
        return match rung.evidence.get("comparison") {
            Some(comparison) => format!("cto outcome {comparison} accept --reason WHY"),
            None => format!("cto compare --candidate {engine} --play-missing"),
        };
    }
    let (stage, others) = (rung.stage, rung.missing.iter().any(|name| *name != "pass"));
    if stage >= 4 && !others {
        return format!(
            "an approved run at stage {stage}: cto request … --engine {engine}; see docs/guides/the-ladder.md"
        );
    }
    let program = if engine == "command" { " -- PROGRAM" } else { "" };
    format!("cto stage validate {stage} --engine {engine}{program}")
}

fn row(ladder: &EngineLadder) -> serde_json::Value {
    let rungs: Vec<_> = ladder
        .rungs
        .iter()
        .map(|rung| {
            json!({
                "stage": rung.stage, "validated": rung.validated(), "evidence": rung.evidence, "missing": rung.missing,
            })
        })
        .collect();
    json!({ "engine": ladder.engine, "stands_on": ladder.stands_on, "rungs": rungs, "next": next(ladder) })
}

fn print(ladder: &EngineLadder, whole: bool, output: &Output) {
    let stands = match ladder.stands_on {
        0 => "on the ground".to_owned(),
        stage => format!("on stage {stage}"),
    };
    output.print(&format!("{}: {stands}\n", output.paint("1", &ladder.engine)));
    for rung in ladder
        .rungs
        .iter()
        .filter(|rung| whole || rung.stage <= ladder.stands_on + 1)
    {
        let (mark, color) = if rung.validated() { ("✔", "32") } else { ("✘", "31") };
        let detail = if rung.validated() {
            match rung.evidence.get("comparison") {
                Some(comparison) => format!("{comparison} verifies, and an operator accepted it"),
                None => format!("{} bundles on record verify", rung.evidence.len()),
            }
        } else {
            format!("missing: {}", rung.missing.join(", "))
        };
        output.print(&format!(
            "  {} stage {}  {detail}\n",
            output.paint(color, mark),
            rung.stage
        ));
        for (need, run) in rung.evidence.iter().filter(|_| whole) {
            output.print(&format!("      {need:<26} {run}\n"));
        }
    }
    output.print(&format!("  next: {}\n", next(ladder)));
}

pub(super) fn stage(global: &Global, action: &StageAction, output: &Output) -> Result<Exit, CommandError> {
    let StageAction::Validate {
        stage,
        engine,
        toolchain,
        command,
    } = action;
    if (engine == "command") == command.is_empty() {
        return Err(CommandError::usage(
            "engine command, and no other, is given its program and arguments after --",
        ));
    }
    let mut harness = installation::open(global)?;
    for path in toolchain {
        harness.settings.toolchains.push(installation::toolchain(path)?);
    }
    harness
        .engines
        .find(engine)
        .map_err(|error| CommandError::usage(crate::error::chain(&error)).hint("cto engines lists the engines"))?;
    super::recover::recover_quietly(&harness, output)?;
    let progress = Progress::new(!output.json());
    let found = validate_stage(&harness, Who { engine, command }, *stage, &|name| {
        progress.set(&format!("stage {stage} of {engine}"), name);
    });
    progress.finish();
    let found = found.map_err(|error| CommandError::failed(&error))?;
    if output.json() {
        output.document(&found);
    } else {
        told(&found, output);
    }
    Ok(Exit(if found.ok { ExitClass::Pass } else { ExitClass::Fail }))
}

fn told(found: &StageValidation, output: &Output) {
    for check in &found.checked {
        let (mark, color) = match (check.left_to_operator, check.ok) {
            (true, _) => ("·", "2"),
            (false, true) => ("✔", "32"),
            (false, false) => ("✘", "31"),
        };
        output.print(&format!(
            "{} {:<26} {}\n",
            output.paint(color, mark),
            check.name,
            check.detail
        ));
    }
    let verdict = if found.ok { "holds" } else { "does not hold" };
    output.print(&format!("stage {} of {}: {verdict}\n", found.stage, found.engine));
    if found.ok && found.stage >= 4 {
        output.note(if found.stage == 6 {
            "the stage counts once an operator accepts a comparison: docs/guides/candidate-default.md"
        } else {
            "the stage counts once a run with an operator's approval passes: docs/guides/the-ladder.md"
        });
    }
}
