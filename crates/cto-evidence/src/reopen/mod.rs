//! Recovery: opening the directory of a run whose process died, so that it can be closed and sealed.
//!
//! Every step can be killed and run again: what was torn is copied before it is cut, names move by one atomic
//! rename each, and nothing that was durable is lost.

mod mend;
mod sealed;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use cto_schema::{JournalEvent, JournalRecord, RunId};

use crate::clock::{ClockError, RunClock, boot_id};
use crate::durable;
use crate::home::Home;
use crate::keys::{KeyError, Keys};
use crate::ledger::{Ledger, LedgerError};
use crate::live::{LiveError, LiveMarker, OpenedInfo};
use crate::manifest::{self, ManifestError};
use crate::run_dir::artifacts::enter;
use crate::run_dir::create::{BACKEND, Made, random};
use crate::run_dir::events::{Chain, EVENTS, EventWriter, follow};
use crate::run_dir::journal::{JOURNAL, JournalWriter, Replayed, replay};
use crate::run_dir::trace::{TRACE, TraceWriter, whole_spans};
use crate::run_dir::{Artifact, RunDir, RunDirError};
use crate::seal::Sealed;

/// Why an unfinished run could not be opened. Its marker stays, so the next command tries again.
#[derive(Debug, thiserror::Error)]
pub enum ReopenError {
    /// A file could not be read, moved or cut.
    #[error("mend '{artifact}' of unfinished run '{run_id}'")]
    Mend {
        /// The run.
        run_id: RunId,
        /// Name in the run directory.
        artifact: String,
        /// The system's error.
        source: io::Error,
    },
    /// The directory holds what no writer of ours makes.
    #[error("read unfinished run '{run_id}'; look at its directory and remove what is not cto's")]
    Foreign {
        /// The run.
        run_id: RunId,
        /// The cause.
        source: ManifestError,
    },
    /// The run is sealed and its report cannot be read, so the ledger cannot list it.
    #[error("list sealed run '{run_id}': its report.json cannot be read; restore the run directory from a copy")]
    Report {
        /// The run.
        run_id: RunId,
    },
    /// The keys could not be read.
    #[error("check the seal of unfinished run '{run_id}'")]
    Keys {
        /// The run.
        run_id: RunId,
        /// The cause.
        source: KeyError,
    },
    /// The ledger could not list the run.
    #[error("list sealed run '{run_id}'")]
    Ledger {
        /// The run.
        run_id: RunId,
        /// The cause.
        source: LedgerError,
    },
    /// The marker could not be removed.
    #[error("finish run '{run_id}'")]
    Live {
        /// The run.
        run_id: RunId,
        /// The cause.
        source: LiveError,
    },
    /// The boot id could not be read.
    #[error("continue the clock of run '{run_id}'")]
    Clock {
        /// The run.
        run_id: RunId,
        /// The cause.
        source: ClockError,
    },
    /// The journal could not be opened anew.
    #[error("open the journal of run '{run_id}' again")]
    Journal {
        /// The run.
        run_id: RunId,
        /// The cause.
        source: RunDirError,
    },
}

/// What an unfinished run turned out to be.
#[derive(Debug)]
pub enum Reopened {
    /// Nothing was begun: there was a marker and no directory. The marker is gone.
    Nothing,
    /// The run was sealed and only its ledger entry or its marker was unfinished. Both are done now.
    AlreadySealed(Box<Sealed>),
    /// The run was interrupted and must be closed: `recovery_intent`, `observed`, `concluded`, report, seal.
    Interrupted(Box<Interrupted>),
}

/// An interrupted run, ready to be continued.
#[derive(Debug)]
pub struct Interrupted {
    /// Its directory, locked by us.
    pub run_dir: RunDir,
    /// The journal's records that hold; empty when none was durable.
    pub records: Vec<JournalRecord>,
    /// Whether the machine was booted since the run started.
    pub rebooted: bool,
}

