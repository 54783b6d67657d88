//! Stage 6: whether a candidate is eligible as default, from what bundles show and from nothing else (spec 08).
//!
//! The answer is at most *eligible once an operator says so*. Nothing here can activate or promote.

pub(crate) mod dimensions;
mod rows;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;

use cto_schema::{
    ApprovalSource, BundleFacts, CLOCK_SKEW_SECONDS, CandidateCheck, CandidateFacts, CandidateVerdict, Dimension,
    LaneNow, LaneState, LaneVerdict, Moment, OperatorOutcome, RowState, RowVerdict, Standing, Status,
};

use crate::ladder::{Rung, RungEvidence, RungQuestion, rung, same_records};
use dimensions::{Side, compare_sides, lacks};
pub use rows::{FAILURE_ROWS, FailureRow, shows_row};

/// Returns whether a bundle may show anything: it verifies, is of this major version, and not from later than now.
pub(crate) fn counts(facts: &CandidateFacts, bundle: &BundleFacts) -> bool {
    bundle.failed_checks.is_empty()
        && same_major(&bundle.harness_version, &facts.harness_version)
        && !from_the_future(&bundle.finished_at, facts.judged_at_seconds)
        && !from_the_future(&bundle.started_at, facts.judged_at_seconds)
        && !bundle.says_default_activation
        && !bundle.says_promotion
}

/// Returns whether two versions have the same major number.
pub(crate) fn same_major(one: &str, other: &str) -> bool {
    let major = |version: &str| version.split('.').next().map(str::to_owned);
    major(one) == major(other)
}

/// Returns whether a time is later than any clock of ours can be; what is no time is from the future, too.
pub(crate) fn from_the_future(text: &str, now_seconds: i64) -> bool {
    text.parse::<Moment>().map_or(true, |at| {
        at.unix_seconds() > now_seconds.saturating_add(CLOCK_SKEW_SECONDS)
    })
}

/// Returns whether a bundle is an engine's accepted run on an owned repository.
pub(crate) fn is_accepted(bundle: &BundleFacts) -> bool {
    let accepted = bundle.operator.as_ref().map(|word| word.outcome) == Some(OperatorOutcome::Accepted);
    let approved = bundle.approval.as_ref().map(|approval| approval.approval_source) == Some(ApprovalSource::Operator);
    bundle.effective_status == Some(Status::Pass) && bundle.stage == Some(5) && bundle.started && accepted && approved
}

impl From<&BundleFacts> for RungEvidence {
    fn from(bundle: &BundleFacts) -> Self {
        let status = bundle.effective_status.unwrap_or(bundle.status);
        Self {
            run_id: bundle.run_id.clone(),
            engine: bundle.engine.clone(),
            stage: bundle.stage.unwrap_or(0),
            status,
            // With the operator's yes nothing is missing any more.
            blockers: if status == Status::Pass {
                vec![]
            } else {
                bundle.blockers.clone()
            },
            refused_by: bundle.refused_by.clone(),
            started: bundle.started,
            harness_version: bundle.harness_version.clone(),
            admissions: bundle.admissions.clone(),
            approval_source: bundle.approval.as_ref().map(|approval| approval.approval_source),
        }
    }
}

/// Says what follows from the facts of a comparison.
pub fn judge_candidate(facts: &CandidateFacts) -> CandidateVerdict {
    let bundles = newest_first(facts);
    let candidate = &facts.candidate;
    let rows = rows::rows_of(&candidate.lane, &bundles, facts);
    let accepted = bundles
        .iter()
        .copied()
        .find(|bundle| bundle.engine == candidate.lane && counts(facts, bundle) && is_accepted(bundle));
    let own = accepted.map(|bundle| Side { bundle, rows: &rows });
    let lanes: Vec<LaneVerdict> = facts
        .lanes
        .iter()
        .map(|lane| judge_lane(facts, &bundles, lane, own))
        .collect();
    let checks = vec![
        fake_lane_passes(facts, &bundles, accepted),
        default_disabled(facts),
        failure_closure_inherited(facts, &bundles),
        lane_passes(facts, &bundles, accepted),
        source_is_fresh(facts, accepted),
        forbidden_actions_closed(&rows, accepted),
        target_only_read(facts, accepted),
        accepted_by_operator(accepted),
        compared(&lanes, own, &rows),
    ];
    CandidateVerdict {
        proof_holds: checks.iter().all(|check| check.ok),
        candidate_run: accepted.map(|bundle| bundle.run_id.clone()),
        checks,
        lanes,
        rows,
    }
}

