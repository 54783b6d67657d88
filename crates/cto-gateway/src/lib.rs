//! The model endpoint of a run: admits one model, injects the credential, forwards, counts (spec 11).
//!
//! The gateway is a process of its own. It accepts on a listener that was born in the engine's network namespace, and
//! it alone reads the credential: no other process and no other crate ever holds one.

mod order;
mod record;
pub mod scripted;

pub use order::{
    Budget, CredentialSource, Dialect, GatewayLimits, GatewayOrder, Preflight, Price, ProviderTool, Route,
};
pub use record::{CallOutcome, CallRecord, CallSide, EgressRecord, Record, RefusalReason, RefusedCall, TokenUsage};
