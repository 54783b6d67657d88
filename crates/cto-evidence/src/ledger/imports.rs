//! The imports of an installation: a second append-only, hash-linked list in the ledger's file.
//!
//! It is a list of its own, so that whatever counts runs of this installation – its ladder, its approvals, its newest
//! run – cannot count one that another installation made. A cto that does not know it leaves it alone.

use cto_schema::{RunId, Sha256Digest};
use rusqlite::{OptionalExtension as _, Row, Transaction, TransactionBehavior, params};
use serde::Serialize;

use crate::ledger::{Ledger, LedgerEntry, LedgerError, NewEntry};

/// The table and what keeps it append-only, as for the runs.
const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS imports (
  seq INTEGER PRIMARY KEY,
  run_id TEXT NOT NULL UNIQUE,
  entry TEXT NOT NULL,
  prev_digest TEXT,
  entry_digest TEXT NOT NULL
) STRICT;
CREATE TRIGGER IF NOT EXISTS imports_no_update BEFORE UPDATE ON imports
BEGIN SELECT RAISE(ABORT, 'the import ledger is append-only'); END;
CREATE TRIGGER IF NOT EXISTS imports_no_delete BEFORE DELETE ON imports
BEGIN SELECT RAISE(ABORT, 'the import ledger is append-only'); END;
CREATE TRIGGER IF NOT EXISTS imports_only_next BEFORE INSERT ON imports
WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM imports)
  OR NEW.prev_digest IS NOT (SELECT entry_digest FROM imports ORDER BY seq DESC LIMIT 1)
  OR EXISTS (SELECT 1 FROM imports WHERE run_id = NEW.run_id)
BEGIN SELECT RAISE(ABORT, 'the import ledger takes only the next entry'); END;
";

/// A run that another installation made. Its digest is SHA-256 over the RFC 8785 form of every other field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportEntry {
    /// Number, from 1, without gaps.
    pub seq: i64,
    /// The run.
    pub run_id: RunId,
    /// Id of the key that signed it.
    pub origin_keyid: String,
    /// The name under which that key was trusted then.
    pub origin_name: String,
    /// When it was taken in, RFC 3339 UTC.
    pub imported_at: String,
    /// Version of the harness that made it.
    pub harness_version: String,
    /// The case, or the contract's task id.
    pub case_id: String,
    /// The engine.
    pub backend: String,
    /// Stage, 1 to 6.
    pub stage: Option<u8>,
    /// The mutation mode's name.
    pub mutation_mode: Option<String>,
    /// `pass`, `fail` or `blocked`.
    pub status: String,
    /// Code of the first blocker; null for a pass.
    pub first_blocker: Option<String>,
    /// RFC 3339 UTC with microseconds.
    pub started_at: String,
    /// RFC 3339 UTC with microseconds.
    pub finished_at: String,
    /// Wall time of the run in milliseconds.
    pub duration_ms: i64,
    /// Digest of `SHA256SUMS`.
    pub manifest_digest: Sha256Digest,
    /// Digest of `attestation.dsse.json`.
    pub attestation_digest: Sha256Digest,
    /// Digest of the entry before; null for the first.
    pub prev_digest: Option<Sha256Digest>,
}

/// Where a run comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) keyid: String,
    pub(crate) name: String,
    pub(crate) imported_at: String,
    pub(crate) harness_version: String,
}

impl ImportEntry {
    fn canonical(&self) -> Result<Vec<u8>, LedgerError> {
        serde_json_canonicalizer::to_vec(self).map_err(|error| unfit(self.seq, error.to_string()))
    }
}

fn unfit(seq: i64, reason: String) -> LedgerError {
    LedgerError::Entry { seq, reason }
}

