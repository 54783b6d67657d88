//! Approvals: what an operator is asked, what the operator says, and what both are bound to (spec 07).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::admission::Moment;
use crate::contract::{MutationMode, RiskClass, TaskContract};
use crate::digest::Sha256Digest;
use crate::facts::RepositoryState;

/// How far an approval reaches.
pub const EXECUTION_SCOPE: &str = "one approved Harness run only";

/// How far the clocks of two machines may be apart, in seconds: a statement may be that much later than who reads it.
pub const CLOCK_SKEW_SECONDS: i64 = 300;

/// The namespace of approvals and outcomes in SSH signatures (SSHSIG, `ssh-keygen -Y sign -n`).
pub const APPROVAL_NAMESPACE: &str = "cto-approval@v1";

/// Everything that an approval is bound to, by name; a value that is there on one side only differs.
///
/// Names: `contract`, `engine`, `engine_manifest`, `engine_program`, `engine_command`, `harness_program`, `harness_version`, `stage`,
/// `mutation_mode`, `model`, `sandbox`, `workspace`, `toolchains`, `installation`, `admission.<kind>`, `gate.<variable>`,
/// `target.path` (a digest), `target.device`, `target.inode`, `target.head`, `target.commit`, `target.tree`,
/// `target.refs`, `target.index`, `target.metadata`.
pub type BoundValues = BTreeMap<String, String>;

/// An approval packet: what an operator is asked to approve. It approves nothing and runs nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalPacket {
    /// `cto/approval-packet/1.0`.
    pub schema: String,
    /// Name of the packet; `cto run --approval` takes it.
    pub packet_id: String,
    /// The installation that asks.
    pub installation_id: String,
    /// When it was made.
    pub created_at: Moment,
    /// When it ends, approved or not.
    pub expires_at: Moment,
    /// The sentence that the operator must say, to the byte.
    pub sentence: String,
    /// The contract as it would be executed.
    pub contract: TaskContract,
    /// Its digest.
    pub contract_digest: Sha256Digest,
    /// The engine.
    pub engine: String,
    /// Program and arguments of the engine `command`; empty for others.
    pub engine_command: Vec<String>,
    /// Stage of the mutation mode.
    pub stage: u8,
    /// The mutation mode.
    pub mutation_mode: MutationMode,
    /// The scope that the stage allows.
    pub allowed_mutation_scope: String,
    /// How far the approval reaches: one run.
    pub execution_scope: String,
    /// Risk class of the change.
    pub risk_class: RiskClass,
    /// Who owns the target, as its admission says.
    pub repository_owner: Option<String>,
    /// Who admitted the target, and where that is written.
    pub admission_source: Option<String>,
    /// The target as it was when the packet was made.
    pub target_state: Option<RepositoryState>,
    /// Every forbidden pattern that holds.
    pub forbidden_paths: Vec<String>,
    /// Every forbidden action that holds.
    pub forbidden_actions: Vec<String>,
    /// Bundles of this engine that the stage rests on.
    pub prior_evidence: Vec<String>,
    /// What the run must show.
    pub required_evidence: Vec<String>,
    /// How the change can be undone.
    pub rollback_expectation: String,
    /// The command that runs it once it is approved.
    pub run_command: String,
    /// What the approval is bound to.
    pub bound: BoundValues,
    /// Always true.
    pub approval_required: bool,
    /// Always false: a packet approves nothing.
    pub approval_granted: bool,
    /// Always false.
    pub execution_allowed: bool,
    /// Always false: a packet is text.
    pub executable: bool,
}

impl ApprovalPacket {
    /// Returns the canonical bytes (RFC 8785), which is how a packet lies on disk.
    pub fn canonical(&self) -> Vec<u8> {
        // A packet holds only strings, booleans and integers below 2^53, which always serialise.
        serde_json_canonicalizer::to_vec(self).unwrap_or_default()
    }

    /// Returns the packet's identity, which a statement signs.
    pub fn digest(&self) -> Sha256Digest {
        Sha256Digest::of(&self.canonical())
    }
}

