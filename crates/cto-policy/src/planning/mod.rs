//! Planning workspaces: documents in, findings out.
//!
//! [`Planner::read`] looks at each file by itself, [`Planner::ask`] says what only the world can tell (does this file,
//! this commit, this bundle exist, and what does it say), and [`Planner::judge`] puts all of it together.

mod board;
mod claims;
mod criteria;
mod drift;
mod front;
mod graph;
mod issues;
mod judge;
mod judge_board;
mod judge_issues;
mod markdown;
mod notes;
mod page;
mod phrases;
mod reading;
mod records;
mod references;
mod secrets;
mod structure;
#[cfg(test)]
mod tests;
mod tree;
mod workboard;
mod world;

pub use board::{dot, mermaid};
pub use claims::is_run_id;
pub use reading::{FileReading, Planner, PlanningError};
pub use world::{BundleAnswer, BundleFacts, BundleQuestion, CommitAnswer, WorldAnswers, WorldQuestions};
