//! `enforcement.json`: which bounds held, by which mechanism, and what the kernel showed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The bounds of one sandbox, read back from the kernel where it shows them, else proven by a probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Enforcement {
    /// `cto/enforcement/1.0`.
    pub schema: String,
    /// `native`, `bwrap` or `none`.
    pub provider: String,
    /// Kernel release as `uname -r` says it.
    pub kernel: String,
    /// Landlock ABI that was used; null when none was.
    pub landlock_abi: Option<u32>,
    /// `overlay` or `copied`.
    pub workspace: String,
    /// Every bound, in a fixed order.
    pub bounds: Vec<Bound>,
}

impl Enforcement {
    /// Returns a bound by name.
    pub fn bound(&self, name: &str) -> Option<&Bound> {
        self.bounds.iter().find(|bound| bound.name == name)
    }
}

/// One bound.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Bound {
    /// Stable name, for example `network`.
    pub name: String,
    /// Whether it holds.
    pub state: BoundState,
    /// Mechanism and value.
    pub how: String,
    /// What the kernel showed afterwards; empty where it shows nothing.
    pub read_back: String,
}

/// Whether a bound holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BoundState {
    /// Not there.
    Absent,
    /// There, but weaker than on the newest kernel; `how` says in what.
    Weaker,
    /// Kept by the kernel.
    Enforced,
}
