//! Facts about admissions: the records as read, and the world that they are held against.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BuildAdmission, ModelAdmission, PackagePin, ProviderDecision, RecordFact, SourceAdmission};
use crate::digest::Sha256Digest;

/// Everything that the admission gates look at. Nothing here holds an endpoint or a credential.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AdmissionFacts {
    /// The wall clock when the records were read, in seconds since 1970.
    pub judged_at_seconds: i64,
    /// Whether the engine may run only after a provider decision, and only as a recorded build.
    pub decision_required: bool,
    /// The provider decision.
    pub decision: RecordFact<ProviderDecision>,
    /// The requested model and its admission.
    pub model: ModelFacts,
    /// The source admission.
    pub source: RecordFact<SourceAdmission>,
    /// The build admission.
    pub build: RecordFact<BuildAdmission>,
    /// The binary as it is now.
    pub binary: BinaryFacts,
}

/// The requested model, its admission, and how its provider can be reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModelFacts {
    /// Requested provider, escaped; null when none was.
    pub provider: Option<String>,
    /// Requested model, escaped; null when none was.
    pub model: Option<String>,
    /// `flag`, `environment`, `file`, `profile` or `record`; empty when nothing was requested.
    pub requested_by: String,
    /// What to set to request a model or to name a record.
    pub how_to_request: String,
    /// The admission record.
    pub admission: RecordFact<ModelAdmission>,
    /// How each provider of the requested pair and its admitted fallbacks can be reached; the requested one first.
    pub providers: Vec<ProviderReach>,
    /// The provider's name inside the engine, where it differs.
    pub runtime_provider: Option<String>,
    /// Hosts with port that programs of the engine may reach through the gateway besides the model, escaped.
    #[serde(default)]
    pub egress: Vec<String>,
    /// Tools of the provider that may reach a network, as they are written in settings.
    #[serde(default)]
    pub provider_tools: Vec<String>,
}

/// How a provider can be reached, without saying where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProviderReach {
    /// Its name, escaped.
    pub provider: String,
    /// `external`, `local`, or empty when the provider is not known.
    pub class: String,
    /// Whether an endpoint is configured and can be used.
    pub endpoint_configured: bool,
    /// What is wrong with the endpoint and what to set; empty when nothing is.
    pub endpoint_detail: String,
    /// `environment`, `file`, `keyring`, `command`, `none`; empty when nothing is configured.
    pub credential_class: String,
    /// Whether the credential's source is there; its value is never looked at.
    pub credential_present: bool,
    /// What is wrong with the credential's source and what to set; empty when nothing is.
    pub credential_detail: String,
}

/// The engine's binary as it is now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BinaryFacts {
    /// The resolved path, escaped; null when it is not a file that can be read.
    pub path: Option<String>,
    /// Its size.
    pub size_bytes: u64,
    /// Its digest.
    pub digest: Option<Sha256Digest>,
    /// Whether it may be executed.
    pub executable: bool,
    /// The installed package, where the record names one.
    pub package: Option<PackagePin>,
    /// Digest over every file of the package, where the record names one.
    pub package_digest: Option<Sha256Digest>,
    /// Why it could not be looked at; empty when it was.
    pub detail: String,
}
