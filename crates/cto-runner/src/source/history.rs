//! Whether a commit is in the history of a target's `HEAD`, asked with a git directory of the harness's own.

use std::path::Path;

use super::{SourceError, SourceRepository};
use crate::tool::{Git, GitCall};

impl SourceRepository {
    /// Returns whether a commit is reachable from `HEAD`. `keep` is the directory that [`Self::dirty_paths`] used, which
    /// has to have looked before. A commit that is not there is an error.
    pub(crate) fn has_in_history(&self, git: &Git, keep: &Path, commit: &str) -> Result<bool, SourceError> {
        if !self.format.names(commit) {
            return Ok(false);
        }
        let head = self.head_commit()?;
        let objects = self.objects()?.objects;
        let git_dir = keep.join(format!("status-{}", self.format.word()));
        // What is reachable from the commit and not from HEAD: nothing, when HEAD has it.
        let call = GitCall::new("rev-list").args(["--max-count=1", commit, &format!("^{head}"), "--"]);
        let listed = git.run(call.git_dir(&git_dir).alternate_objects(&objects).cap(1 << 10));
        listed
            .map(|listed| listed.is_empty())
            .map_err(|source| SourceError::Status {
                path: self.path.clone(),
                source,
            })
    }
}
