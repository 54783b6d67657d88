//! The parts of the control summary.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::constant::AlwaysFalse;
use super::text::{ApprovalCommand, ControlText, ReplayPath};
use crate::digest::Sha256Digest;
use crate::ids::RunId;

/// What an operator may do with the posture of now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApprovalPosture {
    /// One approved run may be started.
    Allowed,
    /// An approval is there and cannot be used.
    GrantedNotUsable,
    /// An approval is needed first.
    NeedsApproval,
    /// Nothing governed may be started.
    NotAllowed,
}

/// The one thing that is best done next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NextAction {
    /// Stable name.
    pub id: ControlText,
    /// What to do, for people.
    pub label: ControlText,
    /// Why.
    pub why: ControlText,
    /// A command to copy; null where there is nothing to type.
    pub command_text: Option<ControlText>,
    /// What stands in the way until then.
    pub blocking: Vec<ControlText>,
}

/// The ladder of one engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EngineProof {
    /// The engine.
    pub engine: ControlText,
    /// The highest stage up to which every stage is proven; 0 when none is.
    pub highest_passed_stage: u8,
    /// Whether a stage is proven above one that is not.
    pub gap: bool,
    /// Stages 1 to 6, in order.
    pub stages: Vec<ProofStage>,
}

/// One rung.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProofStage {
    /// The stage, 1 to 6.
    pub stage: u8,
    /// Whether it is proven.
    pub status: ProofState,
    /// How many of the things that it needs are on record and verify.
    pub evidence_found: u32,
    /// How many it needs.
    pub evidence_needed: u32,
    /// What is missing, by name.
    pub missing: Vec<ControlText>,
    /// The run that shows the stage itself; null when none does.
    pub run_id: Option<RunId>,
    /// Its report.
    pub evidence_path: Option<ReplayPath>,
    /// Digest of its manifest, which identifies the bundle.
    pub evidence_sha256: Option<Sha256Digest>,
    /// When it ended.
    pub finished_at: Option<ControlText>,
}

/// Whether a stage is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProofState {
    /// Everything that it needs is on record and verifies.
    Passed,
    /// Some of it is.
    Partial,
    /// Nothing is.
    NotReached,
}

impl ProofState {
    /// Returns the word used in documents.
    pub fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Partial => "partial",
            Self::NotReached => "not-reached",
        }
    }
}

/// An engine as a lane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LaneSummary {
    /// The engine.
    pub lane: ControlText,
    /// Whether it may run.
    pub status: LaneReadiness,
    /// Where its chain stops; null when it does not.
    pub blocker: Option<ControlText>,
    /// Why; required when blocked.
    pub rationale: ControlText,
    /// The highest stage that its gate opens; null when none is open.
    pub stage: Option<u8>,
    /// What to do about it, for people; empty where nothing is needed.
    pub next: ControlText,
    /// Its chain, in order.
    pub steps: Vec<LaneStep>,
}

/// Whether a lane may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LaneReadiness {
    /// It may, up to its stage.
    Ready,
    /// It may not; execution is not attempted.
    Blocked,
}

impl LaneReadiness {
    /// Returns the word used in documents.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Blocked => "blocked",
        }
    }
}

/// One step of a lane's chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LaneStep {
    /// Its name.
    pub step: ControlText,
    /// `holds`, `recorded`, `not_needed` or `missing`.
    pub state: ControlText,
    /// What was seen.
    pub detail: ControlText,
}

/// Whether a run left the target as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetReadOnly {
    /// The run that looked.
    pub run_id: RunId,
    /// Its mutation mode.
    pub mutation_mode: ControlText,
    /// True only when before equals after.
    pub read_only: bool,
    /// The commit before; null when it was not read.
    pub commit_before: Option<ControlText>,
    /// The commit after.
    pub commit_after: Option<ControlText>,
    /// Whether refs, index and configuration are as they were.
    pub refs_index_metadata_unchanged: bool,
    /// The proof.
    pub proof: ReplayPath,
    /// Whether the bundle of the proof verified when this was computed.
    pub verified: bool,
}

