//! The child process of tests that need a real one: to be killed, to race, to run out of disk.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};

use cto_schema::{Blocker, BlockerCode, EventType, Status};

use crate::durable::fault::{self, Fault};
use crate::home::Home;
use crate::keys::Keys;
use crate::ledger::Ledger;
use crate::run_dir::RunDirError;
use crate::test_support::{conclude, create, entry, judge, play, recover, run_id};

const CHILD: &str = "test_child::child";

/// What the child is told to do: home, action, fault, step.
pub(crate) const ORDER: &str = "CTO_EVIDENCE_TEST_CHILD";

/// Not a test by itself: the process that other tests start. Does nothing without an order.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the order reaches the child by its environment"
)]
fn child() {
    let Ok(order) = std::env::var(ORDER) else {
        return;
    };
    let parts: Vec<&str> = order.split('|').collect();
    let home = Home::open(parts[0].as_ref()).unwrap();
    let step: u32 = parts[3].parse().unwrap();
    let fault = match parts[2] {
        "torn" => Some(Fault::Torn),
        "kill" => Some(Fault::Kill),
        _ => None,
    };
    fault::arm(fault.map(|fault| (fault, step)));
    match parts[1] {
        "play" => drop(play(&home, &run_id()).unwrap()),
        "recover" => drop(recover(&home).unwrap()),
        "append" => append(&home, step),
        "key" => println!(
            "keyid={}",
            Keys::open(&home).unwrap().ensure_signing_key().unwrap().keyid()
        ),
        "apply" => crate::apply_journal::tests::play(&home),
        "fill" => fill(&home),
        other => panic!("{other}"),
    }
}

pub(crate) fn order(home: &Home, action: &str, fault: &str, step: u32) -> String {
    format!("{}|{action}|{fault}|{step}", home.root().display())
}

/// Starts the child; its output is kept for [`Child::wait_with_output`].
#[expect(clippy::disallowed_methods, reason = "these tests are about real processes")]
pub(crate) fn start_child(order: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([CHILD, "--exact", "--nocapture", "--test-threads=1"])
        .env(ORDER, order)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Starts the child in a mount namespace of its own, with a small file system in memory at its home.
#[expect(clippy::disallowed_methods, reason = "these tests are about real processes")]
pub(crate) fn start_on_small_disk(order: &str, mount_point: &std::path::Path, size: &str) -> Child {
    let script = r#"mount -t tmpfs -o mode=700,size="$1" tmpfs "$2" && shift 2 && exec "$@""#;
    Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-ec", script, "sh", size])
        .arg(mount_point)
        .arg(std::env::current_exe().unwrap())
        .args([CHILD, "--exact", "--nocapture", "--test-threads=1"])
        .env(ORDER, order)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Runs the child; true when it finished, false when it was killed.
pub(crate) fn run_child(home: &Home, action: &str, fault: &str, step: u32) -> bool {
    let output = start_child(&order(home, action, fault, step))
        .wait_with_output()
        .unwrap();
    let killed = output.status.signal() == Some(9);
    assert!(
        output.status.success() || killed,
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.status.success()
}

fn append(home: &Home, worker: u32) {
    for number in 0..50 {
        let ledger = Ledger::open(home).unwrap();
        ledger.append(&entry(&format!("run-{worker}-{number}"))).unwrap();
    }
}

/// A run whose engine fills the disk: it must end as a sealed `fail`, or must not have been begun.
fn fill(home: &Home) {
    let signer = Keys::open(home).unwrap().ensure_signing_key();
    let ledger = Ledger::open(home);
    let (Ok(signer), Ok(ledger)) = (signer, ledger) else {
        return println!("outcome=refused");
    };
    let mut run = match create(home, &run_id()) {
        Ok(run) => run,
        Err(error) => {
            assert!(error.to_string().contains("run"), "{error}");
            assert!(recover(home).unwrap().is_empty(), "nothing was begun");
            return println!("outcome=refused");
        }
    };
    let nonce = run.nonce_hex();
    run.event(EventType::RunStarted, serde_json::json!({ "nonce": nonce }))
        .unwrap();
    let mut number = 0;
    let error = loop {
        number += 1;
        if let Err(error) = run.write(&format!("artifact-{number}"), &[b'x'; 60_000]) {
            break error;
        }
    };
    assert!(matches!(error, RunDirError::ArtifactWrite { .. }));
    assert_eq!(run.failures().len(), 1);
    let blocker = Blocker {
        code: BlockerCode::ArtifactWriteFailure,
        detail: format!("'artifact-{number}' could not be written"),
        event: EventType::RunCompleted,
    };
    conclude(run, Status::Fail, vec![blocker], &signer, &ledger).unwrap();
    assert_eq!(judge(home, &run_id()), Some(Status::Fail));
    println!("outcome=sealed");
}
