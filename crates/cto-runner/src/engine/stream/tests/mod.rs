//! Claims about readers of streams, on real samples and on what hostile agents make of them.

mod case;

use std::path::PathBuf;

use cto_schema::EventType;
use proptest::prelude::*;

use super::*;
use crate::engine::LogFile;

const SAMPLES: [(EngineParser, &[u8]); 9] = [
    (EngineParser::Codex, include_bytes!("../samples/codex.jsonl")),
    (EngineParser::Codex, include_bytes!("../samples/codex.plan.jsonl")),
    (EngineParser::Codex, include_bytes!("../samples/codex.patch.jsonl")),
    (EngineParser::Pi, include_bytes!("../samples/pi.jsonl")),
    (EngineParser::Claude, include_bytes!("../samples/claude.jsonl")),
    (EngineParser::Opencode, include_bytes!("../samples/opencode.jsonl")),
    (EngineParser::Case, include_bytes!("../samples/case.jsonl")),
    (EngineParser::Case, include_bytes!("../samples/case.book.jsonl")),
    (EngineParser::Jsonl, include_bytes!("../samples/codex.jsonl")),
];

const PARSERS: [EngineParser; 7] = [
    EngineParser::Lines,
    EngineParser::Jsonl,
    EngineParser::Codex,
    EngineParser::Pi,
    EngineParser::Claude,
    EngineParser::Opencode,
    EngineParser::Case,
];

fn description(parser: EngineParser) -> EngineStream {
    let final_event = final_event(parser).unwrap_or("turn.completed");
    let mut text = format!("{{parser: {}, final_event: {final_event}", <&str>::from(parser));
    if parser == EngineParser::Jsonl {
        text.push_str(
            ", jsonl: {name: /type, events: [\
             {name: item.completed, as: message, quote: [/item/type, /item/text]}, \
             {name: turn.completed, as: usage, quote: [/usage], success: {pointer: /usage/cached_input_tokens, equals: 0}}, \
             {name: turn.failed, as: error}, {name: turn.started, as: nothing}]}",
        );
    }
    text.push('}');
    serde_saphyr::from_str(&text).unwrap()
}

/// Case's stream is a log file, every other one is standard output.
fn read_as(parser: EngineParser, bytes: &[u8]) -> Normalized {
    let log = LogFile {
        path: PathBuf::from(".case/cto-task/events/run-1.jsonl"),
        bytes: bytes.to_vec(),
    };
    let is_case = parser == EngineParser::Case;
    let logs = [log];
    let output = EngineOutput {
        stdout: if is_case { b"" } else { bytes },
        stderr: b"",
        logs: if is_case { &logs } else { &[] },
    };
    read(&description(parser), &output)
}

fn read_lines(parser: EngineParser, lines: &[&str]) -> Normalized {
    read_as(parser, format!("{}\n", lines.join("\n")).as_bytes())
}

fn count(normalized: &Normalized, kind: EventType) -> usize {
    normalized.events.iter().filter(|(found, _)| *found == kind).count()
}

/// Events quote the engine, are bounded, and hold nothing that moves a cursor.
fn assert_harmless(normalized: &Normalized) {
    assert!(normalized.events.len() <= 2001);
    for (kind, data) in &normalized.events {
        assert!(kind.name().starts_with("engine."), "{kind}");
        let text = data.to_string();
        assert!(text.len() < 40_000, "{} bytes", text.len());
        assert_eq!(cto_schema::inert_json(text.clone()), text);
    }
    let facts = &normalized.stream;
    for stated in [&facts.failure, &facts.reviewer_rejection, &facts.protocol_error]
        .into_iter()
        .flatten()
    {
        assert_eq!(cto_schema::escape(stated.as_bytes(), 100_000), *stated);
        assert!(!facts.claims_success);
    }
}

