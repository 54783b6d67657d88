//! What a caller asks of a jail, as plain data.

use std::ffi::OsString;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The uid and gid of an engine where the configuration names none.
pub const DEFAULT_ENGINE_ID: u32 = 64_001;
/// Where the workspace lies in the view of the engine.
pub const WORKSPACE: &str = "/workspace";
/// The home directory in the view of the engine.
pub const HOME: &str = "/home/agent";

/// Everything that a jail is made from.
#[derive(Debug, Clone)]
pub struct JailSpec {
    /// Names the cgroup and the private directories: `[a-z0-9-]`, at most 64 bytes.
    pub name: String,
    /// Where the engine works.
    pub workspace: Workspace,
    /// What the trusted init does in the workspace before the engine starts.
    pub changes: Vec<Change>,
    /// What the trusted init does in the home directory before the engine starts; paths are relative to it.
    pub home: Vec<Change>,
    /// Workspace paths that become read-only mounts; those that do not exist are skipped.
    pub read_only: Vec<PathBuf>,
    /// Workspace paths that an empty read-only mount covers; those that do not exist are skipped.
    pub masks: Vec<PathBuf>,
    /// Port of a listener on the loopback address of the jail's own network, to be served from outside.
    pub listen: Option<u16>,
    /// Further mounts: toolchains, dependency layers, inputs.
    pub binds: Vec<Bind>,
    /// What runs.
    pub program: Program,
    /// The complete environment: nothing is inherited. An embedded function has none at all.
    pub env: Vec<(OsString, OsString)>,
    /// What may be used up.
    pub limits: Limits,
    /// Needed when the harness is root; else the harness's own.
    pub engine_uid: Option<u32>,
    /// As `engine_uid`.
    pub engine_gid: Option<u32>,
    /// Which acts a notification filter reports to the harness, which must then answer.
    pub observe: Observe,
    /// The starting directory, relative to the workspace; `/` is the root of the view.
    pub workdir: PathBuf,
    /// A directory of the caller for private copies; used where there is no overlay.
    pub scratch_dir: PathBuf,
}

/// Which acts of a jail are reported; each report costs the program a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Observe {
    /// None: what is refused fails in silence.
    Nothing,
    /// Programs started, connections, and what the filter refuses.
    Attempts,
    /// These, and every change of the file system.
    Everything,
}

/// Where the engine works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Workspace {
    /// An overlay over frozen trees that the engine's uid owns, topmost first.
    Overlay {
        /// The trees.
        lowers: Vec<PathBuf>,
    },
    /// A copy of frozen trees, topmost first.
    Copied {
        /// The trees.
        sources: Vec<PathBuf>,
    },
    /// A directory of the host.
    Host {
        /// The directory.
        path: PathBuf,
    },
}

impl Workspace {
    /// Names the kind, for evidence.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Overlay { .. } => "overlay",
            Self::Copied { .. } => "copied",
            Self::Host { .. } => "host",
        }
    }
}

/// One change that the trusted init makes; paths are relative to the workspace, or to the home directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Removes what is there, with everything below.
    Remove {
        /// Where.
        path: PathBuf,
    },
    /// Puts a regular file there.
    File {
        /// Where.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// The host file that has the content; the harness reads it.
        source: PathBuf,
    },
    /// Puts a regular file with these bytes there.
    Content {
        /// Where.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// Its content.
        bytes: Vec<u8>,
    },
    /// Puts a symbolic link there.
    Symlink {
        /// Where.
        path: PathBuf,
        /// What it says.
        target: PathBuf,
    },
    /// Makes a directory there.
    Directory {
        /// Where.
        path: PathBuf,
    },
}

/// One further mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// The host path.
    pub source: PathBuf,
    /// The absolute path in the view.
    pub target: PathBuf,
    /// Whether the engine may only read it.
    pub read_only: bool,
}

/// What runs in the jail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// A program of the view; a name without a slash is looked up in the spec's own `PATH`.
    Argv(Vec<OsString>),
    /// A function of the harness binary itself, run under the same lock-down.
    Embedded {
        /// Its name in the table that `inner_main` got.
        name: String,
        /// Its argument.
        input: String,
    },
}

/// A function of the harness binary that a jail can run instead of a program.
#[derive(Clone, Copy)]
pub struct Embedded {
    /// What a spec calls it.
    pub name: &'static str,
    /// Its body; the result is the exit status.
    pub run: fn(&str) -> i32,
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Embedded")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What a jail may use up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Processes and threads at a time.
    pub processes: u64,
    /// Memory, the in-memory file systems of the jail included.
    pub memory_bytes: u64,
    /// What can be written to the workspace.
    pub disk_bytes: u64,
    /// How many files can be made in the workspace.
    pub inodes: u64,
    /// The size of one file.
    pub file_bytes: u64,
    /// `/tmp`, `/var/tmp`, `/run`, `/dev/shm` and the home directory together.
    pub tmp_bytes: u64,
    /// Open files of one process.
    pub open_files: u64,
    /// How long processes that outlive the program may take to end.
    pub survivor_grace_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            processes: 512,
            memory_bytes: 4 << 30,
            disk_bytes: 2 << 30,
            inodes: 500_000,
            file_bytes: 1 << 30,
            tmp_bytes: 1 << 30,
            open_files: 4096,
            survivor_grace_ms: 500,
        }
    }
}

/// How the inner stage is started: normally this very binary again.
#[derive(Debug, Clone)]
pub struct Reexec {
    /// The binary whose `main` calls `inner_main`.
    pub program: PathBuf,
}

impl Reexec {
    /// The running binary.
    pub fn current() -> Self {
        Self {
            program: PathBuf::from("/proc/self/exe"),
        }
    }
}

impl Default for Reexec {
    fn default() -> Self {
        Self::current()
    }
}
