//! Decisions of `cto` as pure functions over recorded facts.
//!
//! Nothing here reads a file, a clock or the environment, so every decision can be tested over its whole table and
//! replayed by a stranger from the facts in a bundle.
#![warn(clippy::wildcard_enum_match_arm)]

mod admission;
mod approval;
mod audit;
mod candidate;
mod comparison;
mod complete;
mod completion;
mod control;
mod eligibility;
mod gates;
mod governed;
mod import;
mod ladder;
mod lifecycle;
mod look_alike;
#[cfg(test)]
mod never;
mod outcome;
mod path_mention;
mod planning;
mod promotion;
mod refresh;
mod route_guard;
mod scope;
mod statistics;
mod trials;

pub use admission::{
    AdmissionWords, Alone, BuildStatus, DecisionRefusal, Judgement, ModelAdmissionStatus, RepositoryRefusal,
    SourceAdmissionStatus, admission_words, judge_build, judge_decision, judge_decision_alone, judge_model,
    judge_model_alone, judge_repository, judge_repository_alone, judge_source, judge_source_alone, shown_path,
};
pub use approval::{judge_approval, judge_approved_target, needs_approval};
pub use audit::{AuditFacts, judge_audit};
pub use candidate::{
    ComparisonShown, FAILURE_ROWS, FailureRow, candidate_rung, judge_candidate, runs_of_verdict, shows_row,
};
pub use comparison::{ComparedField, ComparedRun, compare_runs};
pub use complete::{missing_artifacts, missing_report_fields, secret_shaped_key};
pub use completion::missing_events;
pub use control::{CANDIDATE, CandidateDocuments, ControlFacts, PacketFact, RunFact, control_summary, governed_state};
pub use eligibility::{decide, target_refusals, undecided};
pub use gates::{GATES, Gate, GateInput, Phase, Refusal};
pub use governed::{
    COPIED_REPO_PARTS, Disposition, approval_status, branch_policy, clean_end, copied_repo_proof, disposable_branch,
    governed_report, repository_stage_proof, sandbox_disposition, target_admission,
};
pub use import::{AlreadyHere, ImportCode, ImportFacts, ImportRefusal, judge_import};
pub use ladder::{Need, Rung, RungEvidence, RungQuestion, admissions_of, needs, needs_shown, rung};
pub use lifecycle::{IllegalTransition, RunState};
pub use look_alike::is_git_directory;
pub use outcome::{Evidence, before_apply, conclude, ends_in_a_repository, failure_reason, model_blockers, status_of};
pub use path_mention::{is_below, mentioned_path};
pub use planning::{
    BundleAnswer, BundleFacts, BundleQuestion, CommitAnswer, FileReading, Planner, PlanningError, WorldAnswers,
    WorldQuestions, dot, is_run_id, mermaid,
};
pub use promotion::{decision_packet, packet_comparison, packet_refresh};
pub use refresh::{comparison_facts, judge_refresh, read_prose};
pub use route_guard::judge_core_route;
pub use scope::{Scope, ScopeError, ScopeVerdict, may_match_below};
pub use statistics::{
    CONFIDENCE, Cluster, REPLICATES, SplitMix64, clustered_interval, holm, mcnemar_exact, pass_all_k, pass_at_k,
    quantile, resampled, rounded, spread, wilson,
};
pub use trials::{ORDER, PlannedCell, Reported, SeenCell, aggregate, cell_at, judge_cell, plan_problem, planned_cells};
