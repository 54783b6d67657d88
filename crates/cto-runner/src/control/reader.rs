//! The evidence of an installation at one moment: each bundle is verified at most once, however often it is asked for.

use std::cell::RefCell;
use std::collections::BTreeMap;

use cto_evidence::{Bundle, Ledger, LedgerSnapshot, TrustedKeys, verify_bundle};
use cto_schema::{ApprovalProof, ApprovalSource, RunId, Status};

use crate::ladder::{LadderError, trusted_keys};
use crate::request::Harness;

/// What one bundle of the ledger turned out to be.
#[derive(Clone, Debug)]
pub(super) enum Looked {
    /// Its directory is not there.
    Gone,
    /// It cannot be read, or a check does not hold; which.
    Unverifiable(String),
    /// Every check holds; its status with the operator's word, and who approved it.
    Verified(Status, Option<ApprovalSource>),
}

/// Reads bundles, and remembers what each turned out to be.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    harness: &'a Harness,
    ledger: Ledger,
    trusted: TrustedKeys,
    snapshot: LedgerSnapshot,
    looked: RefCell<BTreeMap<RunId, Looked>>,
}

impl<'a> Reader<'a> {
    pub(super) fn open(harness: &'a Harness) -> Result<Self, LadderError> {
        let ledger = Ledger::open(&harness.home)?;
        let snapshot = LedgerSnapshot::read(&ledger, &harness.home)?;
        Ok(Self {
            harness,
            ledger,
            trusted: trusted_keys(harness)?,
            snapshot,
            looked: RefCell::default(),
        })
    }

    pub(super) fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Says where the ledger's chain is broken.
    pub(super) fn chain_error(&self) -> Option<&str> {
        self.snapshot.chain_error.as_deref()
    }

    /// Returns every bundle that was looked at so far.
    pub(super) fn looked(&self) -> BTreeMap<RunId, Looked> {
        self.looked.borrow().clone()
    }

    /// Verifies one bundle of the ledger, once.
    pub(super) fn look(&self, run_id: &RunId) -> Looked {
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
        let approval: Option<ApprovalProof> = read(&bundle, "approval.json");
        match verified.effective_status {
            Some(status) => Looked::Verified(status, approval.map(|approval| approval.approval_source)),
            None => Looked::Unverifiable("its verdict cannot be computed again".to_owned()),
        }
    }

    /// Reads a verified bundle's document; nothing is read from one that does not verify.
    pub(super) fn document<T: serde::de::DeserializeOwned>(&self, run_id: &RunId, name: &str) -> Option<T> {
        match self.look(run_id) {
            Looked::Verified(..) => read(&Bundle::open(&self.harness.home.run(run_id)).ok()?, name),
            Looked::Gone | Looked::Unverifiable(_) => None,
        }
    }
}

fn read<T: serde::de::DeserializeOwned>(bundle: &Bundle, name: &str) -> Option<T> {
    serde_json::from_slice(bundle.document(name)?).ok()
}
