//! Making, keeping and judging admission records.

mod build;
mod check;
mod identity;
mod status;
#[cfg(test)]
mod tests;
mod write;

pub use build::{BuildRequest, judge_made_build, make_build};
pub use check::{Checked, check_file};
pub use status::{EngineStatus, Step, StepState, engine_status};
pub use write::{WriteRecordError, Written, write_record};
