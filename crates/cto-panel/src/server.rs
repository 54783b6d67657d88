//! The server: listens, takes requests apart, asks the guard, and hands them to the routes.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use bytes::Bytes;
use cto_evidence::{Home, HomeError};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::answer::{Answer, ApiError};
use crate::ask::{Ask, LONGEST_TARGET};
use crate::body::PanelBody;
use crate::options::{OptionsError, PanelOptions};
use crate::panel::{Panel, StreamPlace, Tick};
use crate::session::Sessions;
use crate::snapshot::Writer;
use crate::{guard, route, watcher};

/// Most connections at a time; more wait.
const CONNECTIONS: usize = 128;
/// Longest head of a request, in bytes.
const HEAD_BYTES: usize = 64 * 1024;
/// Longest time for a head, for a page, and without one on an open connection.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a quiet stream says that it is there.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Most pages that are drawn at a time.
const DRAWING: usize = 4;

/// Why a panel cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum PanelError {
    /// The options would open it to others.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The installation.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The address.
    #[error("listen on {listen}; is another program there?")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// The server itself.
    #[error("serve the panel")]
    Serve(#[source] io::Error),
}

/// What a panel says to whoever started it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Served {
    /// It listens; the link opens a session when one is needed.
    Listening {
        /// The address.
        address: SocketAddr,
        /// What to open in a browser.
        link: String,
    },
    /// Somebody came with a link that is over; this one works.
    Link(String),
}

/// Serves a panel until `stop` says so. `told` is called with what people must know.
pub fn serve(
    options: PanelOptions,
    writer: Box<dyn Writer>,
    stop: &(dyn Fn() -> bool + Sync),
    told: &(dyn Fn(&Served) + Sync),
) -> Result<(), PanelError> {
    options.check()?;
    let home = Home::open(&options.home)?;
    let unheard = |source| PanelError::Listen {
        listen: options.listen,
        source,
    };
    let listener = StdListener::bind(options.listen).map_err(unheard)?;
    listener.set_nonblocking(true).map_err(unheard)?;
    let address = listener.local_addr().map_err(unheard)?;
    let panel = Arc::new(Panel::new(home, options, address.port(), Sessions::default()));
    let link = if panel.options.login {
        link(address, Some(&panel.sessions.link().map_err(PanelError::Serve)?))
    } else {
        link(address, None)
    };
    told(&Served::Listening { address, link });
    let (stop_watching, stopped) = mpsc::channel();
    std::thread::scope(|scope| {
        let watched = Arc::clone(&panel);
        scope.spawn(move || watcher::watch(&watched, writer.as_ref(), &stopped));
        let served = run(listener, &panel, stop, told, address);
        drop(stop_watching);
        served.map_err(PanelError::Serve)
    })
}

fn link(address: SocketAddr, key: Option<&str>) -> String {
    match key {
        Some(key) => format!("http://{address}/login?k={key}"),
        None => format!("http://{address}/"),
    }
}

