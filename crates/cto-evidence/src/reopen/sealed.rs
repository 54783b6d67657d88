//! Telling whether an unfinished run was sealed after all, and finishing what comes after the seal.

use std::io;
use std::os::fd::OwnedFd;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cto_schema::{Envelope, PAYLOAD_TYPE, Report, RunId, Sha256Digest, Statement, pre_authentication_encoding};
use ed25519_dalek::Signature;

use crate::durable;
use crate::home::Home;
use crate::keys::Keys;
use crate::ledger::{Ledger, NewEntry};
use crate::manifest::{ATTESTATION, SUMS};
use crate::reopen::ReopenError;
use crate::seal::Sealed;

/// Returns the sealed run, listed in the ledger; `None` when there is no seal of ours over the manifest on disk.
pub(crate) fn look(
    home: &Home,
    run_id: &RunId,
    dir: &OwnedFd,
    keys: &Keys,
    ledger: &Ledger,
) -> Result<Option<Sealed>, ReopenError> {
    let read = |name: &str| {
        durable::read_if_present_at(dir, name).map_err(|source| ReopenError::Mend {
            run_id: run_id.clone(),
            artifact: name.to_owned(),
            source,
        })
    };
    let (Some(envelope), Some(sums)) = (read(ATTESTATION)?, read(SUMS)?) else {
        return Ok(None);
    };
    let trusted = keys.verifying_keys().map_err(|source| ReopenError::Keys {
        run_id: run_id.clone(),
        source,
    })?;
    let manifest_digest = Sha256Digest::of(&sums);
    let Some(statement) = verified(&envelope, &trusted) else {
        return Ok(None);
    };
    let ours = statement.predicate.run_id == run_id.as_str()
        && matches!(&*statement.subject, [only] if only.name == SUMS && only.digest.sha256 == manifest_digest.hex());
    if !ours {
        return Ok(None);
    }
    let report = durable::read_at(dir, "report.json")
        .and_then(|bytes| serde_json::from_slice::<Report>(&bytes).map_err(io::Error::from));
    let report = report.map_err(|_| ReopenError::Report { run_id: run_id.clone() })?;
    // A crash between the rename of the envelope and its fsync: the seal counts once it is durable.
    durable::sync_dir(dir).map_err(|source| ReopenError::Mend {
        run_id: run_id.clone(),
        artifact: ATTESTATION.to_owned(),
        source,
    })?;
    let attestation_digest = Sha256Digest::of(&envelope);
    let new = NewEntry::of(run_id, &report, manifest_digest, attestation_digest);
    let entry = ledger.append(&new).map_err(|source| ReopenError::Ledger {
        run_id: run_id.clone(),
        source,
    })?;
    Ok(Some(Sealed {
        run_id: run_id.clone(),
        path: home.run(run_id),
        manifest_digest,
        attestation_digest,
        entry,
    }))
}

/// Returns the statement of an envelope that a trusted key signed.
fn verified(envelope: &[u8], trusted: &[(String, ed25519_dalek::VerifyingKey)]) -> Option<Statement> {
    let envelope: Envelope = serde_json::from_slice(envelope).ok()?;
    let [signature] = &*envelope.signatures else {
        return None;
    };
    let payload = STANDARD.decode(&envelope.payload).ok()?;
    let bytes = STANDARD.decode(&signature.sig).ok()?;
    let signature = Signature::from_slice(&bytes).ok()?;
    let signed = pre_authentication_encoding(PAYLOAD_TYPE, &payload);
    let holds = envelope.payload_type == PAYLOAD_TYPE
        && trusted
            .iter()
            .any(|(_, key)| key.verify_strict(&signed, &signature).is_ok());
    if holds {
        serde_json::from_slice(&payload).ok()
    } else {
        None
    }
}
