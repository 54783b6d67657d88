//! The attempts of the self-test, made by the locked-down child itself.

use std::ffi::c_long;
use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType};
use serde::{Deserialize, Serialize};

use crate::self_test::Probe;
use crate::spec::Embedded;
use crate::sys;

pub(crate) const NAME: &str = "cto-self-test";

/// The functions that every inner stage knows.
pub(crate) const BUILT_IN: &[Embedded] = &[Embedded { name: NAME, run }];

/// What the harness tells the attempts of itself.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Input {
    pub(crate) port: u16,
    pub(crate) abstract_name: String,
}

fn run(input: &str) -> i32 {
    let Ok(input) = serde_json::from_str::<Input>(input) else {
        return 2;
    };
    let mut probes = files();
    probes.extend(calls());
    probes.extend(sockets(&input));
    probes.extend(surroundings());
    let Ok(text) = serde_json::to_vec(&probes) else {
        return 2;
    };
    i32::from(std::io::stdout().write_all(&text).is_err())
}

/// An attempt that must fail with one of the listed errors.
fn refused<T>(name: &str, allowed: &[Errno], outcome: Result<T, Errno>) -> Probe {
    let expected: Vec<_> = allowed.iter().map(|errno| format!("{errno:?}")).collect();
    // What did work is closed again here.
    let (seen, ok) = match outcome.map(drop) {
        Ok(()) => ("it worked".to_owned(), false),
        Err(errno) => (format!("{errno:?}"), allowed.contains(&errno)),
    };
    Probe {
        name: name.to_owned(),
        expected: expected.join(" or "),
        seen,
        ok,
    }
}

fn is(name: &str, expected: &str, seen: String) -> Probe {
    let ok = seen == expected;
    Probe {
        name: name.to_owned(),
        expected: expected.to_owned(),
        seen,
        ok,
    }
}

fn errno<T>(outcome: std::io::Result<T>) -> Result<T, Errno> {
    outcome.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

fn files() -> Vec<Probe> {
    let open = |path: &str, flags: OFlags| rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::from(0o600));
    let closed = [Errno::ROFS, Errno::ACCESS, Errno::PERM];
    let new = OFlags::CREATE | OFlags::WRONLY;
    let mut probes = vec![
        refused("write_root", &closed, open("/cto-self-test", new)),
        refused("write_usr", &closed, open("/usr/cto-self-test", new)),
        refused("write_etc", &closed, open("/etc/passwd", OFlags::WRONLY)),
        refused(
            "write_sysctl",
            &closed,
            open("/proc/sys/kernel/core_pattern", OFlags::WRONLY),
        ),
        refused(
            "read_init_memory",
            &[Errno::ACCESS, Errno::PERM, Errno::NOENT],
            open("/proc/1/mem", OFlags::RDONLY),
        ),
        refused(
            "read_init_environment",
            &[Errno::ACCESS, Errno::PERM],
            fs_read("/proc/1/environ"),
        ),
        // A harness that runs as an ordinary user owns its binary, and the engine has its uid.
        refused(
            "write_harness_binary",
            &[Errno::ACCESS, Errno::ROFS, Errno::TXTBSY],
            open("/proc/self/exe", OFlags::WRONLY),
        ),
        is("write_workspace", "done", written("cto-self-test")),
        is("write_tmp", "done", written("/tmp/cto-self-test")),
    ];
    for (name, path) in [
        ("host_root_home", "/root"),
        ("host_sys", "/sys"),
        ("docker_socket", "/run/docker.sock"),
        ("docker_socket_legacy", "/var/run/docker.sock"),
        ("system_bus", "/run/dbus/system_bus_socket"),
    ] {
        let there = fs::symlink_metadata(path);
        probes.push(refused(name, &[Errno::NOENT, Errno::NOTDIR], errno(there)));
    }
    probes
}

fn fs_read(path: &str) -> Result<Vec<u8>, Errno> {
    errno(fs::read(path))
}

