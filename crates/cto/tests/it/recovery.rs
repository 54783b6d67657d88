//! Whatever kills a run, the next command closes it; nothing unsealed is ever a pass.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::lacks::lacks;
use crate::support::{Installation, all, is_root};

/// Kills in tier 1, and with `--all`.
const KILLS: (u64, u64) = (200, 2000);

fn start(installation: &Installation, engine: &str) -> Child {
    let mut command = installation.command();
    command
        .args(["--json", "run", "r1-string-slugify", "--engine", engine])
        .process_group(0);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn wait(duration: Duration) {
    let (_keep, receiver) = std::sync::mpsc::channel::<()>();
    let _nobody_sends = receiver.recv_timeout(duration).is_err();
}

fn check_all(installation: &Installation, started: usize) -> Vec<Value> {
    let (exit, listed) = installation.json(&["runs", "--limit", "100000"]);
    assert_eq!(exit, 0);
    let runs = listed["runs"].as_array().unwrap().clone();
    assert!(runs.len() <= started, "{} of {started}", runs.len());
    for run in &runs {
        let id = run["run_id"].as_str().unwrap();
        let bundle = installation.home().join("runs").join(id);
        assert!(bundle.join("attestation.dsse.json").exists(), "{id} is not sealed");
    }
    let directories = fs::read_dir(installation.home().join("runs")).unwrap().count();
    assert_eq!(directories, runs.len(), "every directory is accounted for");
    for leftover in ["live", "work"] {
        assert_eq!(
            fs::read_dir(installation.home().join(leftover)).unwrap().count(),
            0,
            "{leftover}"
        );
    }
    if !runs.is_empty() {
        let (exit, verified) = installation.json(&["verify", "--all"]);
        assert_eq!(exit, 0, "{verified:#}");
    }
    runs
}

#[test]
fn a_run_killed_at_any_moment_is_closed_by_the_next_command() {
    let installation = Installation::new();
    // The first run makes key, caches and baseline, and tells how long one takes.
    let begun = Instant::now();
    assert!(start(&installation, "fake").wait().unwrap().success());
    let first = begun.elapsed();
    let begun = Instant::now();
    assert!(start(&installation, "fake").wait().unwrap().success());
    let whole = begun.elapsed().min(first);
    let kills = if all() { KILLS.1 } else { KILLS.0 };
    let mut sealed_before = 0;
    for kill in 0..kills {
        // Spread evenly over the run, in an order that mixes early and late.
        let part = u32::try_from((kill * 7) % kills).unwrap();
        let mut child = start(&installation, "fake");
        wait(whole * part / u32::try_from(kills).unwrap());
        child.kill().unwrap();
        sealed_before += usize::from(child.wait().unwrap().success());
    }
    let runs = check_all(&installation, usize::try_from(kills).unwrap() + 2);
    let passes = runs.iter().filter(|run| run["status"] == "pass").count();
    let interrupted = runs
        .iter()
        .filter(|run| run["first_blocker"] == "harness_interrupted")
        .count();
    assert!(interrupted > 0, "no kill hit a run");
    // A pass can only be a run that had its seal before the kill.
    assert!(
        passes >= 2 + sealed_before && passes + interrupted == runs.len(),
        "{passes} + {interrupted} of {}",
        runs.len()
    );
}

#[test]
fn recovery_may_be_killed_too() {
    let installation = Installation::new();
    assert!(start(&installation, "fake").wait().unwrap().success());
    for _ in 0..3 {
        let mut child = start(&installation, "fake:timeout");
        wait(Duration::from_millis(700));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    for millis in [1, 5, 10, 20, 40, 80] {
        let mut recover = installation
            .command()
            .arg("recover")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait(Duration::from_millis(millis));
        recover.kill().unwrap();
        recover.wait().unwrap();
    }
    let runs = check_all(&installation, 4);
    assert_eq!(runs.iter().filter(|run| run["status"] == "pass").count(), 1);
}

#[test]
fn a_signal_to_the_group_seals_the_run_as_cancelled() {
    let installation = Installation::new();
    assert!(start(&installation, "fake").wait().unwrap().success());
    for signal in ["-TERM", "-INT"] {
        let mut child = start(&installation, "fake:timeout");
        wait(Duration::from_millis(900));
        let group = format!("-{}", child.id());
        let sent = std::process::Command::new("kill")
            .args([signal, "--", &group])
            .status()
            .unwrap();
        assert!(sent.success());
        assert_eq!(child.wait().unwrap().code(), Some(4));
    }
    let runs = check_all(&installation, 3);
    let cancelled = runs.iter().filter(|run| run["first_blocker"] == "cancelled").count();
    assert_eq!(cancelled, 2, "{runs:#?}");
}

#[test]
fn no_process_outlives_a_killed_harness() {
    let installation = Installation::new();
    let mut child = start(&installation, "fake:timeout");
    wait(Duration::from_millis(900));
    let mine = |pid: &str| {
        let status = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        status.contains("__jail")
    };
    let before: Vec<String> = processes().into_iter().filter(|pid| mine(pid)).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    let until = Instant::now() + Duration::from_secs(5);
    while before.iter().any(|pid| mine(pid) && parent_gone(pid)) && Instant::now() < until {
        wait(Duration::from_millis(20));
    }
    assert!(!before.iter().any(|pid| mine(pid) && parent_gone(pid)));
    assert_eq!(installation.json(&["recover"]).0, 0);
}

fn processes() -> Vec<String> {
    let names = fs::read_dir("/proc")
        .unwrap()
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().into_string().ok());
    names
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        .collect()
}

/// A sandbox of another test has a living harness; an orphan does not.
fn parent_gone(pid: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().any(|line| line == "PPid:\t1" || line == "PPid:\t0")
}

#[test]
fn a_full_disk_never_gives_a_pass_that_is_not_sealed() {
    if lacks("root", is_root()) {
        return;
    }
    let installation = Installation::new();
    let home = installation.home();
    fs::create_dir(&home).unwrap();
    for kib in [64, 256, 512, 1024, 1536, 2048, 3072, 8192] {
        let size = format!("size={kib}k,mode=700");
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(&home)
            .status();
        assert!(mounted.unwrap().success());
        let output = installation.cto(&["--json", "run", "r1-string-slugify"]);
        let passed = output.status.code() == Some(0);
        let sealed = fs::read_dir(home.join("runs"))
            .into_iter()
            .flatten()
            .filter_map(Result::ok);
        let sealed = sealed
            .filter(|entry| entry.path().join("attestation.dsse.json").exists())
            .count();
        assert!(!passed || sealed == 1, "{kib} KiB: a pass without a seal");
        assert!(passed || !output.stderr.is_empty() || !output.stdout.is_empty());
        let grown = std::process::Command::new("mount")
            .args(["-o", "remount,size=64m"])
            .arg(&home)
            .status();
        assert!(grown.unwrap().success());
        let recovered = installation.cto(&["recover"]);
        assert!(
            recovered.status.success(),
            "{kib} KiB: {}",
            String::from_utf8_lossy(&recovered.stderr)
        );
        if home.join("runs").exists() && fs::read_dir(home.join("runs")).unwrap().count() > 0 {
            assert_eq!(installation.json(&["verify", "--all"]).0, 0, "{kib} KiB");
        }
        assert!(
            std::process::Command::new("umount")
                .arg(&home)
                .status()
                .unwrap()
                .success()
        );
    }
}
