//! Facts gathered before a run, stored as read. Every default refuses, so a fact nobody gathered cannot admit.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::admission::{AdmissionFacts, RecordFact, RepositoryAdmission};
use crate::approval::ApprovalFacts;
use crate::digest::Sha256Digest;

/// Everything that the gates look at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Facts {
    /// The engine.
    pub engine: EngineFacts,
    /// Where evidence goes.
    pub runs_root: RunsRootFacts,
    /// The sandbox.
    pub sandbox: SandboxFacts,
    /// Why git cannot be used, with what was found and what is needed; null when it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_problem: Option<String>,
    /// The verification commands.
    pub verification: VerificationFacts,
    /// The target, unless a gate that needs no target refused first.
    pub target: TargetFacts,
    /// Admission records, and what they are held against.
    #[serde(default)]
    pub admissions: AdmissionFacts,
    /// The approval, where the contract or the stage needs one.
    #[serde(default)]
    pub approval: ApprovalFacts,
}

/// Facts about the selected engine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EngineFacts {
    /// Its name.
    pub name: String,
    /// Whether the harness knows it.
    pub registered: bool,
    /// Whether it needs an allow gate.
    pub gated: bool,
    /// Name of the allow gate's variable.
    pub allow_gate: Option<String>,
    /// Whether the allow gate is set.
    pub allow_gate_set: bool,
    /// Name of the stage gate's variable.
    pub stage_gate: Option<String>,
    /// The stage gate's value.
    pub stage_gate_value: Option<String>,
    /// Whether its program was found; null when the engine is embedded.
    pub program_found: Option<bool>,
    /// What was looked for, escaped.
    pub program: String,
    /// Why it was not found, and the mend; empty when it was, or when there is nothing to say beyond that.
    #[serde(default)]
    pub program_problem: String,
    /// Digest of the program's bytes, when it is a file.
    pub program_digest: Option<Sha256Digest>,
    /// Digest of its manifest's bytes; null for an engine that is code.
    #[serde(default)]
    pub manifest_digest: Option<Sha256Digest>,
    /// What stands for the program of the engine `command` on the ladder: its digest, or where it is; null for others.
    #[serde(default)]
    pub climbs_as: Option<String>,
    /// Whether the stage below is validated for this engine.
    #[serde(default)]
    pub ladder: LadderFacts,
    /// Stages that the engine may run without records of its own.
    pub ungated_up_to_stage: u8,
    /// Whether it runs with a model, so that admissions are asked for.
    #[serde(default)]
    pub needs_model: bool,
    /// The memory in MiB below which it does not work; 0 when its manifest states none.
    #[serde(default)]
    pub minimum_memory_mib: u32,
    /// The processes and threads below which it does not work; 0 when its manifest states none.
    #[serde(default)]
    pub minimum_processes: u32,
}

/// Facts about the rung below the one that is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LadderFacts {
    /// Whether the harness is proving itself, which puts the rungs on record one after the other.
    pub proving: bool,
    /// Whether the stage below is validated by bundles that verify.
    pub validated: bool,
    /// What is missing on record for it.
    pub missing: Vec<String>,
}

/// Facts about the runs root.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunsRootFacts {
    /// Whether a run directory could be created.
    pub writable: bool,
    /// Whether it lies inside the target repository.
    pub inside_target: bool,
}

/// Facts about what verification needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VerificationFacts {
    /// Programs of verification commands that the sandbox's view will not show, escaped.
    pub missing_programs: Vec<String>,
    /// Dependency layers that are not in the store, each with how to make it.
    pub missing_layers: Vec<String>,
}

/// Facts about the sandbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SandboxFacts {
    /// The selected provider.
    pub provider: String,
    /// Whether its self-test held on this machine, boot and configuration.
    pub self_test_passed: bool,
    /// Why not, with the mend; empty when it held.
    pub detail: String,
    /// Bounds that are kept: names from `enforcement.json`.
    pub enforced: Vec<String>,
}

/// Facts about the target repository or fixture.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TargetFacts {
    /// `fixture` or `repository`; empty when nothing was looked at.
    pub kind: String,
    /// Why the target cannot be used, with the mend; null when it can.
    pub problem: Option<String>,
    /// Whether another run holds it.
    pub busy: bool,
    /// Commit that the run starts from.
    pub commit: Option<String>,
    /// Its tree.
    pub tree: Option<String>,
    /// Whether the index and work tree were looked at, and what differed (escaped, at most 20).
    pub dirty_paths: Option<Vec<String>>,
    /// Whether the mode asks for a clean start.
    pub clean_start_required: bool,
    /// The state before the run.
    pub before: Option<RepositoryState>,
    /// The target's admission, where the stage needs one; its path is `/sha256:<hex>`, which a refusal may show.
    #[serde(default)]
    pub admission: RecordFact<RepositoryAdmission>,
}

/// The state of a repository as far as a run could change it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RepositoryState {
    /// What `HEAD` says, escaped.
    pub head: String,
    /// The commit that it resolves to.
    pub commit: String,
    /// Digest over every ref and its value.
    pub refs_digest: Option<Sha256Digest>,
    /// Digest of the index file; null when there is none.
    pub index_digest: Option<Sha256Digest>,
    /// Digest of configuration, hooks and worktree entries.
    pub metadata_digest: Option<Sha256Digest>,
}