/// What an operator says about a packet; its canonical bytes are signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalStatement {
    /// `cto/approval/1.0`.
    pub schema: String,
    /// Yes or no.
    pub decision: ApprovalDecision,
    /// The packet.
    pub packet_id: String,
    /// Its digest.
    pub packet_digest: Sha256Digest,
    /// The sentence, as said; null for a no.
    pub sentence: Option<String>,
    /// Why; null for a yes.
    pub reason: Option<String>,
    /// Who says it: a principal of the allowed signers.
    pub actor: String,
    /// When.
    pub decided_at: Moment,
    /// When it ends.
    pub expires_at: Moment,
    /// The stage that it is for.
    pub stage: u8,
    /// The mutation mode that it is for.
    pub mutation_mode: MutationMode,
    /// How far it reaches: one run.
    pub execution_scope: String,
    /// Who the actor is to the installation.
    pub approval_source: ApprovalSource,
}

impl ApprovalStatement {
    /// Returns the canonical bytes (RFC 8785), which are what is signed.
    pub fn canonical(&self) -> Vec<u8> {
        serde_json_canonicalizer::to_vec(self).unwrap_or_default()
    }
}

/// Yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalDecision {
    /// The run may be started, once.
    Approved,
    /// It may not.
    Denied,
}

/// Who an actor is to the installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalSource {
    /// A person, with a key of their own.
    Operator,
    /// The harness itself, with a key that it made for one validation; such evidence moves no rung.
    Validator,
}

impl ApprovalSource {
    /// Returns the word used in documents.
    pub fn word(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Validator => "validator",
        }
    }
}

/// `decision.json` of a packet: what was said, and its signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignedStatement {
    /// The exact text that was signed.
    pub statement: String,
    /// The signature in the armored form of OpenSSH (PROTOCOL.sshsig).
    pub signature: String,
}

/// What is known of an approval before a run. Every default refuses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApprovalFacts {
    /// Seconds since 1970: the wall clock, or a later time that this installation has on record.
    pub judged_at_seconds: i64,
    /// The packet that was named, escaped; null when none was.
    pub named: Option<String>,
    /// Why the packet or its decision cannot be used; null when they could be read.
    pub problem: Option<String>,
    /// Digest of the packet.
    pub packet_digest: Option<Sha256Digest>,
    /// What the packet is bound to.
    pub bound: BoundValues,
    /// The sentence that the packet asks for.
    pub sentence: Option<String>,
    /// When the packet was made, in seconds since 1970; null when that is not known.
    #[serde(default)]
    pub packet_created_at_seconds: Option<i64>,
    /// When the packet ends, in seconds since 1970.
    pub expires_at_seconds: i64,
    /// What was said; null when nobody has said anything.
    pub statement: Option<ApprovalStatement>,
    /// What is wrong with the signature or the signer; null when nothing is.
    pub signature_problem: Option<String>,
    /// Fingerprint of the signer's key.
    pub signer_key: Option<String>,
    /// The run that has consumed it.
    pub consumed_by: Option<String>,
    /// The same values as they are now, but the target's.
    pub now: BoundValues,
    /// The target's values as they are now; empty until the target was looked at.
    pub target_now: BoundValues,
}

/// What became of an approval in a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApprovalObservation {
    /// The packet.
    pub packet_id: String,
    /// Whether this run consumed it.
    pub consumed: bool,
    /// Why it could not: another run was first, or the record could not be written.
    pub problem: Option<String>,
}

/// An operator's word after a run; its canonical bytes are signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OutcomeStatement {
    /// `cto/operator-outcome/1.0`.
    pub schema: String,
    /// The run.
    pub run_id: String,
    /// Its nonce.
    pub nonce: String,
    /// Accepted or rejected.
    pub outcome: OperatorOutcome,
    /// Why.
    pub reason: String,
    /// Who says it: a principal of the allowed signers.
    pub actor: String,
    /// When.
    pub decided_at: Moment,
    /// Digest of `attestation.dsse.json`; null when it is said before the run is sealed.
    pub attestation_digest: Option<Sha256Digest>,
    /// Digest of `patch.diff`.
    pub patch_digest: Option<Sha256Digest>,
    /// The commit that the target got.
    pub target_commit: Option<String>,
}

impl OutcomeStatement {
    /// Returns the canonical bytes (RFC 8785), which are what is signed.
    pub fn canonical(&self) -> Vec<u8> {
        serde_json_canonicalizer::to_vec(self).unwrap_or_default()
    }
}

/// Whether an operator took a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OperatorOutcome {
    /// It stays.
    Accepted,
    /// It goes.
    Rejected,
    /// Nobody has said yet.
    Pending,
}

impl OperatorOutcome {
    /// Returns the word used in documents.
    pub fn word(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Pending => "pending",
        }
    }
}
