//! The server: accepts on loopback, routes, asks the script, and plays what comes of it.

use std::collections::HashSet;
use std::io;
use std::net::TcpListener as StdListener;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HOST};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};

use super::body::{self, PlayedBody};
use super::call::Call;
use super::fault::{Fault, FaultPlan, Wanted, When};
use super::log::{Log, SeenRequest};
use super::reply::Reply;
use super::{ScriptedOptions, script, wire};
use crate::Dialect;
use crate::preflight::QUESTION;

/// The largest request body.
const MAX_BODY_BYTES: usize = 32 << 20;

/// The most connections at a time; more wait.
const MAX_CONNECTIONS: usize = 512;

/// The longest that a connection may take to send a request's head.
const HEAD_TIME: Duration = Duration::from_secs(120);

/// What all connections share.
#[derive(Debug)]
pub(super) struct Shared {
    options: ScriptedOptions,
    pub(super) log: Log,
    calls: AtomicU64,
    /// Conversations that had the fault which comes once.
    struck: Mutex<HashSet<String>>,
    watcher: Mutex<Option<mpsc::Sender<SeenRequest>>>,
}

impl Shared {
    pub(super) fn new(options: ScriptedOptions, watcher: Option<mpsc::Sender<SeenRequest>>) -> Self {
        Self {
            options,
            log: Log::default(),
            calls: AtomicU64::new(0),
            struck: Mutex::default(),
            watcher: Mutex::new(watcher),
        }
    }

    fn remember(&self, seen: SeenRequest) {
        let seen = self.log.add(seen);
        let watcher = self.watcher.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(watcher) = watcher.as_ref() {
            // A watcher that went away wants to know nothing more.
            drop(watcher.send(seen));
        }
    }
}

/// Serves until `stop` speaks or is dropped; whatever is under way ends with it.
pub(super) fn serve(listener: StdListener, shared: &Arc<Shared>, stop: oneshot::Receiver<()>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener)?;
        tokio::select! {
            // Either way the owner wants no more.
            _ = stop => Ok(()),
            ended = accept(&listener, shared) => ended,
        }
    })
}

async fn accept(listener: &TcpListener, shared: &Arc<Shared>) -> io::Result<()> {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let place = Arc::clone(&places).acquire_owned().await.map_err(io::Error::other)?;
        let Ok((stream, _)) = listener.accept().await else {
            // A client that gave up in the backlog, or no descriptor left for a moment.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        // A head and a body that wait for each other's receipt are no model's doing.
        drop(stream.set_nodelay(true));
        let shared = Arc::clone(shared);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let shared = Arc::clone(&shared);
                async move { handle(&shared, request).await }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIME)
                .serve_connection(TokioIo::new(stream), service);
            // A broken connection is the client's to notice, and often what was asked for.
            drop(connection.await);
            drop(place);
        });
    }
}

async fn handle(shared: &Shared, request: Request<Incoming>) -> io::Result<Response<PlayedBody>> {
    let (head, incoming) = request.into_parts();
    let bytes = body::read(incoming, MAX_BODY_BYTES).await;
    let mut seen = SeenRequest {
        number: 0,
        method: head.method.to_string(),
        path: head.uri.path().chars().take(200).collect(),
        header_names: header_names(&head.headers),
        has_credential: credential(&head.headers).is_some(),
        body_bytes: bytes
            .as_ref()
            .map_or(0, |bytes| u64::try_from(bytes.len()).unwrap_or(u64::MAX)),
        body_sha256: bytes
            .as_ref()
            .filter(|bytes| !bytes.is_empty())
            .map(|bytes| format!("sha256:{:x}", Sha256::digest(bytes))),
        dialect: None,
        model: None,
        stream: false,
        results: 0,
        tools: vec![],
        fault: None,
        status: 0,
    };
    let reply = match bytes {
        None => Reply::error(None, 413, "the body is too large"),
        Some(bytes) => route(shared, &head.method, &head.headers, &bytes, &mut seen),
    };
    let longest = shared.options.longest_answer;
    if !reply.hangs {
        seen.status = reply.status;
    }
    shared.remember(seen);
    if reply.hangs {
        // The client's going away ends this at once.
        tokio::time::sleep(longest).await;
        return Err(io::ErrorKind::TimedOut.into());
    }
    let mut response = Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    response
        .body(PlayedBody::play(reply.steps, longest))
        .map_err(io::Error::other)
}

