//! Which processes have to do with a repository: asked of `/proc`, by reading only.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use cto_policy::{is_below, mentioned_path};
use cto_schema::{CoreProcess, ProcessScan, escape};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// How many processes that cannot be looked into are named.
const SHOWN: usize = 20;
/// How long all processes together are waited for that did not say where they are.
const PATIENCE: Duration = Duration::from_millis(500);
/// Longest command line that is read, in bytes; the kernel's own limit is about this.
const COMMAND_LINE_CAP: u64 = 4 << 20;
/// Open files of one process that are looked at.
const MOST_FILES: usize = 1 << 20;
/// Options whose value names the repository in the command line of whoever asked for this check.
const OWN_OPTIONS: [&[u8]; 3] = [b"--core", b"--conflicts", b"--route"];
/// The inode of the first PID namespace (`PROC_PID_INIT_INO` of the kernel).
const FIRST_PID_NAMESPACE: &str = "pid:[4026531836]";

/// Looks at every process but this one.
pub(super) fn scan(roots: &[Vec<u8>]) -> ProcessScan {
    let mut scan = ProcessScan {
        problem: proc_problem(),
        other_namespaces_unseen: fs::read_link("/proc/self/ns/pid")
            .map_or(true, |name| name != Path::new(FIRST_PID_NAMESPACE)),
        ..ProcessScan::default()
    };
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let ancestors = ancestors(own);
    let pids = match pids() {
        Ok(pids) => pids,
        Err(error) => {
            scan.problem = Some(format!("failed to list /proc: {error}"));
            return scan;
        }
    };
    let mut doubtful = Vec::new();
    for pid in pids.into_iter().filter(|pid| *pid != own) {
        match look(pid, ancestors.contains(&pid), roots) {
            Ok(found) => {
                scan.seen += 1;
                scan.processes.extend(found);
            }
            Err(error) if is_gone(&error) => {}
            Err(_) if is_supervisor(pid, roots) => {
                scan.seen += 1;
                scan.init_unread = true;
            }
            Err(_) => doubtful.push(pid),
        }
    }
    let until = Instant::now() + PATIENCE;
    for pid in doubtful {
        match ended(pid, until).and_then(|()| look(pid, ancestors.contains(&pid), roots)) {
            Ok(found) => {
                scan.seen += 1;
                scan.processes.extend(found);
            }
            Err(error) if is_gone(&error) => {}
            Err(_) => {
                scan.seen += 1;
                scan.unreadable += 1;
                if scan.unreadable_shown.len() < SHOWN {
                    scan.unreadable_shown.push(format!("{pid} {}", name(pid)));
                }
            }
        }
    }
    scan
}

/// Waits a little for the end of a process: one that is ending or starting does not say where it is.
fn ended(pid: i32, until: Instant) -> io::Result<()> {
    let process = Pid::from_raw(pid).ok_or(io::ErrorKind::NotFound)?;
    let process = pidfd_open(process, PidfdFlags::empty())?;
    let left = until.saturating_duration_since(Instant::now());
    let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
    let polled = poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&timeout));
    match polled {
        Ok(0) | Err(rustix::io::Errno::INTR) => Ok(()),
        Ok(_) => Err(io::ErrorKind::NotFound.into()),
        Err(errno) => Err(errno.into()),
    }
}

/// Looks a second time, and adds what the first look did not see.
pub(super) fn scan_again(roots: &[Vec<u8>], first: &mut ProcessScan) {
    let second = scan(roots);
    for process in second.processes {
        if !first.processes.contains(&process) {
            first.processes.push(process);
        }
    }
    if second.unreadable > first.unreadable {
        first.unreadable = second.unreadable;
        first.unreadable_shown = second.unreadable_shown;
    }
    first.init_unread |= second.init_unread;
    first.seen = first.seen.min(second.seen);
    first.problem = first.problem.take().or(second.problem);
}

