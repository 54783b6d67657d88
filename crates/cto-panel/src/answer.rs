//! An answer: status, body and the headers that every answer carries.

use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

use crate::body::PanelBody;

/// The policy of every page: nothing but this server's own script and style, and no way to make a script of text.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
                      trusted-types 'none'";

/// Headers of every answer, besides the policy.
const HEADERS: [(&str, &str); 9] = [
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-embedder-policy", "require-corp"),
    ("cross-origin-resource-policy", "same-origin"),
    (
        "permissions-policy",
        "camera=(), microphone=(), geolocation=(), payment=(), usb=(), clipboard-read=(), clipboard-write=(self)",
    ),
    ("origin-agent-cluster", "?1"),
    ("cache-control", "no-store"),
];

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: PanelBody,
}

impl Answer {
    fn new(status: StatusCode, kind: &'static str, body: PanelBody) -> Self {
        let mut headers = HeaderMap::new();
        for (name, value) in HEADERS {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        Self { status, headers, body }
    }

    /// A page.
    pub(crate) fn page(status: StatusCode, html: String) -> Self {
        Self::new(status, "text/html; charset=utf-8", PanelBody::whole(html.into()))
    }

    /// A document for programs.
    pub(crate) fn json(status: StatusCode, body: Bytes) -> Self {
        Self::new(status, "application/json; charset=utf-8", PanelBody::whole(body))
    }

    /// One of a closed set of errors; no path and no message goes out.
    pub(crate) fn error(error: ApiError) -> Self {
        let (status, word) = error.parts();
        let mut answer = Self::json(status, Bytes::from(format!("{{\"error\":\"{word}\"}}")));
        if error == ApiError::ReadOnly {
            answer.set(header::ALLOW, "GET, HEAD");
        }
        if error == ApiError::Unavailable {
            answer.set(header::RETRY_AFTER, "5");
        }
        answer
    }

    /// Bytes of evidence to keep: never shown in the browser, whatever they are.
    pub(crate) fn download(name: &str, bytes: Vec<u8>) -> Self {
        let mut answer = Self::new(
            StatusCode::OK,
            "text/plain; charset=utf-8",
            PanelBody::whole(bytes.into()),
        );
        // The name comes from a closed alphabet: a run's name and a file of ours.
        answer.set(header::CONTENT_DISPOSITION, &format!("attachment; filename=\"{name}\""));
        answer.set(header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox");
        answer
    }

    /// A file of the panel itself; its name holds its digest, so it may be kept for ever.
    pub(crate) fn asset(kind: &'static str, bytes: &'static [u8]) -> Self {
        let mut answer = Self::new(StatusCode::OK, kind, PanelBody::whole(Bytes::from_static(bytes)));
        answer.set(header::CACHE_CONTROL, "public, max-age=31536000, immutable");
        answer
    }

    /// A stream of events.
    pub(crate) fn stream(body: PanelBody) -> Self {
        Self::new(StatusCode::OK, "text/event-stream; charset=utf-8", body)
    }

    /// Sends the browser to another page of this panel.
    pub(crate) fn to(place: &str) -> Self {
        let mut answer = Self::new(
            StatusCode::SEE_OTHER,
            "text/plain; charset=utf-8",
            PanelBody::whole(Bytes::new()),
        );
        answer.set(header::LOCATION, place);
        answer
    }

    /// Nothing changed.
    pub(crate) fn unchanged() -> Self {
        Self::new(
            StatusCode::NOT_MODIFIED,
            "application/json; charset=utf-8",
            PanelBody::whole(Bytes::new()),
        )
    }

    /// Sets a header; a value that cannot be one is left out.
    pub(crate) fn set(&mut self, name: HeaderName, value: &str) {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
    }

    /// Keeps the headers and drops the body, for HEAD.
    pub(crate) fn without_body(mut self) -> Self {
        if let Some(length) = self.body.length() {
            self.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        self.body = PanelBody::whole(Bytes::new());
        self
    }

    pub(crate) fn into_response(self) -> Response<PanelBody> {
        let mut response = Response::new(self.body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}

/// The errors of the interface for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ApiError {
    /// Nobody knows who asks.
    Unauthorized,
    /// Something else than looking was asked for.
    ReadOnly,
    /// There is no such thing.
    NotFound,
    /// There is no snapshot, or no place for another stream.
    Unavailable,
    /// The request came under a name that is not this server's.
    Misdirected,
    /// Another site's page asked.
    CrossSite,
    /// The address is too long.
    TooLarge,
    /// The headers are too long.
    HeadTooLarge,
}

impl ApiError {
    pub(crate) fn parts(self) -> (StatusCode, &'static str) {
        match self {
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized"),
            Self::ReadOnly => (StatusCode::METHOD_NOT_ALLOWED, "read_only"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found"),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            Self::Misdirected => (StatusCode::MISDIRECTED_REQUEST, "misdirected"),
            Self::CrossSite => (StatusCode::FORBIDDEN, "cross_site"),
            Self::TooLarge => (StatusCode::URI_TOO_LONG, "not_found"),
            Self::HeadTooLarge => (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "not_found"),
        }
    }
}
