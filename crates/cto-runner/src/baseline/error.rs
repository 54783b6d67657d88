//! Why there is no baseline.

use std::io;
use std::path::{Path, PathBuf};

use crate::tool::GitError;

/// Why there is no baseline.
#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
    /// The commit's name is not one.
    #[error(
        "read \"{commit}\" as a commit: it is not 40 or 64 lower-case hexadecimal digits that fit the repository's object format"
    )]
    CommitName {
        /// What was given, escaped.
        commit: String,
    },
    /// git itself could not be used.
    #[error("use git for the baseline store")]
    Git {
        /// Why.
        #[from]
        source: GitError,
    },
    /// The objects are missing, corrupt, or refused by git's own checks.
    #[error("take commit {commit} out of {}: an object is missing, corrupt or unsafe; run `git fsck` there, and `git fetch --refetch` if it is a partial clone", .objects.display())]
    Objects {
        /// The commit.
        commit: String,
        /// The object directory.
        objects: PathBuf,
        /// What git said.
        source: GitError,
    },
    /// git's answer cannot be read.
    #[error("read what `git {command}` says about commit {commit}: {what}")]
    Answer {
        /// The subcommand.
        command: &'static str,
        /// The commit.
        commit: String,
        /// What is wrong with it.
        what: String,
    },
    /// The tree holds an entry that is not written to this machine.
    #[error("accept entry \"{path}\" of commit {commit}: {what}")]
    UnsafeTree {
        /// The commit.
        commit: String,
        /// The entry, escaped.
        path: String,
        /// What is wrong with it, and the mend.
        what: &'static str,
    },
    /// The tree links to a submodule and the contract does not accept that.
    #[error(
        "accept submodule link \"{path}\" of commit {commit}: set `allow_gitlinks: true` in the contract to get an empty directory there"
    )]
    Gitlink {
        /// The commit.
        commit: String,
        /// The link, escaped.
        path: String,
    },
    /// Others could write to the store.
    #[error("keep baselines in {}: it must be a directory of uid {caller} that nobody else can write; mend it with chown and `chmod 700`, or name another one", .path.display())]
    ForeignStore {
        /// The store's directory.
        path: PathBuf,
        /// Who must own it.
        caller: u32,
    },
    /// A stored entry does not say what it must.
    #[error("read {}: the stored baseline is damaged; remove it with `cto gc` or by hand", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The store's own files failed.
    #[error("keep the baseline at {}", .path.display())]
    Io {
        /// What was worked on.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Says at which path the store failed.
pub(crate) trait At<T> {
    /// Adds the path.
    fn at(self, path: &Path) -> Result<T, BaselineError>;
}

impl<T, E: Into<io::Error>> At<T> for Result<T, E> {
    fn at(self, path: &Path) -> Result<T, BaselineError> {
        self.map_err(|error| BaselineError::Io {
            path: path.to_owned(),
            source: error.into(),
        })
    }
}
