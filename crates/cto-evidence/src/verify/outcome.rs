//! What lies beside a bundle, an operator's word and that the change was taken back, and the status that a run has with it.

use cto_schema::{BlockerCode, OperatorOutcome, OutcomeProof, OutcomeStatement, Report, Sha256Digest, Status, escape};

use super::checks::said_in_time;
use super::context::json;
use super::{Context, Finding, TrustedKeys, not_applicable, yes};
use crate::approvals::{AllowedSigners, CheckedSignature};
use crate::clock::wall_now;
use crate::outcome::{read_outcome_beside, read_signed};
use crate::signed_beside::{heard_beside, rollback_beside};

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

/// What lies beside a bundle.
pub(super) struct Beside {
    /// What an operator said; `None` when nothing was said.
    pub(super) word: Option<OutcomeSeen>,
    /// The commit that took the change back.
    pub(super) taken_back: Option<String>,
    /// Whether all of it can be believed.
    pub(super) finding: Finding,
}

/// Why a word does not count.
enum Unheard {
    /// It is not what anybody may put there.
    Forged(String),
    /// It is sound, and whose key it is was not asked.
    NotAsked(String),
}

/// Looks at everything beside a bundle.
pub(super) fn look_beside(context: &Context<'_>, keys: &TrustedKeys) -> Beside {
    let Ok(report) = context.report() else {
        return Beside {
            word: None,
            taken_back: None,
            finding: not_applicable("there is no report that it could be about"),
        };
    };
    let bundle = context.bundle;
    let target_commit = report.governed.as_ref().and_then(|it| it.target_commit.as_deref());
    let rollback = rollback_beside(bundle.path(), &report.run_id, target_commit, keys);
    let by_journal = context.ledger.and_then(|ledger| ledger.taken_back(&report.run_id));
    let taken_back = by_journal.or_else(|| match &rollback {
        Ok(said) => said.as_ref().map(|said| said.commit.clone()),
        // Somebody put it there, and what it takes away is not given back because it cannot be read.
        Err(_) => Some("that nobody signed for".to_owned()),
    });
    let heard = heard_word(context, report, keys);
    let finding = finding(heard.as_ref(), &rollback, taken_back.as_deref());
    let word = heard.map(|heard| {
        let unusable = |problem: String| OutcomeSeen {
            outcome: OperatorOutcome::Pending,
            actor: String::new(),
            reason: String::new(),
            problem: Some(problem),
        };
        match (heard, &taken_back) {
            (Err(Unheard::Forged(problem) | Unheard::NotAsked(problem)), _) => unusable(problem),
            (Ok(_), Some(commit)) => unusable(format!(
                "the change was taken back by commit {}",
                escape(commit.as_bytes(), 80)
            )),
            (Ok((statement, _)), None) => OutcomeSeen {
                outcome: statement.outcome,
                actor: escape(statement.actor.as_bytes(), 200),
                reason: escape(statement.reason.as_bytes(), 400),
                problem: None,
            },
        }
    });
    Beside {
        word,
        taken_back,
        finding,
    }
}

type Heard = Result<(OutcomeStatement, String), Unheard>;

fn finding(
    word: Option<&Heard>,
    rollback: &Result<Option<cto_schema::RollbackPredicate>, String>,
    taken_back: Option<&str>,
) -> Finding {
    let mut wrong = Vec::new();
    if let Some(Err(Unheard::Forged(problem))) = word {
        wrong.push(format!("operator-outcome.json: {problem}"));
    }
    if let Err(problem) = rollback {
        wrong.push(format!("rollback.json: {problem}"));
    }
    if !wrong.is_empty() {
        return Err(format!(
            "what lies beside the bundle is not what it claims to be: {}",
            wrong.join("; ")
        ));
    }
    let back = taken_back.map(|commit| format!("the change was taken back by commit {commit}"));
    match (word, back) {
        (None, None) => not_applicable("nothing lies beside the bundle"),
        (Some(Err(Unheard::NotAsked(why))), None) => not_applicable(why),
        (Some(Ok((said, clock))), back) => yes(format!(
            "{} by {}, {clock}{}",
            said.outcome.word(),
            escape(said.actor.as_bytes(), 100),
            back.map(|back| format!("; {back}")).unwrap_or_default()
        )),
        (None | Some(Err(_)), Some(back)) => yes(back),
        (Some(Err(Unheard::Forged(_))), None) => Err("what lies beside the bundle cannot be believed".to_owned()),
    }
}

