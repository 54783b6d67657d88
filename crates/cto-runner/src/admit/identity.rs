//! Asking a program what it is, in a cage: what is not yet admitted runs nowhere else.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cto_sandbox::{Bind, JailSpec, Limits, Observe, Program, Workspace, prepare};
use cto_schema::EndedBy;

use crate::request::Harness;
use crate::run::chain;
use crate::sandbox_facts::{DEFAULT_PROVIDER, find_provider};
use crate::supervise::{Beside, Deadlines, Output, supervise};
use crate::toolchains::{Toolchain, from_root, search_path};
use crate::watch::{Stop, Unwatched};

/// Longest time that a program may take to say what it is.
const PATIENCE: Duration = Duration::from_secs(60);
/// Most of its answer that is looked at.
const ANSWER_BYTES: u64 = 256 << 10;

/// Runs a program with arguments in a cage without network and returns what it printed.
pub(super) fn ask_program(
    harness: &Harness,
    program: &Path,
    arguments: &[String],
    binds: &[PathBuf],
) -> Result<Vec<u8>, String> {
    let sandbox = &harness.settings.sandbox;
    let name = sandbox.provider.as_deref().unwrap_or(DEFAULT_PROVIDER);
    let provider = find_provider(name).filter(|_| name != "none");
    let provider = provider.ok_or("asking a program what it is needs a sandbox; see cto doctor")?;
    let work = tempfile::Builder::new()
        .prefix("identity-")
        .tempdir_in(harness.home.work())
        .map_err(|error| error.to_string())?;
    let empty = work.path().join("empty");
    std::fs::create_dir(&empty).map_err(|error| error.to_string())?;
    if let Some((uid, gid)) = harness.engine_owner() {
        std::os::unix::fs::chown(&empty, Some(uid), Some(gid)).map_err(|error| error.to_string())?;
    }
    let toolchains: Vec<Toolchain> = harness.settings.toolchains.iter().map(|root| from_root(root)).collect();
    let path: Vec<String> = search_path(&toolchains)
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    let mut shown: Vec<&PathBuf> = harness.settings.toolchains.iter().chain(binds).collect();
    shown.dedup();
    let argv = std::iter::once(program.as_os_str().to_owned()).chain(arguments.iter().map(OsString::from));
    let spec = JailSpec {
        name: format!("identity-{}", std::process::id()),
        workspace: Workspace::Copied { sources: vec![empty] },
        changes: vec![],
        home: Vec::new(),
        read_only: vec![],
        masks: Vec::new(),
        listen: None,
        binds: shown
            .into_iter()
            .map(|root| Bind {
                source: root.clone(),
                target: root.clone(),
                read_only: true,
            })
            .collect(),
        program: Program::Argv(argv.collect()),
        env: [
            ("PATH", path.join(":")),
            ("HOME", cto_sandbox::HOME.to_owned()),
            ("LANG", "C.UTF-8".to_owned()),
        ]
        .into_iter()
        .map(|(name, value)| (OsString::from(name), OsString::from(value)))
        .collect(),
        limits: Limits::default(),
        engine_uid: sandbox.engine_uid,
        engine_gid: sandbox.engine_gid.or(sandbox.engine_uid),
        observe: Observe::Nothing,
        workdir: PathBuf::new(),
        scratch_dir: work.path().to_owned(),
    };
    let jail = prepare(provider, &spec, &harness.reexec).and_then(|jail| jail.start());
    let deadlines = Deadlines {
        wall: PATIENCE,
        idle: None,
        grace: Duration::from_secs(1),
        output: Output {
            keep_bytes: ANSWER_BYTES,
            limit_bytes: None,
        },
    };
    let stop = Stop::new().map_err(|error| error.to_string())?;
    let jail = jail.map_err(|error| chain(&error))?;
    let done = supervise(jail, deadlines, &stop, &Unwatched, Beside::default()).map_err(|error| chain(&error))?;
    if let Some(errno) = done.exited.exec_failed {
        return Err(std::io::Error::from_raw_os_error(errno).to_string());
    }
    if done.ended_by == EndedBy::Timeout {
        return Err(format!("it did not answer within {} seconds", PATIENCE.as_secs()));
    }
    let mut answer = done.stdout.bytes();
    answer.extend(done.stderr.bytes());
    Ok(answer)
}
