//! The task contract: the whole of what an engine is allowed and expected to do (spec 02).

mod defaults;
mod read;

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;

pub use defaults::{DEFAULT_FORBIDDEN_PATHS, DEFAULT_SCRATCH_PATHS, FORBIDDEN_ACTIONS};
pub use read::{ContractError, parse_contract};

/// What a hidden path starts with; its SHA-256 follows in hexadecimal.
pub const HIDDEN_PATH: &str = "/sha256/";

/// What an engine is allowed and expected to do in one run.
///
/// Its identity is [`TaskContract::digest`]: the SHA-256 of its canonical form (RFC 8785) after defaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskContract {
    /// Schema of the document; `cto/contract/1.0` when absent.
    #[serde(default = "defaults::schema")]
    pub schema: String,
    /// Short name of the task, `[A-Za-z0-9._-]{1,64}`.
    pub task_id: String,
    /// One line that says what the task is.
    pub title: String,
    /// What to do, as the engine reads it.
    pub brief: String,
    /// Path of the local git repository that the work is about; absent for fixtures.
    #[serde(default)]
    pub target_repository: Option<String>,
    /// Why this task may exist: a ticket, a decision, a person.
    #[serde(default = "defaults::authority_basis")]
    pub authority_basis: String,
    /// Risk class of the change.
    #[serde(default)]
    pub risk_class: RiskClass,
    /// Relative globs anchored at the repository root that may change; never empty.
    pub allowed_paths: Vec<String>,
    /// Relative globs that may not change; a pattern without a slash matches at any depth. The defaults are always
    /// added.
    #[serde(default)]
    pub forbidden_paths: Vec<String>,
    /// Default forbidden paths that this contract allows, each with its reason.
    #[serde(default)]
    pub forbidden_path_exceptions: Vec<ForbiddenPathException>,
    /// Actions that may not be attempted; the ten of spec 02 always hold.
    pub forbidden_actions: Vec<String>,
    /// Where the engine's change may land. It has no default.
    pub mutation_mode: MutationMode,
    /// Whether a human's signature is needed before the run.
    #[serde(default)]
    pub approval_required: bool,
    /// What must be true afterwards, for people; never empty.
    pub success_criteria: Vec<String>,
    /// Notes for the engine.
    #[serde(default)]
    pub architecture_notes: String,
    /// Commands whose success verifies the patch, each an argv; a shell is asked for by name.
    #[serde(default)]
    pub verification_commands: Vec<Vec<String>>,
    /// Why there is no test; the only substitute for `verification_commands`.
    #[serde(default)]
    pub no_test_rationale: Option<String>,
    /// What the evidence must show, for people.
    #[serde(default)]
    pub evidence_expectations: Vec<String>,
    /// Time limits in seconds.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// Spending limits.
    #[serde(default)]
    pub budget: Budget,
    /// What undoing the change would take, for people.
    #[serde(default)]
    pub rollback_expectation: String,
    /// Class of network that the engine may reach; `none` is an empty network.
    #[serde(default = "defaults::network_class")]
    pub allowed_network_class: String,
    /// Whether a run without a change fails.
    #[serde(default = "defaults::yes")]
    pub requires_diff: bool,
    /// Resource limits of the engine's sandbox.
    #[serde(default)]
    pub limits: Limits,
    /// Limits that must really be enforced, else the run is blocked.
    #[serde(default)]
    pub limits_required: Vec<LimitName>,
    /// Generated paths: recorded with digests, kept out of the patch and of the clean room.
    #[serde(default = "defaults::scratch_paths")]
    pub scratch_paths: Vec<String>,
    /// Tests and their configuration: verification runs with them as patched and restored from the baseline.
    #[serde(default)]
    pub verification_inputs: Vec<String>,
    /// A patch on top of the result that must make verification fail.
    #[serde(default)]
    pub canary_patch: Option<String>,
    /// Whether path bounds are judged afterwards or also kept by the kernel.
    #[serde(default)]
    pub enforce: Enforce,
    /// How much history the engine's repository holds.
    #[serde(default)]
    pub history: History,
    /// Frozen directories that every sandbox of the run sees read-only.
    #[serde(default)]
    pub dependency_layers: Vec<DependencyLayer>,
    /// Whether submodule links in the baseline are accepted as empty directories.
    #[serde(default)]
    pub allow_gitlinks: bool,
    /// Why the engine may run without a sandbox; never above stage 2.
    #[serde(default)]
    pub accept_unsandboxed: Option<String>,
    /// What verification must say before the change.
    #[serde(default)]
    pub baseline_expectation: BaselineExpectation,
}

