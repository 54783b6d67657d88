//! Writer and replay of `journal.jsonl`.

use std::io;
use std::os::fd::AsFd;

use cto_policy::{IllegalTransition, RunState};
use cto_schema::{JournalEvent, JournalRecord, Sha256Digest};

use crate::clock::RunClock;
use crate::run_dir::lines::LineFile;

/// Name of the journal in a run directory.
pub(crate) const JOURNAL: &str = "journal.jsonl";

/// Why a record was not appended.
#[derive(Debug)]
pub(crate) enum JournalFailure {
    /// The lifecycle does not allow it.
    Illegal(IllegalTransition),
    /// It could not be written.
    Io(io::Error),
}

/// Appends records that the lifecycle allows, each durable before the call returns.
#[derive(Debug)]
pub(crate) struct JournalWriter {
    lines: LineFile,
    seq: u32,
    state: RunState,
    last: &'static str,
}

impl JournalWriter {
    pub(crate) fn create(dir: impl AsFd) -> io::Result<Self> {
        Ok(Self {
            lines: LineFile::create(dir, JOURNAL)?,
            seq: 0,
            state: RunState::default(),
            last: "",
        })
    }

    pub(crate) fn resume(lines: LineFile, replayed: &Replayed) -> Self {
        let seq = u32::try_from(replayed.records.len()).unwrap_or(u32::MAX);
        let last = replayed.records.last().map_or("", |record| record.event.name());
        Self {
            lines,
            seq,
            state: replayed.state,
            last,
        }
    }

    pub(crate) fn state(&self) -> RunState {
        self.state
    }

    pub(crate) fn last(&self) -> &'static str {
        self.last
    }

    pub(crate) fn append(&mut self, clock: &RunClock, event: JournalEvent) -> Result<(), JournalFailure> {
        let state = self.state.next(&event).map_err(JournalFailure::Illegal)?;
        let last = event.name();
        let record = JournalRecord {
            seq: self.seq,
            ts: clock.ts(),
            mono_ns: clock.mono_ns().to_string(),
            event,
        };
        let line = serde_json::to_string(&record).map_err(|error| JournalFailure::Io(error.into()))?;
        let line = cto_schema::inert_json(line).into_bytes();
        self.lines.append(&line, true).map_err(JournalFailure::Io)?;
        (self.seq, self.state, self.last) = (self.seq + 1, state, last);
        Ok(())
    }

    pub(crate) fn close(&mut self) -> io::Result<Sha256Digest> {
        self.lines.close()
    }
}

/// The records of a journal that hold.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Replayed {
    /// Records in order.
    pub(crate) records: Vec<JournalRecord>,
    /// State after the last of them.
    pub(crate) state: RunState,
    /// Length in bytes of the lines that they were read from.
    pub(crate) len: usize,
}

/// Replays the longest prefix of whole lines that are records in sequence which the lifecycle allows. What follows
/// was torn by a crash, or is not ours.
pub(crate) fn replay(bytes: &[u8]) -> Replayed {
    let mut replayed = Replayed {
        records: Vec::new(),
        state: RunState::default(),
        len: 0,
    };
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let Some(text) = line.strip_suffix(b"\n") else {
            break;
        };
        let Ok(record) = serde_json::from_slice::<JournalRecord>(text) else {
            break;
        };
        let Ok(state) = replayed.state.next(&record.event) else {
            break;
        };
        if usize::try_from(record.seq) != Ok(replayed.records.len()) {
            break;
        }
        replayed.len += line.len();
        replayed.state = state;
        replayed.records.push(record);
    }
    replayed
}
