//! Making a run directory: marker, directory, journal, in this order.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use cto_schema::{JournalEvent, RunId, SchemaId};

use crate::clock::{RunClock, boot_id};
use crate::durable;
use crate::home::Home;
use crate::live::{LiveLock, OpenedInfo, describe};
use crate::redact::Redactor;
use crate::run_dir::events::{EVENTS, EventWriter};
use crate::run_dir::journal::{JOURNAL, JournalFailure, JournalWriter};
use crate::run_dir::reserve::Reserve;
use crate::run_dir::trace::{TRACE, TraceWriter};
use crate::run_dir::{RunDir, RunDirError};

/// Directory of raw engine logs and metadata.
pub(crate) const BACKEND: &str = "backend";

/// Draws a run id for a case from the clock and 50 random bits.
pub fn fresh_run_id(clock: &RunClock, case_id: &str) -> Result<RunId, RunDirError> {
    let stamp = clock.started_at().strftime("%Y%m%dT%H%M%SZ").to_string();
    Ok(RunId::new(&stamp, case_id, random()?))
}

/// Draws random bytes from the kernel.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], RunDirError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| RunDirError::Random {
        source: io::Error::other(error.to_string()),
    })?;
    Ok(bytes)
}

impl RunDir {
    /// Makes the directory of a new run: live marker, private directory, journal with its `opened` record, each
    /// durable before the next. When this fails nothing was begun, and what is left is removed now or by recovery.
    pub fn create(home: &Home, run_id: RunId, opened: OpenedInfo, clock: RunClock) -> Result<Self, RunDirError> {
        let nonce = random()?;
        let boot_id = boot_id()?;
        let live_dir = home
            .live_dir()
            .try_clone_to_owned()
            .map_err(|source| create_error(home, &run_id, source))?;
        let lock = LiveLock::create(home, &describe(&run_id, opened.clone(), boot_id.clone(), &clock))?;
        match make(home, &run_id, &nonce) {
            Ok(made) => {
                let path = home.run(&run_id);
                let run_dir = made.into_run_dir(run_id, path, opened, nonce, clock, live_dir, lock);
                run_dir.open_journal(home, boot_id)
            }
            Err(source) => {
                // A directory that could not be removed keeps its marker, so that recovery finds it. One that
                // existed before is a sealed run's, and needs no marker of ours.
                let stays = durable::exists_at(home.runs_dir(), run_id.as_str()).unwrap_or(true);
                if !stays || source.kind() == io::ErrorKind::AlreadyExists {
                    lock.finish(home.live_dir()).unwrap_or_default();
                }
                Err(create_error(home, &run_id, source))
            }
        }
    }

    fn open_journal(mut self, home: &Home, boot_id: String) -> Result<Self, RunDirError> {
        let record = self.opened_record(boot_id);
        let written = match self.journal.append(&self.clock, record) {
            Ok(()) => durable::sync_dir(&self.dir).and_then(|()| durable::sync_dir(home.runs_dir())),
            Err(JournalFailure::Io(source)) => Err(source),
            Err(JournalFailure::Illegal(source)) => return Err(source.into()),
        };
        match written {
            Ok(()) => Ok(self),
            Err(source) => {
                let error = create_error(home, &self.run_id, source);
                if discard(home, &self.run_id, &self.dir).is_ok() {
                    self.lock.finish(&self.live_dir).unwrap_or_default();
                }
                Err(error)
            }
        }
    }

    /// Returns the journal's first record.
    pub(crate) fn opened_record(&self, boot_id: String) -> JournalEvent {
        JournalEvent::Opened {
            schema: SchemaId::JOURNAL.to_string(),
            run_id: self.run_id.to_string(),
            nonce: self.nonce_hex(),
            harness_version: self.opened.harness_version.clone(),
            boot_id,
            ledger_head: self.opened.ledger_head,
            contract_digest: self.opened.contract_digest,
            backend: self.opened.backend.clone(),
            case_id: self.opened.case_id.clone(),
        }
    }
}

/// The parts of a run directory that exist before its journal has a record.
pub(crate) struct Made {
    pub(crate) dir: OwnedFd,
    pub(crate) backend: OwnedFd,
    pub(crate) journal: JournalWriter,
    pub(crate) events: EventWriter,
    pub(crate) trace: TraceWriter,
    pub(crate) reserve: Option<Reserve>,
}

impl Made {
    #[expect(
        clippy::too_many_arguments,
        reason = "each is one field; a struct would repeat RunDir"
    )]
    pub(crate) fn into_run_dir(
        self,
        run_id: RunId,
        path: std::path::PathBuf,
        opened: OpenedInfo,
        nonce: [u8; 32],
        clock: RunClock,
        live_dir: OwnedFd,
        lock: LiveLock,
    ) -> RunDir {
        RunDir {
            run_id,
            path,
            opened,
            nonce,
            clock,
            dir: self.dir,
            live_dir,
            lock,
            subdirs: BTreeMap::from([(BACKEND.to_owned(), self.backend)]),
            journal: self.journal,
            events: self.events,
            trace: self.trace,
            closed: None,
            artifacts: BTreeMap::new(),
            failures: Vec::new(),
            secrets: Vec::new(),
            redactor: Redactor::default(),
            known: Vec::new(),
            reserve: self.reserve,
        }
    }
}

fn make(home: &Home, run_id: &RunId, nonce: &[u8; 32]) -> io::Result<Made> {
    durable::make_dir_at(home.runs_dir(), run_id.as_str())?;
    let dir = durable::open_dir_at(home.runs_dir(), run_id.as_str())?;
    match fill(&dir, run_id, nonce) {
        Ok(parts) => Ok(parts.with(dir)),
        Err(error) => {
            discard(home, run_id, &dir).unwrap_or_default();
            Err(error)
        }
    }
}

/// Everything of [`Made`] but the directory's own handle.
struct Parts(OwnedFd, JournalWriter, EventWriter, TraceWriter, Reserve);

impl Parts {
    fn with(self, dir: OwnedFd) -> Made {
        let Self(backend, journal, events, trace, reserve) = self;
        Made {
            dir,
            backend,
            journal,
            events,
            trace,
            reserve: Some(reserve),
        }
    }
}

fn fill(dir: &OwnedFd, run_id: &RunId, nonce: &[u8; 32]) -> io::Result<Parts> {
    let reserve = Reserve::take(dir)?;
    durable::make_dir_at(dir, BACKEND)?;
    let backend = durable::open_dir_at(dir, BACKEND)?;
    let journal = JournalWriter::create(dir)?;
    let events = EventWriter::create(dir, run_id.clone(), nonce)?;
    Ok(Parts(backend, journal, events, TraceWriter::create(dir)?, reserve))
}

/// Removes a run directory in which nothing was begun.
fn discard(home: &Home, run_id: &RunId, dir: &OwnedFd) -> io::Result<()> {
    for name in [JOURNAL, EVENTS, TRACE] {
        durable::remove_at(dir, name)?;
    }
    for (dir, name) in [(dir.as_fd(), BACKEND), (home.runs_dir(), run_id.as_str())] {
        match rustix::fs::unlinkat(dir, name, rustix::fs::AtFlags::REMOVEDIR) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
    }
    durable::sync_dir(home.runs_dir())
}

fn create_error(home: &Home, run_id: &RunId, source: io::Error) -> RunDirError {
    RunDirError::Create {
        path: home.run(run_id),
        source,
    }
}
