//! How keys look on disk: PKCS#8 and SPKI in PEM, and the checks before one is believed.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use cto_schema::Sha256Digest;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::spki::der::zeroize::Zeroizing;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _};
use ed25519_dalek::{SigningKey, VerifyingKey};

use crate::durable;

/// The longest key file that is read, in bytes.
const KEY_FILE_MAX: u64 = 8 * 1024;

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A key file could not be read or written.
    #[error("use key file '{path}'")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// There is no signing key.
    #[error("sign: there is no key '{path}'; run `cto key create`")]
    NoSigningKey {
        /// Where it would be.
        path: PathBuf,
    },
    /// Others may read or change the private key.
    #[error("use private key '{path}': others have access (mode {mode:o}); run `chmod 600 '{path}'`")]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The private key belongs to another user.
    #[error("use private key '{path}': it belongs to user {owner}, not to {user}")]
    Owner {
        /// The file.
        path: PathBuf,
        /// Its owner's user id.
        owner: u32,
        /// Our user id.
        user: u32,
    },
    /// The private key file holds no Ed25519 key.
    #[error("use private key '{path}': it is not an Ed25519 key in PKCS#8 PEM; restore it, or run `cto key rotate`")]
    Private {
        /// The file.
        path: PathBuf,
    },
    /// The public key is not an Ed25519 key, or one that verifies anything.
    #[error("read public key: {reason}; give an Ed25519 key in SPKI PEM (`openssl pkey -pubout`)")]
    Public {
        /// What is wrong.
        reason: &'static str,
    },
    /// A trusted key's file is not named for its key.
    #[error(
        "trust '{path}': its name is not the id of the key in it; remove it, and run `cto key trust` with its source"
    )]
    WrongName {
        /// The file.
        path: PathBuf,
    },
    /// The key could not be made or written in its form.
    #[error("make a key: {reason}")]
    Make {
        /// What failed.
        reason: String,
    },
}

/// Returns a private key as PKCS#8 PEM, version 1: OpenSSL before 3.5 does not read version 2.
pub(crate) fn private_pem(key: &SigningKey) -> Result<Zeroizing<String>, KeyError> {
    let mut pair = ed25519_dalek::pkcs8::KeypairBytes {
        secret_key: key.to_bytes(),
        public_key: None,
    };
    let pem = pair.to_pkcs8_pem(LineEnding::LF).map_err(|error| KeyError::Make {
        reason: error.to_string(),
    });
    pair.secret_key.fill(0);
    pem
}

/// Returns a public key as SPKI PEM.
pub(crate) fn public_pem(key: &VerifyingKey) -> Result<String, KeyError> {
    key.to_public_key_pem(LineEnding::LF).map_err(|error| KeyError::Make {
        reason: error.to_string(),
    })
}

/// Returns a key's id: SHA-256 of its SPKI DER in hexadecimal.
pub(crate) fn keyid(key: &VerifyingKey) -> Result<String, KeyError> {
    let der = key.to_public_key_der().map_err(|error| KeyError::Make {
        reason: error.to_string(),
    })?;
    Ok(Sha256Digest::of(der.as_bytes()).hex())
}

/// Reads an Ed25519 public key in SPKI PEM (RFC 8410); keys of small order, for which anybody can sign, are refused.
pub fn public_key(pem: &[u8]) -> Result<VerifyingKey, KeyError> {
    let text = std::str::from_utf8(pem).map_err(|_| KeyError::Public {
        reason: "it is not text",
    })?;
    let key = VerifyingKey::from_public_key_pem(text.trim()).map_err(|_| KeyError::Public {
        reason: "it is not an Ed25519 key in SPKI PEM",
    })?;
    if key.is_weak() {
        return Err(KeyError::Public {
            reason: "it is a key of small order, for which anybody can sign",
        });
    }
    Ok(key)
}

/// Reads a private key after checking who else could; `None` when there is none.
pub(crate) fn read_private(dir: impl AsFd, name: &str, path: &Path) -> Result<Option<SigningKey>, KeyError> {
    let failed = |source| KeyError::Io {
        path: path.to_owned(),
        source,
    };
    let file = match durable::open_read_at(dir, name) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let stat = rustix::fs::fstat(&file).map_err(|error| failed(error.into()))?;
    let user = rustix::process::geteuid().as_raw();
    if stat.st_uid != user {
        return Err(KeyError::Owner {
            path: path.to_owned(),
            owner: stat.st_uid,
            user,
        });
    }
    let mode = stat.st_mode & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyError::Permissions {
            path: path.to_owned(),
            mode,
        });
    }
    // Full capacity from the start: a growing buffer would leave copies of the key behind.
    let mut text = Zeroizing::new(Vec::with_capacity(9 * 1024));
    file.take(KEY_FILE_MAX).read_to_end(&mut text).map_err(failed)?;
    let key = std::str::from_utf8(&text)
        .ok()
        .and_then(|text| SigningKey::from_pkcs8_pem(text).ok());
    key.map(Some).ok_or_else(|| KeyError::Private { path: path.to_owned() })
}

/// Overwrites a file's bytes; on copy-on-write storage this is all that a program can do, and it is not enough.
pub(crate) fn overwrite(file: &File) -> io::Result<()> {
    let len = file.metadata()?.len().min(KEY_FILE_MAX);
    let zeros = vec![0; usize::try_from(len).unwrap_or(0)];
    // The handle may be one that appends: then writes ignore the position.
    rustix::fs::fcntl_setfl(file, rustix::fs::OFlags::empty())?;
    let mut file = file;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&zeros)?;
    durable::sync_file(file)
}
