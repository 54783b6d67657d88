//! Admissions: small reviewed records that say what may be used. None holds a secret.

mod blank;
mod build;
mod decision;
mod facts;
mod model;
mod moment;
mod read;
mod repository;
mod secret;
mod source;
mod text;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::VariantArray as _;

use crate::digest::Sha256Digest;
use crate::version::SchemaId;

pub use build::{BuildAdmission, IdentityCheck};
pub use decision::{DecisionStatus, ProviderClass, ProviderDecision};
pub use facts::{AdmissionFacts, BinaryFacts, ModelFacts, ProviderReach};
pub use model::{ModelAdmission, ModelPair};
pub use moment::Moment;
pub use read::{RECORD_MAX_BYTES, RecordError, read_object, read_record};
pub use repository::{RepositoryAdmission, RepositoryStatus};
pub use secret::looks_like_a_secret;
pub use source::{LicenceNote, LicenceStatus, PackagePin, SourceAdmission};
pub use text::{
    BranchName, CommitId, Integrity, InvalidText, Line, ModelName, PackageName, PackageVersion, ProviderName,
    RecordedPath, TagName, WebAddress, Word,
};

/// The kinds of records.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, strum::VariantArray,
)]
#[serde(rename_all = "snake_case")]
pub enum RecordKind {
    /// [`ProviderDecision`].
    Decision,
    /// [`ModelAdmission`].
    Model,
    /// [`SourceAdmission`].
    Source,
    /// [`BuildAdmission`].
    Build,
    /// [`RepositoryAdmission`].
    Repository,
}

impl RecordKind {
    /// Returns every kind, in the order of the chain.
    pub fn all() -> &'static [Self] {
        Self::VARIANTS
    }

    /// Returns the word used on the command line and in file names.
    pub fn word(self) -> &'static str {
        match self {
            Self::Decision => "decision",
            Self::Model => "model",
            Self::Source => "source",
            Self::Build => "build",
            Self::Repository => "repository",
        }
    }

    /// Returns the schema of its records.
    pub fn schema(self) -> SchemaId {
        match self {
            Self::Decision => SchemaId::PROVIDER_DECISION,
            Self::Model => SchemaId::MODEL_ADMISSION,
            Self::Source => SchemaId::SOURCE_ADMISSION,
            Self::Build => SchemaId::BUILD_ADMISSION,
            Self::Repository => SchemaId::REPOSITORY_ADMISSION,
        }
    }

    /// Returns the field that no other kind has.
    fn own_field(self) -> &'static str {
        match self {
            Self::Decision => "decision_status",
            Self::Model => "admission_timestamp",
            Self::Source => "source_name",
            Self::Build => "binary_sha256",
            Self::Repository => "risk_classification",
        }
    }

    /// Guesses the kind of a record from its fields; `None` when it could be none or several.
    pub fn guess(fields: &serde_json::Map<String, serde_json::Value>) -> Option<Self> {
        let mut found = Self::all().iter().filter(|kind| fields.contains_key(kind.own_field()));
        match (found.next(), found.next()) {
            (Some(kind), None) => Some(*kind),
            _ => None,
        }
    }
}

/// A type of record.
pub trait Record: serde::de::DeserializeOwned {
    /// Its kind.
    const KIND: RecordKind;
}

impl Record for ProviderDecision {
    const KIND: RecordKind = RecordKind::Decision;
}

impl Record for ModelAdmission {
    const KIND: RecordKind = RecordKind::Model;
}

impl Record for SourceAdmission {
    const KIND: RecordKind = RecordKind::Source;
}

impl Record for BuildAdmission {
    const KIND: RecordKind = RecordKind::Build;
}

impl Record for RepositoryAdmission {
    const KIND: RecordKind = RecordKind::Repository;
}

/// A record as a fact: what was found where one was looked for. The default admits nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordFact<T> {
    /// Whether a file was named or found.
    pub present: bool,
    /// Why it cannot be used; null when it was read.
    pub problem: Option<String>,
    /// Digest of the bytes that were read.
    pub digest: Option<Sha256Digest>,
    /// What it says.
    pub record: Option<T>,
}

impl<T> Default for RecordFact<T> {
    fn default() -> Self {
        Self::absent()
    }
}

impl<T> RecordFact<T> {
    /// Returns the fact that there is no record.
    pub fn absent() -> Self {
        Self {
            present: false,
            problem: None,
            digest: None,
            record: None,
        }
    }

    /// Returns the fact that there is a record that cannot be used.
    pub fn unusable(problem: String, digest: Option<Sha256Digest>) -> Self {
        Self {
            present: true,
            problem: Some(problem),
            digest,
            record: None,
        }
    }

    /// Returns the fact that a record was read.
    pub fn read(record: T, digest: Sha256Digest) -> Self {
        Self {
            present: true,
            problem: None,
            digest: Some(digest),
            record: Some(record),
        }
    }
}

#[cfg(test)]
mod tests;
