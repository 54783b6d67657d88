//! Checking a sealed document: the same checks of form and seal as for a run, and that what it says can be said.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cto_schema::{
    CandidateComparison, DOCUMENT_PREDICATE_TYPE, DocumentKind, DocumentPredicate, DocumentStatement, Envelope, Moment,
    OperatorOutcome, RunId, STATEMENT_TYPE, SchemaId, Sha256Digest, StrictLimits, Subject, check_schema, escape,
    parse_strict,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::DOCUMENT_BYTES;
use crate::approvals::AllowedSigners;
use crate::bundle::Bundle;
use crate::manifest::{ATTESTATION, SUMS};
use crate::outcome::{check_outcome, read_outcome_beside};
use crate::verify::{
    Check, Context, Finding, OutcomeSeen, TrustedKeys, VerificationOutcome, document_checks, outcome_of, yes,
};

const LIMITS: StrictLimits = StrictLimits { bytes: DOCUMENT_BYTES };

/// What is signed about a document that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentSeen {
    /// What it is.
    pub kind: DocumentKind,
    /// Its id.
    pub id: String,
    /// What is signed about it.
    pub predicate: DocumentPredicate,
    /// Digest of `attestation.dsse.json`.
    pub attestation_digest: Sha256Digest,
    /// Whether an operator accepted it, which counts only if it verifies.
    pub accepted: bool,
    /// Whether a comparison says that its proof holds; `None` for every other kind.
    pub proof_holds: Option<bool>,
}

/// Returns the kind of document that a bundle's seal speaks about; `None` when it is about a run, or about nothing.
pub(crate) fn document_kind(bundle: &Bundle) -> Option<DocumentKind> {
    statement(bundle).ok().map(|statement| statement.predicate.kind)
}

/// Returns what is signed about a document; the signature itself is another question.
pub fn document_predicate(bundle: &Bundle) -> Option<DocumentPredicate> {
    statement(bundle).ok().map(|statement| statement.predicate)
}

fn statement(bundle: &Bundle) -> Result<DocumentStatement, String> {
    let bytes = bundle.document(ATTESTATION).ok_or("attestation.dsse.json is missing")?;
    let envelope: Envelope = parse_strict(bytes, LIMITS).map_err(|error| format!("{ATTESTATION}: {error}"))?;
    let payload = STANDARD
        .decode(&envelope.payload)
        .map_err(|_| "the envelope's payload is not base64".to_owned())?;
    let statement: DocumentStatement =
        parse_strict(&payload, LIMITS).map_err(|error| format!("the statement: {error}"))?;
    if statement.predicate_type == DOCUMENT_PREDICATE_TYPE {
        Ok(statement)
    } else {
        Err("the statement is not about a document".to_owned())
    }
}