impl TaskContract {
    /// Returns the canonical bytes (RFC 8785, after defaults); what approvals and evidence bind to.
    pub fn canonical(&self) -> Vec<u8> {
        // A contract holds only strings, booleans and integers below 2^53, which always serialise.
        serde_json_canonicalizer::to_vec(self).unwrap_or_default()
    }

    /// Returns the contract's identity.
    pub fn digest(&self) -> Sha256Digest {
        Sha256Digest::of(&self.canonical())
    }

    /// Returns whether the target's path is hidden: a digest stands in its place, as in the evidence of a refused run
    /// that would have changed it.
    pub fn target_is_hidden(&self) -> bool {
        let path = self.target_repository.as_deref().unwrap_or_default();
        path.strip_prefix(HIDDEN_PATH)
            .is_some_and(|hex| Sha256Digest::from_hex(hex).is_some())
    }

    /// Returns the forbidden patterns that hold: the contract's own and every default without an exception.
    pub fn effective_forbidden_paths(&self) -> Vec<String> {
        let excepted = |path: &str| self.forbidden_path_exceptions.iter().any(|e| e.path == path);
        let defaults = DEFAULT_FORBIDDEN_PATHS
            .iter()
            .filter(|p| !excepted(p))
            .map(|p| (*p).to_owned());
        let mut all: Vec<String> = defaults.chain(self.forbidden_paths.iter().cloned()).collect();
        all.sort();
        all.dedup();
        all
    }

    /// Returns the forbidden actions that hold: the contract's and the ten that every contract has.
    pub fn effective_forbidden_actions(&self) -> Vec<String> {
        let mut all: Vec<String> = FORBIDDEN_ACTIONS.iter().map(|a| (*a).to_owned()).collect();
        all.extend(
            self.forbidden_actions
                .iter()
                .filter(|a| !FORBIDDEN_ACTIONS.contains(&a.as_str()))
                .cloned(),
        );
        all
    }
}

/// Where an engine's change may land; modes belong to stages 1 to 6 in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MutationMode {
    /// Nothing may change (stage 1).
    None,
    /// A copy of an embedded or configured fixture (stage 2).
    CopiedFixture,
    /// A copy of a local repository (stage 3).
    CopiedRepo,
    /// A disposable repository (stage 4).
    SandboxRepo,
    /// An owned, low-risk repository (stage 5).
    OwnedNoncriticalRepo,
    /// Scoped real use, read-only comparison (stage 6).
    CandidateDefault,
}

impl MutationMode {
    /// Returns the mode of a stage.
    pub fn of_stage(stage: u8) -> Option<Self> {
        let all = [
            Self::None,
            Self::CopiedFixture,
            Self::CopiedRepo,
            Self::SandboxRepo,
            Self::OwnedNoncriticalRepo,
            Self::CandidateDefault,
        ];
        all.into_iter().find(|mode| mode.stage() == stage)
    }

    /// Returns the stage that the mode belongs to, 1 to 6.
    pub fn stage(self) -> u8 {
        match self {
            Self::None => 1,
            Self::CopiedFixture => 2,
            Self::CopiedRepo => 3,
            Self::SandboxRepo => 4,
            Self::OwnedNoncriticalRepo => 5,
            Self::CandidateDefault => 6,
        }
    }