/// Returns what was said beside a bundle, and by which clock; `None` when nothing was said.
fn heard_word(context: &Context<'_>, report: &Report, keys: &TrustedKeys) -> Option<Heard> {
    let bundle = context.bundle;
    let forged = |problem: String| Some(Err(Unheard::Forged(problem)));
    let signed = match read_outcome_beside(bundle.path()) {
        Ok(signed) => signed?,
        Err(error) => return forged(error.to_string()),
    };
    let (statement, checked) = match read_signed(&signed) {
        Ok(read) => read,
        Err(problem) => return forged(problem),
    };
    let attestation = bundle.document("attestation.dsse.json").map(Sha256Digest::of);
    let target_commit = report.governed.as_ref().and_then(|it| it.target_commit.as_ref());
    let ours = statement.run_id == report.run_id
        && statement.nonce == report.freshness.nonce
        && statement.patch_digest == report.artifact_digests.get("patch.diff").copied()
        && statement.target_commit.as_ref() == target_commit;
    // What was said while the run was held open is sealed in, and stays; afterwards it is about the seal.
    let sealed_in = json::<OutcomeProof>(bundle, "operator-outcome.json");
    if let Some(sealed_in) = &sealed_in {
        if !sealed_in.as_ref().is_ok_and(|proof| proof.signed == signed) {
            return forged("another word was sealed in, and stays".to_owned());
        }
    } else if statement.attestation_digest.is_some() && statement.attestation_digest != attestation {
        // A word that was said before there was a seal names the run, its nonce, its patch and its commit all the same.
        return forged("it is about another bundle".to_owned());
    }
    if !ours {
        return forged("it is about another run".to_owned());
    }
    if let Err(problem) = said_in_time(report, &statement.decided_at) {
        return forged(problem);
    }
    let Some(signers) = keys.signers() else {
        return Some(Err(Unheard::NotAsked(format!(
            "whose key {} is was not asked: give --allowed-signers",
            checked.fingerprint
        ))));
    };
    let clock = if sealed_in.is_some() {
        Ok("sealed in".to_owned())
    } else {
        match heard_beside(bundle.path(), &report.run_id, keys) {
            Ok(heard) => in_time(&statement, &checked, signers, heard.as_ref()),
            Err(problem) => Err(format!("heard.json: {problem}")),
        }
    };
    let told = checked
        .belongs_to(&statement.actor, signers, statement.decided_at.unix_seconds())
        .and(clock);
    Some(match told {
        Ok(clock) => Ok((statement, clock)),
        Err(problem) => Err(Unheard::Forged(problem)),
    })
}

/// Judges a key by a clock that is not its owner's: the installation's that heard the word, else that of whoever checks.
fn in_time(
    statement: &OutcomeStatement,
    checked: &CheckedSignature,
    signers: &AllowedSigners,
    heard: Option<&cto_schema::Moment>,
) -> Result<String, String> {
    let (at, clock) = match heard {
        Some(heard) => (
            heard.unix_seconds(),
            format!("heard at {heard} by the installation's clock"),
        ),
        None => (
            wall_now().as_second(),
            "judged by the clock here: no installation says when it heard it".to_owned(),
        ),
    };
    checked
        .belongs_to(&statement.actor, signers, at)
        .map(|()| clock)
        .map_err(|problem| match heard {
            Some(heard) => format!("{problem} at {heard}, when the installation heard it"),
            None => format!("{problem} now, and that it was when it spoke is said by nobody but its owner"),
        })
}

/// Returns the status of a run with what lies beside it: `pass` only if nothing but the operator's word was missing, none
/// was said before the seal, and it is yes; and never for an owned repository whose change was taken back.
pub(super) fn effective_status(status: Status, context: &Context<'_>, beside: &Beside) -> Status {
    let (Ok(report), Ok(seen)) = (context.report(), context.observations()) else {
        return status;
    };
    if status == Status::Pass && beside.taken_back.is_some() {
        return Status::Blocked;
    }
    let only_the_word = matches!(report.blockers.as_slice(), [one] if one.code == BlockerCode::MissingOperatorOutcome);
    let said_inside = seen.outcome.is_some() || context.bundle.files().contains_key("operator-outcome.json");
    let accepted = beside
        .word
        .as_ref()
        .is_some_and(|said| said.problem.is_none() && said.outcome == OperatorOutcome::Accepted);
    if status == Status::Blocked && only_the_word && !said_inside && accepted && report.stage == Some(5) {
        Status::Pass
    } else {
        status
    }
}
