//! An append-only file of lines, with a running digest.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use cto_schema::Sha256Digest;
use sha2::{Digest as _, Sha256};

use crate::durable;

/// A file that grows by whole lines. A line that could not be written leaves no trace; a line that could not be
/// made durable closes the file for good.
#[derive(Debug)]
pub(crate) struct LineFile {
    file: File,
    len: u64,
    hasher: Sha256,
    dirty: bool,
    broken: bool,
}

impl LineFile {
    /// Creates the file; it must not exist.
    pub(crate) fn create(dir: impl AsFd, name: &str) -> io::Result<Self> {
        let file = durable::create_at(dir, name)?;
        Ok(Self {
            file,
            len: 0,
            hasher: Sha256::new(),
            dirty: true,
            broken: false,
        })
    }

    /// Continues a file whose whole content is `kept`.
    pub(crate) fn resume(file: File, kept: &[u8]) -> Self {
        let len = u64::try_from(kept.len()).unwrap_or(u64::MAX);
        Self {
            file,
            len,
            hasher: Sha256::new_with_prefix(kept),
            dirty: true,
            broken: false,
        }
    }

    /// Appends one line, which must hold no newline; the newline is added. With `durable` the call returns after
    /// everything so far is on disk.
    pub(crate) fn append(&mut self, line: &[u8], durable: bool) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::other("an earlier write to this file failed for good"));
        }
        let mut whole = Vec::with_capacity(line.len() + 1);
        whole.extend_from_slice(line);
        whole.push(b'\n');
        if let Err(error) = durable::write_all(&self.file, &whole) {
            // Half a line must not stay. Shortening needs no space, so this works on a full disk.
            self.broken = durable::truncate(&self.file, self.len).is_err();
            return Err(error);
        }
        self.len += u64::try_from(whole.len()).unwrap_or(u64::MAX);
        self.hasher.update(&whole);
        self.dirty = true;
        if durable { self.sync() } else { Ok(()) }
    }

    /// Makes everything so far durable.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::other("an earlier write to this file failed for good"));
        }
        if self.dirty {
            if let Err(error) = durable::sync_file(&self.file) {
                self.broken = true;
                return Err(error);
            }
            self.dirty = false;
        }
        Ok(())
    }

    /// Makes everything durable and returns the digest of the whole file.
    pub(crate) fn close(&mut self) -> io::Result<Sha256Digest> {
        self.sync()?;
        self.broken = true;
        Ok(Sha256Digest::from_bytes(self.hasher.clone().finalize().into()))
    }
}
