//! The client towards the upstream: no redirects, no proxies, no surprises, a bound on connecting.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Uri;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;
use rustls::RootCertStore;
use tower_service::Service;

use crate::order::GatewayLimits;
use crate::record::CallOutcome;

/// A client that keeps connections.
pub(crate) type Client = legacy::Client<Bounded, Full<Bytes>>;

/// How long an idle connection to the upstream is kept; shorter than any server keeps it.
const IDLE: Duration = Duration::from_secs(20);

/// A connector that gives up in time, TLS included.
#[derive(Clone, Debug)]
pub(crate) struct Bounded {
    inner: HttpsConnector<HttpConnector>,
    patience: Duration,
}

impl Service<Uri> for Bounded {
    type Response = <HttpsConnector<HttpConnector> as Service<Uri>>::Response;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, address: Uri) -> Self::Future {
        let connected = tokio::time::timeout(self.patience, self.inner.call(address));
        Box::pin(async move {
            match connected.await {
                Ok(result) => result,
                Err(_) => Err(Box::from(io::Error::from(io::ErrorKind::TimedOut))),
            }
        })
    }
}

/// Makes the client; the system's root certificates are only wanted where a route needs them.
pub(crate) fn client(limits: &GatewayLimits, needs_roots: bool) -> Result<Client, String> {
    let provider = rustls::crypto::ring::default_provider();
    let config = ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let config = match needs_roots {
        true => config
            .with_native_roots()
            .map_err(|error| format!("no root certificates: {error}"))?,
        false => config.with_root_certificates(RootCertStore::empty()),
    };
    let patience = Duration::from_millis(limits.connect_ms);
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(config.with_no_client_auth())
        .https_or_http()
        .enable_http1()
        .wrap_connector(http);
    let connector = Bounded {
        inner: connector,
        patience,
    };
    Ok(legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .build(connector))
}

/// What a status means, where it is not a success.
pub(crate) fn outcome_of_status(status: u16) -> CallOutcome {
    match status {
        401 | 403 => CallOutcome::Unauthorized,
        404 => CallOutcome::NotFound,
        429 => CallOutcome::RateLimited,
        400..=499 => CallOutcome::Rejected,
        500..=599 => CallOutcome::UpstreamError,
        _ => CallOutcome::UnexpectedStatus,
    }
}

/// Says what kept the client from reaching the upstream, without its address.
pub(crate) fn why_unreachable(error: &legacy::Error) -> &'static str {
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        match cause.downcast_ref::<io::Error>().map(io::Error::kind) {
            _ if is_of_tls(cause) => return "the upstream could not be reached: TLS failed",
            Some(io::ErrorKind::ConnectionRefused) => {
                return "the upstream could not be reached: the connection was refused";
            }
            Some(io::ErrorKind::TimedOut) => return "the upstream could not be reached: no connection in time",
            // The resolver's own errors have no type here.
            _ if cause.to_string().starts_with("dns error") => {
                return "the upstream could not be reached: its name was not found";
            }
            _ => next = cause.source(),
        }
    }
    "the upstream could not be reached"
}

/// The connector wraps what TLS says in errors of the system, which do not name it as their source.
fn is_of_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    error.is::<rustls::Error>() || inner.is_some_and(|inner| is_of_tls(inner))
}
