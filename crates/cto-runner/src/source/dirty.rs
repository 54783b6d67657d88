//! Whether a target's work tree equals its commit, asked with an index and a git directory of the harness's own.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use cto_schema::escape;

use super::{SourceError, SourceRepository};
use crate::baseline::init_bare;
use crate::tool::{Git, GitCall};

/// How many names are shown.
pub(super) const SHOWN: usize = 20;

/// What differs from the commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DirtyPaths {
    /// How many paths differ or are untracked.
    pub count: u64,
    /// At most 20 of them, escaped.
    pub shown: Vec<String>,
}

impl SourceRepository {
    /// Compares the work tree with `HEAD`: changed, missing, and untracked paths that no ignore rule names.
    ///
    /// `keep` is a directory of the harness for this target; an index kept there makes the next look cheap. The
    /// target's own index, settings and filters are not used, so: a file under a `filter` attribute (git-lfs) and a
    /// sparse check-out look dirty; built-in conversions (`text`, `eol`, `ident`) are honoured; submodules are not
    /// entered; a user's global ignore file is not read, the repository's `info/exclude` is.
    pub fn dirty_paths(&self, git: &Git, keep: &Path) -> Result<DirtyPaths, SourceError> {
        let commit = self.head_commit()?;
        let objects = self.objects()?.objects;
        let git_dir = keep.join(format!("status-{}", self.format.word()));
        let kept = |source: io::Error| SourceError::Io {
            path: keep.to_owned(),
            source,
        };
        self.prepare(&git_dir, &commit).map_err(kept)?;
        let exclude = self.read(&self.common, "info/exclude", 1 << 20)?.unwrap_or_default();
        replace(&git_dir.join("info/exclude"), &exclude).map_err(kept)?;
        let failed = |source| SourceError::Status {
            path: self.path.clone(),
            source,
        };
        let index = keep.join(format!("index-{commit}"));
        if !index.exists() {
            forget_old(keep).map_err(kept)?;
            let work = tempfile::Builder::new()
                .prefix("read-")
                .tempdir_in(keep)
                .map_err(kept)?;
            let new = work.path().join("index");
            let call = GitCall::new("read-tree")
                .arg(&commit)
                .git_dir(&git_dir)
                .index_file(&new);
            git.run(call.alternate_objects(&objects)).map_err(failed)?;
            fs::rename(&new, &index).map_err(kept)?;
        }
        let call = GitCall::new("status").args([
            "--porcelain=v1",
            "-z",
            "--no-renames",
            "--untracked-files=normal",
            // A submodule is a repository with settings of its own: git must not go there.
            "--ignore-submodules=all",
        ]);
        let call = call
            .git_dir(&git_dir)
            .work_tree(&self.path)
            .index_file(&index)
            .directory(&self.path);
        let listing = git
            .run(call.alternate_objects(&objects).allow_index_refresh().cap(256 << 20))
            .map_err(failed)?;
        let mut dirty = DirtyPaths::default();
        for entry in listing.split(|&byte| byte == 0).filter(|entry| entry.len() > 3) {
            dirty.count += 1;
            if dirty.shown.len() < SHOWN {
                dirty.shown.push(escape(&entry[3..], 1000));
            }
        }
        Ok(dirty)
    }

    fn prepare(&self, git_dir: &Path, commit: &str) -> io::Result<()> {
        if !git_dir.join("HEAD").exists() {
            // What a crash left half-made is made again.
            match fs::remove_dir_all(git_dir) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => init_bare(git_dir, self.format)?,
            }
        }
        // Here the work tree's own rules about line ends count, as they did when it was checked out.
        match fs::remove_file(git_dir.join("info/attributes")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        replace(&git_dir.join("HEAD"), format!("{commit}\n").as_bytes())
    }
}

/// Puts a file in place in one step.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(path);
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(content)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

fn forget_old(keep: &Path) -> io::Result<()> {
    for entry in fs::read_dir(keep)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("index-") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
