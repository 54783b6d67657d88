//! Decisions of `cto` as pure functions over recorded facts.
//!
//! Nothing here reads a file, a clock or the environment, so every decision can be tested over its whole table and
//! replayed by a stranger from the facts in a bundle.
#![warn(clippy::wildcard_enum_match_arm)]

mod admission;
mod approval;
mod comparison;
mod completion;
mod eligibility;
mod gates;
mod governed;
mod ladder;
mod lifecycle;
mod look_alike;
mod outcome;
mod scope;

pub use admission::{
    AdmissionWords, BuildStatus, DecisionRefusal, Judgement, ModelAdmissionStatus, RepositoryRefusal,
    SourceAdmissionStatus, admission_words, judge_build, judge_decision, judge_model, judge_repository, judge_source,
    shown_path,
};
pub use approval::{judge_approval, judge_approved_target, needs_approval};
pub use comparison::{ComparedField, ComparedRun, compare_runs};
pub use completion::missing_events;
pub use eligibility::{decide, target_refusals, undecided};
pub use gates::{GATES, Gate, GateInput, Phase, Refusal};
pub use governed::{
    COPIED_REPO_PARTS, Disposition, approval_status, branch_policy, clean_end, copied_repo_proof, disposable_branch,
    governed_report, repository_stage_proof, sandbox_disposition, target_admission,
};
pub use ladder::{Need, Rung, RungEvidence, RungQuestion, needs, needs_shown, rung};
pub use lifecycle::{IllegalTransition, RunState};
pub use look_alike::is_git_directory;
pub use outcome::{Evidence, before_apply, conclude, ends_in_a_repository, failure_reason, model_blockers, status_of};
pub use scope::{Scope, ScopeError, ScopeVerdict, may_match_below};
