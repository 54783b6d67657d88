//! The store of baselines: a hit costs a few system calls and no process.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use cto_schema::{History, PathText, Sha256Digest, escape};
use rustix::fs::{FlockOperation, Mode, OFlags, Timespec, Timestamps, UTIME_NOW};
use serde::{Deserialize, Serialize};

use super::error::{At as _, BaselineError};
use super::frozen::Baseline;
use super::lock::Lock;
use super::objects::{ObjectFormat, ObjectSource, init_bare};
use super::{beneath, layer, tree};
use crate::tool::Git;

/// What is recorded about a commit's entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CommitMeta {
    pub(super) commit: String,
    pub(super) tree: String,
    pub(super) history: History,
    pub(super) format: ObjectFormat,
}

/// What is recorded about a tree's entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TreeMeta {
    pub(super) tree: String,
    pub(super) entry_count: u64,
    pub(super) bytes: u64,
    pub(super) manifest_digest: Sha256Digest,
    pub(super) has_ignore_rules: bool,
    pub(super) gitlinks: Vec<String>,
    /// Its symbolic links; absent in entries that older versions wrote.
    #[serde(default)]
    pub(super) symlinks: Option<Vec<PathText>>,
}

/// Names a baseline in the store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BaselineKey {
    /// The commit.
    pub commit: String,
    /// Whether its history is there too.
    pub full_history: bool,
}

/// The store of baselines below one directory, which only the harness may enter.
#[derive(Debug)]
pub struct BaselineStore {
    root: PathBuf,
    engine_owner: Option<(u32, u32)>,
}

impl BaselineStore {
    /// Opens or creates the store; `engine_owner` is who the baselines belong to when the harness is root.
    pub fn open(root: &Path, engine_owner: Option<(u32, u32)>) -> Result<Self, BaselineError> {
        let root = std::path::absolute(root).at(root)?;
        if let Ok(metadata) = fs::symlink_metadata(&root) {
            own(&root, &metadata)?;
        }
        let missing = !root.join("git-sha256/HEAD").exists();
        if missing {
            for directory in ["", "trees", "commits", "locks", "tmp", "fixtures"] {
                let path = root.join(directory);
                fs::DirBuilder::new()
                    .recursive(true)
                    .mode(0o700)
                    .create(&path)
                    .at(&path)?;
            }
            let store = Self { root, engine_owner };
            for format in [ObjectFormat::Sha1, ObjectFormat::Sha256] {
                store.make_reader(format)?;
            }
            return Ok(store);
        }
        Ok(Self { root, engine_owner })
    }

    /// Returns the directory that the store keeps.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the baseline of a commit, and builds it when it is not there yet.
    pub fn ensure(
        &self,
        git: &Git,
        source: &ObjectSource,
        commit: &str,
        history: History,
        allow_gitlinks: bool,
    ) -> Result<Baseline, BaselineError> {
        if !source.format.names(commit) {
            return Err(BaselineError::CommitName {
                commit: escape(commit.as_bytes(), 100),
            });
        }
        let name = self.commit_name(commit, history);
        let lock = self.lock(&name, FlockOperation::LockShared)?;
        if let Some(found) = self.find(&name, lock, allow_gitlinks)? {
            return Ok(found);
        }
        let lock = self.lock(&name, FlockOperation::LockExclusive)?;
        // Another builder may have been faster.
        if self
            .commit_meta(&name)?
            .is_none_or(|meta| !self.tree_directory(&meta.tree).join("meta.json").exists())
        {
            self.build(git, source, commit, history, &name, allow_gitlinks)?;
        }
        lock.turn(FlockOperation::LockShared).at(&self.root)?;
        let path = self.root.join("commits").join(&name);
        self.find(&name, lock, allow_gitlinks)?
            .ok_or(BaselineError::Damaged { path })
    }

