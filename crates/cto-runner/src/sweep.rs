//! Sweeping an installation: caches that nothing uses, and what dead runs left behind.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use cto_evidence::{LiveError, is_live};

use crate::baseline::{BaselineError, GarbageReport};
use crate::layers::{LayerError, list, remove_unused};
use crate::request::Harness;

/// Age at which a private directory without a live run is a leftover.
const WORK_IS_OLD: Duration = Duration::from_secs(3600);

/// What a sweep removed.
#[derive(Debug, Default)]
pub struct Swept {
    /// From the baseline store.
    pub baselines: Option<GarbageReport>,
    /// Private directories of dead runs.
    pub work_directories: u64,
    /// Cache files.
    pub cache_files: u64,
    /// Layers that no contract of a kept run names; none unless it was asked for.
    pub layers: u64,
    /// What differs between a cached tree and its manifest.
    pub damaged: Vec<String>,
}

/// Why a sweep stopped.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The baseline store.
    #[error("sweep the baselines")]
    Baselines(#[from] BaselineError),
    /// The live markers.
    #[error("tell which runs live")]
    Live(#[from] LiveError),
    /// The layers.
    #[error("sweep the layers")]
    Layers(#[from] LayerError),
    /// A directory of ours.
    #[error("sweep {}", path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

/// Removes what was not used for `older_than`; with `check`, verifies every cached tree as well.
pub fn sweep(harness: &Harness, older_than: Duration, check: bool) -> Result<Swept, SweepError> {
    let mut swept = Swept::default();
    let store = harness.baselines()?;
    #[expect(
        clippy::disallowed_methods,
        reason = "ages of cache entries are wall-clock ages; no evidence depends on them"
    )]
    let now = SystemTime::now();
    swept.baselines = Some(store.gc(&[], older_than, now)?);
    if check {
        for tree in names(&store.root().join("trees"))? {
            let id = tree.split('-').next().unwrap_or(&tree);
            swept.damaged.extend(store.check(id)?.differences);
        }
    }
    let work = harness.home.work();
    for name in names(&work)? {
        let path = work.join(&name);
        let live = name
            .parse()
            .is_ok_and(|run_id| is_live(&harness.home, &run_id).unwrap_or(true));
        // A self-test that runs now has a directory here too, and no marker.
        let modified = std::fs::metadata(&path).and_then(|meta| meta.modified());
        let recent = modified.is_ok_and(|at| now.duration_since(at).map_or(true, |age| age < WORK_IS_OLD));
        if !live && !recent {
            std::fs::remove_dir_all(&path).map_err(|source| SweepError::Io { path, source })?;
            swept.work_directories += 1;
        }
    }
    let cache = harness.home.cache();
    for name in names(&cache)? {
        let path = cache.join(&name);
        let modified = std::fs::metadata(&path).and_then(|meta| meta.modified());
        let old = modified.is_ok_and(|at| now.duration_since(at).is_ok_and(|age| age > older_than));
        if old {
            let removed = if path.is_dir() {
                std::fs::remove_dir_all(&path)
            } else {
                std::fs::remove_file(&path)
            };
            removed.map_err(|source| SweepError::Io { path, source })?;
            swept.cache_files += 1;
        }
    }
    let layers = harness.home.layers();
    // Layers are made by hand and named in contracts, so only unfinished ones go by themselves.
    let used: BTreeSet<_> = list(&layers)?.into_iter().map(|layer| layer.digest).collect();
    swept.layers = remove_unused(&layers, &used)?.len() as u64;
    Ok(swept)
}

fn names(path: &std::path::Path) -> Result<Vec<String>, SweepError> {
    let entries = std::fs::read_dir(path).map_err(|source| SweepError::Io {
        path: path.to_owned(),
        source,
    })?;
    Ok(entries
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect())
}
