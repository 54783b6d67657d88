//! The made-up files of the view, and the host files that programs cannot do without.

use std::os::fd::BorrowedFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// Host paths below `/etc` that are shown read-only where they exist.
pub(super) const HOST_ETC: [&str; 9] = [
    "etc/ld.so.cache",
    "etc/ld.so.conf",
    "etc/ld.so.conf.d",
    "etc/alternatives",
    "etc/ssl/certs",
    "etc/ssl/openssl.cnf",
    "etc/ca-certificates",
    "etc/pki",
    "etc/magic",
];

/// The name of the machine, as the engine sees it.
pub(super) const HOST_NAME: &str = "cto";

/// Returns name and content of the files that are made up.
pub(super) fn made_up(uid: u32, gid: u32) -> Vec<(&'static str, String)> {
    vec![
        (
            "etc/passwd",
            format!(
                "root:x:0:0:root:/root:/usr/sbin/nologin\n\
                 agent:x:{uid}:{gid}:agent:/home/agent:/bin/sh\n\
                 nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
            ),
        ),
        ("etc/group", format!("root:x:0:\nagent:x:{gid}:\nnogroup:x:65534:\n")),
        ("etc/hosts", format!("127.0.0.1 localhost {HOST_NAME}\n::1 localhost\n")),
        ("etc/hostname", format!("{HOST_NAME}\n")),
        (
            "etc/nsswitch.conf",
            "passwd: files\ngroup: files\nhosts: files dns\nservices: files\n".to_owned(),
        ),
        // Nobody answers there: a name that somebody looks up is refused at once, and seen.
        (
            "etc/resolv.conf",
            "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n".to_owned(),
        ),
    ]
}

/// Writes one new file.
pub(super) fn write(directory: BorrowedFd<'_>, path: &Path, content: &[u8]) -> Result<(), Errno> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(directory, path, flags, Mode::from(0o644))?;
    if !content.is_empty() {
        rustix::io::write(file, content)?;
    }
    Ok(())
}
