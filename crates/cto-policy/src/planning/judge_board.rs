//! Judging the workboard as a whole: ids, blockers, cycles, order, evidence.

use std::collections::BTreeMap;

use cto_schema::{RuleId, WorkspaceFinding};

use super::graph::Graph;
use super::notes::{Notes, shown, suggestion};
use super::reading::{FileReading, Planner};
use super::workboard::Work;

pub(super) fn judge(planner: &Planner, files: &[FileReading]) -> Vec<WorkspaceFinding> {
    let Some((file, work)) = files.iter().find_map(|file| Some((file, file.work.as_ref()?))) else {
        return vec![];
    };
    let mut notes = Notes::new(&file.path);
    let mut by_id: BTreeMap<&str, &Work> = BTreeMap::new();
    for entry in work.iter().filter(|entry| !entry.id.is_empty()) {
        if let Some(first) = by_id.get(entry.id.as_str()) {
            notes.add(
                RuleId::WorkboardIdRepeated,
                entry.line,
                format!("{} stands on line {} already", shown(&entry.id), first.line),
                "give one of them an id of its own, and correct what refers to it",
            );
        } else {
            by_id.insert(&entry.id, entry);
        }
    }
    let (done, blocked) = (&planner.rules().workboard.done, &planner.rules().workboard.blocked);
    for entry in work {
        let mut open = !entry.human_gates.is_empty();
        for (blocker, line) in &entry.blocked_by {
            let Some(found) = by_id.get(blocker.as_str()) else {
                notes.add(
                    RuleId::WorkboardBlockerUnknown,
                    *line,
                    format!(
                        "{} is blocked by {}, which is not on the board{}",
                        shown(&entry.id),
                        shown(blocker),
                        suggestion(blocker, by_id.keys().copied())
                    ),
                    "correct the id, remove it, or add the entry",
                );
                open = true;
                continue;
            };
            open |= found.status != *done;
            if entry.status == *done && found.status != *done {
                notes.add(
                    RuleId::WorkboardBlockerOrder,
                    *line,
                    format!(
                        "{} is {done}, and {blocker}, which blocks it, is '{}'",
                        shown(&entry.id),
                        shown(&found.status)
                    ),
                    format!("finish {blocker} first, or remove it from blocked_by if it blocks nothing"),
                );
            }
        }
        if entry.status == *blocked && !open {
            notes.add(
                RuleId::WorkboardBlockedByNothing,
                entry.line,
                format!("{} is {blocked}, and nothing unfinished blocks it", shown(&entry.id)),
                "name what blocks it in blocked_by (an id, or what a person must do), or make it a candidate",
            );
        }
        if entry.status == *done && entry.evidence.is_empty() {
            notes.add(
                RuleId::WorkboardEvidence,
                entry.line,
                format!("{} is {done} without evidence", shown(&entry.id)),
                "name the run's bundle or the evidence document under evidence, or take the status back",
            );
        }
    }
    for cycle in graph(work).order().1 {
        let line = cycle.first().and_then(|id| by_id.get(id)).map_or(0, |entry| entry.line);
        let ring: Vec<&str> = cycle.iter().copied().chain(cycle.first().copied()).collect();
        notes.add(
            RuleId::WorkboardCycle,
            line,
            format!("each of these is blocked by the next: {}", shown_ring(&ring)),
            "remove one of them from the blocked_by of another",
        );
    }
    notes.into_findings()
}

/// A ring may have thousands of members.
fn shown_ring(ring: &[&str]) -> String {
    const MOST: usize = 12;
    let head: Vec<String> = ring.iter().take(MOST).map(|id| shown(id)).collect();
    let rest = ring.len().saturating_sub(MOST);
    let more = if rest > 0 {
        format!(" → … ({rest} more)")
    } else {
        String::new()
    };
    format!("{}{more}", head.join(" → "))
}

pub(super) fn graph(work: &[Work]) -> Graph<'_> {
    Graph::new(work.iter().filter(|entry| !entry.id.is_empty()).map(|entry| {
        let before = entry.blocked_by.iter().map(|(id, _)| id.as_str()).collect();
        (entry.id.as_str(), before)
    }))
}
