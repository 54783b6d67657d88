//! Collecting: compare every candidate's final state with the baseline, and sort what differs.

use std::collections::{BTreeMap, BTreeSet};

use cto_schema::{
    Change, ChangeKind, EntryKind, EntryState, IgnoredArtifact, PathText, Sha256Digest, UnsafeEntry, WriteSet, escape,
};
use rustix::fs::{FileType, Stat};
use rustix::io::Errno;

use super::candidates::{self, Candidates, workspace};
use super::capture::{CaptureError, Staging};
use super::ignore::{self, Scratch};
use super::names::is_unsafe;
use super::observe::{self, Observed};
use super::{CollectOptions, Collected, FinalContent, WorkspaceView, WriteSetError, git_directory, links};
use crate::baseline::{Baseline, beneath};
use crate::tool::Git;

/// The schema of the document.
const SCHEMA: &str = "cto/write-set/1.0";
/// An ignored directory with more files than this is one line.
const AGGREGATE_ABOVE: usize = 1000;
/// The longest path that the kernel takes at once.
const PATH_CAP: usize = 4095;
const SET_ID: u32 = 0o6000;

/// A path that is kept out, and the digest of its content.
type IgnoredFile = (Vec<u8>, Option<Sha256Digest>);

/// Reads the exact write set of a workspace at rest.
pub fn collect(
    git: &Git,
    baseline: &Baseline,
    view: WorkspaceView<'_>,
    options: &CollectOptions<'_>,
) -> Result<Collected, WriteSetError> {
    let scratch = Scratch::new(options.scratch_paths)?;
    let mut found = match view.upper {
        Some(upper) => candidates::of_upper(upper, view.merged, baseline, &options.limits)?,
        None => candidates::of_copy(view.merged, baseline, &options.limits)?,
    };
    found.forget_below(options.masked);
    let git_facts = if found.git_touched {
        git_directory::facts(baseline, view)?
    } else {
        Vec::new()
    };
    let write_set = WriteSet {
        schema: SCHEMA.to_owned(),
        workspace: if view.upper.is_some() { "overlay" } else { "copied" }.to_owned(),
        changes: Vec::new(),
        touched: Vec::new(),
        ignored: Vec::new(),
        unsafe_entries: Vec::new(),
        empty_directories: Vec::new(),
        git: git_facts,
        truncated: found.truncated.clone(),
    };
    let mut collection = Collection {
        baseline,
        view,
        options,
        scratch,
        staging: Staging::new(options.staging),
        write_set,
        contents: BTreeMap::new(),
        read_bytes: 0,
        ignored: Vec::new(),
        manifest: found.manifest.as_ref(),
    };
    collection.run(git, &found)?;
    Ok(Collected {
        write_set: collection.write_set,
        contents: collection.contents,
    })
}

struct Collection<'a> {
    baseline: &'a Baseline,
    view: WorkspaceView<'a>,
    options: &'a CollectOptions<'a>,
    scratch: Scratch,
    staging: Staging<'a>,
    write_set: WriteSet,
    contents: BTreeMap<Vec<u8>, FinalContent>,
    /// Bytes read so far, holes included.
    read_bytes: u64,
    ignored: Vec<(Vec<u8>, Option<Sha256Digest>, &'static str)>,
    manifest: Option<&'a BTreeMap<Vec<u8>, Option<EntryState>>>,
}

