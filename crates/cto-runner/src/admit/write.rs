//! Writing a record: whole or not at all, closed to others, and never over another one without keeping it.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use cto_schema::Sha256Digest;
use rustix::fs::FlockOperation;

use crate::baseline::Lock;

/// A record that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Where.
    pub path: PathBuf,
    /// Digest of its bytes.
    pub digest: Sha256Digest,
    /// Where the record that was there before is kept.
    pub kept: Option<PathBuf>,
}

/// A record that could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteRecordError {
    /// There is one already.
    #[error("write {}: there is a record already", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// What is there is no record.
    #[error("write {}: what lies there is no regular file", path.display())]
    NotAFile {
        /// What lies there.
        path: PathBuf,
    },
    /// The file system is in the way.
    #[error("write {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

/// Writes a record with mode 0600. A record that is there already is replaced only when asked to, and moves to
/// `history/` beside it, named by its digest.
pub fn write_record(path: &Path, bytes: &[u8], replace: bool) -> Result<Written, WriteRecordError> {
    let failed = |source| WriteRecordError::Io {
        path: path.to_owned(),
        source,
    };
    let directory = path.parent().ok_or_else(|| failed(ErrorKind::InvalidInput.into()))?;
    private_directory(directory).map_err(failed)?;
    // Who replaces a record keeps the one before it: nobody else's may come in between.
    let _lock = File::open(directory)
        .and_then(|directory| Ok(Lock::take(directory.into(), FlockOperation::LockExclusive)?))
        .map_err(failed)?;
    let there = std::fs::symlink_metadata(path).is_ok();
    // A pipe would be read for ever before it is kept.
    if std::fs::metadata(path).is_ok_and(|meta| !meta.is_file()) {
        return Err(WriteRecordError::NotAFile { path: path.to_owned() });
    }
    if there && !replace {
        return Err(WriteRecordError::Exists { path: path.to_owned() });
    }
    let digest = Sha256Digest::of(bytes);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = directory.join(format!(".{name}.{}", &digest.hex()[..16]));
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)
        .map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    let kept = if there {
        Some(keep(path, directory).map_err(failed)?)
    } else {
        None
    };
    let placed = if there {
        std::fs::rename(&new, path)
    } else {
        // A link never replaces what somebody else put there meanwhile.
        std::fs::hard_link(&new, path).and_then(|()| std::fs::remove_file(&new))
    };
    placed.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => WriteRecordError::Exists { path: path.to_owned() },
        _ => failed(error),
    })?;
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(failed)?;
    Ok(Written {
        path: path.to_owned(),
        digest,
        kept,
    })
}

fn private_directory(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// Keeps the old record before the new one takes its place, so that a kill leaves one of the two in place.
fn keep(path: &Path, directory: &Path) -> io::Result<PathBuf> {
    let history = directory.join("history");
    private_directory(&history)?;
    let old = std::fs::read(path)?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let stamp = cto_evidence::rfc3339(cto_evidence::wall_now()).replace([':', '.'], "-");
    let kept = history.join(format!("{stem}-{stamp}-{}.json", &Sha256Digest::of(&old).hex()[..12]));
    std::fs::hard_link(path, &kept)?;
    File::open(&history)?.sync_all()?;
    Ok(kept)
}
