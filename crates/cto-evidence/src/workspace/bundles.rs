//! Bundles that documents name: found, verified, and asked what they say.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use cto_policy::{BundleAnswer, BundleFacts, BundleQuestion};
use cto_schema::Report;

use crate::bundle::Bundle;
use crate::verify::{LedgerView, TrustedKeys, verify_bundle};

/// Where bundles are looked for, and what is believed of them.
#[derive(Clone, Copy)]
pub struct BundlePlaces<'a> {
    /// The workspace.
    pub workspace: &'a Path,
    /// The runs of the installation; none where there is no installation.
    pub runs: Option<&'a Path>,
    /// Whose signatures count.
    pub keys: &'a TrustedKeys,
    /// The installation's ledger.
    pub ledger: Option<&'a (dyn LedgerView + Sync)>,
}

impl std::fmt::Debug for BundlePlaces<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BundlePlaces")
            .field("workspace", &self.workspace)
            .field("runs", &self.runs)
            .finish_non_exhaustive()
    }
}

impl BundlePlaces<'_> {
    /// Looks for a bundle beside its document, in the workspace, and among the runs, and says what it says.
    pub fn answer(&self, question: &BundleQuestion) -> BundleAnswer {
        match self.find(question) {
            Some(path) => look_at_bundle(&path, self.keys, self.ledger.map(|ledger| ledger as &dyn LedgerView)),
            None => BundleAnswer::Missing,
        }
    }

    /// A bundle is named by its directory or archive, or by a file in it.
    fn find(&self, question: &BundleQuestion) -> Option<PathBuf> {
        let name = question.name.trim_end_matches('/');
        if name.is_empty() || name.starts_with('/') {
            return None;
        }
        let runs = self.runs.map(|runs| runs.join(name));
        let inside = [
            self.workspace.join(&question.directory).join(name),
            self.workspace.join(name),
        ];
        inside.into_iter().chain(runs).find(|path| path.exists())
    }
}

/// Verifies a bundle and reads what it says.
pub fn look_at_bundle(path: &Path, keys: &TrustedKeys, ledger: Option<&dyn LedgerView>) -> BundleAnswer {
    let bundle = match Bundle::open(path) {
        Ok(bundle) => bundle,
        Err(error) => return BundleAnswer::Unverified(error.to_string()),
    };
    let outcome = verify_bundle(&bundle, keys, ledger);
    let failed: Vec<String> = outcome
        .failed()
        .map(|check| format!("{}: {}", check.name, check.detail))
        .collect();
    if !outcome.ok() {
        let shown = failed.iter().take(3).cloned().collect::<Vec<_>>().join("; ");
        return BundleAnswer::Unverified(shown);
    }
    let report: Option<Report> = bundle
        .document("report.json")
        .and_then(|bytes| serde_json::from_slice(bytes).ok());
    let (Some(report), Some(status)) = (report, outcome.status) else {
        return BundleAnswer::Unverified("it has no readable report".to_owned());
    };
    let stated: BTreeSet<String> = report
        .artifact_digests
        .values()
        .chain(&report.contract_digest)
        .map(cto_schema::Sha256Digest::hex)
        .collect();
    BundleAnswer::Verified(BundleFacts {
        status,
        changed_files: report.changed_files.into_iter().collect(),
        digests: bundle
            .files()
            .iter()
            .map(|(name, file)| (name.clone(), file.digest.hex()))
            .collect(),
        stated,
    })
}
