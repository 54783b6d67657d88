//! What a caller asks of one run, and the installation that serves it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;

use cto_evidence::{AllowedSigners, Home, KnownSecret};
use cto_sandbox::Reexec;
use cto_schema::{Blocker, Budget, Report, RunId, Status};

use crate::cases::LoadedCase;
use crate::engine::Engines;
use crate::harness::EndpointText;
use crate::model::RequestedModel;
use crate::settings::{Settings, WorkspaceKind};
use crate::tool::Git;

/// An installation: its home, settings, git and environment, read once.
#[derive(Debug)]
pub struct Harness {
    /// `$CTO_HOME`.
    pub home: Home,
    /// From `harness.yaml`.
    pub settings: Settings,
    /// The embedded engines and those that the settings register.
    pub engines: Engines,
    /// The only git that is ever run.
    pub git: Git,
    /// How the inner stage is started.
    pub reexec: Reexec,
    /// The environment's gates (`CTO_HARNESS_…`), read once at start.
    pub environment: BTreeMap<String, String>,
    /// Values that must never reach evidence.
    pub secrets: Vec<KnownSecret>,
    /// Whose approvals count besides the operators', while the harness proves itself; never read from anywhere.
    pub(crate) validator: Option<AllowedSigners>,
    /// Values of variables that hold endpoints; they are in no other field.
    pub(crate) endpoints: BTreeMap<String, EndpointText>,
    /// Names of all variables that are set; a credential's value is read by the gateway alone.
    pub(crate) present: BTreeSet<String>,
}

/// What is to be done.
#[derive(Debug)]
pub enum Task {
    /// A case: its contract follows from it.
    Case(Box<LoadedCase>),
    /// A contract file, as read.
    Contract {
        /// Where it was read from, for errors.
        path: PathBuf,
        /// Its bytes.
        bytes: Vec<u8>,
    },
}

/// One run, as asked for.
#[derive(Debug)]
pub struct RunRequest {
    /// What is to be done.
    pub task: Task,
    /// `fake`, `fake:no-diff`, `command`, …
    pub engine: String,
    /// The argv of the `command` engine.
    pub command: Vec<OsString>,
    /// `native`, `bwrap` or `none`; the settings' when absent.
    pub provider: Option<String>,
    /// The settings' or probed when absent.
    pub workspace: Option<WorkspaceKind>,
    /// Overrides `timeouts.engine_seconds`; it becomes part of the contract as executed.
    pub timeout_seconds: Option<u32>,
    /// Where to keep a copy of the final workspace, for people.
    pub keep_workspace: bool,
    /// Whether uncommitted changes of the target refuse the run.
    pub clean_start: bool,
    /// Directories mapped read-only into every sandbox of the run, besides the settings'.
    pub toolchains: Vec<PathBuf>,
    /// The model that is asked for; the environment's, the settings' or the admitted one when absent.
    pub model: Option<RequestedModel>,
    /// The stage that the engine is open for, where its variable is not set.
    pub stage: Option<u8>,
    /// The packet whose approval the run is to consume.
    pub approval: Option<String>,
    /// How long a run on an owned repository is held open for the operator's word; it is sealed without when absent.
    pub await_outcome: Option<std::time::Duration>,
    /// Where the change of a case may land; the case's own mode when absent.
    pub mode: Option<cto_schema::MutationMode>,
    /// Limits on spending, besides the contract's; the stricter holds.
    pub budget: Budget,
}

impl RunRequest {
    /// Returns a request that leaves everything else to settings and defaults.
    pub fn of(task: Task, engine: String) -> Self {
        Self {
            task,
            engine,
            command: vec![],
            provider: None,
            workspace: None,
            timeout_seconds: None,
            keep_workspace: false,
            clean_start: false,
            toolchains: vec![],
            model: None,
            stage: None,
            approval: None,
            await_outcome: None,
            mode: None,
            budget: Budget::default(),
        }
    }
}

/// A finished run.
#[derive(Clone, Debug)]
pub struct RunOutcome {
    /// The run.
    pub run_id: RunId,
    /// The verdict.
    pub status: Status,
    /// Why it is not a pass.
    pub blockers: Vec<Blocker>,
    /// Whether an engine process was started.
    pub engine_started: bool,
    /// The bundle.
    pub bundle: PathBuf,
    /// `report.json`.
    pub report: Box<Report>,
    /// The kept workspace, if it was asked for.
    pub kept_workspace: Option<PathBuf>,
}
