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
mod route_guard;
mod promotion;
mod refresh;
mod scope;

pub use admission::{
    AdmissionWords, BuildStatus, DecisionRefusal, Judgement, ModelAdmissionStatus, RepositoryRefusal,
    SourceAdmissionStatus, admission_words, judge_build, judge_decision, judge_model, judge_repository, judge_source,
    shown_path,
};
pub use approval::{judge_approval, judge_approved_target, needs_approval};
pub use audit::{AuditFacts, judge_audit};
pub use candidate::{
    ComparisonShown, FAILURE_ROWS, FailureRow, candidate_rung, judge_candidate, runs_of_verdict, shows_row,
};
pub use comparison::{ComparedField, ComparedRun, compare_runs};
pub use complete::{missing_artifacts, missing_report_fields, secret_shaped_key};
pub use completion::missing_events;
pub use eligibility::{decide, target_refusals, undecided};
pub use gates::{GATES, Gate, GateInput, Phase, Refusal};
pub use governed::{
    COPIED_REPO_PARTS, Disposition, approval_status, branch_policy, clean_end, copied_repo_proof, disposable_branch,
    governed_report, repository_stage_proof, sandbox_disposition, target_admission,
};
pub use import::{AlreadyHere, ImportCode, ImportFacts, ImportRefusal, judge_import};
pub use ladder::{Need, Rung, RungEvidence, RungQuestion, admissions_of, needs, rung};
pub use lifecycle::{IllegalTransition, RunState};
pub use look_alike::is_git_directory;
pub use outcome::{Evidence, before_apply, conclude, ends_in_a_repository, failure_reason, model_blockers, status_of};
pub use path_mention::{is_below, mentioned_path};
pub use route_guard::judge_core_route;
pub use promotion::{decision_packet, packet_comparison, packet_refresh};
pub use refresh::{comparison_facts, judge_refresh, read_prose};
pub use scope::{Scope, ScopeError, ScopeVerdict, may_match_below};
