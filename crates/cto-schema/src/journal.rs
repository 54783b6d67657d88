//! `journal.jsonl`: the harness's intents and completions. Its replay is the state of the run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::blocker::{Blocker, Status};
use crate::digest::Sha256Digest;
use crate::facts::Facts;
use crate::observation::Observations;

/// One line of `journal.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JournalRecord {
    /// Position, from 0.
    pub seq: u32,
    /// Wall clock, RFC 3339 UTC with microseconds; for display only.
    pub ts: String,
    /// Nanoseconds on `CLOCK_BOOTTIME` since the run's start, as decimal text.
    pub mono_ns: String,
    /// What happened or is about to.
    pub event: JournalEvent,
}

/// An intent or a completion of the harness. Every stop of the journey writes its intent before its effect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum JournalEvent {
    /// The run directory exists.
    Opened {
        /// `cto/journal/1.0`.
        schema: String,
        /// The run.
        run_id: String,
        /// 256 random bits, hexadecimal: proof that this evidence was made by this run.
        nonce: String,
        /// Version of the harness.
        harness_version: String,
        /// Kernel boot id, to tell a reboot from a crash.
        boot_id: String,
        /// Head of the run ledger when the run started; null when there was none.
        ledger_head: Option<Sha256Digest>,
        /// Digest of the contract's canonical form; null when it could not be read.
        contract_digest: Option<Sha256Digest>,
        /// The selected backend.
        backend: String,
        /// The case, or the contract's task id.
        case_id: String,
    },
    /// Facts were gathered.
    FactsGathered {
        /// As read.
        facts: Box<Facts>,
    },
    /// The gates were asked.
    Decided {
        /// Digest of `decision.json`.
        decision_digest: Sha256Digest,
        /// Whether the run may go on.
        admitted: bool,
    },
    /// The workspace is about to be made.
    WorkspaceIntent {
        /// `overlay` or `copied`.
        workspace: String,
        /// Baseline commit.
        commit: String,
        /// Baseline tree.
        tree: String,
    },
    /// The cage is closed and the engine waits inside it.
    EngineReady {
        /// Digest of `enforcement.json`.
        enforcement_digest: Sha256Digest,
    },
    /// The approval is about to be consumed; from here on it is spent, whatever happens.
    ApprovalIntent {
        /// The packet.
        packet_id: String,
        /// Its digest.
        packet_digest: Sha256Digest,
    },
    /// The engine is about to be started.
    EngineIntent {
        /// The argv, escaped.
        argv: Vec<String>,
    },
    /// The engine and all its processes are gone.
    EngineExited {
        /// Exit code.
        exit_code: Option<i32>,
        /// Signal.
        signal: Option<i32>,
    },
    /// The write set is about to be read.
    CollectIntent,
    /// The write set and the patch are durable.
    Collected {
        /// Digest of `write-set.json`.
        write_set_digest: Sha256Digest,
        /// Digest of `patch.diff`.
        patch_digest: Sha256Digest,
    },
    /// The clean room is about to be used.
    VerifyIntent,
    /// The clean room is done.
    Verified {
        /// Digest of `test.log`.
        test_log_digest: Sha256Digest,
    },
    /// Everything was observed that will be.
    Observed {
        /// What the verdict is computed from.
        observations: Box<Observations>,
    },
    /// The verdict; the last record of a journal.
    Concluded {
        /// The status.
        status: Status,
        /// Why, in order.
        blockers: Vec<Blocker>,
    },
    /// A later command found the run unfinished and closes it.
    RecoveryIntent {
        /// Name of the last complete record before the interruption.
        last: String,
    },
}

impl JournalEvent {
    /// Returns the record's name as written in documents.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Opened { .. } => "opened",
            Self::FactsGathered { .. } => "facts_gathered",
            Self::Decided { .. } => "decided",
            Self::WorkspaceIntent { .. } => "workspace_intent",
            Self::EngineReady { .. } => "engine_ready",
            Self::ApprovalIntent { .. } => "approval_intent",
            Self::EngineIntent { .. } => "engine_intent",
            Self::EngineExited { .. } => "engine_exited",
            Self::CollectIntent => "collect_intent",
            Self::Collected { .. } => "collected",
            Self::VerifyIntent => "verify_intent",
            Self::Verified { .. } => "verified",
            Self::Observed { .. } => "observed",
            Self::Concluded { .. } => "concluded",
            Self::RecoveryIntent { .. } => "recovery_intent",
        }
    }
}
