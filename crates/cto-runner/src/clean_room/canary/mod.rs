//! The canary: one failing test, appended to a file that a verification command really collects.
//!
//! Exit status 0 is evidence only when the same command fails with the canary in place. A canary that is not
//! collected lets the command pass, which is reported as untrusted: every doubt here errs on that side. The danger
//! is the opposite, a canary that breaks the file instead of failing in it, so the appended code is kept minimal.

mod arguments;
mod cargo;
mod command;
mod filter;
mod go;
mod javascript;
mod node;
mod pytest;
mod python;
mod scene;
mod toml;
mod tree;
mod unittest;
mod words;

#[cfg(test)]
mod tests;

pub(crate) use tree::{LayeredTree, TreeView};

use command::Call;
use scene::{Scene, refuse};

/// A failing test for one verification command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Canary {
    /// The recognised runner.
    pub(crate) runner: &'static str,
    /// The file that the test is appended to, relative to the root of the tree.
    pub(crate) file: Vec<u8>,
    /// The whole new content of that file.
    pub(crate) content: Vec<u8>,
    /// Name of the failing test.
    pub(crate) test_name: String,
}

/// Why no canary can be made for a command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}; give the contract a canary_patch that makes this command fail")]
pub(crate) struct NoCanary {
    /// What was seen.
    pub(crate) reason: String,
}

/// What is known about the patch and the contract.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hints<'a> {
    /// Paths that the patch changes.
    pub(crate) changed: &'a [Vec<u8>],
    /// Globs of tests and their configuration, from the contract.
    pub(crate) verification_inputs: &'a [String],
}

type Recogniser = fn(&Scene<'_>, &Call) -> Result<Canary, NoCanary>;

/// Every runner that a canary can be made for.
const RUNNERS: &[(&str, Recogniser)] = &[
    ("pytest", pytest::canary),
    ("unittest", unittest::canary),
    ("cargo test", cargo::canary),
    ("cargo nextest", cargo::canary),
    ("go test", go::canary),
    ("vitest", javascript::vitest),
    ("jest", javascript::jest),
    ("node --test", node::canary),
    ("bun test", javascript::bun),
];

/// Makes the canary of one command over one tree; `seed` is random, so that code under test cannot look for a name.
pub(crate) fn generate(
    tree: &dyn TreeView,
    argv: &[String],
    hints: Hints<'_>,
    seed: [u8; 8],
) -> Result<Canary, NoCanary> {
    let scene = Scene::new(tree, hints, seed);
    let call = command::recognise(&scene, argv)?;
    match RUNNERS.iter().find(|(name, _)| *name == call.runner) {
        Some((_, recogniser)) => recogniser(&scene, &call),
        None => refuse(format!("there is no canary for {}", call.runner)),
    }
}
