//! Failures of a run directory.

use std::io;
use std::path::PathBuf;

use cto_policy::IllegalTransition;

use crate::clock::ClockError;
use crate::live::LiveError;

/// Why a run directory could not be made or written.
#[derive(Debug, thiserror::Error)]
pub enum RunDirError {
    /// The run's live marker failed.
    #[error("mark the run as live")]
    Live {
        /// The cause.
        #[from]
        source: LiveError,
    },
    /// The boot id could not be read.
    #[error("start the run's clock")]
    Clock {
        /// The cause.
        #[from]
        source: ClockError,
    },
    /// The kernel gave no random bits.
    #[error("draw the run's nonce")]
    Random {
        /// The system's error.
        source: io::Error,
    },
    /// The directory could not be made.
    #[error("create run directory '{path}'; check free space and inodes there, or set CTO_HOME to another disk")]
    Create {
        /// The directory.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// An artifact could not be written and made durable. Becomes the blocker `artifact_write_failure`.
    #[error("write artifact '{artifact}'")]
    ArtifactWrite {
        /// Name in the bundle.
        artifact: String,
        /// The system's error.
        source: io::Error,
    },
    /// An artifact could not be read back.
    #[error("read artifact '{artifact}'")]
    ArtifactRead {
        /// Name in the bundle.
        artifact: String,
        /// The system's error.
        source: io::Error,
    },
    /// The name cannot be an artifact's.
    #[error("write artifact '{artifact}': names are made of A-Z a-z 0-9 . _ - and /, and the harness's own are taken")]
    Name {
        /// What was asked for.
        artifact: String,
    },
    /// The run's state does not allow the record.
    #[error("append to the journal")]
    Illegal {
        /// The cause.
        #[from]
        source: IllegalTransition,
    },
    /// Journal, events and trace are closed.
    #[error("append to '{artifact}': it is closed, the run is being sealed")]
    Closed {
        /// Name in the bundle.
        artifact: &'static str,
    },
}
