//! The control group that bounds a jail, in version 2 where it is delegated, else in version 1.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use crate::ignore;
use crate::spec::Limits;

const ROOT: &str = "/sys/fs/cgroup";
const PREFIX: &str = "cto-";
const PATIENCE: Duration = Duration::from_secs(5);

/// What a group has used, and where it hit its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CgroupUsage {
    /// The most memory at a time.
    pub memory_peak_bytes: u64,
    /// How often memory was refused or reclaimed at the limit.
    pub memory_limit_hits: u64,
    /// How many processes were killed for it.
    pub oom_kills: u64,
    /// How often a fork was refused.
    pub process_limit_hits: u64,
}

/// The groups of one jail: one directory in version 2, one for each controller in version 1.
#[derive(Debug)]
pub(crate) struct Cgroup {
    memory: Option<PathBuf>,
    pids: Option<PathBuf>,
    unified: bool,
}

/// Where groups can be made: a directory for each controller.
#[derive(Debug, Clone)]
pub(crate) struct Parents {
    memory: Vec<PathBuf>,
    pids: Vec<PathBuf>,
    unified: bool,
}

impl Parents {
    /// Finds the candidate directories, the nearest first.
    pub(crate) fn find() -> Self {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        if let Some(unified) = unified_parents(&own) {
            return Self {
                memory: unified.clone(),
                pids: unified,
                unified: true,
            };
        }
        let candidates = |controller: &str| {
            let base = Path::new(ROOT).join(controller);
            let path = own.lines().find_map(|line| {
                let mut fields = line.splitn(3, ':').skip(1);
                let names = fields.next()?;
                let path = fields.next()?;
                names.split(',').any(|name| name == controller).then_some(path)
            });
            let nearest = path.map(|path| base.join(path.trim_start_matches('/')));
            nearest
                .into_iter()
                .chain([base])
                .filter(|path| path.join("cgroup.procs").exists())
                .collect()
        };
        Self {
            memory: candidates("memory"),
            pids: candidates("pids"),
            unified: false,
        }
    }

    /// Names the kind, for the report on the machine.
    pub(crate) fn kind(&self) -> &'static str {
        match (self.unified, self.memory.is_empty(), self.pids.is_empty()) {
            (true, _, _) => "v2",
            (false, true, true) => "none",
            (false, _, _) => "v1",
        }
    }
}

/// Directories of a version 2 tree that has the controllers and lets us in.
fn unified_parents(own: &str) -> Option<Vec<PathBuf>> {
    let root = Path::new(ROOT);
    let controllers = fs::read_to_string(root.join("cgroup.controllers")).ok()?;
    let has = |text: &str| {
        ["memory", "pids"]
            .iter()
            .all(|name| text.split_ascii_whitespace().any(|word| word == *name))
    };
    if !has(&controllers) {
        return None;
    }
    let path = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    // A group with processes has no children, so ours stand beside our own group.
    let beside = root.join(path.trim_start_matches('/')).parent().map(Path::to_owned);
    let mut found: Vec<_> = beside
        .into_iter()
        .filter(|path| path.starts_with(root) && path != root)
        .filter(|path| fs::read_to_string(path.join("cgroup.subtree_control")).is_ok_and(|text| has(&text)))
        .collect();
    if rustix::process::geteuid().is_root() {
        let ours = root.join("cto");
        let made = fs::create_dir(&ours).is_ok() || ours.is_dir();
        let enabled = [root, &ours]
            .iter()
            .all(|path| put(&path.join("cgroup.subtree_control"), "+memory +pids").is_ok());
        if made && enabled {
            found.push(ours);
        }
    }
    Some(found)
}

