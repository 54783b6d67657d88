//! Reads what a jailed program is about to do, answers it, and tells of it.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;

use crate::address::{Address, parse_address};
use crate::memory::{AT_FDCWD, Memory};
use crate::protocol::{Method, Order, ProgramOrder};
use crate::seccomp;
use crate::seccomp::table::{self, Rule};
use crate::sys::{self, Notification};

/// More of one kind are only counted.
const KEPT_PER_KIND: u64 = 1000;
const WRITE_FLAGS: u64 = 0o3 | 0o100 | 0o1000 | 0o2000 | 0o20_000_000;

/// One act of a process of the jail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// The process, in the numbering of the harness.
    pub pid: u32,
    /// Its executable as the jail names it; none where it could not be read.
    pub exe: Option<PathBuf>,
    /// Whether that is the same file as the program that the jail was made for.
    pub by_engine: bool,
    /// What it was about to do.
    pub act: Act,
}

/// What a process was about to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Run a program.
    Exec {
        /// Its path, made absolute.
        path: PathBuf,
        /// Its arguments, capped.
        argv: Vec<Vec<u8>>,
        /// Whether this is the start of the jail's own program.
        initial: bool,
    },
    /// Connect, or send to an address.
    Reach {
        /// The system call.
        call: &'static str,
        /// Where to.
        address: Address,
        /// Whether the own network namespace makes that impossible.
        refused: bool,
    },
    /// Change the file system.
    Write {
        /// The system call.
        call: &'static str,
        /// What it changes, made absolute.
        path: PathBuf,
        /// The other path of a rename or link.
        from: Option<PathBuf>,
        /// Whether that is not below any directory that is meant to be written.
        outside: bool,
    },
    /// Call what the filter refuses.
    Denied {
        /// The system call.
        call: &'static str,
        /// What it got.
        errno: i32,
    },
    /// Something whose arguments could not be read; it went on.
    Unreadable {
        /// The system call.
        call: &'static str,
    },
}

impl Act {
    fn kind(&self) -> &'static str {
        match self {
            Self::Exec { .. } => "exec",
            Self::Reach { .. } => "reach",
            Self::Write { outside: true, .. } => "write_outside",
            Self::Write { .. } => "write",
            Self::Denied { .. } => "denied",
            Self::Unreadable { .. } => "unreadable",
        }
    }
}

/// Serves the notifications of one jail.
#[derive(Debug)]
pub(crate) struct Observer {
    writable: Vec<PathBuf>,
    network_is_own: bool,
    /// Whether the program is a function of our own binary.
    embedded: bool,
    /// The first process: it becomes the program.
    first: Option<u32>,
    /// Device and inode of the program's executable.
    engine: Option<(u64, u64)>,
    inner: Option<(u64, u64)>,
    counts: BTreeMap<&'static str, u64>,
}

impl Observer {
    pub(crate) fn new(order: &Order, network_is_own: bool) -> Self {
        let mut writable: Vec<PathBuf> = ["/tmp", "/var/tmp", "/dev"].iter().map(PathBuf::from).collect();
        if order.method != Method::Bare {
            writable.push(PathBuf::from("/run"));
        }
        writable.push(order.workspace_path.path().to_owned());
        writable.push(order.home_path.path().to_owned());
        let binds = order.binds.iter().filter(|bind| !bind.read_only);
        writable.extend(binds.map(|bind| bind.target.path().to_owned()));
        Self {
            writable,
            network_is_own,
            embedded: matches!(order.program, ProgramOrder::Embedded { .. }),
            first: None,
            engine: None,
            inner: None,
            counts: BTreeMap::new(),
        }
    }