/// Returns the runs that a verdict names, besides those that its rungs stand on.
pub fn runs_of_verdict(facts: &CandidateFacts, verdict: &CandidateVerdict) -> Vec<String> {
    let bundles = newest_first(facts);
    let rungs = (1..=5).flat_map(|stage| one_rung(facts, &bundles, stage).evidence.into_values());
    let fake = passes_of(facts, &bundles, "fake", verdict.candidate_run.as_deref()).map(|bundle| bundle.run_id.clone());
    let lanes = verdict.lanes.iter().filter_map(|lane| lane.run_id.clone());
    let rows = verdict.rows.iter().filter_map(|row| row.run_id.clone());
    let lane_rows = facts
        .lanes
        .iter()
        .flat_map(|lane| rows::rows_of(&lane.lane, &bundles, facts))
        .filter_map(|row| row.run_id);
    let mut runs: Vec<String> = rungs
        .chain(fake)
        .chain(lanes)
        .chain(rows)
        .chain(lane_rows)
        .chain(verdict.candidate_run.clone())
        .collect();
    runs.sort();
    runs.dedup();
    runs
}

/// What a comparison that was checked shows about its candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComparisonShown {
    /// The comparison.
    pub comparison_id: String,
    /// The candidate.
    pub candidate: String,
    /// Whether its proof holds.
    pub proof_holds: bool,
    /// Whether an operator accepted it.
    pub accepted: bool,
    /// Version of the harness that made it.
    pub harness_version: String,
    /// When, RFC 3339 UTC.
    pub made_at: String,
    /// Digests of the records and programs that the candidate had, by kind.
    pub admissions: BTreeMap<String, String>,
}

/// Computes the sixth rung: a comparison that verifies and holds, made under the records of now, and an operator's word
/// on it.
pub fn candidate_rung(question: &RungQuestion<'_>, shown: Option<&ComparisonShown>, now_seconds: i64) -> Rung {
    let mut rung = Rung {
        stage: 6,
        evidence: BTreeMap::new(),
        missing: vec![],
    };
    let fits = shown.filter(|shown| {
        shown.candidate == question.engine
            && shown.proof_holds
            && same_major(&shown.harness_version, question.harness_version)
            && !from_the_future(&shown.made_at, now_seconds)
            && same_records(question, &shown.admissions)
    });
    match fits {
        Some(shown) => drop(rung.evidence.insert("comparison", shown.comparison_id.clone())),
        None => rung.missing.push("comparison"),
    }
    match fits.filter(|shown| shown.accepted) {
        Some(shown) => drop(rung.evidence.insert("operator-acceptance", shown.comparison_id.clone())),
        None => rung.missing.push("operator-acceptance"),
    }
    rung
}

/// Returns every row of the failure matrix for a lane.
pub(crate) fn rows_of_lane(facts: &CandidateFacts, lane: &str) -> Vec<RowVerdict> {
    rows::rows_of(lane, &newest_first(facts), facts)
}

fn newest_first(facts: &CandidateFacts) -> Vec<&BundleFacts> {
    let mut bundles: Vec<&BundleFacts> = facts.bundles.values().collect();
    bundles.sort_by(|a, b| (&b.started_at, &b.run_id).cmp(&(&a.started_at, &a.run_id)));
    bundles
}

fn check(name: &str, held: Result<String, String>) -> CandidateCheck {
    let ok = held.is_ok();
    CandidateCheck {
        name: name.to_owned(),
        ok,
        detail: held.unwrap_or_else(|problem| problem),
    }
}

fn judge_lane(facts: &CandidateFacts, bundles: &[&BundleFacts], lane: &LaneNow, own: Option<Side<'_>>) -> LaneVerdict {
    let blocked = |rationale: String| LaneVerdict {
        lane: lane.lane.clone(),
        state: LaneState::Blocked,
        rationale,
        run_id: None,
        dimensions: vec![],
    };
    let Some(own) = own else {
        return blocked("the candidate has no accepted run to compare".to_owned());
    };
    let Some(pass) = passes_of(facts, bundles, &lane.lane, Some(&own.bundle.run_id)) else {
        let nothing = format!("no run of {} on record passes and verifies", lane.lane);
        return blocked(match &lane.problem {
            Some(problem) => format!("{nothing}; {problem}"),
            None => format!("{nothing}; cto stage validate 2 --engine {}", lane.lane),
        });
    };
    let rows = rows::rows_of(&lane.lane, bundles, facts);
    let other = Side {
        bundle: pass,
        rows: &rows,
    };
    LaneVerdict {
        lane: lane.lane.clone(),
        state: LaneState::Compared,
        rationale: String::new(),
        run_id: Some(pass.run_id.clone()),
        dimensions: compare_sides(own, other),
    }
}

