//! Two or three runs beside each other: the first is the baseline, differences come first, and what is missing says so.

use askama::Template;
use cto_schema::Report;

use crate::bundle_view::BundleView;
use crate::view::{Drawn, Mark, Problem, Shell, Site, milliseconds, page, text};

/// One row: its name, whether the values differ, and the values.
struct Row {
    name: &'static str,
    differs: bool,
    /// Nobody has it.
    missing: bool,
    values: Vec<String>,
}

#[derive(Template)]
#[template(path = "compare.html")]
struct Compare {
    shell: Shell,
    runs: Vec<(String, Mark)>,
    parts: Vec<(&'static str, &'static str, Vec<Row>)>,
    asked: [String; 3],
    problem: String,
    comparison: String,
}

pub(crate) fn compare(site: &Site<'_>) -> Drawn {
    let names = ["a", "b", "c"];
    let asked = names.map(|name| site.ask.parameter(name).unwrap_or_default().to_owned());
    let mut views = Vec::new();
    let mut problem = String::new();
    for run in asked.iter().filter(|run| !run.is_empty()) {
        match BundleView::open(site, run) {
            Ok(view) => views.push(view),
            Err(Problem::NotFound(what)) => problem = what,
            Err(other) => return Err(other),
        }
    }
    let runs = views.iter().map(|view| {
        let head = super::run::head(view, "");
        (head.run, head.mark)
    });
    let mut contract = rows(&views, CONTRACT);
    let mut others = rows(&views, FIELDS);
    for rows in [&mut contract, &mut others] {
        rows.sort_by_key(|row| !row.differs);
    }
    let or_none = |path: &Option<cto_schema::ReplayPath>| {
        path.as_ref()
            .map_or_else(|| "none".to_owned(), |path| path.as_str().to_owned())
    };
    let summary = &site.snapshot.summary;
    page(&Compare {
        shell: site.shell("Compare", "compare"),
        runs: runs.collect(),
        parts: vec![("Contract", "contract", contract), ("Runs", "fields", others)],
        problem,
        comparison: or_none(&summary.stage6_comparison_path),
        asked: asked.map(|run| text(&run)),
    })
}

type Field = (&'static str, fn(&BundleView) -> Option<String>);

const CONTRACT: &[Field] = &[
    ("Contract digest", |view| {
        Some(view.report.as_ref()?.contract_digest?.to_string())
    }),
    ("Task", |view| Some(text(&view.contract.as_ref()?.title))),
    ("Allowed paths", |view| {
        Some(text(&view.contract.as_ref()?.allowed_paths.join(", ")))
    }),
    ("Mutation mode", |view| Some(view.mode()?.word().to_owned())),
];

fn of_report(view: &BundleView, value: impl Fn(&Report) -> Option<String>) -> Option<String> {
    value(view.report.as_ref()?)
}

const FIELDS: &[Field] = &[
    ("Verdict", |view| {
        of_report(view, |report| Some(report.status.word().to_owned()))
    }),
    ("Evidence", |view| {
        let word = match (&view.checked, view.verified()) {
            (None, _) => "not sealed",
            (Some(_), true) => "verified now",
            (Some(_), false) => "does not verify",
        };
        Some(word.to_owned())
    }),
    ("Engine", |view| of_report(view, |report| Some(text(&report.backend)))),
    ("Model", |view| {
        of_report(view, |report| report.case_model.as_deref().map(text))
    }),
    ("Harness", |view| {
        of_report(view, |report| Some(text(&report.harness_version)))
    }),
    ("Baseline tree", |view| {
        of_report(view, |report| report.baseline_tree.as_deref().map(text))
    }),
    ("Blockers", |view| {
        of_report(view, |report| {
            let codes: Vec<String> = report.blockers.iter().map(|blocker| blocker.code.name()).collect();
            Some(if codes.is_empty() {
                "none".to_owned()
            } else {
                codes.join(", ")
            })
        })
    }),
    ("Tests", |view| {
        of_report(view, |report| {
            report
                .tests_passed
                .map(|passed| if passed { "passed" } else { "failed" }.to_owned())
        })
    }),
    ("Allowed writes", |view| {
        of_report(view, |report| report.allowed_writes_passed.map(yes))
    }),
    ("Forbidden paths untouched", |view| {
        of_report(view, |report| report.forbidden_paths_passed.map(yes))
    }),
    ("Required events", |view| {
        of_report(view, |report| Some(yes(report.required_events_passed)))
    }),
    ("Changed files", |view| {
        of_report(view, |report| Some(report.changed_files.len().to_string()))
    }),
    ("Patch digest", |view| {
        Some(view.bundle.files().get("patch.diff")?.digest.to_string())
    }),
    ("Whole run", |view| {
        of_report(view, |report| Some(milliseconds(report.usage.total_ms)))
    }),
    ("Engine time", |view| {
        of_report(view, |report| Some(milliseconds(report.usage.engine_ms)))
    }),
    ("Model calls", |view| {
        of_report(view, |report| Some(report.model.as_ref()?.calls.to_string()))
    }),
];

fn yes(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}

/// A value that is not there is missing; it never counts as equal to one that is, nor as a pass.
fn rows(views: &[BundleView], fields: &[Field]) -> Vec<Row> {
    if views.is_empty() {
        return vec![];
    }
    let row = |(name, value): &Field| {
        // Of a bundle that does not verify only that is said.
        let known = |view: &BundleView| value(view).filter(|_| !view.broken() || *name == "Evidence");
        let values: Vec<String> = views
            .iter()
            .map(|view| known(view).unwrap_or_else(|| "missing".to_owned()))
            .collect();
        Row {
            missing: views.iter().all(|view| known(view).is_none()),
            name,
            differs: values.iter().any(|value| Some(value) != values.first()),
            values,
        }
    };
    fields.iter().map(row).collect()
}
