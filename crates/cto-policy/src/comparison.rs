//! Comparing two runs of the same case field by field: equal, or why not (spec 03, stages 2 and 3).

use std::collections::BTreeSet;

use cto_schema::{Report, Status};

/// A run as it is compared.
#[derive(Clone, Copy, Debug)]
pub struct ComparedRun<'a> {
    /// Its report.
    pub report: &'a Report,
    /// The names of its required events, in order.
    pub events: &'a [String],
}

/// One field of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComparedField {
    /// `report_shape`, `event_order`, `allowed_writes`, `verification`, `blockers`, `digests` or `freshness`.
    pub field: &'static str,
    /// Whether both runs are the same in it.
    pub equal: bool,
    /// Whether they are as they must be: some things must be equal, and some must not.
    pub holds: bool,
    /// What was seen; where they differ, why.
    pub detail: String,
}

/// Compares a run with its baseline. Both must be passes on the same case; how an engine got there may differ, what the
/// harness observed of it may not.
pub fn compare_runs(run: ComparedRun<'_>, baseline: ComparedRun<'_>) -> Vec<ComparedField> {
    vec![
        shape(run.report, baseline.report),
        same(
            "event_order",
            run.events == baseline.events,
            &run.events.join(" "),
            &baseline.events.join(" "),
        ),
        writes(run.report, baseline.report),
        verification(run.report, baseline.report),
        blockers(run.report, baseline.report),
        digests(run.report, baseline.report),
        freshness(run.report, baseline.report),
    ]
}

/// A field in which both must be the same.
fn same(field: &'static str, equal: bool, own: &str, other: &str) -> ComparedField {
    let detail = if equal {
        own.to_owned()
    } else {
        format!("{own} against {other}")
    };
    ComparedField {
        field,
        equal,
        holds: equal,
        detail,
    }
}

/// Fields that a report has; those that only an engine with a model, or one with files of its own, has, may be more.
fn shape(own: &Report, baseline: &Report) -> ComparedField {
    let fields = |report: &Report| -> BTreeSet<String> {
        let value = serde_json::to_value(report).unwrap_or_default();
        value
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, _)| name.clone())
            .collect()
    };
    let (own, baseline) = (fields(own), fields(baseline));
    let missing: Vec<&str> = baseline.difference(&own).map(String::as_str).collect();
    let more: Vec<&str> = own.difference(&baseline).map(String::as_str).collect();
    let detail = match (missing.is_empty(), more.is_empty()) {
        (true, true) => format!("{} fields", own.len()),
        (true, false) => format!("more than the baseline, because of its engine: {}", more.join(", ")),
        (false, _) => format!("missing: {}", missing.join(", ")),
    };
    ComparedField {
        field: "report_shape",
        equal: missing.is_empty() && more.is_empty(),
        holds: missing.is_empty(),
        detail,
    }
}

fn writes(own: &Report, baseline: &Report) -> ComparedField {
    let judged = |report: &Report| (report.allowed_writes_passed, report.forbidden_paths_passed);
    let told = |report: &Report| report.changed_files.join(", ");
    let equal = own.changed_files == baseline.changed_files && judged(own) == judged(baseline);
    same(
        "allowed_writes",
        equal && judged(own) == (Some(true), Some(true)),
        &told(own),
        &told(baseline),
    )
}

fn verification(own: &Report, baseline: &Report) -> ComparedField {
    let lines = |report: &Report| -> Vec<(Vec<String>, bool)> {
        let of = |line: &cto_schema::VerificationLine| (line.argv.clone(), line.passed);
        report.verification.iter().map(of).collect()
    };
    let told = |report: &Report| {
        let passed = report.verification.iter().filter(|line| line.passed).count();
        format!("{passed} of {} commands passed", report.verification.len())
    };
    let equal = lines(own) == lines(baseline) && own.tests_passed == baseline.tests_passed;
    same("verification", equal, &told(own), &told(baseline))
}

fn blockers(own: &Report, baseline: &Report) -> ComparedField {
    let codes =
        |report: &Report| -> Vec<String> { report.blockers.iter().map(|blocker| blocker.code.name()).collect() };
    let told = |report: &Report| match codes(report).as_slice() {
        [] => "none".to_owned(),
        some => some.join(", "),
    };
    let equal = codes(own) == codes(baseline) && own.status == baseline.status && own.status == Status::Pass;
    same("blockers", equal, &told(own), &told(baseline))
}

/// Contract and baseline tree must be the same where the stage is; a patch is the engine's own.
fn digests(own: &Report, baseline: &Report) -> ComparedField {
    let of = |report: &Report, name: &str| report.artifact_digests.get(name).copied();
    let same_stage = own.stage == baseline.stage;
    let same_work = own.contract_digest == baseline.contract_digest && own.baseline_tree == baseline.baseline_tree;
    let same_patch = of(own, "patch.diff") == of(baseline, "patch.diff");
    let whole = |report: &Report| {
        let named = ["patch.diff", "test.log", "write-set.json", "report.json"];
        named.iter().all(|name| report.artifact_digests.contains_key(*name))
    };
    let detail = match (same_stage, same_work, same_patch) {
        (true, true, true) => "the same contract, tree and patch".to_owned(),
        (true, true, false) => "the same contract and tree; the patch is the engine's own".to_owned(),
        (false, _, _) => "another stage has another contract and another copy".to_owned(),
        (true, false, _) => "another contract or another tree".to_owned(),
    };
    ComparedField {
        field: "digests",
        equal: same_work && same_patch,
        holds: whole(own) && whole(baseline) && (same_work || !same_stage),
        detail,
    }
}

/// Two runs have two nonces; a run that repeats another's evidence is none.
fn freshness(own: &Report, baseline: &Report) -> ComparedField {
    let two = own.freshness.nonce != baseline.freshness.nonce
        && own.run_id != baseline.run_id
        && own.freshness.event_chain_head != baseline.freshness.event_chain_head;
    ComparedField {
        field: "freshness",
        equal: false,
        holds: two,
        detail: if two {
            "two runs, each with its own nonce and event chain".to_owned()
        } else {
            "the evidence of one run stands for both".to_owned()
        },
    }
}
