//! A harness that is killed leaves nothing that runs, and nothing that cannot be cleaned away.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use cto_sandbox::{PROVIDERS, prepare, remove_leftover_cgroups};

use crate::world::{World, eventually, has_cgroup, marker, processes_with, reexec};

#[test]
fn a_killed_harness_leaves_no_process_mount_or_cgroup() {
    let before = fs::read_to_string("/proc/self/mountinfo").unwrap();
    for provider in PROVIDERS {
        let world = World::new();
        let word = marker();
        let name = format!("doomed-{}", word.replace('.', "-"));
        let mut harness = Command::new(reexec().program)
            .arg("doomed")
            .args([&name, provider.name()])
            .args([world.lower(), world.dir.path().join("scratch")])
            .arg(&word)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(harness.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, "started\n");
        eventually("the program runs", || {
            processes_with(&word).iter().any(|line| line.contains("sleep"))
        });
        harness.kill().unwrap();
        harness.wait().unwrap();
        eventually("the program is gone", || processes_with(&word).is_empty());
        let removed = remove_leftover_cgroups(&name).unwrap();
        assert!(!has_cgroup() || !removed.is_empty(), "the groups of {name} were there");
        assert!(removed.iter().all(|group| !group.exists()));
        assert!(remove_leftover_cgroups(&name).unwrap().is_empty());
    }
    assert_eq!(fs::read_to_string("/proc/self/mountinfo").unwrap(), before);
}

#[test]
fn a_prepared_jail_that_is_dropped_never_runs() {
    for provider in PROVIDERS {
        let world = World::new();
        let word = marker();
        let spec = world.spec(&["/bin/sleep", &word]);
        let prepared = prepare(*provider, &spec, &reexec()).unwrap();
        drop(prepared);
        assert_eq!(processes_with(&word), Vec::<String>::new());
        assert!(remove_leftover_cgroups(&spec.name).unwrap().is_empty());
    }
}