#[test]
fn real_runs_end_well_and_are_quoted() {
    use EventType::{EngineFileChange, EngineMessage, EnginePlan, EngineToolCall, EngineUsage};
    for (at, kinds) in [
        (0, vec![(EngineMessage, 2), (EngineToolCall, 2), (EngineUsage, 1)]),
        (1, vec![(EnginePlan, 2), (EngineToolCall, 1), (EngineUsage, 1)]),
        (2, vec![(EngineFileChange, 1), (EngineToolCall, 1), (EngineUsage, 1)]),
        (3, vec![(EngineMessage, 2), (EngineToolCall, 2), (EngineUsage, 3)]),
        (4, vec![(EngineMessage, 2), (EngineToolCall, 2), (EngineUsage, 1)]),
        (5, vec![(EngineMessage, 2), (EngineToolCall, 2), (EngineUsage, 3)]),
        (6, vec![(EnginePlan, 1)]),
        (7, vec![(EnginePlan, 1), (EngineToolCall, 8)]),
        (8, vec![(EngineUsage, 1)]),
    ] {
        let (parser, bytes) = SAMPLES[at];
        let normalized = read_as(parser, bytes);
        assert_harmless(&normalized);
        let facts = &normalized.stream;
        assert!(facts.claims_success && facts.final_event_seen, "{at}: {facts:?}");
        for (kind, expected) in kinds {
            assert_eq!(count(&normalized, kind), expected, "sample {at}: {kind}");
        }
    }
}

#[test]
fn usage_is_quoted_as_numbers() {
    let normalized = read_as(EngineParser::Codex, SAMPLES[0].1);
    let usage = normalized
        .events
        .iter()
        .find(|(kind, _)| *kind == EventType::EngineUsage);
    assert_eq!(usage.unwrap().1["input_tokens"], 30984);
}

#[test]
fn no_proper_prefix_claims_success() {
    for (parser, bytes) in SAMPLES {
        let whole = bytes.trim_ascii_end();
        let ends: Vec<usize> = (0..whole.len())
            .filter(|at| at % 331 == 0 || whole[*at] == b'\n')
            .collect();
        for end in ends.into_iter().chain(whole.len() - 30..whole.len()) {
            let normalized = read_as(parser, &whole[..end]);
            assert_harmless(&normalized);
            assert!(!normalized.stream.claims_success, "{parser:?}: {end} bytes");
        }
        assert!(read_as(parser, whole).stream.claims_success, "{parser:?}");
    }
}

#[test]
fn a_stream_without_its_last_line_does_not_claim_success() {
    for (parser, bytes) in SAMPLES {
        let text = std::str::from_utf8(bytes).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for dropped in 0..lines.len() {
            let mut rest = lines.clone();
            rest.remove(dropped);
            let normalized = read_lines(parser, &rest);
            assert_harmless(&normalized);
            let must_not = dropped + 1 == lines.len();
            assert!(!(must_not && normalized.stream.claims_success), "{parser:?}");
        }
    }
}

#[test]
fn a_stated_failure_stays_wherever_it_stands_and_whatever_follows() {
    for (parser, failure) in [
        (
            EngineParser::Codex,
            r#"{"type":"turn.failed","error":{"message":"no"}}"#,
        ),
        (
            EngineParser::Jsonl,
            r#"{"type":"turn.failed","error":{"message":"no"}}"#,
        ),
        (
            EngineParser::Claude,
            r#"{"type":"result","subtype":"success","is_error":true,"result":"no","permission_denials":[]}"#,
        ),
        (
            EngineParser::Opencode,
            r#"{"type":"error","error":{"name":"x","data":{"message":"no"}}}"#,
        ),
    ] {
        let sample = SAMPLES.iter().find(|(known, _)| *known == parser).unwrap().1;
        let lines: Vec<&str> = std::str::from_utf8(sample).unwrap().lines().collect();
        for at in 0..=lines.len() {
            let mut more = lines.clone();
            more.insert(at, failure);
            let facts = read_lines(parser, &more).stream;
            assert!(facts.failure.is_some_and(|text| text.contains("no")), "{parser:?} {at}");
            assert!(!facts.claims_success);
        }
    }
}

