//! Rows that are about an engine, played by a real one: the accepted run on a scripted model, with one change.

use cto_gateway::CredentialSource;
use cto_gateway::scripted::{Fault, FaultPlan, Script, When};

use super::model::ModelChange;
use super::play::{ACCEPTED, judge};
use super::{Played, Row, find_row};
use crate::cases::find;
use crate::ground::{Ground, Layout};
use crate::request::{Harness, RunRequest, Task};
use crate::run::{Watch, chain, run};
use crate::watch::{Stop, Unwatched};

/// The engine's time limit where a row is about time: long enough to start, and to be met in its second turn.
const BRIEF_SECONDS: u32 = 8;

/// What makes the accepted change of the case.
const FIX: &str = r#"sed -i 's/return .*/return "-".join(text.lower().split())/' strings.py"#;

/// What is different from the accepted run.
#[derive(Clone, Copy, Debug)]
enum AgentChange {
    /// The model has the engine do this in its shell instead.
    Shell(&'static str),
    /// The model has it do nothing.
    Nothing,
    /// The model never answers a second time.
    Hang,
    /// Its program is not there.
    NoProgram,
    /// Gates, records or provider are changed.
    Ground(ModelChange),
}

/// The rows that a real engine can be made to play, each by its own change.
const AGENT_ROWS: &[(&str, AgentChange)] = &[
    ("no-diff", AgentChange::Nothing),
    (
        "disallowed-file",
        AgentChange::Shell("; echo x > outside-the-contract.txt"),
    ),
    (
        "failed-tests",
        AgentChange::Shell("; echo 'slugify = str' >> strings.py"),
    ),
    ("forbidden-action", AgentChange::Shell("; git push origin main || true")),
    ("timeout", AgentChange::Hang),
    ("provider-unavailable", AgentChange::NoProgram),
    (
        "model-not-admitted",
        AgentChange::Ground(ModelChange::OtherModelRequested),
    ),
    ("reasoning-only", AgentChange::Ground(ModelChange::ReasoningOnly)),
    ("auth-unavailable", AgentChange::Ground(ModelChange::NoCredential)),
    ("local-config-unavailable", AgentChange::Ground(ModelChange::NoEndpoint)),
    ("gate-missing", AgentChange::Ground(ModelChange::GateNotSet)),
];

/// Returns the rows that [`play_by`] plays, in the order of the matrix.
pub fn rows_about_engines() -> Vec<&'static Row> {
    AGENT_ROWS.iter().filter_map(|(name, _)| find_row(name)).collect()
}

/// Plays a row by an engine that runs with a model, and compares what came of it with the matrix.
pub fn play_by(harness: &Harness, row: &'static Row, engine: &str) -> Played {
    let mut played = Played {
        row,
        problems: vec![],
        run_id: None,
        bundle: None,
    };
    match perform(harness, row, engine) {
        Ok(run_id) => {
            let bundle = harness.home.run(&run_id);
            played.problems = judge(harness, row, &bundle);
            played.run_id = Some(run_id);
            played.bundle = Some(bundle);
        }
        Err(problem) => played.problems.push(problem),
    }
    played
}

fn perform(harness: &Harness, row: &Row, engine: &str) -> Result<cto_schema::RunId, String> {
    let change = AGENT_ROWS.iter().find(|(name, _)| *name == row.name);
    let (_, change) = change.ok_or("the row is not about an engine; play it with fake")?;
    let (found, _) = harness.engines.find(engine).map_err(|error| chain(&error))?;
    let manifest = found.manifest();
    let case = find(ACCEPTED, &[]).map_err(|error| chain(&error))?;
    let mut layout = Layout::of(manifest, 2);
    layout.credential = CredentialSource::None;
    let mut request = RunRequest::of(Task::Case(Box::new(case)), engine.to_owned());
    match change {
        AgentChange::Shell(more) => layout.options.script = Some(script(&format!("{FIX}{more}"))?),
        AgentChange::Nothing => {
            layout.options.script = Some(Script::parse("final: done").map_err(|error| error.to_string())?);
        }
        AgentChange::Hang => {
            request.timeout_seconds = Some(BRIEF_SECONDS);
            layout.options.fault = Some(FaultPlan {
                fault: Fault::Hang,
                when: When::Turn(2),
            });
        }
        AgentChange::NoProgram => {}
        AgentChange::Ground(change) => change.apply(&mut layout),
    }
    // The program is where the caller's own runs find it.
    let variable = harness.environment.get(&manifest.program_variable());
    let program = match change {
        AgentChange::NoProgram => Some("/nonexistent/agent".into()),
        _ => variable.map(Into::into),
    };
    let ground = Ground::lay(harness, &layout, |settings, _| {
        if let Some(program) = program {
            settings.engines.entry(engine.to_owned()).or_default().program = Some(program);
        }
        Ok(())
    })?;
    let stop = Stop::new().map_err(|error| error.to_string())?;
    let watch = Watch {
        observer: &Unwatched,
        stop: &stop,
    };
    let outcome = run(&ground.harness, &request, watch).map_err(|error| chain(&error))?;
    Ok(outcome.run_id)
}

fn script(command: &str) -> Result<Script, String> {
    let document = serde_json::json!({ "turns": [{ "say": "working", "shell": command }], "final": "done" });
    // JSON is YAML.
    Script::parse(&document.to_string()).map_err(|error| error.to_string())
}