    /// Returns the word used in documents.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::CopiedFixture => "copied-fixture",
            Self::CopiedRepo => "copied-repo",
            Self::SandboxRepo => "sandbox-repo",
            Self::OwnedNoncriticalRepo => "owned-noncritical-repo",
            Self::CandidateDefault => "candidate-default",
        }
    }

    /// Returns the allowed mutation scope of the mode's stage (spec 03).
    pub fn scope(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::CopiedFixture => "copied artificial case only",
            Self::CopiedRepo => "copied local repository fixture only",
            Self::SandboxRepo => "disposable repository only",
            Self::OwnedNoncriticalRepo => "explicitly owned low-risk repository only",
            Self::CandidateDefault => "scoped real-repo use only",
        }
    }
}

/// Risk class of a change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RiskClass {
    /// Easily undone, no customer effect.
    #[default]
    Low,
    /// Needs care.
    Medium,
    /// Never without a human.
    High,
}

impl RiskClass {
    /// Returns the word used in documents.
    pub fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// Whether path bounds are judged afterwards or also kept by the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Enforce {
    /// Any write in the workspace may happen and is judged afterwards.
    #[default]
    Judge,
    /// Forbidden literal files and directories that exist are read-only mounts as well.
    Kernel,
}

/// How much history the engine's repository holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum History {
    /// The baseline commit alone.
    #[default]
    Baseline,
    /// The baseline commit and everything it descends from.
    Full,
}

impl History {
    /// Returns the word used in documents and cache names.
    pub fn word(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Full => "full",
        }
    }
}

/// What verification must say before the change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BaselineExpectation {
    /// It must fail: the task is to make it pass.
    Red,
    /// It must pass: the task must not break it.
    Green,
    /// Either; the result is recorded.
    #[default]
    Any,
}

/// A default forbidden path that a contract allows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForbiddenPathException {
    /// The default pattern, exactly as in the default list; it must also be named in `allowed_paths`.
    pub path: String,
    /// Why; the report repeats it.
    pub reason: String,
}

/// A frozen directory that every sandbox of the run sees read-only; `cto deps freeze` makes one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DependencyLayer {
    /// Name for people.
    pub name: String,
    /// Where it was frozen from, for people.
    #[serde(default)]
    pub path: String,
    /// Absolute mount point in the sandbox.
    pub mount: PathBuf,
    /// Digest of the layer's manifest, which is also its name in the layer store.
    pub digest: Sha256Digest,
}

/// Time limits in seconds, on the boot-time clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// Longest run of the engine.
    pub engine_seconds: u32,
    /// Longest silence of the engine on both outputs; 0 is no limit.
    pub idle_seconds: u32,
    /// Longest run of one verification command.
    pub verification_seconds: u32,
    /// Time between the polite and the final signal.
    pub grace_seconds: u32,
}

/// Spending limits; absent is no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Budget {
    /// Most tokens through the gateway, input and output together. Calls at the same time go on only while what is used
    /// up and what they may still use fits: a token for each byte of the request, and the largest answer that it allows
    /// (`max_tokens`). Any other call waits and goes alone, if anything is left; so the most that is used is less than
    /// this and one call, by the provider's own count.
    pub tokens: Option<u32>,
    /// Most cost through the gateway, in millionths of a US dollar; kept like `tokens`.
    pub cost_micro_usd: Option<u32>,
    /// Most wall time of the engine in seconds.
    pub wall_seconds: Option<u32>,
}

/// Resource limits of the engine's sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Most processes and threads.
    pub processes: u32,
    /// Most memory in MiB, kept where a cgroup can be had.
    pub memory_mib: u32,
    /// Most bytes written to the workspace, in MiB.
    pub disk_mib: u32,
    /// Most changed files.
    pub files: u32,
    /// Largest changed file, in MiB.
    pub file_mib: u32,
    /// Most output of the engine that is kept, in MiB.
    pub output_mib: u32,
}

/// A limit that a contract may insist on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LimitName {
    /// Memory, by a cgroup.
    Memory,
    /// Processes, by a cgroup or an rlimit.
    Processes,
    /// Disk, by a size-limited file system.
    Disk,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_has_one_mode() {
        for stage in 1..=6 {
            assert_eq!(MutationMode::of_stage(stage).map(MutationMode::stage), Some(stage));
        }
        assert_eq!(MutationMode::of_stage(0).or(MutationMode::of_stage(7)), None);
    }
}