#[test]
fn codex_takes_an_error_item_and_a_reconnection_for_warnings() {
    let lines = [
        r#"{"type":"item.completed","item":{"id":"0","type":"error","message":"metadata"}}"#,
        r#"{"type":"error","message":"Reconnecting... 1/2 (x)"}"#,
        r#"{"type":"turn.completed","usage":{}}"#,
    ];
    assert!(read_lines(EngineParser::Codex, &lines).stream.claims_success);
    let again = [lines[2], r#"{"type":"turn.started"}"#];
    assert!(!read_lines(EngineParser::Codex, &again).stream.final_event_seen);
}

#[test]
fn codex_shows_a_command_that_never_ended() {
    let line = r#"{"type":"item.started","item":{"id":"0","type":"command_execution","command":"sleep 9","status":"in_progress"}}"#;
    let normalized = read_lines(EngineParser::Codex, &[line]);
    assert_eq!(normalized.events[0].1["input"], "sleep 9");
}

#[test]
fn pi_is_judged_by_the_last_answer_before_its_end() {
    let answer = |stop: &str| {
        format!(
            r#"{{"type":"message_end","message":{{"role":"assistant","content":[],"stopReason":"{stop}","errorMessage":"e"}}}}"#
        )
    };
    let end = r#"{"type":"agent_end"}"#;
    for (stop, good) in [
        ("stop", true),
        ("length", false),
        ("error", false),
        ("aborted", false),
        ("toolUse", false),
    ] {
        let facts = read_lines(EngineParser::Pi, &[&answer(stop), end]).stream;
        assert_eq!(facts.claims_success, good, "{stop}: {facts:?}");
        assert!(facts.final_event_seen);
    }
    let retried = read_lines(
        EngineParser::Pi,
        &[&answer("error"), end, r#"{"type":"agent_start"}"#, &answer("stop"), end],
    );
    assert!(retried.stream.claims_success);
    let failed_retry = read_lines(
        EngineParser::Pi,
        &[&answer("stop"), end, r#"{"type":"agent_start"}"#, &answer("error"), end],
    );
    assert!(!failed_retry.stream.claims_success);
    assert!(read_lines(EngineParser::Pi, &[end]).stream.failure.is_some());
}

#[test]
fn a_hundred_megabytes_of_updates_are_dropped() {
    let update = format!("{{\"type\":\"message_update\",\"x\":\"{}\"}}\n", "y".repeat(1 << 20));
    let mut stream = update.repeat(100).into_bytes();
    stream.extend_from_slice(SAMPLES[3].1);
    let normalized = read_as(EngineParser::Pi, &stream);
    assert!(normalized.stream.claims_success);
    assert!(
        normalized
            .events
            .iter()
            .all(|(_, data)| data.get("lines_too_long").is_none())
    );
}

#[test]
fn a_final_line_over_the_limit_is_still_seen() {
    let long = format!(r#"{{"type":"agent_end","messages":["{}"]}}"#, "x".repeat(MAX_LINE));
    let answer = r#"{"type":"message_end","message":{"role":"assistant","content":[],"stopReason":"stop"}}"#;
    assert!(read_lines(EngineParser::Pi, &[answer, &long]).stream.claims_success);
    let long = format!(
        r#"{{"type":"result","is_error":false,"permission_denials":[],"x":"{}"}}"#,
        "x".repeat(MAX_LINE)
    );
    // What cannot be read is no success.
    assert!(read_lines(EngineParser::Claude, &[&long]).stream.failure.is_some());
}

#[test]
fn claude_is_judged_by_is_error_and_denials_not_by_its_subtype() {
    for (rest, good) in [
        (r#""subtype":"success","is_error":false,"permission_denials":[]"#, true),
        (r#""subtype":"success","is_error":true,"permission_denials":[]"#, false),
        (
            r#""subtype":"success","is_error":false,"permission_denials":[{"tool_name":"Bash"}]"#,
            false,
        ),
        (r#""subtype":"success","is_error":false"#, false),
        (r#""subtype":"success","permission_denials":[]"#, false),
        (
            r#""subtype":"success","is_error":"false","permission_denials":[]"#,
            false,
        ),
    ] {
        let line = format!(r#"{{"type":"result",{rest}}}"#);
        assert_eq!(
            read_lines(EngineParser::Claude, &[&line]).stream.claims_success,
            good,
            "{rest}"
        );
    }
}

#[test]
fn opencode_is_judged_by_the_reason_of_its_last_step() {
    let step = |reason: &str| format!(r#"{{"type":"step_finish","part":{{"reason":"{reason}"}}}}"#);
    for (reason, seen, good) in [
        ("stop", true, true),
        ("length", true, false),
        ("unknown", true, false),
        ("tool-calls", false, false),
    ] {
        let facts = read_lines(EngineParser::Opencode, &[&step("stop"), &step(reason)]).stream;
        assert_eq!((facts.final_event_seen, facts.claims_success), (seen, good), "{reason}");
    }
    let begun = read_lines(EngineParser::Opencode, &[&step("stop"), r#"{"type":"step_start"}"#]);
    assert!(!begun.stream.final_event_seen);
}

#[test]
fn what_cannot_be_read_is_counted() {
    let bytes = b"plain text\n{\"type\":\"new.event\"}\n{\"type\":\"error\",\"message\":\"\xff\\u001b[31m\"}\n[1]\n{\"type\":\"turn.comp";
    let normalized = read_as(EngineParser::Codex, bytes);
    assert_harmless(&normalized);
    // Bytes that are no text are still shown.
    assert_eq!(normalized.events[0].1["text"], "\u{fffd}\\u{1b}[31m");
    let counts = &normalized.events.last().unwrap().1;
    assert_eq!(
        (
            &counts["lines_not_json"],
            &counts["events_unknown"],
            &counts["last_line_cut"]
        ),
        (&2.into(), &1.into(), &1.into())
    );
}

#[test]
fn a_flood_of_events_is_cut_and_its_end_is_still_seen() {
    let line = "{\"type\":\"item.completed\",\"item\":{\"type\":\"agent_message\",\"text\":\"x\"}}\n";
    let mut stream = line.repeat(10_000);
    stream.push_str("{\"type\":\"turn.completed\"}\n");
    let normalized = read_as(EngineParser::Codex, stream.as_bytes());
    assert_harmless(&normalized);
    assert!(normalized.stream.claims_success);
    assert_eq!(normalized.events.last().unwrap().1["events_left_out"], 8001);
}

#[test]
fn lines_know_their_final_line_on_standard_output_only() {
    let stream = EngineStream {
        final_event: Some("Done".to_owned()),
        ..description(EngineParser::Lines)
    };
    let said = |stdout: &[u8], stderr: &[u8]| {
        let output = EngineOutput {
            stdout,
            stderr,
            logs: &[],
        };
        read(&stream, &output).stream.claims_success
    };
    assert!(said(b"x\nDone: 1\n", b""));
    assert!(!said(b"not Done\n", b"Done\n"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_bytes_break_a_reader(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        for parser in PARSERS {
            assert_harmless(&read_as(parser, &bytes));
        }
    }

    #[test]
    fn shuffled_and_mangled_samples_are_survived(
        sample in 0..SAMPLES.len(),
        order in proptest::collection::vec(any::<u16>(), 60),
        at in any::<proptest::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let (parser, bytes) = SAMPLES[sample];
        let mut bytes = bytes.to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let mut lines: Vec<(u16, &[u8])> = bytes
            .split(|byte| *byte == b'\n')
            .enumerate()
            .map(|(line, bytes)| (order[line % order.len()], bytes))
            .collect();
        lines.sort();
        let shuffled: Vec<&[u8]> = lines.into_iter().map(|(_, line)| line).collect();
        let shuffled = shuffled.join(&b'\n');
        for parser in [parser, EngineParser::Lines, EngineParser::Jsonl] {
            assert_harmless(&read_as(parser, &shuffled));
        }
    }
}
