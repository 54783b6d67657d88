//! Everything that an upstream can do wrong: the engine never gets a finished tool call out of it.

use std::io::Write;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use cto_gateway::{CallOutcome, CallSide, Dialect, Record, RefusalReason};

use crate::streams::{ALL, acts, good, truncated};
use crate::upstream::{EVENTS, Upstream, chunk, document, events, hold, json, say};
use crate::world::{KEY, MODEL, World, outcome, path, question};

/// Whether something came through on which an engine would act.
fn has_acted(dialect: Dialect, body: &str) -> bool {
    acts(dialect).iter().any(|act| body.contains(act))
}

/// A stream that is wrong: the engine sees an error, never the end.
fn breaks(dialect: Dialect, body: &[u8], expected: CallOutcome) {
    let (got, outcome) = outcome(dialect, Upstream::saying(events(body)), |_| {});
    assert_eq!(outcome, expected, "{dialect:?}: {}", got.text());
    assert!(!has_acted(dialect, &got.text()), "{dialect:?}: {}", got.text());
    assert!(
        got.status >= 400 || !got.is_whole,
        "{dialect:?}: {} {}",
        got.status,
        got.text()
    );
}

#[test]
fn a_truncated_tool_call_is_never_finished() {
    for dialect in ALL {
        breaks(dialect, truncated(dialect).as_bytes(), CallOutcome::TruncatedToolCall);
    }
}

#[test]
fn a_stream_that_has_begun_ends_in_a_reset() {
    for dialect in ALL {
        let body = truncated(dialect);
        let at = body.find("\n\n").unwrap() + 2;
        let at = at + body[at..].find("\n\n").unwrap() + 2;
        let upstream = Upstream::start(move |_, _, stream| {
            say(stream, EVENTS);
            say(stream, &chunk(&body.as_bytes()[..at]));
            hold(stream, Duration::from_millis(200));
            say(stream, &chunk(&body.as_bytes()[at..]));
        });
        let (got, outcome) = outcome(dialect, upstream, |_| {});
        assert_eq!(
            (got.status, outcome),
            (200, CallOutcome::TruncatedToolCall),
            "{dialect:?}"
        );
        assert!(
            got.is_reset && !got.is_whole && !has_acted(dialect, &got.text()),
            "{dialect:?}"
        );
    }
}

#[test]
fn another_model_an_alias_and_no_model_are_never_passed_on() {
    for dialect in ALL {
        for other in ["other", "scripted-1-20260101", "scripted", "SCRIPTED-1", "scripted-1 "] {
            let body = good(dialect).replace(MODEL, other);
            let (got, outcome) = outcome(dialect, Upstream::saying(events(body.as_bytes())), |_| {});
            assert_eq!(
                (got.status, outcome),
                (403, CallOutcome::ModelMismatch),
                "{dialect:?} {other}"
            );
            assert!(!got.text().contains("I look."), "{dialect:?}");
        }
        let body = good(dialect).replace("\"model\":\"scripted-1\"", "\"m\":0");
        breaks(dialect, body.as_bytes(), CallOutcome::ModelMismatch);
    }
}

#[test]
fn a_model_that_changes_in_the_middle_breaks_the_stream() {
    for dialect in [Dialect::ChatCompletions, Dialect::Responses] {
        let body = good(dialect);
        let at = body.rfind(MODEL).unwrap();
        let body = format!("{}other{}", &body[..at], &body[at + MODEL.len()..]);
        let world = World::new(Upstream::saying(events(body.as_bytes())));
        let got = world.post(path(dialect), &question(true));
        assert!(got.has_failed(), "{dialect:?}: {}", got.text());
        assert!(!got.text().contains("[DONE]") && !got.text().contains("response.completed"));
        let call = world.call();
        assert_eq!(
            (call.outcome, call.served_model.as_deref()),
            (CallOutcome::ModelMismatch, Some("other"))
        );
    }
}

#[test]
fn a_header_that_tells_of_another_model_is_believed() {
    for header in [
        "x-litellm-attempted-fallbacks: 1",
        "openai-model: other",
        "X-Fallback-Model: other",
    ] {
        let body = events(good(Dialect::Responses).as_bytes());
        let head = format!("HTTP/1.1 200 OK\r\n{header}\r\n");
        let bytes = [head.as_bytes(), &body[b"HTTP/1.1 200 OK\r\n".len()..]].concat();
        let (got, outcome) = outcome(Dialect::Responses, Upstream::saying(bytes), |_| {});
        assert_eq!((got.status, outcome), (403, CallOutcome::ModelMismatch), "{header}");
    }
}

