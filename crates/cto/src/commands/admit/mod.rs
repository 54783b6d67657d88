//! `cto admit`: shows the record that it would write, asks, and writes it.

mod build;
mod source;

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::PathBuf;

use cto_runner::{EngineManifest, Harness, WriteRecordError, check_model, record_place, write_record};
use cto_schema::{
    BuildAdmission, DEFAULT_FORBIDDEN_PATHS, ExitClass, FORBIDDEN_ACTIONS, ModelAdmission, ProviderDecision,
    RecordError, RecordKind, RepositoryAdmission, SourceAdmission, read_record,
};
use serde_json::{Value, json};

use crate::cli::Global;
use crate::cli_admissions::{AdmitAction, AdmitCommon, AdmitDecision, AdmitModel, AdmitRepository, Pair};
use crate::error::CommandError;
use crate::installation;
use crate::output::{Exit, Output};

pub(super) fn admit(global: &Global, action: &AdmitAction, output: &Output) -> Result<Exit, CommandError> {
    let harness = installation::open(global)?;
    let common = match action {
        AdmitAction::Model(args) => &args.common,
        AdmitAction::Source(args) => &args.common,
        AdmitAction::Build(args) => &args.common,
        AdmitAction::Repository(args) => &args.common,
        AdmitAction::Decision(args) => &args.common,
    };
    let (engine, _) = harness
        .engines
        .find(&common.engine)
        .map_err(|error| CommandError::usage(crate::error::chain(&error)).hint("cto engines lists the engines"))?;
    let manifest = engine.manifest();
    let (kind, record) = match action {
        AdmitAction::Model(args) => (RecordKind::Model, model(&harness, manifest, args)),
        AdmitAction::Source(args) => (RecordKind::Source, source::record(&harness, manifest, args)?),
        AdmitAction::Build(args) => (RecordKind::Build, build::record(&harness, engine.as_ref(), args)?),
        AdmitAction::Repository(args) => (RecordKind::Repository, repository(args)?),
        AdmitAction::Decision(args) => (RecordKind::Decision, decision(args)),
    };
    if let AdmitAction::Model(args) = action {
        usable(&harness, manifest, args, &record)?;
    }
    finish(&harness, manifest, common, kind, &record, output)
}

/// A record that admits has to admit something: one that every run refuses is not written.
fn usable(harness: &Harness, manifest: &EngineManifest, args: &AdmitModel, record: &Value) -> Result<(), CommandError> {
    if args.deny {
        return Ok(());
    }
    for pair in std::iter::once(&args.model).chain(&args.fallback) {
        let (class, _) = cto_runner::provider_classes(harness, manifest, &pair.provider);
        if class.is_empty() {
            let shown = cto_schema::escape(pair.provider.as_bytes(), 80);
            return Err(CommandError::usage(format!(
                "failed to make the model record: provider '{shown}' is not known"
            ))
            .hint("say what it is under providers: in harness.yaml first"));
        }
    }
    // What cannot be read is said where it is read back.
    let Ok(read) = read_record::<ModelAdmission>(record.to_string().as_bytes()) else {
        return Ok(());
    };
    let checked = check_model(read);
    if checked.admits {
        return Ok(());
    }
    Err(CommandError::usage(format!(
        "failed to make a model record that a run can use: {}",
        checked.reasons.join("; ")
    ))
    .hint("mend what it names; --deny writes a record that admits nothing"))
}

/// Removes what was not given, so that the record has no field more than it needs.
fn compact(mut record: Value) -> Value {
    if let Some(map) = record.as_object_mut() {
        map.retain(|_, value| !value.is_null() && !value.as_array().is_some_and(Vec::is_empty));
    }
    record
}

fn pair(pair: &Pair) -> Value {
    json!({ "provider": pair.provider, "model": pair.model })
}

fn now() -> String {
    cto_evidence::rfc3339(cto_evidence::wall_now())
}

fn word(deny: bool) -> &'static str {
    if deny { "not_admitted" } else { "admitted" }
}

