//! Pages of the run ledger, for those who show it: read-only, by key, so that a page costs the same however deep it lies.

use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, params_from_iter};

use super::query::{COLUMNS, read};
use super::{Ledger, LedgerEntry, LedgerError};
use crate::home::Home;

/// Which runs a page shows. Every field that is set must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunQuery {
    /// `pass`, `fail` or `blocked`.
    pub status: Option<String>,
    /// The engine, whatever it played.
    pub engine: Option<String>,
    /// Code of the first blocker.
    pub blocker: Option<String>,
    /// Stage, 1 to 6.
    pub stage: Option<u8>,
    /// A part of the run's or the case's name.
    pub text: Option<String>,
    /// Only runs that started at this time or later; RFC 3339 UTC with microseconds.
    pub since: Option<String>,
    /// In which order.
    pub order: RunOrder,
    /// The entry after which the page starts, in that order; null for the first page.
    pub after: Option<RunPlace>,
    /// Most entries of the page.
    pub limit: u32,
}

/// The order of a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RunOrder {
    /// The last one first.
    #[default]
    Newest,
    /// The first one first.
    Oldest,
    /// The one that took longest first.
    Longest,
}

/// Where an entry lies in any order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunPlace {
    /// Its number.
    pub seq: i64,
    /// Its duration in milliseconds.
    pub duration_ms: i64,
}

/// A page of runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunPage {
    /// The entries, in the order that was asked for.
    pub entries: Vec<LedgerEntry>,
    /// How many runs the query finds on all pages.
    pub total: u64,
    /// Where the next page starts; null on the last one.
    pub next: Option<RunPlace>,
}

impl Ledger {
    /// Opens a home's ledger for reading; `None` when there is none yet. Nothing is created, and no write lock is taken.
    pub fn open_to_read(home: &Home) -> Result<Option<Self>, LedgerError> {
        let path = home.ledger();
        if !path.exists() {
            return Ok(None);
        }
        let failed = |source| LedgerError::Open {
            path: path.clone(),
            source: Box::new(source),
        };
        let flags =
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        let connection = Connection::open_with_flags(&path, flags).map_err(failed)?;
        connection
            .busy_timeout(std::time::Duration::from_secs(2))
            .map_err(failed)?;
        connection
            .execute_batch("PRAGMA query_only = ON; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;")
            .map_err(failed)?;
        // A file that was made a moment ago has no table yet.
        let version: i64 = connection
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .map_err(failed)?;
        if version == 0 {
            return Ok(None);
        }
        Ok(Some(Self { path, connection }))
    }

    /// Returns one page of runs, with the exact number of runs that the query finds.
    pub fn page(&self, query: &RunQuery) -> Result<RunPage, LedgerError> {
        let (mut conditions, mut values) = conditions(query);
        let failed = |source| self.failed_read(source);
        let filter = where_clause(&conditions);
        // Entries are numbered without gaps, so the last number counts them; a filter has to count what it finds.
        let count = if conditions.is_empty() {
            "coalesce(max(seq), 0)"
        } else {
            "count(*)"
        };
        let counted = self.connection.query_row(
            &format!("SELECT {count} FROM runs{filter}"),
            params_from_iter(&values),
            |row| row.get::<_, i64>(0),
        );
        let total = counted.map_err(failed)?;
        let (key, order) = match query.order {
            RunOrder::Newest => ("seq < ?", "seq DESC"),
            RunOrder::Oldest => ("seq > ?", "seq"),
            RunOrder::Longest => ("(duration_ms, seq) < (?, ?)", "duration_ms DESC, seq DESC"),
        };
        if let Some(place) = query.after {
            conditions.push(key);
            if query.order == RunOrder::Longest {
                values.push(Value::from(place.duration_ms));
            }
            values.push(Value::from(place.seq));
        }
        // One more than is shown says whether there is another page.
        values.push(Value::from(i64::from(query.limit) + 1));
        let filter = where_clause(&conditions);
        let sql = format!("SELECT {COLUMNS} FROM runs{filter} ORDER BY {order} LIMIT ?");
        let mut statement = self.connection.prepare(&sql).map_err(failed)?;
        let rows = statement
            .query_map(params_from_iter(&values), |row| Ok(read(row)))
            .map_err(failed)?;
        let mut entries = Vec::new();
        for row in rows {
            entries.push(row.map_err(failed)??);
        }
        let most = usize::try_from(query.limit).unwrap_or(usize::MAX);
        let more = entries.len() > most;
        entries.truncate(most);
        let next = entries.last().filter(|_| more).map(|entry| RunPlace {
            seq: entry.seq,
            duration_ms: entry.duration_ms,
        });
        Ok(RunPage {
            entries,
            total: u64::try_from(total).unwrap_or(0),
            next,
        })
    }

    /// Returns the blocker codes and the engines that are on record, each once, sorted.
    pub fn words(&self) -> Result<(Vec<String>, Vec<String>), LedgerError> {
        let blockers =
            self.column("SELECT DISTINCT first_blocker FROM runs WHERE first_blocker IS NOT NULL ORDER BY 1")?;
        let engines = self.column(
            "SELECT DISTINCT CASE instr(backend, ':') WHEN 0 THEN backend ELSE substr(backend, 1, instr(backend, ':') - 1) END \
             FROM runs ORDER BY 1",
        )?;
        Ok((blockers, engines))
    }

    fn column(&self, sql: &str) -> Result<Vec<String>, LedgerError> {
        let failed = |source| self.failed_read(source);
        let mut statement = self.connection.prepare(sql).map_err(failed)?;
        let rows = statement.query_map([], |row| row.get::<_, String>(0)).map_err(failed)?;
        rows.collect::<Result<_, _>>().map_err(failed)
    }
}

fn conditions(query: &RunQuery) -> (Vec<&'static str>, Vec<Value>) {
    let mut conditions = Vec::new();
    let mut values = Vec::new();
    let texts = [
        ("status = ?", &query.status),
        ("first_blocker = ?", &query.blocker),
        ("started_at >= ?", &query.since),
    ];
    for (condition, value) in texts {
        if let Some(value) = value {
            conditions.push(condition);
            values.push(Value::from(value.clone()));
        }
    }
    if let Some(engine) = &query.engine {
        conditions.push("(backend = ? OR substr(backend, 1, length(?) + 1) = ? || ':')");
        values.extend(std::iter::repeat_n(Value::from(engine.clone()), 3));
    }
    if let Some(stage) = query.stage {
        conditions.push("stage = ?");
        values.push(Value::from(i64::from(stage)));
    }
    if let Some(text) = &query.text {
        conditions.push("(instr(lower(run_id), lower(?)) > 0 OR instr(lower(case_id), lower(?)) > 0)");
        values.extend(std::iter::repeat_n(Value::from(text.clone()), 2));
    }
    (conditions, values)
}

fn where_clause(conditions: &[&str]) -> String {
    if conditions.is_empty() {
        return String::new();
    }
    format!(" WHERE {}", conditions.join(" AND "))
}
