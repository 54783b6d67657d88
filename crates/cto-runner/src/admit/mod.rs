//! Making, keeping and judging admission records.

mod build;
mod chain;
mod check;
mod identity;
#[cfg(test)]
mod tests;
mod write;

pub use build::{BuildRequest, judge_made_build, make_build};
pub use chain::{ChainState, ChainStep, EngineChain, engine_chain};
pub use check::{Checked, check_file, check_model};
pub use write::{WriteRecordError, Written, write_record};
