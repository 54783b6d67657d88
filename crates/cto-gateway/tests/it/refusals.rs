//! Everything that an engine can ask for and does not get.

use std::io::Write;

use cto_gateway::{Dialect, ProviderTool, RefusalReason};

use crate::streams::{ALL, CHAT, good};
use crate::upstream::{Upstream, events};
use crate::wire::{exchange, request};
use crate::world::{MODEL, World, path, question, reason};

#[test]
fn bodies_that_cannot_be_judged_go_nowhere() {
    let deep = format!("{{\"model\":\"{MODEL}\",\"x\":{}{}}}", "[".repeat(500), "]".repeat(500));
    for body in [
        &b"{\"model\":\"scripted-1\",\"mode\\u006c\":\"scripted-1\"}"[..],
        b"{\"model\":\"scripted-1\",\"model\":\"scripted-1\"}",
        b"{\"model\":\"scripted-1\",\"stream\":1}",
        b"[{\"model\":\"scripted-1\"}]",
        b"{\"model\":\"scripted-1\"} {}",
        b"{\"model\":\"scripted-1\"",
        b"\xff\xfe{\"model\":\"scripted-1\"}",
        b"model=scripted-1",
        b"",
        deep.as_bytes(),
    ] {
        let (got, reason) = reason("/v1/chat/completions", body, |_| {});
        assert_eq!(
            (got.status, reason),
            (403, RefusalReason::BodyUnreadable),
            "{}",
            String::from_utf8_lossy(body)
        );
    }
}

#[test]
fn models_that_are_not_admitted_go_nowhere() {
    for body in [
        "{\"model\":\"scripted-1\",\"model\":\"other\"}",
        "{\"model\":\"other\",\"model\":\"scripted-1\"}",
        // However often the admitted one is named before.
        &format!("{{{}\"model\":\"other\"}}", "\"model\":\"scripted-1\",".repeat(16)),
        "{}",
        "{\"model\":null}",
        "{\"model\":[\"scripted-1\"]}",
        "{\"model\":\"scripted-1 \"}",
        "{\"model\":\"SCRIPTED-1\"}",
        "{\"model\":\"scripted-1:online\"}",
        "{\"model\":\"scripted-1\",\"models\":[\"scripted-1\",\"other\"]}",
        "{\"model\":\"scripted-1\",\"tools\":[{\"type\":\"image_generation\"}]}",
    ] {
        for dialect in ["/v1/chat/completions", "/v1/responses", "/v1/messages?beta=true"] {
            let (got, reason) = reason(dialect, body.as_bytes(), |_| {});
            assert_eq!((got.status, reason), (403, RefusalReason::ModelNotAdmitted), "{body}");
        }
    }
}

#[test]
fn tools_of_the_provider_go_nowhere_unless_admitted() {
    let body = format!("{{\"model\":\"{MODEL}\",\"stream\":true,\"tools\":[{{\"type\":\"web_search\"}}]}}");
    let (got, why) = reason("/v1/responses", body.as_bytes(), |_| {});
    assert_eq!(
        (got.status, why),
        (403, RefusalReason::ProviderToolNotAdmitted(ProviderTool::WebSearch))
    );
    let (_, why) = reason("/v1/responses", body.as_bytes(), |order| {
        order.provider_tools = vec![ProviderTool::Fetch];
    });
    assert_eq!(why, RefusalReason::ProviderToolNotAdmitted(ProviderTool::WebSearch));
    let world = World::with(Upstream::saying(events(good(Dialect::Responses).as_bytes())), |order| {
        order.provider_tools = vec![ProviderTool::WebSearch];
    });
    assert_eq!(world.post("/v1/responses", body.as_bytes()).status, 200);
}

#[test]
fn stored_input_cannot_be_judged() {
    let body = format!("{{\"model\":\"{MODEL}\",\"previous_response_id\":\"r\"}}");
    let (_, why) = reason("/v1/responses", body.as_bytes(), |_| {});
    assert_eq!(why, RefusalReason::AmbiguousRequest);
}

#[test]
fn a_field_that_nobody_knows_goes_nowhere_unless_admitted() {
    let body = format!("{{\"model\":\"{MODEL}\",\"stream\":true,\"of_tomorrow\":{{\"reach\":\"https://x\"}}}}");
    for dialect in ALL {
        let world = World::new(Upstream::saying(""));
        let got = world.post(path(dialect), body.as_bytes());
        let refused = world.refused();
        assert_eq!((got.status, refused.reason), (403, RefusalReason::AmbiguousRequest));
        for text in [refused.detail, got.text()] {
            assert!(
                text.contains("'of_tomorrow'") && text.contains("request_fields: [of_tomorrow]"),
                "{text}"
            );
        }
        let world = World::with(Upstream::saying(events(good(dialect).as_bytes())), |order| {
            order.request_fields = vec!["of_tomorrow".to_owned(), "previous_response_id".to_owned()];
        });
        assert_eq!(world.post(path(dialect), body.as_bytes()).status, 200);
        // What is judged by its value stays judged.
        let stored = body.replace("of_tomorrow", "previous_response_id");
        assert_eq!(world.post(path(dialect), stored.as_bytes()).status, 403);
    }
}

