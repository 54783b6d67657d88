//! `report.html`: one file without script or any request, for screens of every width and for paper.

use askama::Template;
use cto_schema::Status;

use super::diff::{DiffFile, diff, line_text};
use super::rows::{Mark, Row, SHOWN, bounds, change_line, changes, checks, claims, facts, text, unsafe_entries};
use super::{ReportView, mend, verdict_line, words};
use crate::timeline::{TimelineRow, duration_text, timeline};

/// How many lines of verification output are shown: the last ones.
const LOG_LINES: usize = 300;
struct Reason {
    code: String,
    event: String,
    detail: String,
    mend: &'static str,
}

struct Bar {
    x: String,
    y: u32,
    width: String,
    class: &'static str,
}

/// The page. Every text in it is escaped for control characters here, and for HTML by the template.
#[derive(Template)]
#[template(path = "report.html")]
struct Page {
    verdict: &'static str,
    verdict_mark: Mark,
    run_id: String,
    title: String,
    headline: String,
    reason: String,
    reasons: Vec<Reason>,
    facts: Vec<(&'static str, String)>,
    change_line: String,
    changes: Vec<Row>,
    changes_cut: String,
    unsafe_entries: Vec<Row>,
    files: Vec<DiffFile>,
    diff_cut: String,
    nothing_ran: String,
    nothing_ran_why: String,
    checks: Vec<Row>,
    log: String,
    log_cut: String,
    bounds: Vec<Row>,
    claims: Vec<Row>,
    not_applicable: Vec<(String, String)>,
    bars: Vec<Bar>,
    chart_height: u32,
    spans: Vec<Row>,
    total: String,
    scripts: Vec<(&'static str, String)>,
    limit: &'static str,
}

/// Draws `report.html`. The same view always gives the same bytes.
pub fn html(view: &ReportView<'_>) -> String {
    let report = view.report;
    let (files, diff_cut) = diff(view.patch);
    let (log, log_cut) = log(view.test_log);
    let room = report.clean_room.as_ref();
    let line = timeline(view.spans, &[]);
    let rows = &line.rows[..line.rows.len().min(SHOWN)];
    let ran = room.is_some_and(|room| !room.runs.is_empty());
    let page = Page {
        verdict: verdict_line(report.status),
        verdict_mark: match report.status {
            Status::Pass => Mark::new("good", "Pass"),
            Status::Fail => Mark::new("bad", "Fail"),
            Status::Blocked => Mark::new("warn", "Blocked"),
        },
        run_id: text(&report.run_id),
        title: view.contract.map(|contract| text(&contract.title)).unwrap_or_default(),
        headline: words::headline(report),
        reason: report.failure_reason.as_deref().map(text).unwrap_or_default(),
        reasons: reasons(view),
        facts: facts(view),
        change_line: change_line(view),
        changes: changes(view),
        changes_cut: cut(
            view.write_set.map_or(0, |set| set.changes.len()),
            "changed paths",
            "write-set.json",
        ),
        unsafe_entries: unsafe_entries(view),
        files,
        diff_cut,
        nothing_ran: if ran {
            String::new()
        } else {
            words::nothing_ran(report).to_owned()
        },
        nothing_ran_why: room
            .and_then(|room| room.not_run.as_deref())
            .map(text)
            .unwrap_or_default(),
        checks: checks(view),
        log,
        log_cut,
        bounds: bounds(view),
        claims: claims(view),
        not_applicable: report
            .not_applicable
            .iter()
            .take(SHOWN)
            .map(|(name, why)| (text(name), text(why)))
            .collect(),
        bars: bars(rows, line.total_ns),
        chart_height: u32::try_from(rows.len()).unwrap_or(0) * BAR_STEP + 4,
        spans: rows.iter().map(span_row).collect(),
        total: duration_text(line.total_ns),
        scripts: words::verify_scripts(&report.run_id).to_vec(),
        limit: words::LIMIT,
    };
    // The template writes to memory, which cannot fail; an empty page would fail its check, not pass for a report.
    page.render().unwrap_or_default()
}

fn cut(all: usize, what: &str, file: &str) -> String {
    if all > SHOWN {
        format!("Shown are {SHOWN} of {all} {what}; {file} has all of them.")
    } else {
        String::new()
    }
}

fn reasons(view: &ReportView<'_>) -> Vec<Reason> {
    let reason = |blocker: &cto_schema::Blocker| Reason {
        code: blocker.code.name(),
        event: blocker.event.name(),
        detail: text(&blocker.detail),
        mend: mend(blocker.code),
    };
    view.report.blockers.iter().map(reason).collect()
}

fn span_row(row: &TimelineRow) -> Row {
    let mark = if row.ok {
        Mark::new("good", "ok")
    } else {
        Mark::new("bad", row.outcome.clone())
    };
    let length = duration_text(row.end_ns - row.start_ns);
    Row {
        mark,
        cells: vec![
            row.name.clone(),
            duration_text(row.start_ns),
            length,
            row.detail.clone(),
        ],
    }
}

/// Height of one bar with its gap, in units of the chart.
const BAR_STEP: u32 = 10;

/// Lays spans out on a chart that is 1,000 units wide.
fn bars(rows: &[TimelineRow], total_ns: u64) -> Vec<Bar> {
    let scaled = |ns: u64| u128::from(ns) * 100_000 / u128::from(total_ns.max(1));
    let units = |hundredths: u128| format!("{}.{:02}", hundredths / 100, hundredths % 100);
    let bar = |(index, row): (usize, &TimelineRow)| {
        let (start, end) = (scaled(row.start_ns), scaled(row.end_ns));
        Bar {
            x: units(start.min(99_700)),
            y: u32::try_from(index).unwrap_or(0) * BAR_STEP + 2,
            // A span too short to see is drawn as wide as a hairline.
            width: units((end - start).max(300)),
            class: if row.ok { "ok" } else { "no" },
        }
    };
    rows.iter().enumerate().map(bar).collect()
}

/// Returns the last lines of the verification output and what was cut.
fn log(test_log: &[u8]) -> (String, String) {
    let body = test_log.strip_suffix(b"\n").unwrap_or(test_log);
    if body.is_empty() {
        return (String::new(), String::new());
    }
    let all = body.iter().filter(|b| **b == b'\n').count() + 1;
    let mut last: Vec<String> = body.rsplit(|b| *b == b'\n').take(LOG_LINES).map(line_text).collect();
    last.reverse();
    let cut = if all > last.len() {
        format!(
            "Shown are the last {} of {all} lines; test.log has all of them.",
            last.len()
        )
    } else {
        String::new()
    };
    (last.join("\n"), cut)
}
