//! `cto fixtures`: the failure matrix, played and judged.

use std::path::PathBuf;

use cto_runner::{Played, ROWS, Row, find_row, play, play_by, rows_about_engines};
use cto_schema::ExitClass;
use serde_json::json;

use crate::cli::{FixturesAction, Global};
use crate::error::CommandError;
use crate::installation;
use crate::output::{Exit, Output};
use crate::progress::Progress;

pub(super) fn fixtures(global: &Global, action: &FixturesAction, output: &Output) -> Result<Exit, CommandError> {
    match action {
        FixturesAction::List => list(output),
        FixturesAction::Run {
            rows,
            engine,
            all: _,
            toolchain,
        } => run(
            global,
            &Asked {
                rows,
                engine,
                toolchains: toolchain,
            },
            output,
        ),
    }
}

/// What is to be played, and by whom.
struct Asked<'a> {
    rows: &'a [String],
    engine: &'a str,
    toolchains: &'a [PathBuf],
}

fn list(output: &Output) -> Result<Exit, CommandError> {
    if output.json() {
        let rows: Vec<_> = ROWS.iter().map(describe).collect();
        output.document(&json!({ "rows": rows }));
    } else {
        for row in ROWS {
            output.print(&format!(
                "{:<26} {:<28} {:<8} {}\n",
                row.name,
                row.blocker.name(),
                row.status.word(),
                row.trigger
            ));
        }
    }
    Ok(Exit(ExitClass::Pass))
}

fn describe(row: &Row) -> serde_json::Value {
    json!({
        "row": row.name,
        "trigger": row.trigger,
        "blocker": row.blocker,
        "event": row.event,
        "status": row.status,
        "exit_code": row.exit().code(),
    })
}

fn run(global: &Global, asked: &Asked<'_>, output: &Output) -> Result<Exit, CommandError> {
    let mut harness = installation::open(global)?;
    for path in asked.toolchains {
        harness.settings.toolchains.push(installation::toolchain(path)?);
    }
    let by_fake = asked.engine == "fake";
    if !by_fake {
        let found = harness.engines.find(asked.engine);
        let (engine, _) = found
            .map_err(|error| CommandError::usage(crate::error::chain(&error)).hint("cto engines lists the engines"))?;
        if engine.manifest().wire.is_none() {
            let shown = cto_schema::escape(asked.engine.as_bytes(), 60);
            return Err(CommandError::usage(format!(
                "engine '{shown}' uses no model, so a model cannot make it fail"
            ))
            .hint("play the rows with fake, or with an agent such as codex or pi"));
        }
    }
    let known: Vec<&'static Row> = if by_fake {
        ROWS.iter().collect()
    } else {
        rows_about_engines()
    };
    let rows = chosen(&known, asked)?;
    super::recover::recover_quietly(&harness, output)?;
    let progress = Progress::new(!output.json());
    let mut played: Vec<Played> = Vec::new();
    for row in &rows {
        progress.set(row.name, &format!("{} of {}", played.len() + 1, rows.len()));
        played.push(if by_fake {
            play(&harness, row)
        } else {
            play_by(&harness, row, asked.engine)
        });
    }
    progress.finish();
    print(&played, output);
    let failed = played.iter().any(|result| !result.problems.is_empty());
    Ok(Exit(if failed { ExitClass::Fail } else { ExitClass::Pass }))
}

/// Returns the named rows, or all that the engine plays.
fn chosen(known: &[&'static Row], asked: &Asked<'_>) -> Result<Vec<&'static Row>, CommandError> {
    if asked.rows.is_empty() {
        return Ok(known.to_vec());
    }
    let find = |name: &String| {
        let shown = cto_schema::escape(name.as_bytes(), 60);
        let row = find_row(name).ok_or_else(|| {
            CommandError::usage(format!("there is no row '{shown}'")).hint("cto fixtures list prints the rows")
        })?;
        if known.iter().any(|known| known.name == row.name) {
            return Ok(row);
        }
        Err(CommandError::usage(format!("row '{shown}' is not about an engine")).hint("play it with fake"))
    };
    asked.rows.iter().map(find).collect()
}

fn print(played: &[Played], output: &Output) {
    if output.json() {
        let rows: Vec<_> = played
            .iter()
            .map(|played| {
                let mut value = describe(played.row);
                value["state"] = json!(if played.problems.is_empty() { "holds" } else { "fails" });
                value["problems"] = json!(played.problems);
                value["run_id"] = json!(played.run_id);
                value["bundle"] = json!(played.bundle);
                value
            })
            .collect();
        output.document(&json!({ "rows": rows }));
        return;
    }
    for played in played {
        let (mark, detail) = if played.problems.is_empty() {
            let run_id = played.run_id.as_ref().map(ToString::to_string);
            (output.paint("32", "✔ holds  "), run_id.unwrap_or_default())
        } else {
            (output.paint("31", "✘ fails  "), played.problems.join("\n             "))
        };
        output.print(&format!(
            "{mark}  {:<26} {:<26} {detail}\n",
            played.row.name,
            played.row.blocker.name()
        ));
    }
}
