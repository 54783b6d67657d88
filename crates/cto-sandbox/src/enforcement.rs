//! What is really enforced: each bound with its mechanism and what the kernel showed of it.

use std::collections::BTreeMap;

use crate::landlock;
use crate::protocol::{Facts, Order};
use crate::readback::ReadBack;
use crate::seccomp;
use crate::spec::Observe;

/// How firmly a bound holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BoundState {
    /// The kernel keeps it, and it was read back or probed where that is possible.
    Enforced,
    /// Something weaker than on the newest kernel stands in; `how` says what.
    Weaker,
    /// Nothing keeps it.
    Absent,
}

/// One bound of a jail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// Its stable name.
    pub name: &'static str,
    /// How firmly it holds.
    pub state: BoundState,
    /// The mechanism and its value.
    pub how: String,
    /// What the kernel showed; empty where it shows nothing.
    pub read_back: String,
}

/// Everything that is known of the bounds of one jail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enforcement {
    /// The provider that made the jail.
    pub provider: &'static str,
    /// The version of the outside program that it used.
    pub provider_version: Option<String>,
    /// The bounds, in a fixed order.
    pub bounds: Vec<Bound>,
    /// The Landlock ABI of the kernel, 0 where none is used.
    pub landlock_abi: i32,
    /// `overlay`, `copied` or `host`.
    pub workspace: &'static str,
    /// The release of the kernel.
    pub kernel: String,
}

impl Enforcement {
    /// Returns the bound of that name.
    pub fn bound(&self, name: &str) -> Option<&Bound> {
        self.bounds.iter().find(|bound| bound.name == name)
    }
}

/// What the harness itself knows, to hold the facts of the child against.
#[derive(Debug)]
pub(crate) struct Expectation<'a> {
    pub(crate) order: &'a Order,
    /// What the harness read of the child.
    pub(crate) seen: ReadBack,
    pub(crate) memory: Limit,
    pub(crate) processes: Limit,
    /// Capacity of the file system behind the upper directory and behind the home directory.
    pub(crate) disk_bytes: Option<u64>,
    pub(crate) tmp_bytes: Option<u64>,
}

/// A limit that a cgroup may keep.
#[derive(Debug, Clone)]
pub(crate) struct Limit {
    pub(crate) how: String,
    /// What the cgroup file says; none where the child is in no such cgroup.
    pub(crate) read_back: Option<u64>,
    pub(crate) wanted: u64,
}

struct Judge<'a> {
    facts: &'a Facts,
    status: BTreeMap<&'a str, &'a str>,
    expectation: &'a Expectation<'a>,
    bounds: Vec<Bound>,
}

/// Judges every bound by what was read back; the order of the names is fixed.
pub(crate) fn judge(facts: &Facts, expectation: &Expectation<'_>) -> Vec<Bound> {
    let status = expectation
        .seen
        .status
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name, value.trim()))
        .collect();
    let mut judge = Judge {
        facts,
        status,
        expectation,
        bounds: Vec::new(),
    };
    judge.namespaces();
    judge.identity();
    judge.view();
    judge.locks();
    judge.resources();
    judge.bounds
}

