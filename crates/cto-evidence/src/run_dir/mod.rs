//! A run's directory while the run lives: the one place where evidence is written.
//!
//! Invariants: nothing in it is ever overwritten; a name appears only with its whole content, except for the three
//! appended files and streams; each record is durable before the effect that it announces.

pub(crate) mod artifacts;
pub(crate) mod create;
mod error;
pub(crate) mod events;
pub(crate) mod journal;
pub(crate) mod lines;
pub(crate) mod name;
mod reserve;
#[cfg(test)]
mod tests;
pub(crate) mod trace;

pub use create::fresh_run_id;
pub use error::RunDirError;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use cto_policy::RunState;
use cto_schema::{ArtifactFailure, EventType, JournalEvent, RunId, SecretFinding, Sha256Digest, Span};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::clock::RunClock;
use crate::live::{LiveLock, OpenedInfo};
use crate::redact::{KnownSecret, Redactor};
use crate::run_dir::events::{EVENTS, EventWriter};
use crate::run_dir::journal::{JOURNAL, JournalFailure, JournalWriter};
use crate::run_dir::reserve::Reserve;
use crate::run_dir::trace::{TRACE, TraceWriter};

/// An artifact that was written, or at recovery read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// Digest of its bytes on disk.
    pub digest: Sha256Digest,
    /// When it was written or checked, in nanoseconds since the run's start.
    pub mono_ns: u64,
}

/// Digests of the three appended files after their close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamDigests {
    /// Of `journal.jsonl`.
    pub journal: Sha256Digest,
    /// Of `events.normalized.jsonl`.
    pub events: Sha256Digest,
    /// Of `trace.jsonl`.
    pub trace: Sha256Digest,
    /// Of the last event line; of the nonce when there is none.
    pub event_chain_head: Sha256Digest,
}

/// The directory of a live run. Its marker is locked until it is sealed or dropped.
#[derive(Debug)]
pub struct RunDir {
    pub(crate) run_id: RunId,
    pub(crate) path: PathBuf,
    pub(crate) opened: OpenedInfo,
    pub(crate) nonce: [u8; 32],
    pub(crate) clock: RunClock,
    pub(crate) dir: OwnedFd,
    pub(crate) live_dir: OwnedFd,
    pub(crate) lock: LiveLock,
    /// Handles of directories below the run directory, by name.
    pub(crate) subdirs: BTreeMap<String, OwnedFd>,
    pub(crate) journal: JournalWriter,
    pub(crate) events: EventWriter,
    pub(crate) trace: TraceWriter,
    pub(crate) closed: Option<StreamDigests>,
    pub(crate) artifacts: BTreeMap<String, Artifact>,
    pub(crate) failures: Vec<ArtifactFailure>,
    pub(crate) secrets: Vec<SecretFinding>,
    pub(crate) redactor: Redactor,
    /// The exact secrets that the redactor knows.
    pub(crate) known: Vec<KnownSecret>,
    reserve: Option<Reserve>,
}

impl RunDir {
    /// Returns the run.
    pub fn run_id(&self) -> &RunId {
        &self.run_id
    }

    /// Returns the directory's path, for people; every write goes through a handle.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns what the run said about itself at its start.
    pub fn opened(&self) -> &OpenedInfo {
        &self.opened
    }

    /// Returns the nonce in lower-case hexadecimal.
    pub fn nonce_hex(&self) -> String {
        data_encoding::HEXLOWER.encode(&self.nonce)
    }

    /// Returns the run's clock.
    pub fn clock(&self) -> RunClock {
        self.clock
    }

    /// Returns where the run is, as its journal tells.
    pub fn state(&self) -> RunState {
        self.journal.state()
    }

