//! Spans and events as rows of one timeline.

use cto_schema::{Event, Span, escape};

/// Where a row comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// A span of `trace.jsonl`: the harness's own action.
    Harness,
    /// A normalized event of the harness.
    Event,
    /// A normalized event that quotes the engine.
    Engine,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimelineRow {
    /// What happened, escaped.
    pub name: String,
    /// Where it comes from.
    pub lane: Lane,
    /// Start in nanoseconds since the run's start.
    pub start_ns: u64,
    /// End likewise; equal to the start for an event.
    pub end_ns: u64,
    /// Whether the outcome is `ok`; true for events.
    pub ok: bool,
    /// The outcome, escaped; empty for events.
    pub outcome: String,
    /// What was looked at, escaped.
    pub detail: String,
}

/// Rows by start, with the time that they span.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    /// End of the last row, in nanoseconds since the run's start.
    pub total_ns: u64,
    /// Rows, by start and then as recorded.
    pub rows: Vec<TimelineRow>,
}

/// Joins spans and events. A time that is no number counts as 0: a timeline shows, it does not judge.
pub fn timeline(spans: &[Span], events: &[Event]) -> Timeline {
    let ns = |text: &str| text.parse().unwrap_or(0_u64);
    let spans = spans.iter().map(|span| {
        let start_ns = ns(&span.start_ns);
        TimelineRow {
            name: escape(span.name.as_bytes(), 120),
            lane: Lane::Harness,
            start_ns,
            end_ns: ns(&span.end_ns).max(start_ns),
            ok: span.outcome == "ok",
            outcome: escape(span.outcome.as_bytes(), 300),
            detail: escape(span.detail.as_bytes(), 300),
        }
    });
    let events = events.iter().map(|event| {
        let name = event.kind.name();
        let at = ns(&event.mono_ns);
        let lane = if name.starts_with("engine.") {
            Lane::Engine
        } else {
            Lane::Event
        };
        TimelineRow {
            name,
            lane,
            start_ns: at,
            end_ns: at,
            ok: true,
            outcome: String::new(),
            detail: String::new(),
        }
    });
    let mut rows: Vec<TimelineRow> = spans.chain(events).collect();
    rows.sort_by_key(|row| row.start_ns);
    let total_ns = rows.iter().map(|row| row.end_ns).max().unwrap_or(0);
    Timeline { total_ns, rows }
}

/// Writes a length of time for people: `850 µs`, `12 ms`, `3.4 s`, `2 min 05 s`.
pub fn duration_text(ns: u64) -> String {
    match ns {
        0..1_000_000 => format!("{} µs", ns / 1_000),
        1_000_000..1_000_000_000 => format!("{} ms", ns / 1_000_000),
        1_000_000_000..120_000_000_000 => {
            let tenths = ns / 100_000_000;
            format!("{}.{} s", tenths / 10, tenths % 10)
        }
        _ => {
            let seconds = ns / 1_000_000_000;
            format!("{} min {:02} s", seconds / 60, seconds % 60)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_by_start_and_hostile_text_is_inert() {
        let span = |name: &str, start: &str, end: &str| Span {
            name: name.to_owned(),
            start_ns: start.to_owned(),
            end_ns: end.to_owned(),
            outcome: "no\x1b[31m".to_owned(),
            detail: String::new(),
        };
        let made = timeline(&[span("b", "20", "30"), span("a\r", "5", "1")], &[]);
        assert_eq!(made.total_ns, 30);
        assert_eq!((made.rows[0].name.as_str(), made.rows[0].end_ns), ("a\\r", 5));
        assert!(!made.rows[0].ok && !made.rows[0].outcome.contains('\x1b'));
    }

    #[test]
    fn durations_read_like_words() {
        for (ns, text) in [
            (850_999, "850 µs"),
            (12_000_000, "12 ms"),
            (3_499_999_999, "3.4 s"),
            (125 * 1_000_000_000, "2 min 05 s"),
        ] {
            assert_eq!(duration_text(ns), text);
        }
    }
}
