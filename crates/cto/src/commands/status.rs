//! `cto status`: how far each engine has come, where the chain stops, and what to type next.

use std::path::PathBuf;

use cto_runner::{CANDIDATE, ChainState, EngineChain, EngineLadder, Harness, engine_chain, engine_ladder, summarise};
use cto_schema::ExitClass;
use serde_json::json;

use crate::cli::Global;
use crate::error::CommandError;
use crate::installation;
use crate::output::{Exit, Output};

pub(super) fn status(
    global: &Global,
    engine: Option<&str>,
    toolchains: &[PathBuf],
    output: &Output,
) -> Result<Exit, CommandError> {
    let mut harness = installation::open_without_git(global)?;
    for path in toolchains {
        harness.settings.toolchains.push(installation::toolchain(path)?);
    }
    let names: Vec<String> = match engine {
        Some(name) => {
            harness.engines.find(name).map_err(|error| {
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
    let all: Vec<EngineChain> = names.iter().filter_map(|name| engine_chain(&harness, name)).collect();
    if output.json() {
        let rows: Vec<_> = all
            .iter()
            .map(|status| row(status, ladder_of(&harness, status, engine).as_ref()))
            .collect();
        output.document(&json!({ "engines": rows }));
        return Ok(Exit(ExitClass::Pass));
    }
    if engine.is_none() {
        // The same words as the summary and the panel; what cannot be computed is said, and the chains are shown all the same.
        match summarise(&harness, CANDIDATE, 1) {
            Ok(summary) => output.print(&super::summary::head(&summary, output)),
            Err(error) => output.note(&crate::error::chain(&error)),
        }
    }
    for status in &all {
        print(status, engine.is_some(), output);
        if let Some(ladder) = ladder_of(&harness, status, engine) {
            output.print(&format!(
                "  on the ladder: stage {}; next: {}\n",
                ladder.stands_on,
                super::ladder::next(&ladder)
            ));
        }
    }
    Ok(Exit(ExitClass::Pass))
}

/// Computing a rung checks bundles, so it is done for an engine that is named and that nothing stands in the way of.
fn ladder_of(harness: &Harness, status: &EngineChain, named: Option<&str>) -> Option<EngineLadder> {
    let ready = named.is_some() && status.stops_at().is_none();
    ready.then(|| engine_ladder(harness, &status.engine).ok()).flatten()
}

fn row(status: &EngineChain, ladder: Option<&EngineLadder>) -> serde_json::Value {
    let steps: Vec<_> = status
        .steps
        .iter()
        .map(|step| json!({ "step": step.name, "state": step.state.word(), "detail": step.detail, "next": step.next }))
        .collect();
    let stop = status.stops_at();
    json!({
        "engine": status.engine,
        "needs_model": status.needs_model,
        "stage": status.stage,
        "ready": stop.is_none(),
        "stops_at": stop.map(|step| step.name),
        "next": stop.map(|step| step.next.clone()).or_else(|| ladder.map(super::ladder::next)),
        "stands_on": ladder.map(|ladder| ladder.stands_on),
        "steps": steps,
    })
}

fn print(status: &EngineChain, whole: bool, output: &Output) {
    let stop = status.stops_at();
    let verdict = match (stop, status.stage) {
        (None, Some(stage)) => format!("ready up to stage {stage}"),
        (None, None) => "ready".to_owned(),
        (Some(step), _) => format!("stops at {}", step.name),
    };
    output.print(&format!("{}: {verdict}\n", output.paint("1", &status.engine)));
    for step in &status.steps {
        let (mark, color) = match step.state {
            ChainState::Holds => ("✔", "32"),
            ChainState::Recorded => ("▲", "33"),
            ChainState::NotNeeded => ("·", "2"),
            ChainState::Missing => ("✘", "31"),
        };
        // One engine is shown whole; a list only shows what stands in the way.
        if whole || step.state == ChainState::Missing {
            let state = step.state.word();
            output.print(&format!(
                "  {} {:<11} {state:<10} {}\n",
                output.paint(color, mark),
                step.name,
                step.detail
            ));
        }
    }
    if let Some(step) = stop.filter(|step| !step.next.is_empty()) {
        output.print(&format!("  next: {}\n", step.next));
    }
}
