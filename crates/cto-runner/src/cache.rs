//! Cache files: conveniences of one machine that may vanish at any time, and are never torn.

use std::io::{self, Write as _};
use std::path::Path;

/// Puts a cache file in place by rename; not fsynced, since a lost cache entry only costs time.
pub(crate) fn write_cache(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let mut file = tempfile::Builder::new().prefix(".tmp-").tempfile_in(directory)?;
    file.write_all(bytes)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
