//! `core-promotion-decision-packet.json`: what is put before those who may decide, and who decides nothing (spec 10).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::blocker::Status;
use crate::digest::Sha256Digest;
use crate::fixed::{NotActivated, NotPromoted};

/// A Core Promotion Decision Packet. It is built from verified documents alone, and promotes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DecisionPacket {
    /// `cto/core-promotion-decision-packet/1.0`.
    pub schema: String,
    /// Its id.
    pub packet_id: String,
    /// RFC 3339 UTC.
    pub created_at: String,
    /// The candidate.
    pub candidate: String,
    /// What was decided so far.
    pub decision_status: PromotionDecision,
    /// What may be decided, each with what follows from it.
    pub allowed_decision_states: Vec<DecisionState>,
    /// Who decides.
    pub resolver: String,
    /// Whether everything that this side can show is shown.
    pub ready_for_core_review: bool,
    /// Whether the candidate is eligible and repeatable.
    pub candidate_default_repeatability_eligible: bool,
    /// How many accepted runs count.
    pub repeatability_count: u32,
    /// The refresh's status.
    pub repeatability_status: Status,
    /// Never true.
    pub runtime_default_activation: NotActivated,
    /// Never anything else.
    pub core_promotion_status: NotPromoted,
    /// What is recommended: there is one thing.
    pub recommended_next_decision: NextDecision,
    /// How far the recommendation reaches.
    pub recommendation_status: RecommendationStatus,
    /// What shows each fact, with the command that shows it again.
    pub evidence: BTreeMap<String, PacketEvidence>,
    /// What stands before a promotion.
    pub blockers_before_promotion: Vec<PromotionBlocker>,
    /// What a promotion needs, none of which is made here.
    pub promotion_requires: Vec<PromotionNeed>,
    /// What was found.
    pub facts: PacketFacts,
}

/// What was decided about a promotion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, strum::VariantArray)]
#[serde(rename_all = "snake_case")]
pub enum PromotionDecision {
    /// Nothing.
    #[default]
    NotDecided,
    /// A governed route of Core is asked for.
    CorePromotionRequested,
    /// It is put off.
    CorePromotionDeferred,
}

impl PromotionDecision {
    /// Returns the word used in documents.
    pub fn word(self) -> &'static str {
        match self {
            Self::NotDecided => "not_decided",
            Self::CorePromotionRequested => "core_promotion_requested",
            Self::CorePromotionDeferred => "core_promotion_deferred",
        }
    }

    /// Returns what follows from it.
    pub fn consequence(self) -> &'static str {
        match self {
            Self::NotDecided => "nothing changes: the candidate stays a candidate, and fake stays the default lane",
            Self::CorePromotionRequested => {
                "Core may open a governed route of its own, once its route admission guard passes; this packet opens none and promotes nothing"
            }
            Self::CorePromotionDeferred => "the evidence stays on record; a later packet needs a refresh of its own",
        }
    }
}

/// A decision that may be taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DecisionState {
    /// The decision.
    pub state: PromotionDecision,
    /// What follows from it.
    pub consequence: String,
}

/// What is recommended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NextDecision {
    /// A PRD route of Core, under Core's own governance.
    #[default]
    OpenGovernedCorePrdRoute,
}

/// How far the recommendation reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecommendationStatus {
    /// It is about a candidate until Core's guard passes.
    #[default]
    CandidateOnlyUntilCoreRouteAdmissionGuardPasses,
}

/// What shows a fact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PacketEvidence {
    /// Where it is, relative to the home.
    pub path: String,
    /// What it shows.
    pub shows: String,
    /// The command that shows it again.
    pub replay: String,
}

/// What stands before a promotion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PromotionBlocker {
    /// Stable code.
    pub code: String,
    /// What is missing, and what to do.
    pub detail: String,
}

/// What a promotion needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PromotionNeed {
    /// Stable name.
    pub name: String,
    /// What it is.
    pub what: String,
}

/// What was found: two documents, each checked with all that it rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PacketFacts {
    /// The comparison.
    pub comparison: PacketComparison,
    /// The refresh.
    pub refresh: PacketRefresh,
}

/// What a packet takes from a comparison.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PacketComparison {
    /// The comparison.
    pub comparison_id: String,
    /// Digest of its `SHA256SUMS`.
    pub manifest_digest: Sha256Digest,
    /// Its candidate.
    pub candidate: String,
    /// Whether its proof holds.
    pub proof_holds: bool,
    /// Whether an operator accepted it.
    pub accepted: bool,
    /// The candidate's accepted run.
    pub candidate_run: Option<String>,
    /// How many rows of the failure matrix are shown.
    pub rows_shown: u32,
    /// How many are not.
    pub rows_not_shown: u32,
}

/// What a packet takes from a refresh.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PacketRefresh {
    /// The refresh.
    pub refresh_id: String,
    /// Digest of its `SHA256SUMS`.
    pub manifest_digest: Sha256Digest,
    /// Its candidate.
    pub candidate: String,
    /// The comparison that it was held against.
    pub comparison_id: Option<String>,
    /// How many accepted runs count.
    pub repeatability_count: u32,
    /// Its status.
    pub repeatability_status: Status,
    /// The reports and proofs that it names, by field.
    pub paths: BTreeMap<String, String>,
    /// How often a prose said otherwise than the proofs.
    pub prose_mismatches: u32,
}