    /// Returns the name of the last journal record.
    pub fn last_record(&self) -> &'static str {
        self.journal.last()
    }

    /// Returns the required events so far, in order.
    pub fn required_events(&self) -> &[EventType] {
        self.events.required()
    }

    /// Returns the digest of the last event line; of the nonce when there is none.
    pub fn event_chain_head(&self) -> Sha256Digest {
        self.events.head()
    }

    /// Returns every artifact written so far, by name. Journal, events and trace join at the close.
    pub fn artifacts(&self) -> &BTreeMap<String, Artifact> {
        &self.artifacts
    }

    /// Returns every artifact that could not be written.
    pub fn failures(&self) -> &[ArtifactFailure] {
        &self.failures
    }

    /// Returns every secret that was replaced on its way into an artifact.
    pub fn secrets(&self) -> &[SecretFinding] {
        &self.secrets
    }

    /// Appends a record to the journal. It is durable when the call returns.
    pub fn journal(&mut self, event: JournalEvent) -> Result<(), RunDirError> {
        self.writable(JOURNAL)?;
        let event = self.cleaned(JOURNAL, event)?;
        match self.journal.append(&self.clock, event) {
            Ok(()) => Ok(()),
            Err(JournalFailure::Illegal(source)) => Err(source.into()),
            Err(JournalFailure::Io(source)) => Err(self.failed(JOURNAL, source)),
        }
    }

    /// Appends an event with its data, an object. It is durable when the call returns, except `engine.*` and
    /// `bound.refused`, which become durable with the next other event.
    pub fn event(&mut self, kind: EventType, data: Value) -> Result<(), RunDirError> {
        self.writable(EVENTS)?;
        let data = self.cleaned(EVENTS, data)?;
        self.events
            .append(&self.clock, kind, data)
            .map_err(|source| self.failed(EVENTS, source))
    }

    /// Appends a span that ends now. `start_ns` is an offset from [`RunClock::mono_ns`]; `outcome` is `ok` or what
    /// went wrong; `detail` must be escaped already.
    pub fn span(&mut self, name: &str, start_ns: u64, outcome: &str, detail: &str) -> Result<(), RunDirError> {
        self.writable(TRACE)?;
        let span = Span {
            name: name.to_owned(),
            start_ns: start_ns.to_string(),
            end_ns: self.clock.mono_ns().to_string(),
            outcome: outcome.to_owned(),
            detail: detail.to_owned(),
        };
        let span = self.cleaned(TRACE, span)?;
        self.trace.append(&span).map_err(|source| self.failed(TRACE, source))
    }

    /// Gives back the disk space that was set aside for the run's last words. Called before the `observed` record,
    /// and by itself when a write finds the disk full.
    pub fn release_reserve(&mut self) {
        self.reserve = None;
    }

    /// Makes journal, events and trace durable and closes them for good.
    pub fn close_streams(&mut self) -> Result<StreamDigests, RunDirError> {
        if let Some(closed) = self.closed {
            return Ok(closed);
        }
        let event_chain_head = self.events.head();
        let journal = self.journal.close().map_err(|source| self.failed(JOURNAL, source))?;
        let events = self.events.close().map_err(|source| self.failed(EVENTS, source))?;
        let trace = self.trace.close().map_err(|source| self.failed(TRACE, source))?;
        let closed = StreamDigests {
            journal,
            events,
            trace,
            event_chain_head,
        };
        let mono_ns = self.clock.mono_ns();
        for (name, digest) in [(JOURNAL, journal), (EVENTS, events), (TRACE, trace)] {
            self.artifacts.insert(name.to_owned(), Artifact { digest, mono_ns });
        }
        self.closed = Some(closed);
        Ok(closed)
    }

    /// Replaces secrets in the texts of a record: what an engine says ends up in events.
    fn cleaned<T: Serialize + DeserializeOwned>(&mut self, artifact: &str, record: T) -> Result<T, RunDirError> {
        match self.redactor.redact_document(artifact, record) {
            Ok((record, found)) => {
                self.secrets.extend(found);
                Ok(record)
            }
            Err(error) => Err(self.failed(artifact, error.into())),
        }
    }

    fn writable(&self, artifact: &'static str) -> Result<(), RunDirError> {
        if self.closed.is_some() {
            Err(RunDirError::Closed { artifact })
        } else {
            Ok(())
        }
    }

    /// Records a failed write, and frees the reserve if space was what it lacked.
    fn failed(&mut self, artifact: &str, source: io::Error) -> RunDirError {
        if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            self.release_reserve();
        }
        self.failures.push(ArtifactFailure {
            artifact: artifact.to_owned(),
            error: source.to_string(),
        });
        RunDirError::ArtifactWrite {
            artifact: artifact.to_owned(),
            source,
        }
    }
}