/// Opens an unfinished run. Safe to kill at any point and to call again.
pub fn reopen(home: &Home, marker: LiveMarker, keys: &Keys, ledger: &Ledger) -> Result<Reopened, ReopenError> {
    let run_id = marker.run_id().clone();
    let mended = |artifact: &str, source| ReopenError::Mend {
        run_id: run_id.clone(),
        artifact: artifact.to_owned(),
        source,
    };
    let finish = |marker: LiveMarker| {
        let finished = marker.into_lock().finish(home.live_dir());
        finished.map_err(|source| ReopenError::Live {
            run_id: run_id.clone(),
            source,
        })
    };
    let dir = match durable::open_dir_at(home.runs_dir(), run_id.as_str()) {
        Ok(dir) => dir,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            finish(marker)?;
            return Ok(Reopened::Nothing);
        }
        Err(error) => return Err(mended("", error)),
    };
    mend::sweep(&dir, 0).map_err(|source| mended("", source))?;
    if let Some(sealed) = sealed::look(home, &run_id, &dir, keys, ledger)? {
        finish(marker)?;
        return Ok(Reopened::AlreadySealed(Box::new(sealed)));
    }
    mend::set_aside_unsealed(&dir).map_err(|source| mended("report.json", source))?;
    let backend = enter(&dir, BACKEND).map_err(|source| mended(BACKEND, source))?;
    let history = History::read(&run_id, &dir, &backend).map_err(|(name, source)| mended(name, source))?;
    continue_run(home, marker, dir, backend, history).map(|run| Reopened::Interrupted(Box::new(run)))
}

/// What the three appended files say, after their torn ends were moved away.
struct History {
    replayed: Replayed,
    nonce: Option<[u8; 32]>,
    chain: Chain,
    journal: mend::Kept,
    events: mend::Kept,
    trace: mend::Kept,
}

impl History {
    fn read(run_id: &RunId, dir: &OwnedFd, backend: &OwnedFd) -> Result<Self, (&'static str, io::Error)> {
        let journal_bytes = mend::whole(dir, JOURNAL).map_err(|error| (JOURNAL, error))?;
        let mut replayed = replay(&journal_bytes);
        let nonce = opened_nonce(run_id, &replayed);
        if nonce.is_none() {
            replayed = replay(b"");
        }
        let events_bytes = mend::whole(dir, EVENTS).map_err(|error| (EVENTS, error))?;
        let chain = follow(&events_bytes, run_id, &nonce.unwrap_or_default());
        // Without a nonce no event can be this run's.
        let chain = if nonce.is_some() {
            chain
        } else {
            follow(b"", run_id, &[0; 32])
        };
        let trace_bytes = mend::whole(dir, TRACE).map_err(|error| (TRACE, error))?;
        let keep = |name: &'static str, bytes: Vec<u8>, len: usize| {
            mend::keep(dir, backend, name, bytes, len).map_err(|error| (name, error))
        };
        let trace_len = whole_spans(&trace_bytes);
        Ok(Self {
            journal: keep(JOURNAL, journal_bytes, replayed.len)?,
            events: keep(EVENTS, events_bytes, chain.len)?,
            trace: keep(TRACE, trace_bytes, trace_len)?,
            replayed,
            nonce,
            chain,
        })
    }

    fn last_mono_ns(&self) -> u64 {
        let record = self
            .replayed
            .records
            .last()
            .and_then(|record| record.mono_ns.parse().ok());
        record.unwrap_or(0).max(self.chain.mono_ns)
    }
}

