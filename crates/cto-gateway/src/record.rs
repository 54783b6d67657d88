//! What a gateway tells the harness: one JSON line for each thing that happened, digests and numbers only.

use serde::{Deserialize, Serialize};

use crate::order::{Dialect, ProviderTool};

/// One line from the gateway. No body, no header value, no endpoint and no credential is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case", deny_unknown_fields)]
pub enum Record {
    /// The listener is served; always the first line, or [`Record::Unavailable`] is.
    Ready,
    /// The gateway cannot serve; always the only line.
    Unavailable {
        /// Why, as one of the reasons of an outcome.
        outcome: CallOutcome,
        /// For people: names the credential's source or the failing step, never the endpoint.
        detail: String,
    },
    /// A call was admitted and is about to be forwarded; its [`Record::Call`] follows.
    Begun {
        /// Its position.
        seq: u32,
    },
    /// A call that was forwarded, finished or failed.
    Call(CallRecord),
    /// A call that was not forwarded.
    Refused(RefusedCall),
    /// A `CONNECT` to an admitted host, at its end.
    Egress(EgressRecord),
    /// The gateway has stopped accepting and every call has ended; always the last line.
    Closed,
}

/// One call that was forwarded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallRecord {
    /// Position among calls, refused ones included, from 1.
    pub seq: u32,
    /// The route's provider.
    pub provider: String,
    /// The model that was asked for; it is admitted.
    pub model: String,
    /// Whether the route is a fallback of the admission.
    pub fallback: bool,
    /// The wire format.
    pub dialect: Dialect,
    /// Whether a stream was asked for.
    pub stream: bool,
    /// How often the same body was sent before.
    pub retry: u32,
    /// Bytes of the request's body, decoded.
    pub request_bytes: u64,
    /// SHA-256 of the request's body, decoded, hexadecimal.
    pub request_sha256: String,
    /// Bytes of the response's body, decoded.
    pub response_bytes: u64,
    /// SHA-256 of the response's body, decoded, hexadecimal.
    pub response_sha256: String,
    /// The upstream's status; null when it never answered.
    pub status: Option<u16>,
    /// How it ended.
    pub outcome: CallOutcome,
    /// Whose doing the end was.
    pub side: CallSide,
    /// A short sentence for people, capped, without endpoint, body or credential; empty for a completed call.
    pub detail: String,
    /// The model that the response named; null when it named none.
    pub served_model: Option<String>,
    /// The response's own word for why it finished (`stop`, `tool_calls`, `end_turn`, `max_tokens`, …).
    pub finish: Option<String>,
    /// Tool calls in the response.
    pub tool_calls: u32,
    /// Tokens; null when the response did not say.
    pub usage: Option<TokenUsage>,
    /// Cost in millionths of a US dollar; null without prices or usage.
    pub cost_micro_usd: Option<u64>,
    /// From the moment at which the judged request is handed on, connecting and sending included, to the first byte of the
    /// response's body, in microseconds.
    pub first_byte_us: Option<u64>,
    /// From the request's head to the end, in microseconds.
    pub duration_us: u64,
}

/// Tokens of one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenUsage {
    /// Input, cached input included.
    pub input: u64,
    /// Input served from a cache.
    pub cached_input: u64,
    /// Output, reasoning included.
    pub output: u64,
    /// Reasoning.
    pub reasoning: u64,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallOutcome {
    /// The whole response was passed on.
    Completed,
    /// The response has no content and no tool call, only reasoning.
    ReasoningOnly,
    /// The upstream could not be reached: name, connection or TLS.
    Unreachable,
    /// The upstream does not accept the credential: 401 or 403.
    Unauthorized,
    /// The upstream does not have the model: 404.
    NotFound,
    /// The upstream limits the rate: 429.
    RateLimited,
    /// Another 4xx.
    Rejected,
    /// A 5xx.
    UpstreamError,
    /// A redirect, which is never followed, or another status that is no answer.
    UnexpectedStatus,
    /// No first byte of the body in time.
    FirstByteTimeout,
    /// Silence in the middle of a response.
    IdleTimeout,
    /// The connection ended before the response did.
    Cut,
    /// The response is not what the wire format says: no JSON, no events, invalid UTF-8, compression that lies.
    Malformed,
    /// The response or one of its events is larger than allowed.
    TooLarge,
    /// The response names another model than the admitted one; it was not passed on to its end.
    ModelMismatch,
    /// A tool call whose arguments do not parse; its finishing event was not passed on.
    TruncatedToolCall,
    /// The response holds the credential; it was not passed on.
    CredentialEchoed,
    /// The engine closed its connection first.
    EngineGone,
    /// The budget was used up by this call.
    BudgetExhausted,
    /// The credential could not be had from its source.
    CredentialUnavailable,
    /// The upstream's endpoint is not configured or cannot be parsed.
    NotConfigured,
}

/// Whose doing an end was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallSide {
    /// Nobody's fault: it completed.
    None,
    /// The upstream's.
    Upstream,
    /// The engine's.
    Engine,
    /// The gateway's own limits.
    Gateway,
}

/// A call that was not forwarded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefusedCall {
    /// Position among calls, from 1.
    pub seq: u32,
    /// Why.
    pub reason: RefusalReason,
    /// What was seen, capped and still untrusted: the reader escapes it.
    pub detail: String,
    /// The method, capped and untrusted.
    pub method: String,
    /// The path, capped and untrusted.
    pub path: String,
    /// The model that was asked for, capped and untrusted.
    pub model: Option<String>,
}

/// Why a call was not forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalReason {
    /// Another model than an admitted one, or none.
    ModelNotAdmitted,
    /// A path or method that no admitted wire format has.
    PathNotAdmitted,
    /// `CONNECT` or an absolute address to a host that is not admitted.
    HostNotAdmitted,
    /// A header that is not admitted because it changes routing, or a request that two parsers may read differently.
    AmbiguousRequest,
    /// A protocol upgrade, such as WebSocket.
    UpgradeNotAdmitted,
    /// A tool that the provider runs and that is not admitted.
    ProviderToolNotAdmitted(ProviderTool),
    /// A body that is no JSON object, has duplicate keys, or lies about its compression.
    BodyUnreadable,
    /// Larger than allowed.
    TooLarge,
    /// More calls, or more at a time, than allowed.
    TooMany,
    /// The same body failed too often.
    RetriesExhausted,
    /// The budget is used up.
    BudgetExhausted,
}

/// One connection to an admitted host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EgressRecord {
    /// Position among calls, from 1.
    pub seq: u32,
    /// The admitted host and port.
    pub host: String,
    /// Bytes from the engine.
    pub sent_bytes: u64,
    /// Bytes to the engine.
    pub received_bytes: u64,
    /// Whether the host could be reached.
    pub connected: bool,
    /// Duration in microseconds.
    pub duration_us: u64,
}
