//! The key that seals bundles, in memory.

use std::fmt;

use ed25519_dalek::pkcs8::spki::der::zeroize::Zeroizing;
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};

use crate::keys::form::{self, KeyError};

/// A signing key. Its bytes are wiped when it is dropped and never printed.
pub struct Signer {
    key: SigningKey,
    public: VerifyingKey,
    keyid: String,
}

impl Signer {
    pub(crate) fn new(key: SigningKey) -> Result<Self, KeyError> {
        let public = key.verifying_key();
        let keyid = form::keyid(&public)?;
        Ok(Self { key, public, keyid })
    }

    pub(crate) fn generate() -> Result<Self, KeyError> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed).map_err(|error| KeyError::Make {
            reason: error.to_string(),
        })?;
        Self::new(SigningKey::from_bytes(&seed))
    }

    pub(crate) fn signing_key(&self) -> &SigningKey {
        &self.key
    }

    /// Returns the key's id: SHA-256 of its SPKI DER in hexadecimal.
    pub fn keyid(&self) -> &str {
        &self.keyid
    }

    /// Returns the public key.
    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.public
    }

    /// Signs bytes with Ed25519 (RFC 8032).
    pub(crate) fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        self.key.sign(bytes).to_bytes()
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("keyid", &self.keyid)
            .finish_non_exhaustive()
    }
}
