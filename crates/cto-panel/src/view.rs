//! What every page has: its frame, its marks, and the words for times and lengths.

use std::sync::Arc;

use askama::Template;
use cto_schema::escape;
use hyper::StatusCode;
use jiff::Timestamp;

use crate::answer::Answer;
use crate::ask::{Ask, encoded};
use crate::asset::{SCRIPT_PLACE, STYLE_PLACE};
use crate::guard::theme_cookie;
use crate::panel::Panel;
use crate::snapshot::Snapshot;

/// Longest text of a run that a page repeats, in bytes.
const TEXT_BYTES: usize = 2_000;

/// A symbol and a word that mean the same as a colour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) class: &'static str,
    pub(crate) symbol: &'static str,
    pub(crate) word: String,
}

impl Mark {
    pub(crate) fn new(class: &'static str, word: impl Into<String>) -> Self {
        let symbol = match class {
            "good" => "✓",
            "bad" => "✗",
            "warn" => "▲",
            "live" => "▶",
            "part" => "◐",
            _ => "–",
        };
        Self {
            class,
            symbol,
            word: word.into(),
        }
    }

    /// Writes the mark for a page.
    pub(crate) fn html(&self) -> String {
        format!(
            "<span class=\"m {}\"><span aria-hidden=\"true\">{}</span> {}</span>",
            self.class,
            self.symbol,
            escaped(&self.word)
        )
    }

    /// The mark of a run's status, as the ledger writes it.
    pub(crate) fn of_status(status: &str) -> Self {
        match status {
            "pass" => Self::new("good", "pass"),
            "fail" => Self::new("bad", "fail"),
            "blocked" => Self::new("warn", "blocked"),
            other => Self::new("none", text(other)),
        }
    }

    /// The mark of a yes or a no, where yes is good.
    pub(crate) fn of_good(yes: bool, words: (&str, &str)) -> Self {
        if yes {
            Self::new("good", words.0)
        } else {
            Self::new("warn", words.1)
        }
    }
}

/// Escapes a text that somebody else chose; the template escapes it for HTML.
pub(crate) fn text(untrusted: &str) -> String {
    escape(untrusted.as_bytes(), TEXT_BYTES)
}

/// Pages of the bar: their address, their key, and their name.
pub(crate) const NAVIGATION: &[(&str, &str, &str)] = &[
    ("/", "overview", "Overview"),
    ("/runs", "runs", "Runs"),
    ("/ladder", "ladder", "Ladder"),
    ("/compare", "compare", "Compare"),
    ("/approvals", "approvals", "Approvals"),
    ("/lanes", "lanes", "Engines"),
    ("/failures", "failures", "Failures"),
    ("/state", "health", "Health"),
    ("/promotion", "promotion", "Promotion"),
    ("/planning", "planning", "Planning"),
    ("/help", "help", "Help"),
];

/// Keys, and what each does.
pub(crate) const KEYS: &[(&str, &str)] = &[
    ("g o", "overview"),
    ("g r", "runs"),
    ("g l", "ladder"),
    ("g a", "approvals"),
    ("/", "to the filter"),
    ("j k", "next and previous row; Enter opens it"),
    ("[ ]", "previous and next check that failed"),
    ("n N", "next and previous change in a diff"),
    ("f", "follow a run that is under way"),
    ("c", "copy the run's name"),
    ("?", "this list"),
];

/// The frame of a page.
#[derive(Debug)]
pub(crate) struct Shell {
    pub(crate) title: String,
    pub(crate) here: &'static str,
    pub(crate) theme: &'static str,
    /// Where the reader is, for a query.
    pub(crate) back: String,
    pub(crate) style: &'static str,
    pub(crate) script: &'static str,
    pub(crate) seq: u32,
    pub(crate) made_at: String,
    pub(crate) ago: String,
    pub(crate) stale: String,
    pub(crate) content: bool,
    pub(crate) version: &'static str,
}

/// How old a snapshot may be before the page says so, in seconds: older than it is renewed by itself.
const STALE: i64 = 150;

/// What a page is drawn from.
#[derive(Debug)]
pub(crate) struct Site<'a> {
    pub(crate) panel: &'a Panel,
    pub(crate) ask: &'a Ask,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) now: Timestamp,
}

impl Site<'_> {
    /// Makes the frame of a page.
    pub(crate) fn shell(&self, title: impl Into<String>, here: &'static str) -> Shell {
        let mut shell = bare_shell(self.panel, self.ask, title, here);
        let age = self.now.as_second() - self.snapshot.made_at.as_second();
        shell.seq = self.snapshot.summary.snapshot_seq;
        shell.made_at = cto_evidence::rfc3339(self.snapshot.made_at);
        shell.ago = ago_seconds(age);
        if age > STALE {
            shell.stale = format!("This was computed {}; nothing newer could be.", ago_seconds(age));
        }
        shell
    }

    /// Writes the end of something, which may well lie in the future.
    pub(crate) fn until(&self, at: &str) -> Time {
        let mut time = Time::new(at, self.now);
        let left = at
            .parse::<Timestamp>()
            .map_or(0, |at| at.as_second() - self.now.as_second());
        if left > 0 {
            time.skewed = false;
            time.ago = format!(
                "in {}",
                milliseconds(u64::try_from(left).unwrap_or(0).saturating_mul(1_000))
            );
        }
        time
    }

    /// Writes an instant for people.
    pub(crate) fn time(&self, at: &str) -> Time {
        Time::new(at, self.now)
    }
}

