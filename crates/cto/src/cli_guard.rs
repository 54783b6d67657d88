//! The command line of the Core Route Admission Guard.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
#[command(
    long_about = "Tell whether another repository is idle, so that a governed Core route may be opened.\n\n\
It looks, live and only by reading, at every work tree (status, index, HEAD, operations in progress, locks), at branches \
and paths on a conflict list, at every process whose working directory, program, command line or open files lie there, \
and at the route record. It looks twice: whatever changed in between blocks. It reserves, locks, stops and edits nothing.\n\n\
What cannot be told counts as work of somebody. Only root sees where the processes of other users work; for others \
the answer is ownership_uncertain as soon as another user has a process.",
    after_help = "Examples:\n  sudo cto guard --core /srv/core\n  \
cto guard --core /srv/core --conflicts conflicts.yaml --route route.yaml --json\n\n\
Exits with 0 when the guard passed and with 3 when it is blocked."
)]
pub(crate) struct GuardArgs {
    /// The repository that must be idle.
    #[arg(long, value_name = "PATH")]
    pub(crate) core: PathBuf,
    /// A conflict list (cto/core-conflicts/1.0, YAML or JSON): branches and paths of others' work.
    #[arg(long, value_name = "FILE")]
    pub(crate) conflicts: Option<PathBuf>,
    /// The current route record (cto/core-route/1.0, YAML or JSON): who has the route, and until when.
    #[arg(long, value_name = "FILE")]
    pub(crate) route: Option<PathBuf>,
}
