//! Dependency layers: frozen directories, named by the digest of their content, that sandboxes see read-only.

mod copy;
mod manifest;
mod store;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use cto_schema::{DependencyLayer, Sha256Digest};

pub use store::{check, freeze, list};
pub(crate) use store::{remove_unused, resolve};

/// What is to be frozen.
#[derive(Clone, Debug)]
pub struct FreezeRequest {
    /// The directory: `node_modules`, a virtual environment, a cargo vendor directory.
    pub source: PathBuf,
    /// Name for people.
    pub name: String,
    /// Absolute mount point in the sandbox.
    pub mount: PathBuf,
    /// Owner of the frozen files, when the harness is root.
    pub owner: Option<(u32, u32)>,
}

/// A frozen layer, ready for a contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frozen {
    /// The entry of `dependency_layers`.
    pub layer: DependencyLayer,
    /// Regular files in it.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Whether the same content was there already.
    pub reused: bool,
    /// What people must know before they use it.
    pub notes: Vec<String>,
}

/// A layer in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredLayer {
    /// Its name in the store.
    pub digest: Sha256Digest,
    /// Name for people, as first frozen.
    pub name: String,
    /// Where it was frozen from.
    pub source: String,
    /// Where it is meant to be mounted.
    pub mount: String,
    /// Regular files in it.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
}

/// Why a layer cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// The mount point is not a plain absolute path.
    #[error(
        "freeze '{name}': the mount point '{mount}' is not a plain absolute path outside /workspace/.git; give one such as /workspace/node_modules"
    )]
    Mount {
        /// The layer.
        name: String,
        /// The mount point, escaped.
        mount: String,
    },
    /// Something in the directory cannot be part of a layer.
    #[error("freeze '{path}': {problem}")]
    Entry {
        /// The entry, escaped.
        path: String,
        /// What it is, and how to mend it.
        problem: String,
    },
    /// A file cannot be read or written.
    #[error("{action} '{path}'")]
    File {
        /// What was being done.
        action: &'static str,
        /// The path, escaped.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A contract names a layer that is not in the store.
    #[error(
        "use the layer '{name}' ({digest}): it is not on this machine; run: cto deps freeze {source_path} --name {name} --mount {mount}"
    )]
    Missing {
        /// The layer.
        name: String,
        /// Its digest.
        digest: Sha256Digest,
        /// Where it was frozen from, escaped.
        source_path: String,
        /// Its mount point, escaped.
        mount: String,
    },
    /// What is in the store is not what its digest says.
    #[error("use the layer {digest}: {problem}; remove it from the store and freeze it again")]
    Damaged {
        /// Its digest.
        digest: Sha256Digest,
        /// What differs.
        problem: String,
    },
}

impl LayerError {
    fn file(action: &'static str, path: &std::path::Path, source: impl Into<std::io::Error>) -> Self {
        Self::File {
            action,
            path: shown(path),
            source: source.into(),
        }
    }
}

fn shown(path: &std::path::Path) -> String {
    cto_schema::escape(path.as_os_str().as_encoded_bytes(), 400)
}
