//! Accepts the engine's connections, one request on each, until the harness says stop.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioTimer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::admit::{self, Asked, Refusal};
use crate::body;
use crate::child::GRACE;
use crate::egress::{self, Tunnel};
use crate::forward;
use crate::gateway::Gateway;
use crate::order::Dialect;
use crate::record::RefusalReason;
use crate::reply::{self, Reply};
use crate::wire::{Stream, Wire};

/// A head comes at once or not at all.
const HEAD_PATIENCE: Duration = Duration::from_secs(15);
/// Connections beyond the calls at a time: refused ones and tunnels. More wait in the backlog.
const SPARE_CONNECTIONS: usize = 64;
/// hyper wants at least this much.
const LEAST_HEAD_BYTES: usize = 8 << 10;

/// Serves until told to stop; then lets open calls go on for a short while.
pub(crate) async fn serve(gateway: &Arc<Gateway>, listener: TcpListener, port: u16, mut stop: oneshot::Receiver<()>) {
    let places = gateway.order.limits.parallel_calls as usize + SPARE_CONNECTIONS;
    let places = Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS)));
    let mut connections = JoinSet::new();
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        tokio::select! {
            biased;
            _ = &mut stop => break,
            (place, accepted) = accepted => match accepted {
                Ok((stream, _)) => {
                    let gateway = Arc::clone(gateway);
                    connections.spawn(async move {
                        connection(&gateway, stream, port).await;
                        drop(place);
                    });
                }
                // Out of descriptors, or a connection that was gone before it was accepted.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
    drop(listener);
    gateway.stop();
    let all_ended = async { while connections.join_next().await.is_some() {} };
    if timeout(GRACE, all_ended).await.is_err() {
        connections.shutdown().await;
    }
}

async fn connection(gateway: &Arc<Gateway>, stream: TcpStream, port: u16) {
    // A connection that is gone already shows itself when it is read.
    drop(stream.set_nodelay(true));
    let head_bytes = usize::try_from(gateway.order.limits.header_bytes)
        .unwrap_or(usize::MAX)
        .max(LEAST_HEAD_BYTES);
    let wire = Arc::new(Wire::default());
    let tunnel: Mutex<Option<Tunnel>> = Mutex::default();
    let service = service_fn(|request| {
        let (wire, tunnel) = (&wire, &tunnel);
        async move { Ok::<_, Infallible>(answer(gateway, wire, tunnel, port, request).await) }
    });
    let served = http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(head_bytes)
        .header_read_timeout(HEAD_PATIENCE)
        .timer(TokioTimer::new())
        .serve_connection(Stream::new(stream, Arc::clone(&wire), head_bytes), service);
    let result = served.with_upgrades().await;
    if result.is_err_and(|error| error.is_parse() || error.is_parse_too_large()) {
        let refusal = Refusal::new(RefusalReason::AmbiguousRequest, "a request that is no HTTP/1.1 request");
        gateway.refused(&refusal, "", "", None);
    }
    let tunnel = tunnel.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(tunnel) = tunnel {
        egress::run(tunnel).await;
    }
}

async fn answer(
    gateway: &Arc<Gateway>,
    wire: &Arc<Wire>,
    tunnel: &Mutex<Option<Tunnel>>,
    port: u16,
    mut request: Request<Incoming>,
) -> Response<Reply> {
    let upgrade = hyper::upgrade::on(&mut request);
    let (parts, incoming) = request.into_parts();
    let order = &gateway.order;
    let whole = wire
        .judge()
        .map_err(|detail| Refusal::new(RefusalReason::AmbiguousRequest, detail));
    let asked = whole.and_then(|()| admit::admit(&parts, port, &order.dialects, &order.egress));
    match asked {
        Ok(Asked::Call(dialect, query)) => forward::call(gateway, wire, (dialect, query), &parts, incoming).await,
        Ok(Asked::Models) => reply::models(gateway.routes.iter().map(|served| &served.route)),
        Ok(Asked::Hello) => reply::full(StatusCode::OK, bytes::Bytes::new()),
        Ok(Asked::Connect(host)) => {
            let (answer, asked) = egress::connect(gateway, host, upgrade).await;
            *tunnel.lock().unwrap_or_else(PoisonError::into_inner) = asked;
            answer
        }
        Err(refusal) => {
            // Where a request goes nowhere, it still says which model it wanted there.
            let peeked = body::drain(incoming, order.limits.request_bytes).await;
            let (refusal, model) = crate::request::other_model(gateway, &peeked, refusal);
            gateway.refused(&refusal, parts.method.as_str(), parts.uri.path(), model.as_deref());
            reply::refused(Dialect::of_path(parts.uri.path()), &refusal, false)
        }
    }
}
