//! Whether a target repository is admitted for a contract (stage 5).

use cto_schema::{
    FORBIDDEN_ACTIONS, HIDDEN_PATH, RecordFact, RepositoryAdmission, RepositoryStatus, Sha256Digest, TaskContract,
};

use super::in_the_future;
use crate::scope::Scope;

/// Why a target repository is not admitted; each reason stands alone, and all are told at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepositoryRefusal {
    /// There is no record.
    FileMissing,
    /// The record cannot be read.
    Unreadable,
    /// `admission_status` is not `admitted`.
    NotAdmitted,
    /// The record names no repository.
    NoPath,
    /// Nobody owns it.
    NoOwner,
    /// Nothing shows who owns it.
    NoOwnershipEvidence,
    /// It is not classified `low_risk_noncritical`.
    WrongRisk,
    /// Nothing says why it is not critical.
    NoRationale,
    /// Nothing may change.
    EmptyAllowedPaths,
    /// A pattern is not a relative glob.
    WrongPattern,
    /// One of the ten forbidden actions is not forbidden.
    MissingForbiddenAction,
    /// Nobody approved it.
    NoApprovalSource,
    /// It was approved at no time, or in the future.
    NoApprovalTimestamp,
    /// The operator's outcome is not required.
    OutcomeNotRequired,
    /// Nothing says when it is due for review.
    NoReviewTrigger,
    /// The contract wants to change more than is admitted.
    ContractTooWide,
}

/// Returns every reason why a target is not admitted for a contract; empty when it is.
///
/// No reason holds the target's path: a blocked report must not show it.
pub fn judge_repository(
    fact: &RecordFact<RepositoryAdmission>,
    contract: Option<&TaskContract>,
    now_seconds: i64,
) -> Vec<(RepositoryRefusal, String)> {
    use RepositoryRefusal as R;
    if let Some(problem) = &fact.problem {
        return vec![(R::Unreadable, format!("the target admission cannot be used: {problem}"))];
    }
    let Some(record) = &fact.record else {
        let detail = "there is no target admission; name its file in CTO_HARNESS_CASE_STAGE5_TARGET_ADMISSION_FILE";
        return vec![(R::FileMissing, detail.to_owned())];
    };
    if record.admission_status != RepositoryStatus::Admitted {
        return vec![(
            R::NotAdmitted,
            "the target admission's status is not_admitted".to_owned(),
        )];
    }
    let mut found: Vec<(RepositoryRefusal, String)> = blanks(record)
        .into_iter()
        .filter(|(blank, _, _)| *blank)
        .map(|(_, refusal, detail)| (refusal, detail.to_owned()))
        .collect();
    let patterns = record.allowed_paths.iter().chain(&record.forbidden_paths);
    if let Some(wrong) = patterns
        .map(|line| line.as_str())
        .find(|pattern| !is_relative_glob(pattern))
    {
        let detail = format!("the target admission's pattern '{wrong}' is not a relative glob");
        found.push((R::WrongPattern, detail));
    }
    let missing: Vec<&str> = FORBIDDEN_ACTIONS
        .iter()
        .filter(|action| !record.forbidden_actions.iter().any(|named| named.as_str() == **action))
        .copied()
        .collect();
    if !missing.is_empty() {
        let detail = format!("the target admission does not forbid: {}", missing.join(", "));
        found.push((R::MissingForbiddenAction, detail));
    }
    if let Some(at) = record
        .approval_timestamp
        .as_ref()
        .filter(|at| in_the_future(at, now_seconds))
    {
        let detail = format!("the target admission was approved in the future ({at})");
        found.push((R::NoApprovalTimestamp, detail));
    }
    let allowed: Vec<String> = record.allowed_paths.iter().map(ToString::to_string).collect();
    let wanted = contract
        .map(|contract| contract.allowed_paths.as_slice())
        .unwrap_or_default();
    let outside: Vec<&str> = wanted
        .iter()
        .map(String::as_str)
        .filter(|pattern| !covers(&allowed, pattern))
        .collect();
    if !outside.is_empty() {
        let detail = format!(
            "the contract allows what the target admission does not: {}",
            outside.join(", ")
        );
        found.push((R::ContractTooWide, detail));
    }
    found
}

