//! What the installation itself signs beside a bundle: that a commit was taken back, and when an operator's word was heard.

use std::path::{Path, PathBuf};

use cto_schema::{
    CommitDigest, CommitSubject, Envelope, HEARD_PREDICATE_TYPE, HeardPredicate, HeardStatement, Moment, PAYLOAD_TYPE,
    ROLLBACK_PREDICATE_TYPE, RollbackPredicate, RollbackStatement, RunId, STATEMENT_TYPE, SchemaId, Sha256Digest,
    Subject, check_schema, parse_strict,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::apply_journal::committed_revert;
use crate::clock::{rfc3339, wall_now};
use crate::home::Home;
use crate::keys::Signer;
use crate::outcome::{FILE, LIMITS, OutcomeError, bytes_beside, write_beside};
use crate::verify::{TrustedKeys, payload, signer_of};

/// Name of the file that says that a change was taken back.
pub(crate) const ROLLBACK: &str = "rollback.json";
/// Name of the file that says when a word was heard.
pub(crate) const HEARD: &str = "heard.json";

fn envelope<T: Serialize>(statement: &T, signer: &Signer) -> Vec<u8> {
    let payload = serde_json::to_vec(statement).unwrap_or_default();
    serde_json::to_vec(&signer.envelope(&payload)).unwrap_or_default()
}

/// Reads a statement that a trusted key signed; the error says what is wrong.
fn open<T: DeserializeOwned>(bytes: &[u8], keys: &TrustedKeys) -> Result<T, String> {
    let envelope: Envelope =
        parse_strict(bytes, LIMITS).map_err(|error| format!("it is no signed statement: {error}"))?;
    if envelope.payload_type != PAYLOAD_TYPE {
        return Err("it is no in-toto statement".to_owned());
    }
    signer_of(&envelope, keys)?;
    parse_strict(&payload(&envelope)?, LIMITS).map_err(|error| error.to_string())
}

/// Puts beside a run's bundle that its commit was taken back, signed with the installation's key.
pub fn write_rollback(
    home: &Home,
    run_id: &RunId,
    reverted: &str,
    commit: &str,
    signer: &Signer,
) -> Result<PathBuf, OutcomeError> {
    let statement = RollbackStatement {
        kind: STATEMENT_TYPE.to_owned(),
        subject: vec![CommitSubject {
            name: run_id.to_string(),
            digest: CommitDigest {
                git_commit: reverted.to_owned(),
            },
        }],
        predicate_type: ROLLBACK_PREDICATE_TYPE.to_owned(),
        predicate: RollbackPredicate {
            schema: SchemaId::ROLLBACK.to_string(),
            run_id: run_id.to_string(),
            reverted: reverted.to_owned(),
            commit: commit.to_owned(),
            rolled_back_at: rfc3339(wall_now()),
        },
    };
    write_beside(home, run_id, ROLLBACK, &envelope(&statement, signer))
}

/// Returns the inverse commit that took a run's change back, as this installation knows it: by the journal of that change,
/// which nobody needs to have signed, and by what lies beside the bundle. What is there and cannot be read counts too.
pub fn taken_back(home: &Home, run_id: &RunId) -> Option<String> {
    let unreadable = || Some("that cannot be named: its record cannot be read".to_owned());
    match committed_revert(home, run_id) {
        Ok(Some(commit)) => return Some(commit),
        Ok(None) => {}
        Err(_) => return unreadable(),
    }
    match bytes_beside(&home.run(run_id), ROLLBACK) {
        Ok(None) => None,
        Ok(Some(bytes)) => rollback_unchecked(&bytes).map_or_else(unreadable, |said| Some(said.commit)),
        Err(_) => unreadable(),
    }
}

/// Returns whether a record lies beside the bundle, whatever it says.
pub fn has_rollback_beside(home: &Home, run_id: &RunId) -> Result<bool, OutcomeError> {
    Ok(bytes_beside(&home.run(run_id), ROLLBACK)?.is_some())
}

fn rollback_unchecked(bytes: &[u8]) -> Option<RollbackPredicate> {
    let envelope: Envelope = parse_strict(bytes, LIMITS).ok()?;
    let statement: RollbackStatement = parse_strict(&payload(&envelope).ok()?, LIMITS).ok()?;
    Some(statement.predicate)
}

/// Reads beside a bundle that its commit was taken back; the error says why what lies there cannot be believed.
pub(crate) fn rollback_beside(
    bundle: &Path,
    run_id: &str,
    target_commit: Option<&str>,
    keys: &TrustedKeys,
) -> Result<Option<RollbackPredicate>, String> {
    let Some(bytes) = bytes_beside(bundle, ROLLBACK).map_err(|error| error.to_string())? else {
        return Ok(None);
    };
    let statement: RollbackStatement = open(&bytes, keys)?;
    let said = statement.predicate;
    check_schema(&said.schema, SchemaId::ROLLBACK).map_err(|error| error.to_string())?;
    let subject = CommitSubject {
        name: said.run_id.clone(),
        digest: CommitDigest {
            git_commit: said.reverted.clone(),
        },
    };
    let is_ours = statement.kind == STATEMENT_TYPE
        && statement.predicate_type == ROLLBACK_PREDICATE_TYPE
        && statement.subject == [subject]
        && said.run_id == run_id
        && Some(said.reverted.as_str()) == target_commit;
    if is_ours {
        Ok(Some(said))
    } else {
        Err("it is about another run, or about another commit".to_owned())
    }
}

/// Puts beside an operator's word when it was heard, signed with the installation's key.
pub(crate) fn write_heard(home: &Home, run_id: &RunId, word: &[u8], signer: &Signer) -> Result<(), OutcomeError> {
    let statement = HeardStatement {
        kind: STATEMENT_TYPE.to_owned(),
        subject: vec![Subject::new(FILE, &Sha256Digest::of(word))],
        predicate_type: HEARD_PREDICATE_TYPE.to_owned(),
        predicate: HeardPredicate {
            schema: SchemaId::OUTCOME_HEARD.to_string(),
            run_id: run_id.to_string(),
            heard_at: rfc3339(wall_now()),
        },
    };
    write_beside(home, run_id, HEARD, &envelope(&statement, signer)).map(drop)
}

/// Reads when the word beside a bundle was heard; `None` when no installation said so.
pub(crate) fn heard_beside(bundle: &Path, run_id: &str, keys: &TrustedKeys) -> Result<Option<Moment>, String> {
    let read = |name| bytes_beside(bundle, name).map_err(|error| error.to_string());
    let Some(bytes) = read(HEARD)? else {
        return Ok(None);
    };
    let Some(word) = read(FILE)? else {
        return Err(format!("{FILE}, which it is about, is gone"));
    };
    let statement: HeardStatement = open(&bytes, keys)?;
    let said = statement.predicate;
    check_schema(&said.schema, SchemaId::OUTCOME_HEARD).map_err(|error| error.to_string())?;
    let is_ours = statement.kind == STATEMENT_TYPE
        && statement.predicate_type == HEARD_PREDICATE_TYPE
        && statement.subject == [Subject::new(FILE, &Sha256Digest::of(&word))]
        && said.run_id == run_id;
    if !is_ours {
        return Err("it is about another word".to_owned());
    }
    let heard = said
        .heard_at
        .parse()
        .map_err(|_| "it says no time that can be read".to_owned())?;
    Ok(Some(heard))
}
