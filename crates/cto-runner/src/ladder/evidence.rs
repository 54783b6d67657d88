//! Reading evidence: runs that the ledger lists, each bundle verified again before it counts.

use cto_evidence::{
    Bundle, KeyError, Keys, Ledger, LedgerEntry, LedgerError, LedgerFilter, LedgerSnapshot, SnapshotError, TrustedKeys,
    taken_back, verify_bundle,
};
use cto_policy::{RungEvidence, needs};
use cto_schema::{ApprovalProof, BlockerCode, EligibilityDecision, Facts, JournalEvent, JournalRecord, Report, Status};

use super::admissions_of;
use crate::approval::operators;
use crate::request::Harness;

/// How many bundles with one blocker are tried before there is none that verifies.
const TRIES: usize = 5;

/// Why the ladder could not be computed.
#[derive(Debug, thiserror::Error)]
pub enum LadderError {
    /// The ledger.
    #[error("read the run ledger")]
    Ledger(#[from] LedgerError),
    /// The ledger beside its runs.
    #[error("read the run ledger")]
    Snapshot(#[from] SnapshotError),
    /// The keys.
    #[error("use the installation's keys")]
    Keys(#[from] KeyError),
}

/// Returns what the bundles of one stage show about an engine, newest first. Of many with the same end, a few are read.
pub(crate) fn evidence_of_stage(harness: &Harness, engine: &str, stage: u8) -> Result<Vec<RungEvidence>, LadderError> {
    let ledger = Ledger::open(&harness.home)?;
    let mut found: Vec<LedgerEntry> = Vec::new();
    // What the harness does when a run fails is shown at stage 2 for stage 1, where nothing runs.
    let stages: &[u8] = if stage == 1 {
        &[1, 2]
    } else {
        std::slice::from_ref(&stage)
    };
    for stage in stages {
        let filter = LedgerFilter {
            stage: Some(*stage),
            ..LedgerFilter::default()
        };
        found.extend(ledger.list(&filter)?);
    }
    let wanted: Vec<String> = needs(stage).iter().filter_map(|need| Some(need.code?.name())).collect();
    let mut tried: std::collections::BTreeMap<(String, String), usize> = std::collections::BTreeMap::new();
    found.retain(|entry| {
        let base = base(&entry.backend).to_owned();
        let end = entry.first_blocker.clone().unwrap_or_else(|| "pass".to_owned());
        let counts = base == engine || base == "fake";
        let useful = end == "pass" || wanted.contains(&end);
        let tries = tried.entry((base, end)).or_default();
        *tries += 1;
        counts && useful && *tries <= TRIES
    });
    let keys = Keys::open(&harness.home)?;
    let mut trusted = TrustedKeys::of_installation(&keys)?;
    if let Ok(signers) = operators(harness) {
        trusted = trusted.with_signers(signers);
    }
    let snapshot = LedgerSnapshot::read(&ledger, &harness.home)?;
    let shown = found
        .iter()
        .filter_map(|entry| shown_by(harness, entry, &trusted, &snapshot));
    Ok(shown.collect())
}

/// Returns the status of a run with the operator's word on it, and without what was taken back. Only a run that waits for
/// that word is read again.
pub fn status_with_the_word(harness: &Harness, entry: &LedgerEntry) -> Option<Status> {
    let waits = BlockerCode::MissingOperatorOutcome.name();
    let sealed = [Status::Pass, Status::Fail, Status::Blocked]
        .into_iter()
        .find(|status| status.word() == entry.status);
    let is_owned = entry.stage == Some(5);
    if is_owned && sealed == Some(Status::Pass) && taken_back(&harness.home, &entry.run_id).is_some() {
        return Some(Status::Blocked);
    }
    if entry.first_blocker.as_deref() != Some(waits.as_str()) {
        return sealed;
    }
    if taken_back(&harness.home, &entry.run_id).is_some() {
        return Some(Status::Blocked);
    }
    let keys = Keys::open(&harness.home).ok()?;
    let trusted = TrustedKeys::of_installation(&keys).ok()?;
    let trusted = trusted.with_signers(operators(harness).ok()?);
    let bundle = Bundle::open(&harness.home.run(&entry.run_id)).ok()?;
    verify_bundle(&bundle, &trusted, None).effective_status
}

fn base(backend: &str) -> &str {
    backend.split(':').next().unwrap_or_default()
}

/// A bundle that does not verify shows nothing.
fn shown_by(
    harness: &Harness,
    entry: &LedgerEntry,
    keys: &TrustedKeys,
    ledger: &LedgerSnapshot,
) -> Option<RungEvidence> {
    let bundle = Bundle::open(&harness.home.run(&entry.run_id)).ok()?;
    let verified = verify_bundle(&bundle, keys, Some(ledger));
    if !verified.ok() {
        return None;
    }
    let report: Report = read(&bundle, "report.json")?;
    let decision: Option<EligibilityDecision> = read(&bundle, "decision.json");
    let approval: Option<ApprovalProof> = read(&bundle, "approval.json");
    let facts = facts(&bundle)?;
    let status = verified.effective_status?;
    let refused_by = decision.map(|decision| decision.missing_gates).unwrap_or_default();
    Some(RungEvidence {
        run_id: report.run_id,
        engine: base(&report.backend).to_owned(),
        stage: report.stage?,
        status,
        // With the operator's yes nothing is missing any more.
        blockers: if status == Status::Pass {
            vec![]
        } else {
            report.blockers.iter().map(|blocker| blocker.code).collect()
        },
        refused_by,
        started: report.case_process_started,
        harness_version: report.harness_version,
        admissions: admissions_of(&facts),
        approval_source: approval.map(|approval| approval.approval_source),
    })
}

fn read<T: serde::de::DeserializeOwned>(bundle: &Bundle, name: &str) -> Option<T> {
    serde_json::from_slice(bundle.document(name)?).ok()
}

fn facts(bundle: &Bundle) -> Option<Facts> {
    let lines = bundle.document("journal.jsonl")?.split(|byte| *byte == b'\n');
    lines
        .rev()
        .find_map(|line| match serde_json::from_slice::<JournalRecord>(line).ok()?.event {
            JournalEvent::FactsGathered { facts } => Some(*facts),
            _ => None,
        })
}