/// Runs every check on a document. `more` are the checks of what this kind says.
pub(crate) fn verify_document(
    bundle: &Bundle,
    keys: &TrustedKeys,
    more: &[(&'static str, Finding)],
) -> VerificationOutcome {
    let context = Context::read(bundle, keys, None);
    let mut checks: Vec<Check> = document_checks(&context);
    for (name, finding) in [
        ("subject", subject(bundle)),
        ("predicate", predicate(bundle)),
        ("schemas", schemas(bundle)),
        ("no-promotion", no_promotion(bundle)),
    ] {
        checks.push(outcome_of(name, finding));
    }
    checks.extend(more.iter().map(|(name, finding)| outcome_of(name, finding.clone())));
    let signer = context.signer().ok();
    let predicate = document_predicate(bundle);
    let outcome = predicate
        .as_ref()
        .and_then(|predicate| word_beside(bundle, predicate, keys));
    let accepted = outcome
        .as_ref()
        .is_some_and(|said| said.problem.is_none() && said.outcome == OperatorOutcome::Accepted);
    let proof_holds = predicate
        .as_ref()
        .filter(|predicate| predicate.kind == DocumentKind::Comparison)
        .and_then(|_| proof_holds(bundle));
    let document = predicate.map(|predicate| DocumentSeen {
        kind: predicate.kind,
        id: escape(predicate.document_id.as_bytes(), 80),
        predicate,
        attestation_digest: bundle
            .document(ATTESTATION)
            .map(Sha256Digest::of)
            .unwrap_or_else(|| Sha256Digest::of(b"")),
        accepted,
        proof_holds,
    });
    VerificationOutcome {
        path: bundle.path().to_owned(),
        run_id: document.as_ref().map_or_else(String::new, |seen| seen.id.clone()),
        status: None,
        outcome,
        taken_back: None,
        effective_status: None,
        keyid: signer.map(|key| key.keyid().to_owned()),
        signer: signer.map(|key| escape(key.name().as_bytes(), 200)),
        manifest_digest: bundle.digest(SUMS),
        bytes: bundle.files().values().map(|file| file.size_bytes).sum(),
        checks,
        approval_packet: None,
        document,
    }
}

/// Reads a document as a type, if it can be read as one. Whether it may be believed is what its checks say.
pub fn read_document<T: DeserializeOwned>(bundle: &Bundle, kind: DocumentKind) -> Result<T, String> {
    let file = kind.file();
    let bytes = bundle.document(file).ok_or_else(|| format!("{file} is missing"))?;
    parse_strict(bytes, LIMITS).map_err(|error| format!("{file}: {error}"))
}

fn proof_holds(bundle: &Bundle) -> Option<bool> {
    let document: CandidateComparison = read_document(bundle, DocumentKind::Comparison).ok()?;
    Some(document.verdict.proof_holds)
}

/// The statement is about `SHA256SUMS` alone.
fn subject(bundle: &Bundle) -> Finding {
    let statement = statement(bundle)?;
    if statement.kind != STATEMENT_TYPE {
        return Err("the statement is not an in-toto Statement v1".to_owned());
    }
    let digest = bundle.digest(SUMS).ok_or("SHA256SUMS is missing")?;
    if statement.subject != [Subject::new(SUMS, &digest)] {
        return Err("the statement is about another SHA256SUMS, or about more than it".to_owned());
    }
    yes(digest.to_string())
}

/// What the signature says besides digests agrees with the directory and the document.
fn predicate(bundle: &Bundle) -> Finding {
    let DocumentPredicate {
        schema,
        kind,
        document_id,
        nonce,
        document,
        document_digest,
        made_at,
        ..
    } = statement(bundle)?.predicate;
    check_schema(&schema, SchemaId::SEALED_DOCUMENT).map_err(|error| error.to_string())?;
    document_id.parse::<RunId>().map_err(|error| error.to_string())?;
    if document != kind.file() {
        return Err(format!(
            "it names '{}', and a {} is {}",
            escape(document.as_bytes(), 80),
            kind.word(),
            kind.file()
        ));
    }
    if bundle.digest(&document) != Some(document_digest) {
        return Err(format!("{document} is another one"));
    }
    if nonce.len() != 64 || !nonce.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err("its nonce is not 256 bits".to_owned());
    }
    made_at.parse::<Moment>().map_err(|_| "made_at is no time".to_owned())?;
    // A document that lies under another's name would answer to that name.
    if bundle.name() != document_id {
        return Err(format!(
            "it is '{}' and lies under the name '{}'",
            escape(document_id.as_bytes(), 80),
            bundle.name()
        ));
    }
    yes("every field agrees with the files")
}

/// The document is of the schema of its kind.
fn schemas(bundle: &Bundle) -> Finding {
    let kind = statement(bundle)?.predicate.kind;
    let document: Value = read_document(bundle, kind)?;
    let found = document.get("schema").and_then(Value::as_str).unwrap_or_default();
    check_schema(found, kind.schema()).map_err(|error| format!("{}: {error}", kind.file()))?;
    yes(escape(found.as_bytes(), 80))
}

/// Nowhere in the document is an engine the default, or evidence authority.
fn no_promotion(bundle: &Bundle) -> Finding {
    let kind = statement(bundle)?.predicate.kind;
    let document: Value = read_document(bundle, kind)?;
    let mut said = 0;
    activates(&document, &mut said)?;
    if said < 2 {
        return Err("runtime_default_activation or core_promotion_status is missing".to_owned());
    }
    yes("no runtime default, no promotion")
}

fn activates(value: &Value, said: &mut usize) -> Result<(), String> {
    match value {
        Value::Object(fields) => fields.iter().try_for_each(|(name, value)| {
            let expected = match name.as_str() {
                "runtime_default_activation" => Some(Value::Bool(false)),
                "core_promotion_status" => Some(Value::String(cto_schema::NotPromoted::WORD.to_owned())),
                _ => None,
            };
            match expected {
                Some(expected) if expected == *value => {
                    *said += 1;
                    Ok(())
                }
                Some(expected) => Err(format!("{name} is not {expected}")),
                None => activates(value, said),
            }
        }),
        Value::Array(items) => items.iter().try_for_each(|item| activates(item, said)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

/// Returns what an operator said beside a document, if anything.
fn word_beside(bundle: &Bundle, predicate: &DocumentPredicate, keys: &TrustedKeys) -> Option<OutcomeSeen> {
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
    let (said, _) = match check_outcome(&signed, keys.signers().unwrap_or(&none)) {
        Ok(checked) => checked,
        Err(problem) => return Some(unusable(problem)),
    };
    let about_this = said.run_id == predicate.document_id
        && said.nonce == predicate.nonce
        && said.attestation_digest == bundle.document(ATTESTATION).map(Sha256Digest::of)
        && said.patch_digest.is_none()
        && said.target_commit.is_none();
    if !about_this {
        return Some(unusable("it is about another document".to_owned()));
    }
    let made = predicate.made_at.parse::<Moment>().ok()?;
    if said.decided_at.unix_seconds() < made.unix_seconds() {
        return Some(unusable(format!(
            "it was signed as of {}, before the document was made",
            said.decided_at
        )));
    }
    Some(OutcomeSeen {
        outcome: said.outcome,
        actor: escape(said.actor.as_bytes(), 200),
        reason: escape(said.reason.as_bytes(), 400),
        problem: None,
    })
}