/// Returns a target's path as facts and refusals may show it: its digest, in the form of a path. One that is in this form
/// already stays as it is.
pub fn shown_path(path: &str) -> String {
    let is_shown = path
        .strip_prefix(HIDDEN_PATH)
        .is_some_and(|hex| Sha256Digest::from_hex(hex).is_some());
    if is_shown {
        return path.to_owned();
    }
    let trimmed = path.trim_end_matches('/');
    format!("{HIDDEN_PATH}{}", Sha256Digest::of(trimmed.as_bytes()).hex())
}

/// What a record may not leave blank: whether it does, and what that means.
fn blanks(record: &RepositoryAdmission) -> [(bool, RepositoryRefusal, &'static str); 10] {
    use RepositoryRefusal as R;
    let risk = record.risk_classification.as_ref().map(|risk| risk.as_str());
    [
        (
            record.target_repository_path.is_none(),
            R::NoPath,
            "the target admission names no repository",
        ),
        (
            record.repository_owner.is_none(),
            R::NoOwner,
            "the target admission names no owner",
        ),
        (
            record.ownership_evidence.is_none(),
            R::NoOwnershipEvidence,
            "the target admission has no ownership evidence",
        ),
        (
            risk != Some("low_risk_noncritical"),
            R::WrongRisk,
            "the target's risk classification is not low_risk_noncritical",
        ),
        (
            record.noncritical_rationale.is_none(),
            R::NoRationale,
            "the target admission does not say why the target is not critical",
        ),
        (
            record.allowed_paths.is_empty(),
            R::EmptyAllowedPaths,
            "the target admission allows no path",
        ),
        (
            record.approval_source.is_none(),
            R::NoApprovalSource,
            "the target admission names no approval source",
        ),
        (
            record.approval_timestamp.is_none(),
            R::NoApprovalTimestamp,
            "the target admission has no approval timestamp",
        ),
        (
            !record.operator_outcome_required,
            R::OutcomeNotRequired,
            "the target admission does not require the operator's outcome",
        ),
        (
            record.review_trigger.is_none(),
            R::NoReviewTrigger,
            "the target admission has no review trigger",
        ),
    ]
}

fn is_relative_glob(pattern: &str) -> bool {
    let body = pattern.strip_suffix('/').unwrap_or(pattern);
    !pattern.starts_with(['/', '!'])
        && body.split('/').all(|part| !matches!(part, "" | "." | ".."))
        && Scope::patterns(&[pattern.to_owned()]).is_ok()
}

/// True when everything that a pattern can match is matched by one of the admitted ones; what cannot be told is not.
fn covers(admitted: &[String], pattern: &str) -> bool {
    if !is_relative_glob(pattern) {
        return false;
    }
    if admitted.iter().any(|own| own == pattern) {
        return true;
    }
    let literal_until = pattern.find(['*', '?', '[', '{']);
    let literal = &pattern[..literal_until.unwrap_or(pattern.len())];
    let below = |own: &String| {
        let directory = own
            .strip_suffix("**")
            .or_else(|| own.ends_with('/').then_some(own.as_str()));
        directory.is_some_and(|d| d.ends_with('/') && !d.contains(['*', '?', '[', '{']) && literal.starts_with(d))
    };
    if admitted.iter().any(|own| own == "**" || below(own)) {
        return true;
    }
    // A name without wildcards is one path; a directory is more than its own name.
    literal_until.is_none()
        && !pattern.ends_with('/')
        && Scope::patterns(admitted).is_ok_and(|globs| globs.is_match(pattern))
}
