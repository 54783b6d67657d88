//! Provider decision: which class of provider an operator decided for. It admits nothing by itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::blank;
use super::text::{Line, ModelName, ProviderName, Word};

/// A provider decision record (spec 04).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProviderDecision {
    /// `cto/provider-decision/1.0`, which is also meant when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// What was decided.
    pub decision_status: DecisionStatus,
    /// Class of the provider; blank while nothing is decided.
    #[serde(default, with = "blank")]
    #[schemars(with = "String")]
    pub provider_class: Option<ProviderClass>,
    /// The provider; blank while nothing is decided.
    #[serde(default, with = "blank")]
    #[schemars(with = "String")]
    pub provider: Option<ProviderName>,
    /// The model; blank while nothing is decided.
    #[serde(default, with = "blank")]
    #[schemars(with = "String")]
    pub model: Option<ModelName>,
    /// The provider that may stand in.
    #[serde(default, with = "blank")]
    #[schemars(with = "String")]
    pub fallback_provider: Option<ProviderName>,
    /// Its model.
    #[serde(default, with = "blank")]
    #[schemars(with = "String")]
    pub fallback_model: Option<ModelName>,
    /// Who decided, and where that is written.
    #[serde(default, with = "blank")]
    #[schemars(with = "String")]
    pub approval_source: Option<Line>,
    /// The class of the credential; never the credential.
    #[serde(default, with = "blank")]
    #[schemars(with = "String")]
    pub credential_source_class: Option<Word>,
    /// The class of network; never an address.
    #[serde(default, with = "blank")]
    #[schemars(with = "String")]
    pub allowed_network_class: Option<Word>,
    /// What makes this decision due for review.
    pub review_trigger: Line,
    /// What the decision rests on.
    #[serde(default)]
    pub evidence_sources: Vec<Line>,
    /// What follows from it, for people.
    pub effect: Line,
    /// What a run must show to have kept to this decision, for people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence_expectations: Vec<Line>,
}

/// What was decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, strum::VariantArray)]
#[serde(rename_all = "snake_case")]
pub enum DecisionStatus {
    /// Nothing; nothing may run.
    #[default]
    NotDecided,
    /// An external provider may be used.
    ExternalProviderApproved,
    /// Only a local provider may be used.
    LocalProviderRequired,
}

impl DecisionStatus {
    /// Returns the word used in documents.
    pub fn word(self) -> &'static str {
        match self {
            Self::NotDecided => "not_decided",
            Self::ExternalProviderApproved => "external_provider_approved",
            Self::LocalProviderRequired => "local_provider_required",
        }
    }
}

/// The class of a provider that can be decided for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, strum::VariantArray)]
#[serde(rename_all = "snake_case")]
pub enum ProviderClass {
    /// Anthropic's own service.
    ExternalAnthropic,
    /// `OpenAI` Codex over OAuth.
    ExternalOpenaiCodex,
    /// A local server that the Case engine can talk to.
    LocalCaseCompatible,
}

impl ProviderClass {
    /// Returns the word used in documents.
    pub fn word(self) -> &'static str {
        match self {
            Self::ExternalAnthropic => "external_anthropic",
            Self::ExternalOpenaiCodex => "external_openai_codex",
            Self::LocalCaseCompatible => "local_case_compatible",
        }
    }

    /// Returns whether the provider runs elsewhere.
    pub fn is_external(self) -> bool {
        match self {
            Self::ExternalAnthropic | Self::ExternalOpenaiCodex => true,
            Self::LocalCaseCompatible => false,
        }
    }
}

impl std::fmt::Display for ProviderClass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

impl std::str::FromStr for ProviderClass {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        use strum::VariantArray as _;
        Self::VARIANTS
            .iter()
            .find(|class| class.word() == text)
            .copied()
            .ok_or("a provider's class is external_anthropic, external_openai_codex or local_case_compatible")
    }
}
