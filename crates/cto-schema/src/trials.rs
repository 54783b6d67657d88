//! Documents of a matrix of engines, cases and repeats: its plan, the mark of a cell, and the report (spec 08).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::blocker::Status;
use crate::digest::Sha256Digest;
use crate::fixed::{NotActivated, NotPromoted};
use crate::ids::RunId;

/// `plan.json` of a matrix: written once, before any cell, and never changed. It decides what runs, so an unknown
/// field is an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MatrixPlan {
    /// `cto/matrix-plan/1.0`.
    pub schema: String,
    /// The matrix; also the name of its directory.
    pub matrix_id: RunId,
    /// A name for people; empty when none was given.
    pub name: String,
    /// RFC 3339 UTC with microseconds. No cell's run may have started before.
    pub created_at: String,
    /// Version of the harness that made the plan.
    pub harness_version: String,
    /// The engines, in the order in which they take turns; at least one, each once.
    pub engines: Vec<String>,
    /// The cases, in the order in which they take turns; at least one, each once.
    pub cases: Vec<String>,
    /// How often each engine runs each case; at least 1.
    pub repeats: u32,
    /// Digest of the contract of each case under each engine, for every engine of every case in order.
    pub lanes: Vec<PlannedLane>,
    /// What every run of the matrix is asked with.
    pub options: MatrixOptions,
    /// Seed of every resampling in the report, 64 bits in hexadecimal; drawn once.
    pub bootstrap_seed: String,
}

/// One engine on one case, as planned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlannedLane {
    /// The engine.
    pub engine: String,
    /// The case.
    pub case_id: String,
    /// Digest of the contract's canonical form; a bundle with another one is none of this lane.
    pub contract_digest: Sha256Digest,
}

/// What every run of a matrix is asked with, besides engine and case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MatrixOptions {
    /// Directories mapped read-only into every sandbox.
    pub toolchains: Vec<String>,
    /// Longest run of an engine in seconds; the contract's when null.
    pub timeout_seconds: Option<u32>,
    /// Sandbox provider; the settings' when null.
    pub sandbox: Option<String>,
    /// `overlay` or `copied`; probed when null.
    pub workspace: Option<String>,
    /// The argv of the engine `command`; empty when it takes no part.
    pub command: Vec<String>,
}

/// `cells/<cell>.<attempt>.begun.json` and `cells/<cell>.done.json`: a cell was begun as a run, or has its verdict. The
/// mark only says where to look; what came of the cell is read from the sealed bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MatrixMark {
    /// `cto/matrix-cell/1.0`.
    pub schema: String,
    /// The cell's place in the order, from 0.
    pub cell: u32,
    /// Which try of the cell it is, from 1; more than one after an interruption.
    pub attempt: u32,
    /// The run.
    pub run_id: RunId,
}

/// The report of a matrix.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Matrix {
    /// `cto/matrix/1.0`.
    pub schema: String,
    /// The matrix.
    pub matrix_id: RunId,
    /// A name for people; may be empty.
    pub name: String,
    /// When the plan was made, RFC 3339 UTC.
    pub created_at: String,
    /// When this report was made, RFC 3339 UTC.
    pub reported_at: String,
    /// Version of the harness that made the report.
    pub harness_version: String,
    /// Digest of the plan's canonical form.
    pub plan_digest: Sha256Digest,
    /// The engines, in order.
    pub engines: Vec<String>,
    /// The cases, in order.
    pub cases: Vec<String>,
    /// How often each engine was to run each case.
    pub repeats: u32,
    /// How many cells ran side by side when this report was made. With more than one, times are not those of one alone.
    pub jobs: u32,
    /// Whether every cell has a verdict or cannot run; an interrupted matrix is not complete.
    pub complete: bool,
    /// Whether every cell passed; computed from `totals`.
    pub passed: bool,
    /// How every number here is made.
    pub methods: MatrixMethods,
    /// Counts over all cells.
    pub totals: CellCounts,
    /// One row for each engine, in order; an engine that cannot run has its row too.
    pub engine_rows: Vec<TrialSummary>,
    /// One row for each engine on each case, engines in order and cases in order.
    pub lane_rows: Vec<TrialSummary>,
    /// Every two engines over the cells that both have, in order.
    pub comparisons: Vec<PairedComparison>,
    /// Lanes that neither always pass nor never do.
    pub flaky: Vec<FlakyLane>,
    /// Every cell, in the order in which they take turns.
    pub cells: Vec<MatrixCell>,
    /// What this report does not prove.
    pub limits_of_this_report: String,
    /// Never true: numbers make no engine the default.
    pub runtime_default_activation: NotActivated,
    /// Always `not-promoted`: numbers are no authority.
    pub core_promotion_status: NotPromoted,
}

