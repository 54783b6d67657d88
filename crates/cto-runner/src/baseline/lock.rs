//! An advisory lock that ends with its value, and with the process however that ends.

use std::os::fd::OwnedFd;

use rustix::fs::FlockOperation;
use rustix::io::Errno;

/// A held `flock`.
#[derive(Debug)]
pub(crate) struct Lock(OwnedFd);

impl Lock {
    /// Takes the lock, and waits for it unless the operation says otherwise.
    pub(crate) fn take(file: OwnedFd, operation: FlockOperation) -> Result<Self, Errno> {
        flock(&file, operation)?;
        Ok(Self(file))
    }

    /// Changes a lock that only this value holds.
    pub(crate) fn turn(&self, operation: FlockOperation) -> Result<(), Errno> {
        flock(&self.0, operation)
    }

    /// Returns the locked file.
    pub(crate) fn file(&self) -> &OwnedFd {
        &self.0
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing alone is too late while another thread is just starting a process: until its exec, that has the
        // descriptor too.
        if flock(&self.0, FlockOperation::Unlock).is_err() {
            // Then closing has to do.
        }
    }
}

fn flock(file: &OwnedFd, operation: FlockOperation) -> Result<(), Errno> {
    loop {
        match rustix::fs::flock(file, operation) {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}