fn run(
    listener: StdListener,
    panel: &Arc<Panel>,
    stop: &(dyn Fn() -> bool + Sync),
    told: &(dyn Fn(&Served) + Sync),
    address: SocketAddr,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(DRAWING)
        .build()?;
    let (links, mut wanted) = tokio::sync::mpsc::channel::<()>(1);
    let ended = runtime.block_on(async {
        let listener = TcpListener::from_std(listener)?;
        let relink = async {
            while wanted.recv().await.is_some() {
                if let Some(key) = panel.sessions.next_link() {
                    told(&Served::Link(link(address, Some(&key))));
                }
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = stopped(stop) => Ok(()),
            ended = accept(&listener, panel, links) => ended,
            () = relink => Ok(()),
        }
    });
    // A page that is being drawn changes nothing and need not be waited for.
    runtime.shutdown_background();
    ended
}

/// Waits until the owner wants no more.
async fn stopped(stop: &(dyn Fn() -> bool + Sync)) {
    while !stop() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn accept(listener: &TcpListener, panel: &Arc<Panel>, links: tokio::sync::mpsc::Sender<()>) -> io::Result<()> {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let place = Arc::clone(&places).acquire_owned().await.map_err(io::Error::other)?;
        let Ok((stream, _)) = listener.accept().await else {
            // A client that gave up in the backlog, or no descriptor left for a moment.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        drop(stream.set_nodelay(true));
        let panel = Arc::clone(panel);
        let links = links.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let (panel, links) = (Arc::clone(&panel), links.clone());
                async move { Ok::<_, Infallible>(handle(&panel, request, &links).await) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .max_buf_size(HEAD_BYTES)
                .serve_connection(TokioIo::new(stream), service);
            // A broken connection is the client's to notice.
            drop(connection.await);
            drop(place);
        });
    }
}

async fn handle(
    panel: &Arc<Panel>,
    request: Request<Incoming>,
    links: &tokio::sync::mpsc::Sender<()>,
) -> Response<PanelBody> {
    let (head, _) = request.into_parts();
    let target = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
    if target > LONGEST_TARGET {
        return Answer::error(ApiError::TooLarge).into_response();
    }
    let heads = head.headers.iter();
    let bytes: usize = heads.map(|(name, value)| name.as_str().len() + value.len()).sum();
    if bytes > HEAD_BYTES {
        return Answer::error(ApiError::HeadTooLarge).into_response();
    }
    let ask = Ask::new(head.method, &head.uri, head.headers);
    let is_head = ask.method == hyper::Method::HEAD;
    let answer = answer(panel, ask, links).await;
    let answer = if is_head { answer.without_body() } else { answer };
    answer.into_response()
}

async fn answer(panel: &Arc<Panel>, ask: Ask, links: &tokio::sync::mpsc::Sender<()>) -> Answer {
    if let Err(error) = guard::admit(panel, &ask) {
        return Answer::error(error);
    }
    if ask.path == "/api/cto/events" && guard::may_look(panel, &ask) {
        return match panel.stream_place() {
            Some(place) => Answer::stream(stream(panel, place)),
            None => Answer::error(ApiError::Unavailable),
        };
    }
    let wants_link = route::wants_link(panel, &ask);
    let drawn = Arc::clone(panel);
    // Reading evidence waits for the disk and verifies; neither belongs on the thread that answers others.
    let drawing = tokio::task::spawn_blocking(move || route::route(&drawn, &ask));
    let answer = match tokio::time::timeout(PATIENCE, drawing).await {
        Ok(Ok(answer)) => answer,
        // It took too long, or a defect of ours: nothing of it goes out.
        Ok(Err(_)) | Err(_) => Answer::error(ApiError::Unavailable),
    };
    if wants_link {
        // A link that is on its way already is enough.
        links.try_send(()).unwrap_or_default();
    }
    answer
}

/// Tells numbers only: what they are about is asked for again, through the guard.
fn stream(panel: &Arc<Panel>, place: StreamPlace) -> PanelBody {
    let (pieces, body) = tokio::sync::mpsc::channel(8);
    let mut ticks = panel.ticks.subscribe();
    tokio::spawn(async move {
        let _place = place;
        let mut told = Tick::default();
        let mut id = 0_u64;
        let mut text = "retry: 3000\n\n".to_owned();
        loop {
            let now = *ticks.borrow_and_update();
            for (name, number, changed) in [
                ("snapshot", now.snapshot, now.snapshot != told.snapshot),
                ("live", now.live, now.live != told.live),
            ] {
                if changed {
                    id += 1;
                    text = format!("{text}id: {id}\nevent: {name}\ndata: {{\"seq\":{number}}}\n\n");
                }
            }
            told = now;
            if !text.is_empty() && pieces.send(Bytes::from(std::mem::take(&mut text))).await.is_err() {
                return;
            }
            tokio::select! {
                changed = ticks.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(HEARTBEAT) => ": here\n\n".clone_into(&mut text),
                () = pieces.closed() => return,
            }
        }
    });
    PanelBody::Stream(body)
}
