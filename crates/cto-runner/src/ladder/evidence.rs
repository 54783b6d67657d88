//! Reading evidence: runs that the ledger lists, each bundle verified again before it counts.

use std::cell::RefCell;
use std::collections::BTreeMap;

use cto_evidence::{
    Bundle, KeyError, Keys, Ledger, LedgerEntry, LedgerError, LedgerFilter, LedgerSnapshot, SnapshotError, TrustedKeys,
    verify_bundle,
};
use cto_policy::{RungEvidence, needs};
use cto_schema::{
    ApprovalProof, BlockerCode, EligibilityDecision, Facts, JournalEvent, JournalRecord, Report, RunId, Status,
};

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

/// What one bundle of the ledger turned out to be.
#[derive(Clone, Debug)]
pub(crate) enum Looked {
    /// Its directory is not there.
    Gone,
    /// It cannot be read, or a check does not hold; which.
    Unverifiable(String),
    /// It verifies and shows this.
    Shows(Box<RungEvidence>),
    /// It verifies and shows nothing that a rung could use.
    Nothing,
}

/// The evidence of an installation at one moment. Each bundle is verified at most once, however many rungs ask for it.
#[derive(Debug)]
pub(crate) struct EvidenceReader<'a> {
    harness: &'a Harness,
    ledger: Ledger,
    trusted: TrustedKeys,
    snapshot: LedgerSnapshot,
    looked: RefCell<BTreeMap<RunId, Looked>>,
}

impl<'a> EvidenceReader<'a> {
    pub(crate) fn open(harness: &'a Harness) -> Result<Self, LadderError> {
        let ledger = Ledger::open(&harness.home)?;
        let keys = Keys::open(&harness.home)?;
        let mut trusted = TrustedKeys::of_installation(&keys)?;
        if let Ok(signers) = operators(harness) {
            trusted = trusted.with_signers(signers);
        }
        let snapshot = LedgerSnapshot::read(&ledger, &harness.home)?;
        Ok(Self {
            harness,
            ledger,
            trusted,
            snapshot,
            looked: RefCell::default(),
        })
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Says where the ledger's chain is broken.
    pub(crate) fn chain_error(&self) -> Option<&str> {
        self.snapshot.chain_error.as_deref()
    }

    /// Returns every bundle that was looked at so far.
    pub(crate) fn looked(&self) -> BTreeMap<RunId, Looked> {
        self.looked.borrow().clone()
    }

    /// Returns what the bundles of one stage show about an engine, newest first. Of many with the same end, a few are
    /// read.
    pub(crate) fn of_stage(&self, engine: &str, stage: u8) -> Result<Vec<RungEvidence>, LadderError> {
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
            found.extend(self.ledger.list(&filter)?);
        }
        let wanted: Vec<String> = needs(stage).iter().filter_map(|need| Some(need.code?.name())).collect();
        let mut tried: BTreeMap<(String, String), usize> = BTreeMap::new();
        found.retain(|entry| {
            let base = base(&entry.backend).to_owned();
            let end = entry.first_blocker.clone().unwrap_or_else(|| "pass".to_owned());
            let counts = base == engine || base == "fake";
            let useful = end == "pass" || wanted.contains(&end);
            let tries = tried.entry((base, end)).or_default();
            *tries += 1;
            counts && useful && *tries <= TRIES
        });
        let shown = found.iter().filter_map(|entry| match self.look(&entry.run_id) {
            Looked::Shows(evidence) => Some(*evidence),
            Looked::Gone | Looked::Unverifiable(_) | Looked::Nothing => None,
        });
        Ok(shown.collect())
    }

    /// Verifies one bundle of the ledger, once.
    pub(crate) fn look(&self, run_id: &RunId) -> Looked {
        if let Some(known) = self.looked.borrow().get(run_id) {
            return known.clone();
        }
        let found = self.look_again(run_id);
        self.looked.borrow_mut().insert(run_id.clone(), found.clone());
        found
    }

    fn look_again(&self, run_id: &RunId) -> Looked {
        let place = self.harness.home.run(run_id);
        if !place.exists() {
            return Looked::Gone;
        }
        let bundle = match Bundle::open(&place) {
            Ok(bundle) => bundle,
            Err(error) => return Looked::Unverifiable(crate::run::chain(&error)),
        };
        let verified = verify_bundle(&bundle, &self.trusted, Some(&self.snapshot));
        if let Some(check) = verified.failed().next() {
            return Looked::Unverifiable(format!("check {} failed", check.name));
        }
        let shown = verified.effective_status.and_then(|status| shown_by(&bundle, status));
        shown.map_or(Looked::Nothing, |evidence| Looked::Shows(Box::new(evidence)))
    }

    /// Reads a verified bundle's document; nothing is read from one that does not verify.
    pub(crate) fn document<T: serde::de::DeserializeOwned>(&self, run_id: &RunId, name: &str) -> Option<T> {
        match self.look(run_id) {
            Looked::Shows(_) | Looked::Nothing => {}
            Looked::Gone | Looked::Unverifiable(_) => return None,
        }
        read(&Bundle::open(&self.harness.home.run(run_id)).ok()?, name)
    }
}

/// Returns what the bundles of one stage show about an engine, newest first.
pub(crate) fn evidence_of_stage(harness: &Harness, engine: &str, stage: u8) -> Result<Vec<RungEvidence>, LadderError> {
    EvidenceReader::open(harness)?.of_stage(engine, stage)
}

/// Returns the status of a run with the operator's word on it. Only a run that waits for that word is read again.
pub fn status_with_the_word(harness: &Harness, entry: &LedgerEntry) -> Option<Status> {
    let waits = BlockerCode::MissingOperatorOutcome.name();
    if entry.first_blocker.as_deref() != Some(waits.as_str()) {
        return [Status::Pass, Status::Fail, Status::Blocked]
            .into_iter()
            .find(|status| status.word() == entry.status);
    }
    let keys = Keys::open(&harness.home).ok()?;
    let trusted = TrustedKeys::of_installation(&keys).ok()?;
    let trusted = trusted.with_signers(operators(harness).ok()?);
    let bundle = Bundle::open(&harness.home.run(&entry.run_id)).ok()?;
    verify_bundle(&bundle, &trusted, None).effective_status
}

pub(crate) fn base(backend: &str) -> &str {
    backend.split(':').next().unwrap_or_default()
}

/// Turns a bundle that verified into what it shows.
fn shown_by(bundle: &Bundle, status: Status) -> Option<RungEvidence> {
    let report: Report = read(bundle, "report.json")?;
    let decision: Option<EligibilityDecision> = read(bundle, "decision.json");
    let approval: Option<ApprovalProof> = read(bundle, "approval.json");
    let facts = facts(bundle)?;
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
