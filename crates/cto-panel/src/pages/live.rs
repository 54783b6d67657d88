//! What changes while a run is under way, as numbers and names for the page that is open on it.

use bytes::Bytes;
use hyper::StatusCode;
use serde_json::json;

use crate::answer::Answer;
use crate::bundle_view::{BundleView, Standing};
use crate::view::{Drawn, Site};

/// How many of the newest events are told.
const EVENTS: usize = 200;

pub(crate) fn live(site: &Site<'_>, run: &str) -> Drawn {
    let view = BundleView::open(site, run)?;
    let state = match view.standing {
        Standing::Running => "running",
        Standing::Dead => "dead",
        Standing::Sealed => "sealed",
    };
    let events = view.events();
    let from = events.len().saturating_sub(EVENTS);
    // Names and times only: what an event holds is evidence content, and is drawn by the page about it.
    let told: Vec<_> = events
        .iter()
        .skip(from)
        .map(|event| json!({ "seq": event.seq, "type": event.kind.name(), "ms": milliseconds(&event.mono_ns) }))
        .collect();
    let status = view.report.as_ref().map(|report| report.status.word());
    let document = json!({ "state": state, "status": status, "count": events.len(), "events": told });
    Ok(Answer::json(StatusCode::OK, Bytes::from(document.to_string())))
}

/// Reads nanoseconds written as text; a time that is none counts as 0, as everywhere where times are only shown.
pub(super) fn milliseconds(ns: &str) -> u64 {
    ns.parse::<u64>().unwrap_or(0) / 1_000_000
}
