//! The operator's word beside a bundle, and the status that a run has with it.

use cto_schema::{BlockerCode, OperatorOutcome, OutcomeProof, Report, Sha256Digest, Status};

use super::checks::said_in_time;
use super::context::json;
use super::{Context, TrustedKeys};
use crate::approvals::AllowedSigners;
use crate::bundle::Bundle;
use crate::outcome::{check_outcome, read_outcome_beside, read_rollback_beside};

/// What an operator said about a sealed run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutcomeSeen {
    /// Accepted or rejected; pending when what was said does not count.
    pub outcome: OperatorOutcome,
    /// Who said it, escaped.
    pub actor: String,
    /// Why, escaped.
    pub reason: String,
    /// Why it does not count; null when it does.
    pub problem: Option<String>,
}

/// Returns what was said beside a bundle, if anything.
pub(super) fn outcome_beside(bundle: &Bundle, report: &Report, keys: &TrustedKeys) -> Option<OutcomeSeen> {
    let unusable = |problem: String| OutcomeSeen {
        outcome: OperatorOutcome::Pending,
        actor: String::new(),
        reason: String::new(),
        problem: Some(problem),
    };
    let signed = match read_outcome_beside(bundle.path()) {
        Ok(signed) => signed?,
        Err(error) => return Some(unusable(error.to_string())),
    };
    let none = AllowedSigners::default();
    let (statement, _) = match check_outcome(&signed, keys.signers().unwrap_or(&none)) {
        Ok(checked) => checked,
        Err(problem) => return Some(unusable(problem)),
    };
    let attestation = bundle.document("attestation.dsse.json").map(Sha256Digest::of);
    let target_commit = report
        .governed
        .as_ref()
        .and_then(|governed| governed.target_commit.as_ref());
    let ours = statement.run_id == report.run_id
        && statement.nonce == report.freshness.nonce
        && statement.patch_digest == report.artifact_digests.get("patch.diff").copied()
        && statement.target_commit.as_ref() == target_commit;
    // What was said while the run was held open is sealed in, and stays; afterwards it is about the seal.
    if let Some(sealed_in) = json::<OutcomeProof>(bundle, "operator-outcome.json") {
        if !sealed_in.is_ok_and(|proof| proof.signed == signed) {
            return Some(unusable("another word was sealed in, and stays".to_owned()));
        }
    } else if statement.attestation_digest.is_some() && statement.attestation_digest != attestation {
        // A word that was said before there was a seal names the run, its nonce, its patch and its commit all the same.
        return Some(unusable("it is about another bundle".to_owned()));
    }
    if !ours {
        return Some(unusable("it is about another run".to_owned()));
    }
    if let Ok(Some(rollback)) = read_rollback_beside(bundle.path()) {
        let commit = cto_schema::escape(rollback.commit.as_bytes(), 80);
        return Some(unusable(format!("the change was taken back by commit {commit}")));
    }
    if let Err(problem) = said_in_time(report, &statement.decided_at) {
        return Some(unusable(problem));
    }
    Some(OutcomeSeen {
        outcome: statement.outcome,
        actor: cto_schema::escape(statement.actor.as_bytes(), 200),
        reason: cto_schema::escape(statement.reason.as_bytes(), 400),
        problem: None,
    })
}

/// Returns the status of a run with the word beside it: `pass` only if nothing but that word was missing, none was said
/// before the seal, and it is yes.
pub(super) fn effective_status(status: Status, context: &Context<'_>, beside: Option<&OutcomeSeen>) -> Status {
    let (Ok(report), Ok(seen)) = (context.report(), context.observations()) else {
        return status;
    };
    let only_the_word = matches!(report.blockers.as_slice(), [one] if one.code == BlockerCode::MissingOperatorOutcome);
    let said_inside = seen.outcome.is_some() || context.bundle.files().contains_key("operator-outcome.json");
    let accepted = beside.is_some_and(|said| said.problem.is_none() && said.outcome == OperatorOutcome::Accepted);
    if status == Status::Blocked && only_the_word && !said_inside && accepted && report.stage == Some(5) {
        Status::Pass
    } else {
        status
    }
}
