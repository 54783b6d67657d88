//! Normalized events: one JSON object a line, hash-chained (spec 01).

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;

/// The type of a normalized event. `engine.*` quotes the engine and is never read as state; everything else is
/// written by the harness alone.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema, strum::VariantArray,
)]
pub enum EventType {
    /// The run directory exists and the nonce is drawn.
    #[serde(rename = "run.started")]
    RunStarted,
    /// The contract was read and digested.
    #[serde(rename = "task.contract.created")]
    TaskContractCreated,
    /// The harness's own plan of the run.
    #[serde(rename = "plan.updated")]
    PlanUpdated,
    /// An approval is needed.
    #[serde(rename = "approval.requested")]
    ApprovalRequested,
    /// A valid approval was consumed.
    #[serde(rename = "approval.granted")]
    ApprovalGranted,
    /// No valid approval.
    #[serde(rename = "approval.denied")]
    ApprovalDenied,
    /// A gate refused; no engine process exists.
    #[serde(rename = "backend.gate.blocked")]
    BackendGateBlocked,
    /// The engine's change was collected as a patch.
    #[serde(rename = "patch.applied")]
    PatchApplied,
    /// The patch was judged against the contract.
    #[serde(rename = "git.diff.checked")]
    GitDiffChecked,
    /// The clean room is done.
    #[serde(rename = "verification.completed")]
    VerificationCompleted,
    /// The verdict.
    #[serde(rename = "run.completed")]
    RunCompleted,
    /// Text from the engine.
    #[serde(rename = "engine.message")]
    EngineMessage,
    /// A plan from the engine.
    #[serde(rename = "engine.plan")]
    EnginePlan,
    /// A tool call that the engine says it made.
    #[serde(rename = "engine.tool_call")]
    EngineToolCall,
    /// A file change that the engine says it made.
    #[serde(rename = "engine.file_change")]
    EngineFileChange,
    /// Usage that the engine reports.
    #[serde(rename = "engine.usage")]
    EngineUsage,
    /// An error that the engine reports.
    #[serde(rename = "engine.error")]
    EngineError,
    /// One call through the model gateway.
    #[serde(rename = "model.request")]
    ModelRequest,
    /// A refused call at the model gateway.
    #[serde(rename = "model.refused")]
    ModelRefused,
    /// A forbidden action was attempted.
    #[serde(rename = "forbidden_action.attempted")]
    ForbiddenActionAttempted,
    /// A bound refused something that the engine tried.
    #[serde(rename = "bound.refused")]
    BoundRefused,
    /// The operator's outcome.
    #[serde(rename = "operator.outcome")]
    OperatorOutcome,
}

impl EventType {
    /// Returns the name as written in documents.
    pub fn name(self) -> String {
        serde_json::to_value(self)
            .ok()
            .and_then(|v| v.as_str().map(str::to_owned))
            .unwrap_or_default()
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

/// One line of `events.normalized.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Position in the stream, from 0.
    pub seq: u32,
    /// Wall clock, RFC 3339 UTC with microseconds; for display only.
    pub ts: String,
    /// Nanoseconds on `CLOCK_BOOTTIME` since the run's start, as decimal text.
    pub mono_ns: String,
    /// The run that this event belongs to.
    pub run_id: String,
    /// The event's type.
    #[serde(rename = "type")]
    pub kind: EventType,
    /// SHA-256 of the previous line without its newline; of the 32 nonce bytes for the first line.
    pub prev: Sha256Digest,
    /// The event's data, an object whose fields depend on `type`.
    pub data: serde_json::Value,
}
