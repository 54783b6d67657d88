//! One child measured as the kernel accounts for it, and what this process and the host hold.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::Fallible;

/// Starts its arguments and prints what they used, as the kernel tells whoever waits for a child. The standard library
/// does not ask for it, and a benchmark is no place for unsafe code.
const ACCOUNT: &str = "
import os, sys
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_OPEN, 1, '/dev/null', os.O_WRONLY, 0)])
_, status, usage = os.wait4(child, 0)
print(usage.ru_utime + usage.ru_stime, usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
";

/// One child that ended well.
pub(crate) struct Sample {
    pub(crate) seconds: f64,
    pub(crate) output: String,
}

impl Sample {
    pub(crate) fn ms(&self) -> f64 {
        self.seconds * 1000.0
    }
}

/// What one child and everything below it used.
pub(crate) struct Usage {
    /// On all cores.
    pub(crate) cpu_seconds: f64,
    /// Of the largest single process.
    pub(crate) peak_mib: f64,
}

/// Runs a program to its end, which must be exit code 0.
pub(crate) fn run<S: AsRef<OsStr>>(
    program: &Path,
    arguments: &[S],
    at: &Path,
    environment: &[(&str, &OsStr)],
) -> Fallible<Sample> {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .envs(environment.iter().copied())
        .current_dir(at)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    let started = Instant::now();
    let done = command.output()?;
    let seconds = started.elapsed().as_secs_f64();
    let output = String::from_utf8(done.stdout)?;
    if done.status.success() {
        Ok(Sample { seconds, output })
    } else {
        Err(format!("{} ended with {}: {output}", program.display(), done.status).into())
    }
}

/// Runs a program to its end, which must be exit code 0, and returns what it used.
pub(crate) fn account(
    program: &Path,
    arguments: &[&OsStr],
    at: &Path,
    environment: &[(&str, &OsStr)],
) -> Fallible<Usage> {
    let mut words = vec![OsStr::new("-c"), OsStr::new(ACCOUNT), program.as_os_str()];
    words.extend(arguments);
    let said = run(Path::new("/usr/bin/python3"), &words, at, environment)?.output;
    let (cpu, kib) = said.trim().split_once(' ').ok_or("no account")?;
    Ok(Usage {
        cpu_seconds: cpu.parse()?,
        peak_mib: kib.parse::<f64>()? / 1024.0,
    })
}

/// Returns the median.
pub(crate) fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    }
}

/// What this process holds and what lies around on the host.
pub(crate) struct Held {
    pub(crate) rss_kib: u64,
    pub(crate) descriptors: usize,
    pub(crate) mounts: usize,
    pub(crate) cgroups: usize,
    pub(crate) temporary: usize,
}

/// Counts what runs could leave behind.
pub(crate) fn held(home: &Path) -> Fallible<Held> {
    let status = fs::read_to_string("/proc/self/status")?;
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let rss = rss.and_then(|text| text.trim().strip_suffix(" kB")).ok_or("no VmRSS")?;
    let temporary = |at: &Path| fs::read_dir(at).map_or(0, Iterator::count);
    let ours = fs::read_dir(std::env::temp_dir())?.filter_map(Result::ok);
    let ours = ours.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"cto-"));
    Ok(Held {
        rss_kib: rss.trim().parse()?,
        descriptors: fs::read_dir("/proc/self/fd")?.count(),
        mounts: fs::read_to_string("/proc/self/mountinfo")?.lines().count(),
        cgroups: cgroups(Path::new("/sys/fs/cgroup")),
        temporary: ours.count()
            + temporary(&home.join("work"))
            + temporary(&home.join("live"))
            + temporary(&home.join("baselines/tmp")),
    })
}

/// Counts groups of cages; one that vanishes meanwhile is none.
fn cgroups(at: &Path) -> usize {
    let Ok(entries) = fs::read_dir(at) else {
        return 0;
    };
    let directories = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    directories
        .map(|entry| {
            let ours = entry.file_name().as_encoded_bytes().starts_with(b"cto-");
            usize::from(ours) + cgroups(&entry.path())
        })
        .sum()
}
