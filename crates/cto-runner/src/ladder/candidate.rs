//! `cto stage validate 6`: every row of the failure matrix on record, and what a comparison would say of the candidate.

use cto_policy::{FAILURE_ROWS, judge_candidate};
use cto_schema::{CandidateVerdict, RowState, RunId};

use super::validate::{StageValidation, Who};
use crate::comparison::{CompareRequest, candidate_facts, collect_missing};
use crate::request::Harness;
use crate::run::chain;
use crate::watch::Stop;

/// The lanes of stage 6 (spec 03).
const LANES: [&str; 3] = ["fake", "codex", "pi"];

/// Plays the rows that no bundle shows, and judges the candidate as `cto compare` would. Nothing is sealed: the sixth
/// rung is a comparison with an operator's word on it.
pub(super) fn candidate(harness: &Harness, who: Who<'_>, progress: &dyn Fn(&str), found: &mut StageValidation) {
    let request = CompareRequest {
        candidate: who.engine.to_owned(),
        against: LANES
            .iter()
            .filter(|lane| **lane == "fake" || **lane != who.engine)
            .map(|lane| (*lane).to_owned())
            .collect(),
        ..CompareRequest::default()
    };
    let told = |what: &str, more: &str| progress(if more.is_empty() { what } else { more });
    let stop = match Stop::new() {
        Ok(stop) => stop,
        Err(error) => return found.note("rows", Err(error.to_string()), None),
    };
    match collect_missing(harness, &request, &stop, &told) {
        Ok(collected) => {
            for problem in collected.problems {
                found.note("play", Err(problem), None);
            }
        }
        Err(error) => return found.note("rows", Err(chain(&error)), None),
    }
    match candidate_facts(harness, &request, &told) {
        Ok(facts) => judged(harness, &judge_candidate(&facts), found),
        Err(error) => found.note("rows", Err(chain(&error)), None),
    }
}

fn judged(harness: &Harness, verdict: &CandidateVerdict, found: &mut StageValidation) {
    for (row, known) in verdict.rows.iter().zip(FAILURE_ROWS) {
        let held = match row.state {
            RowState::Closed | RowState::Inherited => Ok(format!(
                "{}, {}, and the bundle verifies",
                known.blocker.name(),
                row.state.word()
            )),
            RowState::Blocked => Ok(format!("blocked: {}", row.rationale)),
            RowState::Open => Err(row.rationale.clone()),
        };
        let run: Option<RunId> = row.run_id.as_ref().and_then(|run| run.parse().ok());
        if let Some(run) = &run {
            let report = harness.home.run(run).join("report.json");
            found.failure_report_paths.push(report.display().to_string());
        }
        found.note(&row.row, held, run.as_ref());
    }
    // Without an operator there is no accepted run, and what is asked about it has no answer yet.
    let needs_an_operator = verdict.candidate_run.is_none();
    let harness_own = [
        "fake_lane_passes",
        "case_default_disabled",
        "stage5_failure_closure_inherited",
    ];
    for check in &verdict.checks {
        let held = match (
            check.ok,
            needs_an_operator && !harness_own.contains(&check.name.as_str()),
        ) {
            (true, _) => Ok(check.detail.clone()),
            (false, true) => Ok("needs an operator's accepted run at stage 5: docs/guides/the-ladder.md".to_owned()),
            (false, false) => Err(check.detail.clone()),
        };
        found.note(&check.name, held, None);
    }
    let pass: Option<RunId> = verdict.candidate_run.as_ref().and_then(|run| run.parse().ok());
    if let Some(run) = pass {
        let bundle = harness.home.run(&run);
        found.pass_report_path = Some(bundle.join("report.json").display().to_string());
        found
            .proof_paths
            .push(bundle.join("stage5-owned-repo-proof.json").display().to_string());
    }
    let detail = "an eligible candidate needs an operator: cto compare, then cto outcome COMPARISON accept";
    found.note("operator-acceptance", Ok(detail.to_owned()), None);
}
