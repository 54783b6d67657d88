//! Engines: one seam, a registry of values, no engine with a runner of its own.

mod case_task;
mod command;
mod error;
mod failures;
mod fake;
mod find;
mod invocation;
mod logs;
mod manifest;
mod profile;
mod prompt;
mod registry;
mod status;
mod stream;
mod template;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use cto_schema::{EngineDocument, EventType, StreamFacts, TaskContract};
use serde_json::Value;

use crate::cases::LoadedCase;

pub use error::EngineError;
pub(crate) use fake::play as play_fake;
pub use fake::{PLAYS, Play};
pub use invocation::{HomeFile, InputFile, Invocation, Keep};
pub(crate) use logs::collect as collect_logs;
pub use profile::{EngineManifest, MinimumLimits, Wire};
pub use registry::Engines;
pub use status::EngineStatus;
pub(crate) use stream::sample as sample_stream;

/// What an engine supplies. The harness selects, gates, runs, supervises and judges all of them alike.
pub trait Engine: std::fmt::Debug + Send + Sync {
    /// Returns what is always true of the engine.
    fn manifest(&self) -> &EngineManifest;

    /// Returns the manifest as read; `None` for the engines in code.
    fn document(&self) -> Option<&EngineDocument> {
        None
    }

    /// Looks for the engine's own program on this machine, without executing anything.
    fn search(&self, places: &Places<'_>) -> Search;

    /// Returns the program that must exist in the sandbox's view; `None` for an embedded engine.
    fn program(&self, task: &EngineTask<'_>) -> Option<OsString>;

    /// Returns what to start for a task.
    fn invocation(&self, task: &EngineTask<'_>) -> Result<Invocation, EngineError>;

    /// Translates the engine's raw output into quoted `engine.*` events and what its manifest lets the stream mean.
    fn normalize(&self, output: &EngineOutput<'_>) -> Normalized;
}

/// What an engine is asked to do.
#[derive(Clone, Copy, Debug)]
pub struct EngineTask<'a> {
    /// The contract.
    pub contract: &'a TaskContract,
    /// The case, when the task is one.
    pub case: Option<&'a LoadedCase>,
    /// What stands after the colon of `fake:no-diff`.
    pub variant: Option<&'a str>,
    /// The argv of the `command` engine.
    pub command: &'a [OsString],
    /// What [`Engine::search`] found; `None` where the engine needs nothing found, or where it was not.
    pub program: Option<&'a Installation>,
    /// The model that the engine may reach; `None` before the gateway is there, and for engines without one.
    pub model: Option<&'a ModelEndpoint>,
}

/// The model endpoint as the engine sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelEndpoint {
    /// The admitted provider; a manifest may give it another name inside the engine.
    pub provider: String,
    /// The admitted model, as every request must name it.
    pub model: String,
    /// Scheme, host and port in the cage, without a path.
    pub base: String,
    /// A dummy: every agent shows its key to the model's shell.
    pub key: String,
}

/// Where engines are looked for.
#[derive(Clone, Copy, Debug)]
pub struct Places<'a> {
    /// The variables `CTO_HARNESS_…`.
    pub environment: &'a BTreeMap<String, String>,
    /// The toolchain directories that the operator maps.
    pub toolchains: &'a [PathBuf],
}

/// What a search came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Search {
    /// The engine is embedded, or the operator names its program with each run.
    NotNeeded,
    /// It is there.
    Found(Box<Installation>),
    /// It is not: what was looked at, and what would mend it.
    Missing {
        /// The places, in the order in which they were looked at.
        looked: Vec<String>,
        /// What the operator can do.
        mend: String,
    },
}

impl Search {
    /// Returns what was found.
    pub fn installation(&self) -> Option<&Installation> {
        match self {
            Self::Found(found) => Some(found),
            Self::NotNeeded | Self::Missing { .. } => None,
        }
    }
}

/// An engine on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    /// What is started: a native program, or a script for `interpreter`.
    pub program: PathBuf,
    /// The name of the interpreter, looked up in the sandbox, where the program is a script.
    pub interpreter: Option<String>,
    /// Host directories that the program needs, to be shown read-only at their own path.
    pub binds: Vec<PathBuf>,
    /// The package that it came from, read from the package's own record.
    pub package: Option<Package>,
    /// How it was found, for people: `CTO_HARNESS_PI_BIN`, `harness.yaml`, `toolchain /opt/agents`.
    pub how: String,
}

/// A package of a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// `npm` or `pypi`.
    pub registry: &'static str,
    /// Its name there.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its integrity hash as the installer recorded it, where it did.
    pub integrity: Option<String>,
}

/// What an engine left behind to be read.
#[derive(Clone, Copy, Debug, Default)]
pub struct EngineOutput<'a> {
    /// Its standard output, as far as it was kept.
    pub stdout: &'a [u8],
    /// Its standard error, as far as it was kept.
    pub stderr: &'a [u8],
    /// Files of the workspace that [`EngineManifest::logs`] names.
    pub logs: &'a [LogFile],
}

/// One log file that the engine wrote in its workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    /// Where, relative to the workspace.
    pub path: PathBuf,
    /// Its bytes, as far as they were read.
    pub bytes: Vec<u8>,
}

/// An engine's output, translated.
#[derive(Debug, Default)]
pub struct Normalized {
    /// Quoted events, in order: always `engine.*`.
    pub events: Vec<(EventType, Value)>,
    /// What the stream says as far as the manifest gives it a meaning.
    pub stream: StreamFacts,
    /// Markers for `backend/`, one for each known failure that was seen.
    pub markers: Vec<Marker>,
}

/// A file that says that a known failure was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marker {
    /// Its name below `backend/`.
    pub name: String,
    /// Its one line, without an end.
    pub text: String,
}
