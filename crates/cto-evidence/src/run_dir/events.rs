//! Writer and replay of `events.normalized.jsonl`: the hash-chained event stream.

use std::io;
use std::os::fd::AsFd;

use cto_schema::{Event, EventType, RunId, Sha256Digest};
use serde_json::Value;

use crate::clock::RunClock;
use crate::run_dir::lines::LineFile;

/// Name of the event stream in a run directory.
pub(crate) const EVENTS: &str = "events.normalized.jsonl";

/// True for events that the verdict needs; their lines are durable before the call returns.
pub(crate) fn is_required(kind: EventType) -> bool {
    match kind {
        EventType::RunStarted
        | EventType::TaskContractCreated
        | EventType::PlanUpdated
        | EventType::ApprovalRequested
        | EventType::ApprovalGranted
        | EventType::ApprovalDenied
        | EventType::BackendGateBlocked
        | EventType::PatchApplied
        | EventType::GitDiffChecked
        | EventType::VerificationCompleted
        | EventType::RunCompleted => true,
        EventType::EngineMessage
        | EventType::EnginePlan
        | EventType::EngineToolCall
        | EventType::EngineFileChange
        | EventType::EngineUsage
        | EventType::EngineError
        | EventType::ModelRequest
        | EventType::ModelRefused
        | EventType::ForbiddenActionAttempted
        | EventType::BoundRefused
        | EventType::OperatorOutcome => false,
    }
}

/// True for events that an engine can cause by the thousand: durable with the next event that is not.
fn is_batched(kind: EventType) -> bool {
    matches!(
        kind,
        EventType::EngineMessage
            | EventType::EnginePlan
            | EventType::EngineToolCall
            | EventType::EngineFileChange
            | EventType::EngineUsage
            | EventType::EngineError
            | EventType::BoundRefused
    )
}

/// Appends events, each carrying the digest of the line before it.
#[derive(Debug)]
pub(crate) struct EventWriter {
    lines: LineFile,
    run_id: RunId,
    seq: u32,
    head: Sha256Digest,
    required: Vec<EventType>,
}

impl EventWriter {
    pub(crate) fn create(dir: impl AsFd, run_id: RunId, nonce: &[u8; 32]) -> io::Result<Self> {
        let lines = LineFile::create(dir, EVENTS)?;
        Ok(Self {
            lines,
            run_id,
            seq: 0,
            head: Sha256Digest::of(nonce),
            required: Vec::new(),
        })
    }

    pub(crate) fn resume(lines: LineFile, run_id: RunId, chain: Chain) -> Self {
        Self {
            lines,
            run_id,
            seq: chain.seq,
            head: chain.head,
            required: chain.required,
        }
    }

    /// Returns the digest of the last line; of the nonce when there is none.
    pub(crate) fn head(&self) -> Sha256Digest {
        self.head
    }

    /// Returns the required events so far, in order.
    pub(crate) fn required(&self) -> &[EventType] {
        &self.required
    }

    pub(crate) fn append(&mut self, clock: &RunClock, kind: EventType, data: Value) -> io::Result<()> {
        let event = Event {
            seq: self.seq,
            ts: clock.ts(),
            mono_ns: clock.mono_ns().to_string(),
            run_id: self.run_id.to_string(),
            kind,
            prev: self.head,
            data,
        };
        let line = cto_schema::inert_json(serde_json::to_string(&event)?).into_bytes();
        self.lines.append(&line, !is_batched(kind))?;
        self.seq += 1;
        self.head = Sha256Digest::of(&line);
        if is_required(kind) {
            self.required.push(kind);
        }
        Ok(())
    }

    pub(crate) fn close(&mut self) -> io::Result<Sha256Digest> {
        self.lines.close()
    }
}

/// Where a chain of event lines stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chain {
    pub(crate) seq: u32,
    pub(crate) head: Sha256Digest,
    pub(crate) required: Vec<EventType>,
    /// Length in bytes of the lines that hold.
    pub(crate) len: usize,
    /// Offset of the last event, in nanoseconds since the run's start.
    pub(crate) mono_ns: u64,
}

/// Follows the longest prefix of whole lines whose chain starts at the nonce and holds.
pub(crate) fn follow(bytes: &[u8], run_id: &RunId, nonce: &[u8; 32]) -> Chain {
    let mut chain = Chain {
        seq: 0,
        head: Sha256Digest::of(nonce),
        required: Vec::new(),
        len: 0,
        mono_ns: 0,
    };
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let Some(text) = line.strip_suffix(b"\n") else {
            break;
        };
        let Ok(event) = serde_json::from_slice::<Event>(text) else {
            break;
        };
        if event.seq != chain.seq || event.prev != chain.head || event.run_id != run_id.as_str() {
            break;
        }
        chain.seq += 1;
        chain.head = Sha256Digest::of(text);
        chain.len += line.len();
        chain.mono_ns = event.mono_ns.parse().unwrap_or(chain.mono_ns).max(chain.mono_ns);
        if is_required(event.kind) {
            chain.required.push(event.kind);
        }
    }
    chain
}
