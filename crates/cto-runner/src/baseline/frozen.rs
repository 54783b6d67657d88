//! A baseline that is held: it cannot be removed while this value lives.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use cto_schema::{EntryKind, EntryState, History, PathText, Sha256Digest};
use rustix::fs::FileType;

use super::error::{At as _, BaselineError};
use super::lock::Lock;
use super::objects::ObjectFormat;
use super::{beneath, manifest};

/// A frozen baseline, held by shared locks.
#[derive(Debug)]
pub struct Baseline {
    pub(super) commit: String,
    pub(super) tree: String,
    pub(super) history: History,
    pub(super) format: ObjectFormat,
    pub(super) files: PathBuf,
    pub(super) git_layer: PathBuf,
    pub(super) manifest_digest: Sha256Digest,
    pub(super) entry_count: u64,
    pub(super) has_ignore_rules: bool,
    pub(super) symlinks: Option<Vec<PathText>>,
    pub(super) reader: PathBuf,
    pub(super) files_fd: OwnedFd,
    #[expect(dead_code, reason = "dropping them is what releases the entry")]
    pub(super) locks: [Lock; 2],
}

impl Baseline {
    /// Returns the commit.
    pub fn commit(&self) -> &str {
        &self.commit
    }

    /// Returns the commit's tree.
    pub fn tree(&self) -> &str {
        &self.tree
    }

    /// Returns how much history the agent's repository holds.
    pub fn history(&self) -> History {
        self.history
    }

    /// Returns what names the objects.
    pub fn format(&self) -> ObjectFormat {
        self.format
    }

    /// Returns the directory that holds the tree's raw content.
    pub fn files(&self) -> &Path {
        &self.files
    }

    /// Returns the directory that holds the agent's `.git`, to be laid over [`Baseline::files`].
    pub fn git_layer(&self) -> &Path {
        &self.git_layer
    }

    /// Returns the digest of the manifest of all entries.
    pub fn manifest_digest(&self) -> Sha256Digest {
        self.manifest_digest
    }

    /// Returns the number of entries.
    pub fn entry_count(&self) -> u64 {
        self.entry_count
    }

    /// Returns the state of the entry at a path, from the file itself; `None` for directories and for nothing.
    pub fn lookup(&self, path: &[u8]) -> io::Result<Option<EntryState>> {
        beneath::entry_state(self.files_fd.as_fd(), path)
    }

    /// Opens a file of the tree for reading.
    pub fn open(&self, path: &[u8]) -> io::Result<File> {
        Ok(File::from(beneath::open_beneath(
            self.files_fd.as_fd(),
            path,
            beneath::READ,
        )?))
    }

    /// Reads the manifest: every entry's state, submodule links without one.
    pub(crate) fn manifest(&self) -> Result<BTreeMap<Vec<u8>, Option<EntryState>>, BaselineError> {
        let path = self.files.with_file_name("manifest");
        let bytes = std::fs::read(&path).at(&path)?;
        manifest::parse(&bytes, self.manifest_digest).ok_or(BaselineError::Damaged { path })
    }

    /// Returns the path of every symbolic link.
    pub(crate) fn links(&self) -> Result<Vec<Vec<u8>>, BaselineError> {
        if let Some(symlinks) = &self.symlinks {
            return Ok(symlinks.iter().filter_map(PathText::bytes).collect());
        }
        let is_link = |state: &Option<EntryState>| state.as_ref().is_some_and(|state| state.kind == EntryKind::Symlink);
        let entries = self.manifest()?.into_iter();
        Ok(entries
            .filter(|(_, state)| is_link(state))
            .map(|(path, _)| path)
            .collect())
    }

    /// Returns the type of what is at a path, directories included.
    pub(crate) fn kind(&self, path: &[u8]) -> io::Result<Option<FileType>> {
        Ok(beneath::look(self.files_fd.as_fd(), path)?.map(|(_, stat)| beneath::kind(&stat)))
    }

    pub(crate) fn files_fd(&self) -> BorrowedFd<'_> {
        self.files_fd.as_fd()
    }

    /// Tells whether any `.gitignore` is in the tree.
    pub(crate) fn has_ignore_rules(&self) -> bool {
        self.has_ignore_rules
    }

    /// Returns an empty bare git directory of the harness, under which git may look at the files.
    pub(crate) fn reader(&self) -> &Path {
        &self.reader
    }
}