impl Cgroup {
    /// Makes the groups with their limits; what cannot be made is missing in the result.
    pub(crate) fn create(parents: &Parents, name: &str, limits: &Limits) -> Self {
        let name = format!("{PREFIX}{name}");
        if parents.unified {
            let group = parents.memory.iter().find_map(|parent| {
                let group = make(parent, &name)?;
                let limited = put(&group.join("memory.max"), &limits.memory_bytes.to_string())
                    .and_then(|()| put(&group.join("pids.max"), &limits.processes.to_string()));
                if limited.is_err() {
                    drop(fs::remove_dir(&group));
                    return None;
                }
                // It does not exist everywhere. `memory.oom.group` stays off: the kernel would kill init
                // with the rest, and nobody could tell of the end.
                drop(put(&group.join("memory.swap.max"), "0"));
                Some(group)
            });
            return Self {
                memory: group.clone(),
                pids: group,
                unified: true,
            };
        }
        let memory = parents.memory.iter().find_map(|parent| {
            let group = make(parent, &name)?;
            let limit = limits.memory_bytes.to_string();
            if put(&group.join("memory.limit_in_bytes"), &limit).is_err() {
                drop(fs::remove_dir(&group));
                return None;
            }
            // Without swap accounting the file does not exist.
            drop(put(&group.join("memory.memsw.limit_in_bytes"), &limit));
            Some(group)
        });
        let pids = parents.pids.iter().find_map(|parent| {
            let group = make(parent, &name)?;
            if put(&group.join("pids.max"), &limits.processes.to_string()).is_err() {
                drop(fs::remove_dir(&group));
                return None;
            }
            Some(group)
        });
        Self {
            memory,
            pids,
            unified: false,
        }
    }

    fn directories(&self) -> impl Iterator<Item = &PathBuf> {
        let second = self.pids.iter().filter(|_| !self.unified);
        self.memory.iter().chain(second)
    }

    /// Returns the files into which a process of one thread writes `0` to join.
    ///
    /// In version 1 a thread that moves itself spares the kernel a lock which, after a pause,
    /// costs a whole RCU grace period: 8 ms here, against 0.1 ms.
    pub(crate) fn join_files(&self) -> Vec<PathBuf> {
        let file = if self.unified { "cgroup.procs" } else { "tasks" };
        self.directories().map(|group| group.join(file)).collect()
    }

    /// Tells whether `/proc/PID/cgroup` shows a process in the group that a controller bounds.
    pub(crate) fn holds(&self, controller: &str, shown: &str) -> bool {
        let group = if controller == "memory" {
            &self.memory
        } else {
            &self.pids
        };
        let Some(name) = group.as_ref().and_then(|group| group.file_name()?.to_str()) else {
            return false;
        };
        shown.lines().any(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let names = fields.next().unwrap_or_default();
            let path = fields.next().unwrap_or_default();
            let ours = if self.unified {
                names.is_empty()
            } else {
                names.split(',').any(|name| name == controller)
            };
            ours && path.rsplit('/').next() == Some(name)
        })
    }

    /// Says what bounds memory, and what the kernel shows of it.
    pub(crate) fn memory_limit(&self) -> (String, Option<u64>) {
        let file = if self.unified {
            "memory.max"
        } else {
            "memory.limit_in_bytes"
        };
        shown(self.memory.as_ref(), file)
    }

    /// Says what bounds the processes, and what the kernel shows of it.
    pub(crate) fn process_limit(&self) -> (String, Option<u64>) {
        shown(self.pids.as_ref(), "pids.max")
    }

    /// Reads the counters.
    pub(crate) fn usage(&self) -> CgroupUsage {
        let memory = |file: &str| self.memory.as_ref().map(|group| group.join(file));
        let pids = self.pids.as_ref().map(|group| group.join("pids.events"));
        let process_limit_hits = keyed(pids, "max");
        if self.unified {
            return CgroupUsage {
                memory_peak_bytes: number(memory("memory.peak")),
                memory_limit_hits: keyed(memory("memory.events"), "max"),
                oom_kills: keyed(memory("memory.events"), "oom_kill"),
                process_limit_hits,
            };
        }
        CgroupUsage {
            memory_peak_bytes: number(memory("memory.max_usage_in_bytes")),
            memory_limit_hits: number(memory("memory.failcnt")),
            oom_kills: keyed(memory("memory.oom_control"), "oom_kill"),
            process_limit_hits,
        }
    }

    /// Tells whether no process is left in any of the groups.
    pub(crate) fn is_empty(&self) -> bool {
        self.directories().all(|group| processes(group).is_empty())
    }
}

