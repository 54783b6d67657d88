//! Engines that are not there or cannot be started as asked.

use std::path::PathBuf;

/// An engine that is not there or cannot be started as asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The name is not in the registry.
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
    /// Two engines have one name.
    #[error("register engine '{name}': the name is taken; choose another one in {}", from.display())]
    Duplicate {
        /// The name.
        name: String,
        /// Where the second one came from.
        from: PathBuf,
    },
    /// The settings name an engine in a way that cannot be used.
    #[error("register engine '{name}': {reason}")]
    Settings {
        /// The name, escaped.
        name: String,
        /// What is wrong, with the mend.
        reason: String,
    },
    /// A manifest cannot be used.
    #[error("use engine manifest {from}: {reason}")]
    Manifest {
        /// Which manifest.
        from: String,
        /// What is wrong, with line and nearest known name where there is one.
        reason: String,
    },
    /// The engine's program was not found.
    #[error("start engine '{name}': its program was not found; see cto engines")]
    NoProgram {
        /// The engine.
        name: String,
    },
    /// The engine needs a model and there is none.
    #[error("start engine '{name}': it needs a model, and no model is admitted for this run")]
    NoModel {
        /// The engine.
        name: String,
    },
    /// A value cannot stand in the engine's files or arguments.
    #[error("start engine '{name}': {what} holds characters that cannot stand in its configuration: '{value}'")]
    UnsafeValue {
        /// The engine.
        name: String,
        /// Which value.
        what: &'static str,
        /// The value, escaped.
        value: String,
    },
}
