//! What `HEAD` names, and who else has it checked out: what must be known before a branch is moved.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use cto_schema::escape;

use super::{SourceError, SourceRepository, config};
use crate::baseline::beneath;

/// What `HEAD` of a work tree is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Head {
    /// It names a branch, by its full name.
    Branch(String),
    /// It holds a commit itself.
    Detached,
    /// It names something that is no plain branch; as text, escaped.
    Other(String),
}

/// Files of a git directory that are there while git is in the middle of something.
const IN_PROGRESS: [(&str, &str); 6] = [
    ("MERGE_HEAD", "a merge"),
    ("CHERRY_PICK_HEAD", "a cherry-pick"),
    ("REVERT_HEAD", "a revert"),
    ("rebase-merge", "a rebase"),
    ("rebase-apply", "a rebase or `git am`"),
    ("sequencer", "a cherry-pick or revert of several commits"),
];
const REF_CAP: u64 = 64 << 10;

impl SourceRepository {
    /// Returns what `HEAD` names.
    pub fn head(&self) -> Result<Head, SourceError> {
        let text = self.head_text()?;
        let Some(name) = text.strip_prefix("ref:").map(str::trim) else {
            return Ok(Head::Detached);
        };
        let plain = name.starts_with("refs/heads/") && self.branch_commit(name)?.is_some();
        if plain {
            return Ok(Head::Branch(name.to_owned()));
        }
        Ok(Head::Other(escape(name.as_bytes(), 200)))
    }

    /// Returns the commit of a branch, by its full name; `None` when it has none or names another ref.
    pub(crate) fn branch_commit(&self, name: &str) -> Result<Option<String>, SourceError> {
        Ok(self.value_of(name)?.filter(|value| self.format.names(value)))
    }

    /// Returns what git is in the middle of in this work tree.
    pub(crate) fn operation_in_progress(&self) -> Result<Option<&'static str>, SourceError> {
        for (name, what) in IN_PROGRESS {
            let found = beneath::look(self.git_dir.as_fd(), name.as_bytes());
            if found.map_err(|errno| self.io(name, errno))?.is_some() {
                return Ok(Some(what));
            }
        }
        Ok(None)
    }

    /// Returns what in the configuration says that the work tree is not this directory; a change put in here would be in
    /// the wrong place.
    pub(crate) fn other_work_tree(&self) -> Result<Option<&'static str>, SourceError> {
        for (directory, name) in [(&self.common, "config"), (&self.git_dir, "config.worktree")] {
            let config = self.read(directory, name, 1 << 20)?.unwrap_or_default();
            let core = config::section(&config, "core");
            if core.contains_key("worktree") {
                return Ok(Some("core.worktree names another work tree"));
            }
            if !self.linked && core.get("bare").is_some_and(|bare| bare != "false") {
                return Ok(Some("core.bare says that it has no work tree"));
            }
        }
        Ok(None)
    }

    /// Returns which other work tree has a branch checked out, or is in the middle of rebasing it.
    pub(crate) fn elsewhere(&self, branch: &str) -> Result<Option<String>, SourceError> {
        let is_bare = || -> Result<bool, SourceError> {
            let config = self.read(&self.common, "config", 1 << 20)?.unwrap_or_default();
            Ok(config::section(&config, "core")
                .get("bare")
                .is_some_and(|bare| bare == "true"))
        };
        if self.linked && self.holds(&self.common, branch)? && !is_bare()? {
            return Ok(Some("the main work tree".to_owned()));
        }
        let own = rustix::fs::fstat(&self.git_dir).map_err(|errno| self.io(".", errno))?;
        let Ok(worktrees) = beneath::open_beneath(self.common.as_fd(), b"worktrees", beneath::DIRECTORY) else {
            return Ok(None);
        };
        for name in beneath::names(&worktrees).map_err(|error| self.io("worktrees", error))? {
            let Ok(git_dir) = beneath::open_beneath(worktrees.as_fd(), &name, beneath::DIRECTORY) else {
                continue;
            };
            let stat = rustix::fs::fstat(&git_dir).map_err(|errno| self.io("worktrees", errno))?;
            if (stat.st_dev, stat.st_ino) != (own.st_dev, own.st_ino) && self.holds(&git_dir, branch)? {
                return Ok(Some(format!("the linked work tree \"{}\"", escape(&name, 200))));
            }
        }
        Ok(None)
    }

    fn holds(&self, git_dir: &OwnedFd, branch: &str) -> Result<bool, SourceError> {
        for (name, prefix) in [
            ("HEAD", "ref:"),
            ("rebase-merge/head-name", ""),
            ("rebase-apply/head-name", ""),
        ] {
            let text = self.read(git_dir, name, REF_CAP)?.unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            if text
                .trim()
                .strip_prefix(prefix)
                .is_some_and(|name| name.trim() == branch)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns the work tree's directory; it is open as a place only.
    pub(crate) fn directory(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    /// Returns the directory that holds this work tree's `HEAD` and index.
    pub(crate) fn git_directory(&self) -> BorrowedFd<'_> {
        self.git_dir.as_fd()
    }

    /// Returns the path of [`SourceRepository::git_directory`].
    pub(crate) fn git_directory_path(&self) -> &Path {
        &self.git_dir_path
    }

    /// Tells whether it is a linked work tree.
    pub(crate) fn is_linked(&self) -> bool {
        self.linked
    }

    /// Returns the directory that holds objects and branches.
    pub(crate) fn common_directory(&self) -> BorrowedFd<'_> {
        self.common.as_fd()
    }

    /// Returns the path of [`SourceRepository::common_directory`].
    pub(crate) fn common_directory_path(&self) -> &Path {
        &self.common_path
    }

    /// Returns what names its objects.
    pub fn format(&self) -> crate::baseline::ObjectFormat {
        self.format
    }
}
