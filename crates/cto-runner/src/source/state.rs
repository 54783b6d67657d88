//! The state of a target before and after a run: digests of everything that a run could have changed in its git directory.

use std::os::fd::OwnedFd;

use cto_schema::{RepositoryState, Sha256Digest, escape};
use rustix::fs::FileType;
use sha2::Digest as _;

use super::{SourceError, SourceRepository};
use crate::baseline::beneath;

/// Everything of a git directory that is digested fits in this, but the index.
const FILE_CAP: u64 = 256 << 20;
const DEEPEST: usize = 32;

impl SourceRepository {
    /// Reads the state; nothing of the target is executed and nothing is written.
    pub fn state(&self) -> Result<RepositoryState, SourceError> {
        Ok(RepositoryState {
            head: escape(self.head_text()?.as_bytes(), 1000),
            commit: self.head_commit()?,
            refs_digest: Some(self.refs_digest()?),
            index_digest: self.index_digest()?,
            metadata_digest: Some(self.metadata_digest()?),
        })
    }

    fn refs_digest(&self) -> Result<Sha256Digest, SourceError> {
        let mut state = State::default();
        for directory in self.directories() {
            for name in ["packed-refs", "refs", "reftable"] {
                self.add(&mut state, directory, name.as_bytes(), 0)?;
            }
        }
        Ok(state.finish())
    }

    fn index_digest(&self) -> Result<Option<Sha256Digest>, SourceError> {
        let fd = match beneath::open_beneath(beneath::borrow(&self.git_dir), b"index", beneath::READ) {
            Ok(fd) => fd,
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(self.io("index", errno)),
        };
        let stat = rustix::fs::fstat(&fd).map_err(|errno| self.io("index", errno))?;
        if beneath::kind(&stat) != FileType::RegularFile {
            return Err(self.corrupt("the index is not a regular file".to_owned()));
        }
        let digest = beneath::digest_reader(std::fs::File::from(fd)).map_err(|error| self.io("index", error))?;
        Ok(Some(digest.0))
    }

    fn metadata_digest(&self) -> Result<Sha256Digest, SourceError> {
        let mut state = State::default();
        for directory in self.directories() {
            for name in [
                "config",
                "config.worktree",
                "shallow",
                "hooks",
                "info",
                "objects/info/alternates",
            ] {
                self.add(&mut state, directory, name.as_bytes(), 0)?;
            }
            let listed = beneath::open_beneath(beneath::borrow(directory), b"", beneath::DIRECTORY);
            let listed = listed.map_err(|errno| self.io(".", errno))?;
            let names = beneath::names(&listed).map_err(|error| self.io(".", error))?;
            for name in names.iter().filter(|name| name.ends_with(b".lock")) {
                state.add(name, b"lock", b"");
            }
        }
        // Other work trees move by themselves; only which ones there are is of this repository.
        if let Ok(worktrees) = beneath::open_beneath(beneath::borrow(&self.common), b"worktrees", beneath::DIRECTORY) {
            for name in beneath::names(&worktrees).map_err(|error| self.io("worktrees", error))? {
                state.add(&name, b"worktree", b"");
            }
        }
        Ok(state.finish())
    }

    fn directories(&self) -> impl Iterator<Item = &OwnedFd> {
        std::iter::once(&self.common).chain(self.linked.then_some(&self.git_dir))
    }

    /// Adds a file, a link's text, or everything below a directory, in the order of names.
    fn add(&self, state: &mut State, root: &OwnedFd, path: &[u8], depth: usize) -> Result<(), SourceError> {
        let failed = |error: std::io::Error| self.io(&escape(path, 200), error);
        let Some((fd, stat)) = beneath::look(beneath::borrow(root), path).map_err(|errno| failed(errno.into()))? else {
            return Ok(());
        };
        match beneath::kind(&stat) {
            FileType::RegularFile => {
                let content = beneath::read_small(beneath::borrow(root), path, FILE_CAP).map_err(failed)?;
                state.add(
                    path,
                    if stat.st_mode & 0o100 == 0 {
                        b"file"
                    } else {
                        b"executable"
                    },
                    &content.unwrap_or_default(),
                );
            }
            FileType::Symlink => {
                let text = beneath::link_text(&fd).map_err(|errno| failed(errno.into()))?;
                state.add(path, b"link", &text);
            }
            FileType::Directory if depth < DEEPEST => {
                let fd = beneath::open_beneath(beneath::borrow(root), path, beneath::DIRECTORY);
                let fd = fd.map_err(|errno| failed(errno.into()))?;
                for name in beneath::names(&fd).map_err(failed)? {
                    self.add(state, root, &beneath::join(path, &name), depth + 1)?;
                }
            }
            _ => state.add(path, b"special", b""),
        }
        Ok(())
    }
}

/// A digest over named values, each with its length, so that no two lists are the same bytes.
#[derive(Default)]
struct State(sha2::Sha256);

impl State {
    fn add(&mut self, name: &[u8], kind: &[u8], content: &[u8]) {
        for part in [name, kind, content] {
            self.0.update((part.len() as u64).to_be_bytes());
            self.0.update(part);
        }
    }

    fn finish(self) -> Sha256Digest {
        Sha256Digest::from_bytes(self.0.finalize().into())
    }
}
