//! What the clean room saw: baseline, patched, restored inputs and canary.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::observation::ForbiddenAttempt;

/// The result of clean-room verification.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verification {
    /// Every run, in order.
    pub runs: Vec<VerificationRun>,
    /// The canary of each verification command, in the contract's order.
    pub canaries: Vec<CanaryOutcome>,
    /// Changes to tests and their configuration, as facts.
    pub integrity: Vec<IntegrityFact>,
    /// Why nothing was run, when nothing was.
    pub not_run: Option<String>,
    /// Tracked or new paths that the patched run left changed, escaped.
    pub left_behind: Vec<String>,
    /// Whether the patch passed only in the engine's own tree; null when that was not tried.
    pub passes_in_engine_tree: Option<bool>,
    /// What processes of verification attempted that is forbidden, and that the baseline's own do not attempt.
    #[serde(default)]
    pub forbidden: Vec<ForbiddenAttempt>,
    /// Forbidden actions that the baseline's own processes attempt as well: they are events and no blockers.
    #[serde(default)]
    pub baseline_habits: Vec<String>,
}

impl Verification {
    /// Returns the run with a label, if it happened.
    pub fn run(&self, label: RunLabel) -> Option<&VerificationRun> {
        self.runs.iter().find(|run| run.label == label)
    }
}

/// Which tree a verification run saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunLabel {
    /// The baseline alone.
    Baseline,
    /// The baseline and the patch.
    Patched,
    /// The baseline and the patch, with `verification_inputs` as in the baseline.
    RestoredInputs,
    /// The patched tree and one test that must fail.
    Canary,
    /// The engine's own final tree, ignored files included; tried only to explain a failure.
    EngineTree,
}

impl RunLabel {
    /// Returns the word used in documents.
    pub fn word(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Patched => "patched",
            Self::RestoredInputs => "restored_inputs",
            Self::Canary => "canary",
            Self::EngineTree => "engine_tree",
        }
    }
}

/// All commands over one tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VerificationRun {
    /// Which tree.
    pub label: RunLabel,
    /// Whether the result came from the cache (baseline only).
    pub cached: bool,
    /// Each command.
    pub commands: Vec<CommandResult>,
}

impl VerificationRun {
    /// True when every command exited 0 in time.
    pub fn passed(&self) -> bool {
        !self.commands.is_empty() && self.commands.iter().all(|command| command.passed)
    }
}

/// One verification command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CommandResult {
    /// The argv as in the contract.
    pub argv: Vec<String>,
    /// Exit code; null when it died of a signal, timed out or could not be started.
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Wall time in milliseconds.
    pub duration_ms: u32,
    /// Whether it exceeded `timeouts.verification_seconds`.
    pub timed_out: bool,
    /// Exit code 0, in time.
    pub passed: bool,
    /// Why it could not be started, if so.
    pub start_error: Option<String>,
}

/// The canary of one verification command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CanaryOutcome {
    /// Index of the command in the contract.
    pub command: u32,
    /// The recognised runner, or `canary_patch`, or empty.
    pub runner: String,
    /// The file that the failing test was added to, escaped; empty when there was none.
    pub file: String,
    /// What happened.
    pub state: CanaryState,
    /// What was seen, for people.
    pub detail: String,
}

/// What a canary did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CanaryState {
    /// The command failed with the canary, as it must.
    FailedAsItMust,
    /// The command still exited 0: its success is no evidence.
    Passed,
    /// No canary could be made for this command.
    NotGenerated,
    /// The canary could not be applied or run.
    Unusable,
}

/// A change to a test or its configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IntegrityFact {
    /// `test_changed`, `test_deleted`, `test_added`, `configuration_changed`, `skip_added`, `assertions_removed`, `hook_added`.
    pub kind: String,
    /// The path, escaped.
    pub path: String,
    /// What was seen.
    pub detail: String,
    /// Whether the contract's `allowed_paths` cover the path.
    pub allowed: bool,
}
