//! `cto show`: one run, read from its bundle.

use std::path::Path;

use cto_schema::{BoundState, ExitClass, Report, Span};

use crate::cli::{Global, ShowArgs, ShowWhat};
use crate::error::CommandError;
use crate::find::{bundle_of, sealed_note};
use crate::installation;
use crate::output::{Exit, Output};

use super::import::whence;
use super::runs::imported;

pub(super) fn show(global: &Global, args: &ShowArgs, output: &Output) -> Result<Exit, CommandError> {
    let home = installation::open_home(global)?;
    let bundle = bundle_of(&home, &args.run)?;
    if let Some(note) = sealed_note(&bundle) {
        output.note(&note);
    }
    if let Some(entry) = imported(&home, &bundle)?.filter(|_| !output.json()) {
        output.note(&format!(
            "this run was made by another installation: {}",
            whence(&entry)
        ));
    }
    if !output.json() && cto_evidence::read_outcome_beside(&bundle).is_ok_and(|said| said.is_some()) {
        output.note(&format!(
            "the operator spoke after the seal; for what that changes: cto verify {}",
            args.run
        ));
    }
    match args.what {
        ShowWhat::Report if output.json() => output.print(&cto_schema::inert_json(text(&bundle, "report.json")?)),
        ShowWhat::Report => lines(&text(&bundle, "report.md")?, output),
        ShowWhat::Patch => patch(&bundle, output)?,
        ShowWhat::Tests => lines(&text(&bundle, "test.log")?, output),
        ShowWhat::Events => events(&bundle, output)?,
        ShowWhat::Timeline => timeline(&bundle, output)?,
        ShowWhat::Bounds => bounds(&bundle, output)?,
    }
    Ok(Exit(ExitClass::Pass))
}

/// Reads a text artifact of a bundle; bytes that are not UTF-8 are shown as escapes.
fn text(bundle: &Path, name: &str) -> Result<String, CommandError> {
    let path = bundle.join(name);
    let bytes = std::fs::read(&path).map_err(|error| {
        CommandError::refused(format!("failed to read {}: {error}", path.display()))
            .hint("a run that ended early may not have it; see: cto show RUN report")
    })?;
    Ok(String::from_utf8(bytes.clone()).unwrap_or_else(|_| {
        bytes
            .split(|b| *b == b'\n')
            .map(|line| cto_schema::escape(line, usize::MAX))
            .collect::<Vec<_>>()
            .join("\n")
    }))
}

/// Prints text that an engine or a test wrote: line by line, without control characters.
fn lines(text: &str, output: &Output) {
    let mut safe = String::with_capacity(text.len());
    for line in text.lines() {
        safe.push_str(&cto_schema::escape(line.as_bytes(), 4000).replace("\\t", "    "));
        safe.push('\n');
    }
    output.print(&safe);
}

fn patch(bundle: &Path, output: &Output) -> Result<(), CommandError> {
    let patch = text(bundle, "patch.diff")?;
    if patch.is_empty() {
        output.note("the patch is empty");
    }
    let mut safe = String::new();
    for line in patch.lines() {
        let color = match line.as_bytes().first() {
            Some(b'+') => "32",
            Some(b'-') => "31",
            Some(b'@') => "36",
            _ => "0",
        };
        let line = cto_schema::escape(line.as_bytes(), 4000).replace("\\t", "\t");
        safe.push_str(&if color == "0" { line } else { output.paint(color, &line) });
        safe.push('\n');
    }
    output.print(&safe);
    Ok(())
}

fn events(bundle: &Path, output: &Output) -> Result<(), CommandError> {
    let stream = text(bundle, "events.normalized.jsonl")?;
    if output.json() {
        output.print(&stream);
        return Ok(());
    }
    for line in stream.lines() {
        let Ok(event) = serde_json::from_str::<cto_schema::Event>(line) else {
            continue;
        };
        output.print(&event_line(&event));
    }
    Ok(())
}

/// Draws one event as a line.
pub(super) fn event_line(event: &cto_schema::Event) -> String {
    let ms = event.mono_ns.parse::<u64>().unwrap_or(0) / 1_000_000;
    // A call is told whole: its digests and tokens are what a reader compares.
    let cap = if event.kind == cto_schema::EventType::ModelRequest {
        4000
    } else {
        160
    };
    let data = cto_schema::escape(told_first(&event.data).as_bytes(), cap);
    format!("{ms:>8} ms  {:<26} {data}\n", event.kind.name())
}

/// What a reader of a call looks for, in this order; digests and the rest follow.
const FIRST: [&str; 8] = [
    "model",
    "served_model",
    "outcome",
    "status",
    "reason",
    "detail",
    "usage",
    "duration_us",
];

/// Returns an event's data as JSON whose important fields come before the line is cut.
fn told_first(data: &serde_json::Value) -> String {
    let Some(fields) = data.as_object() else {
        return data.to_string();
    };
    let pair = |(name, value): (&str, &serde_json::Value)| format!("{}:{value}", serde_json::Value::from(name));
    let first = FIRST.iter().filter_map(|name| Some((*name, fields.get(*name)?)));
    let rest = fields.iter().map(|(name, value)| (name.as_str(), value));
    let rest = rest.filter(|(name, _)| !FIRST.contains(name));
    let pairs: Vec<String> = first.chain(rest).map(pair).collect();
    format!("{{{}}}", pairs.join(","))
}

fn timeline(bundle: &Path, output: &Output) -> Result<(), CommandError> {
    const WIDTH: u64 = 48;
    let spans: Vec<Span> = text(bundle, "trace.jsonl")?
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    if output.json() {
        output.document(&spans);
        return Ok(());
    }
    let number = |text: &str| text.parse::<u64>().unwrap_or(0);
    let total = spans.iter().map(|span| number(&span.end_ns)).max().unwrap_or(0).max(1);
    for span in &spans {
        let (start, end) = (number(&span.start_ns), number(&span.end_ns));
        let column = |ns: u64| usize::try_from(ns * WIDTH / total).unwrap_or(0);
        let bar = format!(
            "{}{}",
            " ".repeat(column(start)),
            "█".repeat((column(end) - column(start)).max(1))
        );
        let ms = (end.saturating_sub(start)) as f64 / 1e6;
        let name = cto_schema::escape(span.name.as_bytes(), 24);
        let outcome = if span.outcome == "ok" {
            String::new()
        } else {
            cto_schema::escape(span.outcome.as_bytes(), 80)
        };
        output.print(&format!("{name:<16} {ms:>10.1} ms  {bar:<50} {outcome}\n"));
    }
    Ok(())
}

fn bounds(bundle: &Path, output: &Output) -> Result<(), CommandError> {
    let report: Report = serde_json::from_str(&text(bundle, "report.json")?)
        .map_err(|error| CommandError::refused(format!("failed to read report.json: {error}")))?;
    let Some(enforcement) = report.enforcement else {
        output.print("no engine was started, so no bound was needed\n");
        return Ok(());
    };
    if output.json() {
        output.document(&enforcement);
        return Ok(());
    }
    for bound in &enforcement.bounds {
        let (word, color) = match bound.state {
            BoundState::Enforced => ("✔ enforced", "32"),
            BoundState::Weaker => ("▲ weaker  ", "33"),
            BoundState::Absent => ("✘ absent  ", "31"),
        };
        let how = cto_schema::escape(bound.how.as_bytes(), 100);
        let seen = cto_schema::escape(bound.read_back.as_bytes(), 100);
        output.print(&format!(
            "{}  {:<22} {how}  [{seen}]\n",
            output.paint(color, word),
            bound.name
        ));
    }
    Ok(())
}
