//! Checking what is stored, and removing what nobody uses.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use cto_schema::{History, escape};
use rustix::fs::{FileType, FlockOperation, Mode, OFlags};

use super::error::{At as _, BaselineError};
use super::lock::Lock;
use super::store::{BaselineKey, BaselineStore, TreeMeta, read_meta};
use super::{beneath, manifest};

/// What was removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Commit entries that were removed.
    pub commits: u64,
    /// Tree entries that were removed.
    pub trees: u64,
    /// Unfinished directories that were removed.
    pub unfinished: u64,
    /// Bytes that were freed.
    pub bytes: u64,
}

/// How a stored tree compares with its manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeCheck {
    /// How many entries were compared.
    pub entries: u64,
    /// What differs, escaped; empty when all is well.
    pub differences: Vec<String>,
}

impl BaselineStore {
    /// Compares a stored tree with its manifest, byte for byte.
    pub fn check(&self, tree: &str) -> Result<TreeCheck, BaselineError> {
        let _lock = self.lock(&self.tree_name(tree), FlockOperation::LockShared)?;
        let directory = self.tree_directory(tree);
        let meta_path = directory.join("meta.json");
        let meta: TreeMeta = read_meta(&meta_path)?.ok_or(BaselineError::Damaged { path: meta_path })?;
        let path = directory.join("manifest");
        let bytes = fs::read(&path).at(&path)?;
        let manifest = manifest::parse(&bytes, meta.manifest_digest).ok_or(BaselineError::Damaged { path })?;
        let files = directory.join("files");
        let root = beneath::open_directory(&files).at(&files)?;
        let mut differences = Vec::new();
        for (path, expected) in &manifest {
            let same = match expected {
                Some(expected) => {
                    beneath::entry_state(beneath::borrow(&root), path).at(&files)?.as_ref() == Some(expected)
                }
                None => beneath::look(beneath::borrow(&root), path)
                    .at(&files)?
                    .is_some_and(|(_, stat)| beneath::kind(&stat) == FileType::Directory),
            };
            if !same {
                differences.push(format!("{}: content, type or mode differs", escape(path, 1000)));
            }
        }
        for path in beneath::files_below(beneath::borrow(&root), b"").at(&files)? {
            if !manifest.contains_key(&path) {
                differences.push(format!("{}: not in the manifest", escape(&path, 1000)));
            }
        }
        differences.sort();
        Ok(TreeCheck {
            entries: manifest.len() as u64,
            differences,
        })
    }

    /// Removes entries that are not kept, not held, and were last used `older_than` before `now`; and what crashes left.
    pub fn gc(&self, keep: &[BaselineKey], older_than: Duration, now: SystemTime) -> Result<Collected, BaselineError> {
        let mut report = Collected::default();
        let old = |path: &Path| {
            let used = path.symlink_metadata().and_then(|metadata| metadata.modified());
            used.map_or(true, |used| now.duration_since(used).is_ok_and(|age| age >= older_than))
        };
        for name in self.entries("commits")? {
            let kept = self.commit_meta(&name).ok().flatten().is_some_and(|meta| {
                keep.iter()
                    .any(|key| key.commit == meta.commit && key.full_history == (meta.history == History::Full))
            });
            let Some(_lock) = (!kept && old(&self.root().join("locks").join(&name)))
                .then(|| self.try_lock(&name))
                .transpose()?
                .flatten()
            else {
                continue;
            };
            report.bytes += self.discard(&self.root().join("commits").join(&name))?;
            report.commits += 1;
        }
        for name in self.entries("trees")? {
            let lock_name = format!("tree-{name}");
            if !old(&self.root().join("locks").join(&lock_name)) {
                continue;
            }
            let Some(_lock) = self.try_lock(&lock_name)? else {
                continue;
            };
            // Read only now: whoever adds a commit holds its tree's lock.
            if self.trees_in_use()?.contains(&name) {
                continue;
            }
            report.bytes += self.discard(&self.root().join("trees").join(&name))?;
            report.trees += 1;
        }
        for name in self.entries("tmp")? {
            let path = self.root().join("tmp").join(&name);
            if !old(&path) {
                continue;
            }
            let held = match beneath::open_directory(&path) {
                Ok(fd) => Lock::take(fd, FlockOperation::NonBlockingLockExclusive).is_err(),
                Err(_) => false,
            };
            if !held {
                report.bytes += remove(&path).at(&path)?;
                report.unfinished += 1;
            }
        }
        Ok(report)
    }

    fn entries(&self, directory: &str) -> Result<Vec<String>, BaselineError> {
        let path = self.root().join(directory);
        let fd = beneath::open_directory(&path).at(&path)?;
        let names = beneath::names(&fd).at(&path)?;
        Ok(names
            .into_iter()
            .filter_map(|name| String::from_utf8(name).ok())
            .collect())
    }

    fn trees_in_use(&self) -> Result<BTreeSet<String>, BaselineError> {
        let mut used = BTreeSet::new();
        for name in self.entries("commits")? {
            // The owner's part of the name is the same for a commit and its tree.
            if let Some(meta) = self.commit_meta(&name).ok().flatten() {
                let owner = name
                    .strip_prefix(&format!("{}-{}", meta.commit, meta.history.word()))
                    .unwrap_or_default();
                used.insert(format!("{}{owner}", meta.tree));
            }
        }
        Ok(used)
    }

    /// Takes a lock only if nobody has it, without noting a use.
    fn try_lock(&self, name: &str) -> Result<Option<Lock>, BaselineError> {
        let path = self.root().join("locks").join(name);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let lock = rustix::fs::open(&path, flags, Mode::from_raw_mode(0o600)).at(&path)?;
        match Lock::take(lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(lock) => Ok(Some(lock)),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(errno).at(&path),
        }
    }

    /// Moves an entry out of sight in one step, then removes it.
    fn discard(&self, place: &Path) -> Result<u64, BaselineError> {
        let aside = self.work_directory("old-")?;
        let target = aside.path().join("entry");
        fs::rename(place, &target).at(place)?;
        remove(&target).at(&target)
    }
}

fn remove(path: &Path) -> io::Result<u64> {
    if !path.symlink_metadata()?.is_dir() {
        let size = path.symlink_metadata()?.len();
        return fs::remove_file(path).map(|()| size);
    }
    let mut bytes = 0;
    let mut pending = vec![path.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_dir() {
                pending.push(entry.path());
            } else {
                bytes += metadata.size();
            }
        }
    }
    fs::remove_dir_all(path).map(|()| bytes)
}