fn continue_run(
    home: &Home,
    marker: LiveMarker,
    dir: OwnedFd,
    backend: OwnedFd,
    history: History,
) -> Result<Interrupted, ReopenError> {
    let run_id = marker.run_id().clone();
    let boot = boot_id().map_err(|source| ReopenError::Clock {
        run_id: run_id.clone(),
        source,
    })?;
    let mended = |source| ReopenError::Mend {
        run_id: run_id.clone(),
        artifact: String::new(),
        source,
    };
    let (clock, rebooted) = resume_clock(&marker, &history, &boot);
    let opened = opened_info(&marker, &history.replayed);
    let artifacts = read_again(&run_id, &dir, &clock)?;
    let fresh = history.nonce.is_none();
    let nonce = match history.nonce {
        Some(nonce) => nonce,
        None => random().map_err(|source| ReopenError::Journal {
            run_id: run_id.clone(),
            source,
        })?,
    };
    let chain = if fresh {
        follow(b"", &run_id, &nonce)
    } else {
        history.chain
    };
    let made = Made {
        dir,
        backend,
        journal: JournalWriter::resume(history.journal.lines(), &history.replayed),
        events: EventWriter::resume(history.events.lines(), run_id.clone(), chain),
        trace: TraceWriter::resume(history.trace.lines()),
        reserve: None,
    };
    let live_dir = home.live_dir().try_clone_to_owned().map_err(mended)?;
    let path = home.run(&run_id);
    let mut run_dir = made.into_run_dir(run_id.clone(), path, opened, nonce, clock, live_dir, marker.into_lock());
    run_dir.artifacts = artifacts;
    if fresh {
        let record = run_dir.opened_record(boot);
        run_dir.journal(record).map_err(|source| ReopenError::Journal {
            run_id: run_id.clone(),
            source,
        })?;
    }
    durable::sync_dir(run_dir.dir.as_fd())
        .and_then(|()| durable::sync_dir(home.runs_dir()))
        .map_err(mended)?;
    Ok(Interrupted {
        run_dir,
        records: history.replayed.records,
        rebooted,
    })
}

fn opened_nonce(run_id: &RunId, replayed: &Replayed) -> Option<[u8; 32]> {
    match &replayed.records.first()?.event {
        JournalEvent::Opened {
            run_id: opened, nonce, ..
        } if opened == run_id.as_str() => data_encoding::HEXLOWER.decode(nonce.as_bytes()).ok()?.try_into().ok(),
        _ => None,
    }
}

/// Continues the clock from the marker, or from the journal when the marker cannot be read.
fn resume_clock(marker: &LiveMarker, history: &History, boot: &str) -> (RunClock, bool) {
    let last_mono_ns = history.last_mono_ns();
    let from_marker = marker.info().and_then(|info| {
        let started_at = info.started_at.parse().ok()?;
        Some((started_at, info.start_boottime_ns.parse().ok()?, info.boot_id == boot))
    });
    if let Some((started_at, start_boottime_ns, same_boot)) = from_marker {
        return (
            RunClock::resume(started_at, start_boottime_ns, same_boot, last_mono_ns),
            !same_boot,
        );
    }
    let first = history.replayed.records.first();
    let started_at = first
        .and_then(|record| record.ts.parse().ok())
        .unwrap_or_else(crate::clock::wall_now);
    let same_boot = matches!(first.map(|record| &record.event),
        Some(JournalEvent::Opened { boot_id, .. }) if boot_id == boot);
    // The boot-time start is only in the marker, so offsets go on from the last one on record.
    (RunClock::resume(started_at, 0, false, last_mono_ns), !same_boot)
}

fn opened_info(marker: &LiveMarker, replayed: &Replayed) -> OpenedInfo {
    if let Some(info) = marker.info() {
        return info.opened.clone();
    }
    match replayed.records.first().map(|record| &record.event) {
        Some(JournalEvent::Opened {
            case_id,
            backend,
            harness_version,
            contract_digest,
            ledger_head,
            ..
        }) => OpenedInfo {
            case_id: case_id.clone(),
            backend: backend.clone(),
            harness_version: harness_version.clone(),
            contract_digest: *contract_digest,
            ledger_head: *ledger_head,
            cgroup_prefix: String::new(),
        },
        _ => OpenedInfo {
            case_id: "unreadable".to_owned(),
            backend: "unknown".to_owned(),
            harness_version: "unknown".to_owned(),
            contract_digest: None,
            ledger_head: None,
            cgroup_prefix: String::new(),
        },
    }
}

/// Reads every artifact again: recovery vouches for what it finds, not for what the dead process remembered.
fn read_again(run_id: &RunId, dir: &OwnedFd, clock: &RunClock) -> Result<BTreeMap<String, Artifact>, ReopenError> {
    let digests = manifest::digests(dir).map_err(|source| ReopenError::Foreign {
        run_id: run_id.clone(),
        source,
    })?;
    let mono_ns = clock.mono_ns();
    let open = [JOURNAL, EVENTS, TRACE];
    let kept = digests.into_iter().filter(|(name, _)| !open.contains(&name.as_str()));
    Ok(kept
        .map(|(name, digest)| (name, Artifact { digest, mono_ns }))
        .collect())
}
