//! Comparing a stage's accepted run with its baseline, from their bundles.

use cto_policy::{ComparedField, ComparedRun, compare_runs};
use cto_schema::{Event, Report, RunId};
use serde::Serialize;

use crate::request::Harness;

/// A run held against its baseline, field by field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StageComparison {
    /// What the baseline is: `fake` on the same fixture, or the engine at the stage below.
    pub baseline: String,
    /// `report.json` of the run.
    pub report_path: String,
    /// `report.json` of the baseline.
    pub baseline_report_path: String,
    /// Every field.
    pub fields: Vec<StageField>,
}

/// One field of a comparison.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StageField {
    /// Its name.
    pub field: String,
    /// Whether both are the same in it.
    pub equal: bool,
    /// Whether they are as they must be.
    pub holds: bool,
    /// What was seen.
    pub detail: String,
}

/// Compares two runs of this installation.
pub(super) fn compare(harness: &Harness, run: &RunId, baseline: &RunId, what: &str) -> Result<StageComparison, String> {
    let (own_report, own_events) = read(harness, run)?;
    let (baseline_report, baseline_events) = read(harness, baseline)?;
    let fields = compare_runs(
        ComparedRun {
            report: &own_report,
            events: &own_events,
        },
        ComparedRun {
            report: &baseline_report,
            events: &baseline_events,
        },
    );
    let path = |run: &RunId| harness.home.run(run).join("report.json").display().to_string();
    Ok(StageComparison {
        baseline: what.to_owned(),
        report_path: path(run),
        baseline_report_path: path(baseline),
        fields: fields.into_iter().map(told).collect(),
    })
}

fn told(field: ComparedField) -> StageField {
    StageField {
        field: field.field.to_owned(),
        equal: field.equal,
        holds: field.holds,
        detail: field.detail,
    }
}

/// The report, and the names of the harness's own required events.
pub(super) fn read(harness: &Harness, run: &RunId) -> Result<(Report, Vec<String>), String> {
    let bundle = harness.home.run(run);
    let text =
        |name: &str| std::fs::read_to_string(bundle.join(name)).map_err(|error| format!("{name} of {run}: {error}"));
    let report =
        serde_json::from_str(&text("report.json")?).map_err(|error| format!("report.json of {run}: {error}"))?;
    let mut events = Vec::new();
    for line in text("events.normalized.jsonl")?.lines() {
        let event: Event = serde_json::from_str(line).map_err(|error| format!("events of {run}: {error}"))?;
        let name = event.kind.name();
        // What an engine says, and what its gateway and bounds saw, is the engine's own.
        let own = ["engine.", "model.", "bound."]
            .iter()
            .any(|prefix| name.starts_with(prefix));
        if !own {
            events.push(name);
        }
    }
    Ok((report, events))
}
