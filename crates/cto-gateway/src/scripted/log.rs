//! What the server remembers of the requests that it saw: shapes and digests, never a body or a credential.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use crate::Dialect;

/// The most requests that are remembered; older ones are forgotten.
pub(super) const MAX_REQUESTS: usize = 4096;

/// One request that the server saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SeenRequest {
    /// Its number, counted from 1.
    pub number: u64,
    /// The method.
    pub method: String,
    /// The path, without a query.
    pub path: String,
    /// The names of its headers, in lower case, sorted.
    pub header_names: Vec<String>,
    /// Whether a credential came with it.
    pub has_credential: bool,
    /// The size of its body.
    pub body_bytes: u64,
    /// The digest of its body, `sha256:…`; absent when there was none.
    pub body_sha256: Option<String>,
    /// The wire format, when it asked for an answer.
    pub dialect: Option<Dialect>,
    /// The model that it asked for.
    pub model: Option<String>,
    /// Whether it asked for a stream.
    pub stream: bool,
    /// How many tool results the conversation had.
    pub results: usize,
    /// The names of the tools that it declared.
    pub tools: Vec<String>,
    /// The fault that it got.
    pub fault: Option<&'static str>,
    /// The status that it got; 0 when no header was sent.
    pub status: u16,
}

/// The requests, oldest first.
#[derive(Debug, Default)]
pub(super) struct Log {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    seen: VecDeque<SeenRequest>,
    requests: u64,
}

impl Log {
    /// Remembers a request; returns it with its number.
    pub(super) fn add(&self, mut request: SeenRequest) -> SeenRequest {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.requests += 1;
        request.number = inner.requests;
        if inner.seen.len() == MAX_REQUESTS {
            inner.seen.pop_front();
        }
        inner.seen.push_back(request.clone());
        request
    }

    /// Returns what is remembered.
    pub(super) fn all(&self) -> Vec<SeenRequest> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.seen.iter().cloned().collect()
    }
}
