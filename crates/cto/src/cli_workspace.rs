//! The command line of planning workspaces.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum WorkspaceAction {
    /// Make a small workspace with a template of each document; it validates as made.
    ///
    /// Only new files are made: if one of them is there already, nothing is written.
    #[command(after_help = "Example:\n  cto workspace init planning && cto workspace validate planning")]
    Init {
        /// The directory; it is created.
        dir: PathBuf,
    },
    /// Check a workspace: structure, references, claims about bundles, claims of authority, secrets.
    ///
    /// Exits with 0 when there is no error, and with 1 when there is one. Each finding names file, line, rule and mend; what
    /// the rules mean stands in docs/reference/workspace-rules.md.
    Validate(ValidateArgs),
    /// Show the workboard: table, what can be begun, and the graph of what blocks what.
    Board(BoardArgs),
    /// Print the built-in rules, with comments: the start of a rules file of your own.
    #[command(after_help = "Example:\n  cto workspace rules > planning/workspace-rules.yaml")]
    Rules,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cto workspace validate planning\n  cto workspace validate planning --strict --json\n  \
cto workspace validate planning --watch"
)]
pub(crate) struct ValidateArgs {
    /// The workspace.
    #[arg(default_value = ".")]
    pub(crate) dir: PathBuf,
    /// Rules that change the built-in ones [default: workspace-rules.yaml in the workspace, if there is one].
    #[arg(long, value_name = "FILE")]
    pub(crate) rules: Option<PathBuf>,
    /// Make errors of the warnings about open boxes, disagreement, order of blockers, and repeated headings.
    #[arg(long)]
    pub(crate) strict: bool,
    /// Run the external validators of the rules: commands that whoever wrote the rules chose. Read them first.
    #[arg(long)]
    pub(crate) run_validators: bool,
    /// Check again after every change, and say what is new and what is mended; ends with Ctrl-C.
    #[arg(long, conflicts_with = "run_validators")]
    pub(crate) watch: bool,
    /// Trust this public key (SPKI PEM) for bundles instead of the installation's keys.
    #[arg(long, value_name = "PEM")]
    pub(crate) key: Vec<PathBuf>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cto workspace board planning\n  cto workspace board planning --dot | dot -Tsvg > board.svg"
)]
pub(crate) struct BoardArgs {
    /// The workspace.
    #[arg(default_value = ".")]
    pub(crate) dir: PathBuf,
    /// Rules that change the built-in ones [default: workspace-rules.yaml in the workspace, if there is one].
    #[arg(long, value_name = "FILE")]
    pub(crate) rules: Option<PathBuf>,
    /// Print the graph in Mermaid's language.
    #[arg(long, conflicts_with = "dot")]
    pub(crate) mermaid: bool,
    /// Print the graph in Graphviz's language.
    #[arg(long)]
    pub(crate) dot: bool,
}
