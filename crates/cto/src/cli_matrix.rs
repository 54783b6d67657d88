//! The command line of a matrix of engines, cases and repeats.

use std::path::PathBuf;

use clap::Args;

use crate::cli::WorkspaceChoice;

#[derive(Debug, Args)]
#[command(
    after_help = "Cells take turns by repeat, then case, then engine, so that what slows the machine slows every engine. Each cell is a \
sealed run; the report is read from the bundles, each verified again, and sealed itself. An engine that cannot run is a row \
of the report with its reason.\n\n\
Examples:\n  cto matrix --engines fake --cases r1-string-slugify,r1-slugify-punctuation --repeat 3\n  \
cto matrix --engines fake,codex,pi --cases all --repeat 5 --jobs 2 --toolchain ~/agents --name nightly\n  \
cto matrix --resume last --out report --inspect logs\n\n\
Exit codes: 0 every cell passed · 1 some failed · 3 none failed, some were blocked · 4 some have no verdict yet (stopped; go \
on with --resume) · 5 the evidence of some does not verify."
)]
pub(crate) struct MatrixArgs {
    /// The engines, in the order in which they take turns: fake, fake:PLAY, codex, …; see cto engines.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', required_unless_present_any = ["resume", "fleet"])]
    pub(crate) engines: Vec<String>,
    /// The cases in order, or 'all'; see cto cases.
    #[arg(long, value_name = "IDS", value_delimiter = ',', default_value = "all")]
    pub(crate) cases: Vec<String>,
    /// How often each engine runs each case.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) repeat: u32,
    /// How many cells run side by side; with more than one, times are not those of one alone.
    #[arg(long, value_name = "J", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) jobs: u16,
    /// A name for people; it is part of the matrix's id.
    #[arg(long, value_name = "NAME", value_parser = parse_name)]
    pub(crate) name: Option<String>,
    /// Go on with a matrix: its id, a unique part of it, or 'last'. Cells with a verdict are not run again.
    #[arg(long, value_name = "ID", conflicts_with_all = [
        "engines", "cases", "repeat", "name", "max_cells", "toolchain", "timeout", "sandbox", "workspace", "command"
    ])]
    pub(crate) resume: Option<String>,
    /// Also write the report into this directory, which must be empty or not exist.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Also write logs that 'inspect view' opens: one for all engines into FILE.eval, or one for each into a directory.
    #[arg(long, value_name = "PATH")]
    pub(crate) inspect: Option<PathBuf>,
    /// Most cells that a matrix may have.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub(crate) max_cells: u32,
    /// Map a toolchain directory read-only into every sandbox, its bin on the search path; see cto doctor.
    #[arg(long, value_name = "DIR")]
    pub(crate) toolchain: Vec<PathBuf>,
    /// Longest run of an engine, in seconds; replaces the case's.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) timeout: Option<u32>,
    /// Sandbox provider: native, bwrap or none.
    #[arg(long, value_name = "NAME")]
    pub(crate) sandbox: Option<String>,
    /// Workspace: overlay or copied [default: overlay where this machine can].
    #[arg(long, value_enum, value_name = "KIND")]
    pub(crate) workspace: Option<WorkspaceChoice>,
    /// Send the cells to many machines; this does not exist yet.
    #[arg(long)]
    pub(crate) fleet: bool,
    /// The agent of engine command: program and arguments; {brief} and {title} are replaced.
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

/// Reads a name that can be part of an id and of a page.
fn parse_name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || " -_.".contains(c);
    if (1..=36).contains(&text.len()) && text.chars().all(plain) {
        Ok(text.to_owned())
    } else {
        Err("a name has 1 to 36 letters, digits, spaces, dots, '-' and '_'".to_owned())
    }
}
