//! What the gateway itself answers, in the shape that the client of the wire format understands.

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use crate::admit::Refusal;
use crate::order::{Dialect, Route};
use crate::record::{CallOutcome, RefusalReason};
use crate::relay::Relay;

/// The body of a response: what the gateway says, or what the upstream says.
pub(crate) type Reply = Either<Full<Bytes>, Relay>;

fn document(status: StatusCode, value: &Value) -> Response<Reply> {
    let mut response = full(status, Bytes::from(value.to_string()));
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// A response with a body of the gateway's own.
pub(crate) fn full(status: StatusCode, body: Bytes) -> Response<Reply> {
    let mut response = Response::new(Either::Left(Full::new(body)));
    *response.status_mut() = status;
    response
}

/// An error in the wire format's own shape; of no wire format: OpenAI's.
fn error(dialect: Option<Dialect>, status: StatusCode, code: &str, message: &str) -> Response<Reply> {
    let value = match dialect {
        Some(Dialect::Messages) => {
            let kind = match status {
                StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
                StatusCode::NOT_FOUND => "not_found_error",
                _ if status.is_server_error() => "api_error",
                _ => "permission_error",
            };
            json!({"type": "error", "error": {"type": kind, "message": message}})
        }
        _ => json!({"error": {"message": message, "type": "cto_gateway", "param": null, "code": code}}),
    };
    document(status, &value)
}

/// Refuses a request. Nothing that clients repeat by themselves, except where another try can succeed.
pub(crate) fn refused(dialect: Option<Dialect>, refusal: &Refusal, may_wait: bool) -> Response<Reply> {
    let reason = refusal.reason;
    let (status, message) = match reason {
        RefusalReason::ModelNotAdmitted => (StatusCode::FORBIDDEN, "this model is not admitted"),
        RefusalReason::PathNotAdmitted => (StatusCode::NOT_FOUND, "no such method and path here"),
        RefusalReason::HostNotAdmitted => (StatusCode::FORBIDDEN, "this host is not admitted"),
        // The engine is told what it sent; whoever reads its log can mend it.
        RefusalReason::AmbiguousRequest => (StatusCode::FORBIDDEN, refusal.detail.as_str()),
        RefusalReason::UpgradeNotAdmitted => (StatusCode::FORBIDDEN, "no protocol upgrade here"),
        RefusalReason::ProviderToolNotAdmitted(_) => {
            (StatusCode::FORBIDDEN, "a tool that the provider runs is not admitted")
        }
        RefusalReason::BodyUnreadable => (StatusCode::FORBIDDEN, "the body is not the JSON it must be"),
        RefusalReason::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "the request is larger than allowed"),
        RefusalReason::TooMany if may_wait => (StatusCode::TOO_MANY_REQUESTS, "too many calls at a time"),
        RefusalReason::TooMany => (StatusCode::FORBIDDEN, "the run has used up its calls"),
        RefusalReason::RetriesExhausted => (StatusCode::FORBIDDEN, "this request has failed too often"),
        RefusalReason::BudgetExhausted => (StatusCode::FORBIDDEN, "the run has used up its budget"),
    };
    let mut response = error(dialect, status, "refused", message);
    if status == StatusCode::TOO_MANY_REQUESTS {
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    if reason == RefusalReason::PathNotAdmitted {
        response
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
    }
    response
}

/// Says that the upstream's answer cannot be passed on. Another model will be no other next time: not to be repeated.
pub(crate) fn failed(dialect: Dialect, outcome: CallOutcome, message: &str) -> Response<Reply> {
    let status = match outcome {
        CallOutcome::FirstByteTimeout | CallOutcome::IdleTimeout => StatusCode::GATEWAY_TIMEOUT,
        CallOutcome::ModelMismatch | CallOutcome::CredentialEchoed | CallOutcome::UnexpectedStatus => {
            StatusCode::FORBIDDEN
        }
        _ => StatusCode::BAD_GATEWAY,
    };
    error(Some(dialect), status, "upstream", message)
}

/// The admitted models, in a shape that clients of each wire format read.
pub(crate) fn models<'r>(routes: impl Iterator<Item = &'r Route>) -> Response<Reply> {
    let data: Vec<Value> = routes
        .map(|route| {
            json!({
                "id": route.model, "object": "model", "type": "model", "display_name": route.model,
                "owned_by": route.provider, "created": 0, "created_at": "1970-01-01T00:00:00Z",
            })
        })
        .collect();
    document(
        StatusCode::OK,
        &json!({"object": "list", "data": data, "has_more": false}),
    )
}
