//! `SHA256SUMS`: the digest of every file in a bundle, in the format of `sha256sum -c`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::AsFd;

use cto_schema::Sha256Digest;
use rustix::fs::FileType;
use sha2::{Digest as _, Sha256};

use crate::durable;
use crate::run_dir::{Artifact, name};

/// Name of the manifest.
pub(crate) const SUMS: &str = "SHA256SUMS";
/// Name of the seal.
pub(crate) const ATTESTATION: &str = "attestation.dsse.json";

/// Why a manifest was not made.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// A file could not be read.
    #[error("read artifact '{artifact}'")]
    Read {
        /// Name in the bundle.
        artifact: String,
        /// The system's error.
        source: io::Error,
    },
    /// The directory holds something that no writer of ours makes.
    #[error("list '{artifact}': the run directory holds {what}; nobody but cto may write there")]
    Foreign {
        /// Name in the bundle.
        artifact: String,
        /// What it is.
        what: &'static str,
    },
    /// A file is not what was written.
    #[error("list '{artifact}': it changed after it was written; nobody but cto may write in a run directory")]
    Changed {
        /// Name in the bundle.
        artifact: String,
    },
    /// A file that was written is gone.
    #[error("list '{artifact}': it was written and is gone; nobody but cto may write in a run directory")]
    Gone {
        /// Name in the bundle.
        artifact: String,
    },
}

/// Returns the manifest of a directory, sorted by the bytes of the names. Every regular file is read; what is on
/// disk must be what `written` remembers.
pub(crate) fn make(dir: impl AsFd, written: &BTreeMap<String, Artifact>) -> Result<Vec<u8>, ManifestError> {
    let digests = digests(dir)?;
    for (artifact, remembered) in written {
        match digests.get(artifact) {
            Some(found) if *found == remembered.digest => {}
            Some(_) => {
                return Err(ManifestError::Changed {
                    artifact: artifact.clone(),
                });
            }
            None => {
                return Err(ManifestError::Gone {
                    artifact: artifact.clone(),
                });
            }
        }
    }
    Ok(text(&digests))
}

/// Returns the manifest of these files, in the format of `sha256sum`.
pub(crate) fn text(digests: &BTreeMap<String, Sha256Digest>) -> Vec<u8> {
    let mut text = String::with_capacity(digests.len() * 96);
    for (artifact, digest) in digests {
        text.push_str(&digest.hex());
        text.push_str("  ");
        text.push_str(artifact);
        text.push('\n');
    }
    text.into_bytes()
}

/// Returns the digest of every file in a directory but the manifest and the seal.
pub(crate) fn digests(dir: impl AsFd) -> Result<BTreeMap<String, Sha256Digest>, ManifestError> {
    let mut digests = BTreeMap::new();
    collect(dir, "", &mut digests)?;
    Ok(digests)
}

fn collect(dir: impl AsFd, prefix: &str, digests: &mut BTreeMap<String, Sha256Digest>) -> Result<(), ManifestError> {
    let dir = dir.as_fd();
    let failed = |artifact: &str, source| ManifestError::Read {
        artifact: artifact.to_owned(),
        source,
    };
    for (file, kind) in durable::entries(dir).map_err(|source| failed(prefix, source))? {
        let artifact = if prefix.is_empty() {
            file.clone()
        } else {
            format!("{prefix}/{file}")
        };
        if artifact == SUMS || artifact == ATTESTATION {
            continue;
        }
        if name::parse(&artifact).is_none() {
            let shown = cto_schema::escape(artifact.as_bytes(), 200);
            return Err(ManifestError::Foreign {
                artifact: shown,
                what: "a name that is not an artifact's",
            });
        }
        match kind {
            FileType::RegularFile => {
                let digest = durable::open_read_at(dir, &file).and_then(digest_of);
                digests.insert(artifact.clone(), digest.map_err(|source| failed(&artifact, source))?);
            }
            FileType::Directory => {
                let below = durable::open_dir_at(dir, &file).map_err(|source| failed(&artifact, source))?;
                collect(below, &artifact, digests)?;
            }
            _ => {
                return Err(ManifestError::Foreign {
                    artifact,
                    what: "a link or a special file",
                });
            }
        }
    }
    Ok(())
}

/// Returns the digest of the rest of a file.
pub(crate) fn digest_of(mut file: File) -> io::Result<Sha256Digest> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(Sha256Digest::from_bytes(hasher.finalize().into())),
            read => hasher.update(&buffer[..read]),
        }
    }
}
