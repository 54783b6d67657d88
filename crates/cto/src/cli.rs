//! The command line: every command, flag and help text.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::cli_admissions::{AdmissionAction, AdmitAction, Pair, parse_pair};
use crate::cli_decide::{CompareArgs, PacketAction, RefreshArgs};
use crate::cli_engines::{DevAction, EngineAction};
use crate::cli_governed::{ApproveArgs, DenyArgs, OutcomeArgs, RequestArgs, StageAction};
use crate::cli_guard::GuardArgs;
use crate::cli_import::ImportArgs;
use crate::cli_matrix::MatrixArgs;
use crate::cli_panel::{ServeArgs, SummaryArgs, WatchArgs};
use crate::cli_workspace::WorkspaceAction;

/// Hand code-change work to AI coding agents without losing authority over your repositories.
///
/// cto decides whether an agent may run, runs it inside bounds that the kernel keeps, observes exactly what it
/// changed, verifies the patch in a clean room, and seals everything in a signed bundle that anyone can check.
///
/// Start with:  cto run r1-string-slugify
#[derive(Debug, Parser)]
#[command(name = "cto", version, max_term_width = 100, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 pass · 1 fail (ran, not accepted) · 2 usage · 3 blocked before the engine started · \
4 blocked after it started · 5 evidence does not verify · 70 defect of cto or of the machine. \
The first Ctrl-C or SIGTERM stops a run and seals it; a second ends cto at once with 128 + the signal, and recovery seals it later.";

/// Options of every command.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Print one JSON document on standard output.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Directory of this installation: runs, keys, ledger, caches [default: $CTO_HOME, else the data directory].
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) home: Option<PathBuf>,
    /// Settings file [default: harness.yaml in the home directory].
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// When to use colour.
    #[arg(long, global = true, value_enum, default_value_t = When::Auto, value_name = "WHEN")]
    pub(crate) color: When,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    Auto,
    Never,
}

impl Global {
    pub(crate) fn color(&self) -> bool {
        self.color == When::Auto && !crate::installation::no_color()
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a case or a contract: sandbox, write set, clean room, sealed bundle.
    Run(RunArgs),
    /// Run engines × cases × repeats, and report what their bundles show: pass rates, times, cost, failures.
    Matrix(MatrixArgs),
    /// Make an approval packet for a run: text for an operator to read, and nothing else.
    Request(RequestArgs),
    /// Approve a packet: say its sentence, signed with your SSH key; good for one run.
    Approve(ApproveArgs),
    /// Deny a packet, signed with your SSH key.
    Deny(DenyArgs),
    /// Prove everything that needs no human: failure matrix, stages, engine adapters, store. Takes a minute or two.
    Health,
    /// Show how far each engine has climbed, on which evidence, and what is missing.
    Ladder {
        /// Only this engine.
        #[arg(long)]
        engine: Option<String>,
    },
    /// Validate stages of the ladder.
    Stage {
        #[command(subcommand)]
        action: StageAction,
    },
    /// Compare a candidate with its lanes over bundles on record: stage 6. Runs nothing; says eligible, never active.
    Compare(CompareArgs),
    /// Check accepted runs again for repeatability, over the bundles alone: runs nothing, writes in no repository.
    Refresh(RefreshArgs),
    /// Make or show a Core Promotion Decision Packet, from documents that verify.
    Packet {
        #[command(subcommand)]
        action: PacketAction,
    },
    /// Say which bundles prove each law and each requirement of the endgoal, and what is missing.
    Audit,
    /// Accept or reject what a run put into an owned repository, or a comparison, signed with your SSH key.
    Outcome(OutcomeArgs),
    /// Take the one commit of a run back, if its repository has not moved on.
    Rollback {
        /// The run's id, a unique part of it, or 'last'.
        run: String,
    },
    /// List approval packets, or show one.
    Approvals {
        /// The packet to show.
        packet: Option<String>,
    },
    /// Check bundles (directories or .tar.zst) offline; exits 0 only if every check of every bundle holds.
    Verify(VerifyArgs),
    /// Read one run: report, patch, tests, events, timeline.
    Show(ShowArgs),
    /// List runs, newest first.
    Runs(RunsArgs),
    /// Pack a sealed run into one reproducible .tar.zst file.
    Export(ExportArgs),
    /// Take in a run of another installation, verified against a key that is trusted here.
    Import(ImportArgs),
    /// Say whether each engine may run a contract, and why; runs nothing.
    Decide(DecideArgs),
    /// List the engines: which are installed and where, how each is gated, and what to do next.
    Engines {
        /// Look below this directory as well, as a run with --toolchain does.
        #[arg(long, value_name = "DIR")]
        toolchain: Vec<PathBuf>,
    },
    /// Prove an engine's adapter by running it.
    Engine {
        #[command(subcommand)]
        action: EngineAction,
    },
    /// Show how far each engine has come, where the chain stops, and what to type next.
    Status {
        /// Only this engine, step by step.
        #[arg(long)]
        engine: Option<String>,
        /// Look below this directory as well, as a run with --toolchain does.
        #[arg(long, value_name = "DIR")]
        toolchain: Vec<PathBuf>,
    },
    /// Print the control summary: what may be done now, what is proven, on which evidence.
    Summary(SummaryArgs),
    /// Follow a run that is under way, event by event; where none is, show the summary.
    Watch(WatchArgs),
    /// Serve the read-only web panel on this machine.
    Serve(ServeArgs),
    /// Write an admission record: shows it, asks, and keeps what it replaces.
    Admit {
        #[command(subcommand)]
        action: AdmitAction,
    },
    /// Judge admission records.
    Admission {
        #[command(subcommand)]
        action: AdmissionAction,
    },
    /// List the cases, or check case directories.
    Cases {
        #[command(subcommand)]
        action: Option<CasesAction>,
    },
    /// Make, show, rotate and trust signing keys.
    Key {
        #[command(subcommand)]
        action: KeyAction,
    },
    /// Tell whether another repository is idle, so that a governed Core route may be opened; touches nothing there.
    Guard(GuardArgs),
    /// Freeze dependency directories for clean rooms.
    Deps {
        #[command(subcommand)]
        action: DepsAction,
    },
    /// Play rows of the failure matrix and judge each.
    Fixtures {
        #[command(subcommand)]
        action: FixturesAction,
    },
    /// Close runs that a killed cto left unfinished. (run, runs and gc do it too.)
    Recover,
    /// Remove caches that nothing uses, and what dead runs left behind.
    Gc(GcArgs),
    /// Say what this machine can enforce, and how to mend what it cannot.
    Doctor,
    /// Show every setting and where it came from.
    Config {
        #[command(subcommand)]
        action: ConfigAction,
    },
    /// Serve what one needs to try an engine out.
    Dev {
        #[command(subcommand)]
        action: DevAction,
    },
    /// Make, check and look at a planning workspace: PRDs, issues, evidence, workboard.
    Workspace {
        #[command(subcommand)]
        action: WorkspaceAction,
    },
    /// Print shell completions.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Write man pages into a directory.
    Man {
        /// The directory; it is created.
        dir: PathBuf,
    },
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cto run r1-string-slugify\n  cto run r1-string-slugify --engine fake:disallowed-file\n  \
cto run --contract task.yaml --engine command -- ./agent --fix"
)]
pub(crate) struct RunArgs {
    /// The approved packet that the run consumes; stages 4 and 5 need one (see cto request).
    #[arg(long, value_name = "PACKET")]
    pub(crate) approval: Option<String>,
    /// Hold a run on an owned repository open until cto outcome is said, at most this long.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "3600")]
    pub(crate) await_outcome: Option<u32>,
    /// Keep a copy of the final workspace below the home directory, and a disposable repository where it is.
    #[arg(long)]
    pub(crate) keep_workspace: bool,
    #[command(flatten)]
    pub(crate) task: TaskArgs,
}