/// Returns an engine's pass at the highest stage, the newest of them, and never the candidate's own run.
fn passes_of<'a>(
    facts: &CandidateFacts,
    bundles: &[&'a BundleFacts],
    engine: &str,
    but: Option<&str>,
) -> Option<&'a BundleFacts> {
    let passes = bundles.iter().copied().filter(|bundle| {
        bundle.engine == engine
            && bundle.effective_status == Some(Status::Pass)
            && bundle.started
            && counts(facts, bundle)
            && but != Some(bundle.run_id.as_str())
    });
    // The first of equals is the newest.
    passes.reduce(|best, next| if next.stage > best.stage { next } else { best })
}

fn fake_lane_passes(
    facts: &CandidateFacts,
    bundles: &[&BundleFacts],
    accepted: Option<&BundleFacts>,
) -> CandidateCheck {
    let but = accepted.map(|bundle| bundle.run_id.as_str());
    let held = passes_of(facts, bundles, "fake", but)
        .map(|bundle| format!("run {} of fake passes and verifies", bundle.run_id))
        .ok_or_else(|| "no run of fake on record passes and verifies; cto stage validate 2".to_owned());
    check("fake_lane_passes", held)
}

fn default_disabled(facts: &CandidateFacts) -> CandidateCheck {
    let says = facts
        .bundles
        .values()
        .find(|bundle| bundle.says_default_activation || bundle.says_promotion);
    let held = match says {
        Some(bundle) => Err(format!("run {} says that it activates or promotes", bundle.run_id)),
        None if facts.default_lane != "fake" => Err(format!(
            "{} runs where no engine is named; remove default_lane from harness.yaml",
            facts.default_lane
        )),
        None => Ok("fake runs where no engine is named, and no bundle says otherwise".to_owned()),
    };
    check("case_default_disabled", held)
}

fn one_rung(facts: &CandidateFacts, bundles: &[&BundleFacts], stage: u8) -> Rung {
    let evidence: Vec<RungEvidence> = bundles
        .iter()
        .filter(|bundle| counts(facts, bundle))
        .map(|bundle| RungEvidence::from(*bundle))
        .collect();
    let question = RungQuestion {
        engine: &facts.candidate.lane,
        harness_version: &facts.harness_version,
        admissions: &facts.candidate.admissions,
        proving: false,
    };
    rung(&question, stage, &evidence)
}

fn failure_closure_inherited(facts: &CandidateFacts, bundles: &[&BundleFacts]) -> CandidateCheck {
    let rung = one_rung(facts, bundles, 5);
    let missing: Vec<&str> = rung.missing.iter().copied().filter(|name| *name != "pass").collect();
    let held = if missing.is_empty() {
        Ok(format!("{} rows of stage 5 are on record", rung.evidence.len()))
    } else {
        Err(format!(
            "stage 5 lacks {}; cto stage validate 5 --engine {}",
            missing.join(", "),
            facts.candidate.lane
        ))
    };
    check("stage5_failure_closure_inherited", held)
}

fn lane_passes(facts: &CandidateFacts, bundles: &[&BundleFacts], accepted: Option<&BundleFacts>) -> CandidateCheck {
    let lane = &facts.candidate.lane;
    let short = (1..=5).find(|stage| !one_rung(facts, bundles, *stage).validated());
    let held = match (accepted, short) {
        (None, _) => Err(format!(
            "{lane} has no accepted run on an owned repository; docs/guides/the-ladder.md shows the way"
        )),
        (Some(_), Some(stage)) => Err(format!(
            "{lane} does not stand on stage {stage}; cto ladder --engine {lane} says what is missing"
        )),
        (Some(bundle), None) => Ok(format!(
            "{lane} stands on stage 5, and its accepted run is {}",
            bundle.run_id
        )),
    };
    check("case_lane_passes", held)
}

fn source_is_fresh(facts: &CandidateFacts, accepted: Option<&BundleFacts>) -> CandidateCheck {
    check("source_admission_freshness", freshness(&facts.candidate, accepted))
}