/// How the numbers of a matrix report are made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MatrixMethods {
    /// In which order cells take turns.
    pub order: String,
    /// Which cells a pass rate is of.
    pub pass_rate: String,
    /// Coverage that intervals aim at.
    pub confidence: f64,
    /// How `wilson` is made.
    pub wilson: String,
    /// How `clustered` is made.
    pub clustered: String,
    /// How often cases are resampled.
    pub bootstrap_replicates: u32,
    /// The seed of the resampling, 64 bits in hexadecimal.
    pub bootstrap_seed: String,
    /// How `pass_at_k` is made.
    pub pass_at_k: String,
    /// How `pass_all_k` is made.
    pub pass_all_k: String,
    /// How medians and percentiles are made.
    pub quantiles: String,
    /// How engines are compared.
    pub comparison: String,
    /// How times are split.
    pub times: String,
}

/// What became of one cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CellState {
    /// Its sealed bundle verifies and is a pass.
    Pass,
    /// Its sealed bundle verifies and is a fail, or is blocked after the engine was started.
    Fail,
    /// The engine was not started: a gate said no before the run, or in it.
    Blocked,
    /// Its bundle does not verify, or is not this cell's. It counts against the engine.
    Unverified,
    /// It has no verdict: not reached, stopped by the operator, or interrupted.
    NotRun,
}

impl CellState {
    /// Every state, in order.
    pub const ALL: [Self; 5] = [Self::Pass, Self::Fail, Self::Blocked, Self::Unverified, Self::NotRun];

    /// Returns the word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Blocked => "blocked",
            Self::Unverified => "unverified",
            Self::NotRun => "not run",
        }
    }
}

/// One cell: one engine on one case, once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MatrixCell {
    /// Place in the order, from 0.
    pub cell: u32,
    /// Which repeat, from 1.
    pub repeat: u32,
    /// The engine.
    pub engine: String,
    /// The case.
    pub case_id: String,
    /// What became of it.
    pub state: CellState,
    /// The verdict in the bundle; null without one that verifies.
    pub status: Option<Status>,
    /// Why it is no pass, for people, each reason for itself; empty for a pass.
    pub rationale: Vec<String>,
    /// Blocker codes of the bundle, or of the decision that kept the cell from starting.
    pub blockers: Vec<String>,
    /// Whether the engine's process started.
    pub engine_started: bool,
    /// How often the cell was begun.
    pub attempts: u32,
    /// The run; null when none was begun.
    pub run_id: Option<RunId>,
    /// Digest of the bundle's `SHA256SUMS`, which identifies it.
    pub manifest_digest: Option<Sha256Digest>,
    /// Times in milliseconds; null without a bundle that verifies.
    pub times: Option<CellTimes>,
    /// Input and output tokens as decimal text; null when no model was used or a call named no usage.
    pub tokens: Option<CellTokens>,
    /// Cost in millionths of a US dollar as decimal text; null when it is not known.
    pub cost_micro_usd: Option<String>,
}

/// Times of one cell, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CellTimes {
    /// The whole run.
    pub total_ms: u64,
    /// The engine.
    pub engine_ms: u64,
    /// Verification commands in the clean room.
    pub verification_ms: u64,
    /// Everything else: the harness's own share.
    pub harness_ms: u64,
}

/// Tokens of one cell, as decimal text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CellTokens {
    /// Input tokens, cached ones included.
    pub input: String,
    /// Output tokens, reasoning included.
    pub output: String,
}

/// Counts of cells by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CellCounts {
    /// All of them.
    pub cells: u32,
    /// Passes.
    pub pass: u32,
    /// Fails.
    pub fail: u32,
    /// Blocked.
    pub blocked: u32,
    /// Unverified.
    pub unverified: u32,
    /// Without a verdict.
    pub not_run: u32,
}

impl CellCounts {
    /// Counts one cell.
    pub fn add(&mut self, state: CellState) {
        self.cells += 1;
        *match state {
            CellState::Pass => &mut self.pass,
            CellState::Fail => &mut self.fail,
            CellState::Blocked => &mut self.blocked,
            CellState::Unverified => &mut self.unverified,
            CellState::NotRun => &mut self.not_run,
        } += 1;
    }

    /// Returns how many cells a pass rate is of: those whose engine was tried. What cannot be verified is among them,
    /// because evidence that is broken must not make a rate better.
    pub fn judged(&self) -> u32 {
        self.pass + self.fail + self.unverified
    }
}

