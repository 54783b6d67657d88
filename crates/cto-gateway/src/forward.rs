//! Forwards an admitted call and brings back what may be brought back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Either, Full};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Request, Response, Uri};
use tokio::time::timeout_at;

use crate::admit::{Query, Refusal};
use crate::body;
use crate::call::{Call, Ending, Place};
use crate::decode::{Decoder, Encoding};
use crate::gateway::{Gateway, Served};
use crate::order::Dialect;
use crate::record::{CallOutcome, CallSide};
use crate::relay::Relay;
use crate::reply::{self, Reply};
use crate::request;
use crate::stream::{self, Fault};
use crate::upstream::{outcome_of_status, why_unreachable};
use crate::wire::Wire;

/// Headers of a request that go on, besides those that are set.
const REQUEST_HEADERS: &[&str] = &["anthropic-beta", "anthropic-version", "openai-beta"];

/// Headers of a response that go on.
const RESPONSE_HEADERS: &[&str] = &[
    "content-type",
    "request-id",
    "retry-after",
    "retry-after-ms",
    "x-request-id",
    "x-should-retry",
];

const AGENT: HeaderValue = HeaderValue::from_static(concat!("cto/", env!("CARGO_PKG_VERSION")));

/// The version that Anthropic wants to be named.
const ANTHROPIC_VERSION: HeaderValue = HeaderValue::from_static("2023-06-01");

/// What an upstream says about an error is short.
const MOST_ERROR_BYTES: u64 = 256 << 10;

/// A request to a route's upstream with its credential, and nothing of the engine's but what is on the list.
pub(crate) fn request_to(
    served: &Served,
    dialect: Dialect,
    (method, path): (Method, &str),
    engine: &HeaderMap,
    body: Bytes,
) -> Option<Request<Full<Bytes>>> {
    let base = served.base.to_string();
    let address: Uri = format!("{}{path}", base.trim_end_matches('/')).parse().ok()?;
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    *request.uri_mut() = address;
    let headers = request.headers_mut();
    for name in REQUEST_HEADERS {
        if let Some(value) = engine.get(*name) {
            headers.insert(*name, value.clone());
        }
    }
    headers.insert(USER_AGENT, AGENT);
    headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    match dialect {
        Dialect::Messages => {
            let version = HeaderName::from_static("anthropic-version");
            headers.entry(version).or_insert(ANTHROPIC_VERSION);
            if let Some(key) = &served.key {
                headers.insert(HeaderName::from_static("x-api-key"), key.clone());
            }
        }
        Dialect::ChatCompletions | Dialect::Responses => {
            if let Some(bearer) = &served.bearer {
                headers.insert(AUTHORIZATION, bearer.clone());
            }
        }
    }
    Some(request)
}

/// One call, from the engine's request to the response that it gets.
pub(crate) async fn call(
    gateway: &Arc<Gateway>,
    wire: &Arc<Wire>,
    (dialect, query): (Dialect, Query),
    parts: &Parts,
    incoming: Incoming,
) -> Response<Reply> {
    let came_at = Instant::now();
    let limits = &gateway.order.limits;
    let refuse = |refusal: &Refusal, model: Option<&str>| {
        gateway.refused(refusal, parts.method.as_str(), parts.uri.path(), model);
    };
    let mut place = match Place::of_call(gateway) {
        Ok(place) => place,
        Err(refusal) => {
            refuse(&refusal, None);
            body::drain(incoming, limits.request_bytes).await;
            return reply::refused(Some(dialect), &refusal, true);
        }
    };
    let body = match body::read(&parts.headers, incoming, limits.request_bytes, &mut place).await {
        Ok(body) => body,
        Err(refusal) => {
            refuse(&refusal, None);
            return reply::refused(Some(dialect), &refusal, true);
        }
    };
    let judged = match request::judge(gateway, dialect, &body) {
        Ok(judged) => judged,
        Err(refused) => {
            refuse(&refused.refusal, refused.model.as_deref());
            return reply::refused(Some(dialect), &refused.refusal, false);
        }
    };
    let call = match Call::open(place, &judged, dialect, &body, came_at).await {
        Ok(call) => call,
        Err(refusal) => {
            refuse(&refusal, Some(&judged.served.route.model));
            return reply::refused(Some(dialect), &refusal, false);
        }
    };
    let path = match query {
        Query::None => dialect.upstream_path().to_owned(),
        Query::Beta => format!("{}?beta=true", dialect.upstream_path()),
    };
    let target = (Method::POST, path.as_str());
    match request_to(judged.served, dialect, target, &parts.headers, body) {
        Some(request) => {
            let sending = Sending {
                gateway,
                served: judged.served,
                dialect,
                wire,
            };
            sending.send(request, call).await
        }
        None => {
            let detail = "the upstream's address cannot be used";
            fail(dialect, call, Ending::of_gateway(CallOutcome::NotConfigured, detail))
        }
    }
}

