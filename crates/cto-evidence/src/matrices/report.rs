//! Putting a report where a person asked for it: plain files beside each other, in a directory that was empty.

use std::os::fd::OwnedFd;
use std::path::Path;

use super::MatrixError;
use crate::durable;

/// Opens a directory for a report, and makes it with its parents when it is not there. One that holds anything is
/// refused, so that no report ever stands beside files of another.
fn open_empty_place(path: &Path) -> Result<OwnedFd, MatrixError> {
    let failed = |source| MatrixError::Io {
        path: path.to_owned(),
        source,
    };
    std::fs::create_dir_all(path).map_err(failed)?;
    let dir = durable::open_dir(path).map_err(failed)?;
    if !durable::names(&dir).map_err(failed)?.is_empty() {
        return Err(MatrixError::Occupied { path: path.to_owned() });
    }
    Ok(dir)
}

/// Writes files into an empty directory, all or none, durably.
pub fn write_report(path: &Path, files: &[(&str, &[u8])]) -> Result<(), MatrixError> {
    let dir = open_empty_place(path)?;
    durable::write_new_together(&dir, files).map_err(|(at, source)| MatrixError::Io {
        path: files
            .get(at)
            .map_or_else(|| path.to_owned(), |(name, _)| path.join(name)),
        source,
    })
}

/// Finds out before a long work whether a report can be put into a directory afterwards.
pub fn check_report_place(path: &Path) -> Result<(), MatrixError> {
    open_empty_place(path).map(drop)
}

/// Finds out before a long work whether a new file can be written afterwards.
pub fn check_new_file(path: &Path) -> Result<(), MatrixError> {
    let dir = parent(path)?;
    let (file, failed) = named(path);
    match durable::exists_at(&dir, file) {
        Ok(false) if !file.is_empty() => Ok(()),
        Ok(_) => Err(failed(std::io::ErrorKind::AlreadyExists.into())),
        Err(error) => Err(failed(error)),
    }
}

/// Writes a file that must not exist, durably.
pub fn write_new_file(path: &Path, bytes: &[u8]) -> Result<(), MatrixError> {
    let dir = parent(path)?;
    let (file, failed) = named(path);
    durable::write_new(&dir, file, bytes).map_err(failed)
}

fn named(path: &Path) -> (&str, impl Fn(std::io::Error) -> MatrixError) {
    let failed = |source| MatrixError::Io {
        path: path.to_owned(),
        source,
    };
    (
        path.file_name().and_then(|name| name.to_str()).unwrap_or_default(),
        failed,
    )
}

fn parent(path: &Path) -> Result<OwnedFd, MatrixError> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    durable::open_dir(parent.unwrap_or(Path::new("."))).map_err(|source| MatrixError::Io {
        path: path.to_owned(),
        source,
    })
}
