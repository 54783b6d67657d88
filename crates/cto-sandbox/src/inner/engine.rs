//! The child that gives up everything it does not need, and then becomes the program.

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit};
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::{Context, Failure, Step, facts};
use crate::ignore;
use crate::protocol::{Bytes, Facts, Method, Order, ProgramOrder, Report};
use crate::spec::{Embedded, Observe};
use crate::{channel, landlock, probe, seccomp, sys};

/// Higher than any capability of any kernel.
const CAPABILITY_BITS: u32 = 63;
const DEFAULT_PATH: &[u8] = b"/usr/local/bin:/usr/bin:/bin";

/// Locks itself down, waits for the word, and runs the program.
pub(super) fn run(context: Context<'_>, go: OwnedFd, status: Result<(), Errno>) -> ExitCode {
    let Context {
        order,
        control,
        contents,
        embedded,
    } = context;
    drop(contents);
    let (aside, open_files) = match set_aside(&control, order.limits.open_files) {
        Ok(aside) => aside,
        Err(failure) => return failure.report(&control),
    };
    // An embedded function does not exec, so nothing may be left to its luck.
    drop(control);
    let control = aside;
    let locked = status
        .step("set dumpable")
        .and_then(|()| lock_down(&order, &control, open_files));
    if let Err(failure) = locked {
        return failure.report(&control);
    }
    // The end of the pipe without a word means that init gave up.
    let mut word = [0; 1];
    if !matches!(rustix::io::read(&go, &mut word), Ok(1)) {
        return ExitCode::FAILURE;
    }
    drop(go);
    match &order.program {
        ProgramOrder::Embedded { name, input } => {
            drop(control);
            run_embedded(embedded, name, input)
        }
        ProgramOrder::Argv(argv) => {
            let errno = execute(&order, argv);
            let frame = Report::ExecFailed {
                errno: errno.raw_os_error(),
            };
            // Should that fail too, the harness still sees the exit status.
            ignore(channel::send(&control, &frame, &[]));
            ExitCode::from(127)
        }
    }
}