/// Joins the classes of all admitted pairs, each once.
fn together<'a>(classes: impl Iterator<Item = &'a String>) -> String {
    let known = |class: &'a String| if class.is_empty() { "unknown" } else { class.as_str() };
    let mut words: Vec<&str> = Vec::new();
    for word in classes.map(known) {
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words.join("-and-")
}

fn model(harness: &Harness, manifest: &EngineManifest, args: &AdmitModel) -> Value {
    let pairs = std::iter::once(&args.model).chain(&args.fallback);
    let classes: Vec<(String, String)> = pairs
        .map(|pair| cto_runner::provider_classes(harness, manifest, &pair.provider))
        .collect();
    let network = format!("{}-provider", together(classes.iter().map(|(class, _)| class)));
    let credential = together(classes.iter().map(|(_, credential)| credential));
    compact(json!({
        "admission_timestamp": now(),
        "allowed_network_class": args.network_class.as_ref().unwrap_or(&network),
        "approval_source": args.approval,
        "credential_source_class": args.credential_class.as_ref().unwrap_or(&credential),
        "evidence_expectations": args.expect,
        "expires_at": args.expires,
        "fallback": args.fallback.iter().map(pair).collect::<Vec<_>>(),
        "model": args.model.model,
        "provider": args.model.provider,
        "review_trigger": args.review_trigger,
        "status": word(args.deny),
    }))
}

fn decision(args: &AdmitDecision) -> Value {
    let name = |value: Option<clap::builder::PossibleValue>| value.map(|value| value.get_name().to_owned());
    use clap::ValueEnum as _;
    let part = |pair: &Option<Pair>, of: fn(&Pair) -> &String| pair.as_ref().map(of).cloned().unwrap_or_default();
    let mut record = json!({
        "decision_status": name(args.status.to_possible_value()),
        "provider_class": args.class.and_then(|class| name(class.to_possible_value())).unwrap_or_default(),
        "provider": part(&args.model, |pair| &pair.provider),
        "model": part(&args.model, |pair| &pair.model),
        "fallback_provider": part(&args.fallback, |pair| &pair.provider),
        "fallback_model": part(&args.fallback, |pair| &pair.model),
        "approval_source": args.approval.clone().unwrap_or_default(),
        "credential_source_class": args.credential_class.clone().unwrap_or_default(),
        "allowed_network_class": args.network_class.clone().unwrap_or_default(),
        "review_trigger": args.review_trigger,
        "effect": args.effect,
    });
    record["evidence_sources"] = json!(args.evidence);
    record
}

fn repository(args: &AdmitRepository) -> Result<Value, CommandError> {
    let path = std::fs::canonicalize(&args.path).map_err(|error| {
        let shown = cto_schema::escape(args.path.as_os_str().as_encoded_bytes(), 400);
        CommandError::usage(format!("failed to find repository {shown}: {error}"))
    })?;
    let mut forbidden: Vec<&str> = DEFAULT_FORBIDDEN_PATHS.to_vec();
    forbidden.extend(args.forbid.iter().map(String::as_str));
    Ok(json!({
        "admission_status": word(args.deny),
        "allowed_paths": args.allow,
        "approval_source": args.approval,
        "approval_timestamp": now(),
        "forbidden_actions": FORBIDDEN_ACTIONS,
        "forbidden_paths": forbidden,
        "noncritical_rationale": args.rationale,
        "operator_outcome_required": true,
        "ownership_evidence": args.ownership_evidence,
        "repository_owner": args.owner,
        "review_trigger": args.review_trigger,
        "risk_classification": "low_risk_noncritical",
        "target_repository_path": if args.deny { String::new() } else { path.to_string_lossy().into_owned() },
    }))
}

/// Reads the record as a run would; what a run cannot read is not written.
fn read_back(kind: RecordKind, bytes: &[u8]) -> Result<(), RecordError> {
    match kind {
        RecordKind::Decision => read_record::<ProviderDecision>(bytes).map(drop),
        RecordKind::Model => read_record::<ModelAdmission>(bytes).map(drop),
        RecordKind::Source => read_record::<SourceAdmission>(bytes).map(drop),
        RecordKind::Build => read_record::<BuildAdmission>(bytes).map(drop),
        RecordKind::Repository => read_record::<RepositoryAdmission>(bytes).map(drop),
    }
}

fn finish(
    harness: &Harness,
    manifest: &EngineManifest,
    common: &AdmitCommon,
    kind: RecordKind,
    record: &Value,
    output: &Output,
) -> Result<Exit, CommandError> {
    let mut text = serde_json::to_string_pretty(record).unwrap_or_default();
    text.push('\n');
    read_back(kind, text.as_bytes())
        .map_err(|error| CommandError::usage(format!("failed to make the {} record: {error}", kind.word())))?;
    let path = match &common.file {
        Some(path) => std::path::absolute(path).unwrap_or_else(|_| path.clone()),
        None => record_place(harness, manifest, kind).path,
    };
    if !output.json() {
        output.print(&text);
    }
    let shown = cto_schema::escape(path.as_os_str().as_encoded_bytes(), 400);
    if !common.yes && !confirmed(output, &shown)? {
        return Err(CommandError::refused("nothing was written"));
    }
    let written = write_record(&path, text.as_bytes(), common.replace).map_err(|error| match &error {
        WriteRecordError::Exists { .. } => CommandError::refused(crate::error::chain(&error))
            .hint("look at it, then add --replace; the old record is kept in history/ beside it"),
        WriteRecordError::NotAFile { .. } => CommandError::refused(crate::error::chain(&error))
            .hint("name a file with --file, or remove what lies there"),
        WriteRecordError::Io { .. } => CommandError::failed(&error),
    })?;
    said(
        output,
        kind,
        record,
        &written.path,
        &written.digest.to_string(),
        written.kept.as_ref(),
    );
    Ok(Exit(ExitClass::Pass))
}

fn said(output: &Output, kind: RecordKind, record: &Value, path: &PathBuf, digest: &str, kept: Option<&PathBuf>) {
    if output.json() {
        output.document(&json!({
            "kind": kind.word(), "path": path, "digest": digest, "kept": kept, "record": record,
        }));
        return;
    }
    let shown = |path: &PathBuf| cto_schema::escape(path.as_os_str().as_encoded_bytes(), 400);
    output.note(&format!("written to {} ({digest})", shown(path)));
    if let Some(kept) = kept {
        output.note(&format!("the record before it is kept in {}", shown(kept)));
        if kind == RecordKind::Repository {
            output.note("an engine has one admitted repository: the one of that record is not admitted any more");
        }
    }
}

/// Asks on the terminal; elsewhere nobody could answer.
fn confirmed(output: &Output, path: &str) -> Result<bool, CommandError> {
    if output.json() || !std::io::stdin().is_terminal() {
        return Err(CommandError::usage("nobody can be asked here, and nothing was written").hint("add --yes"));
    }
    let mut error = std::io::stderr();
    // A prompt that cannot be shown is answered with no.
    let shown = write!(error, "write this to {path}? [y/N] ").and_then(|()| error.flush());
    let mut answer = String::new();
    let read = shown.and_then(|()| std::io::stdin().lock().read_line(&mut answer));
    Ok(read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes"))
}