/// Makes the frame of a page that has no snapshot.
pub(crate) fn bare_shell(panel: &Panel, ask: &Ask, title: impl Into<String>, here: &'static str) -> Shell {
    let theme = match ask.cookie(&theme_cookie(panel.port)) {
        Some("dark") => "dark",
        Some("light") => "light",
        _ => "auto",
    };
    Shell {
        title: title.into(),
        here,
        theme,
        back: encoded(&ask.path),
        style: &STYLE_PLACE,
        script: &SCRIPT_PLACE,
        seq: 0,
        made_at: String::new(),
        ago: String::new(),
        stale: String::new(),
        content: panel.options.evidence_content,
        version: env!("CARGO_PKG_VERSION"),
    }
}

/// An instant: the UTC time, how long ago that is, and whether it lies in the future.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Time {
    pub(crate) utc: String,
    pub(crate) ago: String,
    pub(crate) skewed: bool,
}

impl Time {
    pub(crate) fn new(at: &str, now: Timestamp) -> Self {
        let Ok(instant) = at.parse::<Timestamp>() else {
            return Self {
                utc: text(at),
                ago: String::new(),
                skewed: false,
            };
        };
        let age = now.as_second() - instant.as_second();
        let utc = instant.to_string();
        Self {
            utc: utc.get(..19).unwrap_or(&utc).replace('T', " "),
            ago: ago_seconds(age),
            // A few seconds are what two clocks differ by.
            skewed: age < -5,
        }
    }
}

impl Time {
    /// Writes the instant for a page.
    pub(crate) fn html(&self) -> String {
        let flag = if self.skewed {
            " <span class=\"warn\">▲ in the future</span>"
        } else {
            ""
        };
        format!(
            "<time title=\"{}\">{}</time>{flag}",
            escaped(&self.ago),
            escaped(&self.utc)
        )
    }
}

/// Escapes a text for HTML, as templates do by themselves.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

fn ago_seconds(age: i64) -> String {
    match age {
        ..-5 => "in the future".to_owned(),
        -5..=1 => "just now".to_owned(),
        2..=119 => format!("{age} s ago"),
        120..=7_199 => format!("{} min ago", age / 60),
        7_200..=172_799 => format!("{} h ago", age / 3_600),
        _ => format!("{} days ago", age / 86_400),
    }
}

/// Writes milliseconds for people.
pub(crate) fn milliseconds(ms: u64) -> String {
    cto_evidence::duration_text(ms.saturating_mul(1_000_000))
}

/// Writes a number with its thousands apart.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push('\u{202f}');
        }
        shown.push(digit);
    }
    shown
}

/// Writes bytes for people.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0..1_024 => format!("{bytes} B"),
        1_024..1_048_576 => format!("{}.{} KiB", bytes / 1_024, bytes % 1_024 * 10 / 1_024),
        _ => format!("{}.{} MiB", bytes / 1_048_576, bytes % 1_048_576 * 10 / 1_048_576),
    }
}

/// Why there is no page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// There is no such thing; what was looked for.
    NotFound(String),
    /// It could not be read; why, for people.
    Unavailable(String),
}

/// What a page function returns.
pub(crate) type Drawn = Result<Answer, Problem>;

/// Draws a template. It writes to memory, which cannot fail; an empty page would be a defect, and is refused as one.
pub(crate) fn page(template: &impl Template) -> Drawn {
    match template.render() {
        Ok(html) => Ok(Answer::page(StatusCode::OK, html)),
        Err(error) => Err(Problem::Unavailable(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_say_how_long_ago_and_flag_the_future() {
        let now: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
        let time = |at: &str| Time::new(at, now);
        assert_eq!(time("2026-11-20T11:59:00Z").ago, "60 s ago");
        assert_eq!(time("2026-11-20T10:00:00Z").utc, "2026-11-20 10:00:00");
        assert_eq!(time("2026-11-18T10:00:00Z").ago, "2 days ago");
        assert!(time("2026-11-20T12:05:00Z").skewed && !time("2026-11-20T12:00:03Z").skewed);
        assert_eq!(time("\u{202e}x").utc, "\\u{202e}x");
    }

    #[test]
    fn numbers_are_grouped_and_sizes_have_units() {
        assert_eq!(grouped(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!((grouped(12), grouped(100)), ("12".to_owned(), "100".to_owned()));
        assert_eq!(
            (size(1_536), size(3 << 20)),
            ("1.5 KiB".to_owned(), "3.0 MiB".to_owned())
        );
    }
}
