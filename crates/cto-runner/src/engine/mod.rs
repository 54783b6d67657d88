//! Engines: one seam, a table of values, no engine with a runner of its own.

mod command;
mod fake;

use std::ffi::OsString;

use cto_sandbox::Program;
use cto_schema::{EventType, StreamFacts, TaskContract};
use serde_json::Value;

use crate::cases::LoadedCase;

pub(crate) use fake::play as play_fake;
pub use fake::{PLAYS, Play};

/// Every engine that this version knows.
pub const ENGINES: &[&dyn Engine] = &[&fake::Fake, &command::Command];

/// What an engine supplies. The harness selects, gates, runs, supervises and judges all of them alike.
pub trait Engine: Sync {
    /// Returns what is always true of the engine.
    fn manifest(&self) -> &'static EngineManifest;

    /// Returns the program that must exist in the sandbox's view; `None` for an embedded engine.
    fn program(&self, task: &EngineTask<'_>) -> Option<OsString>;

    /// Returns what to start for a task.
    fn invocation(&self, task: &EngineTask<'_>) -> Result<Invocation, EngineError>;

    /// Translates the engine's raw output into quoted `engine.*` events and what its manifest lets the stream mean.
    fn normalize(&self, stdout: &[u8], stderr: &[u8]) -> Normalized;
}

/// What is always true of an engine.
#[derive(Debug)]
pub struct EngineManifest {
    /// Its name on the command line.
    pub name: &'static str,
    /// One line for people.
    pub summary: &'static str,
    /// Whether it is denied until its allow gate is set.
    pub gated: bool,
    /// The highest stage that it may run at without gates of its own.
    pub ungated_up_to_stage: u8,
    /// The event that ends a complete stream; `None` when the engine promises none.
    pub final_event: Option<&'static str>,
}

impl EngineManifest {
    /// Returns the name of the variable that allows the engine.
    pub fn allow_gate(&self) -> String {
        format!("CTO_HARNESS_ALLOW_{}", self.name.to_uppercase())
    }

    /// Returns the name of the variable that names the engine's stage.
    pub fn stage_gate(&self) -> String {
        format!("CTO_HARNESS_{}_STAGE", self.name.to_uppercase())
    }
}

/// What an engine is asked to do.
#[derive(Clone, Copy, Debug)]
pub struct EngineTask<'a> {
    /// The contract.
    pub contract: &'a TaskContract,
    /// The case, when the task is one.
    pub case: Option<&'a LoadedCase>,
    /// What stands after the colon of `fake:no-diff`.
    pub variant: Option<&'a str>,
    /// The argv of the `command` engine.
    pub command: &'a [OsString],
}

/// What to start.
#[derive(Debug)]
pub struct Invocation {
    /// The program.
    pub program: Program,
    /// Variables on top of the sandbox's own.
    pub env: Vec<(OsString, OsString)>,
    /// The argv as evidence shows it.
    pub shown: Vec<String>,
}

/// An engine that cannot be started as asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The name is not in the table.
    #[error("find engine '{name}'{}", suggestion.as_ref().map(|s| format!("; did you mean '{s}'?")).unwrap_or_default())]
    Unknown {
        /// What was asked for, escaped.
        name: String,
        /// The nearest known name.
        suggestion: Option<String>,
    },
    /// The engine does not know the variant.
    #[error("find '{variant}' among the plays of 'fake'{}", suggestion.as_ref().map(|s| format!("; did you mean '{s}'?")).unwrap_or_default())]
    UnknownVariant {
        /// What was asked for, escaped.
        variant: String,
        /// The nearest known name.
        suggestion: Option<String>,
    },
    /// `command` was asked for without a command.
    #[error("start engine 'command': give the agent's argv after '--', for example: -- my-agent --fix")]
    NoCommand,
}

/// An engine's output, translated.
#[derive(Debug, Default)]
pub struct Normalized {
    /// Quoted events, in order: always `engine.*`.
    pub events: Vec<(EventType, Value)>,
    /// What the stream says as far as the manifest gives it a meaning.
    pub stream: StreamFacts,
}

/// Finds an engine by the name before the colon, and the variant after it.
pub fn find_engine(selector: &str) -> Result<(&'static dyn Engine, Option<&str>), EngineError> {
    let (name, variant) = match selector.split_once(':') {
        Some((name, variant)) => (name, Some(variant)),
        None => (selector, None),
    };
    let engine = ENGINES
        .iter()
        .find(|engine| engine.manifest().name == name)
        .copied()
        .ok_or_else(|| {
            let names = ENGINES.iter().map(|engine| engine.manifest().name);
            EngineError::Unknown {
                name: cto_schema::escape(name.as_bytes(), 80),
                suggestion: cto_schema::nearest(name, names),
            }
        })?;
    if let Some(variant) = variant.filter(|v| name != "fake" || !PLAYS.iter().any(|play| play.name == *v)) {
        return Err(EngineError::UnknownVariant {
            variant: cto_schema::escape(variant.as_bytes(), 80),
            suggestion: cto_schema::nearest(variant, PLAYS.iter().map(|play| play.name)),
        });
    }
    Ok((engine, variant))
}
