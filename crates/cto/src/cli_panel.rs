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

#[derive(Debug, Args)]
#[command(
    after_help = "The panel shows and can start, approve or sign nothing: every address answers GET and HEAD alone.\n\nExamples:\n  \
cto serve\n  cto serve --listen 127.0.0.1:8080 --no-login\n  \
cto serve --listen 10.0.0.5:17877 --behind-proxy --secret-file panel.secret --host panel.example"
)]
pub(crate) struct ServeArgs {
    /// Where to listen; port 0 takes any that is free.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:17877")]
    pub(crate) listen: std::net::SocketAddr,
    /// Ask for no session: anybody on this machine who reaches the address may look.
    #[arg(long, conflicts_with = "behind_proxy")]
    pub(crate) no_login: bool,
    /// Listen where other machines reach it; every request must then carry the secret as Authorization: Bearer.
    #[arg(long, requires = "secret_file")]
    pub(crate) behind_proxy: bool,
    /// File that holds the secret, 32 characters or more; nobody else may read it.
    #[arg(long, value_name = "FILE")]
    pub(crate) secret_file: Option<PathBuf>,
    /// A name, with its port where it has one, under which a proxy passes requests on.
    #[arg(long, value_name = "NAME")]
    pub(crate) host: Vec<String>,
    /// Also show patches and test output of owned repositories; on loopback only, and said on every page.
    #[arg(long)]
    pub(crate) evidence_content: bool,
    /// The engine that the candidate fields speak of.
    #[arg(long, value_name = "ENGINE", default_value = "case")]
    pub(crate) candidate: String,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Looks and touches nothing; Ctrl-C ends the look, not the run.\n\nExamples:\n  cto watch\n  cto watch slugify"
)]
pub(crate) struct WatchArgs {
    /// A part of the run's name [default: the newest that is under way].
    pub(crate) run: Option<String>,
}