    /// Looks an entry up; `None` when the commit or its tree is not there.
    fn find(&self, name: &str, lock: Lock, allow_gitlinks: bool) -> Result<Option<Baseline>, BaselineError> {
        let Some(commit) = self.commit_meta(name)? else {
            return Ok(None);
        };
        let tree_name = self.tree_name(&commit.tree);
        let tree_lock = self.lock(&tree_name, FlockOperation::LockShared)?;
        let directory = self.tree_directory(&commit.tree);
        let Some(tree) = read_meta::<TreeMeta>(&directory.join("meta.json"))? else {
            return Ok(None);
        };
        if let (Some(path), false) = (tree.gitlinks.first(), allow_gitlinks) {
            return Err(BaselineError::Gitlink {
                commit: commit.commit,
                path: path.clone(),
            });
        }
        let files = directory.join("files");
        let files_fd = beneath::open_directory(&files).at(&files)?;
        Ok(Some(Baseline {
            reader: self.reader(commit.format),
            commit: commit.commit,
            tree: commit.tree,
            history: commit.history,
            format: commit.format,
            files,
            git_layer: self.root.join("commits").join(name).join("layer"),
            manifest_digest: tree.manifest_digest,
            entry_count: tree.entry_count,
            has_ignore_rules: tree.has_ignore_rules,
            symlinks: tree.symlinks,
            files_fd,
            locks: [lock, tree_lock],
        }))
    }

    /// Builds a commit's entry, and its tree's when that is not there, in a directory beside, and moves it in.
    fn build(
        &self,
        git: &Git,
        source: &ObjectSource,
        commit: &str,
        history: History,
        name: &str,
        allow_gitlinks: bool,
    ) -> Result<(), BaselineError> {
        git.version()?;
        let work = self.work_directory("commit-")?;
        let git_dir = layer::fetch(git, source, &self.reader(source.format), commit, history, work.path())?;
        let (tree_id, has_parents) = layer::read_commit(git, &git_dir, commit)?;
        if !source.format.names(&tree_id) {
            return Err(BaselineError::CommitName {
                commit: escape(tree_id.as_bytes(), 100),
            });
        }
        let tree_name = self.tree_name(&tree_id);
        let home = self.tree_directory(&tree_id);
        let complete = || home.join("meta.json").exists();
        // Others may hold a complete tree for as long as a run takes, so only a missing one is locked for oneself.
        let mut tree_lock = self.lock(&tree_name, FlockOperation::LockShared)?;
        if !complete() {
            drop(tree_lock);
            tree_lock = self.lock(&tree_name, FlockOperation::LockExclusive)?;
        }
        let tree_work = if complete() {
            None
        } else {
            let work = self.work_directory("tree-")?;
            let job = tree::Job {
                git,
                git_dir: &git_dir,
                commit,
                tree: &tree_id,
                owner: self.engine_owner,
            };
            let meta = job.build(work.path(), allow_gitlinks)?;
            write_meta(&work.path().join("meta.json"), &meta)?;
            Some(work)
        };
        let files = tree_work
            .as_ref()
            .map_or_else(|| home.join("files"), |work| work.path().join("files"));
        layer::finish(
            git,
            &git_dir,
            &files,
            commit,
            history == History::Baseline && has_parents,
            self.engine_owner,
        )?;
        let meta = CommitMeta {
            commit: commit.to_owned(),
            tree: tree_id,
            history,
            format: source.format,
        };
        write_meta(&work.path().join("meta.json"), &meta)?;
        let root = beneath::open_directory(&self.root).at(&self.root)?;
        rustix::fs::syncfs(&root).at(&self.root)?;
        if let Some(work) = tree_work {
            self.move_in(work, &home)?;
        }
        self.move_in(work, &self.root.join("commits").join(name))?;
        drop(tree_lock);
        Ok(())
    }

    /// Moves a finished directory to its place; what is there without being complete is rubbish of a crash.
    pub(crate) fn move_in(&self, work: WorkDirectory, place: &Path) -> Result<(), BaselineError> {
        if place.exists() {
            let aside = self.work_directory("old-")?;
            fs::rename(place, aside.path().join("entry")).at(place)?;
        }
        let from = work.keep();
        fs::rename(&from, place).at(place)?;
        let parent = place.parent().unwrap_or(&self.root);
        let parent_fd = beneath::open_directory(parent).at(parent)?;
        rustix::fs::fsync(&parent_fd).at(parent)
    }

