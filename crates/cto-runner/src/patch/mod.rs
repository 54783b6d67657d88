//! `patch.diff`: made from the baseline and the write set alone, and proven by applying it.

mod diff;
mod on_top;
mod round_trip;
mod tree_id;

#[cfg(test)]
pub(crate) mod tests;

use std::io;
use std::path::PathBuf;

use crate::tool::GitError;

pub use diff::make_patch;
pub(crate) use on_top::apply_on_top;
pub use round_trip::{RoundTrip, TreeChange, TreeEntry, round_trip};
pub(crate) use tree_id::tree_id;

/// Why there is no patch, or why it proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum PatchError {
    /// The write set is not the whole one.
    #[error(
        "make a patch of a write set that is cut short ({why}): raise the limit in the contract, or let the engine write less"
    )]
    Truncated {
        /// The limit.
        why: String,
    },
    /// The write set's own parts contradict each other.
    #[error("find the final content of \"{path}\" in the write set")]
    Content {
        /// The path, escaped.
        path: String,
    },
    /// git could not make it.
    #[error("make the patch")]
    Diff {
        /// Why.
        source: GitError,
    },
    /// A file of ours or of the baseline failed.
    #[error("work at {} for the patch", .path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

pub(crate) trait At<T> {
    fn at(self, path: impl Into<PathBuf>) -> Result<T, PatchError>;
}

impl<T, E: Into<io::Error>> At<T> for Result<T, E> {
    fn at(self, path: impl Into<PathBuf>) -> Result<T, PatchError> {
        self.map_err(|error| PatchError::Io {
            path: path.into(),
            source: error.into(),
        })
    }
}
