//! The three wire formats: an answer as events of a stream, or as one document.

mod chat;
mod messages;
mod responses;

use serde_json::{Value, json};

use super::answer::Answer;
use crate::Dialect;

/// When every answer was made: the server knows no clock, so that equal requests have equal answers.
pub(super) const CREATED_AT: u64 = 1_700_000_000;

/// Returns the answer as the events of a stream, each with its frame.
pub(super) fn events(dialect: Dialect, answer: &Answer, include_usage: bool) -> Vec<String> {
    match dialect {
        Dialect::ChatCompletions => chat::events(answer, include_usage),
        Dialect::Responses => responses::events(answer),
        Dialect::Messages => messages::events(answer),
    }
}

/// Returns the answer as one document.
pub(super) fn document(dialect: Dialect, answer: &Answer) -> Value {
    match dialect {
        Dialect::ChatCompletions => chat::document(answer),
        Dialect::Responses => responses::document(answer),
        Dialect::Messages => messages::document(answer),
    }
}

/// Returns the document that goes with an error status.
pub(super) fn error(dialect: Option<Dialect>, status: u16, message: &str) -> Value {
    let kind = match status {
        401 => "authentication_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    };
    if dialect == Some(Dialect::Messages) {
        return json!({ "type": "error", "error": { "type": kind, "message": message } });
    }
    let (kind, code) = match status {
        401 => ("invalid_request_error", json!("invalid_api_key")),
        404 => ("invalid_request_error", json!("model_not_found")),
        429 => ("requests", json!("rate_limit_exceeded")),
        500.. => ("server_error", Value::Null),
        _ => (kind, Value::Null),
    };
    json!({ "error": { "message": message, "type": kind, "param": null, "code": code } })
}

/// Frames one event that has a name.
fn named(name: &str, data: &Value) -> String {
    format!("event: {name}\ndata: {data}\n\n")
}
