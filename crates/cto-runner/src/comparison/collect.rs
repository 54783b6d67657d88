//! Putting on record what a comparison lacks and what needs no human: rows of the failure matrix, and passes of lanes.

use cto_policy::judge_candidate;
use cto_schema::{LaneState, RowState};

use super::{CompareRequest, DecideError, candidate_facts};
use crate::ladder::{Who, play_need, validate_stage};
use crate::matrix::{find_row, play};
use crate::request::Harness;
use crate::watch::Stop;

/// What was played, and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CollectedRows {
    /// Rows and lanes that were put on record.
    pub played: Vec<String>,
    /// What could not be, each with why.
    pub problems: Vec<String>,
}

/// Plays what is missing: each open row with the embedded engine, a pass of `fake`, and stage 2 of lanes that can run.
pub fn collect_missing(
    harness: &Harness,
    request: &CompareRequest,
    stop: &Stop,
    progress: &dyn Fn(&str, &str),
) -> Result<CollectedRows, DecideError> {
    let facts = candidate_facts(harness, request, progress)?;
    let verdict = judge_candidate(&facts);
    let mut collected = CollectedRows::default();
    for row in verdict.rows.iter().filter(|row| row.state == RowState::Open) {
        if stop.asked() {
            collected
                .problems
                .push("stopped before everything was played".to_owned());
            return Ok(collected);
        }
        progress("playing", &row.row);
        let Some(known) = find_row(&row.row) else {
            continue;
        };
        let played = play(harness, known);
        if played.problems.is_empty() {
            collected.played.push(row.row.clone());
        } else {
            collected
                .problems
                .push(format!("{}: {}", row.row, played.problems.join("; ")));
        }
    }
    let fake = verdict
        .checks
        .iter()
        .any(|check| check.name == "fake_lane_passes" && !check.ok);
    if fake && !stop.asked() {
        progress("playing", "fake");
        let who = Who {
            engine: "fake",
            command: &[],
        };
        match play_need(harness, who, 2, "pass") {
            Ok(_) => collected.played.push("fake".to_owned()),
            Err(problem) => collected.problems.push(format!("fake: {problem}")),
        }
    }
    for lane in &facts.lanes {
        let judged = verdict.lanes.iter().find(|judged| judged.lane == lane.lane);
        let blocked = judged.is_some_and(|judged| judged.state == LaneState::Blocked);
        let nameless = matches!(lane.lane.as_str(), "fake" | "command");
        if !blocked || nameless || lane.problem.is_some() || stop.asked() {
            continue;
        }
        let who = Who {
            engine: &lane.lane,
            command: &[],
        };
        let validated = validate_stage(harness, who, 2, &|name| progress(&lane.lane, name));
        match validated {
            Ok(found) if found.ok => collected.played.push(lane.lane.clone()),
            Ok(found) => collected
                .problems
                .push(format!("{}: {}", lane.lane, found.errors.join("; "))),
            Err(error) => collected
                .problems
                .push(format!("{}: {}", lane.lane, crate::run::chain(&error))),
        }
    }
    Ok(collected)
}