#[test]
fn of_a_long_field_no_part_of_the_name_is_told() {
    let secret = "k3J9dLq0XvB7tYw2ZmN5cRf8HsA1eUgP4oI6";
    let world = World::new(Upstream::saying(""));
    let body = format!("{{\"model\":\"{MODEL}\",\"{secret}\":1}}");
    let got = world.post("/v1/chat/completions", body.as_bytes());
    for text in [world.refused().detail, got.text()] {
        assert!(text.contains("36 bytes") && !text.contains(&secret[..8]), "{text}");
    }
}

#[test]
fn a_list_of_models_is_told_by_the_one_that_is_not_admitted() {
    let world = World::new(Upstream::saying(""));
    let body = format!("{{\"model\":\"{MODEL}\",\"models\":[\"{MODEL}\",\"evil\"]}}");
    world.post("/v1/chat/completions", body.as_bytes());
    let refused = world.refused();
    assert_eq!(
        (refused.reason, refused.model.as_deref()),
        (RefusalReason::ModelNotAdmitted, Some("evil"))
    );
}

#[test]
fn paths_and_wire_formats_that_are_not_admitted_are_not_there() {
    for target in [
        "/v1/files",
        "/v1/messages/count_tokens",
        "/v1/embeddings",
        "/v1/chat/completions?x=y",
        "/admin",
    ] {
        let (got, why) = reason(target, &question(true), |_| {});
        assert_eq!((got.status, why), (404, RefusalReason::PathNotAdmitted), "{target}");
    }
    let (got, why) = reason("/v1/messages", &question(true), |order| {
        order.dialects = vec![Dialect::Responses];
    });
    assert_eq!((got.status, why), (404, RefusalReason::PathNotAdmitted));
    assert!(got.text().contains("\"not_found_error\""), "{}", got.text());
}

/// Requests that could mean something else to somebody else, and why they are refused.
fn smuggled() -> Vec<(String, RefusalReason)> {
    let body = String::from_utf8(question(true)).unwrap();
    let length = body.len();
    let chunked = format!("{length:x}\r\n{body}\r\n0\r\n\r\n");
    let own = "Host: 127.0.0.1:PORT\r\n";
    let post = "POST /v1/chat/completions HTTP/1.1\r\n";
    vec![
        (
            format!("{post}{own}Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}"),
            RefusalReason::AmbiguousRequest,
        ),
        (
            format!("{post}{own}Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n\r\n{chunked}"),
            RefusalReason::AmbiguousRequest,
        ),
        (
            format!("{post}{own}Transfer-Encoding: gzip, chunked\r\n\r\n{chunked}"),
            RefusalReason::AmbiguousRequest,
        ),
        (
            format!("{post}{own}Content-Length: {length}\r\nContent-Length: {length}\r\n\r\n{body}"),
            RefusalReason::AmbiguousRequest,
        ),
        (
            format!("{post}{own}Host: evil.example\r\nContent-Length: {length}\r\n\r\n{body}"),
            RefusalReason::AmbiguousRequest,
        ),
        (
            format!("{post}Content-Length: {length}\r\n\r\n{body}"),
            RefusalReason::AmbiguousRequest,
        ),
        (
            format!("{post}Host: evil.example\r\nContent-Length: {length}\r\n\r\n{body}"),
            RefusalReason::HostNotAdmitted,
        ),
        (
            format!(
                "POST http://evil.example/v1/chat/completions HTTP/1.1\r\n{own}Content-Length: {length}\r\n\r\n{body}"
            ),
            RefusalReason::HostNotAdmitted,
        ),
        (
            format!(
                "POST http://127.0.0.1:PORT/v1/chat/completions HTTP/1.1\r\n{own}Content-Length: {length}\r\n\r\n{body}"
            ),
            RefusalReason::HostNotAdmitted,
        ),
        (
            format!("CONNECT evil.example:443 HTTP/1.1\r\n{own}\r\n"),
            RefusalReason::HostNotAdmitted,
        ),
        (
            format!("{post}{own}Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: {length}\r\n\r\n{body}"),
            RefusalReason::UpgradeNotAdmitted,
        ),
        (
            format!("{post}{own}Expect: 200-ok\r\nContent-Length: {length}\r\n\r\n{body}"),
            RefusalReason::AmbiguousRequest,
        ),
        (
            format!("POST /v1/chat/completions HTTP/1.0\r\n{own}Content-Length: {length}\r\n\r\n{body}"),
            RefusalReason::AmbiguousRequest,
        ),
        (
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
            RefusalReason::AmbiguousRequest,
        ),
        ("nonsense\r\n\r\n".to_owned(), RefusalReason::AmbiguousRequest),
        (
            format!("{post}{own}X: {}\r\n\r\n", "x".repeat(100_000)),
            RefusalReason::AmbiguousRequest,
        ),
        ("\u{16}\u{3}\u{1}\u{2}\u{0}".to_owned(), RefusalReason::AmbiguousRequest),
    ]
}

