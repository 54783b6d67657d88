//! The model endpoint of a run: admits one model, injects the credential, forwards, counts (spec 11).
//!
//! The gateway is a process of its own. It accepts on a listener that was born in the engine's network namespace, and
//! it alone reads the credential: no other process and no other crate ever holds one.

mod accounts;
mod admit;
mod body;
mod call;
mod child;
mod control;
mod credential;
mod decode;
mod echo;
mod egress;
mod forward;
mod gateway;
mod head;
mod json;
mod order;
mod preflight;
mod process;
mod provider_tools;
mod record;
mod records_out;
mod relay;
mod reply;
mod request;
mod request_fields;
pub mod scripted;
mod server;
mod stream;
mod upstream;
mod usage;
mod wire;

pub use child::gateway_main;
pub use control::GATEWAY_ARGUMENT;
pub use credential::credential_file_fault;
pub use order::{
    Budget, CredentialSource, Dialect, GatewayLimits, GatewayOrder, Preflight, Price, ProviderTool, Route,
};
pub use process::{GatewayError, GatewayProcess};
pub use record::{CallOutcome, CallRecord, CallSide, EgressRecord, Record, RefusalReason, RefusedCall, TokenUsage};
