//! The events of a run and the chain that binds them.

use askama::Template;
use cto_schema::{Event, Sha256Digest};

use super::live::milliseconds;
use super::run::{RunHead, head};
use crate::bundle_view::BundleView;
use crate::draw;
use crate::view::{Drawn, Mark, Problem, Shell, Site, page};

/// Events of a page.
const ROWS: usize = 500;
/// Longest data of one event that is shown, in bytes.
const DATA: usize = 600;

struct Row {
    seq: u32,
    kind: String,
    ms: u64,
    prev: String,
    mark: Mark,
    data: String,
}

#[derive(Template)]
#[template(path = "events.html")]
struct Events {
    shell: Shell,
    head: RunHead,
    picture: String,
    rows: Vec<Row>,
    total: usize,
    from: usize,
    earlier: Option<String>,
    later: Option<String>,
    whole: Mark,
    content: bool,
}

pub(super) fn events(site: &Site<'_>, run: &str) -> Drawn {
    let view = BundleView::open(site, run)?;
    let content = view.may_show_content(site);
    let bytes = if view.broken() {
        &[]
    } else {
        view.bytes("events.normalized.jsonl")
    };
    let (all, holds) = linked(bytes, nonce(&view));
    let from = match site.ask.parameter("from") {
        None => 0,
        Some(from) => from
            .parse::<usize>()
            .map_err(|_| Problem::NotFound("from is the number of an event".to_owned()))?,
    };
    let rows = all.iter().zip(&holds).skip(from).take(ROWS).map(|(event, held)| Row {
        seq: event.seq,
        kind: event.kind.name(),
        ms: milliseconds(&event.mono_ns),
        prev: event.prev.hex().chars().take(16).collect(),
        mark: if *held {
            Mark::new("good", "linked")
        } else {
            Mark::new("bad", "broken")
        },
        data: if content {
            cto_schema::escape(event.data.to_string().as_bytes(), DATA)
        } else {
            String::new()
        },
    });
    let place = |from: usize| format!("/runs/{}/events?from={from}", view.run_id);
    let whole = match (all.is_empty(), holds.iter().all(|held| *held)) {
        (true, _) => Mark::new("none", "no event was read"),
        (false, true) => Mark::new("good", format!("all {} links hold, recomputed now", all.len())),
        (false, false) => Mark::new("bad", "a link does not hold"),
    };
    page(&Events {
        shell: site.shell(format!("Events of {}", view.run_id), "runs"),
        head: head(&view, "events"),
        picture: if all.is_empty() {
            String::new()
        } else {
            draw::chain(&all, &holds)
        },
        rows: rows.collect(),
        total: all.len(),
        from,
        earlier: (from > 0).then(|| place(from.saturating_sub(ROWS))),
        later: (from + ROWS < all.len()).then(|| place(from + ROWS)),
        whole,
        content,
    })
}

/// Returns the run's nonce: what its sealed report says, else what its journal was opened with.
fn nonce(view: &BundleView) -> Option<Vec<u8>> {
    let reported = view.report.as_ref().map(|report| report.freshness.nonce.clone());
    let opened = || {
        let first = view.bytes("journal.jsonl").split(|byte| *byte == b'\n').next()?;
        match serde_json::from_slice::<cto_schema::JournalRecord>(first).ok()?.event {
            cto_schema::JournalEvent::Opened { nonce, .. } => Some(nonce),
            _ => None,
        }
    };
    data_encoding::HEXLOWER
        .decode(reported.or_else(opened)?.as_bytes())
        .ok()
}

/// Reads the events and says of each whether it names the line before it.
fn linked(bytes: &[u8], nonce: Option<Vec<u8>>) -> (Vec<Event>, Vec<bool>) {
    let mut before = nonce.map(|nonce| Sha256Digest::of(&nonce));
    let (mut events, mut holds) = (Vec::new(), Vec::new());
    for line in bytes.split(|byte| *byte == b'\n') {
        let Ok(event) = serde_json::from_slice::<Event>(line) else {
            continue;
        };
        holds.push(before == Some(event.prev));
        before = Some(Sha256Digest::of(line));
        events.push(event);
    }
    (events, holds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(seq: u32, prev: Sha256Digest) -> String {
        format!(
            "{{\"seq\":{seq},\"ts\":\"2026-11-20T10:00:00Z\",\"mono_ns\":\"1\",\"run_id\":\"r\",\"type\":\"run.started\",\
             \"prev\":\"{prev}\",\"data\":{{}}}}"
        )
    }

    #[test]
    fn a_changed_line_breaks_the_link_after_it() {
        let nonce = vec![7; 32];
        let first = line(0, Sha256Digest::of(&nonce));
        let second = line(1, Sha256Digest::of(first.as_bytes()));
        let whole = format!("{first}\n{second}\n");
        assert_eq!(linked(whole.as_bytes(), Some(nonce.clone())).1, [true, true]);
        let changed = whole.replacen("10:00:00", "11:00:00", 1);
        assert_eq!(linked(changed.as_bytes(), Some(nonce)).1, [true, false]);
        assert_eq!(linked(whole.as_bytes(), None).1, [false, true]);
    }
}