#[test]
fn requests_that_smuggle_go_nowhere() {
    for (raw, expected) in smuggled() {
        let world = World::new(Upstream::saying(""));
        let raw = raw.replace("PORT", &world.port.to_string());
        let got = world.raw(&raw);
        let shown: String = raw.chars().take(200).collect();
        // To some garbage there is no answer but the end of the connection.
        assert!(got.status == 0 || got.status >= 400, "{shown}: {}", got.status);
        assert_eq!(world.refused().reason, expected, "{shown}");
    }
}

#[test]
fn a_second_request_on_a_connection_is_never_read() {
    let world = World::new(Upstream::saying(events(CHAT.as_bytes())));
    let one = request(world.port, "/v1/chat/completions", "", &question(true));
    let got = world.raw([&one[..], &one[..]].concat());
    assert!(
        got.head.to_ascii_lowercase().contains("connection: close"),
        "{}",
        got.head
    );
    assert_eq!(world.upstream.asked().len(), 1);
    assert_eq!(world.finish().len(), 1);
}

fn packed(encoding: &str, body: &[u8]) -> Vec<u8> {
    let level = flate2::Compression::default();
    match encoding {
        "gzip" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
        "deflate" => {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), level);
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
        _ => zstd::encode_all(body, 3).unwrap(),
    }
}

#[test]
fn compressed_bodies_are_judged_and_forwarded_plain() {
    for encoding in ["zstd", "gzip", "deflate"] {
        let world = World::new(Upstream::saying(events(CHAT.as_bytes())));
        let header = format!("Content-Encoding: {encoding}\r\n");
        let send = |body: &[u8]| {
            let bytes = request(
                world.port,
                path(Dialect::ChatCompletions),
                &header,
                &packed(encoding, body),
            );
            exchange(world.port, &bytes).status
        };
        assert_eq!(send(&question(true)), 200, "{encoding}");
        assert_eq!(send(b"{\"model\":\"other\"}"), 403, "{encoding}");
        assert_eq!(send(&vec![b' '; 40 << 20]), 413, "{encoding}");
        let plain = request(world.port, path(Dialect::ChatCompletions), &header, &question(true));
        assert_eq!(exchange(world.port, &plain).status, 403, "{encoding}");
        let cut = packed(encoding, &question(true));
        let cut = request(
            world.port,
            path(Dialect::ChatCompletions),
            &header,
            &cut[..cut.len() - 3],
        );
        assert_eq!(exchange(world.port, &cut).status, 403, "{encoding}");
        let asked = world.upstream.asked();
        assert_eq!(asked.len(), 1, "{encoding}");
        assert_eq!(asked[0].body, question(true));
        assert_eq!(asked[0].header("content-encoding"), None);
    }
}

#[test]
fn bodies_that_are_too_large_go_nowhere() {
    let body = format!("{{\"model\":\"{MODEL}\",\"x\":\"{}\"}}", "x".repeat(2 << 20));
    let (got, why) = reason("/v1/messages", body.as_bytes(), |order| {
        order.limits.request_bytes = 1 << 20;
    });
    assert_eq!((got.status, why), (413, RefusalReason::TooLarge));
    let world = World::with(Upstream::saying(""), |order| order.limits.request_bytes = 1 << 20);
    let head = format!(
        "POST /v1/messages HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nTransfer-Encoding: chunked\r\n\r\n",
        world.port
    );
    let piece = format!("10000\r\n{}\r\n", "x".repeat(65536));
    assert_eq!(world.raw([head.as_str(), &piece.repeat(32)].concat()).status, 413);
    assert_eq!(world.refused().reason, RefusalReason::TooLarge);
}

#[test]
fn the_gateway_answers_for_itself_what_needs_no_upstream() {
    let world = World::new(Upstream::saying(""));
    let get = |method: &str, target: &str| {
        world.raw(format!(
            "{method} {target} HTTP/1.1\r\nHost: localhost:{}\r\n\r\n",
            world.port
        ))
    };
    let models = get("GET", "/v1/models");
    assert_eq!(models.status, 200);
    assert!(models.text().contains("\"id\":\"scripted-1\""), "{}", models.text());
    assert_eq!((get("GET", "/").status, get("HEAD", "/").status), (200, 200));
    assert_eq!(world.upstream.asked().len(), 0);
    assert_eq!(world.finish(), []);
}
