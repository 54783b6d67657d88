//! The board as a document: entries, their order, and what can be begun.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What `cto workspace board --json` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkspaceBoard {
    /// `cto/workspace-board/1.0`.
    pub schema: String,
    /// The workboard's file, relative to the workspace, escaped.
    pub file: String,
    /// Every entry, in the order of the file.
    pub entries: Vec<BoardEntry>,
    /// Ids in an order in which each comes after what blocks it; entries in or behind a cycle are missing.
    pub order: Vec<String>,
    /// Ids that can be worked on now: not validated, with nothing before them that is not, and no human gate.
    pub next: Vec<String>,
    /// Ids that wait for a person alone.
    pub waiting_for_people: Vec<String>,
    /// Each cycle among the blockers, as ids in order.
    pub cycles: Vec<Vec<String>>,
}

/// One entry of a workboard. Every text is escaped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BoardEntry {
    /// Its id.
    pub id: String,
    /// What it is about.
    pub title: String,
    /// `AFK` (an agent can do it alone) or `HITL` (a human is in the loop).
    #[serde(rename = "type")]
    pub kind: String,
    /// Its status.
    pub status: String,
    /// Ids of the entries that must be validated before it.
    pub blocked_by: Vec<String>,
    /// What a person must do before it, in prose.
    pub human_gates: Vec<String>,
    /// What shows that it is done.
    pub evidence: Vec<String>,
    /// The line on which it starts, from 1.
    pub line: u32,
}