/// What is to be run, by whom and how; the same for a run and for the packet that asks for it.
#[derive(Debug, Args)]
pub(crate) struct TaskArgs {
    /// Name of a case; see cto cases.
    #[arg(required_unless_present = "contract", conflicts_with = "contract")]
    pub(crate) case: Option<String>,
    /// Contract file, YAML or JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) contract: Option<PathBuf>,
    /// Engine: fake, fake:PLAY, command, or an agent (codex, pi, claude, opencode, …); see cto engines.
    #[arg(long, value_name = "ENGINE")]
    pub(crate) engine: Option<String>,
    /// The model that is asked for; an admission decides whether it is used.
    #[arg(long, value_name = "PROVIDER/MODEL", value_parser = parse_pair)]
    pub(crate) model: Option<Pair>,
    /// A profile of harness.yaml: engine, model, stage and limits that flags do not name.
    #[arg(long, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// Where the change of a case may land: copied-fixture (stage 2) or sandbox-repo (stage 4) [default: the case's].
    #[arg(long, value_name = "MODE", value_parser = parse_mode)]
    pub(crate) mode: Option<cto_schema::MutationMode>,
    /// Sandbox provider: native, bwrap or none.
    #[arg(long, value_name = "NAME")]
    pub(crate) sandbox: Option<String>,
    /// Workspace: overlay or copied [default: overlay where this machine can].
    #[arg(long, value_enum, value_name = "KIND")]
    pub(crate) workspace: Option<WorkspaceChoice>,
    /// Longest run of the engine, in seconds; replaces the contract's.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) timeout: Option<u32>,
    /// Refuse to run when the target repository has uncommitted changes.
    #[arg(long)]
    pub(crate) clean_start: bool,
    /// Map a toolchain directory read-only into every sandbox, its bin on the search path; see cto doctor.
    #[arg(long, value_name = "DIR")]
    pub(crate) toolchain: Vec<PathBuf>,
    /// The agent of engine command: program and arguments; {brief} and {title} are replaced.
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum WorkspaceChoice {
    Overlay,
    Copied,
}

/// Reads a mutation mode that a case can be run in.
fn parse_mode(text: &str) -> Result<cto_schema::MutationMode, String> {
    match text {
        "copied-fixture" => Ok(cto_schema::MutationMode::CopiedFixture),
        "sandbox-repo" => Ok(cto_schema::MutationMode::SandboxRepo),
        _ => Err("a case is run as copied-fixture or sandbox-repo; other modes are a contract's".to_owned()),
    }
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Bundles: directories, .tar.zst files, or ids of runs of this installation.
    #[arg(required_unless_present = "all")]
    pub(crate) bundles: Vec<PathBuf>,
    /// Check every run of this installation.
    #[arg(long, conflicts_with = "bundles")]
    pub(crate) all: bool,
    /// Trust this public key (SPKI PEM) instead of the installation's keys.
    #[arg(long, value_name = "PEM")]
    pub(crate) key: Vec<PathBuf>,
    /// Believe these operators (an allowed_signers file) instead of the installation's.
    #[arg(long, value_name = "FILE")]
    pub(crate) allowed_signers: Option<PathBuf>,
    /// Print passed checks as well.
    #[arg(long, short)]
    pub(crate) verbose: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The run's id, a unique part of it, or 'last'.
    pub(crate) run: String,
    /// What to show.
    #[arg(value_enum, default_value_t = ShowWhat::Report)]
    pub(crate) what: ShowWhat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ShowWhat {
    Report,
    Patch,
    Tests,
    Events,
    Timeline,
    Bounds,
}

#[derive(Debug, Args)]
pub(crate) struct RunsArgs {
    /// Only runs with this status: pass, fail or blocked.
    #[arg(long)]
    pub(crate) status: Option<String>,
    /// Only runs of this engine.
    #[arg(long)]
    pub(crate) engine: Option<String>,
    /// Only runs of this case or task.
    #[arg(long)]
    pub(crate) case: Option<String>,
    /// Only runs that started at or after this time (RFC 3339, or a date).
    #[arg(long)]
    pub(crate) since: Option<String>,
    /// Most runs that are listed.
    #[arg(long, default_value_t = 50)]
    pub(crate) limit: u32,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The run's id, a unique part of it, or 'last'.
    pub(crate) run: String,
    /// Output file [default: the run id with .tar.zst].
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Replace the output file.
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DecideArgs {
    /// Contract file.
    pub(crate) contract: PathBuf,
    /// Only this engine.
    #[arg(long)]
    pub(crate) engine: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CasesAction {
    /// Check case directories and Harbor tasks, and say what is wrong with each, or cannot be had here.
    Check {
        /// Directories: each with a case.yaml, or a Harbor (Terminal-Bench) task with a task.toml.
        #[arg(required = true)]
        dirs: Vec<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyAction {
    /// Make the signing key of this installation, if there is none.
    Create,
    /// Print the public key (SPKI PEM) and every trusted key.
    Show,
    /// Make a new signing key; bundles of the old one stay verifiable.
    Rotate,
    /// Trust another installation's public key.
    Trust {
        /// The key, SPKI PEM.
        file: PathBuf,
        /// A name for it.
        #[arg(long)]
        name: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum DepsAction {
    /// Copy a directory into the layer store and print the contract entry that mounts it.
    Freeze {
        /// The directory: node_modules, a virtual environment, a cargo registry, …
        dir: PathBuf,
        /// Name for people [default: the directory's name].
        #[arg(long)]
        name: Option<String>,
        /// Absolute mount point in the sandbox, for example /workspace/node_modules.
        #[arg(long, value_name = "PATH")]
        mount: PathBuf,
    },
    /// List frozen layers.
    List,
}

#[derive(Debug, Subcommand)]
pub(crate) enum FixturesAction {
    /// Play rows and judge each against the matrix.
    Run {
        /// Rows; all when none is named.
        rows: Vec<String>,
        /// Who plays: fake plays every row; an agent such as codex or pi those about engines, on a scripted model.
        #[arg(long, default_value = "fake")]
        engine: String,
        /// Every row; the same as naming none.
        #[arg(long, conflicts_with = "rows")]
        all: bool,
        /// Look for the engine below this directory as well, as a run with --toolchain does.
        #[arg(long, value_name = "DIR")]
        toolchain: Vec<PathBuf>,
    },
    /// List the rows.
    List,
}

#[derive(Debug, Args)]
pub(crate) struct GcArgs {
    /// Also verify every cached baseline against its manifest.
    #[arg(long)]
    pub(crate) check: bool,
    /// Keep what was used in the last DAYS days.
    #[arg(long, value_name = "DAYS", default_value_t = 30)]
    pub(crate) keep_days: u32,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigAction {
    /// Print each setting, its value, and whether it came from a flag, the environment, the file or the default.
    Show,
}
