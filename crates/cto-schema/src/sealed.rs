//! Documents that are sealed like a run and are none: what they are, and what is signed about them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::attestation::Subject;
use crate::digest::Sha256Digest;
use crate::version::SchemaId;

/// Type of the predicate about a document. A URN, as for runs.
pub const DOCUMENT_PREDICATE_TYPE: &str = "urn:cto:attestation:document:1.0";

/// A kind of sealed document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DocumentKind {
    /// Stage 6: a candidate against its lanes.
    Comparison,
    /// Real accepted runs, checked again for repeatability.
    Refresh,
    /// A Core Promotion Decision Packet.
    Packet,
    /// The report of a matrix of engines, cases and repeats.
    Matrix,
}

impl DocumentKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Comparison, Self::Refresh, Self::Packet, Self::Matrix];

    /// Returns the word used in ids and in documents.
    pub fn word(self) -> &'static str {
        match self {
            Self::Comparison => "comparison",
            Self::Refresh => "refresh",
            Self::Packet => "packet",
            Self::Matrix => "matrix",
        }
    }

    /// Returns the directory of `$CTO_HOME` that holds one directory for each document.
    pub fn directory(self) -> &'static str {
        match self {
            Self::Comparison => "comparisons",
            Self::Refresh => "refreshes",
            Self::Packet => "packets",
            Self::Matrix => "matrix-reports",
        }
    }

    /// Returns the name of the document itself; its Markdown twin has the same stem.
    pub fn file(self) -> &'static str {
        match self {
            Self::Comparison => "stage6-candidate-default-comparison.json",
            Self::Refresh => "stage6-real-governed-refresh-comparison.json",
            Self::Packet => "core-promotion-decision-packet.json",
            Self::Matrix => "matrix.json",
        }
    }

    /// Returns the schema of the document.
    pub fn schema(self) -> SchemaId {
        match self {
            Self::Comparison => SchemaId::CANDIDATE_COMPARISON,
            Self::Refresh => SchemaId::REFRESH,
            Self::Packet => SchemaId::DECISION_PACKET,
            Self::Matrix => SchemaId {
                name: "matrix",
                major: 1,
                minor: 0,
            },
        }
    }

    /// Returns the name of the Markdown twin.
    pub fn markdown_file(self) -> String {
        format!("{}.md", self.file().trim_end_matches(".json"))
    }
}

/// An in-toto Statement v1 about a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DocumentStatement {
    /// The type of in-toto statements.
    #[serde(rename = "_type")]
    pub kind: String,
    /// Exactly one: `SHA256SUMS`.
    pub subject: Vec<Subject>,
    /// [`DOCUMENT_PREDICATE_TYPE`].
    pub predicate_type: String,
    /// What the harness says about the subject.
    pub predicate: DocumentPredicate,
}

/// The predicate: what the signature covers besides the digests of every file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DocumentPredicate {
    /// `cto/sealed-document/1.0`.
    pub schema: String,
    /// What it is.
    pub kind: DocumentKind,
    /// Its id; also the name of its directory.
    pub document_id: String,
    /// 256 random bits, hexadecimal: an operator's word names them.
    pub nonce: String,
    /// Name of the document in the directory.
    pub document: String,
    /// Its digest.
    pub document_digest: Sha256Digest,
    /// Version of the harness that made it.
    pub harness_version: String,
    /// When, RFC 3339 UTC.
    pub made_at: String,
    /// What it rests on: the id of each bundle or document, with the digest of its `SHA256SUMS`.
    pub rests_on: BTreeMap<String, Sha256Digest>,
    /// What the signature does not prove.
    pub limits_of_this_statement: String,
}
