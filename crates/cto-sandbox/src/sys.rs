//! The system calls that no safe wrapper offers: all `unsafe` of the project lives here.
#![expect(unsafe_code, reason = "the kernel interfaces below have no safe wrapper in rustix")]

use std::ffi::{CStr, c_char, c_int, c_long, c_uint, c_ulong};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::ptr;

use rustix::io::Errno;
use rustix::process::{Pid, Signal};

/// Which side of a fork the caller is on.
#[derive(Debug)]
pub(crate) enum Fork {
    Child,
    Parent(Pid),
}

fn check(result: c_long) -> Result<c_long, Errno> {
    if result < 0 { Err(last()) } else { Ok(result) }
}

fn last() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// Forks. Only the single-threaded inner stage may call this.
pub(crate) fn fork() -> Result<Fork, Errno> {
    // SAFETY: the inner stage has one thread, so no lock can be held by a thread that vanishes.
    let pid = check(c_long::from(unsafe { libc::fork() }))?;
    let pid = i32::try_from(pid).map_err(|_| Errno::OVERFLOW)?;
    Ok(Pid::from_raw(pid).map_or(Fork::Child, Fork::Parent))
}

/// Makes a child die with the thread that starts it, which must therefore be the one that waits for it.
pub fn end_with_parent(command: &mut Command) -> &mut Command {
    let parent = rustix::process::getpid();
    let arm = move || {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        // Who died before that sends no signal any more.
        if rustix::process::getppid() == Some(parent) {
            Ok(())
        } else {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    };
    // SAFETY: between fork and exec only two system calls are made: nothing is allocated and no lock is taken.
    unsafe { command.pre_exec(arm) }
}

/// Moves the calling process into new namespaces.
pub(crate) fn unshare(flags: c_int) -> Result<(), Errno> {
    // SAFETY: takes no pointer; the inner stage owns no state that depends on shared tables.
    check(c_long::from(unsafe { libc::unshare(flags) })).map(drop)
}

/// Closes a range of descriptors; none of them is owned by a Rust value yet.
pub(crate) fn close_range(first: u32, last: u32) -> Result<(), Errno> {
    // SAFETY: called first thing in the inner stage, before any owned descriptor exists there.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }).map(drop)
}

/// Takes the ownership of a descriptor that the parent passed by number.
pub(crate) fn take_descriptor(number: i32) -> Result<OwnedFd, Errno> {
    // SAFETY: F_GETFD only asks whether the number is open.
    check(c_long::from(unsafe { libc::fcntl(number, libc::F_GETFD) }))?;
    // SAFETY: the number is open, and each caller takes a different one exactly once.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Tells whether a descriptor would survive an exec.
pub(crate) fn survives_exec(number: i32) -> bool {
    // SAFETY: F_GETFD takes no pointer and does not change the descriptor.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
    flags >= 0 && flags & libc::FD_CLOEXEC == 0
}

/// `struct mount_attr` of `mount_setattr(2)`.
#[repr(C)]
struct MountAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    userns_fd: u64,
}

/// Sets attributes and propagation of the mount behind a descriptor, below it too if `recursive`.
pub(crate) fn mount_setattr(mount: BorrowedFd<'_>, recursive: bool, set: u64, propagation: u64) -> Result<(), Errno> {
    let attributes = MountAttributes {
        set,
        clear: 0,
        propagation,
        userns_fd: 0,
    };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is a C string, and the attributes outlive the call, which gets their size.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<MountAttributes>(),
        )
    })
    .map(drop)
}

/// Sends a signal to every process of the PID namespace except init. Only its init may call this.
pub(crate) fn kill_namespace(signal: c_int) {
    // SAFETY: takes no pointer. ESRCH, nobody there, is the wished end and no error.
    let _ = unsafe { libc::kill(-1, signal) };
}

/// Gives the process an empty session keyring of its own.
pub(crate) fn join_new_session_keyring() -> Result<(), Errno> {
    const JOIN_SESSION_KEYRING: c_long = 1;
    let name: *const c_char = ptr::null();
    // SAFETY: a null name asks for an anonymous keyring; nothing is written.
    check(unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, name) }).map(drop)
}

/// Returns the Landlock ABI of the running kernel, 0 where there is none.
pub(crate) fn landlock_abi() -> i32 {
    const VERSION: c_uint = 1;
    let attributes: *const u8 = ptr::null();
    // SAFETY: with the version flag the attributes must be null with size 0.
    let abi = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, attributes, 0usize, VERSION) };
    i32::try_from(abi).unwrap_or(0).max(0)
}

/// Tells whether the kernel knows a seccomp return action.
pub(crate) fn seccomp_has_action(action: u32) -> bool {
    // SAFETY: the action outlives the call, which only reads it.
    unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &raw const action) == 0 }
}

/// Installs a filter on the calling thread; with `listener` the notification descriptor returns.
pub(crate) fn seccomp_install(program: &[libc::sock_filter], listener: bool) -> Result<Option<OwnedFd>, Errno> {
    let length = u16::try_from(program.len()).map_err(|_| Errno::INVAL)?;
    let program = libc::sock_fprog {
        len: length,
        filter: program.as_ptr().cast_mut(),
    };
    let install = |flags: c_ulong| {
        // SAFETY: the program and its instructions outlive the call, which copies them.
        check(unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                libc::SECCOMP_SET_MODE_FILTER,
                flags,
                &raw const program,
            )
        })
    };
    if !listener {
        return install(0).map(|_| None);
    }
    let killable = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    let number = match install(killable) {
        // Before 5.19 a waiting call can be interrupted by a signal: weaker, but not unsafe.
        Err(Errno::INVAL) => install(libc::SECCOMP_FILTER_FLAG_NEW_LISTENER)?,
        other => other?,
    };
    let number = i32::try_from(number).map_err(|_| Errno::OVERFLOW)?;
    // SAFETY: the kernel has just returned this descriptor to us.
    Ok(Some(unsafe { OwnedFd::from_raw_fd(number) }))
}

