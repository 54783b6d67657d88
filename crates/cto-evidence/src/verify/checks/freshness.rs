//! Checks of the report's index: when each artifact was written, its digests and paths.

use cto_schema::{Report, Status};

use super::chain::nanoseconds;
use crate::verify::{Context, Finding, yes};

/// Artifacts that every run has (spec 01).
const REQUIRED: [&str; 11] = [
    "contract.json",
    "decision.json",
    "events.normalized.jsonl",
    "journal.jsonl",
    "patch.diff",
    "report.html",
    "report.json",
    "report.md",
    "test.log",
    "trace.jsonl",
    "write-set.json",
];
/// Those without which nothing can be checked: no reason excuses them.
const ALWAYS: [&str; 3] = ["events.normalized.jsonl", "journal.jsonl", "report.json"];
/// How long after the last recorded instant the report itself may be written.
const CLOSING_NS: u64 = 600 * 1_000_000_000;

/// Every artifact was written within this run.
pub(super) fn freshness(context: &Context<'_>) -> Finding {
    let report = context.report()?;
    let stamps = &report.freshness.written_at_ns;
    let mut latest = report.usage.total_ms.saturating_mul(1_000_000);
    if let Some((record, _)) = context.journal()?.last() {
        latest = latest.max(nanoseconds(&record.mono_ns)?);
    }
    for (name, at) in stamps {
        // Offsets count from the run's start, so none can lie before it; after its end none may lie.
        let at = nanoseconds(at).map_err(|error| format!("{name}: {error}"))?;
        if at > latest.saturating_add(CLOSING_NS) {
            return Err(format!("{name} says that it was written after the run had ended"));
        }
    }
    let unstamped = report
        .artifact_digests
        .keys()
        .find(|name| name.as_str() != "report.json" && !stamps.contains_key(*name));
    if let Some(name) = unstamped {
        return Err(format!("{name} has a digest and no time of writing"));
    }
    let [started, finished] = [&report.run_started_at, &report.run_finished_at].map(|text| instant(text));
    let (started, finished) = (started?, finished?);
    if finished < started && report.freshness.clock_step_ms >= 0 {
        return Err("the run ended before it started and no clock step is reported".to_owned());
    }
    let step = match report.freshness.clock_step_ms {
        0 => String::new(),
        step => format!("; the wall clock stepped by {step} ms"),
    };
    yes(format!("{} artifacts, all written by this run{step}", stamps.len()))
}

/// Reads RFC 3339 UTC with microseconds.
fn instant(text: &str) -> Result<jiff::Timestamp, String> {
    let bad = || format!("'{text:.40}' is not RFC 3339 UTC with microseconds");
    let at: jiff::Timestamp = text.parse().map_err(|_| bad())?;
    if format!("{at:.6}") == text { Ok(at) } else { Err(bad()) }
}

/// `artifact_digests["report.json"]` is the digest of the report's canonical form without that entry.
pub(super) fn report_digest(context: &Context<'_>) -> Finding {
    let report = context.report()?;
    let stated = report
        .artifact_digests
        .get("report.json")
        .ok_or("the report has no digest of itself")?;
    // The bytes on disk may hold fields of a newer minor, so the form is made from them and not from the type.
    let mut raw: serde_json::Value =
        crate::verify::context::json(context.bundle, "report.json").ok_or("report.json is missing")??;
    if let Some(digests) = raw.get_mut("artifact_digests").and_then(|v| v.as_object_mut()) {
        digests.remove("report.json");
    }
    let canonical = serde_json_canonicalizer::to_vec(&raw).map_err(|_| "the report has no canonical form")?;
    if *stated != cto_schema::Sha256Digest::of(&canonical) {
        return Err("the report is not the one that its own digest is of".to_owned());
    }
    yes(stated.to_string())
}

/// Required artifacts are there or excused, and the report's index agrees with the files.
pub(super) fn artifacts(context: &Context<'_>) -> Finding {
    let (report, bundle) = (context.report()?, context.bundle);
    for name in REQUIRED {
        let there = bundle.files().contains_key(name);
        if !there && !excused(report, name) {
            return Err(format!(
                "required artifact {name} is missing, and not_applicable does not say why"
            ));
        }
        if there && !report.artifact_digests.contains_key(name) {
            return Err(format!("required artifact {name} has no entry in artifact_digests"));
        }
    }
    for (name, digest) in &report.artifact_digests {
        let path = report.artifact_paths.get(name).unwrap_or(name);
        if name != "report.json" && bundle.digest(path) != Some(*digest) {
            return Err(format!("artifact_digests has another digest for {name} than the file"));
        }
    }
    for (name, path) in &report.artifact_paths {
        if !bundle.files().contains_key(path) && !["SHA256SUMS", "attestation.dsse.json"].contains(&path.as_str()) {
            return Err(format!("artifact_paths names '{path}' for {name}, which is not there"));
        }
    }
    yes(format!("{} artifacts indexed", report.artifact_digests.len()))
}

fn excused(report: &Report, name: &str) -> bool {
    report.status != Status::Pass && !ALWAYS.contains(&name) && report.not_applicable.contains_key(name)
}
