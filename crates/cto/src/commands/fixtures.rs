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
        FixturesAction::Run { rows, engine, all } => run(global, rows, engine, *all, output),
    }
}

fn list(output: &Output) -> Result<Exit, CommandError> {
    if output.json() {
        let rows: Vec<_> = ROWS.iter().map(describe).collect();
        output.document(&json!({ "rows": rows }));
    } else {
        for row in ROWS {
            let not_yet = if row.playable() {
                String::new()
            } else {
                format!("  [not yet: {}]", row.not_yet)
            };
            output.print(&format!(
                "{:<26} {:<28} {:<8} {}{not_yet}\n",
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
        "state": if row.playable() { "playable" } else { "not_yet" },
        "not_yet": row.not_yet,
    })
}

fn run(global: &Global, names: &[String], engine: &str, all: bool, output: &Output) -> Result<Exit, CommandError> {
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
    let total = rows.iter().filter(|row| row.playable()).count();
    let mut played: Vec<Played> = Vec::new();
    let mut lines = Vec::new();
    for row in &rows {
        if !row.playable() {
            lines.push((row, None));
            continue;
        }
        progress.set(row.name, &format!("{} of {total}", played.len() + 1));
        let result = play(&harness, row);
        lines.push((row, Some(result.clone())));
        played.push(result);
    }
    progress.finish();
    print(&lines, output);
    let failed = played.iter().any(|result| !result.problems.is_empty());
    let missing = all && lines.iter().any(|(_, result)| result.is_none());
    Ok(Exit(if failed || missing {
        ExitClass::Fail
    } else {
        ExitClass::Pass
    }))
}

fn print(lines: &[(&&'static Row, Option<Played>)], output: &Output) {
    if output.json() {
        let rows: Vec<_> = lines
            .iter()
            .map(|(row, played)| {
                let mut value = describe(row);
                if let Some(played) = played {
                    value["state"] = json!(if played.problems.is_empty() { "holds" } else { "fails" });
                    value["problems"] = json!(played.problems);
                    value["run_id"] = json!(played.run_id);
                    value["bundle"] = json!(played.bundle);
                }
                value
            })
            .collect();
        output.document(&json!({ "rows": rows }));
        return;
    }
    for (row, played) in lines {
        let (mark, detail) = match played {
            None => (output.paint("2", "· not yet"), row.not_yet.to_owned()),
            Some(played) if played.problems.is_empty() => (
                output.paint("32", "✔ holds  "),
                played.run_id.as_ref().map(ToString::to_string).unwrap_or_default(),
            ),
            Some(played) => (output.paint("31", "✘ fails  "), played.problems.join("\n             ")),
        };
        output.print(&format!(
            "{mark}  {:<26} {:<26} {detail}\n",
            row.name,
            row.blocker.name()
        ));
    }
}
