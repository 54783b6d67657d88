//! Reading the run ledger, and the one statement that writes it.

use cto_schema::{RunId, Sha256Digest};
use rusqlite::{Connection, OptionalExtension as _, Row, ToSql, params};

use crate::ledger::{Ledger, LedgerEntry, LedgerError};

pub(super) const COLUMNS: &str = "seq, run_id, case_id, backend, stage, mutation_mode, status, first_blocker, started_at, \
                       finished_at, duration_ms, manifest_digest, attestation_digest, prev_digest, entry_digest";

/// The newest entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerHead {
    /// Its number.
    pub seq: i64,
    /// Its digest.
    pub digest: Sha256Digest,
}

/// Which entries to list, newest first. Every field that is set must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerFilter {
    /// `pass`, `fail` or `blocked`.
    pub status: Option<String>,
    /// The engine.
    pub backend: Option<String>,
    /// The case, or the contract's task id.
    pub case_id: Option<String>,
    /// Stage, 1 to 6.
    pub stage: Option<u8>,
    /// Only runs that started at this time or later; RFC 3339 UTC with microseconds, as in the entries.
    pub since: Option<String>,
    /// At most this many; null for all.
    pub limit: Option<u32>,
    /// Skip this many.
    pub offset: u32,
}

impl Ledger {
    /// Returns the newest entry's number and digest; `None` when there is none.
    pub fn head(&self) -> Result<Option<LedgerHead>, LedgerError> {
        let sql = "SELECT seq, entry_digest FROM runs ORDER BY seq DESC LIMIT 1";
        let row = self
            .connection
            .query_row(sql, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)));
        let Some((seq, digest)) = row.optional().map_err(|source| self.failed_read(source))? else {
            return Ok(None);
        };
        Ok(Some(LedgerHead {
            seq,
            digest: parse(seq, "entry_digest", &digest)?,
        }))
    }

    /// Returns a run's entry.
    pub fn find(&self, run_id: &RunId) -> Result<Option<LedgerEntry>, LedgerError> {
        let sql = format!("SELECT {COLUMNS} FROM runs WHERE run_id = ?1");
        let row = self.connection.query_row(&sql, [run_id.as_str()], |row| Ok(read(row)));
        row.optional().map_err(|source| self.failed_read(source))?.transpose()
    }

    /// Returns entries, newest first.
    pub fn list(&self, filter: &LedgerFilter) -> Result<Vec<LedgerEntry>, LedgerError> {
        let mut sql = format!("SELECT {COLUMNS} FROM runs");
        let mut values: Vec<&dyn ToSql> = Vec::new();
        let text = [
            ("status = ?", &filter.status),
            ("backend = ?", &filter.backend),
            ("case_id = ?", &filter.case_id),
            ("started_at >= ?", &filter.since),
        ];
        for (condition, value) in text {
            if let Some(value) = value {
                sql.push_str(if values.is_empty() { " WHERE " } else { " AND " });
                sql.push_str(condition);
                values.push(value);
            }
        }
        if let Some(stage) = &filter.stage {
            sql.push_str(if values.is_empty() {
                " WHERE stage = ?"
            } else {
                " AND stage = ?"
            });
            values.push(stage);
        }
        // SQLite reads a negative limit as none.
        let limit = filter.limit.map_or(-1, i64::from);
        sql.push_str(" ORDER BY seq DESC LIMIT ? OFFSET ?");
        values.push(&limit);
        values.push(&filter.offset);
        self.rows(&sql, &values)
    }

    /// Recomputes the whole chain and returns how many entries hold. The first that does not is an error.
    pub fn check(&self) -> Result<u64, LedgerError> {
        let mut previous: Option<LedgerEntry> = None;
        let mut count = 0;
        for entry in self.rows(&format!("SELECT {COLUMNS} FROM runs ORDER BY seq"), &[])? {
            let seq = entry.seq;
            let broken = |reason| Err(LedgerError::Broken { seq, reason });
            if entry.seq != previous.as_ref().map_or(1, |previous| previous.seq + 1) {
                return broken("follows a gap");
            }
            if entry.prev_digest != previous.as_ref().map(|previous| previous.entry_digest) {
                return broken("does not name the entry before it");
            }
            if entry.computed_digest()? != entry.entry_digest {
                return broken("does not have the digest that it carries");
            }
            previous = Some(entry);
            count += 1;
        }
        Ok(count)
    }

    fn rows(&self, sql: &str, values: &[&dyn ToSql]) -> Result<Vec<LedgerEntry>, LedgerError> {
        let failed = |source| self.failed_read(source);
        let mut statement = self.connection.prepare(sql).map_err(failed)?;
        let rows = statement.query_map(values, |row| Ok(read(row))).map_err(failed)?;
        let mut entries = Vec::new();
        for row in rows {
            entries.push(row.map_err(failed)??);
        }
        Ok(entries)
    }
}

pub(crate) fn insert(connection: &Connection, entry: &LedgerEntry) -> rusqlite::Result<()> {
    let sql = format!("INSERT INTO runs ({COLUMNS}) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15)");
    connection.execute(
        &sql,
        params![
            entry.seq,
            entry.run_id.as_str(),
            entry.case_id,
            entry.backend,
            entry.stage,
            entry.mutation_mode,
            entry.status,
            entry.first_blocker,
            entry.started_at,
            entry.finished_at,
            entry.duration_ms,
            entry.manifest_digest.to_string(),
            entry.attestation_digest.to_string(),
            entry.prev_digest.map(|digest| digest.to_string()),
            entry.entry_digest.to_string(),
        ],
    )?;
    Ok(())
}

pub(super) fn read(row: &Row<'_>) -> Result<LedgerEntry, LedgerError> {
    let seq: i64 = row.get(0).unwrap_or(0);
    let unfit = |error: rusqlite::Error| LedgerError::Entry {
        seq,
        reason: error.to_string(),
    };
    let text = |column: usize| row.get::<_, String>(column).map_err(unfit);
    let prev: Option<String> = row.get(13).map_err(unfit)?;
    Ok(LedgerEntry {
        seq,
        run_id: parse(seq, "run_id", &text(1)?)?,
        case_id: text(2)?,
        backend: text(3)?,
        stage: row.get(4).map_err(unfit)?,
        mutation_mode: row.get(5).map_err(unfit)?,
        status: text(6)?,
        first_blocker: row.get(7).map_err(unfit)?,
        started_at: text(8)?,
        finished_at: text(9)?,
        duration_ms: row.get(10).map_err(unfit)?,
        manifest_digest: parse(seq, "manifest_digest", &text(11)?)?,
        attestation_digest: parse(seq, "attestation_digest", &text(12)?)?,
        prev_digest: prev.map(|prev| parse(seq, "prev_digest", &prev)).transpose()?,
        entry_digest: parse(seq, "entry_digest", &text(14)?)?,
    })
}

fn parse<T: std::str::FromStr>(seq: i64, column: &str, text: &str) -> Result<T, LedgerError> {
    text.parse().map_err(|_| LedgerError::Entry {
        seq,
        reason: format!("'{column}' cannot be read"),
    })
}
