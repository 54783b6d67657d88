//! Looking at a planning workspace: its tree, its files, and the bundles that its documents name. Nothing is followed and
//! nothing is written, but for a new workspace.

mod bundles;
mod create;
mod tree;

pub use bundles::{BundlePlaces, look_at_bundle};
pub use create::{CreateError, create_workspace};
pub use tree::{TreeError, WorkspaceFile, WorkspaceTree};
