//! `cto fixtures`: the failure matrix, played and judged.

use cto_runner::{Played, ROWS, Row, find_row, play};
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
        FixturesAction::Run { rows, engine, all: _ } => run(global, rows, engine, output),
    }
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

fn run(global: &Global, names: &[String], engine: &str, output: &Output) -> Result<Exit, CommandError> {
    if engine != "fake" {
        let shown = cto_schema::escape(engine.as_bytes(), 60);
        return Err(CommandError::usage(format!(
            "rows of engine '{shown}' cannot be played by this version; use fake"
        )));
    }
    let rows: Vec<&'static Row> = if names.is_empty() {
        ROWS.iter().collect()
    } else {
        names
            .iter()
            .map(|name| {
                let shown = cto_schema::escape(name.as_bytes(), 60);
                find_row(name).ok_or_else(|| {
                    CommandError::usage(format!("there is no row '{shown}'")).hint("cto fixtures list prints the rows")
                })
            })
            .collect::<Result<_, _>>()?
    };
    let harness = installation::open(global)?;
    super::recover::recover_quietly(&harness, output)?;
    let progress = Progress::new(!output.json());
    let mut played: Vec<Played> = Vec::new();
    for row in &rows {
        progress.set(row.name, &format!("{} of {}", played.len() + 1, rows.len()));
        played.push(play(&harness, row));
    }
    progress.finish();
    print(&played, output);
    let failed = played.iter().any(|result| !result.problems.is_empty());
    Ok(Exit(if failed { ExitClass::Fail } else { ExitClass::Pass }))
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