/// The packet that waits, as text to read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ControlPacket {
    /// Its name.
    pub packet_id: ControlText,
    /// `requested` or `approved`.
    pub state: GovernedState,
    /// The task.
    pub task_id: ControlText,
    /// The engine.
    pub engine: ControlText,
    /// The stage.
    pub stage: u8,
    /// The mutation mode.
    pub mutation_mode: ControlText,
    /// Risk class of the change.
    pub risk_class: ControlText,
    /// Digest of the contract that would be executed.
    pub contract_sha256: Sha256Digest,
    /// The command that an operator copies to approve it; null when it is approved already.
    pub approval_command_text: Option<ApprovalCommand>,
    /// Bundles that the stage rests on.
    pub evidence_paths: Vec<ReplayPath>,
    /// What may change.
    pub allowed_paths: Vec<ControlText>,
    /// What may not be done.
    pub blocked_actions: Vec<ControlText>,
    /// When it was made.
    pub created_at: ControlText,
    /// When it ends.
    pub expires_at: ControlText,
    /// Always false: a packet is text.
    pub executable: AlwaysFalse,
}

/// How far an approval has come (spec 07).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GovernedState {
    /// It waits for an operator's word.
    Requested,
    /// It was given and is unused.
    Approved,
    /// It was refused.
    Denied,
    /// Its time is over.
    Expired,
    /// A run consumed it, and that run is no pass.
    ConsumedByRun,
    /// A run consumed it and passed.
    ConsumedByPassEvidence,
    /// Its files cannot be read.
    Unreadable,
}

impl GovernedState {
    /// Returns the word used in documents.
    pub fn word(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::ConsumedByRun => "consumed_by_run",
            Self::ConsumedByPassEvidence => "consumed_by_pass_evidence",
            Self::Unreadable => "unreadable",
        }
    }
}

/// The course of one approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GovernedExecution {
    /// The packet.
    pub approval_id: ControlText,
    /// How far it has come.
    pub state: GovernedState,
    /// Whether a run consumed it.
    pub approval_consumed: bool,
    /// Whether that run passed.
    pub consumed_by_pass_evidence: bool,
    /// `operator` or `validator`; null while nobody has said anything.
    pub approval_source: Option<ControlText>,
    /// The engine.
    pub engine: ControlText,
    /// The stage; 0 when the packet cannot be read.
    pub stage: u8,
    /// The task.
    pub task_id: ControlText,
    /// When it was made.
    pub created_at: Option<ControlText>,
    /// When it ends.
    pub expires_at: Option<ControlText>,
    /// The run that consumed it.
    pub run_id: Option<RunId>,
    /// When it was consumed.
    pub consumed_at: Option<ControlText>,
    /// Report of a run that passed.
    pub pass_replay_path: Option<ReplayPath>,
    /// Its proof.
    pub proof_replay_path: Option<ReplayPath>,
}

/// Something that wants an operator's eye.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ControlAttention {
    /// What kind: `unverifiable`, `gone`, `dead`, `ladder_gap`, `waits_for_outcome`, `unfinished_change`, `ledger`, `approval`.
    pub kind: ControlText,
    /// The run, where it is about one.
    pub run_id: Option<RunId>,
    /// What was seen, for people.
    pub detail: ControlText,
}

/// State of the evidence store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvidenceState {
    /// Number of runs on record.
    pub runs_on_record: u32,
    /// Number of the newest entry; 0 when there is none.
    pub ledger_head_seq: u32,
    /// Digest of the newest entry.
    pub ledger_head_sha256: Option<Sha256Digest>,
    /// Whether every entry names the one before it.
    pub ledger_chain_holds: bool,
    /// What is wrong with it; empty when it holds.
    pub ledger_detail: ControlText,
    /// Runs whose process lives.
    pub runs_live: u32,
    /// Runs that a dead process left; `cto recover` closes them.
    pub runs_dead: u32,
    /// Changes of repositories that are unfinished.
    pub unfinished_changes: u32,
    /// Bundles that were verified for this summary.
    pub bundles_verified: u32,
    /// Bundles that did not verify.
    pub bundles_unverifiable: u32,
}

/// A bundle that the summary was computed from, or could not be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BundleSource {
    /// The run.
    pub run_id: RunId,
    /// How it was found.
    pub state: BundleState,
    /// Why it does not count; empty when it does.
    pub detail: ControlText,
}

/// How a bundle was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BundleState {
    /// Every check holds, and it counts.
    Verified,
    /// It verifies, and was made under other records, another program or another version.
    Stale,
    /// A check does not hold.
    Unverifiable,
    /// It is on record and its directory is not there.
    Gone,
}

impl BundleState {
    /// Returns the word used in documents.
    pub fn word(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Stale => "stale",
            Self::Unverifiable => "unverifiable",
            Self::Gone => "gone",
        }
    }
}
