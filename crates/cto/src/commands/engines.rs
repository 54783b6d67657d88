//! `cto engines`: what this version can run.

use cto_runner::PLAYS;
use cto_schema::ExitClass;
use serde_json::json;

use crate::cli::Global;
use crate::error::CommandError;
use crate::installation;
use crate::output::{Exit, Output};

pub(super) fn engines(global: &Global, output: &Output) -> Result<Exit, CommandError> {
    let harness = installation::open(global)?;
    let default = harness.settings.default_lane.as_deref().unwrap_or("fake");
    if output.json() {
        let rows: Vec<_> = harness
            .engines
            .all()
            .map(|engine| {
                let manifest = engine.manifest();
                json!({
                    "name": manifest.name,
                    "summary": manifest.summary,
                    "gated": manifest.gated,
                    "ungated_up_to_stage": manifest.ungated_up_to_stage,
                    "allow_gate": manifest.allow_gate(),
                    "stage_gate": manifest.stage_gate(),
                    "default": manifest.name == default,
                    "final_event": manifest.final_event,
                })
            })
            .collect();
        let plays: Vec<_> = PLAYS
            .iter()
            .map(|play| json!({ "name": play.name, "summary": play.summary }))
            .collect();
        output.document(&json!({ "engines": rows, "fake_plays": plays }));
        return Ok(Exit(ExitClass::Pass));
    }
    let mut text = String::new();
    for engine in harness.engines.all() {
        let manifest = engine.manifest();
        let mark = if manifest.name == default { " (default)" } else { "" };
        text = format!(
            "{text}{}{mark}\n    {}\n",
            output.paint("1", &manifest.name),
            manifest.summary
        );
    }
    text.push_str("\nPlays of fake, for example: cto run r1-string-slugify --engine fake:no-diff\n");
    for play in PLAYS {
        text = format!("{text}    {:<22} {}\n", play.name, play.summary);
    }
    output.print(&text);
    Ok(Exit(ExitClass::Pass))
}
