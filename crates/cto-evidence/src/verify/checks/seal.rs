//! Checks of the seal: envelope, signature, subject, predicate and the ledger outside.

use cto_schema::{Envelope, PAYLOAD_TYPE, PREDICATE_TYPE, STATEMENT_TYPE, SchemaId, Subject, check_schema};

use super::documents::differing;
use crate::verify::{Context, Finding, not_applicable, yes};

/// One signature, the in-toto payload type, and no byte that nothing covers.
pub(super) fn envelope(context: &Context<'_>) -> Finding {
    let envelope = context.envelope()?;
    if envelope.payload_type != PAYLOAD_TYPE {
        return Err(format!(
            "payload type '{:.80}' is not {PAYLOAD_TYPE}",
            envelope.payload_type
        ));
    }
    if envelope.signatures.len() != 1 {
        return Err(format!("{} signatures instead of one", envelope.signatures.len()));
    }
    // The envelope is the one file that no digest covers, so its form is held to the letter.
    let bytes = context.bundle.document("attestation.dsse.json").unwrap_or_default();
    if !forms(envelope).iter().any(|form| form == bytes) {
        return Err("the envelope has bytes besides payload, type and signature".to_owned());
    }
    yes("one signature over an in-toto statement")
}

/// Returns the spellings of an envelope that writers use.
fn forms(envelope: &Envelope) -> Vec<Vec<u8>> {
    let plain = [serde_json::to_vec(envelope), serde_json::to_vec_pretty(envelope)]
        .into_iter()
        .filter_map(Result::ok)
        .chain(serde_json_canonicalizer::to_vec(envelope).ok());
    plain
        .flat_map(|form| [form.clone(), [&form[..], b"\n"].concat()])
        .collect()
}

/// Ed25519 over the DSSE encoding, by a key that the caller trusts.
pub(super) fn signature(context: &Context<'_>) -> Finding {
    let key = context.signer()?;
    yes(format!("signed with '{}', key {}", key.name(), key.keyid()))
}

/// The statement is about `SHA256SUMS` alone.
pub(super) fn subject(context: &Context<'_>) -> Finding {
    let statement = context.statement()?;
    if statement.kind != STATEMENT_TYPE || statement.predicate_type != PREDICATE_TYPE {
        return Err("the statement is not an in-toto Statement v1 about a run of cto".to_owned());
    }
    let digest = context.bundle.digest("SHA256SUMS").ok_or("SHA256SUMS is missing")?;
    if statement.subject != [Subject::new("SHA256SUMS", &digest)] {
        return Err("the statement is about another SHA256SUMS, or about more than it".to_owned());
    }
    yes(digest.to_string())
}

/// What the signature says besides digests agrees with the files, field by field.
pub(super) fn predicate(context: &Context<'_>) -> Finding {
    let (predicate, report) = (&context.statement()?.predicate, context.report()?);
    check_schema(&predicate.schema, SchemaId::RUN).map_err(|error| error.to_string())?;
    let bundle = context.bundle;
    let ledger_head = super::chain::opened(context)?.ledger_head;
    let contract_digest = match context.contract()? {
        None if context.unwritten("contract.json")? => report.contract_digest,
        Some(contract) if contract.target_is_hidden() => report.contract_digest,
        contract => contract.map(cto_schema::TaskContract::digest),
    };
    differing(&[
        ("run_id", predicate.run_id == report.run_id),
        ("nonce", predicate.nonce == report.freshness.nonce),
        ("harness_version", predicate.harness_version == report.harness_version),
        ("backend", predicate.backend == report.backend),
        ("contract_digest", predicate.contract_digest == contract_digest),
        (
            "decision_digest",
            predicate.decision_digest == bundle.digest("decision.json"),
        ),
        ("baseline_commit", predicate.baseline_commit == report.baseline_commit),
        ("baseline_tree", predicate.baseline_tree == report.baseline_tree),
        ("patch_digest", predicate.patch_digest == bundle.digest("patch.diff")),
        (
            "write_set_digest",
            predicate.write_set_digest == bundle.digest("write-set.json"),
        ),
        ("enforcement", predicate.enforcement == report.enforcement),
        ("model", predicate.model == model(report)),
        ("status", predicate.status == report.status),
        ("blockers", predicate.blockers == report.blockers),
        ("verification", predicate.verification == report.verification),
        (
            "event_chain_head",
            predicate.event_chain_head == report.freshness.event_chain_head,
        ),
        ("ledger_head", predicate.ledger_head == *ledger_head),
        ("started_at", predicate.started_at == report.run_started_at),
        ("finished_at", predicate.finished_at == report.run_finished_at),
    ])?;
    yes("every field agrees with the files")
}

fn model(report: &cto_schema::Report) -> Option<String> {
    let (provider, model) = (report.case_model_provider.as_ref()?, report.case_model.as_ref()?);
    Some(format!("{provider}/{model}"))
}

/// The installation's own ledger knows this very bundle.
pub(super) fn ledger(context: &Context<'_>) -> Finding {
    let Some(ledger) = context.ledger else {
        return not_applicable("no ledger was given");
    };
    let run_id = &context.report()?.run_id;
    let digest = context.bundle.digest("SHA256SUMS").ok_or("SHA256SUMS is missing")?;
    match ledger.line(run_id) {
        Some(line) if line.manifest_digest != digest => {
            Err("the ledger recorded another bundle for this run".to_owned())
        }
        Some(_) => match ledger.chain_error() {
            Some(error) => Err(format!("the ledger's own chain is broken: {error}")),
            None => yes("recorded with this manifest, and the ledger's chain holds"),
        },
        None if ledger.owns(context.signer()?.keyid()) => {
            Err("this installation signed it and its ledger has no entry for it".to_owned())
        }
        None => not_applicable("the run was made by another installation"),
    }
}
