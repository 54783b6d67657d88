//! Reading a bundle, from a directory or a `.tar.zst`: every byte is read once, digested, and bounded.
//!
//! Everything here is untrusted input. What breaks a rule of form (a symbolic link, an odd name) is collected as a
//! problem that a check reports; what would cost unbounded time or memory ends the read with one error.

mod archive;
mod directory;
mod take;
mod unpack;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use cto_schema::{Sha256Digest, escape};

use crate::verify::PatchScan;

pub(crate) use take::Taker;

/// Bounds of a read. The defaults fit every bundle that this version can make with default limits.
#[derive(Clone, Copy, Debug)]
pub struct ReadLimits {
    /// Most files.
    pub files: usize,
    /// Most bytes of one file.
    pub file_bytes: u64,
    /// Most bytes of all files together, after decompression.
    pub total_bytes: u64,
    /// Most bytes of one document that has to be kept in memory.
    pub document_bytes: u64,
    /// Most bytes of all documents together that are kept in memory.
    pub memory_bytes: u64,
    /// Whether the first `document_bytes` of `patch.diff` and `test.log` are kept as well, to show them.
    pub keep_content: bool,
}

impl Default for ReadLimits {
    fn default() -> Self {
        Self {
            files: 20_000,
            file_bytes: 2 << 30,
            total_bytes: 4 << 30,
            document_bytes: 64 << 20,
            memory_bytes: 192 << 20,
            keep_content: false,
        }
    }
}

/// Why a bundle could not be read at all.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The path leads nowhere, or may not be read.
    #[error("read bundle '{path}'; is it there, and may you read it?")]
    Read {
        /// Which path.
        path: String,
        /// The system's error.
        source: io::Error,
    },
    /// Neither a directory nor a regular file.
    #[error("read bundle '{path}': it is neither a run's directory nor a .tar.zst made by cto export")]
    NotABundle {
        /// Which path.
        path: String,
    },
    /// Over a limit.
    #[error("read bundle '{path}': {what}; a bundle of this size is refused unread")]
    TooLarge {
        /// Which path.
        path: String,
        /// Which limit, with numbers.
        what: String,
    },
    /// What was read could not be written where it is unpacked.
    #[error("unpack bundle '{path}'; is there space?")]
    Write {
        /// Which path.
        path: String,
        /// The system's error.
        source: io::Error,
    },
    /// The archive is not one that `cto export` makes.
    #[error("read archive '{path}': {what}; make it again with cto export")]
    Archive {
        /// Which path.
        path: String,
        /// What was found.
        what: String,
    },
}

/// One file of a bundle, digested.
#[derive(Debug)]
pub struct BundleFile {
    /// Size in bytes.
    pub size_bytes: u64,
    /// Digest of the bytes.
    pub digest: Sha256Digest,
    /// The bytes, of documents that checks look into.
    pub(crate) bytes: Option<Vec<u8>>,
    /// What `patch.diff` touches.
    pub(crate) patch: Option<Box<PatchScan>>,
}

/// A bundle as read: nothing in it is believed yet.
#[derive(Debug)]
pub struct Bundle {
    pub(crate) path: PathBuf,
    pub(crate) name: String,
    pub(crate) files: BTreeMap<String, BundleFile>,
    pub(crate) problems: Vec<String>,
}

/// How many problems of form are kept; the rest is one more line.
const SHOWN_PROBLEMS: usize = 20;

impl Bundle {
    /// Reads a run's directory, or an archive made by `cto export`.
    pub fn open(path: &Path) -> Result<Self, BundleError> {
        Self::open_within(path, ReadLimits::default())
    }

    /// Reads a bundle within limits.
    pub fn open_within(path: &Path, limits: ReadLimits) -> Result<Self, BundleError> {
        Self::take(path, Taker::new(shown(path), limits))
    }

    /// Reads a bundle and writes each of its files below an empty directory, durably. Nothing is written but plain files
    /// with plain names; what else there is, is a problem.
    pub(crate) fn unpack(path: &Path, into: OwnedFd) -> Result<Self, BundleError> {
        let taker = Taker::new(shown(path), ReadLimits::default());
        Self::take(path, taker.unpacking(unpack::Unpacking::new(into)))
    }

    fn take(path: &Path, mut taker: Taker) -> Result<Self, BundleError> {
        let shown = shown(path);
        let read = |source| BundleError::Read {
            path: shown.clone(),
            source,
        };
        let real = std::fs::canonicalize(path).map_err(read)?;
        let kind = std::fs::symlink_metadata(&real).map_err(read)?.file_type();
        let name = if kind.is_dir() {
            directory::read(&real, &mut taker)?
        } else if kind.is_file() {
            archive::read(&real, &mut taker)?
        } else {
            return Err(BundleError::NotABundle { path: shown });
        };
        taker.settle()?;
        let (files, mut problems) = taker.finish();
        if problems.len() > SHOWN_PROBLEMS {
            let more = problems.len() - SHOWN_PROBLEMS;
            problems.truncate(SHOWN_PROBLEMS);
            problems.push(format!("and {more} more"));
        }
        Ok(Self {
            path: real,
            name,
            files,
            problems,
        })
    }

    /// Returns the path that was read.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the name of the bundle's directory, escaped; in an archive that of its single top directory.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns every file by its name in the bundle.
    pub fn files(&self) -> &BTreeMap<String, BundleFile> {
        &self.files
    }

    /// Returns the bytes of a document; of `patch.diff` and `test.log` only when the limits said to keep them.
    pub fn document(&self, name: &str) -> Option<&[u8]> {
        self.files.get(name)?.bytes.as_deref()
    }

    /// Returns the digest of a file.
    pub(crate) fn digest(&self, name: &str) -> Option<Sha256Digest> {
        self.files.get(name).map(|file| file.digest)
    }
}

pub(crate) fn shown(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    escape(path.as_os_str().as_bytes(), 400)
}

/// Says why a name may not stand in a bundle; `None` when it may.
///
/// The alphabet is closed so that a name is the same name in `sha256sum`, `tar`, a shell and a browser.
pub(crate) fn name_problem(name: &[u8]) -> Option<&'static str> {
    let known = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    if name.len() > 200 {
        return Some("is longer than 200 bytes");
    }
    let parts: Vec<&[u8]> = name.split(|b| *b == b'/').collect();
    if parts.len() > 4 {
        return Some("lies deeper than four levels");
    }
    if parts.iter().any(|part| part.is_empty() || part.starts_with(b".")) {
        return Some("has an empty part or one that starts with a dot");
    }
    (!parts.iter().all(|part| part.iter().all(known)))
        .then_some("has a character outside A-Z, a-z, 0-9, '.', '_' and '-'")
}
