//! The command line of what proves engines without their models: `engine validate` and `dev`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum EngineAction {
    /// Run an engine's adapter with a stub in place of its program, and judge each run.
    ///
    /// The stub is started as the engine would be, says which arguments, variables and files arrived, and plays the
    /// engine's own stream: whole, cut short, with each failure that its manifest knows, and not at all. Gates, records
    /// and the model, which is a scripted one, are changed one at a time. The engine need not be installed; its own
    /// gates, records and model are not looked at. Every check is a run with a sealed bundle.
    #[command(
        after_help = "Exits 0 when every check holds, 1 when one does not, 2 for an unknown engine.\n\nExamples:\n  \
cto engine validate case\n  cto engine validate codex --json\n  cto engine validate my-agent    # registered in harness.yaml"
    )]
    Validate {
        /// The engine, as cto engines lists it.
        engine: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum DevAction {
    /// Serve a scripted model on loopback until Ctrl-C: it answers like a hosted one and needs no network.
    ScriptedModel(ScriptedModelArgs),
}

#[derive(Debug, Args)]
#[command(
    after_help = "Models:\n  scripted-SCRIPT[-FAULT][-at-TURN|-once]; any other name is answered like scripted-fix. \
GET /v1/models lists them.\n\nExamples:\n  cto dev scripted-model --setup admissions\n  \
cto dev scripted-model --fault cut:once"
)]
pub(crate) struct ScriptedModelArgs {
    /// Loopback address to listen on; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub(crate) listen: std::net::SocketAddr,
    /// Script in place of the built-in ones: YAML with turns (say; shell, write or ask_model) and final.
    #[arg(long, value_name = "FILE")]
    pub(crate) script: Option<PathBuf>,
    /// Fault for models whose names ask for none: NAME (always), NAME:N (the Nth call) or NAME:once.
    #[arg(long, value_name = "NAME[:N]")]
    pub(crate) fault: Option<String>,
    /// Refuse requests that do not carry this key (a test key: it is visible in the list of processes).
    #[arg(long, value_name = "KEY")]
    pub(crate) require_key: Option<String>,
    /// Write a model admission for each engine into this directory, mode 0600.
    #[arg(long, value_name = "DIR")]
    pub(crate) setup: Option<PathBuf>,
}
