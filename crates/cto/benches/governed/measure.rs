//! One child measured as the kernel accounts for it, and what this process and the host hold.

use std::ffi::OsStr;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::Fallible;

/// One child that ended well.
pub(crate) struct Sample {
    pub(crate) seconds: f64,
    /// Of the child and everything below it, on all cores.
    pub(crate) cpu_seconds: f64,
    /// Of the largest single process in the child's tree.
    pub(crate) peak_mib: f64,
    pub(crate) output: String,
}

impl Sample {
    pub(crate) fn ms(&self) -> f64 {
        self.seconds * 1000.0
    }
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
        .stdout(Stdio::piped());
    let started = Instant::now();
    let mut child = command.spawn()?;
    let mut output = String::new();
    if let Some(stdout) = &mut child.stdout {
        stdout.read_to_string(&mut output)?;
    }
    let (status, usage) = wait(child.id().try_into()?)?;
    let seconds = started.elapsed().as_secs_f64();
    if status != 0 {
        return Err(format!("{} ended with wait status {status:#x}: {output}", program.display()).into());
    }
    let time = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    Ok(Sample {
        seconds,
        cpu_seconds: time(usage.ru_utime) + time(usage.ru_stime),
        peak_mib: usage.ru_maxrss as f64 / 1024.0,
        output,
    })
}

/// Waits for a child and returns its wait status and what its tree used.
#[expect(unsafe_code, reason = "the standard library waits without telling what was used")]
fn wait(pid: libc::pid_t) -> Fallible<(i32, libc::rusage)> {
    let mut status = 0;
    let mut usage = std::mem::MaybeUninit::zeroed();
    // SAFETY: both pointers are to values that outlive the call, of the types that it fills.
    let waited = unsafe { libc::wait4(pid, &raw mut status, 0, usage.as_mut_ptr()) };
    if waited != pid {
        return Err(std::io::Error::last_os_error().into());
    }
    // SAFETY: the call succeeded, so it filled the structure, which is valid even as all zeroes.
    Ok((status, unsafe { usage.assume_init() }))
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
