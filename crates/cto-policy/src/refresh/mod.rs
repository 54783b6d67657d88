//! Repeatability: whether accepted runs on owned repositories, checked again, still say the same (spec 08).
//!
//! The whole document follows from its facts, so it can be made again and compared.

mod prose;
mod reject;
#[cfg(test)]
mod tests;

use cto_schema::{
    BundleFacts, CandidateComparison, ComparedLane, ComparisonFacts, FreshnessWord, LaneState, NotActivated,
    NotPromoted, PinFacts, PinLane, PinProvenance, REPEATABILITY_REQUIRED, ReadOnlyCheck, RefreshFacts, RefreshPass,
    RefreshType, Rejection, RejectionCode, RepeatabilityRefresh, RowState, SchemaId, Sha256Digest, Status,
};

use crate::candidate::dimensions::{Side, compare_sides};
use crate::candidate::{freshness, rows_of_lane};
pub use prose::read_prose;
use reject::{of_comparison, of_pin};

/// Makes the document that follows from the facts. `candidate` is the engine that the caller names, or the first pin's.
pub fn judge_refresh(refresh_id: &str, created_at: &str, candidate: &str, facts: RefreshFacts) -> RepeatabilityRefresh {
    let mut rejections = of_comparison(candidate, &facts);
    let passes: Vec<RefreshPass> = facts
        .pins
        .iter()
        .enumerate()
        .map(|(at, pin)| {
            let lanes = lanes_of(pin, facts.comparison.as_ref());
            let own = of_pin(candidate, &facts, at, &lanes);
            let counted = own.is_empty();
            rejections.extend(own);
            pass_of(pin, counted, lanes)
        })
        .collect();
    let counted: Vec<&RefreshPass> = passes.iter().filter(|pass| pass.counted).collect();
    let count = u32::try_from(counted.len()).unwrap_or(u32::MAX);
    if count < REPEATABILITY_REQUIRED {
        rejections.push(Rejection {
            code: RejectionCode::TooFewPasses,
            run_id: None,
            detail: format!("{count} of {REPEATABILITY_REQUIRED} accepted runs count"),
        });
    }
    let status = rejections
        .iter()
        .map(|one| one.code.status())
        .max()
        .unwrap_or(Status::Pass);
    let report = |at: usize| counted.get(at).map(|pass| format!("runs/{}/report.json", pass.run_id));
    let proof = |at: usize| {
        counted
            .get(at)
            .map(|pass| format!("runs/{}/stage5-owned-repo-proof.json", pass.run_id))
    };
    RepeatabilityRefresh {
        schema: SchemaId::REFRESH.to_string(),
        refresh_id: refresh_id.to_owned(),
        refresh_type: RefreshType::RealGovernedReadOnly,
        created_at: created_at.to_owned(),
        candidate: candidate.to_owned(),
        comparison_id: facts.comparison.as_ref().map(|one| one.comparison_id.clone()),
        real_stage5_pass_report: report(0),
        real_stage5_proof: proof(0),
        repeat_stage5_pass_report: report(1),
        repeat_stage5_proof: proof(1),
        repeatability_required: REPEATABILITY_REQUIRED,
        repeatability_count: count,
        repeatability_status: status,
        repeatability_passed: status == Status::Pass,
        approval_provenance: facts.pins.iter().map(provenance_of).collect(),
        prose_mismatches: prose::mismatches(&facts),
        source_admission_freshness: all_fresh(&facts),
        target_read_only_check: only_read(&facts),
        failure_matrix_carry_forward: carried_forward(&facts),
        real_stage5_passes: passes,
        rejections,
        runtime_default_activation: NotActivated,
        core_promotion_status: NotPromoted,
        facts,
    }
}

