//! Tests of rendering: hostile text in every field comes out inert, and the words are the agreed ones.

use cto_schema::*;
use serde_json::Value;

use super::{ReportView, html, markdown, mend};
use crate::verify::tests_fixture::World;

/// Everything that a terminal, a browser or a Markdown reader could act on.
const HOSTILE: &str = "\u{1b}[2J\u{1b}]0;t\u{7}\u{9b}31m\r\n\u{202e}\u{200b}</pre><script>alert(1)</script>\
<img src=x onerror=alert(1)>\" onload=\"x' `code` ![i](http://evil/x) [l](javascript:1) # h\n    ``` |a|b| \u{2028}&amp; {{ x }}";

fn with_hostile_text(value: &mut Value, text: &str) {
    match value {
        Value::String(old) => {
            // Enumerations, digests and schema ids cannot hold free text.
            *old = text.to_owned();
        }
        Value::Array(items) => items.iter_mut().for_each(|item| with_hostile_text(item, text)),
        Value::Object(map) => map.values_mut().for_each(|item| with_hostile_text(item, text)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Puts a text into every string of a document, one at a time, as far as its type allows.
fn poisoned<T: serde::Serialize + serde::de::DeserializeOwned>(document: &T, text: &str) -> T {
    let mut value = serde_json::to_value(document).unwrap();
    let mut pointers = Vec::new();
    collect(&value, String::new(), &mut pointers);
    for pointer in pointers {
        let mut tried = value.clone();
        with_hostile_text(tried.pointer_mut(&pointer).unwrap(), text);
        if serde_json::from_value::<T>(tried.clone()).is_ok() {
            value = tried;
        }
    }
    serde_json::from_value(value).unwrap()
}

fn collect(value: &Value, at: String, pointers: &mut Vec<String>) {
    match value {
        Value::String(_) => pointers.push(at),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect(item, format!("{at}/{index}"), pointers);
            }
        }
        Value::Object(map) => {
            for (key, item) in map {
                collect(
                    item,
                    format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")),
                    pointers,
                );
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

struct Drawn {
    md: String,
    page: String,
}

fn draw(world: &World, text: Option<&str>) -> Drawn {
    let made = world.make();
    let mut report = made.report.clone();
    let (mut contract, mut write_set, mut spans) =
        (world.contract.clone(), world.write_set.clone(), world.spans.clone());
    let (mut patch, mut log) = (world.patch.clone(), world.test_log.clone());
    if let Some(text) = text {
        report.not_applicable.insert("x".to_owned(), String::new());
        report.failure_reason = Some(String::new());
        report.case_model = Some(String::new());
        report.case_model_provider = Some(String::new());
        if let Some(room) = &mut report.clean_room {
            room.integrity.push(IntegrityFact {
                kind: String::new(),
                path: String::new(),
                detail: String::new(),
                allowed: false,
            });
        }
        if let Some(set) = &mut write_set {
            set.unsafe_entries.push(UnsafeEntry {
                path: PathText::new(text.as_bytes()),
                reason: String::new(),
            });
        }
        report = poisoned(&report, text);
        report.not_applicable.insert(text.to_owned(), text.to_owned());
        contract = poisoned(&contract, text);
        write_set = write_set.map(|set| poisoned(&set, text));
        spans = spans.iter().map(|span| poisoned(span, text)).collect();
        patch.extend_from_slice(text.as_bytes());
        log.extend_from_slice(text.as_bytes());
    }
    let view = ReportView {
        report: &report,
        contract: Some(&contract),
        write_set: write_set.as_ref(),
        spans: &spans,
        patch: &patch,
        test_log: &log,
    };
    Drawn {
        md: markdown(&view),
        page: html(&view),
    }
}

fn worlds() -> [World; 4] {
    [
        World::accepted(),
        World::outside(),
        World::refused(),
        World::interrupted(),
    ]
}

#[test]
fn hostile_text_in_every_field_is_inert() {
    for world in worlds() {
        let drawn = draw(&world, Some(HOSTILE));
        for text in [&drawn.md, &drawn.page] {
            for line in text.split('\n') {
                assert_eq!(escape(line.as_bytes(), usize::MAX), line);
            }
        }
        assert!(
            crate::verify::passive(&drawn.page.to_ascii_lowercase()).is_ok(),
            "{:?}",
            crate::verify::passive(&drawn.page.to_ascii_lowercase())
        );
        for active in ["<script", "<img", "onerror=alert(1)>", "onload=\"x"] {
            assert!(!drawn.page.contains(active), "{active}");
        }
        // In Markdown the text stands in code only: outside of it no hostile mark is left.
        for line in drawn.md.lines().filter(|line| !line.starts_with("    ")) {
            let outside: String = line.split('`').step_by(2).collect();
            assert_eq!(line.matches('`').count() % 2, 0, "{line}");
            assert!(
                !outside.contains("evil") && !outside.contains("<script") && !outside.contains("alert"),
                "{line}"
            );
        }
    }
}

#[test]
fn a_megabyte_in_every_field_stays_small() {
    let drawn = draw(&World::outside(), Some(&"A\u{7}".repeat(500_000)));
    assert!(drawn.md.len() < 300_000, "{}", drawn.md.len());
    assert!(drawn.page.len() < 1_000_000, "{}", drawn.page.len());
}

#[test]
fn the_verdict_comes_first_and_is_never_praise_of_the_code() {
    let accepted = draw(&World::accepted(), None);
    assert!(accepted.md.starts_with("# Verdict: PASS\n"));
    assert!(
        accepted
            .md
            .contains("the verification commands exited 0 on this patch in a clean room; a canary failed as it must")
    );
    for world in worlds() {
        let drawn = draw(&world, None);
        for text in [drawn.md, drawn.page] {
            let lower = text.to_lowercase();
            assert!(!lower.contains("code is correct") && !lower.contains("works correctly"));
            assert!(text.contains("not that its host was sound"));
        }
    }
    let refused = draw(&World::refused(), None);
    assert!(refused.md.starts_with("# Verdict: BLOCKED\n") && refused.md.contains("`gate_missing`"));
    assert!(refused.md.contains("nothing of it was executed"));
    let outside = draw(&World::outside(), None);
    assert!(outside.md.contains("NOT ALLOWED deleted: `notes.md`"), "{}", outside.md);
}

#[test]
fn every_blocker_has_one_sentence_of_mending() {
    for code in BlockerCode::all() {
        let text = mend(*code);
        assert!(text.ends_with('.') && text.len() > 30, "{code:?}");
    }
}

#[test]
fn the_same_view_gives_the_same_bytes() {
    let (a, b) = (draw(&World::accepted(), None), draw(&World::accepted(), None));
    assert_eq!((a.md, a.page), (b.md, b.page));
}
