//! `decision.json`: who may run, decided before any engine is selected (spec 02).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::blocker::Blocker;
use crate::contract::{MutationMode, RiskClass};
use crate::digest::Sha256Digest;

/// The eligibility decision for one contract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EligibilityDecision {
    /// `cto/decision/1.0`.
    pub schema: String,
    /// Digest of the decision's own inputs: contract digest, backend and gate outcomes.
    pub decision_id: String,
    /// The contract's task id; null when the contract could not be read.
    pub task_id: Option<String>,
    /// The contract's digest; null when it could not be read.
    pub contract_digest: Option<Sha256Digest>,
    /// The selected backend, or `none`.
    pub selected_backend: String,
    /// Backends that were considered and refused.
    pub denied_backends: Vec<BackendDenial>,
    /// The contract's risk class.
    pub risk_class: Option<RiskClass>,
    /// Every gate that the mode requires, in order.
    pub required_gates: Vec<String>,
    /// Gates that passed.
    pub passed_gates: Vec<String>,
    /// Gates that did not.
    pub missing_gates: Vec<String>,
    /// What each gate saw.
    pub gates: Vec<GateOutcome>,
    /// The mode that is allowed; null when none is.
    pub allowed_mutation_mode: Option<MutationMode>,
    /// Whether a human must approve first.
    pub approval_required: bool,
    /// Reasons, for people.
    pub reasons: Vec<String>,
    /// Who can change a refusal.
    pub escalation_path: Escalation,
}

/// A backend that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackendDenial {
    /// The backend.
    pub backend: String,
    /// Every reason at once.
    pub reasons: Vec<Blocker>,
}

/// What one gate saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GateOutcome {
    /// The gate's name.
    pub gate: String,
    /// Why it refuses; null when it passed.
    pub refusal: Option<Blocker>,
}

/// Who can change a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Escalation {
    /// Nothing was refused, or the operator can mend it.
    Operator,
    /// Only a change of governed standards can.
    CoreRoute,
    /// Nobody, for this contract.
    Blocked,
}