impl Collection<'_> {
    fn run(&mut self, git: &Git, found: &Candidates) -> Result<(), WriteSetError> {
        let empty = self.directories(&found.directories)?;
        // New paths are asked about together, so that one process answers.
        let mut new: Vec<Vec<u8>> = Vec::new();
        for path in &found.paths {
            if path.len() <= PATH_CAP && !self.is_tracked(path)? && self.is_file_or_link(path)? {
                new.push(path.clone());
            }
        }
        new.retain(|path| !self.scratch.matches(path));
        new.extend(empty.iter().map(|path| [path.as_slice(), b"/"].concat()));
        let by_rule = ignore::ignored(git, self.baseline, &new)?;
        for path in &empty {
            if self.scratch.matches(path) {
                self.ignored.push((path.clone(), None, "scratch_paths"));
            } else if by_rule.contains(&[path.as_slice(), b"/"].concat()) {
                self.ignored.push((path.clone(), None, "ignore_rules"));
            } else {
                self.judge_name(path)?;
                if self.write_set.empty_directories.len() as u64 >= self.options.limits.files {
                    let limit = self.options.limits.files;
                    self.stop(format!("files: more than {limit} empty directories were left"));
                    break;
                }
                self.write_set.empty_directories.push(PathText::new(path));
            }
        }
        for path in &found.paths {
            if self.write_set.truncated.is_some() {
                break;
            }
            self.path(path, by_rule.contains(path))?;
        }
        for path in &found.nested_git {
            self.mark(path, "nested_git");
        }
        for (path, reason) in links::unsafe_links(self.baseline, &self.write_set.changes, &self.contents)? {
            self.mark(&path, reason);
        }
        self.finish()
    }

    /// Judges directories that were written, and returns the new ones that hold nothing.
    fn directories(&mut self, directories: &BTreeSet<Vec<u8>>) -> Result<Vec<Vec<u8>>, WriteSetError> {
        let mut empty = Vec::new();
        for path in directories.iter().filter(|path| path.len() <= PATH_CAP) {
            let looked = beneath::look(self.view.merged, path).map_err(|errno| workspace(path, errno))?;
            let Some((_, stat)) = looked else { continue };
            if beneath::kind(&stat) != FileType::Directory {
                continue;
            }
            if stat.st_mode & SET_ID != 0 {
                self.mark(path, "set_id");
            }
            let is_new = self.baseline_kind(path)? != Some(FileType::Directory);
            if is_new {
                let fd = match beneath::open_beneath(self.view.merged, path, beneath::DIRECTORY) {
                    Ok(fd) => fd,
                    Err(Errno::ACCESS) => {
                        self.mark(path, "unreadable");
                        continue;
                    }
                    Err(errno) => return Err(workspace(path, errno)),
                };
                if beneath::names(&fd).map_err(|error| workspace(path, error))?.is_empty() {
                    empty.push(path.clone());
                }
            }
        }
        Ok(empty)
    }

    fn path(&mut self, path: &[u8], by_rule: bool) -> Result<(), WriteSetError> {
        if path.len() > PATH_CAP {
            self.stop(format!(
                "path_bytes: \"{}\" is longer than {PATH_CAP} bytes",
                escape(path, 200)
            ));
            return Ok(());
        }
        let observed = observe::observe(self.view.merged, path).map_err(|errno| workspace(path, errno))?;
        let tracked = self.is_tracked(path)?;
        let because = if tracked {
            None
        } else if self.scratch.matches(path) {
            Some("scratch_paths")
        } else {
            by_rule.then_some("ignore_rules")
        };
        match observed {
            Observed::Special => {
                self.mark(path, "special_file");
                self.compare(path, None)
            }
            Observed::Absent => self.compare(path, None),
            Observed::Symlink(_) if because.is_some() => {
                self.ignored
                    .extend(because.map(|because| (path.to_vec(), None, because)));
                Ok(())
            }
            Observed::Symlink(target) => {
                let digest = Sha256Digest::of(&target);
                let state = EntryState {
                    kind: EntryKind::Symlink,
                    digest,
                    size_bytes: target.len() as u64,
                };
                if self.record(path, state)? {
                    self.contents.insert(path.to_vec(), FinalContent::Symlink { target });
                }
                Ok(())
            }
            Observed::File(looked, stat) => {
                if stat.st_mode & SET_ID != 0 {
                    self.mark(path, "set_id");
                }
                let file = match observe::open(self.view.merged, path, &looked, &stat) {
                    Ok(file) => file,
                    Err(Errno::ACCESS | Errno::PERM) => {
                        self.mark(path, "unreadable");
                        return Ok(());
                    }
                    Err(errno) => return Err(workspace(path, errno)),
                };
                match because {
                    Some(because) => self.ignored_file(path, file, &stat, because),
                    None => self.file(path, file, &stat),
                }
            }
        }
    }

    /// Counts bytes that are about to be read; false once there were too many, holes of sparse files included.
    fn affordable(&mut self, size: u64) -> bool {
        self.read_bytes = self.read_bytes.saturating_add(size);
        let limit = self.options.limits.total_bytes;
        let affordable = self.read_bytes <= limit;
        if !affordable {
            self.stop(format!(
                "disk_mib: the changed files have more than {limit} bytes in all"
            ));
        }
        affordable
    }

    fn file(&mut self, path: &[u8], file: std::fs::File, stat: &Stat) -> Result<(), WriteSetError> {
        let size = beneath::size(stat);
        if size > self.options.limits.file_bytes && self.before(path)?.is_none_or(|before| before.size_bytes != size) {
            let limit = self.options.limits.file_bytes;
            self.stop(format!(
                "file_bytes: \"{}\" has {size} bytes, more than {limit}",
                escape(path, 200)
            ));
            return Ok(());
        }
        if !self.affordable(size) {
            return Ok(());
        }
        let captured = self
            .staging
            .read(file, size)
            .map_err(|error| self.failure(path, error))?;
        let kind = beneath::file_kind(stat.st_mode);
        let state = EntryState {
            kind,
            digest: captured.digest,
            size_bytes: captured.size,
        };
        if self.record(path, state)? {
            let source = self.staging.keep(captured).map_err(|error| self.failure(path, error))?;
            let executable = kind == EntryKind::Executable;
            self.contents
                .insert(path.to_vec(), FinalContent::File { source, executable });
            Ok(())
        } else {
            Staging::forget(captured).map_err(|error| self.failure(path, error))
        }
    }

    fn ignored_file(
        &mut self,
        path: &[u8],
        file: std::fs::File,
        stat: &Stat,
        because: &'static str,
    ) -> Result<(), WriteSetError> {
        // A larger one would cost more time than its digest is worth: it goes nowhere.
        let size = beneath::size(stat);
        let small = size <= self.options.limits.file_bytes.max(64 << 20) && self.affordable(size);
        let digest = small
            .then(|| beneath::digest_reader(file).map(|(digest, _)| digest))
            .transpose();
        let digest = digest.map_err(|error| workspace(path, error))?;
        self.ignored.push((path.to_vec(), digest, because));
        Ok(())
    }

    /// Records an existing final state; true when it differs from the baseline's.
    fn record(&mut self, path: &[u8], after: EntryState) -> Result<bool, WriteSetError> {
        let before = self.write_set.changes.len();
        self.compare(path, Some(after))?;
        Ok(self.write_set.changes.len() > before)
    }

    fn compare(&mut self, path: &[u8], after: Option<EntryState>) -> Result<(), WriteSetError> {
        let before = self.before(path)?;
        if before == after {
            // In a copied workspace everything that is equal would be "touched".
            if self.manifest.is_none() && (before.is_some() || self.is_tracked(path)?) {
                self.write_set.touched.push(PathText::new(path));
            }
            return Ok(());
        }
        if self.write_set.changes.len() as u64 >= self.options.limits.files {
            self.stop(format!("files: more than {} paths changed", self.options.limits.files));
            return Ok(());
        }
        let kind = match (&before, &after) {
            (None, _) => ChangeKind::Added,
            (Some(_), None) => ChangeKind::Deleted,
            (Some(_), Some(_)) => ChangeKind::Modified,
        };
        if kind == ChangeKind::Added {
            self.judge_name(path)?;
        }
        self.write_set.changes.push(Change {
            path: PathText::new(path),
            kind,
            before,
            after,
        });
        Ok(())
    }

    /// Only what is new in a name is judged: the baseline may hold anything.
    fn judge_name(&mut self, path: &[u8]) -> Result<(), WriteSetError> {
        let mut known = beneath::parent(path);
        while !known.is_empty() && self.baseline_kind(known)?.is_none() {
            known = beneath::parent(known);
        }
        if is_unsafe(&path[known.len()..]) {
            self.mark(path, "unsafe_path");
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), WriteSetError> {
        self.write_set.empty_directories.sort_by_key(PathText::bytes);
        self.write_set
            .unsafe_entries
            .sort_by_key(|entry| (entry.path.bytes(), entry.reason.clone()));
        let mut groups: BTreeMap<(Vec<u8>, &'static str), Vec<IgnoredFile>> = BTreeMap::new();
        for (path, digest, because) in std::mem::take(&mut self.ignored) {
            groups
                .entry((self.newest_directory(&path)?, because))
                .or_default()
                .push((path, digest));
        }
        let mut artifacts = Vec::new();
        for ((directory, because), files) in groups {
            if !directory.is_empty() && files.len() > AGGREGATE_ABOVE {
                artifacts.push((directory, None, because));
            } else {
                artifacts.extend(files.into_iter().map(|(path, digest)| (path, digest, because)));
            }
        }
        artifacts.sort();
        self.write_set.ignored = artifacts
            .into_iter()
            .map(|(path, digest, because)| IgnoredArtifact {
                path: PathText::new(&path),
                digest,
                because: because.to_owned(),
            })
            .collect();
        Ok(())
    }

    /// Returns the topmost directory of a path that the baseline does not have; empty when it has all of them.
    fn newest_directory(&self, path: &[u8]) -> Result<Vec<u8>, WriteSetError> {
        let slashes = path
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'/')
            .map(|(index, _)| index);
        for slash in slashes {
            if self.baseline_kind(&path[..slash])? != Some(FileType::Directory) {
                return Ok(path[..slash].to_vec());
            }
        }
        Ok(Vec::new())
    }

    fn before(&self, path: &[u8]) -> Result<Option<EntryState>, WriteSetError> {
        if let Some(manifest) = self.manifest {
            return Ok(manifest.get(path).cloned().flatten());
        }
        self.baseline
            .lookup(path)
            .map_err(|source| WriteSetError::BaselineRead {
                path: escape(path, 1000),
                source,
            })
    }

    fn is_tracked(&self, path: &[u8]) -> Result<bool, WriteSetError> {
        if let Some(manifest) = self.manifest {
            return Ok(manifest.contains_key(path));
        }
        Ok(self
            .baseline_kind(path)?
            .is_some_and(|kind| kind != FileType::Directory))
    }

    fn is_file_or_link(&self, path: &[u8]) -> Result<bool, WriteSetError> {
        let observed = observe::observe(self.view.merged, path).map_err(|errno| workspace(path, errno))?;
        Ok(matches!(observed, Observed::File(..) | Observed::Symlink(_)))
    }

    fn baseline_kind(&self, path: &[u8]) -> Result<Option<FileType>, WriteSetError> {
        self.baseline.kind(path).map_err(|source| WriteSetError::BaselineRead {
            path: escape(path, 1000),
            source,
        })
    }

    fn mark(&mut self, path: &[u8], reason: &str) {
        self.write_set.unsafe_entries.push(UnsafeEntry {
            path: PathText::new(path),
            reason: reason.to_owned(),
        });
    }

    fn stop(&mut self, why: String) {
        self.write_set.truncated.get_or_insert(why);
    }

    fn failure(&self, path: &[u8], error: CaptureError) -> WriteSetError {
        match error {
            CaptureError::Read(source) => workspace(path, source),
            CaptureError::Keep(source) => WriteSetError::Staging {
                path: self.options.staging.to_owned(),
                source,
            },
        }
    }
}
