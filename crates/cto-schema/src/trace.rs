//! `trace.jsonl`: the harness's own actions and checks, with monotonic times.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One span of `trace.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Span {
    /// What was done, for example `baseline.prepare`.
    pub name: String,
    /// Start, in nanoseconds on `CLOCK_BOOTTIME` since the run's start, as decimal text.
    pub start_ns: String,
    /// End, likewise.
    pub end_ns: String,
    /// `ok`, or what went wrong.
    pub outcome: String,
    /// What was looked at, as text, escaped.
    pub detail: String,
}
