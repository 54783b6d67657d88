//! The control summary: what may be shown of an installation, field by field (spec 09).
//!
//! Every field is named here and bounded; there is no free map. Names are flat, as specified, so that a reader needs no
//! knowledge of the order of sections. Lists that were cut say how many they left out.

mod check;
mod constant;
mod parts;
mod text;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use check::{SUMMARY_MAX_BYTES, check_summary};
pub use constant::{AlwaysFalse, AlwaysTrue};
pub use parts::{
    ApprovalPosture, BundleSource, BundleState, ControlAttention, ControlPacket, EngineProof, EvidenceState,
    GovernedExecution, GovernedState, LaneReadiness, LaneStep, LaneSummary, NextAction, ProofStage, ProofState,
    TargetReadOnly,
};
pub use text::{ApprovalCommand, ControlText, InvalidControlText, ReplayPath};

use crate::digest::Sha256Digest;
use crate::fixed::{NotActivated, NotPromoted};
use crate::version::SchemaId;

/// Version of the control summary. 1.0: first version.
pub const SUMMARY_VERSION: &str = "1.0";

/// `GET /api/cto/control-summary`, `cto summary --json`, `webui-summary.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ControlSummary {
    /// `cto/control-summary/1.0`.
    pub schema: String,
    /// `1.0`.
    pub schema_version: String,
    /// When it was computed, RFC 3339 UTC.
    pub generated_at: ControlText,
    /// How many summaries the process that computed it had made before, plus one.
    pub snapshot_seq: u32,
    /// SHA-256 of the RFC 8785 form of this document with this field null; null only while it is computed.
    pub snapshot_sha256: Option<Sha256Digest>,
    /// Version of the harness that computed it.
    pub harness_version: ControlText,
    /// It shows; it starts and grants nothing.
    pub read_only: AlwaysTrue,

    /// Whether the next governed run needs an operator's approval.
    pub approval_required: bool,
    /// Whether an approval is given and unused.
    pub approval_granted: bool,
    /// Whether a governed run may be started now; never without a granted approval where one is required.
    pub execution_allowed: bool,
    /// Why.
    pub reason: ControlText,
    /// Names of what may be done now; names, not links.
    pub allowed_next_actions: Vec<ControlText>,
    /// Names of what may not be done now, or ever.
    pub blocked_next_actions: Vec<ControlText>,
    /// The one thing that is best done next.
    pub next_recommended_operator_action: NextAction,

    /// The ladder of each engine, six rungs each.
    pub proof_ladder: Vec<EngineProof>,
    /// Whether every rung of the candidate is proven and repeated.
    pub proof_ready: bool,
    /// The engine that the candidate fields speak of.
    pub candidate_default_engine: ControlText,
    /// Whether it may be proposed as a default; apart from activation, which never happens here.
    pub candidate_default_eligible: bool,
    /// Why.
    pub candidate_default_reason: ControlText,
    /// Whether its proofs were repeated and hold together.
    pub candidate_default_repeatability_eligible: bool,
    /// Distinct accepted runs of stage 5 of the candidate that verify now.
    pub repeatability_count: u32,
    /// How many are needed.
    pub repeatability_required: u32,
    /// `pass`, `fail` or `blocked`.
    pub repeatability_status: ControlText,
    /// Why.
    pub repeatability_reason: ControlText,
    /// Always false: no code path makes an engine the default.
    pub runtime_default_activation: NotActivated,
    /// Why.
    pub runtime_default_activation_reason: ControlText,
    /// Always `not-promoted`: promotion is Core's.
    pub core_promotion_status: NotPromoted,

    /// The newest matrix report; null when none was read, which says nothing about whether there is one.
    pub matrix_report_path: Option<ReplayPath>,
    /// The newest comparison of stage 6; null when there is none.
    pub stage6_comparison_path: Option<ReplayPath>,
    /// State of the real governed refresh of stage 6: `pass`, `fail`, `blocked` or `absent`.
    pub case_stage6_real_governed_refresh: ControlText,
    /// Its comparison; null when there is none.
    pub stage6_real_governed_refresh_comparison_path: Option<ReplayPath>,
    /// Report of the newest accepted stage 5 run that an operator approved; null when there is none.
    pub real_stage5_pass_report: Option<ReplayPath>,
    /// Its proof.
    pub real_stage5_proof: Option<ReplayPath>,
    /// Reports of the runs that show that failures fail closed.
    pub failure_closure_report_paths: Vec<ReplayPath>,
    /// Number of such reports that were left out.
    pub failure_closure_omitted: u32,

    /// `proven`, `failed` or `absent`.
    pub target_repository_read_only_proof_status: ControlText,
    /// What it rests on; null when no run looked at a target.
    pub target_repository_read_only_proof: Option<TargetReadOnly>,

    /// Each engine as a lane; `codex` and `pi` are always among them.
    pub lanes: Vec<LaneSummary>,

    /// The newest packet that waits for a word or a run; null when none does.
    pub approval_packet: Option<ControlPacket>,
    /// Every approval's course, newest first.
    pub governed_execution: Vec<GovernedExecution>,
    /// Number of approvals that were left out.
    pub governed_execution_omitted: u32,

    /// What wants an operator's eye, worst first.
    pub attention: Vec<ControlAttention>,
    /// State of the evidence store.
    pub evidence: EvidenceState,
    /// The bundles that this summary was computed from.
    pub bundles: Vec<BundleSource>,
    /// Number of bundles that were left out.
    pub bundles_omitted: u32,
}

impl ControlSummary {
    /// Returns the identity of the schema.
    pub fn schema_id() -> SchemaId {
        SchemaId::CONTROL_SUMMARY
    }

    /// Computes the digest over everything but itself.
    pub fn computed_digest(&self) -> Sha256Digest {
        let mut bare = self.clone();
        bare.snapshot_sha256 = None;
        // It holds strings, booleans and 32-bit integers only, which always serialise.
        Sha256Digest::of(&serde_json_canonicalizer::to_vec(&bare).unwrap_or_default())
    }

    /// Returns the summary with its digest in place.
    pub fn sealed(mut self) -> Self {
        self.snapshot_sha256 = Some(self.computed_digest());
        self
    }

    /// Returns the posture that a reader acts on.
    pub fn posture(&self) -> ApprovalPosture {
        match (self.execution_allowed, self.approval_granted, self.approval_required) {
            (true, _, _) => ApprovalPosture::Allowed,
            (false, true, _) => ApprovalPosture::GrantedNotUsable,
            (false, false, true) => ApprovalPosture::NeedsApproval,
            (false, false, false) => ApprovalPosture::NotAllowed,
        }
    }
}
