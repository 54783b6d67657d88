//! The dimensions of a comparison: what each side lacks, and how the two lists stand to each other.

use std::collections::BTreeSet;

use cto_schema::{BundleFacts, Dimension, DimensionVerdict, RowState, RowVerdict, Standing};

/// Events that belong to a stage or to a kind of engine, so that a run without them lacks nothing.
const OF_THEIR_OWN: [&str; 5] = ["approval.", "operator.", "model.", "engine.", "bound."];

/// One side of a comparison.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Side<'a> {
    pub(crate) bundle: &'a BundleFacts,
    pub(crate) rows: &'a [RowVerdict],
}

/// Compares two sides in every dimension.
pub(crate) fn compare_sides(candidate: Side<'_>, lane: Side<'_>) -> Vec<DimensionVerdict> {
    Dimension::ALL
        .iter()
        .map(|dimension| {
            let candidate_lacks = lacks(*dimension, candidate, Some(lane));
            let lane_lacks = lacks(*dimension, lane, Some(candidate));
            DimensionVerdict {
                dimension: *dimension,
                verdict: standing(&candidate_lacks, &lane_lacks),
                candidate_lacks: candidate_lacks.into_iter().collect(),
                lane_lacks: lane_lacks.into_iter().collect(),
            }
        })
        .collect()
}

/// Less is better, and what the other side has must not be missing.
fn standing(candidate: &BTreeSet<String>, lane: &BTreeSet<String>) -> Standing {
    if candidate == lane {
        Standing::Matches
    } else if candidate.is_subset(lane) {
        Standing::Beats
    } else {
        Standing::FallsShort
    }
}

/// Returns what a side lacks in one dimension, by itself or held against another.
pub(crate) fn lacks(dimension: Dimension, side: Side<'_>, other: Option<Side<'_>>) -> BTreeSet<String> {
    let bundle = side.bundle;
    let mut lacks = BTreeSet::new();
    match dimension {
        Dimension::ReportShape => lacks.extend(bundle.missing_report_fields.iter().cloned()),
        Dimension::EventValidity => {
            if !bundle.required_events_passed {
                lacks.insert("a required event".to_owned());
            }
            let checks = ["event-chain", "event-order", "freshness", "nonce"];
            let failed = bundle
                .failed_checks
                .iter()
                .filter(|check| checks.contains(&check.as_str()));
            lacks.extend(failed.map(|check| format!("check {check}")));
            let own: BTreeSet<&str> = general(bundle).collect();
            let theirs = other.into_iter().flat_map(|other| general(other.bundle));
            lacks.extend(theirs.filter(|event| !own.contains(event)).map(str::to_owned));
        }
        Dimension::AllowedPathCompliance => {
            let held = [
                ("allowed_writes_passed", bundle.allowed_writes_passed == Some(true)),
                ("forbidden_paths_passed", bundle.forbidden_paths_passed == Some(true)),
                ("no forbidden action attempted", bundle.forbidden_actions_attempted == 0),
            ];
            lacks.extend(
                held.iter()
                    .filter(|(_, holds)| !holds)
                    .map(|(name, _)| (*name).to_owned()),
            );
        }
        Dimension::FailureClosure => {
            let open = side
                .rows
                .iter()
                .filter(|row| matches!(row.state, RowState::Open | RowState::Blocked));
            lacks.extend(open.map(|row| row.row.clone()));
        }
        Dimension::ArtifactCompleteness => {
            lacks.extend(bundle.missing_artifacts.iter().cloned());
            let parts = bundle.stage_proof.iter().flat_map(|proof| &proof.missing_parts);
            lacks.extend(parts.cloned());
        }
    }
    lacks
}

fn general(bundle: &BundleFacts) -> impl Iterator<Item = &str> {
    let events = bundle.events.iter().map(String::as_str);
    events.filter(|event| !OF_THEIR_OWN.iter().any(|prefix| event.starts_with(prefix)))
}