fn route(shared: &Shared, method: &Method, headers: &HeaderMap, bytes: &[u8], seen: &mut SeenRequest) -> Reply {
    let path = seen.path.as_str();
    let ends = |end: &str| path.ends_with(end);
    let dialect = match () {
        () if ends("/chat/completions") => Some(Dialect::ChatCompletions),
        () if ends("/responses") => Some(Dialect::Responses),
        () if ends("/messages") || ends("/messages/count_tokens") => Some(Dialect::Messages),
        () => None,
    };
    if *method == Method::HEAD {
        return Reply::document(200, &json!({}));
    }
    if let Some(required) = &shared.options.required_key
        && credential(headers).as_ref() != Some(required)
    {
        return Reply::error(dialect, 401, "the credential is not valid");
    }
    if *method == Method::GET && ends("/models") {
        return Reply::document(200, &models(&shared.options.also_lists));
    }
    let Some(dialect) = dialect.filter(|_| *method == Method::POST) else {
        return Reply::error(dialect, 404, "there is nothing here");
    };
    let mut call = match Call::read(dialect, bytes) {
        Ok(call) => call,
        Err(error) => return Reply::error(Some(dialect), 400, &error.to_string()),
    };
    call.credential = credential(headers);
    call.host = header(headers, HOST.as_str()).unwrap_or_default();
    seen.dialect = Some(dialect);
    seen.model = Some(call.model.chars().take(200).collect());
    seen.stream = call.stream;
    seen.results = call.results;
    seen.tools = call.tools.iter().map(|tool| tool.name.clone()).take(200).collect();
    if ends("/count_tokens") {
        return Reply::document(200, &json!({ "input_tokens": call.body_bytes.div_ceil(4) }));
    }
    let Some(wanted) = Wanted::of(&call.model) else {
        return Reply::error(Some(dialect), 404, "the model does not exist");
    };
    answer(shared, &call, wanted, seen)
}

fn answer(shared: &Shared, call: &Call, wanted: Wanted, seen: &mut SeenRequest) -> Reply {
    let number = shared.calls.fetch_add(1, Ordering::Relaxed) + 1;
    let answer = script::choose(call, wanted.script, shared.options.script.as_ref()).answer(call);
    let ends = answer.calls.is_empty();
    let fault = wanted
        .fault
        .or(shared.options.fault)
        .and_then(|plan| due(shared, call, plan, number, ends));
    seen.fault = fault.map(Fault::name);
    Reply::to(call, answer, fault, shared.options.drip_pause)
}

/// Returns the fault when it is due now.
fn due(shared: &Shared, call: &Call, plan: FaultPlan, number: u64, ends: bool) -> Option<Fault> {
    let now = match plan.when {
        When::Always => true,
        When::Call(wanted) => wanted == number,
        When::Turn(wanted) => wanted == call.results + 1,
        // The harness's own question before an engine starts is no conversation of the engine.
        When::Once if call.prompt == QUESTION => false,
        When::Once => {
            let mut struck = shared.struck.lock().unwrap_or_else(PoisonError::into_inner);
            let conversation = format!("{:x}", Sha256::digest(&call.prompt));
            let first = !struck.contains(&conversation);
            if first && struck.len() < super::log::MAX_REQUESTS {
                struck.insert(conversation);
            } else if ends {
                // The conversation is over; the next one like it is a new one.
                struck.remove(&conversation);
            }
            first
        }
    };
    now.then_some(plan.fault)
}

/// The last turn for which the list has a name of each fault.
const LAST_LISTED_TURN: usize = 9;

/// Returns the list of models, with what the clients of either vendor read.
fn models(also: &[String]) -> Value {
    let scripts = script::NAMES.iter().map(|(name, _)| format!("scripted-{name}"));
    let faults = Fault::ALL.iter().map(|(_, name, _)| format!("scripted-{name}"));
    let later = Fault::ALL.iter().flat_map(|(_, name, _)| {
        let turns = (2..=LAST_LISTED_TURN).map(move |turn| format!("scripted-{name}-at-{turn}"));
        turns.chain([format!("scripted-{name}-once")])
    });
    let data: Vec<Value> = scripts
        .chain(faults)
        .chain(later)
        .chain(also.iter().cloned())
        .map(|id| {
            json!({
                "id": id, "object": "model", "created": wire::CREATED_AT, "owned_by": "scripted",
                "type": "model", "display_name": id, "created_at": "2023-11-14T22:13:20Z",
            })
        })
        .collect();
    json!({
        "object": "list", "has_more": false, "first_id": data.first().map(|model| &model["id"]),
        "last_id": data.last().map(|model| &model["id"]), "data": data,
    })
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

fn credential(headers: &HeaderMap) -> Option<String> {
    let bearer = header(headers, AUTHORIZATION.as_str());
    let bearer = bearer.map(|value| value.strip_prefix("Bearer ").unwrap_or(&value).to_owned());
    bearer.or_else(|| header(headers, "x-api-key"))
}

fn header_names(headers: &HeaderMap) -> Vec<String> {
    let mut names: Vec<String> = headers.keys().map(|name| name.as_str().to_owned()).collect();
    names.sort_unstable();
    names
}
