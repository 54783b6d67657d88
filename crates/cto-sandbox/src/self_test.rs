//! A jail that tries to break out of itself, and says what came of it.

use std::fs;
use std::io::{self, Read};
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::enforcement::Enforcement;
use crate::error::JailError;
use crate::jail::prepare;
use crate::keeper::readable;
use crate::probe::{self, Input};
use crate::provider::Provider;
use crate::spec::{JailSpec, Limits, Observe, Program, Reexec, Workspace};

/// Far more than the probes need.
const PATIENCE: Duration = Duration::from_secs(10);
const OUTPUT_BYTES: u64 = 1 << 20;

/// One attempt and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// Its stable name.
    pub name: String,
    /// What must come of it.
    pub expected: String,
    /// What did.
    pub seen: String,
    /// Whether they agree.
    pub ok: bool,
}

/// All attempts under one provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelfTest {
    /// The provider.
    pub provider: &'static str,
    /// What the jail's bounds read back as.
    pub enforcement: Enforcement,
    /// The attempts, in a fixed order.
    pub probes: Vec<Probe>,
    /// How long it took.
    pub elapsed_ms: u64,
}

impl SelfTest {
    /// Returns the attempts that did not end as they must.
    pub fn failures(&self) -> impl Iterator<Item = &Probe> {
        self.probes.iter().filter(|probe| !probe.ok)
    }
}

/// Runs the attempts under a provider; `scratch_dir` is a directory of the caller, and the start of every name that the
/// test leaves in it and among the cgroups, should it be killed, is `name`.
pub fn self_test(
    provider: &dyn Provider,
    reexec: &Reexec,
    scratch_dir: &Path,
    name: &str,
) -> Result<SelfTest, JailError> {
    let start = Instant::now();
    let failed = JailError::harness("set up the self-test");
    let name = format!("{name}-self-test");
    let tcp = TcpListener::bind("127.0.0.1:0").map_err(&failed)?;
    let port = tcp.local_addr().map_err(&failed)?.port();
    let address = SocketAddr::from_abstract_name(&name).map_err(&failed)?;
    let unix = UnixListener::bind_addr(&address).map_err(&failed)?;
    let lower = scratch_dir.join(&name).join("lower");
    fs::create_dir_all(&lower).map_err(&failed)?;
    let input = serde_json::to_string(&Input {
        port,
        abstract_name: name.clone(),
    });
    let mut spec = JailSpec {
        workspace: Workspace::Overlay { lowers: vec![lower] },
        changes: Vec::new(),
        home: Vec::new(),
        read_only: Vec::new(),
        masks: Vec::new(),
        listen: None,
        binds: Vec::new(),
        program: Program::Embedded {
            name: probe::NAME.to_owned(),
            input: input.map_err(|error| failed(error.into()))?,
        },
        env: Vec::new(),
        limits: Limits {
            memory_bytes: 256 << 20,
            disk_bytes: 1 << 20,
            tmp_bytes: 1 << 20,
            ..Limits::default()
        },
        engine_uid: None,
        engine_gid: None,
        observe: Observe::Nothing,
        workdir: "".into(),
        scratch_dir: scratch_dir.to_owned(),
        name: name.clone(),
    };
    let mut outcome = run(provider, &spec, reexec);
    if outcome.is_err() {
        // A machine without overlays for user namespaces can still keep every bound.
        if let Workspace::Overlay { lowers } = &spec.workspace {
            spec.workspace = Workspace::Copied {
                sources: lowers.clone(),
            };
            outcome = run(provider, &spec, reexec);
        }
    }
    fs::remove_dir_all(scratch_dir.join(&name)).map_err(&failed)?;
    let (enforcement, mut probes) = outcome?;
    probes.push(unvisited(
        "host_tcp_listener",
        tcp.set_nonblocking(true).and_then(|()| tcp.accept().map(drop)),
    ));
    probes.push(unvisited(
        "host_unix_listener",
        unix.set_nonblocking(true).and_then(|()| unix.accept().map(drop)),
    ));
    let elapsed_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(SelfTest {
        provider: provider.name(),
        enforcement,
        probes,
        elapsed_ms,
    })
}

fn run(provider: &dyn Provider, spec: &JailSpec, reexec: &Reexec) -> Result<(Enforcement, Vec<Probe>), JailError> {
    let running = prepare(provider, spec, reexec)?.start()?;
    let enforcement = running.enforcement().clone();
    let until = Instant::now() + PATIENCE;
    let mut text = Vec::new();
    let mut stdout = fs::File::from(
        running
            .stdout()
            .try_clone_to_owned()
            .map_err(JailError::harness("read the self-test"))?,
    );
    while readable(stdout.as_fd(), until) {
        match (&mut stdout).take(OUTPUT_BYTES).read_to_end(&mut text) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            _ => break,
        }
    }
    running.kill()?;
    running.wait_empty()?;
    let probes = serde_json::from_slice(&text).map_err(|error| JailError::Lost {
        detail: format!("the self-test ended early: {error}"),
    })?;
    Ok((enforcement, probes))
}

/// What the listeners of the host saw counts, not what the jail says of it.
fn unvisited(name: &str, accepted: io::Result<()>) -> Probe {
    let seen = match accepted {
        Ok(()) => "a connection".to_owned(),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => "no connection".to_owned(),
        Err(error) => error.to_string(),
    };
    let ok = seen == "no connection";
    Probe {
        name: name.to_owned(),
        expected: "no connection".to_owned(),
        seen,
        ok,
    }
}
