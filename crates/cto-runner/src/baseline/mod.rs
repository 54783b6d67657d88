//! Frozen baselines: the raw content of a commit's tree, and a git directory that an agent may use, both made by us.

pub(crate) mod beneath;
mod error;
mod frozen;
mod gc;
mod layer;
mod lock;
mod manifest;
mod objects;
mod store;
mod tree;

#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;

pub use error::BaselineError;
pub use frozen::Baseline;
pub use gc::{Collected as GarbageReport, TreeCheck};
pub use objects::{ObjectFormat, ObjectSource};
pub use store::{BaselineKey, BaselineStore};

pub(crate) use lock::Lock;
pub(crate) use objects::{configuration, create, init_bare};