/// Writes a file and takes it away again: under the provider without a view it is the host's.
fn written(path: &str) -> String {
    let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
    let outcome = rustix::fs::open(path, flags, Mode::from(0o600))
        .and_then(|file| rustix::io::write(file, b"x"))
        .and_then(|_| rustix::fs::unlink(path));
    done(outcome)
}

fn done<T>(outcome: Result<T, Errno>) -> String {
    outcome.map_or_else(|errno| format!("{errno:?}"), |_| "done".to_owned())
}

fn calls() -> Vec<Probe> {
    let calls: [(&str, c_long); 9] = [
        ("mount", libc::SYS_mount),
        ("unshare", libc::SYS_unshare),
        ("setns", libc::SYS_setns),
        ("ptrace", libc::SYS_ptrace),
        ("keyctl", libc::SYS_keyctl),
        ("bpf", libc::SYS_bpf),
        ("io_uring_setup", libc::SYS_io_uring_setup),
        ("userfaultfd", libc::SYS_userfaultfd),
        ("perf_event_open", libc::SYS_perf_event_open),
    ];
    let mut probes: Vec<_> = calls
        .into_iter()
        .map(|(name, number)| refused(name, &[Errno::PERM], sys::attempt(number, [0; 3])))
        .collect();
    probes.push(refused(
        "clone3",
        &[Errno::NOSYS],
        sys::attempt(libc::SYS_clone3, [0; 3]),
    ));
    probes
}

fn sockets(input: &Input) -> Vec<Probe> {
    let family = |number: u16| rustix::net::socket(AddressFamily::from_raw(number), SocketType::DGRAM, None);
    let connect = |address: (&str, u16)| {
        let address = format!("{}:{}", address.0, address.1).parse();
        let address = address.map_err(|_| Errno::INVAL)?;
        errno(TcpStream::connect_timeout(&address, Duration::from_secs(1)))
    };
    let unix =
        SocketAddr::from_abstract_name(&input.abstract_name).and_then(|address| UnixStream::connect_addr(&address));
    let inside = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .and_then(TcpListener::bind)
        .and_then(|listener| TcpStream::connect(listener.local_addr()?));
    vec![
        refused("socket_packet", &[Errno::AFNOSUPPORT], family(17)),
        refused("socket_vsock", &[Errno::AFNOSUPPORT], family(40)),
        refused("socket_alg", &[Errno::AFNOSUPPORT], family(38)),
        refused("cloud_metadata", &[Errno::NETUNREACH], connect(("169.254.169.254", 80))),
        refused(
            "host_loopback",
            &[Errno::CONNREFUSED],
            connect(("127.0.0.1", input.port)),
        ),
        refused("host_abstract_socket", &[Errno::CONNREFUSED, Errno::PERM], errno(unix)),
        is("own_loopback", "done", done(errno(inside))),
    ]
}

fn surroundings() -> Vec<Probe> {
    let names = |path: &str| -> Vec<String> {
        let entries = fs::read_dir(path).into_iter().flatten().filter_map(Result::ok);
        let mut names: Vec<_> = entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    };
    // The directory itself is open while it is listed, so each number is asked again.
    let open: Vec<_> = names("/proc/self/fd")
        .into_iter()
        .filter(|name| fs::read_link(Path::new("/proc/self/fd").join(name)).is_ok())
        .collect();
    let numbers = names("/proc")
        .into_iter()
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
    let others = numbers
        .filter(|name| *name != "1" && *name != std::process::id().to_string())
        .count();
    // Bubblewrap says where it starts its program; nothing of the host is in that.
    let environment = fs::read("/proc/self/environ").unwrap_or_else(|_| b"unreadable".to_vec());
    let names_only: Vec<_> = environment
        .split(|byte| *byte == 0)
        .filter(|entry| !entry.is_empty() && !entry.starts_with(b"PWD="))
        .map(|entry| entry.split(|byte| *byte == b'=').next().unwrap_or_default())
        .map(|name| name.escape_ascii().to_string())
        .collect();
    vec![
        is("descriptors", "0 1 2", open.join(" ")),
        is("host_homes", "agent", names("/home").join(" ")),
        is("other_processes", "0", others.to_string()),
        is("environment", "", names_only.join(" ")),
    ]
}
