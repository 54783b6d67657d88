//! One fault at a time over whole runs: a call of the harness fails, is killed, or meets a limit. A script that shares
//! no line with the harness looks at what is left.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Installation, all, contract, write};

/// Calls of one fault in tier 1, and with `--all`, where that is every call of those that write.
const POINTS: (u64, u64) = (2, 120);
/// More calls than any run makes.
const NEVER: u64 = 60_000;

/// Runs with a fault in a fresh installation; panics with the script's words when a promise is broken.
fn point(faults: &[String]) -> Value {
    let installation = Installation::in_memory();
    let place = installation.dir.path();
    let repository = installation.scripted("target");
    let contract = contract("fault", &repository);
    write(&place.join("contract.json"), contract.to_string().as_bytes());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fault_point.py");
    let output = Command::new("python3")
        .arg(script)
        .arg(place)
        .arg(crate::support::program())
        .args(faults)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{faults:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Meets the first fault, with `--all` each, at calls spread over the run; `first` is what happens to the run when the
/// faults are recovery's.
fn sweep(first: Option<&str>, faults: &[&str]) {
    let point = |fault: &str, at: u64| {
        let fault = format!("{fault}:{at}");
        point(&first.map(str::to_owned).into_iter().chain([fault]).collect::<Vec<_>>())
    };
    let (faults, points) = if all() {
        (faults, POINTS.1)
    } else {
        (&faults[..1], POINTS.0)
    };
    for fault in faults {
        let calm = point(fault, NEVER);
        assert_eq!(calm["reached"], false);
        let calls = calm["calls"].as_u64().unwrap();
        assert!(calls > 0, "{fault} can never be met");
        if first.is_none() {
            assert_eq!((&calm["exit"], &calm["statuses"]), (&0.into(), &json!(["pass"])));
        }
        let parts = calls.min(points);
        let met = (0..parts).filter(|part| point(fault, calls * (2 * part + 1) / (2 * parts) + 1)["reached"] == true);
        let met = u64::try_from(met.count()).unwrap();
        assert!(2 * met > parts, "{fault}: {met} of {parts} points were met");
    }
}

#[test]
fn a_write_that_fails_is_on_record_or_the_run_is_closed_by_the_next_command() {
    sweep(
        None,
        &[
            "write:EIO",
            "write:ENOSPC",
            "pwrite64:ENOSPC",
            "ftruncate:EIO",
            "copy_file_range:EIO",
        ],
    );
}

#[test]
fn what_cannot_be_made_durable_is_no_pass() {
    sweep(None, &["fdatasync:EIO", "fsync:EIO"]);
}

#[test]
fn a_name_that_cannot_be_made_or_removed_leaves_nothing_behind() {
    sweep(
        None,
        &[
            "unlinkat:EIO",
            "renameat2:EIO",
            "mkdir:ENOSPC",
            "mkdirat:ENOSPC",
            "rmdir:EIO",
        ],
    );
}

#[test]
fn what_cannot_be_read_is_ignorance_and_no_pass() {
    sweep(
        None,
        &[
            "openat:EMFILE",
            "openat2:EIO",
            "read:EIO",
            "pread64:EIO",
            "statx:EIO",
            "newfstatat:EIO",
            "fstat:EIO",
            "getdents64:EIO",
            "readlink:EIO",
        ],
    );
}

#[test]
fn what_the_kernel_does_not_give_leaves_no_cage_behind() {
    sweep(
        None,
        &[
            "clone3:EAGAIN",
            "pipe2:EMFILE",
            "socketpair:EMFILE",
            "memfd_create:ENOSPC",
            "fcntl:EMFILE",
            "flock:ENOLCK",
            "getrandom:EIO",
            "recvmsg:EIO",
            "sendmsg:EPIPE",
            "ppoll:ENOMEM",
            "wait4:ECHILD",
        ],
    );
}

#[test]
fn a_kill_at_any_call_is_closed_by_the_next_command() {
    sweep(
        None,
        &[
            "fdatasync:SIGKILL",
            "write:SIGKILL",
            "fsync:SIGKILL",
            "renameat2:SIGKILL",
            "unlinkat:SIGKILL",
            "mkdir:SIGKILL",
            "pwrite64:SIGKILL",
        ],
    );
}

#[test]
fn recovery_may_fail_or_be_killed_at_any_call() {
    // Killed close to the end, and while the engine ran.
    let firsts = ["fdatasync:SIGKILL:38", "fdatasync:SIGKILL:20"];
    for first in if all() { &firsts[..] } else { &firsts[..1] } {
        sweep(
            Some(first),
            &[
                "write:SIGKILL",
                "fdatasync:SIGKILL",
                "fsync:SIGKILL",
                "renameat2:SIGKILL",
                "unlinkat:SIGKILL",
                "pwrite64:SIGKILL",
                "write:EIO",
                "fdatasync:EIO",
                "fsync:EIO",
                "renameat2:EIO",
                "openat:EIO",
                "read:EIO",
            ],
        );
    }
}

#[test]
fn a_limit_on_the_size_of_files_cuts_writes_short_and_gives_no_torn_file() {
    // Every limit that a file of a run can meet; above the largest there is nothing to cut.
    let limits: Vec<u64> = if all() {
        (0..24)
            .map(|step| 1 << step)
            .chain((1..64).map(|step| step * 1024))
            .collect()
    } else {
        vec![1, 3000, 20_000]
    };
    for limit in limits {
        point(&[format!("file-size:{limit}")]);
    }
}
