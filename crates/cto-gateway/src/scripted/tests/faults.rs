//! Every fault, in every format, as a client sees it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::client::{Reply, Request, post};
use super::requests::{conversation, first};
use super::{PATHS, plain, start};
use crate::scripted::{Fault, ScriptedModel, ScriptedOptions};

/// Asks with a credential, for as long as `patience` and as much as `limit`.
fn ask(model: &ScriptedModel, path: &str, name: &str, stream: bool, patience: u64, limit: usize) -> Option<Reply> {
    let request = Request {
        path,
        headers: &[("Authorization", "Bearer key-123")],
        body: first(path, &format!("scripted-{name}"), stream)
            .to_string()
            .into_bytes(),
        patience: Duration::from_millis(patience),
        limit,
        ..Request::default()
    };
    request.send(model.address())
}

fn whole(model: &ScriptedModel, path: &str, name: &str, stream: bool) -> Reply {
    let reply = ask(model, path, name, stream, 20_000, usize::MAX).unwrap();
    assert!(reply.whole, "{name} {path}");
    reply
}

/// Returns the data of the stream's events that are JSON, and how many are not.
fn data(reply: &Reply) -> (Vec<Value>, usize) {
    let events = reply.events();
    let data: Vec<Value> = events
        .iter()
        .filter_map(|(_, data)| serde_json::from_str(data).ok())
        .collect();
    let broken = events.len() - data.len();
    (data, broken)
}

#[test]
fn refusals_have_their_status_and_the_words_of_the_vendor() {
    let model = plain();
    for path in PATHS {
        for (name, status, kind) in [
            ("401", 401, "authentication_error"),
            ("404", 404, "not_found_error"),
            ("429", 429, "rate_limit_error"),
            ("500", 500, "api_error"),
        ] {
            for stream in [true, false] {
                let reply = whole(&model, path, name, stream);
                assert_eq!(reply.status, status);
                let document = reply.json();
                assert!(document["error"]["message"].is_string());
                assert_eq!(document["error"]["type"] == kind, path == PATHS[2], "{document}");
                assert_eq!(
                    reply.headers.get("retry-after").map(String::as_str) == Some("1"),
                    status == 429
                );
            }
        }
    }
}

#[test]
fn a_hang_sends_not_even_a_header_and_a_later_one_half_of_the_answer() {
    let model = plain();
    for path in PATHS {
        for stream in [true, false] {
            assert!(ask(&model, path, "hang", stream, 300, usize::MAX).is_none());
            let begun = Instant::now();
            let half = ask(&model, path, "hang-midway", stream, 300, usize::MAX).unwrap();
            assert!(!half.whole && !half.body.is_empty());
            assert!(
                begun.elapsed() >= Duration::from_millis(300),
                "it waits, it does not break"
            );
        }
    }
}

#[test]
fn a_cut_breaks_the_connection_after_half_of_the_answer() {
    let model = plain();
    for path in PATHS {
        for stream in [true, false] {
            let begun = Instant::now();
            let half = ask(&model, path, "cut", stream, 20_000, usize::MAX).unwrap();
            let good = whole(&model, path, "fix", stream);
            assert!(!half.whole && !half.body.is_empty() && half.body.len() < good.body.len());
            assert!(begun.elapsed() < Duration::from_secs(10), "it breaks, it does not wait");
        }
    }
}

#[test]
fn a_slow_answer_comes_byte_by_byte() {
    let pause = Duration::from_millis(20);
    let model = start(ScriptedOptions {
        drip_pause: pause,
        ..ScriptedOptions::default()
    });
    for path in PATHS {
        let begun = Instant::now();
        let reply = ask(&model, path, "slow", true, 20_000, 400).unwrap();
        let bytes = u32::try_from(reply.body.len()).unwrap();
        assert!((5..120).contains(&bytes), "{bytes}");
        assert!(
            begun.elapsed() >= pause * bytes / 2,
            "{bytes} bytes in {:?}",
            begun.elapsed()
        );
    }
}

#[test]
fn malformed_answers_are_malformed_in_the_way_that_their_names_say() {
    let model = plain();
    for path in PATHS {
        let good = whole(&model, path, "fix", true);
        let lines = whole(&model, path, "malformed-sse", true);
        assert!(lines.text().lines().any(|line| line == "no colon here"));
        let json = whole(&model, path, "malformed-json", true);
        let done = usize::from(path == PATHS[0]);
        assert_eq!(
            (data(&good).1, data(&json).1),
            (done, 1 + done),
            "one event is not JSON"
        );
        for name in ["malformed-sse", "malformed-json"] {
            let document = whole(&model, path, name, false);
            assert!(serde_json::from_slice::<Value>(&document.body).is_err());
        }
    }
}

