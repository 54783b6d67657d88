//! The body of the gateway's process, from its first instruction to its last record.

use std::ffi::OsString;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, Signal, getpid, kill_process, set_dumpable_behavior, setrlimit,
};
use rustix::thread::set_no_new_privs;
use tokio::sync::oneshot;

use crate::control;
use crate::credential;
use crate::gateway::{Gateway, Unavailable};
use crate::order::{GatewayOrder, Preflight};
use crate::preflight;
use crate::record::{CallOutcome, Record};
use crate::records_out::RecordsOut;
use crate::server;

/// How long open calls may go on after the end was asked for.
pub(crate) const GRACE: Duration = Duration::from_millis(500);
/// After this the process ends however far it came.
const PATIENCE: Duration = Duration::from_secs(5);

/// The gateway's process: its standard input is the control socket, its standard output the record stream. It reads no
/// argument beyond [`crate::GATEWAY_ARGUMENT`].
pub fn gateway_main(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    if arguments.next().is_some() {
        return ExitCode::from(2);
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        // Whatever it was, the harness sees a stream without its last record.
        Err(_) => ExitCode::from(70),
    }
}

/// Nobody may look into this process, and it may not become more than it is.
fn lock_down() -> io::Result<()> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let nothing = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, nothing)?;
    set_no_new_privs(true)?;
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the program of this process is this function: it reads its environment once"
)]
fn environment() -> Vec<(OsString, OsString)> {
    std::env::vars_os().collect()
}

fn run() -> io::Result<()> {
    lock_down()?;
    let mut control = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let (order, listener) = control::receive(&mut control)?;
    let (records, writer) = RecordsOut::start(io::stdout());
    let (stop, alive) = watch(control)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()?;
    match runtime.block_on(serve(&order, listener, &records, stop)) {
        Ok(()) => records.send(Record::Closed),
        Err(Unavailable { outcome, detail }) => records.send(Record::Unavailable { outcome, detail }),
    }
    runtime.shutdown_background();
    drop(records);
    let written = writer.join().map_err(|_| io::ErrorKind::Other)?;
    drop(alive);
    written
}

/// Waits for the harness's word, or for its death, on a thread of its own: a death signal would follow the thread that
/// started this process, the socket follows the harness. A process that then hangs is killed by itself.
fn watch(control: UnixStream) -> io::Result<(oneshot::Receiver<()>, mpsc::Sender<()>)> {
    let (said, stop) = oneshot::channel();
    let (done, ended) = mpsc::channel::<()>();
    thread::Builder::new().name("control".to_owned()).spawn(move || {
        let mut word = [0];
        loop {
            match io::Read::read(&mut (&control), &mut word) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                _ => break,
            }
        }
        let _is_heard = said.send(());
        // Nothing is ever sent: the other end is dropped when everything is written, and late means never.
        if ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            let _has_failed = kill_process(getpid(), Signal::KILL);
        }
    })?;
    Ok((stop, done))
}

async fn serve(
    order: &GatewayOrder,
    listener: OwnedFd,
    records: &RecordsOut,
    mut stop: oneshot::Receiver<()>,
) -> Result<(), Unavailable> {
    let environment = environment();
    let mut credentials = Vec::new();
    for route in &order.routes {
        let taken = credential::take(&route.credential, &environment).map_err(|error| Unavailable {
            outcome: CallOutcome::CredentialUnavailable,
            detail: error.to_string(),
        })?;
        credentials.push(taken);
    }
    let gateway = Arc::new(Gateway::new(order, &credentials, records.clone())?);
    drop(credentials);
    if order.preflight == Preflight::Local {
        tokio::select! {
            asked = preflight::ask(&gateway) => asked?,
            _ = &mut stop => return Ok(()),
        }
    }
    let unusable = |_| Unavailable {
        outcome: CallOutcome::NotConfigured,
        detail: "the listener cannot be used".to_owned(),
    };
    let listener = TcpListener::from(listener);
    listener.set_nonblocking(true).map_err(unusable)?;
    let listener = tokio::net::TcpListener::from_std(listener).map_err(unusable)?;
    let port = listener.local_addr().map_err(unusable)?.port();
    records.send(Record::Ready);
    server::serve(&gateway, listener, port, stop).await;
    Ok(())
}
