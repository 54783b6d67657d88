//! The method that lets the bubblewrap program build the view, with our own init inside.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rustix::fs::AtFlags;
use rustix::io::{Errno, FdFlags};

use super::population::Population;
use super::{Context, Failure, INIT_ARGUMENT, INNER_ARGUMENT, files, init, outer};
use crate::protocol::{Bytes, Method, Order, WorkspaceOrder};
use crate::spec::Embedded;
use crate::sys;

/// Where our binary lies in the view.
const INNER: &str = "/run/cto-inner";
/// The order's memory file gets a number from here on, out of bubblewrap's way.
const ORDER_DESCRIPTOR: i32 = 100;

/// Becomes bubblewrap; returns only if that fails.
pub(super) fn exec(context: &mut Context<'_>) -> Failure {
    let failure = |errno| Failure::new("start bubblewrap", errno, "");
    // Our init reads the order again, from where it started.
    let length = match rustix::fs::tell(&context.contents) {
        Ok(length) => length,
        Err(errno) => return failure(errno),
    };
    if let Err(failure) = init::change_on_host(context) {
        return failure;
    }
    match try_exec(context, length) {
        Ok(errno) | Err(errno) => failure(errno),
    }
}

fn try_exec(context: &Context<'_>, length: u64) -> Result<Errno, Errno> {
    let Method::Bubblewrap { program, .. } = &context.order.method else {
        return Err(Errno::INVAL);
    };
    let memory = rustix::io::fcntl_dupfd_cloexec(&context.contents, ORDER_DESCRIPTOR)?;
    rustix::io::fcntl_setfd(&memory, FdFlags::empty())?;
    let mut arguments = vec![program.os()];
    arguments.extend(arguments_for(context)?.into_iter().map(Into::into));
    arguments.extend([INNER, INNER_ARGUMENT, INIT_ARGUMENT].map(Into::into));
    arguments.extend([length.to_string(), memory.as_raw_fd().to_string()].map(Into::into));
    let strings: Vec<CString> = arguments
        .iter()
        .map(|argument| CString::new(argument.as_bytes()).map_err(|_| Errno::INVAL))
        .collect::<Result<_, _>>()?;
    let strings: Vec<&CStr> = strings.iter().map(CString::as_c_str).collect();
    // Bubblewrap does not read its standard input: our init finds the control socket there.
    rustix::stdio::dup2_stdin(&context.control)?;
    Ok(strings
        .first()
        .map_or(Errno::INVAL, |path| sys::execute(path, &strings, &[])))
}

fn arguments_for(context: &Context<'_>) -> Result<Vec<PathBuf>, Errno> {
    let order = &context.order;
    let Method::Bubblewrap { inner, .. } = &order.method else {
        return Err(Errno::INVAL);
    };
    let WorkspaceOrder::Host { path: workspace } = &order.workspace else {
        return Err(Errno::INVAL);
    };
    let mut list: Vec<PathBuf> = Vec::new();
    for word in [
        "--unshare-user",
        "--unshare-ipc",
        "--unshare-pid",
        "--unshare-net",
        "--unshare-uts",
        "--unshare-cgroup-try",
        "--disable-userns",
        "--die-with-parent",
        "--as-pid-1",
        "--new-session",
        "--clearenv",
    ] {
        list.push(PathBuf::from(word));
    }
    list.extend(system(order)?);
    let mut add = |words: &[&Path]| extend(&mut list, words);
    let size = order.limits.tmp_bytes.to_string();
    for target in ["/tmp", "/var/tmp", "/home/agent", "/run"] {
        add(&[text("--size"), Path::new(&size), text("--tmpfs"), text(target)]);
    }
    add(&[text("--dev"), text("/dev"), text("--proc"), text("/proc")]);
    add(&[text("--size"), Path::new(&size), text("--tmpfs"), text("/dev/shm")]);
    add(&[text("--ro-bind"), text("/proc/sys"), text("/proc/sys")]);
    list.extend(workspace_arguments(order, workspace.path())?);
    list.extend(mask_arguments(order, workspace.path())?);
    let mut add = |words: &[&Path]| extend(&mut list, words);
    add(&[text("--ro-bind"), inner.path(), text(INNER)]);
    add(&[text("--remount-ro"), text("/"), text("--chdir"), text("/")]);
    Ok(list)
}

