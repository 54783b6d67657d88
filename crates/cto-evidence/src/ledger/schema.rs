//! The ledger's file: how it is created, opened and kept append-only.

use std::io;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::durable;
use crate::home::Home;
use crate::ledger::LedgerError;

/// Version of the table, in `PRAGMA user_version`. 1: first version.
const VERSION: i64 = 1;

/// How long a process waits for another's transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// The table and what keeps it append-only. `INSERT OR REPLACE` deletes without firing a trigger, so an insert that
/// is not the next entry is refused as well.
const SCHEMA: &str = "
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS runs (
  seq INTEGER PRIMARY KEY,
  run_id TEXT NOT NULL UNIQUE,
  case_id TEXT NOT NULL,
  backend TEXT NOT NULL,
  stage INTEGER,
  mutation_mode TEXT,
  status TEXT NOT NULL,
  first_blocker TEXT,
  started_at TEXT NOT NULL,
  finished_at TEXT NOT NULL,
  duration_ms INTEGER NOT NULL,
  manifest_digest TEXT NOT NULL,
  attestation_digest TEXT NOT NULL,
  prev_digest TEXT,
  entry_digest TEXT NOT NULL
) STRICT;
CREATE TRIGGER IF NOT EXISTS runs_no_update BEFORE UPDATE ON runs
BEGIN SELECT RAISE(ABORT, 'the run ledger is append-only'); END;
CREATE TRIGGER IF NOT EXISTS runs_no_delete BEFORE DELETE ON runs
BEGIN SELECT RAISE(ABORT, 'the run ledger is append-only'); END;
CREATE TRIGGER IF NOT EXISTS runs_only_next BEFORE INSERT ON runs
WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM runs)
  OR NEW.prev_digest IS NOT (SELECT entry_digest FROM runs ORDER BY seq DESC LIMIT 1)
  OR EXISTS (SELECT 1 FROM runs WHERE run_id = NEW.run_id)
BEGIN SELECT RAISE(ABORT, 'the run ledger takes only the next entry'); END;
PRAGMA user_version = 1;
COMMIT;
";

/// Makes the file with mode 0600; SQLite gives its journal the same mode.
pub(crate) fn create_private(home: &Home) -> Result<(), LedgerError> {
    let failed = |source| LedgerError::Create {
        path: home.ledger(),
        source,
    };
    let name = "ledger.sqlite";
    if durable::exists_at(home.root_dir(), name).map_err(failed)? {
        return Ok(());
    }
    match durable::create_at(home.root_dir(), name) {
        Ok(_) => durable::sync_dir(home.root_dir()).map_err(failed),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

/// Opens the file and makes sure of its table.
pub(crate) fn connect(path: &Path) -> Result<Connection, LedgerError> {
    let failed = |source| LedgerError::Open {
        path: path.to_owned(),
        source: Box::new(source),
    };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
    // `synchronous` and `cell_size_check` belong to the connection, the rest to the file.
    connection.execute_batch(PRAGMAS).map_err(failed)?;
    let version = |connection: &Connection| connection.query_row("PRAGMA user_version", [], |row| row.get(0));
    let found: i64 = version(&connection).map_err(failed)?;
    if found == 0 {
        connection.execute_batch(SCHEMA).map_err(failed)?;
    } else if found != VERSION {
        return Err(LedgerError::Version {
            path: path.to_owned(),
            found,
            known: VERSION,
        });
    }
    Ok(connection)
}

/// A rollback journal, because a run appends one row and closes: WAL pays for two more files and a checkpoint at
/// each close. TRUNCATE keeps the journal's name, so no directory has to be synced for a commit to be durable.
const PRAGMAS: &str = "
PRAGMA journal_mode = TRUNCATE;
PRAGMA synchronous = FULL;
PRAGMA trusted_schema = OFF;
PRAGMA cell_size_check = ON;
";
