//! What the harness asks of a gateway: everything but the credential itself.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The order of one gateway; it travels over the control socket and is never written anywhere.
///
/// It names the upstream endpoint, which must not reach an artifact, an argument list or a log (spec 00, law 6).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayOrder {
    /// The admitted pair first, then admitted fallbacks; the model of a request picks its route. Never empty.
    pub routes: Vec<Route>,
    /// Wire formats that the engine may speak.
    pub dialects: Vec<Dialect>,
    /// Sizes, times and counts.
    pub limits: GatewayLimits,
    /// What the run may use up.
    pub budget: Budget,
    /// Tools that the provider would run, and that may reach a network; anything not listed is refused.
    pub provider_tools: Vec<ProviderTool>,
    /// Fields at the top of a request that pass besides those that every gateway knows; what is judged by its value
    /// stays judged.
    pub request_fields: Vec<String>,
    /// What is asked of the upstream before the engine starts.
    pub preflight: Preflight,
    /// Host names (with port, `host:443`) that `CONNECT` may reach, for package registries; empty: none.
    pub egress: Vec<String>,
}

/// One admitted model and where it is served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The admitted provider's name; identity only.
    pub provider: String,
    /// The admitted model: exactly what a request must say and what a response must name.
    pub model: String,
    /// Scheme, host and path before `/chat/completions`, `/responses` or `/v1/messages`: an OpenAI-style base ends in
    /// `/v1` where the provider wants it, an Anthropic-style base does not.
    pub base_url: String,
    /// Where the credential comes from.
    pub credential: CredentialSource,
    /// Prices for the budget in money; null when unknown, and a cost is then not reported.
    pub price: Option<Price>,
}

/// Where the gateway's process takes a credential from; never a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum CredentialSource {
    /// The upstream wants none (a local server).
    None,
    /// A variable of the gateway's own environment.
    Environment(String),
    /// A file of mode 0600 or stricter, owned by the harness's user, no symbolic link.
    File(PathBuf),
    /// The desktop keyring, by service and account (Secret Service, through `secret-tool`).
    Keyring {
        /// The attribute `service`.
        service: String,
        /// The attribute `account`.
        account: String,
    },
    /// A program that prints the credential, such as a secret manager's client; an absolute path first.
    Command(Vec<String>),
}

/// A wire format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// OpenAI Chat Completions: `POST /v1/chat/completions`.
    ChatCompletions,
    /// OpenAI Responses: `POST /v1/responses`.
    Responses,
    /// Anthropic Messages: `POST /v1/messages`.
    Messages,
}

/// Sizes, times and counts of one gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GatewayLimits {
    /// Largest request body, as sent and after decompression.
    pub request_bytes: u64,
    /// Largest response, as sent and after decompression.
    pub response_bytes: u64,
    /// Largest single event of a stream.
    pub event_bytes: u64,
    /// Largest header block.
    pub header_bytes: u64,
    /// Calls at a time.
    pub parallel_calls: u32,
    /// Calls of one run.
    pub calls: u32,
    /// How often a call with the same body may be repeated after the upstream failed it.
    pub retries: u32,
    /// From the moment at which a judged request is handed on, connecting and sending included, to the first byte of the
    /// response's body; a response that is one document has as long again for its end.
    pub first_byte_ms: u64,
    /// Between two events or keep-alives of a stream, and between two pieces that move through a tunnel in either direction.
    /// Keep-alives alone go on no longer than the larger of this and `first_byte_ms`.
    pub idle_ms: u64,
    /// To connect to the upstream, TLS included.
    pub connect_ms: u64,
}

impl Default for GatewayLimits {
    fn default() -> Self {
        Self {
            request_bytes: 32 << 20,
            response_bytes: 64 << 20,
            event_bytes: 8 << 20,
            header_bytes: 64 << 10,
            parallel_calls: 64,
            calls: 2000,
            retries: 3,
            first_byte_ms: 180_000,
            idle_ms: 120_000,
            connect_ms: 15_000,
        }
    }
}

/// What a run may use up; null means no bound. What is passed is less than one call: others wait for those under way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Budget {
    /// Tokens, input and output together.
    pub tokens: Option<u64>,
    /// Millionths of a US dollar.
    pub cost_micro_usd: Option<u64>,
}

/// Prices in millionths of a US dollar for a million tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Input tokens.
    pub input: u64,
    /// Input tokens that were served from a cache.
    pub cached_input: u64,
    /// Output tokens, reasoning included.
    pub output: u64,
}

/// A tool that the provider runs itself and that can reach a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderTool {
    /// Web search of any dialect.
    WebSearch,
    /// Fetching addresses: URL inputs, web fetch.
    Fetch,
    /// Connectors: MCP servers that the provider calls.
    Connector,
    /// Code that the provider runs.
    CodeExecution,
}

/// What is asked of the upstream before the engine starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preflight {
    /// Nothing: a hosted provider is asked by the engine's own first call.
    #[default]
    None,
    /// List the models, then one small completion with a realistic budget (1024 tokens); spec 04.
    Local,
}
