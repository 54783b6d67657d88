//! Checking an operator's SSH signature (PROTOCOL.sshsig), without any private key and without any other program.

use cto_schema::APPROVAL_NAMESPACE;
use ssh_key::{Algorithm, HashAlg, LineEnding, PublicKey, SshSig};

use super::AllowedSigners;

/// A signature that holds over some bytes; whose key it is, is another question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedSignature {
    /// The key, in the form of OpenSSH.
    pub key: String,
    /// Its fingerprint, `SHA256:…`.
    pub fingerprint: String,
    public: PublicKey,
}

/// Checks that a signature holds over bytes, in the namespace of approvals. The error says what is wrong.
pub fn check_signature(bytes: &[u8], armored: &str) -> Result<CheckedSignature, String> {
    let signature = SshSig::from_pem(armored).map_err(|_| "it is not an SSH signature".to_owned())?;
    // The reader forgives what it does not need; here a signature has one form.
    let dense = |text: &str| text.split_ascii_whitespace().collect::<String>();
    let again = signature.to_pem(LineEnding::LF).map_err(|error| error.to_string())?;
    if dense(&again) != dense(armored) {
        return Err("it is not written as OpenSSH writes it".to_owned());
    }
    let public = PublicKey::new(signature.public_key().clone(), "");
    super::signers::usable(&public)?;
    if signature.namespace() != APPROVAL_NAMESPACE {
        return Err(format!(
            "it was made for '{}', not for '{APPROVAL_NAMESPACE}'",
            cto_schema::escape(signature.namespace().as_bytes(), 60)
        ));
    }
    if signature.version() != SshSig::VERSION || !signature.reserved().is_empty() {
        return Err("it has a form that is not known here".to_owned());
    }
    public
        .verify(APPROVAL_NAMESPACE, bytes, &signature)
        .map_err(|_| "it is not a signature over these bytes".to_owned())?;
    touched(&signature)?;
    Ok(CheckedSignature {
        key: public.to_openssh().map_err(|error| error.to_string())?,
        fingerprint: public.fingerprint(HashAlg::Sha256).to_string(),
        public,
    })
}

/// A security key says in a flag whether somebody touched it (PROTOCOL.u2f); one that nobody did is only a program.
fn touched(signature: &SshSig) -> Result<(), String> {
    if signature.algorithm() != Algorithm::SkEd25519 {
        return Ok(());
    }
    // The signature's bytes end in one byte of flags and four of a counter.
    let bytes = signature.signature_bytes();
    let flags = bytes
        .len()
        .checked_sub(5)
        .and_then(|at| bytes.get(at))
        .copied()
        .unwrap_or(0);
    if flags & 1 == 1 {
        Ok(())
    } else {
        Err("nobody touched the security key".to_owned())
    }
}

impl CheckedSignature {
    /// Says whether the key is one of an actor's at a time; the error says what is wrong.
    pub fn belongs_to(&self, actor: &str, signers: &AllowedSigners, at_seconds: i64) -> Result<(), String> {
        let principals = signers.principals(&self.public, at_seconds);
        if principals.contains(&actor) {
            return Ok(());
        }
        let shown = cto_schema::escape(actor.as_bytes(), 100);
        if principals.is_empty() {
            return Err(format!("key {} is not among the allowed signers", self.fingerprint));
        }
        Err(format!(
            "key {} belongs to {}, not to {shown}",
            self.fingerprint,
            principals.join(", ")
        ))
    }
}
