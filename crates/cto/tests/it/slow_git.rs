//! A git that does not answer holds nobody: not the operator who wants to stop, and not a host whose harness is gone.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cto_runner::Git;

use crate::support::{Installation, contract, write};

/// Longer than any of these tests may take.
const SLEEP_SECONDS: u64 = 600;
const PATIENCE: Duration = Duration::from_secs(20);

/// Starts a run whose git falls asleep while it packs the baseline, and returns it with the sleeper's process id.
fn start_and_wait_for_git(installation: &Installation) -> (Child, u32) {
    let git = installation.dir.path().join("slow-git");
    let marker = installation.dir.path().join("asleep");
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *pack-objects*) echo $$ > {0}.new; mv {0}.new {0}; exec sleep {SLEEP_SECONDS};; esac\nexec {1} \"$@\"\n",
        marker.display(),
        Git::find().unwrap().program().display()
    );
    write(&git, script.as_bytes());
    fs::set_permissions(&git, fs::Permissions::from_mode(0o755)).unwrap();
    write(
        &installation.home().join("harness.yaml"),
        format!("git: {}\n", git.display()).as_bytes(),
    );
    let repository = installation.scripted("repo");
    let path = installation.contract(&contract("slow", &repository));
    let mut command = installation.command();
    command
        .args(["--json", "run", "--contract"])
        .arg(path)
        .args(["--", "/bin/true"]);
    let run = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let pid = wait_for("git to be asked for a pack", || fs::read_to_string(&marker).ok());
    (run, pid.trim().parse().unwrap())
}

fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    let (_keep, receiver) = std::sync::mpsc::channel::<()>();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < until, "waited in vain for {what}");
        let _nobody_sends = receiver.recv_timeout(Duration::from_millis(10)).is_err();
    }
}

/// True once nothing of a process but its exit status is left.
fn is_gone(pid: u32) -> bool {
    let stat = fs::read_to_string(PathBuf::from(format!("/proc/{pid}/stat")));
    stat.map_or(true, |stat| stat.contains(") Z "))
}

#[test]
fn an_operator_who_stops_does_not_wait_for_git() {
    let installation = Installation::new();
    let (mut run, git) = start_and_wait_for_git(&installation);
    let asked = Instant::now();
    let sent = Command::new("kill")
        .args(["-TERM", &run.id().to_string()])
        .status()
        .unwrap();
    assert!(sent.success());
    let status = wait_for("the run to end", || run.try_wait().unwrap());
    assert_eq!(status.code(), Some(3), "after {:?}", asked.elapsed());
    wait_for("git to end", || is_gone(git).then_some(()));
    let (exit, listed) = installation.json(&["runs"]);
    assert_eq!(
        (exit, listed["runs"][0]["first_blocker"].as_str()),
        (0, Some("cancelled"))
    );
    let (exit, verified) = installation.json(&["verify", "--all"]);
    assert_eq!(exit, 0, "{verified:#}");
    assert!(is_empty(&installation.home().join("baselines/tmp")));
}

#[test]
fn git_does_not_outlive_a_harness_that_was_killed() {
    let installation = Installation::new();
    let (mut run, git) = start_and_wait_for_git(&installation);
    run.kill().unwrap();
    run.wait().unwrap();
    wait_for("git to end", || is_gone(git).then_some(()));
}

fn is_empty(directory: &Path) -> bool {
    fs::read_dir(directory).unwrap().next().is_none()
}
