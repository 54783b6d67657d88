//! What the tests share: a small workspace, a run loop with a deadline, and looks at the host.

use std::fs::{self, File, Permissions};
use std::io::Read;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use cto_sandbox::{
    DEFAULT_ENGINE_ID, Enforcement, Exited, Exports, JailError, JailSpec, Limits, Observation, Observe, Program,
    Provider, Reexec, RunningJail, Workspace, prepare,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

const PATIENCE_S: u64 = 20;

/// A directory with a small tree that the engine owns.
pub(crate) struct World {
    pub dir: tempfile::TempDir,
}

pub(crate) struct Outcome {
    pub exited: Exited,
    pub exports: Exports,
    pub enforcement: Enforcement,
    pub stdout: String,
    pub stderr: String,
    pub observations: Vec<Observation>,
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Tells whether `CTO_TEST_LACKS` says that this machine lacks something: without a word of it, a lack fails a test.
///
/// The words are `overlay` (a kernel below 6.7) and `speed` (an emulated processor).
pub(crate) fn said_to_lack(what: &str) -> bool {
    names("CTO_TEST_LACKS", what)
}

/// Tells whether groups can be made here: by root, and by a user to whom `CTO_TEST_HAS=cgroup` says one is delegated.
pub(crate) fn has_cgroup() -> bool {
    is_root() || names("CTO_TEST_HAS", "cgroup")
}

fn names(variable: &str, what: &str) -> bool {
    std::env::var(variable).is_ok_and(|words| words.split(' ').any(|word| word == what))
}

/// Makes a workspace of layers, the topmost first.
pub(crate) type MakeWorkspace = fn(Vec<PathBuf>) -> Workspace;

/// The kinds of workspace that can be had here, the best first.
pub(crate) fn workspaces() -> &'static [MakeWorkspace] {
    const ALL: &[MakeWorkspace] = &[
        |lowers| Workspace::Overlay { lowers },
        |sources| Workspace::Copied { sources },
    ];
    if said_to_lack("overlay") { &ALL[1..] } else { ALL }
}

pub(crate) fn reexec() -> Reexec {
    Reexec {
        program: PathBuf::from(env!("CARGO_BIN_EXE_cto-jail-test")),
    }
}

/// A number that no other process of the machine has among its arguments.
pub(crate) fn marker() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("98{}.{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

impl World {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        let world = Self { dir };
        let lower = world.lower();
        fs::create_dir_all(lower.join("src/deep")).unwrap();
        fs::write(lower.join("README"), "hello\n").unwrap();
        fs::write(lower.join("src/main.py"), "print('hello')\n").unwrap();
        fs::write(lower.join("src/deep/data"), "data\n").unwrap();
        std::os::unix::fs::symlink("/etc", lower.join("trap")).unwrap();
        world.give(&lower);
        world
    }

    pub(crate) fn lower(&self) -> PathBuf {
        self.dir.path().join("lower")
    }

    /// Gives a tree to the engine.
    pub(crate) fn give(&self, path: &Path) {
        if !is_root() {
            return;
        }
        let id = Some(DEFAULT_ENGINE_ID);
        std::os::unix::fs::lchown(path, id, id).unwrap();
        if fs::symlink_metadata(path).unwrap().is_dir() {
            chown(path, id, id).unwrap();
            for entry in fs::read_dir(path).unwrap() {
                self.give(&entry.unwrap().path());
            }
        }
    }

    pub(crate) fn spec(&self, argv: &[&str]) -> JailSpec {
        JailSpec {
            name: format!("test-{}", marker().replace('.', "-")),
            workspace: workspaces()[0](vec![self.lower()]),
            changes: Vec::new(),
            home: Vec::new(),
            read_only: Vec::new(),
            masks: Vec::new(),
            listen: None,
            binds: Vec::new(),
            program: Program::Argv(argv.iter().map(Into::into).collect()),
            env: vec![
                ("PATH".into(), "/usr/bin:/bin".into()),
                ("HOME".into(), "/home/agent".into()),
            ],
            limits: Limits {
                memory_bytes: 512 << 20,
                // On an emulated processor a shell takes longer than that to end.
                survivor_grace_ms: if said_to_lack("speed") { 1000 } else { 100 },
                ..Limits::default()
            },
            engine_uid: None,
            engine_gid: None,
            observe: Observe::Nothing,
            workdir: PathBuf::new(),
            scratch_dir: self.dir.path().join("scratch"),
        }
    }

    pub(crate) fn shell(&self, script: &str) -> JailSpec {
        self.spec(&["/bin/bash", "-c", script])
    }
}

/// Runs a jail to its end.
pub(crate) fn run(provider: &dyn Provider, spec: &JailSpec) -> Outcome {
    run_with(provider, spec, |_, _| {}).unwrap()
}

/// Runs a jail to its end; `act` is called whenever there may be something new to react to.
pub(crate) fn run_with(
    provider: &dyn Provider,
    spec: &JailSpec,
    mut act: impl FnMut(&RunningJail, &str),
) -> Result<Outcome, JailError> {
    let mut jail = prepare(provider, spec, &reexec())?.start()?;
    let enforcement = jail.enforcement().clone();
    let until = Instant::now()
        + Duration::from_secs(if said_to_lack("speed") {
            10 * PATIENCE_S
        } else {
            PATIENCE_S
        });
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut observations = Vec::new();
    let mut ended = false;
    while !ended {
        if Instant::now() > until {
            jail.kill()?;
            panic!("the jail did not end: {}", String::from_utf8_lossy(&stdout));
        }
        wait(&jail);
        drain(jail.stdout(), &mut stdout);
        drain(jail.stderr(), &mut stderr);
        observations.extend(jail.on_notification()?);
        ended = jail
            .on_control()?
            .is_some_and(|event| event == cto_sandbox::JailEvent::Empty);
        act(&jail, &String::from_utf8_lossy(&stdout));
    }
    drain(jail.stdout(), &mut stdout);
    drain(jail.stderr(), &mut stderr);
    let (exited, exports) = jail.wait_empty()?;
    observations.extend(exited.observations.clone());
    Ok(Outcome {
        exited,
        exports,
        enforcement,
        stdout: String::from_utf8_lossy(&stdout).into_owned(),
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
        observations,
    })
}

fn wait(jail: &RunningJail) {
    let mut polled = vec![PollFd::from_borrowed_fd(jail.control(), PollFlags::IN)];
    polled.extend(
        jail.listener()
            .map(|listener| PollFd::from_borrowed_fd(listener, PollFlags::IN)),
    );
    // The pipes are looked at after each wait: that is often enough for a test.
    poll(
        &mut polled,
        Some(&Timespec {
            tv_sec: 0,
            tv_nsec: 5_000_000,
        }),
    )
    .unwrap();
}

fn drain(pipe: BorrowedFd<'_>, into: &mut Vec<u8>) {
    let mut buffer = [0; 65536];
    while let Ok(length) = rustix::io::read(pipe, &mut buffer) {
        if length == 0 {
            break;
        }
        into.extend_from_slice(&buffer[..length]);
    }
}

/// The processes of the host that have a word among their arguments.
pub(crate) fn processes_with(word: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().filter_map(Result::ok) {
        let mut text = Vec::new();
        if let Ok(mut file) = File::open(entry.path().join("cmdline")) {
            file.read_to_end(&mut text).unwrap_or_default();
        }
        let text = String::from_utf8_lossy(&text).into_owned();
        // A zombie that somebody else has still to reap has no arguments any more.
        if text.split('\0').any(|argument| argument == word) {
            found.push(text.replace('\0', " "));
        }
    }
    found
}

/// Waits, a bounded number of times, until something holds.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if holds() {
            return;
        }
        poll(
            &mut [],
            Some(&Timespec {
                tv_sec: 0,
                tv_nsec: 10_000_000,
            }),
        )
        .unwrap();
    }
    panic!("never: {what}");
}

