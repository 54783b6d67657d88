//! A disposable repository: made for one run, changed once, and then thrown away or kept where it is.

use std::fs;
use std::path::{Path, PathBuf};

use cto_schema::RunId;

use super::chain;
use crate::baseline::{ObjectSource, configuration, create};
use crate::request::Harness;
use crate::source::{SourceLock, SourceRepository};
use crate::tool::GitCall;

/// The branch of the base, which never moves.
const BASE: &str = "refs/heads/main";

/// A repository below the home directory that only this run knows.
#[derive(Debug)]
pub(super) struct Disposable {
    pub(super) path: PathBuf,
    pub(super) repository: SourceRepository,
    pub(super) lock: SourceLock,
    retained: bool,
}

impl Disposable {
    /// Makes a repository with the fixture's history, checked out on a branch of the run's own.
    pub(super) fn make(
        harness: &Harness,
        run_id: &RunId,
        objects: &ObjectSource,
        commit: &str,
    ) -> Result<Self, String> {
        let path = harness.home.disposable().join(run_id.as_str());
        let made = fill(harness, &path, objects, commit, run_id);
        let opened = made.and_then(|()| SourceRepository::open(&path).map_err(|error| chain(&error)));
        let locked = opened.and_then(|repository| {
            let lock = repository.lock().map_err(|error| chain(&error))?;
            Ok((repository, lock))
        });
        match locked {
            Ok((repository, lock)) => Ok(Self {
                path,
                repository,
                lock,
                retained: false,
            }),
            Err(problem) => {
                // What cannot be removed now is found by its name and removed by recovery.
                drop(fs::remove_dir_all(&path));
                Err(format!("failed to make the disposable repository: {problem}"))
            }
        }
    }

    /// Leaves it where it is, for people.
    pub(super) fn retain(&mut self) {
        self.retained = true;
    }

    /// Throws it away, unless it is retained; says whether it is gone.
    pub(super) fn dispose(&self) -> Result<bool, String> {
        if self.retained {
            return Ok(false);
        }
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(format!("failed to remove {}: {error}", self.path.display()))
            }
            _ => Ok(true),
        }
    }
}

fn fill(harness: &Harness, path: &Path, objects: &ObjectSource, commit: &str, run_id: &RunId) -> Result<(), String> {
    let io = |error: std::io::Error| error.to_string();
    let git_dir = path.join(".git");
    fs::create_dir_all(git_dir.join("refs/heads/cto")).map_err(io)?;
    copy(&objects.objects, &git_dir.join("objects")).map_err(io)?;
    let branch = cto_policy::disposable_branch(run_id.as_str());
    create(&git_dir.join("config"), &configuration(objects.format, false)).map_err(io)?;
    for name in [BASE, &branch] {
        create(&git_dir.join(name), &format!("{commit}\n")).map_err(io)?;
    }
    // Last: git knows a git directory by its HEAD, so a half-made one is none.
    create(&git_dir.join("HEAD"), &format!("ref: {branch}\n")).map_err(io)?;
    let call = GitCall::new("read-tree").args(["--reset", "-u", "HEAD"]);
    let call = call.git_dir(&git_dir).work_tree(path).directory(path);
    harness.git.run(call).map(drop).map_err(|error| chain(&error))
}

/// Copies the objects of a fixture: directories and regular files, as the harness itself made them.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy(&entry.path(), &target)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), target).map(drop)?;
        }
    }
    Ok(())
}
