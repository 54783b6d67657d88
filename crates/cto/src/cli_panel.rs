//! The command line of the control surface: what shows and starts nothing.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
#[command(
    after_help = "The document is cto/control-summary/1.0 (schemas/control-summary.json): no paths of this machine, no addresses, \
no credentials, no content of a repository.\n\nExamples:\n  cto summary\n  cto summary --json > summary.json\n  cto summary --check summary.json"
)]
pub(crate) struct SummaryArgs {
    /// Check a summary instead: its form, its digest, and the rules between its fields; exits 0 or 5.
    #[arg(long, value_name = "FILE")]
    pub(crate) check: Option<PathBuf>,
    /// The engine that the candidate fields speak of.
    #[arg(long, value_name = "ENGINE", default_value = "case")]
    pub(crate) candidate: String,
}
