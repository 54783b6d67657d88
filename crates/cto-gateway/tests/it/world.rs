//! A gateway between the test and its upstream.

use std::ffi::OsString;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use cto_gateway::{
    Budget, CallOutcome, CallRecord, CredentialSource, Dialect, GatewayLimits, GatewayOrder, GatewayProcess, Preflight,
    Record, RefusalReason, RefusedCall, Route,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::upstream::Upstream;
use crate::wire::{Got, exchange, request};

/// The credential that only the gateway and the upstream may see.
pub(crate) const KEY: &str = "sk-canary/9fQ2+Lw7xT4mZ81b";
pub(crate) const MODEL: &str = "scripted-1";

pub(crate) fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_cto-gateway-test"))
}

pub(crate) fn environment() -> Vec<(OsString, OsString)> {
    vec![
        ("MODEL_SECRET".into(), KEY.into()),
        // A proxy of the environment is nobody the gateway asks.
        ("http_proxy".into(), "http://127.0.0.1:1".into()),
        ("HTTP_PROXY".into(), "http://127.0.0.1:1".into()),
        ("ALL_PROXY".into(), "http://127.0.0.1:1".into()),
    ]
}

pub(crate) fn order(port: u16) -> GatewayOrder {
    GatewayOrder {
        routes: vec![Route {
            provider: "local".to_owned(),
            model: MODEL.to_owned(),
            base_url: format!("http://127.0.0.1:{port}/v1"),
            credential: CredentialSource::Environment("MODEL_SECRET".to_owned()),
            price: None,
        }],
        dialects: vec![Dialect::ChatCompletions, Dialect::Responses, Dialect::Messages],
        limits: GatewayLimits::default(),
        budget: Budget::default(),
        provider_tools: Vec::new(),
        request_fields: Vec::new(),
        preflight: Preflight::None,
        egress: Vec::new(),
    }
}

pub(crate) struct World {
    pub(crate) upstream: Upstream,
    pub(crate) port: u16,
    pub(crate) gateway: GatewayProcess,
    seen: Vec<Record>,
}

impl World {
    pub(crate) fn new(upstream: Upstream) -> Self {
        Self::with(upstream, |_| {})
    }

    pub(crate) fn with(upstream: Upstream, change: impl FnOnce(&mut GatewayOrder)) -> Self {
        Self::start(upstream, environment(), change)
    }

    pub(crate) fn start(
        upstream: Upstream,
        environment: Vec<(OsString, OsString)>,
        change: impl FnOnce(&mut GatewayOrder),
    ) -> Self {
        let mut order = order(upstream.port);
        change(&mut order);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let gateway = GatewayProcess::start(program(), &order, OwnedFd::from(listener), environment).unwrap();
        Self {
            upstream,
            port,
            gateway,
            seen: Vec::new(),
        }
    }

    pub(crate) fn post(&self, target: &str, body: &[u8]) -> Got {
        exchange(self.port, &request(self.port, target, "", body))
    }

    pub(crate) fn raw(&self, bytes: impl AsRef<[u8]>) -> Got {
        exchange(self.port, bytes.as_ref())
    }

    /// Waits until so many records have come.
    pub(crate) fn wait_for(&mut self, count: usize) -> &[Record] {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            self.seen.extend(without_beginnings(self.gateway.take().unwrap()));
            if self.seen.len() >= count {
                return &self.seen;
            }
            assert!(Instant::now() < deadline, "{:?}", self.seen);
            let wait = Timespec { tv_sec: 1, tv_nsec: 0 };
            poll(
                &mut [PollFd::from_borrowed_fd(self.gateway.records(), PollFlags::IN)],
                Some(&wait),
            )
            .unwrap();
        }
    }

    /// Waits until a call has begun, and returns its position.
    pub(crate) fn wait_for_beginning(&mut self) -> u32 {
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            for record in self.gateway.take().unwrap() {
                match record {
                    Record::Begun { seq } => return seq,
                    other => self.seen.push(other),
                }
            }
            let wait = Timespec { tv_sec: 1, tv_nsec: 0 };
            let records = PollFd::from_borrowed_fd(self.gateway.records(), PollFlags::IN);
            poll(&mut [records], Some(&wait)).unwrap();
        }
        panic!("no call began: {:?}", self.seen);
    }

    /// Ends the gateway; every record between the first and the last.
    pub(crate) fn finish(self) -> Vec<Record> {
        let mut records = self.seen;
        records.extend(without_beginnings(self.gateway.finish().unwrap()));
        assert_eq!(records.first(), Some(&Record::Ready));
        assert_eq!(records.pop(), Some(Record::Closed));
        records.remove(0);
        records
    }

    /// The only record, of a call that was forwarded.
    pub(crate) fn call(self) -> CallRecord {
        let mut records = self.finish();
        match (records.pop(), records.is_empty()) {
            (Some(Record::Call(call)), true) => call,
            (other, _) => panic!("{other:?} after {records:?}"),
        }
    }

    /// The only record, of a call that was not forwarded; nothing reached the upstream.
    pub(crate) fn refused(self) -> RefusedCall {
        assert_eq!(self.upstream.asked().len(), 0);
        let mut records = self.finish();
        match (records.pop(), records.is_empty()) {
            (Some(Record::Refused(refused)), true) => refused,
            (other, _) => panic!("{other:?} after {records:?}"),
        }
    }
}

/// What was forwarded and what was not; that a call began is a claim of its own.
pub(crate) fn without_beginnings(records: Vec<Record>) -> Vec<Record> {
    let is_end = |record: &Record| !matches!(record, Record::Begun { .. });
    records.into_iter().filter(is_end).collect()
}

/// What becomes of one answer of the upstream to an ordinary streamed call.
pub(crate) fn outcome(
    dialect: Dialect,
    upstream: Upstream,
    change: impl FnOnce(&mut GatewayOrder),
) -> (Got, CallOutcome) {
    let world = World::with(upstream, change);
    let got = world.post(path(dialect), &question(true));
    (got, world.call().outcome)
}

/// Why a request goes nowhere.
pub(crate) fn reason(target: &str, body: &[u8], change: impl FnOnce(&mut GatewayOrder)) -> (Got, RefusalReason) {
    let world = World::with(Upstream::saying(""), change);
    let got = world.post(target, body);
    (got, world.refused().reason)
}

pub(crate) fn path(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::ChatCompletions => "/v1/chat/completions",
        Dialect::Responses => "/v1/responses",
        Dialect::Messages => "/v1/messages",
    }
}

/// A body that the judge of every wire format takes.
pub(crate) fn question(stream: bool) -> Vec<u8> {
    format!(r#"{{"model":"{MODEL}","stream":{stream}}}"#).into_bytes()
}
