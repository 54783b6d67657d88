//! Disk space that is set aside at the start, so that a run which fills the disk can still say so.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use rustix::fs::{FallocateFlags, Mode, OFlags};

use crate::durable;

/// Enough for the last journal records, the report in three forms, the manifest, the seal and the ledger entry.
const RESERVE_BYTES: u64 = 512 * 1024;

/// A file without a name that holds space until it is dropped.
#[derive(Debug)]
pub(crate) struct Reserve {
    _file: File,
}

impl Reserve {
    /// Sets the space aside; fails when there is none.
    pub(crate) fn take(dir: impl AsFd) -> io::Result<Self> {
        let file = nameless(dir)?;
        match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, RESERVE_BYTES) {
            // A file system that cannot promise space: the run goes on without the promise.
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => Ok(Self { _file: file }),
            Err(error) => Err(error.into()),
        }
    }
}

fn nameless(dir: impl AsFd) -> io::Result<File> {
    let dir = dir.as_fd();
    let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
    if let Ok(file) = rustix::fs::openat(dir, ".", flags, Mode::RUSR | Mode::WUSR) {
        return Ok(file.into());
    }
    let (name, file) = durable::create_temporary(dir)?;
    durable::remove_at(dir, &name)?;
    Ok(file)
}