    /// Says how many acts of each kind were not told.
    pub(crate) fn suppressed(&self) -> BTreeMap<&'static str, u64> {
        let over = |count: &u64| count.saturating_sub(KEPT_PER_KIND);
        self.counts
            .iter()
            .map(|(kind, count)| (*kind, over(count)))
            .filter(|(_, over)| *over > 0)
            .collect()
    }

    /// Takes one notification, if there is one, and answers it whatever can be learnt of it.
    pub(crate) fn serve(&mut self, listener: BorrowedFd<'_>) -> Result<Option<Observation>, Errno> {
        let mut polled = [PollFd::from_borrowed_fd(listener, PollFlags::IN)];
        rustix::event::poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
        let [polled] = polled;
        if !polled.revents().contains(PollFlags::IN) {
            let gone = polled.revents().intersects(PollFlags::HUP | PollFlags::ERR);
            return if gone { Err(Errno::NOTCONN) } else { Ok(None) };
        }
        let notification = match sys::notification_receive(listener) {
            Ok(notification) => notification,
            // The caller was killed meanwhile.
            Err(Errno::NOENT | Errno::INTR) => return Ok(None),
            Err(errno) => return Err(errno),
        };
        let row = table::find(notification.number);
        let rule = row.map_or(Rule::Observe, |row| row.rule);
        let refuse_with = (!rule.only_observes()).then(|| seccomp::refusal(rule));
        let name = row.map_or("unknown", |row| row.name);
        let observation = match refuse_with {
            Some(errno) => {
                let act = Act::Denied { call: name, errno };
                Some(self.observation(&notification, act))
            }
            None => self
                .read(&notification, name)
                .map(|act| self.observation(&notification, act)),
        };
        // What was read counts only while the caller still waits: else it may be another's memory.
        let valid = sys::notification_is_valid(listener, notification.id);
        match sys::notification_answer(listener, notification.id, refuse_with) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
        Ok(observation
            .filter(|_| valid)
            .filter(|observation| self.keep(&observation.act)))
    }

    fn keep(&mut self, act: &Act) -> bool {
        // What may be a violation is never dropped here: whoever asked for it judges it, and counts what it drops.
        let harmless = matches!(
            act,
            Act::Reach { refused: false, .. } | Act::Write { outside: false, .. }
        );
        if !harmless {
            return true;
        }
        let count = self.counts.entry(act.kind()).or_default();
        *count += 1;
        *count <= KEPT_PER_KIND
    }

    fn observation(&mut self, notification: &Notification, act: Act) -> Observation {
        let pid = notification.pid;
        let exe = fs::read_link(format!("/proc/{pid}/exe")).ok();
        let identity = identity(pid);
        if self.first.is_none() {
            self.first = Some(pid);
            self.inner = identity;
            if self.embedded {
                // An embedded program never becomes another one: our own binary is the engine.
                self.engine = identity;
            }
        }
        if self.engine.is_none() {
            // Once the first process runs something else than our own binary, that is the program.
            let first = self.first.and_then(self::identity);
            self.engine = first.filter(|first| Some(*first) != self.inner);
        }
        let by_engine = identity.is_some() && identity == self.engine;
        Observation {
            pid,
            exe,
            by_engine,
            act,
        }
    }

    fn read(&self, notification: &Notification, name: &'static str) -> Option<Act> {
        let memory = Memory::open(notification.pid);
        let Some(memory) = memory else {
            return Some(Act::Unreadable { call: name });
        };
        let a = notification.arguments;
        let known = match name {
            "execve" => self.exec(&memory, AT_FDCWD, a[0], a[1]),
            "execveat" => self.exec(&memory, a[0], a[1], a[2]),
            "connect" => self.reach(&memory, name, a[1], a[2]),
            "sendto" => self.reach(&memory, name, a[4], a[5]),
            "sendmsg" | "sendmmsg" => match memory.header(a[1]) {
                // Without an address it goes where the socket is connected to.
                Some((0, _)) => return None,
                Some((address, length)) => self.reach(&memory, name, address, length),
                None => None,
            },
            "openat2" => match memory.number(a[2]) {
                Some(flags) if flags & WRITE_FLAGS == 0 => return None,
                Some(_) => self.write(&memory, name, (a[0], a[1]), None),
                None => None,
            },
            "openat" | "mkdirat" | "unlinkat" => self.write(&memory, name, (a[0], a[1]), None),
            "open" | "creat" | "mkdir" | "rmdir" | "unlink" | "truncate" => {
                self.write(&memory, name, (AT_FDCWD, a[0]), None)
            }
            "rename" | "link" => self.write(&memory, name, (AT_FDCWD, a[1]), Some((AT_FDCWD, a[0]))),
            "renameat" | "renameat2" | "linkat" => self.write(&memory, name, (a[2], a[3]), Some((a[0], a[1]))),
            "symlink" => self.write(&memory, name, (AT_FDCWD, a[1]), None),
            "symlinkat" => self.write(&memory, name, (a[1], a[2]), None),
            _ => None,
        };
        Some(known.unwrap_or(Act::Unreadable { call: name }))
    }

    fn exec(&self, memory: &Memory, directory: u64, path: u64, argv: u64) -> Option<Act> {
        let path = memory.path(directory, path)?;
        let argv = memory.strings(argv);
        Some(Act::Exec {
            path,
            argv,
            initial: self.first.is_none() && !self.embedded,
        })
    }

    fn reach(&self, memory: &Memory, call: &'static str, at: u64, length: u64) -> Option<Act> {
        let length = usize::try_from(length).ok()?.min(128);
        let address = parse_address(&memory.bytes(at, length)?)?;
        let refused = self.network_is_own && !address.is_local();
        Some(Act::Reach { call, address, refused })
    }

    fn write(
        &self,
        memory: &Memory,
        call: &'static str,
        (directory, path): (u64, u64),
        from: Option<(u64, u64)>,
    ) -> Option<Act> {
        let path = memory.path(directory, path)?;
        let from = match from {
            Some((directory, path)) => Some(memory.path(directory, path)?),
            None => None,
        };
        let inside = |path: &Path| self.writable.iter().any(|root| path.starts_with(root));
        // A link to something outside changes nothing there; a rename out of there would.
        let from_outside = call.starts_with("rename") && from.as_deref().is_some_and(|from| !inside(from));
        let outside = !inside(&path) || from_outside;
        Some(Act::Write {
            call,
            path,
            from,
            outside,
        })
    }
}

fn identity(pid: u32) -> Option<(u64, u64)> {
    let metadata = fs::metadata(format!("/proc/{pid}/exe")).ok()?;
    Some((metadata.dev(), metadata.ino()))
}