#[test]
fn an_empty_answer_is_a_good_one_with_nothing_in_it() {
    let model = plain();
    for path in PATHS {
        let reply = whole(&model, path, "empty", true);
        assert!(!reply.text().contains("tool") || path == PATHS[1]);
        assert!(!reply.text().contains("delta\":{\"content\":\"I"));
        let document = whole(&model, path, "empty", false).json();
        let said = match path {
            "/v1/chat/completions" => document["choices"][0]["message"]["content"].is_null(),
            "/v1/responses" => document["output"] == serde_json::json!([]),
            _ => document["content"] == serde_json::json!([]),
        };
        assert!(said, "{document}");
    }
}

#[test]
fn another_model_is_named_everywhere_in_the_answer() {
    let model = plain();
    for path in PATHS {
        let name = "scripted-other-model";
        let reply = whole(&model, path, "other-model", true);
        assert!(reply.text().contains("\"model\":\"another-model\"") && !reply.text().contains(name));
        let document = whole(&model, path, "other-model", false).json();
        assert_eq!(document["model"], "another-model");
    }
}

#[test]
fn truncated_arguments_are_half_of_the_right_ones() {
    let model = plain();
    for path in PATHS {
        let (events, _) = data(&whole(&model, path, "truncated-arguments", true));
        let pieces: String = events.iter().filter_map(piece).collect();
        assert!(pieces.starts_with('{'), "{pieces}");
        assert!(serde_json::from_str::<Value>(&pieces).is_err(), "{pieces}");
        let (events, _) = data(&whole(&model, path, "fix", true));
        let good: String = events.iter().filter_map(piece).collect();
        assert!(serde_json::from_str::<Value>(&good).is_ok() && good.starts_with(&pieces));
    }
}

/// Returns the piece of a tool call's arguments that an event holds, in any format.
fn piece(event: &Value) -> Option<String> {
    let chat = &event["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"];
    let messages = &event["delta"]["partial_json"];
    let responses = &event["delta"];
    let is_responses = event["type"] == "response.function_call_arguments.delta";
    let found = chat.as_str().or_else(|| messages.as_str());
    found
        .or_else(|| responses.as_str().filter(|_| is_responses))
        .map(str::to_owned)
}

#[test]
fn a_bomb_becomes_a_gigabyte_of_blanks() {
    let model = plain();
    for path in PATHS {
        let reply = ask(&model, path, "gzip-bomb", true, 20_000, 1 << 20).unwrap();
        assert_eq!(reply.headers["content-encoding"], "gzip");
        assert_eq!(&reply.body[..3], [0x1f, 0x8b, 8]);
        assert!(reply.body.len() >= 1 << 19);
    }
    let reply = ask(&model, PATHS[0], "gzip-bomb", true, 20_000, usize::MAX).unwrap();
    assert!(reply.whole);
    // Two bytes of opening, units of 13 bytes that become 8 * 258, the end, eight bytes of trailer.
    let deflate = &reply.body[10..reply.body.len() - 8];
    let units = (deflate.len() - 2) / 13 - 1;
    let (begin, end) = (&deflate[..15], &deflate[2 + units * 13..]);
    assert!(deflate[2..2 + units * 13].chunks(13).all(|unit| unit == &begin[2..]));
    let units = u64::try_from(units).unwrap();
    let inflated = inflated_bytes(&[begin, end].concat()) + (units - 1) * 8 * 258;
    assert!(inflated > 1_000_000_000, "{inflated} of {}", reply.body.len());
    assert!(inflated / u64::try_from(reply.body.len()).unwrap() > 100);
}

/// Reads one block of fixed codes that holds blanks and longest matches only; returns what it becomes.
fn inflated_bytes(deflate: &[u8]) -> u64 {
    let mut bits = deflate.iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1));
    let mut take = |count: usize| (0..count).fold(0_u16, |value, _| value << 1 | u16::from(bits.next().unwrap()));
    // The last block, and 01 with its least bit first.
    assert_eq!((take(1), take(2)), (1, 0b10));
    let mut inflated = 0;
    loop {
        let seven = take(7);
        if seven == 0 {
            return inflated;
        }
        match seven << 1 | take(1) {
            0b0101_0000 => inflated += 1,
            0b1100_0101 => {
                assert_eq!(take(5), 0, "distance 1");
                inflated += 258;
            }
            other => panic!("unexpected code {other:b} after {inflated}"),
        }
    }
}