    /// Makes a private directory that vanishes unless it is moved in; its lock tells others that it is in use.
    pub(crate) fn work_directory(&self, prefix: &str) -> Result<WorkDirectory, BaselineError> {
        let tmp = self.root.join("tmp");
        let private = fs::Permissions::from_mode(0o700);
        let directory = tempfile::Builder::new()
            .prefix(prefix)
            .permissions(private)
            .tempdir_in(&tmp)
            .at(&tmp)?;
        let lock = beneath::open_directory(directory.path()).at(directory.path())?;
        let lock = Lock::take(lock, FlockOperation::NonBlockingLockExclusive).at(directory.path())?;
        Ok(WorkDirectory { directory, lock })
    }

    /// Takes a lock that is named like what it guards, and notes when; lock files are never removed.
    pub(crate) fn lock(&self, name: &str, operation: FlockOperation) -> Result<Lock, BaselineError> {
        let path = self.root.join("locks").join(name);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let lock = rustix::fs::open(&path, flags, Mode::from_raw_mode(0o600)).at(&path)?;
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_NOW,
        };
        let lock = Lock::take(lock, operation).at(&path)?;
        rustix::fs::futimens(
            lock.file(),
            &Timestamps {
                last_access: now,
                last_modification: now,
            },
        )
        .at(&path)?;
        Ok(lock)
    }

    fn commit_name(&self, commit: &str, history: History) -> String {
        format!("{commit}-{}{}", history.word(), self.owner_suffix())
    }

    pub(super) fn tree_name(&self, tree: &str) -> String {
        format!("tree-{tree}{}", self.owner_suffix())
    }

    /// Entries of another owner are other entries: an overlay over a foreign lower cannot be written.
    pub(super) fn owner_suffix(&self) -> String {
        self.engine_owner
            .map(|(uid, gid)| format!("-u{uid}-g{gid}"))
            .unwrap_or_default()
    }

    pub(super) fn tree_directory(&self, tree: &str) -> PathBuf {
        self.root.join("trees").join(format!("{tree}{}", self.owner_suffix()))
    }

    pub(super) fn commit_meta(&self, name: &str) -> Result<Option<CommitMeta>, BaselineError> {
        read_meta(&self.root.join("commits").join(name).join("meta.json"))
    }

    /// Returns the empty bare git directory under which objects of this format are read.
    pub(crate) fn reader(&self, format: ObjectFormat) -> PathBuf {
        self.root.join(format!("git-{}", format.word()))
    }

    fn make_reader(&self, format: ObjectFormat) -> Result<(), BaselineError> {
        let place = self.reader(format);
        if place.join("HEAD").exists() {
            return Ok(());
        }
        let work = self.work_directory("git-")?;
        init_bare(&work.path().join("git"), format).at(work.path())?;
        match fs::rename(work.path().join("git"), &place) {
            // Another process made the same one at the same time.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists
                ) =>
            {
                Ok(())
            }
            other => other.at(&place),
        }
    }
}

/// A private directory that is being filled.
#[derive(Debug)]
pub(crate) struct WorkDirectory {
    directory: tempfile::TempDir,
    lock: Lock,
}

impl WorkDirectory {
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    fn keep(self) -> PathBuf {
        drop(self.lock);
        self.directory.keep()
    }
}

/// What others could write they could poison, also where it is reached through a link.
fn own(root: &Path, metadata: &fs::Metadata) -> Result<(), BaselineError> {
    let (owner, caller) = (metadata.uid(), rustix::process::geteuid().as_raw());
    if !metadata.is_dir() || owner != caller || metadata.mode() & 0o022 != 0 {
        return Err(BaselineError::ForeignStore {
            path: root.to_owned(),
            caller,
        });
    }
    Ok(())
}

pub(super) fn read_meta<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>, BaselineError> {
    match fs::read(path) {
        Ok(bytes) => match serde_json::from_slice(&bytes) {
            Ok(meta) => Ok(Some(meta)),
            Err(_) => Err(BaselineError::Damaged { path: path.to_owned() }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(BaselineError::Io {
            path: path.to_owned(),
            source,
        }),
    }
}

fn write_meta<T: Serialize>(path: &Path, meta: &T) -> Result<(), BaselineError> {
    let bytes = serde_json::to_vec(meta).map_err(io::Error::from).at(path)?;
    fs::File::create_new(path)
        .and_then(|mut file| file.write_all(&bytes))
        .at(path)
}