/// What a run ran under is what its engine would run under now, and the source is still admitted.
pub(crate) fn freshness(now: &LaneNow, run: Option<&BundleFacts>) -> Result<String, String> {
    let run = run.ok_or("there is no accepted run")?;
    if let Some(problem) = &now.source_problem {
        return Err(format!("the source of {} may not be used now: {problem}", now.lane));
    }
    let names = run.admissions.keys().chain(now.admissions.keys());
    let mut differing: Vec<&str> = names
        .filter(|name| run.admissions.get(*name) != now.admissions.get(*name))
        .map(String::as_str)
        .collect();
    differing.sort_unstable();
    differing.dedup();
    if differing.is_empty() {
        Ok(format!(
            "run {} ran under the records of now ({})",
            run.run_id, run.source_admission_status
        ))
    } else {
        Err(format!(
            "run {} ran under another {}; the engine has to climb again",
            run.run_id,
            differing.join(", ")
        ))
    }
}

fn forbidden_actions_closed(rows: &[RowVerdict], accepted: Option<&BundleFacts>) -> CandidateCheck {
    let row = rows.iter().find(|row| row.row == "forbidden-action");
    let closed = row.is_some_and(|row| matches!(row.state, RowState::Closed | RowState::Inherited));
    let held = match accepted {
        None => Err("there is no accepted run".to_owned()),
        Some(bundle) if bundle.forbidden_actions_attempted > 0 => Err(format!(
            "run {} attempted {} forbidden actions",
            bundle.run_id, bundle.forbidden_actions_attempted
        )),
        Some(_) if !closed => {
            Err("no bundle shows the row forbidden-action; cto fixtures run forbidden-action".to_owned())
        }
        Some(_) => Ok("none was attempted, and the row that attempts one fails".to_owned()),
    };
    check("forbidden_action_closure", held)
}

fn target_only_read(facts: &CandidateFacts, accepted: Option<&BundleFacts>) -> CandidateCheck {
    let held = match (&facts.target, accepted) {
        (_, None) => Err("there is no accepted run".to_owned()),
        (None, _) => Err("the target of the accepted run was not looked at".to_owned()),
        (Some(target), Some(_)) => match (&target.problem, &target.before, &target.after) {
            (Some(problem), _, _) => Err(problem.clone()),
            (None, Some(before), Some(after)) if before == after => {
                Ok("HEAD, refs, index and settings are the same before and after".to_owned())
            }
            (None, Some(_), Some(_)) => Err("the target changed while it was compared; compare again".to_owned()),
            (None, _, _) => Err("the target could not be read".to_owned()),
        },
    };
    check("target_read_only_proof", held)
}

fn accepted_by_operator(accepted: Option<&BundleFacts>) -> CandidateCheck {
    let word = accepted.and_then(|bundle| bundle.operator.as_ref().map(|word| (bundle, word)));
    let held = word
        .map(|(bundle, word)| format!("{} accepted run {}", word.actor, bundle.run_id))
        .ok_or_else(|| "no operator accepted a run of the candidate".to_owned());
    check("operator_acceptance", held)
}

fn compared(lanes: &[LaneVerdict], own: Option<Side<'_>>, rows: &[RowVerdict]) -> CandidateCheck {
    check("candidate_default_comparison", compare_all(lanes, own, rows))
}

fn compare_all(lanes: &[LaneVerdict], own: Option<Side<'_>>, rows: &[RowVerdict]) -> Result<String, String> {
    let own = own.ok_or("there is no accepted run")?;
    for dimension in Dimension::ALL
        .into_iter()
        .filter(|one| *one != Dimension::FailureClosure)
    {
        let lacking: Vec<String> = lacks(dimension, own, None).into_iter().collect();
        if !lacking.is_empty() {
            return Err(format!(
                "{}: the candidate lacks {}",
                dimension.word(),
                lacking.join(", ")
            ));
        }
    }
    let open: Vec<&str> = rows
        .iter()
        .filter(|row| row.state == RowState::Open)
        .map(|row| row.row.as_str())
        .collect();
    if !open.is_empty() {
        return Err(format!(
            "failure_closure: no bundle shows {}; cto fixtures run plays them",
            open.join(", ")
        ));
    }
    for lane in lanes {
        let short = lane.dimensions.iter().find(|one| one.verdict == Standing::FallsShort);
        if let Some(short) = short {
            return Err(format!(
                "{}: falls short of {}: {}",
                short.dimension.word(),
                lane.lane,
                short.candidate_lacks.join(", ")
            ));
        }
    }
    let compared = lanes.iter().filter(|lane| lane.state == LaneState::Compared).count();
    if compared == 0 {
        return Err("there is no lane to compare with".to_owned());
    }
    let blocked = lanes.len() - compared;
    Ok(format!(
        "falls short of none of {compared} lanes; {blocked} are blocked, each with its rationale"
    ))
}
