//! The installation's signing key and the public keys that it trusts, under `$CTO_HOME/keys/`.
//!
//! `signing.key` is PKCS#8 PEM with mode 0600; `signing.pub` and `trusted/<keyid>.pem` are SPKI PEM; a key's id is
//! the SHA-256 of its SPKI DER. `trusted/<keyid>.json` says what people want to know about a key.

mod dsse;
mod form;
mod signer;
#[cfg(test)]
mod tests;

pub use form::{KeyError, public_key};
pub use signer::Signer;

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use cto_schema::Sha256Digest;
use ed25519_dalek::VerifyingKey;
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use crate::clock::{rfc3339, wall_now};
use crate::durable;
use crate::home::Home;

const PRIVATE: &str = "signing.key";
const PUBLIC: &str = "signing.pub";
const TRUSTED: &str = "trusted";
const LOCK: &str = "lock";

/// What people want to know about a trusted key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct KeyNote {
    name: Option<String>,
    trusted_at: Option<String>,
    retired_at: Option<String>,
}

/// A public key that this installation trusts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedKey {
    /// SHA-256 of the key's SPKI DER, in hexadecimal.
    pub keyid: String,
    /// The key.
    pub key: VerifyingKey,
    /// What the operator calls it.
    pub name: Option<String>,
    /// Since when, RFC 3339 UTC; null when nobody noted it.
    pub trusted_at: Option<String>,
    /// Since when this installation no longer signs with it; bundles that it signed before still verify.
    pub retired_at: Option<String>,
    /// Whether this installation signs with it now.
    pub is_signing: bool,
}

