//! The record of `cto admit source`: pins that nobody names come from the build record.

use cto_runner::{EngineManifest, Harness, read_fact, record_place};
use cto_schema::{BuildAdmission, RecordKind, SourceAdmission};
use serde_json::{Value, json};

use super::{compact, now, word};
use crate::cli_admissions::AdmitSource;
use crate::error::CommandError;

pub(super) fn record(harness: &Harness, manifest: &EngineManifest, args: &AdmitSource) -> Result<Value, CommandError> {
    let build = read_fact::<BuildAdmission>(&record_place(harness, manifest, RecordKind::Build).path).record;
    let named = args.commit.is_some() || args.tag.is_some();
    let built = build.as_ref().filter(|_| !named);
    let commit = args
        .commit
        .clone()
        .or_else(|| built?.pinned_commit.as_ref().map(ToString::to_string));
    let package = built.and_then(|build| build.package.as_ref());
    if commit.is_none() && args.tag.is_none() && package.is_none() {
        return Err(
            CommandError::usage("nothing is pinned: there is no build record that pins a commit or a package")
                .hint("give --commit or --tag, or make the build record first: cto admit build"),
        );
    }
    let integrity = args
        .integrity
        .clone()
        .or_else(|| package.map(|package| package.integrity.to_string()));
    let integrity = integrity.ok_or_else(|| {
        CommandError::usage("the integrity reference is missing")
            .hint("give --integrity sha256:HEX of what was retrieved")
    })?;
    let mut record = compact(json!({
        "admission_status": word(args.deny),
        "source_name": manifest.name,
        "source_url": args.url,
        "source_type": args.source_type,
        "observed_branch": args.branch,
        "pinned_commit": commit,
        "pinned_tag": args.tag,
        "pinned_package": package,
        "commit_date": args.commit_date,
        "retrieval_date": args.retrieved.clone().unwrap_or_else(now),
        "retrieval_command": args.retrieval_command,
        "integrity_reference": integrity,
        "protected_source_boundary": args.boundary,
    }));
    record["licence_note"] = json!({
        "status": if args.licence_unresolved { "unresolved" } else { "resolved" },
        "licence": args.licence.clone().unwrap_or_default(),
        "permits": args.permit,
    });
    record["allowed_execution_modes"] = json!(args.mode);
    let before = read_fact::<SourceAdmission>(&record_place(harness, manifest, RecordKind::Source).path).record;
    let new: Option<SourceAdmission> = serde_json::from_value(record.clone()).ok();
    let old_id = before.as_ref().and_then(SourceAdmission::source_id);
    if old_id.is_some() && new.and_then(|new| new.source_id()) != old_id {
        record["previous_source_id"] = json!(old_id);
    } else if let Some(previous) = before.and_then(|before| before.previous_source_id) {
        record["previous_source_id"] = json!(previous);
    }
    Ok(record)
}
