//! The failure matrix: every way in which a run must fail closed, and the newest run that did.

use askama::Template;

use crate::view::{Drawn, Mark, Shell, Site, page};

struct Row {
    row: String,
    trigger: String,
    blocker: String,
    event: String,
    status: Mark,
    run: Option<String>,
    mend: String,
}

#[derive(Template)]
#[template(path = "failures.html")]
struct Failures {
    shell: Shell,
    rows: Vec<Row>,
    shown: usize,
}

pub(crate) fn failures(site: &Site<'_>) -> Drawn {
    let rows: Vec<Row> = site
        .snapshot
        .failures
        .iter()
        .map(|(row, run)| Row {
            row: row.row.clone(),
            trigger: row.trigger.clone(),
            blocker: row.blocker.clone(),
            event: row.event.clone(),
            status: Mark::of_status(&row.status),
            run: run.as_ref().map(ToString::to_string),
            mend: row.mend.clone(),
        })
        .collect();
    page(&Failures {
        shell: site.shell("Failure matrix", "failures"),
        shown: rows.iter().filter(|row| row.run.is_some()).count(),
        rows,
    })
}