/// Held while keys are written; the kernel releases it on death.
#[derive(Debug)]
struct KeysLock(#[expect(dead_code, reason = "held, not used")] std::fs::File);

/// The keys of one installation.
#[derive(Debug)]
pub struct Keys {
    path: PathBuf,
    dir: OwnedFd,
    trusted: OwnedFd,
}

impl Keys {
    /// Opens the keys of a home. Makes no key.
    pub fn open(home: &Home) -> Result<Self, KeyError> {
        let path = home.keys();
        let failed = |source| KeyError::Io {
            path: path.clone(),
            source,
        };
        let dir = home.keys_dir().try_clone_to_owned().map_err(failed)?;
        let trusted = match durable::open_dir_at(&dir, TRUSTED) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => match durable::make_dir_at(&dir, TRUSTED) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(failed(error));
                }
                _ => durable::open_dir_at(&dir, TRUSTED),
            },
            other => other,
        };
        let trusted = trusted.map_err(failed)?;
        Ok(Self { path, dir, trusted })
    }

    /// Returns the signer, after making a key when there is none. Processes that race agree on one key.
    pub fn ensure_signing_key(&self) -> Result<Signer, KeyError> {
        if let Some(signer) = self.load()? {
            return Ok(signer);
        }
        let lock = self.lock()?;
        if let Some(signer) = self.read()? {
            self.mend(&lock, &signer)?;
            return Ok(signer);
        }
        let signer = Signer::generate()?;
        self.publish(&lock, &signer)?;
        let pem = form::private_pem(signer.signing_key())?;
        durable::write_new(&self.dir, PRIVATE, pem.as_bytes()).map_err(|source| self.failed(PRIVATE, source))?;
        Ok(signer)
    }

    /// Returns the signer of the existing key.
    pub fn signer(&self) -> Result<Signer, KeyError> {
        self.load()?.ok_or_else(|| KeyError::NoSigningKey {
            path: self.path.join(PRIVATE),
        })
    }

    /// Replaces the signing key. The old public key stays trusted and is marked as retired; the old private key is
    /// overwritten and removed. Returns the new signer.
    pub fn rotate(&self) -> Result<Signer, KeyError> {
        let lock = self.lock()?;
        let old = self.read()?;
        let new = Signer::generate()?;
        self.publish(&lock, &new)?;
        let pem = form::private_pem(new.signing_key())?;
        let old_file = durable::open_append_at(&self.dir, PRIVATE).ok();
        durable::write_replacing(&self.dir, PRIVATE, pem.as_bytes()).map_err(|source| self.failed(PRIVATE, source))?;
        if let Some(file) = old_file {
            form::overwrite(&file).map_err(|source| self.failed(PRIVATE, source))?;
        }
        if let Some(old) = old {
            self.publish_trusted(old.verifying_key())?;
            let mut note = self.note(old.keyid())?;
            note.retired_at = Some(rfc3339(wall_now()));
            self.write_note(old.keyid(), &note)?;
        }
        Ok(new)
    }

    /// Trusts a public key in SPKI PEM and returns its id. A key that is trusted already keeps its name unless a
    /// new one is given.
    pub fn trust(&self, pem: &[u8], name: Option<&str>) -> Result<String, KeyError> {
        let key = form::public_key(pem)?;
        let keyid = form::keyid(&key)?;
        let _lock = self.lock()?;
        self.publish_trusted(&key)?;
        let mut note = self.note(&keyid)?;
        note.trusted_at.get_or_insert_with(|| rfc3339(wall_now()));
        if let Some(name) = name {
            note.name = Some(cto_schema::escape(name.as_bytes(), 200));
        }
        self.write_note(&keyid, &note)?;
        Ok(keyid)
    }

    /// Returns every trusted key, sorted by id.
    pub fn list(&self) -> Result<Vec<TrustedKey>, KeyError> {
        let signing = match durable::read_if_present_at(&self.dir, PUBLIC) {
            Ok(Some(pem)) => form::keyid(&form::public_key(&pem)?)?,
            Ok(None) => String::new(),
            Err(source) => return Err(self.failed(PUBLIC, source)),
        };
        let mut found = Vec::new();
        for file in durable::names(&self.trusted).map_err(|source| self.failed(TRUSTED, source))? {
            let Some(keyid) = file
                .strip_suffix(".pem")
                .filter(|id| Sha256Digest::from_hex(id).is_some())
            else {
                continue;
            };
            let place = format!("{TRUSTED}/{file}");
            let pem = durable::read_at(&self.trusted, &file).map_err(|source| self.failed(&place, source))?;
            let key = form::public_key(&pem)?;
            if form::keyid(&key)? != keyid {
                return Err(KeyError::WrongName {
                    path: self.path.join(place),
                });
            }
            let KeyNote {
                name,
                trusted_at,
                retired_at,
            } = self.note(keyid)?;
            let is_signing = keyid == signing;
            found.push(TrustedKey {
                keyid: keyid.to_owned(),
                key,
                name,
                trusted_at,
                retired_at,
                is_signing,
            });
        }
        Ok(found)
    }

    /// Returns the keys that verify bundles here, by id.
    pub fn verifying_keys(&self) -> Result<Vec<(String, VerifyingKey)>, KeyError> {
        Ok(self
            .list()?
            .into_iter()
            .map(|trusted| (trusted.keyid, trusted.key))
            .collect())
    }

    /// Returns the public key that this installation signs with, as SPKI PEM.
    pub fn signing_pem(&self) -> Result<String, KeyError> {
        form::public_pem(self.signer()?.verifying_key())
    }

    /// Reads the private key, and mends what a crash left half done beside it.
    fn load(&self) -> Result<Option<Signer>, KeyError> {
        let Some(signer) = self.read()? else {
            return Ok(None);
        };
        if !self.is_published(&signer)? {
            let lock = self.lock()?;
            // Another process may have rotated while we waited.
            let Some(now) = self.read()? else {
                return Ok(None);
            };
            self.mend(&lock, &now)?;
            return Ok(Some(now));
        }
        Ok(Some(signer))
    }

    fn read(&self) -> Result<Option<Signer>, KeyError> {
        form::read_private(&self.dir, PRIVATE, &self.path.join(PRIVATE))?
            .map(Signer::new)
            .transpose()
    }

    fn mend(&self, lock: &KeysLock, signer: &Signer) -> Result<(), KeyError> {
        if self.is_published(signer)? {
            Ok(())
        } else {
            self.publish(lock, signer)
        }
    }

    fn is_published(&self, signer: &Signer) -> Result<bool, KeyError> {
        let pem = form::public_pem(signer.verifying_key())?;
        let public = durable::read_if_present_at(&self.dir, PUBLIC).map_err(|source| self.failed(PUBLIC, source))?;
        let trusted = durable::exists_at(&self.trusted, &format!("{}.pem", signer.keyid()));
        Ok(public.as_deref() == Some(pem.as_bytes()) && trusted.map_err(|source| self.failed(TRUSTED, source))?)
    }

    /// Writes the public half of a signing key.
    fn publish(&self, _lock: &KeysLock, signer: &Signer) -> Result<(), KeyError> {
        self.publish_trusted(signer.verifying_key())?;
        let mut note = self.note(signer.keyid())?;
        if note.trusted_at.is_none() {
            note.trusted_at = Some(rfc3339(wall_now()));
            note.name = Some("this installation".to_owned());
            self.write_note(signer.keyid(), &note)?;
        }
        let pem = form::public_pem(signer.verifying_key())?;
        durable::write_replacing(&self.dir, PUBLIC, pem.as_bytes()).map_err(|source| self.failed(PUBLIC, source))
    }

    fn publish_trusted(&self, key: &VerifyingKey) -> Result<(), KeyError> {
        let file = format!("{}.pem", form::keyid(key)?);
        let pem = form::public_pem(key)?;
        let written = durable::write_replacing(&self.trusted, &file, pem.as_bytes());
        written.map_err(|source| self.failed(&format!("{TRUSTED}/{file}"), source))
    }

    fn note(&self, keyid: &str) -> Result<KeyNote, KeyError> {
        let file = format!("{keyid}.json");
        let read = durable::read_if_present_at(&self.trusted, &file);
        let bytes = read.map_err(|source| self.failed(&format!("{TRUSTED}/{file}"), source))?;
        // The note only helps people: one that cannot be read is as good as none.
        Ok(bytes
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default())
    }

    fn write_note(&self, keyid: &str, note: &KeyNote) -> Result<(), KeyError> {
        let file = format!("{keyid}.json");
        let place = format!("{TRUSTED}/{file}");
        let text = serde_json::to_vec_pretty(note).map_err(|error| self.failed(&place, error.into()))?;
        durable::write_replacing(&self.trusted, &file, &text).map_err(|source| self.failed(&place, source))
    }

    /// Serialises whatever writes keys, and removes what a crash left, which may be a private key.
    fn lock(&self) -> Result<KeysLock, KeyError> {
        let opened = match durable::create_at(&self.dir, LOCK) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => durable::open_append_at(&self.dir, LOCK),
            other => other,
        };
        let file = opened.map_err(|source| self.failed(LOCK, source))?;
        rustix::fs::flock(&file, FlockOperation::LockExclusive).map_err(|error| self.failed(LOCK, error.into()))?;
        for dir in [&self.dir, &self.trusted] {
            self.sweep(dir).map_err(|source| self.failed("", source))?;
        }
        Ok(KeysLock(file))
    }

    fn sweep(&self, dir: &OwnedFd) -> io::Result<()> {
        for name in durable::names(dir)? {
            if name.starts_with(durable::TEMPORARY_PREFIX) {
                form::overwrite(&durable::open_append_at(dir, &name)?)?;
                durable::remove_at(dir, &name)?;
            }
        }
        Ok(())
    }

    fn failed(&self, name: &str, source: io::Error) -> KeyError {
        KeyError::Io {
            path: self.path.join(name),
            source,
        }
    }
}
