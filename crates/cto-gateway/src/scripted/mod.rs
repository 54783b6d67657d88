//! A scripted model: a loopback server that answers like a hosted one, for tests and for trying an engine out.
//!
//! It speaks Chat Completions, Responses and Messages. The next answer follows from the request alone (which tool
//! results are in it), so runs side by side do not mix, and equal requests have equal answers. What it can do wrong is
//! listed in [`Fault`]; a model's name asks for a script and a fault (`scripted-fix`, `scripted-cut-once`).

mod answer;
mod body;
mod bomb;
mod call;
mod fault;
mod log;
mod reply;
mod script;
mod server;
mod setup;
#[cfg(test)]
mod tests;
mod tools;
mod wire;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

pub use fault::{Fault, FaultPlan, UnknownFault, When};
pub use log::SeenRequest;
pub use script::{Script, ScriptError};
pub use setup::{ENGINES, SetupError, setup_lines, write_admissions};

/// How often [`run_foreground`] asks whether it shall end.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// How a scripted model is served.
#[derive(Clone, Debug)]
pub struct ScriptedOptions {
    /// Where it listens: a loopback address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// A script in place of the built-in ones.
    pub script: Option<Script>,
    /// A fault for models whose names ask for none.
    pub fault: Option<FaultPlan>,
    /// The only credential that is accepted.
    pub required_key: Option<String>,
    /// Names of models in its list besides its own; they are answered like `scripted-fix`.
    pub also_lists: Vec<String>,
    /// The pause before each byte of a slow answer.
    pub drip_pause: Duration,
    /// The longest that any answer may last, also one that hangs or never ends.
    pub longest_answer: Duration,
}

impl Default for ScriptedOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            script: None,
            fault: None,
            required_key: None,
            also_lists: vec![],
            drip_pause: Duration::from_secs(1),
            longest_answer: Duration::from_secs(1800),
        }
    }
}

/// Why a scripted model cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ScriptedError {
    /// The address is not on loopback.
    #[error("listen on {0}: a scripted model serves this machine only; use 127.0.0.1")]
    NotLoopback(SocketAddr),
    /// The address cannot be listened on.
    #[error("listen on {0}")]
    Listen(SocketAddr, #[source] io::Error),
    /// No thread can be started.
    #[error("start the thread of the scripted model")]
    Thread(#[source] io::Error),
}

/// A scripted model that is being served; it ends when this is dropped.
#[derive(Debug)]
pub struct ScriptedModel {
    address: SocketAddr,
    shared: Arc<server::Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl ScriptedModel {
    /// Starts to serve on a thread of its own; connections are accepted when this returns.
    ///
    /// # Errors
    ///
    /// When the address is not on loopback or cannot be listened on.
    pub fn start(options: ScriptedOptions) -> Result<Self, ScriptedError> {
        Self::begin(options, None)
    }

    fn begin(options: ScriptedOptions, watcher: Option<mpsc::Sender<SeenRequest>>) -> Result<Self, ScriptedError> {
        let wanted = options.listen;
        if !wanted.ip().is_loopback() {
            return Err(ScriptedError::NotLoopback(wanted));
        }
        let failed = |error| ScriptedError::Listen(wanted, error);
        let listener = TcpListener::bind(wanted).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let shared = Arc::new(server::Shared::new(options, watcher));
        let (stop, stopped) = oneshot::channel();
        let serving = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("scripted-model".to_owned())
            .spawn(move || server::serve(listener, &serving, stopped))
            .map_err(ScriptedError::Thread)?;
        Ok(Self {
            address,
            shared,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Returns the address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the base that clients of Chat Completions and Responses are told.
    pub fn openai_base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Returns the base that clients of Messages are told.
    pub fn anthropic_base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the requests that it saw, oldest first; of very many only the last ones.
    pub fn requests(&self) -> Vec<SeenRequest> {
        self.shared.log.all()
    }

    /// Ends it, and every answer that is under way; returns the requests that it saw.
    pub fn stop(mut self) -> Vec<SeenRequest> {
        self.end();
        self.requests()
    }

    fn end(&mut self) {
        // Dropping the sender is what the server waits for.
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A server that failed or panicked has ended, which is all that is wanted here.
            drop(thread.join());
        }
    }
}

impl Drop for ScriptedModel {
    fn drop(&mut self) {
        self.end();
    }
}

/// Serves until `ended` says so; tells the address at first and then each request.
///
/// # Errors
///
/// As [`ScriptedModel::start`], and when the server stops by itself.
pub fn run_foreground(
    options: ScriptedOptions,
    ready: impl FnOnce(SocketAddr),
    mut seen: impl FnMut(&SeenRequest),
    ended: impl Fn() -> bool,
) -> Result<(), ScriptedError> {
    let (sender, requests) = mpsc::channel();
    let model = ScriptedModel::begin(options, Some(sender))?;
    ready(model.address());
    while !ended() {
        match requests.recv_timeout(LOOK_INTERVAL) {
            Ok(request) => seen(&request),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                if model.thread.as_ref().is_none_or(JoinHandle::is_finished) {
                    let lost = io::Error::other("the server ended by itself");
                    return Err(ScriptedError::Thread(lost));
                }
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
        }
    }
    Ok(())
}
