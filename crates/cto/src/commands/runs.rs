//! `cto runs`: the ledger's runs, newest first, and those that live now.

use std::path::Path;

use cto_evidence::{Home, ImportEntry, Ledger, LedgerEntry, LedgerFilter};
use cto_runner::{Harness, status_with_the_word};
use cto_schema::{ExitClass, Status};
use serde_json::json;

use crate::cli::{Global, RunsArgs};
use crate::error::CommandError;
use crate::installation;
use crate::output::{Exit, Output};

pub(super) fn runs(global: &Global, args: &RunsArgs, output: &Output) -> Result<Exit, CommandError> {
    if let Some(status) = args
        .status
        .as_deref()
        .filter(|s| !["pass", "fail", "blocked"].contains(s))
    {
        let shown = cto_schema::escape(status.as_bytes(), 40);
        return Err(CommandError::usage(format!(
            "status '{shown}' is not one of pass, fail, blocked"
        )));
    }
    let harness = installation::open(global)?;
    super::recover::recover_quietly(&harness, output)?;
    let ledger = Ledger::open(&harness.home).map_err(|error| CommandError::failed(&error))?;
    let filter = LedgerFilter {
        status: args.status.clone(),
        backend: args.engine.clone(),
        case_id: args.case.clone(),
        since: args.since.as_deref().map(since).transpose()?,
        limit: Some(args.limit),
        ..LedgerFilter::default()
    };
    let entries = ledger.list(&filter).map_err(|error| CommandError::failed(&error))?;
    let mut imports = ledger.imports().map_err(|error| CommandError::failed(&error))?;
    imports.retain(|entry| is_wanted(entry, &filter));
    imports.truncate(usize::try_from(args.limit).unwrap_or(usize::MAX));
    if output.json() {
        let rows: Vec<_> = entries.iter().map(|entry| row(entry, &harness)).collect();
        let imported: Vec<_> = imports.iter().map(|entry| import_row(entry, &harness.home)).collect();
        output.document(&json!({ "runs": rows, "imported": imported }));
        return Ok(Exit(ExitClass::Pass));
    }
    if entries.is_empty() && imports.is_empty() {
        output.print("no runs yet; start with: cto run r1-string-slugify\n");
    }
    // Collected and not appended to a growing text: a long ledger would be copied once for each of its lines.
    let lines = entries.iter().map(|entry| {
        let accepted = status_with_the_word(&harness, entry) == Some(Status::Pass);
        let (mark, color) = match entry.status.as_str() {
            // Sealed without the operator's word, which came after.
            "blocked" if accepted => ("✔ accepted", "32"),
            "pass" => ("✔ pass    ", "32"),
            "fail" => ("✘ fail    ", "31"),
            _ => ("■ blocked ", "33"),
        };
        let blocker = entry.first_blocker.as_deref().filter(|_| !accepted).unwrap_or("");
        let gone = if harness.home.run(&entry.run_id).exists() {
            ""
        } else {
            "  (bundle is gone)"
        };
        format!(
            "{}  {}  {:<14} {:>7} ms  {blocker}{gone}\n",
            output.paint(color, mark),
            entry.run_id,
            cto_schema::escape(entry.backend.as_bytes(), 30),
            entry.duration_ms,
        )
    });
    output.print(&lines.collect::<String>());
    print_imports(&imports, &harness.home, output);
    Ok(Exit(ExitClass::Pass))
}

fn print_imports(imports: &[ImportEntry], home: &Home, output: &Output) {
    if !imports.is_empty() {
        output.print("\nof other installations, imported; they count for nothing here:\n");
    }
    for entry in imports {
        let (mark, color) = match entry.status.as_str() {
            "pass" => ("✔ pass    ", "32"),
            "fail" => ("✘ fail    ", "31"),
            _ => ("■ blocked ", "33"),
        };
        let gone = if bundle(home, entry).exists() {
            ""
        } else {
            "  (bundle is gone)"
        };
        output.print(&format!(
            "{}  {}  {:<14} {:>7} ms  {}{gone}\n",
            output.paint(color, mark),
            entry.run_id,
            cto_schema::escape(entry.backend.as_bytes(), 30),
            entry.duration_ms,
            super::import::whence(entry),
        ));
    }
}

fn bundle(home: &Home, entry: &ImportEntry) -> std::path::PathBuf {
    home.imported().join(entry.run_id.as_str())
}

/// Applies the filter that the ledger applies to its own runs.
fn is_wanted(entry: &ImportEntry, filter: &LedgerFilter) -> bool {
    let is = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
    is(&filter.status, &entry.status)
        && is(&filter.backend, &entry.backend)
        && is(&filter.case_id, &entry.case_id)
        && filter
            .since
            .as_deref()
            .is_none_or(|since| entry.started_at.as_str() >= since)
}

/// Returns the entry of an imported run, by the directory of its bundle.
pub(super) fn imported(home: &Home, bundle: &Path) -> Result<Option<ImportEntry>, CommandError> {
    if bundle.parent() != Some(&home.imported()) {
        return Ok(None);
    }
    let imports = Ledger::open(home).and_then(|ledger| ledger.imports());
    let imports = imports.map_err(|error| CommandError::failed(&error))?;
    let name = bundle.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    Ok(imports.into_iter().find(|entry| entry.run_id.as_str() == name))
}

fn import_row(entry: &ImportEntry, home: &Home) -> serde_json::Value {
    let mut row = serde_json::to_value(entry).unwrap_or_default();
    row["bundle_exists"] = bundle(home, entry).exists().into();
    row
}

fn row(entry: &LedgerEntry, harness: &Harness) -> serde_json::Value {
    json!({
        "seq": entry.seq,
        "run_id": entry.run_id,
        "case_id": entry.case_id,
        "backend": entry.backend,
        "stage": entry.stage,
        "mutation_mode": entry.mutation_mode,
        "status": entry.status,
        "effective_status": status_with_the_word(harness, entry),
        "first_blocker": entry.first_blocker,
        "started_at": entry.started_at,
        "finished_at": entry.finished_at,
        "duration_ms": entry.duration_ms,
        "manifest_digest": entry.manifest_digest,
        "bundle_exists": harness.home.run(&entry.run_id).exists(),
    })
}

/// Accepts a date as the start of that day.
fn since(text: &str) -> Result<String, CommandError> {
    let full = if text.len() == 10 {
        format!("{text}T00:00:00Z")
    } else {
        text.to_owned()
    };
    cto_evidence::canonical_time(&full).ok_or_else(|| {
        let shown = cto_schema::escape(text.as_bytes(), 40);
        CommandError::usage(format!(
            "'{shown}' is not a time; write 2026-11-20 or 2026-11-20T09:00:00Z"
        ))
    })
}
