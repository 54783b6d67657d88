//! `cto export`: a sealed bundle as one `.tar.zst` whose bytes depend on nothing but the bundle.

use std::fs::File;
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};

use cto_schema::Sha256Digest;
use sha2::{Digest as _, Sha256};

use crate::bundle::{Bundle, BundleError, shown};

/// Compression level: its window stays below what a reader accepts.
const LEVEL: i32 = 9;

/// Why a bundle was not exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The bundle could not be read.
    #[error("read the bundle")]
    Bundle(#[from] BundleError),
    /// It is not sealed, so it is not evidence yet.
    #[error("export run '{run}': it is not sealed; wait until it has ended, or run: cto recover")]
    Unsealed {
        /// The run's directory.
        run: String,
    },
    /// It holds what a bundle may not hold.
    #[error("export run '{run}': {problem}; see cto verify")]
    Form {
        /// The run's directory.
        run: String,
        /// What was found.
        problem: String,
    },
    /// A file changed between two reads.
    #[error("export run '{run}': '{file}' changed while it was read; nobody may write in a sealed run")]
    Changed {
        /// The run's directory.
        run: String,
        /// Name in the bundle.
        file: String,
    },
    /// There is a file already.
    #[error("write archive '{path}': it exists; remove it, or ask for it to be overwritten")]
    Exists {
        /// The archive.
        path: String,
    },
    /// The archive could not be written.
    #[error("write archive '{path}'")]
    Write {
        /// The archive.
        path: String,
        /// The system's error.
        source: io::Error,
    },
}

/// An archive that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// Where it is.
    pub path: PathBuf,
    /// Digest of its bytes.
    pub digest: Sha256Digest,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Files in it.
    pub files: usize,
}

/// Writes a sealed bundle's directory as an archive: sorted names, no times, no owners, mode 0644.
///
/// The same bundle always gives the same bytes. An existing file is kept unless `overwrite` says otherwise.
pub fn export(bundle_dir: &Path, out: &Path, overwrite: bool) -> Result<Exported, ExportError> {
    let bundle = Bundle::open(bundle_dir)?;
    let run = bundle.name().to_owned();
    if !bundle.path().is_dir() {
        return Err(ExportError::Form {
            run,
            problem: "it is an archive already".to_owned(),
        });
    }
    if !["SHA256SUMS", "attestation.dsse.json"]
        .iter()
        .all(|name| bundle.files().contains_key(*name))
    {
        return Err(ExportError::Unsealed { run });
    }
    if let Some(problem) = bundle.problems.first() {
        return Err(ExportError::Form {
            run,
            problem: problem.clone(),
        });
    }
    if run.parse::<cto_schema::RunId>().is_err() {
        return Err(ExportError::Form {
            run,
            problem: "its directory does not have a run's name".to_owned(),
        });
    }
    let failed = |source| ExportError::Write {
        path: shown(out),
        source,
    };
    if !overwrite && out.symlink_metadata().is_ok() {
        return Err(ExportError::Exists { path: shown(out) });
    }
    let parent = out
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut temporary = tempfile::NamedTempFile::new_in(parent).map_err(failed)?;
    let (digest, size_bytes) = write_archive(&bundle, temporary.as_file_mut(), out)?;
    temporary.as_file().sync_all().map_err(failed)?;
    let kept = if overwrite {
        temporary.persist(out)
    } else {
        temporary.persist_noclobber(out)
    };
    kept.map_err(|error| match error.error.kind() {
        io::ErrorKind::AlreadyExists => ExportError::Exists { path: shown(out) },
        _ => ExportError::Write {
            path: shown(out),
            source: error.error,
        },
    })?;
    File::open(parent).and_then(|dir| dir.sync_all()).map_err(failed)?;
    Ok(Exported {
        path: out.to_owned(),
        digest,
        size_bytes,
        files: bundle.files().len(),
    })
}

fn write_archive(bundle: &Bundle, file: &mut File, out: &Path) -> Result<(Sha256Digest, u64), ExportError> {
    let failed = |source| ExportError::Write {
        path: shown(out),
        source,
    };
    let hashed = Hashed {
        inner: file,
        hasher: Sha256::new(),
        size_bytes: 0,
    };
    let encoder = zstd::stream::write::Encoder::new(hashed, LEVEL).map_err(failed)?;
    let mut archive = tar::Builder::new(encoder);
    for (name, read) in bundle.files() {
        let changed = || ExportError::Changed {
            run: bundle.name().to_owned(),
            file: name.clone(),
        };
        let mut header = tar::Header::new_ustar();
        header.set_path(format!("{}/{name}", bundle.name())).map_err(failed)?;
        header.set_size(read.size_bytes);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_entry_type(tar::EntryType::Regular);
        header.set_cksum();
        let source = File::open(bundle.path().join(name)).map_err(|_| changed())?;
        let mut digested = Digested {
            inner: source.take(read.size_bytes),
            hasher: Sha256::new(),
            left: read.size_bytes,
        };
        archive.append(&header, &mut digested).map_err(failed)?;
        // What was archived must be what was read before, byte for byte.
        if digested.left != 0 || Sha256Digest::from_bytes(digested.hasher.finalize().into()) != read.digest {
            return Err(changed());
        }
    }
    let encoder = archive.into_inner().map_err(failed)?;
    let mut hashed = encoder.finish().map_err(failed)?;
    hashed.flush().map_err(failed)?;
    Ok((
        Sha256Digest::from_bytes(hashed.hasher.finalize().into()),
        hashed.size_bytes,
    ))
}

struct Hashed<W> {
    inner: W,
    hasher: Sha256,
    size_bytes: u64,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.size_bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

struct Digested<R> {
    inner: R,
    hasher: Sha256,
    left: u64,
}

impl<R: io::Read> io::Read for Digested<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        self.left = self.left.saturating_sub(read as u64);
        Ok(read)
    }
}
