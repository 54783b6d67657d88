//! What a check needs to know of a run ledger, which lies outside the bundle.

use std::collections::{BTreeMap, BTreeSet};

use cto_schema::Sha256Digest;

use crate::apply_journal::{ApplyJournalError, committed_reverts};
use crate::home::Home;
use crate::keys::{KeyError, Keys};
use crate::ledger::{Ledger, LedgerError, LedgerFilter};

/// What the ledger says about one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerLine {
    /// Digest of the run's `SHA256SUMS`.
    pub manifest_digest: Sha256Digest,
}

/// A ledger as a check sees it.
pub trait LedgerView: Sync {
    /// Returns the entry of a run.
    fn line(&self, run_id: &str) -> Option<LedgerLine>;
    /// Says where the ledger's own chain is broken; `None` when it holds.
    fn chain_error(&self) -> Option<String>;
    /// True when runs signed with this key are recorded in this ledger.
    fn owns(&self, keyid: &str) -> bool;
    /// Returns the inverse commit that took a run's change back, by the installation's own journal.
    fn taken_back(&self, run_id: &str) -> Option<String>;
}

/// A ledger read into memory.
#[derive(Clone, Debug, Default)]
pub struct LedgerSnapshot {
    /// Every entry, by run.
    pub lines: BTreeMap<String, LedgerLine>,
    /// Every imported run.
    pub imports: BTreeMap<String, LedgerLine>,
    /// Where its chain is broken.
    pub chain_error: Option<String>,
    /// Keys of the installation that keeps it, retired ones included.
    pub keyids: BTreeSet<String>,
    /// The inverse commit of every run whose change was taken back.
    pub taken_back: BTreeMap<String, String>,
}

impl LedgerSnapshot {
    /// Reads the ledger of an installation, with the keys that it signs or signed with.
    pub fn read(ledger: &Ledger, home: &Home) -> Result<Self, SnapshotError> {
        let entries = ledger.list(&LedgerFilter::default())?;
        let lines = entries
            .into_iter()
            .map(|entry| {
                (
                    entry.run_id.to_string(),
                    LedgerLine {
                        manifest_digest: entry.manifest_digest,
                    },
                )
            })
            .collect();
        let own = Keys::open(home)?
            .list()?
            .into_iter()
            .filter(|key| key.is_signing || key.retired_at.is_some());
        let mut chain_error = ledger.check().err().map(|error| error.to_string());
        let imports = match ledger.imports() {
            Ok(imports) => imports,
            Err(error) => {
                chain_error.get_or_insert(error.to_string());
                Vec::new()
            }
        };
        let imports = imports.into_iter().map(|entry| {
            let line = LedgerLine {
                manifest_digest: entry.manifest_digest,
            };
            (entry.run_id.to_string(), line)
        });
        Ok(Self {
            lines,
            imports: imports.collect(),
            chain_error,
            keyids: own.map(|key| key.keyid).collect(),
            taken_back: committed_reverts(home)?,
        })
    }
}

/// Why the ledger could not be read for a check.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The ledger itself.
    #[error("read the run ledger")]
    Ledger(#[from] LedgerError),
    /// The installation's keys.
    #[error("read the installation's keys")]
    Keys(#[from] KeyError),
    /// The journals of changes.
    #[error("read which changes were taken back")]
    Applies(#[from] ApplyJournalError),
}

impl LedgerView for LedgerSnapshot {
    fn line(&self, run_id: &str) -> Option<LedgerLine> {
        self.lines.get(run_id).or_else(|| self.imports.get(run_id)).cloned()
    }

    fn chain_error(&self) -> Option<String> {
        self.chain_error.clone()
    }

    fn owns(&self, keyid: &str) -> bool {
        self.keyids.contains(keyid)
    }

    fn taken_back(&self, run_id: &str) -> Option<String> {
        self.taken_back.get(run_id).cloned()
    }
}