fn text(word: &'static str) -> &'static Path {
    Path::new(word)
}

fn extend(list: &mut Vec<PathBuf>, words: &[&Path]) {
    list.extend(words.iter().map(|word| word.to_path_buf()));
}

/// Identity, programs and the files of `/etc`.
fn system(order: &Order) -> Result<Vec<PathBuf>, Errno> {
    let mut list = Vec::new();
    let mut add = |words: &[&Path]| extend(&mut list, words);
    let (uid, gid) = (order.uid.to_string(), order.gid.to_string());
    add(&[text("--uid"), Path::new(&uid), text("--gid"), Path::new(&gid)]);
    add(&[text("--hostname"), text(files::HOST_NAME)]);
    add(&[text("--ro-bind"), text("/usr"), text("/usr")]);
    for name in ["/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"] {
        match std::fs::read_link(name) {
            Ok(target) => add(&[text("--symlink"), &target, text(name)]),
            Err(_) => add(&[text("--ro-bind-try"), text(name), text(name)]),
        }
    }
    for (name, content) in files::made_up(order.uid, order.gid) {
        let number = made_up_descriptor(&content)?.to_string();
        let target = Path::new("/").join(name);
        add(&[text("--ro-bind-data"), Path::new(&number), &target]);
    }
    for name in files::HOST_ETC {
        let path = Path::new("/").join(name);
        add(&[text("--ro-bind-try"), &path, &path]);
    }
    Ok(list)
}

fn workspace_arguments(order: &Order, workspace: &Path) -> Result<Vec<PathBuf>, Errno> {
    let mut list = Vec::new();
    let mut add = |words: &[&Path]| extend(&mut list, words);
    add(&[text("--bind"), workspace, text("/workspace")]);
    for bind in &order.binds {
        let how = if bind.read_only { "--ro-bind" } else { "--bind" };
        add(&[text(how), bind.source.path(), bind.target.path()]);
    }
    for path in &order.read_only {
        let target = Path::new("/workspace").join(path.path());
        let source = workspace.join(path.path());
        match std::fs::symlink_metadata(&source) {
            // A mount would land on what the link says, and leave the link itself free.
            Ok(found) if found.is_symlink() => return Err(Errno::LOOP),
            Ok(_) => add(&[text("--ro-bind"), &source, &target]),
            Err(_) => {}
        }
    }
    Ok(list)
}

/// Covers workspace paths; bubblewrap does it before our init looks at them.
fn mask_arguments(order: &Order, workspace: &Path) -> Result<Vec<PathBuf>, Errno> {
    let mut list = Vec::new();
    let mut add = |words: &[&Path]| extend(&mut list, words);
    for path in &order.masks {
        let target = Path::new("/workspace").join(path.path());
        match std::fs::symlink_metadata(workspace.join(path.path())) {
            Ok(found) if found.is_symlink() => return Err(Errno::LOOP),
            Ok(found) if found.is_dir() => {
                add(&[text("--tmpfs"), &target, text("--remount-ro"), &target]);
            }
            Ok(_) => {
                let number = made_up_descriptor("")?.to_string();
                add(&[text("--ro-bind-data"), Path::new(&number), &target]);
            }
            Err(_) => {}
        }
    }
    Ok(list)
}

/// Returns the masks that have something to cover.
pub(super) fn found_masks(order: &Order, workspace: BorrowedFd<'_>) -> Vec<Bytes> {
    let there = |path: &&Bytes| rustix::fs::statat(workspace, path.path(), AtFlags::SYMLINK_NOFOLLOW).is_ok();
    order.masks.iter().filter(there).cloned().collect()
}

/// Puts a made-up file where bubblewrap can read it from: a pipe would do, memory is simpler.
fn made_up_descriptor(content: &str) -> Result<i32, Errno> {
    let memory = rustix::fs::memfd_create("made-up", rustix::fs::MemfdFlags::empty())?;
    rustix::io::write(&memory, content.as_bytes())?;
    rustix::fs::seek(&memory, rustix::fs::SeekFrom::Start(0))?;
    // Bubblewrap takes it over by number and closes it.
    Ok(memory.into_raw_fd())
}

/// Runs as PID 1 of the view that bubblewrap has built.
pub(super) fn run_init(embedded: &[Embedded]) -> ExitCode {
    let number = |index| std::env::args_os().nth(index)?.to_str()?.parse::<u32>().ok();
    let (length, memory) = (number(3), number(4));
    let Ok(control) = outer::take_control(memory) else {
        return ExitCode::FAILURE;
    };
    let taken = match (length, memory.and_then(|memory| i32::try_from(memory).ok())) {
        (Some(length), Some(memory)) => sys::take_descriptor(memory)
            .map_err(|errno| Failure::new("take the order", errno, ""))
            .and_then(|memory| outer::read_order(memory, u64::from(length))),
        _ => Err(Failure::new("take the order", Errno::BADF, "")),
    };
    let (order, contents) = match taken {
        Ok(taken) => taken,
        Err(failure) => return failure.report(&control),
    };
    let mut context = Context {
        order,
        control,
        contents,
        embedded,
    };
    match init::export_existing(&mut context) {
        Ok(()) => init::run(context, Population::Namespace),
        Err(failure) => failure.report(&context.control),
    }
}