/// One call that waits for the answer of the harness.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Notification {
    pub(crate) id: u64,
    pub(crate) pid: u32,
    pub(crate) number: c_long,
    pub(crate) arguments: [u64; 6],
}

/// Receives one notification. The caller has polled: without one this would block.
pub(crate) fn notification_receive(listener: BorrowedFd<'_>) -> Result<Notification, Errno> {
    // SAFETY: the kernel demands a zeroed structure, and all-zero is a valid value of it.
    let mut raw: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    // SAFETY: the structure is writable and of the size that the request number carries.
    check(c_long::from(unsafe {
        libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut raw)
    }))?;
    Ok(Notification {
        id: raw.id,
        pid: raw.pid,
        number: c_long::from(raw.data.nr),
        arguments: raw.data.args,
    })
}

/// Answers a notification: lets the call go on, or fails it with an error number.
pub(crate) fn notification_answer(listener: BorrowedFd<'_>, id: u64, refuse_with: Option<c_int>) -> Result<(), Errno> {
    #[expect(clippy::cast_possible_truncation, reason = "the flag is 1; only its type is wide")]
    let go_on = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32;
    let mut response = libc::seccomp_notif_resp {
        id,
        val: 0,
        error: refuse_with.map_or(0, |errno| -errno),
        flags: if refuse_with.is_some() { 0 } else { go_on },
    };
    // SAFETY: the structure outlives the call and has the size that the request number carries.
    check(c_long::from(unsafe {
        libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut response)
    }))
    .map(drop)
}

/// Tells whether the caller of a notification still waits, so that its memory is still its own.
pub(crate) fn notification_is_valid(listener: BorrowedFd<'_>, id: u64) -> bool {
    // SAFETY: the identifier outlives the call, which only reads it.
    unsafe { libc::ioctl(listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &raw const id) == 0 }
}

/// Blocks SIGCHLD and returns a descriptor that becomes readable for it.
pub(crate) fn watch_children() -> Result<OwnedFd, Errno> {
    // SAFETY: an all-zero set is a valid value; sigemptyset then makes it a proper one.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is writable.
    unsafe { libc::sigemptyset(&raw mut set) };
    // SAFETY: the set is initialised.
    unsafe { libc::sigaddset(&raw mut set, libc::SIGCHLD) };
    // SAFETY: the set is initialised, and the old mask is not asked for.
    unsafe { libc::sigprocmask(libc::SIG_BLOCK, &raw const set, ptr::null_mut()) };
    // SAFETY: the set is initialised; -1 asks for a new descriptor.
    let number = unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
    check(c_long::from(number))?;
    // SAFETY: the kernel has just returned this descriptor to us.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Gives a program the signal state that it expects: nothing blocked, SIGPIPE fatal.
pub(crate) fn reset_signals() {
    // SAFETY: an all-zero set is a valid value; sigemptyset then makes it a proper one.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is writable.
    unsafe { libc::sigemptyset(&raw mut set) };
    // SAFETY: the set is initialised, and the old mask is not asked for.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const set, ptr::null_mut()) };
    // SAFETY: the default disposition is valid for SIGPIPE, which the Rust runtime ignores.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

/// Replaces the process; returns only the reason why it could not.
pub(crate) fn execute(path: &CStr, argv: &[&CStr], environment: &[&CStr]) -> Errno {
    let pointers = |strings: &[&CStr]| -> Vec<*const c_char> {
        strings
            .iter()
            .map(|string| string.as_ptr())
            .chain([ptr::null()])
            .collect()
    };
    let argv = pointers(argv);
    let environment = pointers(environment);
    // SAFETY: path and both null-terminated arrays of C strings outlive the call.
    unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), environment.as_ptr()) };
    last()
}

/// What the reaped children used: user and system time in microseconds, largest RSS in bytes.
pub(crate) fn children_usage() -> (u64, u64, u64) {
    // SAFETY: an all-zero structure is a valid value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the structure is writable.
    unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage) };
    let micros = |time: libc::timeval| {
        u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000 + u64::try_from(time.tv_usec).unwrap_or(0)
    };
    (
        micros(usage.ru_utime),
        micros(usage.ru_stime),
        u64::try_from(usage.ru_maxrss).unwrap_or(0) * 1024,
    )
}

/// Brings the loopback interface of the current network namespace up.
pub(crate) fn loopback_up(socket: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: an all-zero request is a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = c_char::try_from(*from).map_err(|_| Errno::INVAL)?;
    }
    request.ifr_ifru.ifru_flags =
        libc::c_short::try_from(libc::IFF_UP | libc::IFF_RUNNING).map_err(|_| Errno::INVAL)?;
    // SAFETY: the request is initialised and outlives the call.
    check(c_long::from(unsafe {
        libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request)
    }))
    .map(drop)
}

/// Makes a call that the filter must refuse and returns what came of it; for the self-test.
pub(crate) fn attempt(number: c_long, arguments: [c_ulong; 3]) -> Result<(), Errno> {
    let [first, second, third] = arguments;
    // SAFETY: the self-test passes null pointers and zero sizes only: the kernel refuses them.
    check(unsafe { libc::syscall(number, first, second, third, 0 as c_ulong, 0 as c_ulong) }).map(drop)
}
