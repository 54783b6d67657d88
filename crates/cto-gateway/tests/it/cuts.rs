//! The connection to the upstream ends after every single byte of a response.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cto_gateway::{CallOutcome, Dialect, Record};

use crate::streams::{acts, good};
use crate::upstream::{Upstream, document, events, say};
use crate::world::{MODEL, World, path};

/// Serves a response up to the byte that each request names, and looks at what the engine gets.
fn every_cut(dialect: Dialect, response: &[u8], body_at: usize, judge: impl Fn(usize, &crate::wire::Got)) {
    let cut = Arc::new(AtomicUsize::new(0));
    let upstream = {
        let (cut, response) = (Arc::clone(&cut), response.to_vec());
        Upstream::start(move |_, _, stream| say(stream, &response[..cut.load(Ordering::SeqCst)]))
    };
    let world = World::with(upstream, |order| order.limits.calls = 10_000);
    for at in 0..response.len() {
        cut.store(at, Ordering::SeqCst);
        let body = format!(r#"{{"model":"{MODEL}","stream":true,"metadata":{{"at":"{at}"}}}}"#);
        judge(at.saturating_sub(body_at), &world.post(path(dialect), body.as_bytes()));
    }
    let records = world.finish();
    assert_eq!(records.len(), response.len());
    for record in records {
        let Record::Call(call) = record else {
            panic!("{record:?}")
        };
        assert!(!matches!(call.outcome, CallOutcome::EngineGone), "{call:?}");
    }
}

/// Where in a stream the event ends that holds a text.
fn end_of(stream: &str, text: &str) -> usize {
    let at = stream.find(text).unwrap();
    at + stream[at..].find("\n\n").unwrap() + 2
}

fn chunked(dialect: Dialect) {
    let stream = good(dialect);
    let response = events(stream.as_bytes());
    let body_at = response.len() - stream.len() - b"\r\n0\r\n\r\n".len();
    every_cut(dialect, &response, body_at, |at, got| {
        assert!(got.status == 502 || !got.is_whole, "{dialect:?} {at}: {}", got.text());
        for act in acts(dialect) {
            let may = at >= end_of(stream, act);
            assert_eq!(
                got.text().contains(act),
                may && got.status == 200,
                "{dialect:?} {at} {act}"
            );
        }
    });
}

/// The end of the connection is the end of the body: a cut looks like an end.
fn unframed(dialect: Dialect) {
    let stream = good(dialect);
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
    let finished = match dialect {
        Dialect::ChatCompletions => end_of(stream, acts(dialect)[0]),
        _ => stream.len(),
    };
    let response = [head, stream.as_bytes()].concat();
    every_cut(dialect, &response, head.len(), |at, got| {
        let is_good = got.status == 200 && got.is_whole;
        assert!(!is_good || at >= finished, "{dialect:?} {at}: {}", got.text());
        for act in acts(dialect) {
            let may = at >= stream.find(act).unwrap() + act.len();
            assert!(may || !got.text().contains(act), "{dialect:?} {at} {act}");
        }
    });
}

#[test]
fn no_cut_of_chat_completions_finishes_a_call() {
    chunked(Dialect::ChatCompletions);
}

#[test]
fn no_cut_of_responses_finishes_a_call() {
    chunked(Dialect::Responses);
}

#[test]
fn no_cut_of_messages_finishes_a_call() {
    chunked(Dialect::Messages);
}

#[test]
fn no_end_of_the_connection_passes_for_the_end_of_chat_completions() {
    unframed(Dialect::ChatCompletions);
}

#[test]
fn no_end_of_the_connection_passes_for_the_end_of_responses() {
    unframed(Dialect::Responses);
}

#[test]
fn no_end_of_the_connection_passes_for_the_end_of_messages() {
    unframed(Dialect::Messages);
}

#[test]
fn no_cut_of_a_document_is_a_response() {
    let body = format!(
        r#"{{"type":"message","model":"{MODEL}","content":[{{"type":"tool_use","id":"t","name":"Bash","input":{{"command":"ls"}}}}],"stop_reason":"tool_use"}}"#
    );
    let response = document("200 OK", "Content-Type: application/json\r\n", body.as_bytes());
    every_cut(Dialect::Messages, &response, 0, |at, got| {
        assert_eq!(got.status, 502, "{at}: {}", got.text());
    });
}
