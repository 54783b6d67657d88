//! The run ledger: one SQLite file that lists every sealed run, append-only and hash-linked.
//!
//! A bundle proves itself; the ledger proves that none is missing. Each entry carries the digest of the one before,
//! and triggers refuse to change or remove a row, so that an edit needs intent and shows in [`Ledger::check`].

mod entry;
mod imports;
mod page;
mod query;
mod schema;
#[cfg(test)]
mod tests;

pub use entry::{LedgerEntry, NewEntry};
pub use imports::ImportEntry;
pub(crate) use imports::Origin;
pub use page::{RunOrder, RunPage, RunPlace, RunQuery};
pub use query::{LedgerFilter, LedgerHead};

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::home::Home;

/// Why the ledger could not be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The file could not be opened.
    #[error("open run ledger '{path}'; check that it is a file of yours on a disk with space")]
    Open {
        /// The file.
        path: PathBuf,
        /// SQLite's error.
        source: Box<rusqlite::Error>,
    },
    /// The file could not be made with private permissions.
    #[error("create run ledger '{path}'")]
    Create {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A newer version of cto wrote it.
    #[error("read run ledger '{path}': its version is {found}, this cto knows {known}; use the newer cto")]
    Version {
        /// The file.
        path: PathBuf,
        /// Version found.
        found: i64,
        /// Version known.
        known: i64,
    },
    /// A query failed.
    #[error("{action} run ledger '{path}'")]
    Query {
        /// `read` or `append to`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// SQLite's error.
        source: Box<rusqlite::Error>,
    },
    /// The run is listed with another content.
    #[error("append run '{run_id}' to the ledger: it is listed already, with another manifest")]
    Conflict {
        /// The run.
        run_id: String,
    },
    /// A row cannot be an entry.
    #[error("read ledger entry {seq}: {reason}")]
    Entry {
        /// Its number.
        seq: i64,
        /// What is wrong.
        reason: String,
    },
    /// The chain does not hold.
    #[error("check the run ledger: entry {seq} {reason}; entries from there on are not what was appended")]
    Broken {
        /// Number of the first entry that does not hold.
        seq: i64,
        /// What is wrong.
        reason: &'static str,
    },
}

/// An open ledger. Several processes may have it open at once.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    connection: Connection,
}

impl Ledger {
    /// Opens a home's ledger, and makes it when there is none.
    pub fn open(home: &Home) -> Result<Self, LedgerError> {
        let path = home.ledger();
        schema::create_private(home)?;
        let connection = schema::connect(&path)?;
        Ok(Self { path, connection })
    }

    /// Returns the ledger's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a sealed run and returns its entry. Appending the same run again returns the entry that exists.
    pub fn append(&self, new: &NewEntry) -> Result<LedgerEntry, LedgerError> {
        let failed = |source| LedgerError::Query {
            action: "append to",
            path: self.path.clone(),
            source: Box::new(source),
        };
        let transaction =
            Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate).map_err(failed)?;
        if let Some(existing) = self.find(&new.run_id)? {
            let same = existing.manifest_digest == new.manifest_digest;
            return if same {
                Ok(existing)
            } else {
                Err(LedgerError::Conflict {
                    run_id: new.run_id.to_string(),
                })
            };
        }
        let head = self.head()?;
        let entry = LedgerEntry::after(head.as_ref(), new)?;
        query::insert(&transaction, &entry).map_err(failed)?;
        transaction.commit().map_err(failed)?;
        Ok(entry)
    }

    fn failed_read(&self, source: rusqlite::Error) -> LedgerError {
        LedgerError::Query {
            action: "read",
            path: self.path.clone(),
            source: Box::new(source),
        }
    }
}