fn fail(dialect: Dialect, call: Call, ending: Ending) -> Response<Reply> {
    call.close(ending);
    reply::failed(dialect, ending.outcome, ending.detail)
}

struct Sending<'s> {
    gateway: &'s Gateway,
    served: &'s Served,
    dialect: Dialect,
    wire: &'s Arc<Wire>,
}

impl Sending<'_> {
    async fn send(&self, request: Request<Full<Bytes>>, mut call: Call) -> Response<Reply> {
        let deadline = tokio::time::Instant::from_std(call.sent_at())
            + Duration::from_millis(self.gateway.order.limits.first_byte_ms);
        let response = match timeout_at(deadline, self.gateway.client.request(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) if error.is_connect() => {
                let ending = Ending::of_upstream(CallOutcome::Unreachable, why_unreachable(&error));
                return fail(self.dialect, call, ending);
            }
            Ok(Err(_)) => {
                let ending = Ending::of_upstream(CallOutcome::Cut, "the connection ended before a response");
                return fail(self.dialect, call, ending);
            }
            Err(_) => {
                let ending = Ending::of_upstream(CallOutcome::FirstByteTimeout, "no response came in time");
                return fail(self.dialect, call, ending);
            }
        };
        let (parts, incoming) = response.into_parts();
        call.status(parts.status.as_u16());
        let (encoding, kind) = match self.head(&parts.headers) {
            Ok(head) => head,
            Err(fault) => return fail(self.dialect, call, fault.into()),
        };
        let mut passed = Response::new(());
        *passed.status_mut() = parts.status;
        for name in RESPONSE_HEADERS {
            if let Some(value) = parts.headers.get(*name) {
                passed.headers_mut().insert(*name, value.clone());
            }
        }
        let reply = match (parts.status.as_u16(), kind) {
            (200, Kind::Events) => self.events(incoming, encoding, call).await,
            (200, Kind::Document) => self.document(incoming, encoding, call).await,
            (200, Kind::Other) => {
                let fault = Fault::Malformed("a response that is neither JSON nor an event stream");
                return fail(self.dialect, call, fault.into());
            }
            (400..=599, _) => self.error(incoming, encoding, parts.status.as_u16(), call).await,
            _ => {
                let detail = "a redirect or another status that is no answer";
                let ending = Ending::of_upstream(CallOutcome::UnexpectedStatus, detail);
                return fail(self.dialect, call, ending);
            }
        };
        match reply {
            Ok(body) => passed.map(|()| body),
            Err(response) => *response,
        }
    }

    /// Judges the head of a response.
    fn head(&self, headers: &HeaderMap) -> Result<(Encoding, Kind), Fault> {
        for (name, value) in headers {
            if self.served.forms.occur_in(value.as_bytes()) {
                return Err(Fault::CredentialEchoed);
            }
            let text = value.to_str().unwrap_or_default().trim();
            let is_other = match name.as_str() {
                "openai-model" => text != self.served.route.model,
                // Proxies say so when another model has answered.
                name => name.contains("fallback") && !matches!(text, "" | "0" | "false" | "no" | "none"),
            };
            if is_other {
                return Err(Fault::ModelMismatch);
            }
        }
        let encoding = Encoding::of(headers).ok_or(Fault::Malformed("an unknown compression, or several"))?;
        let kind = headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let kind = match kind.as_str() {
            "text/event-stream" => Kind::Events,
            "application/json" => Kind::Document,
            _ => Kind::Other,
        };
        Ok((encoding, kind))
    }

    async fn events(&self, incoming: Incoming, encoding: Encoding, call: Call) -> Result<Reply, Box<Response<Reply>>> {
        let limits = &self.gateway.order.limits;
        let admitted = self.gateway.admitted(self.served, self.dialect);
        let failed = |ending: Ending| Box::new(reply::failed(self.dialect, ending.outcome, ending.detail));
        let relay = Relay::new(incoming, encoding, &admitted, limits, (call, Arc::clone(self.wire)));
        let mut relay = relay.map_err(failed)?;
        relay.prime().await.map_err(failed)?;
        Ok(Either::Right(relay))
    }

    async fn document(
        &self,
        incoming: Incoming,
        encoding: Encoding,
        mut call: Call,
    ) -> Result<Reply, Box<Response<Reply>>> {
        let most_bytes = self.gateway.order.limits.response_bytes;
        let (seen, judged) = match self.collect(incoming, encoding, most_bytes, &mut call).await {
            Ok(body) => {
                let admitted = self.gateway.admitted(self.served, self.dialect);
                let (seen, judged) = stream::whole(&admitted, &body);
                (seen, judged.map(|()| body).map_err(Ending::from))
            }
            Err(ending) => (None, Err(ending)),
        };
        if let Some(seen) = &seen {
            call.saw(seen);
        }
        match (judged, seen) {
            (Ok(body), Some(seen)) => {
                call.close(seen.ending());
                Ok(Either::Left(Full::new(body)))
            }
            (Ok(_), None) => Err(Box::new(fail(self.dialect, call, Fault::Cut.into()))),
            (Err(ending), _) => Err(Box::new(fail(self.dialect, call, ending))),
        }
    }

    /// An error of the upstream is the engine's to see, unless it shows the credential or is too long to be one.
    async fn error(
        &self,
        incoming: Incoming,
        encoding: Encoding,
        status: u16,
        mut call: Call,
    ) -> Result<Reply, Box<Response<Reply>>> {
        let outcome = outcome_of_status(status);
        match self.collect(incoming, encoding, MOST_ERROR_BYTES, &mut call).await {
            Ok(body) if self.served.forms.occur_in(&body) => {
                Err(Box::new(fail(self.dialect, call, Fault::CredentialEchoed.into())))
            }
            Ok(body) => {
                call.close(Ending::of_upstream(outcome, "the upstream answered with an error"));
                Ok(Either::Left(Full::new(body)))
            }
            Err(ending) if ending.side == CallSide::Gateway => Err(Box::new(fail(self.dialect, call, ending))),
            Err(_) => {
                let detail = "the upstream answered with an error that could not be read";
                Err(Box::new(fail(self.dialect, call, Ending::of_upstream(outcome, detail))))
            }
        }
    }

    /// Reads a whole body: its first byte and its last one each in time.
    async fn collect(
        &self,
        mut incoming: Incoming,
        encoding: Encoding,
        most_bytes: u64,
        call: &mut Call,
    ) -> Result<Bytes, Ending> {
        let patience = Duration::from_millis(self.gateway.order.limits.first_byte_ms);
        let mut deadline = tokio::time::Instant::from_std(call.sent_at()) + patience;
        let mut decoder = Decoder::new(encoding, most_bytes)?;
        let (mut whole, mut came) = (BytesMut::new(), 0_u64);
        loop {
            let frame = match timeout_at(deadline, incoming.frame()).await {
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(_))) => return Err(Fault::Cut.into()),
                Ok(None) => break,
                Err(_) if came == 0 => {
                    let detail = "no byte of the response came in time";
                    return Err(Ending::of_upstream(CallOutcome::FirstByteTimeout, detail));
                }
                Err(_) => {
                    let detail = "the response did not end in time";
                    return Err(Ending::of_upstream(CallOutcome::IdleTimeout, detail));
                }
            };
            let Ok(piece) = frame.into_data() else { continue };
            if came == 0 {
                deadline = tokio::time::Instant::now() + patience;
            }
            came = came.saturating_add(piece.len() as u64);
            if came > most_bytes {
                return Err(Fault::TooLarge.into());
            }
            let decoded = decoder.feed(piece)?;
            call.came(&decoded);
            if !call.hold(&decoded) {
                let detail = "all calls together hold more than the gateway allows";
                return Err(Ending::of_gateway(CallOutcome::TooLarge, detail));
            }
            whole.extend_from_slice(&decoded);
        }
        let rest = decoder.end()?;
        call.came(&rest);
        whole.extend_from_slice(&rest);
        Ok(whole.freeze())
    }
}

/// What a response says that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Events,
    Document,
    Other,
}
