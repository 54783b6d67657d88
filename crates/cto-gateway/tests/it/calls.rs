//! Ordinary calls: bytes pass, headers do not, numbers are counted.

use std::thread;
use std::time::Duration;

use cto_gateway::{CallOutcome, CallSide, TokenUsage};

use crate::streams::CHAT;
use crate::upstream::{EVENTS, Upstream, chunk, document, events, json, say};
use crate::wire::request;
use crate::world::{KEY, MODEL, World};

#[test]
fn a_streamed_completion_passes_byte_for_byte_and_is_counted() {
    let world = World::new(Upstream::saying(events(CHAT.as_bytes())));
    let body = format!(
        "{{ \"stream\" : true,\n \"model\":\"{MODEL}\", \"messages\":[{{\"role\":\"user\",\"content\":\"\\u0068i\"}}]}}"
    );
    let headers = "Authorization: Bearer dummy\r\nx-api-key: dummy\r\nCookie: a=b\r\nx-codex-turn-metadata: {}\r\nOpenAI-Organization: o\r\nAccept-Encoding: gzip\r\nUser-Agent: agent\r\n";
    let got = world.raw(request(world.port, "/v1/chat/completions", headers, body.as_bytes()));
    assert_eq!((got.status, got.is_whole, got.text().as_str()), (200, true, CHAT));
    let asked = world.upstream.asked().remove(0);
    assert_eq!(asked.body, body.as_bytes());
    assert_eq!(asked.head.lines().next(), Some("POST /v1/chat/completions HTTP/1.1"));
    assert_eq!(asked.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    assert_eq!(asked.header("accept-encoding"), Some("identity"));
    for name in ["x-api-key", "cookie", "x-codex-turn-metadata", "openai-organization"] {
        assert_eq!(asked.header(name), None, "{name}");
    }
    assert!(
        asked.header("user-agent").unwrap().starts_with("cto/") && !asked.head.contains("dummy"),
        "{}",
        asked.head
    );
    let call = world.call();
    assert_eq!(
        (call.outcome, call.side, call.seq, call.retry),
        (CallOutcome::Completed, CallSide::None, 1, 0)
    );
    assert_eq!(
        (call.served_model.as_deref(), call.finish.as_deref()),
        (Some(MODEL), Some("tool_calls"))
    );
    assert_eq!(
        (call.tool_calls, call.status, call.response_bytes),
        (1, Some(200), CHAT.len() as u64)
    );
    let usage = TokenUsage {
        input: 12,
        cached_input: 8,
        output: 5,
        reasoning: 0,
    };
    assert_eq!(call.usage, Some(usage));
    assert!(call.first_byte_us.unwrap() <= call.duration_us);
}

#[test]
fn a_completion_in_one_document_passes_byte_for_byte() {
    let body = format!(
        "{{\"model\":\"{MODEL}\", \"choices\":[{{\"message\":{{\"content\":\"hi\"}},\"finish_reason\":\"stop\"}}]}}\n"
    );
    let world = World::new(Upstream::saying(json(&body)));
    let got = world.post("/v1/chat/completions", &crate::world::question(false));
    assert_eq!((got.status, got.text()), (200, body));
    assert_eq!(world.call().outcome, CallOutcome::Completed);
}

#[test]
fn another_model_goes_nowhere() {
    let body = br#"{"model":"other","messages":[]}"#;
    let (got, reason) = crate::world::reason("/v1/chat/completions", body, |_| {});
    assert_eq!(
        (got.status, reason),
        (403, cto_gateway::RefusalReason::ModelNotAdmitted)
    );
    assert!(got.text().starts_with("{\"error\":{"), "{}", got.text());
}

#[test]
fn without_a_byte_there_is_no_first_one() {
    // Of the second a decoder makes nothing before the connection ends.
    let packed = zstd::encode_all(CHAT.as_bytes(), 3).unwrap();
    let headers = "Content-Type: text/event-stream\r\nContent-Encoding: zstd\r\n";
    for bytes in [document("500 X", "", b""), document("200 OK", headers, &packed[..3])] {
        let world = World::new(Upstream::saying(bytes));
        assert!(
            world
                .post("/v1/chat/completions", &crate::world::question(true))
                .has_failed()
        );
        let call = world.call();
        assert_eq!((call.first_byte_us, call.response_bytes), (None, 0), "{call:?}");
    }
}

#[test]
fn a_stream_that_goes_on_may_last_longer_than_any_silence() {
    let events: Vec<&str> = CHAT.split_inclusive("\n\n").collect();
    let upstream = Upstream::start(move |_, _, stream| {
        say(stream, EVENTS);
        for event in &events {
            say(stream, &chunk(event.as_bytes()));
            thread::park_timeout(Duration::from_millis(200));
        }
        say(stream, b"0\r\n\r\n");
    });
    let world = World::with(upstream, |order| {
        (order.limits.first_byte_ms, order.limits.idle_ms) = (600, 600);
    });
    let got = world.post("/v1/chat/completions", &crate::world::question(true));
    assert_eq!((got.is_whole, got.text().as_str()), (true, CHAT));
    let call = world.call();
    assert_eq!(call.outcome, CallOutcome::Completed);
    assert!(call.duration_us > 1_000_000, "{call:?}");
}
