//! Model admission: the one pair of provider and model that an engine may use, and admitted fallbacks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::moment::Moment;
use super::text::{Line, ModelName, ProviderName, Word};

/// A model admission record (spec 04).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelAdmission {
    /// `cto/model-admission/1.0`, which is also meant when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// When it was admitted.
    pub admission_timestamp: Moment,
    /// The class of network that the model is reached through; never an address.
    pub allowed_network_class: Word,
    /// Who admitted it, and where that is written.
    pub approval_source: Line,
    /// The class of the credential; never the credential.
    pub credential_source_class: Word,
    /// What a run must show to have kept to this admission, for people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence_expectations: Vec<Line>,
    /// When the admission ends; a date ends it at its start in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Moment>,
    /// Further admitted pairs, in the order in which they may be used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fallback: Vec<ModelPair>,
    /// The admitted model.
    pub model: ModelName,
    /// The admitted provider.
    pub provider: ProviderName,
    /// What makes this admission due for review.
    pub review_trigger: Line,
    /// `admitted`; every other word admits nothing.
    pub status: Word,
}

/// A provider and one of its models.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelPair {
    /// The provider.
    pub provider: ProviderName,
    /// The model.
    pub model: ModelName,
}

impl std::fmt::Display for ModelPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.provider, self.model)
    }
}

impl ModelAdmission {
    /// Returns the admitted pair.
    pub fn pair(&self) -> ModelPair {
        ModelPair {
            provider: self.provider.clone(),
            model: self.model.clone(),
        }
    }
}
