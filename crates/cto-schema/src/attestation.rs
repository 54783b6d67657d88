//! The seal: a DSSE envelope (DSSE 1.0) around an in-toto Statement v1.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::blocker::{Blocker, Status};
use crate::digest::Sha256Digest;
use crate::enforcement::Enforcement;
use crate::report::VerificationLine;

/// DSSE payload type of in-toto statements.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// Type of an in-toto Statement v1.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// Type of our predicate. A URN: the project owns no domain that could promise to serve it.
pub const PREDICATE_TYPE: &str = "urn:cto:attestation:run:1.0";

/// A DSSE envelope (<https://github.com/secure-systems-lab/dsse>).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    /// Base64 of the statement's bytes.
    pub payload: String,
    /// [`PAYLOAD_TYPE`].
    pub payload_type: String,
    /// Exactly one signature in bundles that we make.
    pub signatures: Vec<EnvelopeSignature>,
}

/// One signature of an envelope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EnvelopeSignature {
    /// SHA-256 of the signer's SPKI in hexadecimal: a hint that picks a key, never a reason to trust it.
    pub keyid: String,
    /// Base64 of an Ed25519 signature over [`pre_authentication_encoding`].
    pub sig: String,
}

/// Returns the bytes that DSSE signs: `DSSEv1 <len> <type> <len> <payload>`.
pub fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut encoded = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    encoded.extend_from_slice(payload);
    encoded
}

/// An in-toto Statement v1 with our predicate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Statement {
    /// [`STATEMENT_TYPE`].
    #[serde(rename = "_type")]
    pub kind: String,
    /// Exactly one: `SHA256SUMS`.
    pub subject: Vec<Subject>,
    /// [`PREDICATE_TYPE`].
    pub predicate_type: String,
    /// What the harness says about the subject.
    pub predicate: RunPredicate,
}

/// A subject of a statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Subject {
    /// `SHA256SUMS`.
    pub name: String,
    /// Its digest.
    pub digest: SubjectDigest,
}

/// Digests of a subject in in-toto's DigestSet form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SubjectDigest {
    /// Hexadecimal SHA-256 without a prefix.
    pub sha256: String,
}

impl Subject {
    /// Returns the subject of a file with a digest.
    pub fn new(name: &str, digest: &Sha256Digest) -> Self {
        Self {
            name: name.to_owned(),
            digest: SubjectDigest { sha256: digest.hex() },
        }
    }
}

/// The predicate: what the signature covers besides the digests of every file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunPredicate {
    /// `cto/run/1.0`.
    pub schema: String,
    /// The run.
    pub run_id: String,
    /// The run's nonce, hexadecimal.
    pub nonce: String,
    /// Version of the harness.
    pub harness_version: String,
    /// The engine.
    pub backend: String,
    /// Digest of the contract's canonical form.
    pub contract_digest: Option<Sha256Digest>,
    /// Digest of `decision.json`.
    pub decision_digest: Option<Sha256Digest>,
    /// Commit that the run started from.
    pub baseline_commit: Option<String>,
    /// Its tree.
    pub baseline_tree: Option<String>,
    /// Digest of `patch.diff`.
    pub patch_digest: Option<Sha256Digest>,
    /// Digest of `write-set.json`.
    pub write_set_digest: Option<Sha256Digest>,
    /// Which bounds held.
    pub enforcement: Option<Enforcement>,
    /// The admitted model, `provider/model`; null when the engine has none.
    pub model: Option<String>,
    /// The verdict.
    pub status: Status,
    /// Why it is not a pass.
    pub blockers: Vec<Blocker>,
    /// Each verification command over the patched tree.
    pub verification: Vec<VerificationLine>,
    /// Digest of the last event line.
    pub event_chain_head: Sha256Digest,
    /// Head of the run ledger when the run started.
    pub ledger_head: Option<Sha256Digest>,
    /// RFC 3339 UTC.
    pub started_at: String,
    /// RFC 3339 UTC.
    pub finished_at: String,
    /// What the signature does not prove.
    pub limits_of_this_statement: String,
}