#[test]
fn an_endless_answer_and_a_huge_event_are_larger_than_any_limit() {
    let model = plain();
    for path in PATHS {
        for stream in [true, false] {
            let much = 12 << 20;
            let endless = ask(&model, path, "endless", stream, 20_000, much).unwrap();
            assert!(!endless.whole && endless.body.len() > much / 2);
        }
        let huge = ask(&model, path, "huge-event", true, 20_000, usize::MAX).unwrap();
        assert!(huge.whole);
        let largest = huge.events().iter().map(|(_, data)| data.len()).max().unwrap();
        assert!(largest > 32 << 20);
        let (events, broken) = data(&huge);
        assert_eq!(broken, usize::from(path == PATHS[0]), "it is well formed");
        assert!(events.len() > 3);
    }
}

#[test]
fn pages_and_redirects_are_no_answers() {
    let model = plain();
    for path in PATHS {
        let page = whole(&model, path, "html", true);
        assert_eq!(
            (page.status, page.headers["content-type"].as_str()),
            (200, "text/html; charset=utf-8")
        );
        assert!(page.text().starts_with("<!DOCTYPE html>"));
        let redirect = whole(&model, path, "redirect", true);
        assert_eq!(redirect.status, 307);
        let to = Request {
            path: &redirect.headers["location"],
            ..Request::default()
        };
        to.send(model.address()).unwrap();
        assert_eq!(model.requests().last().unwrap().path, redirect.headers["location"]);
    }
}

#[test]
fn a_wrong_length_promises_more_than_comes() {
    let model = plain();
    for path in PATHS {
        for stream in [true, false] {
            let reply = ask(&model, path, "wrong-length", stream, 20_000, usize::MAX).unwrap();
            let promised: usize = reply.headers["content-length"].parse().unwrap();
            assert_eq!(promised, reply.body.len() + 1000);
        }
    }
}

#[test]
fn an_echo_holds_the_credential_that_was_sent() {
    let model = plain();
    for path in PATHS {
        for stream in [true, false] {
            let reply = whole(&model, path, "echo-credential", stream);
            assert!(reply.text().contains("key-123"), "{}", reply.text());
            assert!(!whole(&model, path, "fix", stream).text().contains("key-123"));
        }
    }
}

#[test]
fn a_fault_comes_when_it_is_due() {
    let statuses = |model: &ScriptedModel, name: &str| -> Vec<u16> {
        let results: [&[String]; 4] = [&[], &[], &["x".to_owned()], &["x".to_owned(), "y".to_owned()]];
        let bodies = results.map(|results| conversation(PATHS[0], name, true, super::requests::PROMPT, results));
        bodies
            .iter()
            .map(|body| post(model.address(), PATHS[0], body).status)
            .collect()
    };
    let with = |fault: &str| {
        start(ScriptedOptions {
            fault: Some(fault.parse().unwrap()),
            ..ScriptedOptions::default()
        })
    };
    assert_eq!(statuses(&with("500"), "any"), [500, 500, 500, 500]);
    assert_eq!(statuses(&with("500:2"), "any"), [200, 500, 200, 200]);
    let once = with("500:once");
    assert_eq!(statuses(&once, "any"), [500, 200, 200, 200]);
    assert_eq!(
        statuses(&once, "any"),
        [500, 200, 200, 200],
        "a conversation that ended is forgotten"
    );
    let plain = plain();
    assert_eq!(statuses(&plain, "scripted-500-at-1"), [500, 500, 200, 200]);
    assert_eq!(statuses(&plain, "scripted-write-429-at-2"), [200, 200, 429, 200]);
    assert_eq!(statuses(&plain, "scripted-500-once"), [500, 200, 200, 200]);
    assert_eq!(
        statuses(&with("500"), "scripted-429-at-2"),
        [200, 200, 429, 200],
        "the name goes before the option"
    );
}

#[test]
fn faults_are_found_by_their_names_and_by_nothing_else() {
    let names: BTreeSet<&str> = Fault::ALL.iter().map(|(fault, ..)| fault.name()).collect();
    assert_eq!(names.len(), Fault::ALL.len());
    for text in ["", "no-fault", "500:", "500:0", "500:x", "500:1:2"] {
        assert!(text.parse::<crate::scripted::FaultPlan>().is_err(), "{text}");
    }
    let plain = plain();
    for name in [
        "scripted-",
        "scripted-fix-",
        "scripted-fix-nothing",
        "scripted-fix-at-2",
        "scripted-once",
    ] {
        let body = first(PATHS[0], name, true);
        let status = post(plain.address(), PATHS[0], &body).status;
        assert_eq!(status, 404, "{name}");
    }
}
