//! The board as people look at it: order, what is next, and the graph as Mermaid or DOT.

use std::collections::BTreeMap;

use cto_schema::{BoardEntry, SchemaId, WorkspaceBoard, escape};

use super::judge_board::graph;
use super::reading::{FileReading, Planner};
use super::workboard::Work;

/// Longest text of an entry that is shown.
const TEXT_BYTES: usize = 400;

impl Planner {
    /// Returns the board; `None` when no workboard was read.
    pub fn board(&self, files: &[FileReading]) -> Option<WorkspaceBoard> {
        let (file, work) = files.iter().find_map(|file| Some((file, file.work.as_ref()?)))?;
        let show = |text: &str| escape(text.as_bytes(), TEXT_BYTES);
        let entries: Vec<BoardEntry> = work
            .iter()
            .map(|entry| BoardEntry {
                id: show(&entry.id),
                title: show(&entry.title),
                kind: show(&entry.kind),
                status: show(&entry.status),
                blocked_by: entry.blocked_by.iter().map(|(id, _)| show(id)).collect(),
                human_gates: entry.human_gates.iter().map(|gate| show(gate)).collect(),
                evidence: entry.evidence.iter().map(|(text, _)| show(text)).collect(),
                line: entry.line,
            })
            .collect();
        let (order, cycles) = graph(work).order();
        let done = &self.rules().workboard.done;
        let mut by_id: BTreeMap<&str, &Work> = BTreeMap::new();
        for entry in work {
            by_id.entry(&entry.id).or_insert(entry);
        }
        let finished = |id: &str| by_id.get(id).is_some_and(|entry| entry.status == *done);
        let free =
            |entry: &Work| entry.status != *done && entry.blocked_by.iter().all(|(blocker, _)| finished(blocker));
        let unblocked: Vec<&Work> = order
            .iter()
            .filter_map(|id| by_id.get(id).copied())
            .filter(|entry| free(entry))
            .collect();
        let gated = |entry: &&&Work| !entry.human_gates.is_empty();
        Some(WorkspaceBoard {
            schema: SchemaId::WORKSPACE_BOARD.to_string(),
            file: show(&file.path),
            next: unblocked
                .iter()
                .filter(|entry| !gated(entry))
                .map(|entry| show(&entry.id))
                .collect(),
            waiting_for_people: unblocked.iter().filter(gated).map(|entry| show(&entry.id)).collect(),
            order: order.iter().map(|id| show(id)).collect(),
            cycles: cycles
                .iter()
                .map(|cycle| cycle.iter().map(|id| show(id)).collect())
                .collect(),
            entries,
        })
    }
}

/// Returns the graph in Mermaid's language.
pub fn mermaid(board: &WorkspaceBoard) -> String {
    let mut lines = vec!["flowchart LR".to_owned()];
    for (number, entry) in board.entries.iter().enumerate() {
        // Mermaid knows HTML entities inside quotes and nothing else.
        let label = entity(&format!("{}: {}", entry.id, entry.title));
        let status = entity(&entry.status);
        lines.push(format!(
            "  n{number}[\"{label}<br/>{status}\"]:::{}",
            class(&entry.status)
        ));
        for (gate, human) in entry.human_gates.iter().enumerate() {
            let human = entity(human);
            lines.push(format!("  g{number}_{gate}{{{{\"{human}\"}}}} --> n{number}"));
        }
    }
    lines.extend(edges(board).iter().map(|(from, to)| format!("  n{from} --> n{to}")));
    for (name, colour) in [
        ("validated", "d5f5d5"),
        ("blocked", "f5d5d5"),
        ("candidate", "d5e5f5"),
        ("draft", "eeeeee"),
        ("other", "ffffff"),
    ] {
        lines.push(format!("  classDef {name} fill:#{colour}"));
    }
    lines.push(String::new());
    lines.join("\n")
}

/// Returns the graph in the language of Graphviz.
pub fn dot(board: &WorkspaceBoard) -> String {
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let mut lines = vec!["digraph workboard {".to_owned()];
    lines.extend(["  rankdir=LR;", "  node [shape=box];"].map(str::to_owned));
    for (number, entry) in board.entries.iter().enumerate() {
        let label = quoted(&format!("{}: {}", entry.id, entry.title));
        let status = quoted(&entry.status);
        lines.push(format!("  n{number} [label=\"{label}\\n{status}\"];"));
        for (gate, human) in entry.human_gates.iter().enumerate() {
            let human = quoted(human);
            lines.push(format!("  g{number}_{gate} [shape=hexagon, label=\"{human}\"];"));
            lines.push(format!("  g{number}_{gate} -> n{number};"));
        }
    }
    lines.extend(edges(board).iter().map(|(from, to)| format!("  n{from} -> n{to};")));
    lines.extend(["}", ""].map(str::to_owned));
    lines.join("\n")
}

/// Numbers of entries: what blocks, and what is blocked.
fn edges(board: &WorkspaceBoard) -> Vec<(usize, usize)> {
    let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
    for (number, entry) in board.entries.iter().enumerate() {
        numbers.entry(&entry.id).or_insert(number);
    }
    let place = |id: &str| numbers.get(id).copied();
    let mut found = Vec::new();
    for (number, entry) in board.entries.iter().enumerate() {
        found.extend(
            entry
                .blocked_by
                .iter()
                .filter_map(|blocker| Some((place(blocker)?, number))),
        );
    }
    found
}

fn entity(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('"', "&quot;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('#', "&#35;")
}

fn class(status: &str) -> &str {
    match status {
        "validated" | "blocked" | "candidate" | "draft" => status,
        _ => "other",
    }
}
