//! Why git gave no answer.

use std::io;
use std::path::PathBuf;

use super::OLDEST_GIT;

/// Why a call of git gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// No program was found.
    #[error("find git in {}: install git {}.{} or newer, or name its path in the configuration", .searched.join(" or "), OLDEST_GIT.0, OLDEST_GIT.1)]
    Missing {
        /// The directories that were looked at.
        searched: Vec<String>,
    },
    /// The program is too old, or says no version.
    #[error("use {} as git: it says \"{said}\", and {}.{} is the oldest that works; install a newer git or name another path in the configuration", .program.display(), OLDEST_GIT.0, OLDEST_GIT.1)]
    Version {
        /// The program.
        program: PathBuf,
        /// What it said, escaped.
        said: String,
    },
    /// The process could not be started, or its pipes failed.
    #[error("run {}", .program.display())]
    Io {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It ended with another status than 0.
    #[error("get an answer from `git {command}` ({status}): {stderr}")]
    Failed {
        /// The subcommand.
        command: String,
        /// How it ended.
        status: String,
        /// What it complained about, escaped and cut.
        stderr: String,
    },
    /// Its output was larger than the caller takes.
    #[error("take the output of `git {command}`: it is larger than {cap} bytes")]
    TooLarge {
        /// The subcommand.
        command: String,
        /// The limit in bytes.
        cap: u64,
    },
    /// The operator wanted to stop.
    #[error("wait for `git {command}`: the operator stopped the run")]
    Stopped {
        /// The subcommand.
        command: String,
    },
    /// It took too long.
    #[error("wait for `git {command}`: it did not end in time; look for FIFOs in the target's git directory")]
    TimedOut {
        /// The subcommand.
        command: String,
    },
}