/// An engine, or an engine on one case, over its cells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrialSummary {
    /// The engine.
    pub engine: String,
    /// The case; null for all cases together.
    pub case_id: Option<String>,
    /// Counts of cells.
    pub counts: CellCounts,
    /// Passes among the cells whose engine was tried; null when there is none.
    pub pass_rate: Option<f64>,
    /// Wilson score interval of the pass rate; null without a rate.
    pub wilson: Option<Interval>,
    /// Interval of the pass rate from resampling whole cases; null with fewer than two cases.
    pub clustered: Option<Interval>,
    /// For each k: the chance that at least one of k tries passes.
    pub pass_at_k: Vec<AtK>,
    /// For each k: the chance that all of k tries pass (pass^k).
    pub pass_all_k: Vec<AtK>,
    /// Whole runs, in milliseconds, over the cells whose engine was tried; null without any.
    pub total_ms: Option<Spread>,
    /// The engine, in milliseconds.
    pub engine_ms: Option<Spread>,
    /// Verification, in milliseconds.
    pub verification_ms: Option<Spread>,
    /// The harness's own share, in milliseconds.
    pub harness_ms: Option<Spread>,
    /// Input tokens; null when no cell's are known.
    pub input_tokens: Option<Amount>,
    /// Output tokens.
    pub output_tokens: Option<Amount>,
    /// Cost in millionths of a US dollar.
    pub cost_micro_usd: Option<Amount>,
    /// Blocker codes with the number of cells that have them, most frequent first.
    pub blockers: Vec<BlockerCount>,
    /// Why cells could not start, when some could not; each reason once.
    pub blocked_because: Vec<String>,
}

/// An interval of a share, or of a difference of shares.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// An estimate for one number of tries.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AtK {
    /// Number of tries.
    pub k: u32,
    /// The mean over cases of the unbiased estimate.
    pub value: f64,
    /// How many cases have at least k judged cells, and so are in the mean.
    pub cases: u32,
}

/// How a quantity is spread over cells.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Spread {
    /// Number of cells.
    pub n: u32,
    /// Smallest.
    pub min: f64,
    /// First quartile.
    pub q1: f64,
    /// Median.
    pub median: f64,
    /// Third quartile.
    pub q3: f64,
    /// 95th percentile.
    pub p95: f64,
    /// Largest.
    pub max: f64,
}

/// A quantity that not every cell knows. Unknown is not zero.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Amount {
    /// Sum over the cells that know it, as decimal text.
    pub total: String,
    /// Cells whose engine was tried and that do not know it.
    pub unknown_cells: u32,
    /// Over the cells that know it.
    pub spread: Spread,
}

/// How many cells have a blocker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BlockerCount {
    /// The code.
    pub code: String,
    /// Number of cells.
    pub cells: u32,
}

/// Two engines over the cells that both have: the same case and the same repeat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PairedComparison {
    /// One engine.
    pub engine: String,
    /// The other.
    pub against: String,
    /// Pairs in which both were tried.
    pub pairs: u32,
    /// Cases of those pairs.
    pub cases: u32,
    /// Both pass.
    pub both_pass: u32,
    /// Only `engine` passes.
    pub only_engine: u32,
    /// Only `against` passes.
    pub only_against: u32,
    /// Neither passes.
    pub neither: u32,
    /// Pass rate of `engine` less that of `against` over the pairs; null without pairs.
    pub difference: Option<f64>,
    /// Interval of the difference from resampling whole cases; null with fewer than two cases.
    pub clustered: Option<Interval>,
    /// Two-sided exact McNemar p; null without pairs. It takes pairs of one case for independent.
    pub mcnemar_p: Option<f64>,
    /// The same, adjusted by Holm for the number of comparisons in this report.
    pub mcnemar_p_holm: Option<f64>,
}

/// A lane that neither always passes nor never does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FlakyLane {
    /// The engine.
    pub engine: String,
    /// The case.
    pub case_id: String,
    /// Passes.
    pub pass: u32,
    /// Cells whose engine was tried.
    pub of: u32,
    /// What the others ended with.
    pub blockers: Vec<BlockerCount>,
}

impl MatrixPlan {
    /// Returns how many cells there are; `None` when there are more than fit 32 bits.
    pub fn cells(&self) -> Option<u32> {
        let lanes = self.engines.len().checked_mul(self.cases.len())?;
        u32::try_from(lanes).ok()?.checked_mul(self.repeats)
    }

    /// Returns the plan's canonical form (RFC 8785), as it is on disk.
    pub fn canonical(&self) -> Vec<u8> {
        serde_json_canonicalizer::to_vec(self).unwrap_or_default()
    }

    /// Returns the digest of the plan's canonical form.
    pub fn digest(&self) -> Sha256Digest {
        Sha256Digest::of(&self.canonical())
    }
}
