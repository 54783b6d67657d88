//! The command line of governed execution: packets, approvals, outcomes, stages.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::cli::TaskArgs;

#[derive(Debug, Args)]
#[command(
    after_help = "Give it what the run will get: the packet is bound to it.\n\nExamples:\n  \
cto request r1-string-slugify --mode sandbox-repo\n  cto request --contract task.yaml --engine pi"
)]
pub(crate) struct RequestArgs {
    /// How long the packet lives, in hours.
    #[arg(long, value_name = "HOURS", default_value_t = 24, value_parser = clap::value_parser!(i64).range(1..=720))]
    pub(crate) expires_in: i64,
    #[command(flatten)]
    pub(crate) task: TaskArgs,
}

/// Who signs.
#[derive(Debug, Args)]
pub(crate) struct SignerArgs {
    /// Your SSH key: the private key's file, or the public one's when an agent holds the private half [default: approvals: key: in harness.yaml].
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// Your name among the allowed signers [default: the first that the key has].
    #[arg(long = "as", value_name = "PRINCIPAL")]
    pub(crate) actor: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ApproveArgs {
    /// The packet.
    pub(crate) packet: String,
    /// The sentence, to the byte; asked for on the terminal when absent.
    #[arg(long, value_name = "TEXT")]
    pub(crate) sentence: Option<String>,
    /// The contract that you read, as 64 hexadecimal digits; another one is refused.
    #[arg(long, value_name = "HEX")]
    pub(crate) contract_sha256: Option<String>,
    #[command(flatten)]
    pub(crate) signer: SignerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DenyArgs {
    /// The packet.
    pub(crate) packet: String,
    /// Why.
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) signer: SignerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct OutcomeArgs {
    /// The run's or the comparison's id, a unique part of it, or 'last' for the newest run.
    pub(crate) run: String,
    /// What became of it.
    #[arg(value_enum)]
    pub(crate) outcome: OutcomeChoice,
    /// Why.
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) signer: SignerArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutcomeChoice {
    /// The commit stays; of a comparison: the candidate is eligible.
    Accept,
    /// It goes: cto rollback takes it back; of a comparison: the candidate is not eligible.
    Reject,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StageAction {
    /// Play a stage's accepted run and every failure that it must show, on ground that cto makes itself.
    ///
    /// The stage below is validated first. The bundles go on record: they are what cto ladder and the gates count.
    /// Stages 4 and 5 count only with an operator's approval, which no validator gives. Stage 6 plays every row of the
    /// failure matrix that no bundle shows yet; it counts only with an accepted comparison.
    Validate {
        /// The stage, 1 to 6.
        #[arg(value_parser = clap::value_parser!(u8).range(1..=6))]
        stage: u8,
        /// The engine.
        #[arg(long, default_value = "fake")]
        engine: String,
        /// Look for the engine below this directory as well, as a run with --toolchain does.
        #[arg(long, value_name = "DIR")]
        toolchain: Vec<PathBuf>,
        /// The agent of engine command: program and arguments.
        #[arg(last = true, value_name = "COMMAND")]
        command: Vec<OsString>,
    },
}

/// A reason is signed and stays: an empty one would say for ever that nobody had any.
fn reason(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("write in a few words why; it is signed and stays on record".to_owned());
    }
    Ok(text.to_owned())
}