#[test]
fn documents_are_judged_before_a_byte_goes_on() {
    let chat = |model: &str, arguments: &str| {
        format!(
            r#"{{"model":"{model}","choices":[{{"message":{{"tool_calls":[{{"function":{{"name":"bash","arguments":"{arguments}"}}}}]}},"finish_reason":"tool_calls"}}]}}"#
        )
    };
    let cases = [
        (json(&chat("other", "{}")), CallOutcome::ModelMismatch),
        (json(&chat(MODEL, r#"{\"a\":"#)), CallOutcome::TruncatedToolCall),
        (
            json(&chat(MODEL, "{}").replace("\"choices\"", "\"model\":\"other\",\"choices\"")),
            CallOutcome::Malformed,
        ),
        (
            json(&format!("{{\"usage\":NaN,\"model\":\"{MODEL}\"}}")),
            CallOutcome::Malformed,
        ),
        (
            document("200 OK", "Content-Type: text/html\r\n", b"<html>"),
            CallOutcome::Malformed,
        ),
        (
            document("200 OK", "Content-Type: application/json\r\n", b"<html>"),
            CallOutcome::Malformed,
        ),
        (document("200 OK", "", b"{}"), CallOutcome::Malformed),
        (
            document("204 No Content", "Content-Type: application/json\r\n", b""),
            CallOutcome::UnexpectedStatus,
        ),
        (json(&chat(MODEL, "{}"))[..90].to_vec(), CallOutcome::Cut),
        (b"HTTP/1.1 200 OK\r\n".to_vec(), CallOutcome::Cut),
        (b"".to_vec(), CallOutcome::Cut),
        (b"nonsense\r\n\r\n".to_vec(), CallOutcome::Cut),
    ];
    for (bytes, expected) in cases {
        let shown = String::from_utf8_lossy(&bytes).into_owned();
        let (got, outcome) = outcome(Dialect::ChatCompletions, Upstream::saying(bytes), |_| {});
        assert_eq!(outcome, expected, "{shown}");
        assert!(got.status >= 400 && got.is_whole, "{shown}: {}", got.status);
        assert!(!got.text().contains("tool_calls"), "{shown}");
    }
}

#[test]
fn a_length_that_lies_is_a_cut_or_no_json() {
    let body = format!(r#"{{"model":"{MODEL}","choices":[{{"message":{{"content":"hi"}},"finish_reason":"stop"}}]}}"#);
    for (length, expected) in [
        (body.len() + 1, CallOutcome::Cut),
        (body.len() - 1, CallOutcome::Malformed),
    ] {
        let head = format!(
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        let upstream = Upstream::saying(format!("{head}{body}"));
        let (got, outcome) = outcome(Dialect::ChatCompletions, upstream, |_| {});
        assert_eq!((got.status, outcome), (502, expected));
    }
}

#[test]
fn events_that_are_no_events_break_the_stream() {
    for dialect in ALL {
        let stream = good(dialect);
        let first = stream.find("\n\n").unwrap() + 2;
        for wrong in [
            &b"data: {\"model\":\"scripted-1\"\n\n"[..],
            b"data: \xff\n\n",
            b"data: {}\rdata: {}\n\n",
            b"<html>\n\n",
            b"data: {\"type\":\"a\",\"type\":\"a\"}\n\n",
        ] {
            let body = [&stream.as_bytes()[..first], wrong, &stream.as_bytes()[first..]].concat();
            breaks(dialect, &body, CallOutcome::Malformed);
        }
        let more = [stream.as_bytes(), b"data: {\"type\":\"ping\"}\n\n"].concat();
        let (got, outcome) = outcome(dialect, Upstream::saying(events(&more)), |_| {});
        assert_eq!(
            (outcome, got.has_failed()),
            (CallOutcome::Malformed, true),
            "{dialect:?}"
        );
    }
    let disguised = good(Dialect::Messages).replace("event: ping", "event: content_block_stop");
    breaks(Dialect::Messages, disguised.as_bytes(), CallOutcome::Malformed);
}

#[test]
fn a_stream_without_end_is_ended() {
    let piece =
        b"data: {\"model\":\"scripted-1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"la \"}}]}\n\n".repeat(100);
    let upstream = Upstream::start(move |_, _, stream| {
        say(stream, EVENTS);
        while stream.write_all(&chunk(&piece)).is_ok() {}
    });
    let (got, outcome) = outcome(Dialect::ChatCompletions, upstream, |order| {
        order.limits.response_bytes = 2 << 20;
    });
    assert_eq!((outcome, got.is_whole), (CallOutcome::TooLarge, false));
    assert!(got.body.len() <= 2 << 20);
}

#[test]
fn an_event_without_end_is_ended_and_costs_no_memory() {
    let upstream = Upstream::start(|_, _, stream| {
        say(stream, EVENTS);
        say(stream, &chunk(b"data: {\"a\":\""));
        let piece = chunk(&[b'x'; 65536]);
        while stream.write_all(&piece).is_ok() {}
    });
    let world = World::with(upstream, |order| order.limits.event_bytes = 1 << 20);
    let got = world.post("/v1/messages", &question(true));
    assert_eq!(got.status, 502);
    let status = std::fs::read_to_string(format!("/proc/{}/status", world.gateway.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < 64 << 10, "{peak} KiB");
    assert_eq!(world.call().outcome, CallOutcome::TooLarge);
}

/// Sends bytes one at a time, until nobody listens.
fn drip(head: &'static [u8], bytes: &'static [u8], pause: Duration) -> Upstream {
    Upstream::start(move |_, _, stream| {
        say(stream, head);
        for byte in bytes.iter().cycle() {
            if stream.write_all(&chunk(&[*byte])).is_err() || hold(stream, pause) {
                return;
            }
        }
    })
}

#[test]
fn one_byte_at_a_time_is_no_progress() {
    let long: &[u8] = b"data: {\"model\":\"scripted-1\",\"choices\":[]}    \n\n";
    for (bytes, expected) in [
        (long, CallOutcome::IdleTimeout),
        // Keep-alives for ever are not, either.
        (b": \n\n", CallOutcome::IdleTimeout),
    ] {
        let upstream = drip(EVENTS, bytes, Duration::from_millis(20));
        let began = Instant::now();
        let (got, outcome) = outcome(Dialect::ChatCompletions, upstream, |order| {
            (order.limits.first_byte_ms, order.limits.idle_ms) = (700, 400);
        });
        assert_eq!(outcome, expected, "{}", got.text());
        assert!(!got.is_whole || got.status == 504);
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}

#[test]
fn silence_is_timed_out_wherever_it_falls() {
    let heads: [&'static [u8]; 3] = [
        b"",
        EVENTS,
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n",
    ];
    for head in heads {
        let upstream = Upstream::start(move |_, _, stream| {
            say(stream, head);
            assert!(
                hold(stream, Duration::from_secs(10)),
                "the gateway keeps a silent upstream"
            );
        });
        let (got, outcome) = outcome(Dialect::Responses, upstream, |order| order.limits.first_byte_ms = 300);
        assert_eq!((got.status, outcome), (504, CallOutcome::FirstByteTimeout));
    }
    let upstream = Upstream::start(|_, _, stream| {
        let body = good(Dialect::Responses).as_bytes();
        say(stream, EVENTS);
        say(stream, &chunk(&body[..body.len() - 40]));
        assert!(
            hold(stream, Duration::from_secs(10)),
            "the gateway keeps a silent upstream"
        );
    });
    let (got, outcome) = outcome(Dialect::Responses, upstream, |order| order.limits.idle_ms = 300);
    assert_eq!((got.is_whole, outcome), (false, CallOutcome::IdleTimeout));
    assert!(!got.text().contains("response.completed"));
}

#[test]
fn a_bomb_is_no_response() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&vec![b' '; 80 << 20]).unwrap();
    let bomb = encoder.finish().unwrap();
    assert!(bomb.len() < 100_000);
    for kind in ["text/event-stream", "application/json"] {
        let headers = format!("Content-Type: {kind}\r\nContent-Encoding: gzip\r\n");
        let upstream = Upstream::saying(document("200 OK", &headers, &bomb));
        let (got, outcome) = outcome(Dialect::Messages, upstream, |order| {
            order.limits.response_bytes = 4 << 20;
        });
        assert_eq!((got.status, outcome), (502, CallOutcome::TooLarge), "{kind}");
    }
}

#[test]
fn a_redirect_is_not_followed() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    for status in [301, 302, 303, 307, 308] {
        let headers = format!(
            "Location: http://{}/v1/chat/completions\r\n",
            elsewhere.local_addr().unwrap()
        );
        let upstream = Upstream::saying(document(&format!("{status} Moved"), &headers, b""));
        let (got, outcome) = outcome(Dialect::ChatCompletions, upstream, |_| {});
        assert_eq!((got.status, outcome), (403, CallOutcome::UnexpectedStatus), "{status}");
        assert!(!got.head.to_ascii_lowercase().contains("location"), "{}", got.head);
    }
    assert!(elsewhere.accept().is_err());
}

#[test]
fn statuses_are_told_apart_and_passed_on() {
    for (status, expected) in [
        (400, CallOutcome::Rejected),
        (401, CallOutcome::Unauthorized),
        (403, CallOutcome::Unauthorized),
        (404, CallOutcome::NotFound),
        (429, CallOutcome::RateLimited),
        (500, CallOutcome::UpstreamError),
        (529, CallOutcome::UpstreamError),
    ] {
        let headers = "Content-Type: application/json\r\nRetry-After: 7\r\nServer: s\r\nSet-Cookie: a=b\r\n";
        let bytes = document(&format!("{status} X"), headers, b"{\"error\":{\"message\":\"no\"}}");
        let world = World::new(Upstream::saying(bytes));
        let got = world.post("/v1/responses", &question(true));
        assert_eq!(
            (got.status, got.text().as_str()),
            (status, "{\"error\":{\"message\":\"no\"}}")
        );
        let head = got.head.to_ascii_lowercase();
        assert!(head.contains("retry-after: 7"), "{head}");
        assert!(!head.contains("cookie") && !head.contains("server:"), "{head}");
        let call = world.call();
        assert_eq!(
            (call.outcome, call.status, call.side),
            (expected, Some(status), CallSide::Upstream)
        );
    }
}

#[test]
fn a_failing_body_is_repeated_as_often_as_allowed() {
    let upstream = Upstream::saying(document("429 Too Many", "Retry-After: 1\r\n", b"{}"));
    let world = World::with(upstream, |order| order.limits.retries = 2);
    let statuses: Vec<u16> = (0..5)
        .map(|_| world.post("/v1/responses", &question(true)).status)
        .collect();
    assert_eq!(statuses, [429, 429, 429, 403, 403]);
    assert_eq!(world.upstream.asked().len(), 3);
    let records = world.finish();
    let told: Vec<String> = records
        .iter()
        .map(|record| match record {
            Record::Call(call) => format!("{} {}", call.seq, call.retry),
            Record::Refused(refused) => format!("{} {:?}", refused.seq, refused.reason),
            other => format!("{other:?}"),
        })
        .collect();
    let exhausted = format!("{:?}", RefusalReason::RetriesExhausted);
    assert_eq!(
        told,
        [
            "1 0",
            "2 1",
            "3 2",
            &format!("4 {exhausted}"),
            &format!("5 {exhausted}")
        ]
    );
}

#[test]
fn nobody_there_is_unreachable() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = free.local_addr().unwrap().port();
    drop(free);
    let (got, outcome) = outcome(Dialect::Messages, Upstream::saying(""), |order| {
        order.routes[0].base_url = format!("http://127.0.0.1:{nobody}");
    });
    assert_eq!((got.status, outcome), (502, CallOutcome::Unreachable));
    assert!(got.text().starts_with("{\"error\":{") && got.text().contains("\"type\":\"api_error\""));
    assert!(!got.text().contains(&nobody.to_string()));
    // A server that speaks no TLS where TLS is wanted.
    let (got, outcome) = outcome_of_tls();
    assert_eq!((got, outcome), (502, CallOutcome::Unreachable));
}

fn outcome_of_tls() -> (u16, CallOutcome) {
    let upstream = Upstream::saying("HTTP/1.1 200 OK\r\n\r\n");
    let port = upstream.port;
    let (got, outcome) = outcome(Dialect::Messages, upstream, |order| {
        order.routes[0].base_url = format!("https://127.0.0.1:{port}");
        order.limits.connect_ms = 300;
    });
    (got.status, outcome)
}

#[test]
fn only_reasoning_is_told_apart() {
    let chunk =
        r#"{"model":"scripted-1","choices":[{"index":0,"delta":{"reasoning_content":"hm"},"finish_reason":"length"}]}"#;
    let body = format!("data: {chunk}\n\ndata: [DONE]\n\n");
    let (got, outcome) = outcome(
        Dialect::ChatCompletions,
        Upstream::saying(events(body.as_bytes())),
        |_| {},
    );
    assert_eq!(
        (got.text(), got.is_whole, outcome),
        (body, true, CallOutcome::ReasoningOnly)
    );
}

#[test]
fn a_usage_that_cannot_be_is_none() {
    for usage in [
        "{\"prompt_tokens\":-1,\"completion_tokens\":5}",
        "{}",
        "null",
        "7",
        "{\"prompt_tokens\":1e9}",
    ] {
        let body = good(Dialect::ChatCompletions);
        let at = body.find("\"usage\":").unwrap() + "\"usage\":".len();
        let end = body[at..].find("}\n\n").unwrap() + at;
        let body = format!("{}{usage}{}", &body[..at], &body[end..]);
        let world = World::new(Upstream::saying(events(body.as_bytes())));
        let got = world.post("/v1/chat/completions", &question(true));
        assert!(got.is_whole, "{usage}: {}", got.text());
        let call = world.call();
        assert_eq!((call.outcome, call.usage), (CallOutcome::Completed, None), "{usage}");
    }
}

#[test]
fn an_error_inside_the_stream_is_passed_on_as_one() {
    for (dialect, error) in [
        (
            Dialect::ChatCompletions,
            "data: {\"error\":{\"message\":\"overloaded\"}}\n\n",
        ),
        (
            Dialect::Responses,
            "event: error\ndata: {\"type\":\"error\",\"message\":\"overloaded\"}\n\n",
        ),
        (
            Dialect::Messages,
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}\n\n",
        ),
    ] {
        let (got, outcome) = outcome(dialect, Upstream::saying(events(error.as_bytes())), |_| {});
        assert_eq!(
            (got.text().as_str(), got.is_whole, outcome),
            (error, true, CallOutcome::UpstreamError)
        );
    }
}

#[test]
fn the_credential_never_comes_back() {
    let base64 = data_encoding::BASE64.encode(format!("x{KEY}y").as_bytes());
    let hex = data_encoding::HEXLOWER.encode(KEY.as_bytes());
    let percent = KEY.replace('/', "%2F").replace('+', "%2b").replace("%2b", "%2B");
    let good = good(Dialect::Messages);
    for secret in [KEY.to_owned(), base64, hex, percent] {
        let body = good.replace("I look.", &secret);
        let (got, outcome) = outcome(Dialect::Messages, Upstream::saying(events(body.as_bytes())), |_| {});
        assert_eq!(
            (outcome, got.has_failed()),
            (CallOutcome::CredentialEchoed, true),
            "{secret}"
        );
        assert!(!got.text().contains(&secret), "{secret}");
    }
    let with_header = document("500 X", &format!("Request-Id: {KEY}\r\n"), b"{}");
    let with_error = document(
        "401 X",
        "Content-Type: text/plain\r\n",
        format!("bad key {KEY}").as_bytes(),
    );
    for bytes in [with_header, with_error] {
        let (got, outcome) = outcome(Dialect::Messages, Upstream::saying(bytes), |_| {});
        assert_eq!((got.status, outcome), (403, CallOutcome::CredentialEchoed));
        assert!(!got.head.contains(KEY) && !got.text().contains(KEY));
    }
    // A piece of it in each delta: what has gone out before is too little to be of use.
    let delta = |text: &str| {
        format!(
            "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":\"{text}\"}}}}\n\n"
        )
    };
    let pieces: String = KEY
        .as_bytes()
        .chunks(3)
        .map(|piece| delta(std::str::from_utf8(piece).unwrap()))
        .collect();
    let body = good.replace(&delta("I look."), &pieces);
    assert_ne!(body, good);
    let (got, outcome) = outcome(Dialect::Messages, Upstream::saying(events(body.as_bytes())), |_| {});
    assert_eq!(outcome, CallOutcome::CredentialEchoed);
    assert!(got.text().matches("text_delta").count() <= 2, "{}", got.text());
}