/// Says why `/proc` would not show every process.
fn proc_problem() -> Option<String> {
    let is_proc = |stat: rustix::fs::StatFs| stat.f_type == rustix::fs::PROC_SUPER_MAGIC;
    if !rustix::fs::statfs("/proc").is_ok_and(is_proc) {
        return Some("/proc is not the kernel's".to_owned());
    }
    let mounts = match fs::read_to_string("/proc/self/mountinfo") {
        Ok(mounts) => mounts,
        Err(error) => return Some(format!("failed to read /proc/self/mountinfo: {error}")),
    };
    let hides = mounts
        .lines()
        .rfind(|line| line.split(' ').nth(4) == Some("/proc"))
        .is_some_and(|line| {
            line.split([' ', ',']).any(|word| {
                word.strip_prefix("hidepid=")
                    .is_some_and(|how| how != "0" && how != "off")
            })
        });
    (hides && !rustix::process::geteuid().is_root()).then(|| "/proc hides the processes of others (hidepid)".to_owned())
}

fn pids() -> io::Result<Vec<i32>> {
    let mut pids = Vec::new();
    for entry in fs::read_dir("/proc")? {
        pids.extend(entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()));
    }
    pids.sort_unstable();
    Ok(pids)
}

/// Returns the processes that this one descends from.
fn ancestors(own: i32) -> Vec<i32> {
    let mut found = Vec::new();
    let mut pid = own;
    while let Some(parent) = stat_fields(pid).ok().and_then(|fields| fields.get(1)?.parse().ok()) {
        if parent <= 0 || found.contains(&parent) {
            break;
        }
        found.push(parent);
        pid = parent;
    }
    found
}

/// True for an init into which not even root may look, and whose command line does not name the repository.
///
/// It is what keeps this machine or container, from outside what root here can do; an agent that was made init has no
/// more rights than root has. Without root nothing is excused.
fn is_supervisor(pid: i32, roots: &[Vec<u8>]) -> bool {
    let names_nothing = || named(Path::new("/proc/1"), true, b"/", roots).is_ok_and(|found| found.is_none());
    pid == 1 && rustix::process::geteuid().is_root() && names_nothing()
}

/// A process that ended meanwhile is no process.
fn is_gone(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) || error.kind() == io::ErrorKind::NotFound
}