impl Judge<'_> {
    fn add(&mut self, name: &'static str, state: BoundState, how: &str, read_back: String) {
        self.bounds.push(Bound {
            name,
            state,
            how: how.to_owned(),
            read_back,
        });
    }

    fn holds(&mut self, name: &'static str, holds: bool, how: &str, read_back: String) {
        if holds {
            self.add(name, BoundState::Enforced, how, read_back);
        } else {
            self.add(name, BoundState::Absent, "none", read_back);
        }
    }

    fn status(&self, name: &str) -> String {
        self.status.get(name).copied().unwrap_or_default().to_owned()
    }

    fn namespaces(&mut self) {
        for (bound, kind) in [
            ("user_namespace", "user"),
            ("mount_namespace", "mnt"),
            ("pid_namespace", "pid"),
            ("network", "net"),
            ("ipc", "ipc"),
            ("uts", "uts"),
            ("cgroup_namespace", "cgroup"),
        ] {
            let seen = &self.expectation.seen;
            let inside = seen.namespaces.get(kind).cloned().unwrap_or_default();
            let outside = seen.own_namespaces.get(kind);
            let mut own = !inside.is_empty() && outside.is_some_and(|outside| *outside != inside);
            let mut read_back = inside;
            if kind == "net" {
                own &= seen.interfaces == ["lo"];
                read_back = format!("{read_back}; interfaces {}", seen.interfaces.join(" "));
            }
            let how = match self.expectation.order.listen.filter(|_| kind == "net") {
                Some(port) => format!("own net namespace; one listener, 127.0.0.1:{port}, served from outside"),
                None => format!("own {kind} namespace"),
            };
            self.holds(bound, own, &how, read_back);
        }
    }

    fn identity(&mut self) {
        let order = self.expectation.order;
        let seen = &self.expectation.seen;
        let uid = order.uid.to_string();
        let ids = self.status("Uid");
        let all = !ids.is_empty() && ids.split_ascii_whitespace().all(|id| id == uid);
        let sender = (seen.uid, seen.gid) == (order.uid, order.gid);
        let map = seen.uid_map.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
        // Without an own user namespace the map is the harness's.
        let mapped = map == format!("{uid} {uid} 1") || seen.namespaces.get("user") == seen.own_namespaces.get("user");
        let read_back = format!("kernel uid {}; Uid {ids}; map {map}", seen.uid);
        self.holds(
            "outer_uid",
            all && sender && mapped && uid != "0",
            &format!("uid {uid}"),
            read_back,
        );
        let groups = self.status("Groups");
        let dropped = groups.is_empty() || groups.split_ascii_whitespace().all(|id| id == order.gid.to_string());
        if dropped && !self.status.is_empty() {
            self.add(
                "supplementary_groups",
                BoundState::Enforced,
                "none left",
                format!("Groups {groups}"),
            );
        } else {
            // An ordinary user may not drop them; the view shows nothing that they would open.
            self.add(
                "supplementary_groups",
                BoundState::Weaker,
                "kept, nothing shown that they open",
                format!("Groups {groups}"),
            );
        }
    }

    fn view(&mut self) {
        let mounts = &self.expectation.seen.mounts;
        let count = mounts.lines().count();
        let root = mount_options(mounts, "/");
        let hidden = ["/sys", "/root", "/boot"]
            .iter()
            .all(|path| mount_options(mounts, path).is_none());
        let frozen = root
            .as_ref()
            .is_some_and(|options| options.contains(&"ro") && options.contains(&"nosuid"));
        let read_back = format!("/ {}; {count} mounts", root.unwrap_or_default().join(","));
        self.holds(
            "mount_view",
            frozen && hidden,
            "pivot_root into a read-only minimal root",
            read_back,
        );
        let sysctl = mount_options(mounts, "/proc/sys").unwrap_or_default();
        self.holds(
            "sysctl",
            sysctl.contains(&"ro"),
            "/proc/sys read-only",
            sysctl.join(","),
        );
        let workspace = mount_options(mounts, "/workspace").unwrap_or_default();
        let safe = workspace.contains(&"nosuid") && workspace.contains(&"nodev");
        self.holds("workspace", safe, "own mount, nosuid, nodev", workspace.join(","));
        let numbers = &self.facts.descriptors;
        self.holds(
            "file_descriptors",
            *numbers == [0, 1, 2],
            "close_range",
            format!("{numbers:?}"),
        );
    }

    fn locks(&mut self) {
        let facts = self.facts;
        let walled =
            facts.landlock_abi > 0 && facts.landlock_status == "FullyEnforced" && facts.landlock_probe != "written";
        let mut how = format!("ABI {}, hard requirement", facts.landlock_abi);
        let left = landlock::not_refused(facts.landlock_abi);
        if !left.is_empty() {
            how = format!("{how}; too old to refuse {left}");
        }
        let read_back = format!("{}; forbidden write: {}", facts.landlock_status, facts.landlock_probe);
        self.holds("landlock", walled, &how, read_back);
        let mode = self.status("Seccomp");
        let filters = self.status("Seccomp_filters");
        let observe = self.expectation.order.observe;
        let length = seccomp::filter(observe, 0).len();
        let how = format!(
            "deny list, {length} instructions{}",
            if observe == Observe::Nothing { "" } else { ", observed" }
        );
        self.holds(
            "seccomp",
            mode == "2",
            &how,
            format!("Seccomp {mode}; filters {filters}"),
        );
        let locked = self.status("NoNewPrivs");
        self.holds("no_new_privs", locked == "1", "prctl", format!("NoNewPrivs {locked}"));
        self.capabilities();
        let owner = facts.init_owner.map(|owner| owner.to_string()).unwrap_or_default();
        let hidden = facts
            .init_owner
            .is_some_and(|owner| owner != self.expectation.order.uid);
        self.holds(
            "init_hidden",
            hidden,
            "init is not dumpable",
            format!("/proc/1/environ owned by {owner}"),
        );
        self.holds(
            "session_keyring",
            facts.keyring_joined,
            "new anonymous keyring",
            String::new(),
        );
    }

    fn capabilities(&mut self) {
        let names = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];
        let sets: Vec<_> = names.iter().map(|name| (*name, self.status(name))).collect();
        let empty = |set: &str| !set.is_empty() && set.bytes().all(|byte| byte == b'0');
        let read_back = sets
            .iter()
            .map(|(name, set)| format!("{name} {set}"))
            .collect::<Vec<_>>()
            .join("; ");
        if sets.iter().all(|(_, set)| empty(set)) {
            self.add("capabilities", BoundState::Enforced, "all sets empty", read_back);
        } else if sets.iter().all(|(name, set)| *name == "CapBnd" || empty(set)) {
            self.add(
                "capabilities",
                BoundState::Weaker,
                "empty, the bounding set is not",
                read_back,
            );
        } else {
            self.add("capabilities", BoundState::Absent, "none", read_back);
        }
    }

    fn resources(&mut self) {
        let expectation = self.expectation;
        let limits = expectation.order.limits;
        self.cgroup_limit("memory_limit", &expectation.memory, None);
        let rlimit = expectation.order.limit_processes.then(|| self.rlimit("Max processes"));
        self.cgroup_limit("process_limit", &expectation.processes, rlimit.flatten());
        self.capacity("disk_limit", expectation.disk_bytes, limits.disk_bytes);
        self.capacity("tmp_limit", expectation.tmp_bytes, limits.tmp_bytes);
        for (name, line, wanted) in [
            ("core_dumps", "Max core file size", 0),
            ("file_size", "Max file size", limits.file_bytes),
            ("open_files", "Max open files", limits.open_files),
        ] {
            let seen = self.rlimit(line);
            let holds = seen.is_some_and(|seen| seen <= wanted);
            let read_back = seen.map(|seen| seen.to_string()).unwrap_or_default();
            self.holds(name, holds, &format!("rlimit {wanted}"), read_back);
        }
    }

    fn cgroup_limit(&mut self, name: &'static str, limit: &Limit, rlimit: Option<u64>) {
        let Limit { how, read_back, wanted } = limit;
        match (read_back, rlimit) {
            (Some(seen), _) if seen <= wanted => {
                self.add(name, BoundState::Enforced, how, seen.to_string());
            }
            (None, Some(seen)) if seen <= *wanted => {
                let how = format!("rlimit {wanted}: {how}");
                self.add(name, BoundState::Weaker, &how, seen.to_string());
            }
            (seen, _) => {
                let read_back = seen.map(|seen| seen.to_string()).unwrap_or_default();
                self.add(name, BoundState::Absent, how, read_back);
            }
        }
    }

    fn capacity(&mut self, name: &'static str, seen: Option<u64>, wanted: u64) {
        // The kernel rounds up to whole pages.
        let holds = seen.is_some_and(|seen| seen <= wanted.next_multiple_of(1 << 16));
        let read_back = seen.map(|seen| seen.to_string()).unwrap_or_default();
        self.holds(name, holds, &format!("tmpfs size {wanted}"), read_back);
    }

    fn rlimit(&self, line: &str) -> Option<u64> {
        let rest = self
            .expectation
            .seen
            .limits
            .lines()
            .find_map(|row| row.strip_prefix(line))?;
        match rest.split_ascii_whitespace().nth(1)? {
            "unlimited" => Some(u64::MAX),
            hard => hard.parse().ok(),
        }
    }
}

/// Returns the options of the topmost mount at a path.
fn mount_options<'a>(mounts: &'a str, path: &str) -> Option<Vec<&'a str>> {
    let line = mounts.lines().rev().find(|line| line.split(' ').nth(4) == Some(path))?;
    Some(line.split(' ').nth(5)?.split(',').collect())
}
