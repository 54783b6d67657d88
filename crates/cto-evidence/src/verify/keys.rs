//! Keys that the caller trusts: the bundle names one, it never brings one.

use cto_schema::Sha256Digest;
use ed25519_dalek::VerifyingKey;

use crate::approvals::AllowedSigners;
use crate::keys::{KeyError, Keys, TrustedKey};

/// DER of `SubjectPublicKeyInfo` for Ed25519 (RFC 8410), up to the 32 key bytes.
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Returns a key's id: the SHA-256 of its SPKI in hexadecimal.
pub fn keyid_of(key: &VerifyingKey) -> String {
    let spki = [&SPKI_PREFIX[..], key.as_bytes()].concat();
    Sha256Digest::of(&spki).hex()
}

/// A key that the caller trusts.
#[derive(Clone, Debug)]
pub struct KnownKey {
    keyid: String,
    name: String,
    key: VerifyingKey,
}

impl KnownKey {
    /// Trusts a key under a name; its id is computed, not told.
    pub fn new(name: impl Into<String>, key: VerifyingKey) -> Self {
        Self {
            keyid: keyid_of(&key),
            name: name.into(),
            key,
        }
    }

    /// Returns the key's id.
    pub fn keyid(&self) -> &str {
        &self.keyid
    }

    /// Returns the name under which it is trusted.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the key.
    pub fn key(&self) -> &VerifyingKey {
        &self.key
    }
}

/// The keys that a signature may be from.
#[derive(Clone, Debug, Default)]
pub struct TrustedKeys {
    keys: Vec<KnownKey>,
    signers: Option<AllowedSigners>,
}

impl TrustedKeys {
    /// Trusts these keys.
    pub fn new(keys: Vec<KnownKey>) -> Self {
        Self { keys, signers: None }
    }

    /// Trusts what an installation trusts: its own keys, retired ones included, and those of others.
    pub fn of_installation(keys: &Keys) -> Result<Self, KeyError> {
        let named = |key: TrustedKey| {
            let name = key
                .name
                .unwrap_or_else(|| if key.is_signing { "this installation" } else { "unnamed" }.to_owned());
            KnownKey::new(name, key.key)
        };
        Ok(keys.list()?.into_iter().map(named).collect())
    }

    /// Believes also these operators: whose approvals and outcomes count. Without, signatures are checked, and whose they
    /// are is not asked.
    #[must_use]
    pub fn with_signers(mut self, signers: AllowedSigners) -> Self {
        self.signers = Some(signers);
        self
    }

    /// Returns the operators that are believed; `None` when nobody said who they are.
    pub fn signers(&self) -> Option<&AllowedSigners> {
        self.signers.as_ref()
    }

    /// Returns the key with an id.
    pub fn find(&self, keyid: &str) -> Option<&KnownKey> {
        self.keys.iter().find(|key| key.keyid == keyid)
    }
}

impl FromIterator<KnownKey> for TrustedKeys {
    fn from_iter<I: IntoIterator<Item = KnownKey>>(keys: I) -> Self {
        Self::new(keys.into_iter().collect())
    }
}