/// Returns how a process has to do with the repository, if it has; once is enough.
fn look(pid: i32, is_ancestor: bool, roots: &[Vec<u8>]) -> io::Result<Option<CoreProcess>> {
    let proc = Path::new("/proc").join(pid.to_string());
    if has_no_user_side(pid)? {
        return Ok(None);
    }
    let place = |what: &str| match fs::read_link(proc.join(what)) {
        Ok(path) => Ok(path.as_os_str().as_bytes().to_vec()),
        Err(error) if !is_gone(&error) => Err(error),
        // It ended, or became a zombie; where it still runs, a place that cannot be told is unreadable.
        Err(error) if has_no_user_side(pid)? => Err(error),
        Err(_) => Err(io::Error::other("it does not say where it is")),
    };
    let found = |by: &str, path: &[u8]| -> io::Result<Option<CoreProcess>> {
        Ok(Some(CoreProcess {
            pid,
            name: name(pid),
            uid: uid(pid)?,
            by: by.to_owned(),
            path: escape(path, 1000),
        }))
    };
    let mut cwd = Vec::new();
    for (what, by) in [
        ("cwd", "working_directory"),
        ("root", "root_directory"),
        ("exe", "executable"),
    ] {
        let path = place(what)?;
        let live = path.strip_suffix(b" (deleted)").unwrap_or(&path);
        if let Some(path) = [&path[..], live].into_iter().find(|path| lies_in(path, roots)) {
            return found(by, path);
        }
        if what == "cwd" {
            cwd = path;
        }
    }
    if let Some(path) = named(&proc, is_ancestor, &cwd, roots)? {
        return found("command_line", &path);
    }
    for entry in fs::read_dir(proc.join("fd"))?.take(MOST_FILES) {
        match fs::read_link(entry?.path()) {
            Ok(path) if lies_in(path.as_os_str().as_bytes(), roots) => {
                return found("open_file", path.as_os_str().as_bytes());
            }
            Ok(_) => {}
            Err(error) if is_gone(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

fn lies_in(path: &[u8], roots: &[Vec<u8>]) -> bool {
    roots.iter().any(|root| is_below(path, root))
}

/// Returns the path of the repository that a command line names.
///
/// Whoever asked for this check names the repository by asking: that is not work in it. In the command line of an
/// ancestor, values of the guard's own options do not count.
fn named(proc: &Path, is_ancestor: bool, cwd: &[u8], roots: &[Vec<u8>]) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    fs::File::open(proc.join("cmdline"))?
        .take(COMMAND_LINE_CAP)
        .read_to_end(&mut line)?;
    let arguments: Vec<&[u8]> = line.split(|&byte| byte == 0).collect();
    for (at, argument) in arguments.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| arguments.get(at));
        if is_ancestor && before.is_some_and(|before| OWN_OPTIONS.contains(before)) {
            continue;
        }
        let text = if is_ancestor {
            without_own_options(argument)
        } else {
            argument.to_vec()
        };
        if let Some(path) = mentioned_path(&text, Some(cwd), roots) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// Takes `--core VALUE` and `--core=VALUE` out of a text, as a shell's `-c` has them.
fn without_own_options(text: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut skip = false;
    for word in text.split(u8::is_ascii_whitespace) {
        let is_own = OWN_OPTIONS.contains(&word);
        let has_own = OWN_OPTIONS
            .iter()
            .any(|option| word.strip_prefix(*option).is_some_and(|rest| rest.starts_with(b"=")));
        if !skip && !is_own && !has_own {
            kept.push(word);
        }
        skip = is_own;
    }
    kept.join(&b' ')
}

/// True for threads of the kernel and for what has ended but not been waited for.
fn has_no_user_side(pid: i32) -> io::Result<bool> {
    /// `PF_KTHREAD` of the kernel's `sched.h`.
    const KERNEL_THREAD: u64 = 0x0020_0000;
    let fields = stat_fields(pid)?;
    let state = fields.first().map_or("", String::as_str);
    let flags = fields.get(6).and_then(|flags| flags.parse::<u64>().ok()).unwrap_or(0);
    Ok(matches!(state, "Z" | "X") || flags & KERNEL_THREAD != 0)
}

/// Returns what `/proc/PID/stat` has after the name: state, parent, …
fn stat_fields(pid: i32) -> io::Result<Vec<String>> {
    let text = fs::read(format!("/proc/{pid}/stat"))?;
    let text = String::from_utf8_lossy(&text);
    // A name may hold anything, also a closing parenthesis.
    let after = text.rsplit_once(") ").map_or("", |(_, after)| after);
    Ok(after.split_whitespace().map(str::to_owned).collect())
}

fn name(pid: i32) -> String {
    let name = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    escape(name.strip_suffix(b"\n").unwrap_or(&name), 64)
}

fn uid(pid: i32) -> io::Result<u32> {
    let status = fs::read(format!("/proc/{pid}/status"))?;
    String::from_utf8_lossy(&status)
        .lines()
        .find_map(|line| line.strip_prefix("Uid:")?.split_whitespace().next()?.parse().ok())
        .ok_or_else(|| io::Error::other("it does not say whose it is"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asking_for_the_check_is_no_work() {
        let kept = |text: &str| String::from_utf8(without_own_options(text.as_bytes())).unwrap();
        assert_eq!(kept("cto guard --core /c --json"), "cto guard --json");
        assert_eq!(kept("cto guard --core=/c; ls"), "cto guard ls");
        assert_eq!(kept("cd /c && cto guard --core ."), "cd /c && cto guard");
        assert_eq!(kept("make --corelib /c"), "make --corelib /c");
    }

    #[test]
    fn this_test_is_seen_where_it_works() {
        let cwd = std::env::current_dir().unwrap();
        let roots = [cwd.as_os_str().as_bytes().to_vec()];
        let own = i32::try_from(std::process::id()).unwrap();
        let found = look(own, false, &roots).unwrap().unwrap();
        assert_eq!(found.by, "working_directory");
        assert!(scan(&roots).processes.iter().all(|process| process.pid != own));
    }
}
