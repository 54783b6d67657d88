//! A git directory of the harness that stands in for the target's: its refs, logs and objects, and no word of its
//! configuration, so that nothing there can name a program that git would start.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::error::{ApplyError, At as _};
use crate::baseline::{beneath, init_bare};
use crate::source::SourceRepository;
use crate::tool::GitCall;

/// The git directory that stands in.
#[derive(Debug)]
pub(super) struct StandIn {
    git_dir: PathBuf,
    objects: PathBuf,
    work_tree: PathBuf,
    logs: bool,
    new: Option<PathBuf>,
}

impl StandIn {
    /// Makes it in an existing directory of the harness.
    pub(super) fn make(target: &SourceRepository, branch: &str, directory: &Path) -> Result<Self, ApplyError> {
        let git_dir = directory.join("stand-in");
        let logs = Self::fill(target, branch, &git_dir).at("prepare", &git_dir)?;
        Ok(Self {
            git_dir,
            objects: target.common_directory_path().join("objects"),
            work_tree: target.path().to_owned(),
            logs,
            new: None,
        })
    }

    fn fill(target: &SourceRepository, branch: &str, git_dir: &Path) -> io::Result<bool> {
        init_bare(git_dir, target.format())?;
        let replace = |name: &str, content: &[u8]| {
            fs::remove_file(git_dir.join(name))?;
            io::Write::write_all(&mut fs::File::create_new(git_dir.join(name))?, content)
        };
        replace("HEAD", format!("ref: {branch}\n").as_bytes())?;
        // Rules that the operator keeps for this clone count in the target; a filter that they name has no command here.
        let attributes = beneath::read_small(target.common_directory(), b"info/attributes", 1 << 20)?;
        replace("info/attributes", &attributes.unwrap_or_default())?;
        let (own, common) = (target.git_directory_path(), target.common_directory_path());
        fs::remove_dir(git_dir.join("refs"))?;
        symlink(common.join("refs"), git_dir.join("refs"))?;
        symlink(common.join("packed-refs"), git_dir.join("packed-refs"))?;
        fs::create_dir(git_dir.join("logs"))?;
        symlink(own.join("logs/HEAD"), git_dir.join("logs/HEAD"))?;
        symlink(common.join("logs/refs"), git_dir.join("logs/refs"))?;
        // An index may be split in two files.
        let listed = beneath::open_beneath(target.git_directory(), b"", beneath::DIRECTORY)?;
        for name in beneath::names(&listed)? {
            if let Ok(name) = std::str::from_utf8(&name)
                && name.starts_with("sharedindex.")
            {
                symlink(own.join(name), git_dir.join(name))?;
            }
        }
        // Who keeps no log of HEAD keeps none at all.
        let log = beneath::look(target.git_directory(), b"logs/HEAD")?;
        Ok(log.is_some())
    }

    /// Begins a call that sees the target's refs and objects.
    pub(super) fn call(&self, command: &str) -> GitCall {
        GitCall::new(command)
            .git_dir(&self.git_dir)
            .alternate_objects(&self.objects)
    }

    /// Adds the objects of a commit that the target does not have yet, for [`StandIn::with_new`].
    pub(super) fn add_new(&mut self, git_dir: &Path) {
        self.new = Some(git_dir.join("objects"));
    }

    /// As [`StandIn::call`], and sees the new objects as well.
    pub(super) fn with_new(&self, command: &str) -> GitCall {
        let directories: Vec<&Path> = [Some(&self.objects), self.new.as_ref()]
            .into_iter()
            .flatten()
            .map(PathBuf::as_path)
            .collect();
        self.call(command).alternate_object_directories(&directories)
    }

    /// As [`StandIn::with_new`], with an index of the harness.
    pub(super) fn index_call(&self, command: &str, index: &Path) -> GitCall {
        self.with_new(command)
            .setting("core.splitIndex=false")
            .unsynced()
            .index_file(index)
    }

    /// Returns the call that looks at the files of the target's work tree and notes in an index what it saw.
    pub(super) fn refresh(&self, index: &Path, work_tree: Option<&Path>) -> GitCall {
        let work_tree = work_tree.unwrap_or(&self.work_tree);
        self.index_call("update-index", index)
            .args(["-q", "--refresh"])
            .work_tree(work_tree)
            .directory(work_tree)
    }

    /// Tells whether the target keeps logs of its refs.
    pub(super) fn logs(&self) -> bool {
        self.logs
    }
}