impl Drop for Cgroup {
    /// Kills what is left and removes the groups.
    fn drop(&mut self) {
        for group in self.directories() {
            // Nothing can be told from here; recovery finds what is left by name.
            drop(remove(group));
        }
    }
}

fn make(parent: &Path, name: &str) -> Option<PathBuf> {
    let group = parent.join(name);
    fs::create_dir(&group).ok().map(|()| group)
}

fn put(path: &Path, text: &str) -> io::Result<()> {
    fs::OpenOptions::new()
        .write(true)
        .open(path)?
        .write_all(text.as_bytes())
}

fn shown(group: Option<&PathBuf>, file: &str) -> (String, Option<u64>) {
    match group {
        None => ("no cgroup could be made".to_owned(), None),
        Some(group) => {
            let text = fs::read_to_string(group.join(file)).unwrap_or_default();
            (format!("cgroup {file}"), text.trim().parse().ok())
        }
    }
}

fn number(path: Option<PathBuf>) -> u64 {
    let text = path.and_then(|path| fs::read_to_string(path).ok());
    text.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

fn keyed(path: Option<PathBuf>, key: &str) -> u64 {
    let text = path.and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(name, _)| *name == key)
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or(0)
}

fn processes(group: &Path) -> Vec<i32> {
    let text = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

/// Kills everything in a group until it can be removed.
fn remove(group: &Path) -> io::Result<()> {
    let until = Instant::now() + PATIENCE;
    loop {
        match fs::remove_dir(group) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && Instant::now() < until => {}
            other => return other,
        }
        if put(&group.join("cgroup.kill"), "1").is_err() {
            for pid in processes(group).into_iter().filter_map(Pid::from_raw) {
                // Gone in the meantime is the wished end.
                ignore(rustix::process::kill_process(pid, Signal::KILL));
            }
        }
        crate::keeper::pause(Duration::from_millis(1));
    }
}

/// Removes the groups that dead harnesses left: everything inside is killed first.
///
/// `name` is the start of the jails' names; an empty one means every jail of this harness.
pub fn remove_leftover_cgroups(name: &str) -> io::Result<Vec<PathBuf>> {
    let prefix = format!("{PREFIX}{name}");
    let parents = Parents::find();
    let mut removed = Vec::new();
    let mut searched: Vec<_> = parents.memory.into_iter().chain(parents.pids).collect();
    searched.sort();
    searched.dedup();
    for parent in searched {
        for entry in fs::read_dir(&parent)?.filter_map(Result::ok) {
            let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(&prefix));
            if ours && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                remove(&entry.path())?;
                removed.push(entry.path());
            }
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_counts_only_in_its_own_group() {
        let group = |unified| Cgroup {
            memory: Some("/x/cto-run".into()),
            pids: Some("/x/cto-run".into()),
            unified,
        };
        let first = "8:pids:/cto-run\n4:cpu,memory:/deep/cto-run\n0::/\n";
        assert!(group(false).holds("pids", first) && group(false).holds("memory", first));
        assert!(!group(true).holds("memory", first));
        assert!(group(true).holds("memory", "0::/cto/cto-run\n"));
        for other in ["8:pids:/cto-run-2\n", "8:pids:/cto-run/sub\n", "8:cpu:/cto-run\n", ""] {
            assert!(!group(false).holds("pids", other), "{other}");
        }
    }
}
