//! Checking a bundle: nothing in it is believed but what is recomputed here.

mod checks;
mod context;
mod keys;
mod ledger;
mod many;
mod once;
mod outcome;
mod patch;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use cto_schema::{Sha256Digest, Status, escape};

use crate::bundle::Bundle;
use crate::document::DocumentSeen;
pub(crate) use context::{Context, payload, signer_of};
pub use keys::{KnownKey, TrustedKeys, keyid_of};
pub use ledger::{LedgerLine, LedgerSnapshot, LedgerView, SnapshotError};
pub use many::{Verified, verify_many};
pub use outcome::OutcomeSeen;
pub use patch::{PatchScan, PatchedPath};
#[cfg(test)]
pub(crate) use {checks::passive, tests::fixture as tests_fixture};

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckState {
    /// It was recomputed and holds.
    Passed,
    /// It was recomputed and does not hold, or could not be recomputed although it must be.
    Failed,
    /// This run cannot have what the check looks at; the detail says why.
    NotApplicable,
}

impl CheckState {
    /// Returns the word used in output.
    pub fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::NotApplicable => "not applicable",
        }
    }
}

/// One named check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Stable name.
    pub name: &'static str,
    /// What it found.
    pub state: CheckState,
    /// What was seen, for people; escaped, one line.
    pub detail: String,
}

/// What checking a bundle found.
#[derive(Clone, Debug)]
pub struct VerificationOutcome {
    /// The path that was read.
    pub path: PathBuf,
    /// The run that the report names, escaped; empty when there is no readable report.
    pub run_id: String,
    /// The verdict, recomputed from the bundle's facts; `None` when it could not be.
    pub status: Option<Status>,
    /// What an operator said afterwards; `None` when nothing was said.
    pub outcome: Option<OutcomeSeen>,
    /// The inverse commit that took the change back; `None` when nothing says so.
    pub taken_back: Option<String>,
    /// The verdict with the operator's word, where only that was missing, and without what was taken back; `None` when the
    /// bundle does not verify.
    pub effective_status: Option<Status>,
    /// The key whose signature holds; `None` when none does.
    pub keyid: Option<String>,
    /// The name under which that key is trusted.
    pub signer: Option<String>,
    /// Digest of `SHA256SUMS`, which identifies the bundle.
    pub manifest_digest: Option<Sha256Digest>,
    /// Digest of the approval packet that the run consumed; `None` when it consumed none.
    pub approval_packet: Option<Sha256Digest>,
    /// Bytes that were digested.
    pub bytes: u64,
    /// Every check, in order.
    pub checks: Vec<Check>,
    /// What is signed about it, when it is a document and no run.
    pub document: Option<DocumentSeen>,
}

impl VerificationOutcome {
    /// True when no check failed.
    pub fn ok(&self) -> bool {
        self.failed().next().is_none() && !self.checks.is_empty()
    }

    /// Returns whether a comparison's candidate is eligible as default: the document verifies, its proof holds, and an
    /// operator accepted it. `None` for everything else. Eligible is never active.
    pub fn candidate_default_eligible(&self) -> Option<bool> {
        let seen = self.document.as_ref()?;
        seen.proof_holds.map(|holds| holds && seen.accepted && self.ok())
    }

    /// True when no check of the bundle itself failed, whatever lies beside it.
    pub fn bundle_verifies(&self) -> bool {
        self.failed().all(|check| check.name == OUTCOME_BESIDE) && !self.checks.is_empty()
    }

    /// Returns the checks that failed.
    pub fn failed(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| check.state == CheckState::Failed)
    }
}

/// What a check function returns: what holds, or what does not.
pub(crate) type Finding = Result<Holds, String>;

/// Returns what a finding is called in output.
pub(crate) fn outcome_of(name: &'static str, finding: Finding) -> Check {
    let (state, detail) = match finding {
        Ok(Holds::Yes(detail)) => (CheckState::Passed, detail),
        Ok(Holds::NotApplicable(detail)) => (CheckState::NotApplicable, detail),
        Err(detail) => (CheckState::Failed, detail),
    };
    Check {
        name,
        state,
        detail: escape(detail.as_bytes(), DETAIL_BYTES),
    }
}

/// Runs the checks that a document has in common with a run: files, digests, envelope and signature.
pub(crate) fn document_checks(context: &Context<'_>) -> Vec<Check> {
    let common = ["files", "manifest", "digests", "envelope", "signature"];
    let all = checks::CHECKS.iter().filter(|(name, _)| common.contains(name));
    all.map(|(name, check)| outcome_of(name, check(context))).collect()
}

/// A check that did not fail.
#[derive(Clone, Debug)]
pub(crate) enum Holds {
    /// It was recomputed.
    Yes(String),
    /// There is nothing to recompute.
    NotApplicable(String),
}

pub(crate) fn yes(detail: impl Into<String>) -> Finding {
    Ok(Holds::Yes(detail.into()))
}

pub(crate) fn not_applicable(why: impl Into<String>) -> Finding {
    Ok(Holds::NotApplicable(why.into()))
}

/// Name of the check of what lies beside a bundle, which is no part of it.
const OUTCOME_BESIDE: &str = "outcome-beside";

/// Longest detail that is shown.
const DETAIL_BYTES: usize = 600;

/// Runs every check on a bundle.
pub fn verify_bundle(bundle: &Bundle, keys: &TrustedKeys, ledger: Option<&dyn LedgerView>) -> VerificationOutcome {
    let context = Context::read(bundle, keys, ledger);
    let mut checks: Vec<Check> = checks::CHECKS
        .iter()
        .map(|(name, check)| outcome_of(name, check(&context)))
        .collect();
    let signer = context.signer().ok();
    let status = checks::recomputed_status(&context);
    // What does not verify has no status that anybody could act on.
    let verifies = checks.iter().all(|check| check.state != CheckState::Failed);
    let beside = outcome::look_beside(&context, keys);
    let effective_status = status
        .filter(|_| verifies)
        .map(|status| outcome::effective_status(status, &context, &beside));
    checks.push(outcome_of(OUTCOME_BESIDE, beside.finding));
    VerificationOutcome {
        path: bundle.path().to_owned(),
        run_id: context
            .report()
            .map_or_else(|_| String::new(), |report| escape(report.run_id.as_bytes(), 80)),
        status,
        outcome: beside.word,
        taken_back: beside.taken_back.map(|commit| escape(commit.as_bytes(), 80)),
        effective_status,
        keyid: signer.map(|key| key.keyid().to_owned()),
        signer: signer.map(|key| escape(key.name().as_bytes(), 200)),
        manifest_digest: bundle.digest("SHA256SUMS"),
        approval_packet: checks::consumed_packet(&context),
        bytes: bundle.files().values().map(|file| file.size_bytes).sum(),
        checks,
        document: None,
    }
}
