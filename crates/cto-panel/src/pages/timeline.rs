//! The timeline of a run: the picture, and the table with the same rows.

use askama::Template;
use cto_evidence::{Lane, duration_text};

use super::run::{RunHead, head};
use crate::bundle_view::BundleView;
use crate::draw;
use crate::view::{Drawn, Mark, Shell, Site, page};

struct Row {
    mark: Mark,
    name: String,
    lane: &'static str,
    start: String,
    took: String,
    detail: String,
}

#[derive(Template)]
#[template(path = "timeline.html")]
struct TimelinePage {
    shell: Shell,
    head: RunHead,
    picture: String,
    rows: Vec<Row>,
    cut: usize,
    total: String,
    open: bool,
}

/// Most rows of the table.
const ROWS: usize = 2_000;

pub(super) fn timeline(site: &Site<'_>, run: &str) -> Drawn {
    let view = BundleView::open(site, run)?;
    let shown = !view.broken();
    let content = view.may_show_content(site);
    let events = view.events();
    let spans = cto_evidence::timeline(if shown { &view.spans } else { &[] }, &[]);
    let all = cto_evidence::timeline(if shown { &view.spans } else { &[] }, if shown { &events } else { &[] });
    let rows = all.rows.iter().take(ROWS).map(|row| Row {
        mark: if row.ok {
            Mark::new("good", "ok")
        } else {
            Mark::new(
                "bad",
                if content {
                    row.outcome.clone()
                } else {
                    "not ok".to_owned()
                },
            )
        },
        name: row.name.clone(),
        lane: match row.lane {
            Lane::Harness => "harness",
            Lane::Event => "event",
            Lane::Engine => "engine",
        },
        start: duration_text(row.start_ns),
        took: duration_text(row.end_ns - row.start_ns),
        // What was looked at may quote the target.
        detail: if content { row.detail.clone() } else { String::new() },
    });
    page(&TimelinePage {
        shell: site.shell(format!("Timeline of {}", view.run_id), "runs"),
        head: head(&view, "timeline"),
        picture: if spans.rows.is_empty() {
            String::new()
        } else {
            draw::timeline(&spans)
        },
        rows: rows.collect(),
        cut: all.rows.len().saturating_sub(ROWS),
        total: duration_text(all.total_ns),
        open: site.ask.parameter("print").is_some(),
    })
}
