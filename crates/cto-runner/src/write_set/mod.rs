//! The exact write set of a run, read from the workspace after every process is dead; git is never asked about it.

mod candidates;
mod capture;
mod collect;
mod git_directory;
mod git_index;
mod ignore;
mod links;
mod names;
mod observe;

#[cfg(test)]
pub(crate) mod desk;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use cto_schema::WriteSet;

use crate::baseline::BaselineError;
use crate::tool::GitError;

pub use collect::collect;

/// Why the write set could not be read; the run is then blocked, never taken for empty.
#[derive(Debug, thiserror::Error)]
pub enum WriteSetError {
    /// A pattern of the contract is no glob.
    #[error("read scratch path \"{pattern}\" of the contract as a glob")]
    Pattern {
        /// The pattern, escaped.
        pattern: String,
        /// Why.
        source: globset::Error,
    },
    /// The upper layer holds what this overlay cannot have written.
    #[error(
        "trust the overlay's upper layer: \"{path}\" carries {attribute}; mount it with `userxattr` on a kernel of 6.7 or newer, or use a copied workspace"
    )]
    OverlayFeature {
        /// The entry, escaped.
        path: String,
        /// The attribute.
        attribute: &'static str,
    },
    /// The workspace could not be read.
    #[error("read \"{path}\" in the workspace")]
    Workspace {
        /// The entry, escaped.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The baseline could not be read.
    #[error("read \"{path}\" in the baseline; check it with `cto gc --check`")]
    BaselineRead {
        /// The entry, escaped.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The baseline itself is damaged.
    #[error("use the baseline")]
    Baseline {
        /// Why.
        #[from]
        source: BaselineError,
    },
    /// The content could not be kept.
    #[error("keep changed content in {}", .path.display())]
    Staging {
        /// The staging directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// git could not say what the baseline's rules ignore.
    #[error("ask which new paths the baseline's ignore rules name")]
    Ignore {
        /// Why.
        source: GitError,
    },
}

/// What stops a collection; each stop is named in [`WriteSet::truncated`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CollectLimits {
    /// Most changed paths.
    pub files: u64,
    /// Largest changed file in bytes.
    pub file_bytes: u64,
    /// Most bytes that are read in all, holes of sparse files included.
    pub total_bytes: u64,
    /// Deepest directory.
    pub depth: usize,
    /// Most entries that are looked at.
    pub walked_entries: u64,
}

impl Default for CollectLimits {
    fn default() -> Self {
        Self {
            files: 4000,
            file_bytes: 8 << 20,
            total_bytes: 1 << 30,
            depth: 64,
            walked_entries: 200_000,
        }
    }
}

/// The workspace, by descriptors that nobody can swap.
#[derive(Clone, Copy, Debug)]
pub struct WorkspaceView<'a> {
    /// The final view, as the engine had it.
    pub merged: BorrowedFd<'a>,
    /// The overlay's upper layer; without one the whole view is compared with the manifest.
    pub upper: Option<BorrowedFd<'a>>,
}

/// How to collect.
#[derive(Clone, Debug)]
pub struct CollectOptions<'a> {
    /// The contract's `scratch_paths`.
    pub scratch_paths: &'a [String],
    /// Paths that were covered while the engine ran; what lies there is the baseline's, whatever the view shows.
    pub masked: &'a [PathBuf],
    /// Where it stops.
    pub limits: CollectLimits,
    /// An existing, empty directory of the harness for the content of changed files.
    pub staging: &'a Path,
}

/// The final content of a changed path, read once: digest, patch and clean room use the same bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FinalContent {
    /// A regular file.
    File {
        /// The copy in the staging directory.
        source: PathBuf,
        /// Whether the owner may execute it.
        executable: bool,
    },
    /// A symbolic link.
    Symlink {
        /// Its text.
        target: Vec<u8>,
    },
}

/// A collected write set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collected {
    /// The document.
    pub write_set: WriteSet,
    /// The final content of every added or modified path.
    pub contents: BTreeMap<Vec<u8>, FinalContent>,
}
