//! Mending a directory that a crash left: temporary names, torn ends, unsealed reports.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::FileType;

use crate::durable;
use crate::manifest::{ATTESTATION, SUMS};
use crate::run_dir::lines::LineFile;

/// What belongs to a verdict, which is none without the seal. Last to first, so that a crash in between leaves no
/// manifest whose files are gone.
const UNSEALED: [&str; 5] = [ATTESTATION, SUMS, "report.html", "report.md", "report.json"];

/// Removes temporary names in a directory and below.
pub(crate) fn sweep(dir: impl AsFd, depth: u32) -> io::Result<()> {
    let dir = dir.as_fd();
    for (name, kind) in durable::entries(dir)? {
        if name.starts_with(durable::TEMPORARY_PREFIX) && kind == FileType::RegularFile {
            durable::remove_at(dir, &name)?;
        } else if kind == FileType::Directory && depth < 4 {
            sweep(durable::open_dir_at(dir, &name)?, depth + 1)?;
        }
    }
    Ok(())
}

/// Renames what an interrupted close left to `interrupted-<name>`.
pub(crate) fn set_aside_unsealed(dir: &OwnedFd) -> io::Result<()> {
    for name in UNSEALED {
        if durable::exists_at(dir, name)? {
            let mut aside = format!("interrupted-{name}");
            for number in 2..10_000 {
                match durable::rename_new(dir, name, &aside) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                        aside = format!("interrupted-{number}-{name}");
                    }
                    other => {
                        other?;
                        break;
                    }
                }
            }
        }
    }
    durable::sync_dir(dir)
}

/// Returns an appended file's bytes; none when it is missing.
pub(crate) fn whole(dir: &OwnedFd, name: &str) -> io::Result<Vec<u8>> {
    Ok(durable::read_if_present_at(dir, name)?.unwrap_or_default())
}

/// An appended file that was cut to what holds.
pub(crate) struct Kept {
    file: File,
    bytes: Vec<u8>,
}

impl Kept {
    /// Continues the file.
    pub(crate) fn lines(self) -> LineFile {
        LineFile::resume(self.file, &self.bytes)
    }
}

/// Moves what follows the first `len` bytes to `backend/torn-<name>`, then cuts the file.
pub(crate) fn keep(dir: &OwnedFd, backend: &OwnedFd, name: &str, mut bytes: Vec<u8>, len: usize) -> io::Result<Kept> {
    let file = match durable::open_append_at(dir, name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => durable::create_at(dir, name)?,
        other => other?,
    };
    if bytes.len() > len {
        save_torn(backend, name, &bytes[len..])?;
        durable::truncate(&file, u64::try_from(len).unwrap_or(u64::MAX))?;
        durable::sync_file(&file)?;
        bytes.truncate(len);
    }
    Ok(Kept { file, bytes })
}

/// Writes a torn end under a free name, unless an earlier recovery that was killed has done so already.
fn save_torn(backend: &OwnedFd, name: &str, torn: &[u8]) -> io::Result<()> {
    let mut aside = format!("torn-{name}");
    for number in 2..10_000 {
        match durable::read_if_present_at(backend, &aside)? {
            None => return durable::write_new(backend, &aside, torn),
            Some(saved) if saved == torn => return Ok(()),
            Some(_) => aside = format!("torn-{number}-{name}"),
        }
    }
    Err(io::Error::other("ten thousand torn ends are kept already"))
}