fn run_embedded(embedded: &[Embedded], name: &str, input: &str) -> ExitCode {
    let mut known = embedded.iter().chain(probe::BUILT_IN);
    let Some(function) = known.find(|function| function.name == name) else {
        return ExitCode::from(127);
    };
    let code = (function.run)(input);
    u8::try_from(code & 0xff).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// Moves the control socket to a number that the program can never get, and returns that number.
///
/// The filter does not observe messages on it, so it must not be reused: it is the first number
/// that the later limit on open files forbids.
fn set_aside(control: &OwnedFd, open_files: u64) -> Result<(OwnedFd, u64), Failure> {
    let step = "set the control socket aside";
    let hard = rustix::process::getrlimit(Resource::Nofile).maximum.unwrap_or(1 << 20);
    let all = Rlimit {
        current: Some(hard),
        maximum: Some(hard),
    };
    rustix::process::setrlimit(Resource::Nofile, all).step(step)?;
    let number = open_files.min(hard.saturating_sub(1)).max(8);
    let lowest = i32::try_from(number).map_err(|_| Failure::new(step, Errno::INVAL, ""))?;
    let aside = rustix::io::fcntl_dupfd_cloexec(control, lowest).step(step)?;
    Ok((aside, number))
}

fn lock_down(order: &Order, control: &OwnedFd, open_files: u64) -> Result<(), Failure> {
    sys::reset_signals();
    rustix::process::setsid().step("start a session")?;
    // A kernel without keyrings has none to leak.
    let keyring_joined = match sys::join_new_session_keyring() {
        Ok(()) => true,
        Err(Errno::NOSYS) => false,
        Err(errno) => return Err(Failure::new("join a new keyring", errno, "")),
    };
    rustix::process::umask(Mode::from(0o022));
    let null = rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    rustix::stdio::dup2_stdin(null.step("open the null device")?).step("set stdin")?;
    let workdir = order.workdir.path();
    rustix::process::chdir(workdir).step_at("enter the working directory", workdir)?;
    // Under memory pressure the engine goes before the init that has to tell of it.
    if let Ok(file) = rustix::fs::open(
        "/proc/self/oom_score_adj",
        OFlags::WRONLY | OFlags::CLOEXEC,
        Mode::empty(),
    ) {
        ignore(rustix::io::write(file, b"500"));
    }
    limit_resources(order, open_files)?;
    let bare = order.method == Method::Bare;
    match empty_bounding_set() {
        // Without a namespace of our own making we may not; what is left shows when read back.
        Err(Errno::PERM) if order.method != Method::Namespaces => {}
        other => other.step("drop the bounding set")?,
    }
    rustix::thread::clear_ambient_capability_set().step("drop the ambient capabilities")?;
    rustix::thread::set_no_new_privs(true).step("set no_new_privs")?;
    let mut seen = Facts {
        keyring_joined,
        ..Facts::default()
    };
    if !bare {
        (seen.landlock_abi, seen.landlock_status) = enter_domain(&writable(order))?;
        seen.landlock_probe = facts::probe_landlock();
    }
    let none = CapabilitySet::empty();
    let none = CapabilitySets {
        effective: none,
        permitted: none,
        inheritable: none,
    };
    rustix::thread::set_capabilities(None, none).step("drop the capabilities")?;
    let number = u32::try_from(control.as_raw_fd()).unwrap_or(u32::MAX);
    let filter = seccomp::filter(order.observe, number);
    let listener = sys::seccomp_install(&filter, order.observe != Observe::Nothing).step("install the filter")?;
    let frame = Report::Ready {
        facts: facts::complete(seen),
    };
    let descriptors: Vec<_> = listener.iter().map(AsFd::as_fd).collect();
    channel::send(control, &frame, &descriptors).step("report")
}

fn enter_domain(writable: &[(PathBuf, bool)]) -> Result<(i32, String), Failure> {
    landlock::restrict(writable)
        .map_err(|error| Failure::new("enter the Landlock domain", Errno::NOTSUP, error.to_string()))
}

/// The directories that Landlock leaves writable, and whether things can be made in them.
fn writable(order: &Order) -> Vec<(PathBuf, bool)> {
    let mut paths: Vec<_> = [
        ("/workspace", true),
        ("/tmp", true),
        ("/var/tmp", true),
        ("/home/agent", true),
        ("/run", true),
        ("/dev/shm", true),
        ("/dev", false),
    ]
    .into_iter()
    .map(|(path, whole)| (path.into(), whole))
    .collect();
    let binds = order.binds.iter().filter(|bind| !bind.read_only);
    paths.extend(binds.map(|bind| (bind.target.path().to_owned(), true)));
    paths
}

fn limit_resources(order: &Order, open_files: u64) -> Result<(), Failure> {
    let mut limits = vec![
        (Resource::Core, 0),
        (Resource::Nofile, open_files),
        (Resource::Fsize, order.limits.file_bytes),
    ];
    if order.limit_processes {
        limits.push((Resource::Nproc, order.limits.processes));
    }
    for (resource, value) in limits {
        let hard = rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX);
        let value = Some(value.min(hard));
        rustix::process::setrlimit(
            resource,
            Rlimit {
                current: value,
                maximum: value,
            },
        )
        .step("set a resource limit")?;
    }
    Ok(())
}

/// Drops every capability that an exec could otherwise give back.
pub(super) fn empty_bounding_set() -> Result<(), Errno> {
    for bit in 0..CAPABILITY_BITS {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            // The first number that the kernel does not know.
            Err(Errno::INVAL) => break,
            other => other?,
        }
    }
    Ok(())
}

fn execute(order: &Order, argv: &[Bytes]) -> Errno {
    let strings = |bytes: &[Bytes]| -> Option<Vec<CString>> {
        bytes.iter().map(|bytes| CString::new(bytes.0.clone()).ok()).collect()
    };
    let (Some(argv), Some(env)) = (strings(argv), strings(&order.env)) else {
        return Errno::INVAL;
    };
    let argv: Vec<&CStr> = argv.iter().map(CString::as_c_str).collect();
    let env: Vec<&CStr> = env.iter().map(CString::as_c_str).collect();
    let Some(name) = argv.first() else {
        return Errno::INVAL;
    };
    if name.to_bytes().contains(&b'/') {
        return sys::execute(name, &argv, &env);
    }
    let path = env
        .iter()
        .find_map(|entry| entry.to_bytes().strip_prefix(b"PATH="))
        .unwrap_or(DEFAULT_PATH);
    let mut errno = Errno::NOENT;
    // Only absolute entries: the workspace must not be able to shadow a program.
    for directory in path.split(|byte| *byte == b':').filter(|part| part.starts_with(b"/")) {
        let file = Path::new(OsStr::from_bytes(directory)).join(OsStr::from_bytes(name.to_bytes()));
        match rustix::fs::accessat(CWD, &file, Access::EXEC_OK, AtFlags::empty()) {
            Ok(()) => match CString::new(file.into_os_string().as_bytes()) {
                Ok(file) => errno = sys::execute(&file, &argv, &env),
                Err(_) => return Errno::INVAL,
            },
            Err(Errno::ACCESS) => errno = Errno::ACCESS,
            Err(_) => {}
        }
    }
    errno
}