impl Ledger {
    /// Appends an imported run; one that is listed already is an error.
    pub(crate) fn append_import(&self, new: &NewEntry, origin: &Origin) -> Result<ImportEntry, LedgerError> {
        let failed = |source| LedgerError::Query {
            action: "append to",
            path: self.path.clone(),
            source: Box::new(source),
        };
        let transaction =
            Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate).map_err(failed)?;
        transaction.execute_batch(SCHEMA).map_err(failed)?;
        let head: Option<(i64, String)> = transaction
            .query_row(
                "SELECT seq, entry_digest FROM imports ORDER BY seq DESC LIMIT 1",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()
            .map_err(failed)?;
        let prev_digest = head.as_ref().map(|(seq, digest)| parse(*seq, digest)).transpose()?;
        // The run's own form of an entry checks what it has in common with this one.
        let run = LedgerEntry::after(None, new)?;
        let entry = ImportEntry {
            seq: head.map_or(1, |(seq, _)| seq + 1),
            run_id: run.run_id,
            origin_keyid: origin.keyid.clone(),
            origin_name: origin.name.clone(),
            imported_at: origin.imported_at.clone(),
            harness_version: origin.harness_version.clone(),
            case_id: run.case_id,
            backend: run.backend,
            stage: run.stage,
            mutation_mode: run.mutation_mode,
            status: run.status,
            first_blocker: run.first_blocker,
            started_at: run.started_at,
            finished_at: run.finished_at,
            duration_ms: run.duration_ms,
            manifest_digest: run.manifest_digest,
            attestation_digest: run.attestation_digest,
            prev_digest,
        };
        let canonical = entry.canonical()?;
        transaction
            .execute(
                "INSERT INTO imports (seq, run_id, entry, prev_digest, entry_digest) VALUES (?1,?2,?3,?4,?5)",
                params![
                    entry.seq,
                    entry.run_id.as_str(),
                    String::from_utf8_lossy(&canonical),
                    prev_digest.map(|digest| digest.to_string()),
                    Sha256Digest::of(&canonical).to_string(),
                ],
            )
            .map_err(failed)?;
        transaction.commit().map_err(failed)?;
        Ok(entry)
    }

    /// Returns every imported run, newest first; the first entry that is not what was appended is an error.
    pub fn imports(&self) -> Result<Vec<ImportEntry>, LedgerError> {
        let failed = |source| self.failed_read(source);
        let table = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'imports'";
        let tables: i64 = self.connection.query_row(table, [], |row| row.get(0)).map_err(failed)?;
        if tables == 0 {
            return Ok(Vec::new());
        }
        let sql = "SELECT seq, run_id, entry, prev_digest, entry_digest FROM imports ORDER BY seq";
        let mut statement = self.connection.prepare(sql).map_err(failed)?;
        let rows = statement.query_map([], |row| Ok(read(row))).map_err(failed)?;
        let mut entries: Vec<ImportEntry> = Vec::new();
        let mut previous: Option<Sha256Digest> = None;
        for row in rows {
            let (seq, entry, digest) = row.map_err(failed)??;
            let broken = |reason| Err(LedgerError::Broken { seq, reason });
            if seq != entries.last().map_or(1, |last| last.seq + 1) || entry.seq != seq {
                return broken("of the imports follows a gap");
            }
            if entry.prev_digest != previous {
                return broken("of the imports does not name the entry before it");
            }
            if Sha256Digest::of(&entry.canonical()?) != digest {
                return broken("of the imports does not have the digest that it carries");
            }
            previous = Some(digest);
            entries.push(entry);
        }
        entries.reverse();
        Ok(entries)
    }
}

fn read(row: &Row<'_>) -> Result<(i64, ImportEntry, Sha256Digest), LedgerError> {
    let seq: i64 = row.get(0).unwrap_or(0);
    let text = |column: usize| {
        row.get::<_, String>(column)
            .map_err(|error| unfit(seq, error.to_string()))
    };
    let entry: ImportEntry = serde_json::from_str(&text(2)?).map_err(|error| unfit(seq, error.to_string()))?;
    let prev: Option<String> = row.get(3).map_err(|error| unfit(seq, error.to_string()))?;
    let prev = prev.map(|prev| parse(seq, &prev)).transpose()?;
    if entry.run_id.as_str() != text(1)? || entry.prev_digest != prev {
        return Err(LedgerError::Broken {
            seq,
            reason: "of the imports does not agree with itself",
        });
    }
    Ok((seq, entry, parse(seq, &text(4)?)?))
}

fn parse(seq: i64, digest: &str) -> Result<Sha256Digest, LedgerError> {
    digest
        .parse()
        .map_err(|_| unfit(seq, "a digest cannot be read".to_owned()))
}
