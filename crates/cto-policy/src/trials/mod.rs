//! Trials: the order of a matrix's cells, what became of each, and the report over all of them.

mod aggregate;
mod compare;
mod judge;
mod order;
mod summary;
#[cfg(test)]
mod tests;

pub use aggregate::{Reported, aggregate};
pub use judge::{SeenCell, judge_cell};
pub use order::{ORDER, PlannedCell, cell_at, plan_problem, planned_cells};
