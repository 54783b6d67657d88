//! Reading evidence: runs that the ledger lists, each bundle verified again before it counts.

use std::collections::BTreeSet;

use cto_evidence::{
    Bundle, KeyError, Keys, Ledger, LedgerEntry, LedgerError, LedgerFilter, LedgerSnapshot, SnapshotError, TrustedKeys,
    taken_back, verify_bundle,
};
use cto_policy::{RungEvidence, RungQuestion, admissions_of, needs, needs_shown};
use cto_schema::{ApprovalProof, BlockerCode, EligibilityDecision, Facts, JournalEvent, JournalRecord, Report, Status};

use crate::approval::operators;
use crate::request::Harness;

/// Largest document that is looked into before its bundle is verified, in bytes.
const CLAIM_MAX: u64 = 64 << 20;

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

/// Returns what the bundles of one stage show about an engine, newest first: for each need the newest bundle that shows it,
/// which was verified for that. However many others there are takes no rung away; a bundle is read again only where it would
/// show, if it verifies, what none before it did.
pub(crate) fn evidence_of_stage(
    harness: &Harness,
    question: &RungQuestion<'_>,
    stage: u8,
) -> Result<Vec<RungEvidence>, LadderError> {
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
    let mut wanted: BTreeSet<&str> = needs(stage).iter().map(|need| need.name).collect();
    let ends: Vec<String> = needs(stage).iter().filter_map(|need| Some(need.code?.name())).collect();
    found.retain(|entry| {
        let base = base(&entry.backend);
        let waits = BlockerCode::MissingOperatorOutcome.name();
        let end = entry.first_blocker.as_ref();
        (base == question.engine || base == "fake")
            && end.is_none_or(|end| ends.contains(end) || (stage == 5 && *end == waits))
    });
    let trusted = trusted_keys(harness)?;
    let snapshot = LedgerSnapshot::read(&ledger, &harness.home)?;
    let mut shown = Vec::new();
    for entry in &found {
        if wanted.is_empty() {
            break;
        }
        let would_show = |one: &RungEvidence| {
            needs_shown(question, stage, one)
                .iter()
                .any(|need| wanted.contains(need))
        };
        if !claimed_by(harness, entry).iter().any(would_show) {
            continue;
        }
        if let Some(one) = shown_by(harness, entry, &trusted, &snapshot) {
            for need in needs_shown(question, stage, &one) {
                wanted.remove(need);
            }
            shown.push(one);
        }
    }
    Ok(shown)
}

/// Returns whether an operator's word lies beside a run; whether it counts is another question.
pub(crate) fn has_a_word(harness: &Harness, entry: &LedgerEntry) -> bool {
    harness.home.runs().join(format!("{}.outcome", entry.run_id)).is_dir()
}

/// Returns the keys and the operators that this installation believes.
pub(crate) fn trusted_keys(harness: &Harness) -> Result<TrustedKeys, KeyError> {
    let trusted = TrustedKeys::of_installation(&Keys::open(&harness.home)?)?;
    Ok(match operators(harness) {
        Ok(signers) => trusted.with_signers(signers),
        Err(_) => trusted,
    })
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
    let document = |name: &str| bundle.document(name).map(<[u8]>::to_vec);
    as_evidence(&document, Some(verified.effective_status?))
}

/// Returns what a bundle would show if it verified, once as it was sealed and once with an operator's yes. Nothing is
/// believed of it; only reading is saved.
fn claimed_by(harness: &Harness, entry: &LedgerEntry) -> Vec<RungEvidence> {
    let directory = harness.home.run(&entry.run_id);
    let document = |name: &str| {
        let path = directory.join(name);
        let meta = path.symlink_metadata().ok()?;
        (meta.is_file() && meta.len() <= CLAIM_MAX).then(|| std::fs::read(path).ok())?
    };
    let sealed = as_evidence(&document, None);
    let accepted = as_evidence(&document, Some(Status::Pass));
    sealed.into_iter().chain(accepted).collect()
}

/// Reads what one bundle shows; `status` is its status with the operator's word, or as it was sealed.
fn as_evidence(document: &dyn Fn(&str) -> Option<Vec<u8>>, status: Option<Status>) -> Option<RungEvidence> {
    let report: Report = read(document, "report.json")?;
    let decision: Option<EligibilityDecision> = read(document, "decision.json");
    let approval: Option<ApprovalProof> = read(document, "approval.json");
    let facts = facts(document)?;
    let status = status.unwrap_or(report.status);
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

fn read<T: serde::de::DeserializeOwned>(document: &dyn Fn(&str) -> Option<Vec<u8>>, name: &str) -> Option<T> {
    serde_json::from_slice(&document(name)?).ok()
}

fn facts(document: &dyn Fn(&str) -> Option<Vec<u8>>) -> Option<Facts> {
    let journal = document("journal.jsonl")?;
    let lines = journal.split(|byte| *byte == b'\n');
    lines
        .rev()
        .find_map(|line| match serde_json::from_slice::<JournalRecord>(line).ok()?.event {
            JournalEvent::FactsGathered { facts } => Some(*facts),
            _ => None,
        })
}
