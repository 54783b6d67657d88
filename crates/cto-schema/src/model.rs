//! What the harness saw of an engine's model: calls through the gateway, counted and judged there.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::VariantArray as _;

/// The model gateway of a run. The gateway counted; nothing here is the engine's word.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModelObservation {
    /// The admitted provider.
    pub provider: String,
    /// The admitted model.
    pub model: String,
    /// Why the gateway could not serve at all; no engine was started then.
    pub unavailable: Option<ModelEnd>,
    /// How the gateway was lost before it had closed its record; null when it closed it.
    pub lost: Option<String>,
    /// Calls that were forwarded.
    pub calls: u32,
    /// Calls that were answered to their end.
    pub completed: u32,
    /// Calls of an admitted fallback that were answered, by `provider/model`.
    pub fallbacks: BTreeMap<String, u32>,
    /// Calls that failed, by how they ended.
    pub failures: BTreeMap<ModelOutcome, u32>,
    /// How the last forwarded call ended that the engine waited for; null when there was none.
    pub last: Option<ModelEnd>,
    /// Failures that no later success mends: another model served, the credential in a response. At most 20.
    pub violations: Vec<ModelEnd>,
    /// Calls that were not forwarded, by reason.
    pub refused: BTreeMap<ModelRefusal, RefusedCalls>,
    /// Tokens and money.
    pub usage: ModelUsage,
}

/// Calls that were not forwarded for one reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RefusedCalls {
    /// How many.
    pub count: u32,
    /// What was refused, escaped, each once, at most 20.
    pub named: Vec<String>,
}

impl ModelObservation {
    /// Returns how many calls failed.
    pub fn failed_calls(&self) -> u32 {
        self.failures.values().sum()
    }

    /// Returns how many calls were not forwarded.
    pub fn refused_calls(&self) -> u32 {
        self.refused.values().map(|refused| refused.count).sum()
    }

    /// Returns what was refused for a reason, as one text; `None` when nothing was.
    pub fn refused_for(&self, reason: ModelRefusal) -> Option<String> {
        self.refused.get(&reason).map(|refused| refused.named.join("; "))
    }
}

/// How one call ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModelEnd {
    /// The kind of end.
    pub outcome: ModelOutcome,
    /// A short sentence, without endpoint, body or credential.
    pub detail: String,
}

/// Tokens and money of a run, as the provider counted them; 64-bit numbers are decimal text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModelUsage {
    /// Input tokens, cached ones included.
    pub input_tokens: String,
    /// Input tokens that came from a cache.
    pub cached_input_tokens: String,
    /// Output tokens, reasoning included.
    pub output_tokens: String,
    /// Reasoning tokens.
    pub reasoning_tokens: String,
    /// Completed calls whose response named no usage.
    pub calls_without_usage: u32,
    /// Millionths of a US dollar; null without prices.
    pub cost_micro_usd: Option<String>,
}

/// The kind of end of a call.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, strum::VariantArray,
)]
#[serde(rename_all = "snake_case")]
pub enum ModelOutcome {
    /// The whole response was passed on.
    Completed,
    /// Only reasoning, no content and no tool call.
    ReasoningOnly,
    /// The provider could not be reached.
    Unreachable,
    /// The provider does not accept the credential.
    Unauthorized,
    /// The provider does not have the model.
    NotFound,
    /// The provider limits the rate.
    RateLimited,
    /// The provider rejects the request.
    Rejected,
    /// The provider failed.
    UpstreamError,
    /// A redirect, or another status that is no answer.
    UnexpectedStatus,
    /// No answer in time.
    FirstByteTimeout,
    /// Silence in the middle of an answer.
    IdleTimeout,
    /// The answer was cut off.
    Cut,
    /// The answer is not what its wire format says.
    Malformed,
    /// The answer is larger than allowed.
    TooLarge,
    /// The answer names another model than the admitted one.
    ModelMismatch,
    /// A tool call whose arguments do not parse.
    TruncatedToolCall,
    /// The answer holds the credential.
    CredentialEchoed,
    /// The engine went away first.
    EngineGone,
    /// The budget was used up.
    BudgetExhausted,
    /// The credential could not be had from its source.
    CredentialUnavailable,
    /// The endpoint is not configured.
    NotConfigured,
}

impl ModelOutcome {
    /// Returns every kind of end.
    pub fn all() -> &'static [Self] {
        Self::VARIANTS
    }
}

/// Why a call was not forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ModelRefusal {
    /// Another model than an admitted one, or none.
    ModelNotAdmitted,
    /// A path or method that no admitted wire format has.
    PathNotAdmitted,
    /// A host that is not admitted.
    HostNotAdmitted,
    /// A request that two parsers may read differently.
    AmbiguousRequest,
    /// A protocol upgrade.
    UpgradeNotAdmitted,
    /// A tool that the provider runs and that can reach a network.
    ProviderToolNotAdmitted,
    /// A body that cannot be read strictly.
    BodyUnreadable,
    /// Larger than allowed.
    TooLarge,
    /// More calls than allowed.
    TooMany,
    /// The same body failed too often.
    RetriesExhausted,
    /// The budget is used up.
    BudgetExhausted,
}