/// Returns what a comparison shows to a refresh. `problem` is why it does not verify.
pub fn comparison_facts(
    comparison: &CandidateComparison,
    manifest_digest: Sha256Digest,
    problem: Option<String>,
    accepted: bool,
) -> ComparisonFacts {
    let verdict = &comparison.verdict;
    let compared = verdict.lanes.iter().filter(|lane| lane.state == LaneState::Compared);
    let lanes = compared.filter_map(|lane| {
        let bundle = comparison.facts.bundles.get(lane.run_id.as_ref()?)?;
        Some(ComparedLane {
            lane: lane.lane.clone(),
            bundle: bundle.clone(),
            rows: rows_of_lane(&comparison.facts, &lane.lane),
        })
    });
    ComparisonFacts {
        comparison_id: comparison.comparison_id.clone(),
        manifest_digest,
        problem,
        candidate: comparison.candidate.clone(),
        proof_holds: verdict.proof_holds,
        accepted,
        rows: verdict.rows.clone(),
        lanes: lanes.collect(),
    }
}

fn provenance_of(pin: &PinFacts) -> PinProvenance {
    PinProvenance {
        run_id: pin.pin.run_id.clone(),
        provenance: pin.bundle.as_ref().and_then(|bundle| bundle.approval.clone()),
    }
}

fn pass_of(pin: &PinFacts, counted: bool, lanes: Vec<PinLane>) -> RefreshPass {
    let bundle = pin.bundle.as_ref();
    RefreshPass {
        run_id: pin.pin.run_id.clone(),
        case_id: bundle.map(|bundle| bundle.case_id.clone()).unwrap_or_default(),
        target_commit: bundle.and_then(commit_of),
        changed_files: bundle.map(|bundle| bundle.changed_files.clone()).unwrap_or_default(),
        counted,
        lanes,
    }
}

fn commit_of(bundle: &BundleFacts) -> Option<String> {
    bundle.target.as_ref().and_then(|target| target.target_commit.clone())
}

fn lanes_of(pin: &PinFacts, comparison: Option<&ComparisonFacts>) -> Vec<PinLane> {
    let (Some(bundle), Some(comparison)) = (&pin.bundle, comparison) else {
        return vec![];
    };
    let own = Side {
        bundle,
        rows: &comparison.rows,
    };
    comparison
        .lanes
        .iter()
        .map(|lane| PinLane {
            lane: lane.lane.clone(),
            dimensions: compare_sides(
                own,
                Side {
                    bundle: &lane.bundle,
                    rows: &lane.rows,
                },
            ),
        })
        .collect()
}

fn all_fresh(facts: &RefreshFacts) -> FreshnessWord {
    let judged: Vec<bool> = facts
        .pins
        .iter()
        .filter(|pin| pin.bundle.is_some())
        .map(|pin| freshness(&pin.now, pin.bundle.as_ref()).is_ok())
        .collect();
    match (judged.is_empty(), judged.iter().all(|fresh| *fresh)) {
        (true, _) => FreshnessWord::Unknown,
        (false, true) => FreshnessWord::Fresh,
        (false, false) => FreshnessWord::Stale,
    }
}

fn only_read(facts: &RefreshFacts) -> ReadOnlyCheck {
    let seen = facts.pins.iter().map(|pin| pin.target.as_ref());
    let same = |pin: Option<&cto_schema::TargetWatch>| {
        pin.is_some_and(|watch| watch.problem.is_none() && watch.before.is_some() && watch.before == watch.after)
    };
    let passed = !facts.pins.is_empty() && seen.clone().all(same);
    ReadOnlyCheck {
        passed,
        detail: if passed {
            "HEAD, refs, index and settings of every target are the same before and after".to_owned()
        } else {
            "not every target could be read, or one changed meanwhile".to_owned()
        },
    }
}

fn carried_forward(facts: &RefreshFacts) -> ReadOnlyCheck {
    let Some(comparison) = &facts.comparison else {
        return ReadOnlyCheck {
            passed: false,
            detail: "there is no comparison whose rows could be carried forward".to_owned(),
        };
    };
    let open = comparison.rows.iter().filter(|row| row.state == RowState::Open).count();
    let passed = comparison.problem.is_none() && open == 0 && !comparison.rows.is_empty();
    ReadOnlyCheck {
        passed,
        detail: if passed {
            format!(
                "{} rows of comparison {} hold again",
                comparison.rows.len(),
                comparison.comparison_id
            )
        } else {
            let why = comparison
                .problem
                .clone()
                .unwrap_or_else(|| format!("{open} rows are open"));
            format!("comparison {}: {why}", comparison.comparison_id)
        },
    }
}
