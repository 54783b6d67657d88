//! Writing a bundle's files below a directory while they are read; names were judged before they come here.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use crate::durable;

/// A directory that gets a bundle's files.
#[derive(Debug)]
pub(crate) struct Unpacking {
    root: OwnedFd,
}

impl Unpacking {
    pub(crate) fn new(root: OwnedFd) -> Self {
        Self { root }
    }

    /// Creates a file that must not exist, with the directories that its name needs.
    pub(crate) fn file(&self, name: &str) -> io::Result<File> {
        let mut directory = self.root.try_clone()?;
        let mut parts = name.split('/').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                return durable::create_at(&directory, part);
            }
            match durable::make_dir_at(&directory, part) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => directory = durable::open_dir_at(&directory, part)?,
            }
        }
        Err(io::ErrorKind::InvalidInput.into())
    }

    /// Makes every name durable.
    pub(crate) fn settle(&self) -> io::Result<()> {
        settle(&self.root.try_clone()?)
    }
}

fn settle(directory: &OwnedFd) -> io::Result<()> {
    for (name, kind) in durable::entries(directory)? {
        if kind == rustix::fs::FileType::Directory {
            settle(&durable::open_dir_at(directory, &name)?)?;
        }
    }
    durable::sync_dir(directory.as_fd())
}