/// The relative paths of all files below an open directory, with whiteouts marked.
pub(crate) fn listing(directory: BorrowedFd<'_>) -> Vec<String> {
    let mut found = Vec::new();
    walk(directory, "", &mut found);
    found.sort();
    found
}

fn walk(directory: BorrowedFd<'_>, prefix: &str, found: &mut Vec<String>) {
    use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
    use std::os::fd::AsFd;
    for entry in Dir::read_from(directory).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == "." || name == ".." {
            continue;
        }
        let path = format!("{prefix}{name}");
        let status = rustix::fs::statat(directory, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW).unwrap();
        match FileType::from_raw_mode(status.st_mode) {
            FileType::Directory => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
                let child = rustix::fs::openat(directory, entry.file_name(), flags, Mode::empty());
                found.push(format!("{path}/"));
                walk(child.unwrap().as_fd(), &format!("{path}/"), found);
            }
            FileType::CharacterDevice => found.push(format!("-{path}")),
            FileType::Symlink => found.push(format!("{path}@")),
            _ => found.push(path),
        }
    }
}

/// Reads a file below an open directory.
pub(crate) fn content(directory: BorrowedFd<'_>, path: &str) -> String {
    let flags = rustix::fs::OFlags::RDONLY;
    let file = rustix::fs::openat(directory, path, flags, rustix::fs::Mode::empty()).unwrap();
    std::io::read_to_string(File::from(file)).unwrap()
}
