//! Reading final content once: small files in memory first, large ones straight to the staging directory.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

use cto_schema::Sha256Digest;
use sha2::Digest as _;

/// Files up to this size are only written when they turn out to be changed.
const IN_MEMORY: u64 = 1 << 20;

/// Reading a file failed, or keeping it did.
#[derive(Debug)]
pub(super) enum CaptureError {
    Read(io::Error),
    Keep(io::Error),
}

/// Content that was read: its digest, its size, and a way to keep it.
#[derive(Debug)]
pub(super) struct Captured {
    pub(super) digest: Sha256Digest,
    pub(super) size: u64,
    kept: Kept,
}

#[derive(Debug)]
enum Kept {
    Memory(Vec<u8>),
    File(PathBuf),
}

/// The staging directory; its files are numbered.
#[derive(Debug)]
pub(super) struct Staging<'a> {
    directory: &'a Path,
    next: u64,
}

impl<'a> Staging<'a> {
    pub(super) fn new(directory: &'a Path) -> Self {
        Self { directory, next: 0 }
    }

    pub(super) fn read(&mut self, mut file: File, expected: u64) -> Result<Captured, CaptureError> {
        if expected <= IN_MEMORY {
            let mut bytes = Vec::new();
            (&mut file)
                .take(IN_MEMORY + 1)
                .read_to_end(&mut bytes)
                .map_err(CaptureError::Read)?;
            if bytes.len() as u64 == expected {
                return Ok(Captured {
                    digest: Sha256Digest::of(&bytes),
                    size: expected,
                    kept: Kept::Memory(bytes),
                });
            }
            return Err(CaptureError::Read(io::Error::other(
                "its size changed while it was read",
            )));
        }
        let path = self.path();
        let mut out = File::create_new(&path).map_err(CaptureError::Keep)?;
        let mut hasher = sha2::Sha256::new();
        let mut chunk = vec![0; 256 << 10];
        let mut size = 0;
        loop {
            let count = file.read(&mut chunk).map_err(CaptureError::Read)?;
            if count == 0 {
                break;
            }
            size += count as u64;
            if size > expected {
                return Err(CaptureError::Read(io::Error::other(
                    "its size changed while it was read",
                )));
            }
            hasher.update(&chunk[..count]);
            out.write_all(&chunk[..count]).map_err(CaptureError::Keep)?;
        }
        Ok(Captured {
            digest: Sha256Digest::from_bytes(hasher.finalize().into()),
            size,
            kept: Kept::File(path),
        })
    }

    /// Keeps content and returns where.
    pub(super) fn keep(&mut self, captured: Captured) -> Result<PathBuf, CaptureError> {
        match captured.kept {
            Kept::File(path) => Ok(path),
            Kept::Memory(bytes) => {
                let path = self.path();
                let written = File::create_new(&path).and_then(|mut file| file.write_all(&bytes));
                written.map(|()| path).map_err(CaptureError::Keep)
            }
        }
    }

    /// Forgets content that equals the baseline's.
    pub(super) fn forget(captured: Captured) -> Result<(), CaptureError> {
        match captured.kept {
            Kept::File(path) => std::fs::remove_file(path).map_err(CaptureError::Keep),
            Kept::Memory(_) => Ok(()),
        }
    }

    fn path(&mut self) -> PathBuf {
        self.next += 1;
        self.directory.join(format!("{:06}", self.next))
    }
}
