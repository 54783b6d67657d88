//! Checks of single documents: schema, canonical contract, and one run id everywhere.

use cto_schema::{SchemaId, StrictLimits, check_schema, parse_contract, parse_strict};

use crate::verify::{Context, Finding, not_applicable, yes};

/// Fails with the names of the fields that do not agree.
pub(super) fn differing(fields: &[(&str, bool)]) -> Result<(), String> {
    let names: Vec<&str> = fields.iter().filter(|(_, same)| !same).map(|(name, _)| *name).collect();
    if names.is_empty() {
        Ok(())
    } else {
        Err(format!("does not agree: {}", names.join(", ")))
    }
}

/// Every JSON document parses strictly and says a schema that this reader knows.
pub(super) fn schemas(context: &Context<'_>) -> Finding {
    let mut read = 0;
    let mut expect = |name: &str, found: &str, expected: SchemaId| {
        read += 1;
        check_schema(found, expected).map_err(|error| format!("{name}: {error}"))
    };
    expect("report.json", &context.report()?.schema, SchemaId::REPORT)?;
    if let Some(contract) = context.contract()? {
        expect("contract.json", &contract.schema, SchemaId::CONTRACT)?;
    }
    if let Some(decision) = context.decision()? {
        expect("decision.json", &decision.schema, SchemaId::DECISION)?;
    }
    if let Some(write_set) = context.write_set()? {
        expect("write-set.json", &write_set.schema, SchemaId::WRITE_SET)?;
    }
    if let Some(enforcement) = context.enforcement()? {
        expect("enforcement.json", &enforcement.schema, SchemaId::ENFORCEMENT)?;
    }
    expect(
        "journal.jsonl",
        super::chain::opened(context)?.schema,
        SchemaId::JOURNAL,
    )?;
    others(context)?;
    yes(format!(
        "{read} documents of known schemas, every other one strict JSON"
    ))
}

/// Documents that no check knows are still held to strict JSON, so that no two readers see different things.
fn others(context: &Context<'_>) -> Result<(), String> {
    for name in context.bundle.files().keys() {
        let known = ["report.json", "contract.json", "decision.json", "write-set.json"];
        if !name.ends_with(".json") || name.contains('/') || known.contains(&name.as_str()) {
            continue;
        }
        // What an interruption tore may be half a document; it is kept as it was found.
        if name.starts_with("interrupted-") {
            continue;
        }
        let bytes = context.bundle.document(name).unwrap_or_default();
        parse_strict::<serde_json::Value>(bytes, StrictLimits { bytes: 64 << 20 })
            .map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(())
}

/// `contract.json` is canonical, valid, and the contract that the run was about.
pub(super) fn contract(context: &Context<'_>) -> Finding {
    let report = context.report()?;
    let Some(contract) = context.contract()? else {
        return match &report.contract_digest {
            Some(_) if context.unwritten("contract.json")? => {
                not_applicable("contract.json could not be written, and the verdict says so")
            }
            Some(_) => Err("contract.json is missing and report.json has its digest".to_owned()),
            None => not_applicable("the run had no readable contract"),
        };
    };
    let bytes = context.bundle.document("contract.json").unwrap_or_default();
    let canonical = contract.canonical();
    if bytes != canonical && bytes.strip_suffix(b"\n") != Some(&canonical) {
        return Err("contract.json is not in canonical form (RFC 8785)".to_owned());
    }
    parse_contract(bytes).map_err(|error| format!("contract.json: {error}"))?;
    // The path of a target that was not touched may be hidden; the digest is then the one that the journal was opened with.
    let opened = *super::chain::opened(context)?.contract_digest;
    let digest = match (contract.target_is_hidden(), opened) {
        (true, Some(_)) if report.case_process_started => {
            return Err("the target of a run that started is hidden".to_owned());
        }
        (true, Some(opened)) => opened,
        _ => contract.digest(),
    };
    let decision = context.decision()?;
    differing(&[
        ("report.json contract_digest", report.contract_digest == Some(digest)),
        (
            "journal.jsonl contract_digest",
            *super::chain::opened(context)?.contract_digest == Some(digest),
        ),
        (
            "decision.json contract_digest",
            decision.is_none_or(|decision| decision.contract_digest == Some(digest)),
        ),
        (
            "report.json mutation_mode",
            report.mutation_mode == Some(contract.mutation_mode),
        ),
        (
            "report.json stage",
            report.stage == Some(contract.mutation_mode.stage()),
        ),
        (
            "report.json forbidden_path_exceptions",
            contract
                .forbidden_path_exceptions
                .iter()
                .map(|e| (&e.path, &e.reason))
                .eq(report.forbidden_path_exceptions.iter()),
        ),
    ])?;
    yes(digest.to_string())
}

/// One run id: directory, report, journal, every event and the statement.
pub(super) fn run_id(context: &Context<'_>) -> Finding {
    let report = context.report()?;
    let run_id = &report.run_id;
    run_id.parse::<cto_schema::RunId>().map_err(|error| error.to_string())?;
    if context.bundle.name() != run_id {
        return Err(format!(
            "the directory is named '{}' and the run is '{run_id}'; a bundle keeps its run's name",
            context.bundle.name()
        ));
    }
    let foreign = context.events()?.iter().find(|(event, _)| event.run_id != *run_id);
    if let Some((event, _)) = foreign {
        return Err(format!("event {} belongs to run '{:.80}'", event.seq, event.run_id));
    }
    differing(&[
        ("journal.jsonl", super::chain::opened(context)?.run_id == run_id),
        ("statement", context.statement()?.predicate.run_id == *run_id),
        ("report.json artifacts_dir", ends_with(&report.artifacts_dir, run_id)),
        (
            "report.json run_artifact_dir",
            ends_with(&report.run_artifact_dir, run_id),
        ),
    ])?;
    yes(run_id.clone())
}

fn ends_with(path: &str, run_id: &str) -> bool {
    path.trim_end_matches('/').rsplit('/').next() == Some(run_id)
}
