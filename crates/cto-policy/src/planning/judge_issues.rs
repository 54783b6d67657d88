//! Judging issues against the workboard and against the criteria of their PRDs.

use std::collections::{BTreeMap, BTreeSet};

use cto_schema::{RuleId, WorkspaceFinding};

use super::criteria::{Criterion, ids_of};
use super::issues::{Issue, blocked_by_nothing, open_boxes};
use super::notes::{Notes, listed, shown, suggestion};
use super::reading::{FileReading, Planner};
use super::workboard::{Work, ids_in};

pub(super) fn judge(planner: &Planner, files: &[FileReading]) -> Vec<WorkspaceFinding> {
    let board = files.iter().find_map(|file| Some((file, file.work.as_ref()?)));
    let mut by_id: BTreeMap<&str, &Work> = BTreeMap::new();
    for entry in board.iter().flat_map(|(_, work)| work.iter()) {
        by_id.entry(&entry.id).or_insert(entry);
    }
    let mut seen: BTreeMap<&str, (&str, u32)> = BTreeMap::new();
    let mut found = Vec::new();
    let mut covered: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
    let prds: BTreeMap<&str, &FileReading> = files
        .iter()
        .filter(|file| file.is_prd)
        .map(|file| (file.path.as_str(), file))
        .collect();
    for file in files.iter().filter(|file| file.holds_issues) {
        let mut notes = Notes::new(&file.path);
        for issue in &file.issues {
            if let Some((path, line)) = seen.get(issue.id.as_str()) {
                notes.add(
                    RuleId::HeadingRepeated,
                    issue.line,
                    format!("the issue {} stands in {path} on line {line} already", issue.id),
                    "keep one of them",
                );
            }
            seen.entry(&issue.id).or_insert((&file.path, issue.line));
            match by_id.get(issue.id.as_str()) {
                Some(work) => against_board(planner, issue, work, &mut notes),
                None if board.is_some() => notes.add(
                    RuleId::IssueNotOnBoard,
                    issue.line,
                    format!(
                        "{} is not on the workboard{}",
                        issue.id,
                        suggestion(&issue.id, by_id.keys().copied())
                    ),
                    format!("add it to {}, or correct its id", planner.rules().workboard.file),
                ),
                None => {}
            }
        }
        let named: BTreeSet<&str> = file
            .sources
            .iter()
            .filter_map(|path| Some(*prds.get_key_value(path.as_str())?.0))
            .collect();
        against_prds(planner, file, &named, &prds, &mut covered, &mut notes);
        found.extend(notes.into_findings());
    }
    found.extend(uncovered(&prds, &covered));
    if let Some((file, work)) = board {
        let mut notes = Notes::new(&file.path);
        for entry in work
            .iter()
            .filter(|entry| !entry.id.is_empty() && !seen.contains_key(entry.id.as_str()))
        {
            notes.add(
                RuleId::WorkWithoutIssue,
                entry.line,
                format!("{} has no issue", shown(&entry.id)),
                format!(
                    "add '## {} - {}' to a document of issues",
                    shown(&entry.id),
                    shown(&entry.title)
                ),
            );
        }
        found.extend(notes.into_findings());
    }
    found
}

fn against_board(planner: &Planner, issue: &Issue, work: &Work, notes: &mut Notes) {
    let board = &planner.rules().workboard;
    for (name, said) in [("Status", &work.status), ("Type", &work.kind)] {
        if let Some((word, line)) = issue.word(name).filter(|(word, _)| word != said) {
            notes.add(
                RuleId::StatusDisagrees,
                line,
                format!(
                    "the {} of {} is '{}' here and '{}' on the workboard (line {})",
                    name.to_lowercase(),
                    issue.id,
                    shown(word),
                    shown(said),
                    work.line
                ),
                "make both say what is so",
            );
        }
    }
    if let Some(field) = issue.field("Blocked by") {
        let here: BTreeSet<&str> = ids_in(&field.value, board).into_iter().collect();
        let there: BTreeSet<&str> = work.blocked_by.iter().map(|(id, _)| id.as_str()).collect();
        let gate = !work.human_gates.is_empty() && blocked_by_nothing(issue);
        if here != there || gate {
            let show = |ids: &BTreeSet<&str>| listed(&ids.iter().map(|id| shown(id)).collect::<Vec<_>>());
            let more = if gate { " and a human gate" } else { "" };
            notes.add(
                RuleId::BlockersDisagree,
                field.line,
                format!(
                    "{} is blocked by {} here, and by {}{more} on the workboard (line {})",
                    issue.id,
                    show(&here),
                    show(&there),
                    work.line
                ),
                "make both name the same blockers",
            );
        }
    }
    let done_here = issue.word("Status").is_some_and(|(word, _)| word == board.done);
    if work.status == board.done || done_here {
        let name = &planner.rules().plan.acceptance_field;
        let line = issue.field(name).map_or(issue.line, |field| field.line);
        match open_boxes(issue, planner.rules()) {
            None => notes.add(
                RuleId::AcceptanceUnticked,
                line,
                format!("{} is {}, and its '{name}' has no box", issue.id, board.done),
                "write each criterion as '- [x] …' once it was seen to be met",
            ),
            Some(open) => {
                for (_, line, text) in open {
                    notes.add(
                        RuleId::AcceptanceUnticked,
                        *line,
                        format!("{} is {}, and this box is open: {}", issue.id, board.done, shown(text)),
                        "tick it once it was seen to be met, or take the status back",
                    );
                }
            }
        }
    }
}

