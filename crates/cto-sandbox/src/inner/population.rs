//! The processes that belong to a jail, as its init sees them.

use std::fs;

use rustix::process::{Pid, Signal};

use crate::ignore;
use crate::protocol::Survivor;
use crate::sys;

/// More survivors than this are counted, but not described.
const DESCRIBED: usize = 64;
const ARGUMENT_BYTES: usize = 256;

/// Who belongs to the jail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Population {
    /// Everybody in the PID namespace but init.
    Namespace,
    /// The descendants of this process, which adopts orphans.
    Descendants,
}

impl Population {
    /// Sends a signal to all of them.
    pub(super) fn signal(self, signal: Signal) {
        match self {
            Self::Namespace => sys::kill_namespace(signal.as_raw()),
            Self::Descendants => {
                for pid in descendants() {
                    // Gone in the meantime is fine.
                    if let Some(pid) = Pid::from_raw(pid) {
                        ignore(rustix::process::kill_process(pid, signal));
                    }
                }
            }
        }
    }

    /// Describes those that live, and counts them all.
    pub(super) fn alive(self) -> (Vec<Survivor>, u64) {
        let own = rustix::process::getpid().as_raw_nonzero().get();
        let pids: Vec<i32> = match self {
            Self::Namespace => processes().into_iter().filter(|pid| *pid != own).collect(),
            Self::Descendants => descendants(),
        };
        let living: Vec<i32> = pids
            .into_iter()
            .filter(|pid| stat(*pid).is_some_and(|(state, _)| !matches!(state, 'Z' | 'X')))
            .collect();
        let described = living.iter().take(DESCRIBED).map(|pid| describe(*pid)).collect();
        (described, u64::try_from(living.len()).unwrap_or(u64::MAX))
    }
}

fn processes() -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let mut pids: Vec<i32> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    pids
}

/// Returns the state letter and the parent of a process.
fn stat(pid: i32) -> Option<(char, i32)> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let text = String::from_utf8_lossy(&text).into_owned();
    // The name may hold anything, so the fields start behind its last bracket.
    let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

fn descendants() -> Vec<i32> {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let parents: Vec<(i32, i32)> = processes()
        .into_iter()
        .filter_map(|pid| Some((pid, stat(pid)?.1)))
        .collect();
    let mut found = vec![own];
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        at += 1;
    }
    found.split_off(1)
}

fn describe(pid: i32) -> Survivor {
    let read = |name: &str| fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let mut argv = read("cmdline");
    argv.truncate(ARGUMENT_BYTES);
    let argv = argv.strip_suffix(b"\0").unwrap_or(&argv);
    let words: Vec<_> = argv.split(|byte| *byte == 0).map(escape).collect();
    Survivor {
        pid,
        comm: escape(read("comm").trim_ascii_end()),
        argv: words.join(" "),
    }
}

fn escape(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}
