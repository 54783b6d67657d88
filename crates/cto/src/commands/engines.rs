//! `cto engines`: what this installation can run, and what is missing.

use std::path::PathBuf;

use cto_runner::{EngineStatus, PLAYS, Search};
use cto_schema::{ExitClass, escape};
use serde_json::{Value, json};

use crate::cli::Global;
use crate::error::CommandError;
use crate::installation;
use crate::output::{Exit, Output};

pub(super) fn engines(global: &Global, toolchains: &[PathBuf], output: &Output) -> Result<Exit, CommandError> {
    let harness = installation::open(global)?;
    let default = harness.settings.default_lane.as_deref().unwrap_or("fake");
    let statuses = harness.engine_statuses(toolchains);
    if output.json() {
        let rows: Vec<_> = statuses.iter().map(|status| describe(status, default)).collect();
        let plays: Vec<_> = PLAYS
            .iter()
            .map(|play| json!({ "name": play.name, "summary": play.summary }))
            .collect();
        output.document(&json!({ "engines": rows, "fake_plays": plays }));
        return Ok(Exit(ExitClass::Pass));
    }
    let mut text = String::new();
    for status in &statuses {
        text.push_str(&lines(status, default, output));
    }
    text.push_str("\nPlays of fake, for example: cto run r1-string-slugify --engine fake:no-diff\n");
    for play in PLAYS {
        text = format!("{text}    {:<22} {}\n", play.name, play.summary);
    }
    output.print(&text);
    Ok(Exit(ExitClass::Pass))
}

fn describe(status: &EngineStatus, default: &str) -> Value {
    let manifest = status.engine.manifest();
    let document = status.engine.document();
    json!({
        "name": manifest.name,
        "summary": manifest.summary,
        "default": manifest.name == default,
        "gated": manifest.gated,
        "ungated_up_to_stage": manifest.ungated_up_to_stage,
        "allow_gate": manifest.allow_gate(),
        "allowed": status.allowed,
        "stage_gate": manifest.stage_gate(),
        "stage": status.stage.as_ref().map(|stage| escape(stage.as_bytes(), 80)),
        "program": program(&status.search),
        "parser": manifest.parser,
        "final_event": manifest.final_event,
        "wire": manifest.wire.as_ref().map(|wire| json!({
            "dialects": wire.dialects,
            "runtime_provider": wire.runtime_provider,
        })),
        "commits": manifest.commits,
        "mask": document.map(|document| &document.mask),
        "own_sandbox": document.map(|document| &document.own_sandbox),
        "calls_home": document.map(|document| &document.calls_home),
        "minimum": { "memory_mib": manifest.minimum.memory_mib, "processes": manifest.minimum.processes },
        "next": status.next,
    })
}

fn program(search: &Search) -> Value {
    match search {
        Search::NotNeeded => json!({ "state": "not_needed" }),
        Search::Found(found) => json!({
            "state": "found",
            "path": escape(found.program.as_os_str().as_encoded_bytes(), 400),
            "interpreter": found.interpreter,
            "how": found.how,
            "package": found.package.as_ref().map(|package| json!({
                "registry": package.registry,
                "name": package.name,
                "version": package.version,
                "integrity": package.integrity,
            })),
        }),
        Search::Missing { looked, mend } => json!({ "state": "missing", "looked": looked, "mend": mend }),
    }
}

fn lines(status: &EngineStatus, default: &str, output: &Output) -> String {
    let manifest = status.engine.manifest();
    let mark = if manifest.name == default { " (default)" } else { "" };
    let mut text = format!(
        "{}{mark}\n    {}\n",
        output.paint("1", &manifest.name),
        manifest.summary
    );
    match &status.search {
        Search::NotNeeded => {}
        Search::Found(found) => {
            let version = found
                .package
                .as_ref()
                .map_or("version unknown", |package| &package.version);
            let path = escape(found.program.as_os_str().as_encoded_bytes(), 200);
            text = format!(
                "{text}    {} {version}, {path} ({})\n",
                output.paint("32", "✔ found"),
                found.how
            );
        }
        Search::Missing { looked, .. } => {
            text = format!(
                "{text}    {} {}\n",
                output.paint("33", "▲ not found:"),
                looked.join("; ")
            );
        }
    }
    if let Some(wire) = &manifest.wire {
        let dialects: Vec<String> = wire
            .dialects
            .iter()
            .filter_map(|dialect| Some(serde_json::to_value(dialect).ok()?.as_str()?.to_owned()))
            .collect();
        text = format!(
            "{text}    speaks {}, read as {}\n",
            dialects.join(" or "),
            manifest.parser
        );
    }
    for step in &status.next {
        text = format!("{text}    next: {step}\n");
    }
    text
}
