//! What can be used up is bounded, and hitting a bound is counted.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use cto_sandbox::{BoundState, JailError, PROVIDERS, ProviderKind, Workspace};

use crate::lacks::lacks;
use crate::world::{World, has_cgroup, marker, processes_with, run, run_with, workspaces};

#[test]
fn a_full_workspace_says_so_and_grows_no_further() {
    for workspace in workspaces() {
        let world = World::new();
        let mut spec = world.shell("head -c 20000000 /dev/zero > big");
        spec.limits.disk_bytes = 2 << 20;
        spec.workspace = workspace(vec![world.lower()]);
        let outcome = run(ProviderKind::Native.provider(), &spec);
        assert_ne!(outcome.exited.code, Some(0));
        assert!(outcome.stderr.contains("No space left"), "{}", outcome.stderr);
        let file = rustix::fs::statat(
            outcome.exports.workspace.as_fd(),
            "big",
            rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
        );
        assert!(file.unwrap().st_size <= 2 << 20);
    }
}

#[test]
fn inodes_and_temporary_files_are_bounded() {
    let world = World::new();
    let mut spec = world.shell("for i in $(seq 500); do : > f$i || exit 9; done");
    spec.limits.inodes = 200;
    assert_eq!(run(ProviderKind::Native.provider(), &spec).exited.code, Some(9));
    let mut spec =
        world.shell("for d in /tmp /dev/shm /home/agent; do head -c 1500000 /dev/zero > $d/f || exit 9; done");
    spec.limits.tmp_bytes = 4 << 20;
    assert_eq!(run(ProviderKind::Native.provider(), &spec).exited.code, Some(9));
}

#[test]
fn one_file_is_bounded() {
    for provider in PROVIDERS {
        let world = World::new();
        let mut spec = world.shell("trap '' XFSZ; head -c 20000000 /dev/zero > big; stat -c %s big");
        spec.limits.file_bytes = 1 << 20;
        let outcome = run(*provider, &spec);
        assert_eq!(
            outcome.stdout.trim(),
            "1048576",
            "{}: {}",
            provider.name(),
            outcome.stderr
        );
    }
}

#[test]
fn a_fork_bomb_meets_its_bound() {
    for provider in PROVIDERS {
        let world = World::new();
        let word = marker();
        let mut spec = world.shell(&format!("for i in $(seq 200); do sleep {word} & done"));
        spec.limits.processes = 40;
        // Where nothing counts the refused forks, all there is to do is to watch for a while.
        let patience = Duration::from_secs(if has_cgroup() { 15 } else { 1 });
        let start = Instant::now();
        let (mut most, mut killed) = (0, false);
        let outcome = run_with(*provider, &spec, |jail, _| {
            most = most.max(processes_with(&word).len());
            let hit = jail.usage().process_limit_hits > 0;
            if !killed && (hit || start.elapsed() > patience) {
                jail.kill().unwrap();
                killed = true;
            }
        })
        .unwrap();
        assert!(most <= 40, "{}: {most}", provider.name());
        let bound = outcome.enforcement.bound("process_limit").unwrap();
        if has_cgroup() {
            assert_eq!(bound.state, BoundState::Enforced);
            assert!(outcome.exited.cgroup.process_limit_hits > 0, "{}", provider.name());
        } else {
            assert_eq!(bound.state, BoundState::Weaker);
        }
    }
}

#[test]
fn memory_is_bounded_and_the_kill_is_counted() {
    if lacks("root", has_cgroup()) {
        return;
    }
    for provider in PROVIDERS {
        let world = World::new();
        let mut spec = world.shell("head -c 400000000 /dev/zero | tail; exit 5");
        spec.limits.memory_bytes = 64 << 20;
        let outcome = run(*provider, &spec);
        assert!(
            outcome.exited.cgroup.oom_kills > 0,
            "{}: {:?}",
            provider.name(),
            outcome.exited
        );
        // Init is spared, so the end is told.
        assert!(!outcome.exited.init_lost);
        assert!(outcome.exited.cgroup.memory_peak_bytes <= 64 << 20);
    }
}

#[test]
fn a_workspace_too_large_to_copy_is_told_from_a_lost_jail() {
    if lacks("root", has_cgroup()) {
        return;
    }
    let world = World::new();
    std::fs::write(world.lower().join("large"), vec![1; 64 << 20]).unwrap();
    world.give(&world.lower());
    let mut spec = world.spec(&["/bin/true"]);
    spec.workspace = Workspace::Copied {
        sources: vec![world.lower()],
    };
    spec.limits.memory_bytes = 16 << 20;
    match run_with(ProviderKind::Native.provider(), &spec, |_, _| {}) {
        Err(JailError::Lost { detail }) => assert!(detail.contains("memory limit"), "{detail}"),
        other => panic!("{:?}", other.err()),
    }
}
