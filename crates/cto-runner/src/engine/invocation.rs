//! What to start: the program, its environment, its private files, and what is kept of them.

use std::ffi::OsString;
use std::path::PathBuf;

use cto_sandbox::Program;

/// What to start, and what must be there for it.
#[derive(Debug)]
pub struct Invocation {
    /// The program.
    pub program: Program,
    /// Variables on top of the sandbox's own.
    pub env: Vec<(OsString, OsString)>,
    /// The argv as evidence shows it.
    pub shown: Vec<String>,
    /// Files of the private home; it is made fresh for each run and holds no secret.
    pub home: Vec<HomeFile>,
    /// Host directories shown read-only at their own path.
    pub binds: Vec<PathBuf>,
    /// Directories that come first on the search path, such as the one that holds a program which a model calls.
    pub path: Vec<PathBuf>,
    /// Files that the harness puts in the workspace for the engine.
    ///
    /// They are made before the engine starts, in place of whatever the target has at their first components, which
    /// count as scratch paths: recorded with digests in the write set, never part of the patch or in the clean room.
    pub inputs: Vec<InputFile>,
    /// Workspace paths that are covered by an empty read-only mount where the baseline has them.
    pub masks: Vec<PathBuf>,
    /// What is copied from the private home to `backend/` afterwards.
    pub keep: Vec<Keep>,
    /// Whether the engine starts in `/` instead of the workspace.
    pub workdir_root: bool,
}

impl Invocation {
    /// Returns an invocation that needs nothing but its program.
    pub fn of(program: Program, shown: Vec<String>) -> Self {
        Self {
            program,
            env: vec![],
            shown,
            home: vec![],
            binds: vec![],
            path: vec![],
            inputs: vec![],
            masks: vec![],
            keep: vec![],
            workdir_root: false,
        }
    }
}

/// One file of the private home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HomeFile {
    /// Where, relative to the home.
    pub path: PathBuf,
    /// What it holds.
    pub content: Vec<u8>,
    /// Its permission bits.
    pub mode: u32,
}

/// One file that the harness puts in the workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputFile {
    /// Where, relative to the workspace.
    pub path: PathBuf,
    /// What it holds.
    pub content: Vec<u8>,
}

/// A file or directory of the private home that is evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Where, relative to the home.
    pub from: PathBuf,
    /// Its name below `backend/`.
    pub to: String,
    /// Most bytes that are kept of it, a directory's files together.
    pub max_bytes: u64,
}
