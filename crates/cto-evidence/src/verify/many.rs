//! Checking many bundles at once, a few threads over one list.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::once::fail_shared_approvals;
use super::{LedgerView, TrustedKeys, VerificationOutcome, verify_bundle};
use crate::bundle::{Bundle, BundleError};
use crate::document::{Reach, document_kind};

/// One bundle of many.
#[derive(Debug)]
pub struct Verified {
    /// The path as given.
    pub path: PathBuf,
    /// What was found, or why the bundle could not be read.
    pub result: Result<VerificationOutcome, BundleError>,
}

impl Verified {
    /// True when the bundle was read and no check failed.
    pub fn ok(&self) -> bool {
        self.result.as_ref().is_ok_and(VerificationOutcome::ok)
    }
}

/// Checks every path with up to `threads` threads and returns the results in the order of `paths`; runs that consumed one
/// approval fail together.
///
/// `progress` is called after each bundle with how many are done, from whichever thread did it.
pub fn verify_many(
    paths: &[PathBuf],
    keys: &TrustedKeys,
    ledger: Option<&dyn LedgerView>,
    threads: usize,
    progress: &(dyn Fn(usize, &Verified) + Sync),
) -> Vec<Verified> {
    let reach = Reach::new(keys, ledger, paths);
    let next = AtomicUsize::new(0);
    let done = AtomicUsize::new(0);
    let results: Mutex<Vec<(usize, Verified)>> = Mutex::new(Vec::with_capacity(paths.len()));
    let work = || {
        while let Some((index, path)) = {
            let index = next.fetch_add(1, Ordering::Relaxed);
            paths.get(index).map(|path| (index, path))
        } {
            let verified = verify_path(path, keys, ledger, &reach);
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, &verified);
            // A poisoned lock means that another check panicked; its bundle is then missing from the result.
            results
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .push((index, verified));
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.clamp(1, paths.len().max(1)) {
            scope.spawn(work);
        }
        work();
    });
    let mut results = results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    results.sort_by_key(|(index, _)| *index);
    let mut results: Vec<Verified> = results.into_iter().map(|(_, verified)| verified).collect();
    fail_shared_approvals(&mut results);
    results
}

fn verify_path(path: &Path, keys: &TrustedKeys, ledger: Option<&dyn LedgerView>, reach: &Reach<'_>) -> Verified {
    let result = Bundle::open(path).map(|bundle| match document_kind(&bundle) {
        Some(_) => reach.verify(&bundle),
        None => verify_bundle(&bundle, keys, ledger),
    });
    Verified {
        path: path.to_owned(),
        result,
    }
}