fn against_prds<'a>(
    planner: &Planner,
    file: &'a FileReading,
    named: &BTreeSet<&'a str>,
    prds: &BTreeMap<&'a str, &'a FileReading>,
    covered: &mut BTreeMap<&'a str, BTreeSet<usize>>,
    notes: &mut Notes,
) {
    if named.is_empty() {
        if !file.issues.is_empty() {
            notes.add(
                RuleId::IssueWithoutPrd,
                1,
                "the issues name no PRD of this workspace",
                "write 'source: prd/….md' in the front matter, or link to the PRD",
            );
        }
        return;
    }
    let criteria: Vec<(&str, usize, &Criterion)> = named
        .iter()
        .flat_map(|path| {
            prds[path]
                .criteria
                .iter()
                .enumerate()
                .map(|(at, criterion)| (*path, at, criterion))
        })
        .collect();
    for path in named {
        covered.entry(path).or_default();
    }
    let prefix = &planner.rules().plan.criterion_prefix;
    for issue in &file.issues {
        let ids: BTreeSet<String> = ids_of(&issue.text.to_uppercase(), &prefix.to_uppercase())
            .into_iter()
            .collect();
        let mut maps = false;
        for (path, at, criterion) in &criteria {
            let by_id = criterion.id.as_ref().is_some_and(|id| ids.contains(&id.to_uppercase()));
            let by_text = criterion.id.is_none() && criterion.text.len() >= 8 && issue.text.contains(&criterion.text);
            if by_id || by_text {
                maps = true;
                covered.entry(path).or_default().insert(*at);
            }
        }
        let known: BTreeSet<String> = criteria
            .iter()
            .filter_map(|(_, _, c)| c.id.as_ref())
            .map(|id| id.to_uppercase())
            .collect();
        let unknown: Vec<String> = ids.difference(&known).map(|id| shown(id)).collect();
        if !unknown.is_empty() {
            notes.add(
                RuleId::CriterionUnknown,
                issue.line,
                format!(
                    "{} names {}, which {} does not have",
                    issue.id,
                    listed(&unknown),
                    listed(&named.iter().collect::<Vec<_>>())
                ),
                format!(
                    "name one of {}, or add the criterion to the PRD",
                    listed(&known.iter().collect::<Vec<_>>())
                ),
            );
        } else if !maps {
            notes.add(
                RuleId::IssueMapsToNothing,
                issue.line,
                format!(
                    "{} names no acceptance criterion of {}",
                    issue.id,
                    listed(&named.iter().collect::<Vec<_>>())
                ),
                format!("name one under Acceptance criteria: {prefix}1 …"),
            );
        }
    }
}

fn uncovered(prds: &BTreeMap<&str, &FileReading>, covered: &BTreeMap<&str, BTreeSet<usize>>) -> Vec<WorkspaceFinding> {
    let mut found = Vec::new();
    for (path, seen) in covered {
        let mut notes = Notes::new(path);
        let Some(prd) = prds.get(path) else { continue };
        for (_, criterion) in prd.criteria.iter().enumerate().filter(|(at, _)| !seen.contains(at)) {
            let name = criterion.id.as_deref().unwrap_or(&criterion.text);
            notes.add(
                RuleId::CriterionUncovered,
                criterion.line,
                format!("no issue names the criterion '{}'", shown(name)),
                "name it in the issue that meets it, or write that issue",
            );
        }
        found.extend(notes.into_findings());
    }
    found
}
