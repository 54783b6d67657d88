//! Crashes, errors and full disks at every durable step of a run and of its recovery.

use cto_schema::{JournalRecord, Status};

use crate::durable;
use crate::durable::fault::{self, Fault};
use crate::home::Home;
use crate::run_dir::journal::replay;
use crate::test_child::{order, run_child, start_child};
use crate::test_support::{judge, place, play, recover, recover_dropped, run_id};

/// A home that already has its key and ledger, so that the steps are those of the run.
fn prepared() -> (tempfile::TempDir, Home) {
    let place = place();
    let home = Home::open(&place.path().join("home")).unwrap();
    recover(&home).unwrap();
    (place, home)
}

#[test]
fn a_run_killed_at_any_step_is_closed_as_blocked_or_was_sealed() {
    let mut outcomes = Vec::new();
    for fault in ["kill", "torn"] {
        for step in 0.. {
            let (_place, home) = prepared();
            let finished = run_child(&home, "play", fault, step);
            let before = appended(&home);
            recover(&home).unwrap();
            let status = judge(&home, &run_id());
            assert_preserved(&home, &before);
            recover(&home).unwrap();
            assert_eq!(judge(&home, &run_id()), status, "recovery is idempotent");
            outcomes.push(status);
            if finished {
                assert_eq!(status, Some(Status::Pass));
                assert!(step > 60, "only {step} steps were seen");
                break;
            }
        }
    }
    // Nothing begun; begun and blocked; sealed already.
    for expected in [None, Some(Status::Blocked), Some(Status::Pass)] {
        assert!(outcomes.contains(&expected), "{expected:?} never happened");
    }
}

/// The three appended files, as a crash left them.
fn appended(home: &Home) -> Vec<(&'static str, Vec<u8>)> {
    let read = |name: &'static str| Some((name, std::fs::read(home.run(&run_id()).join(name)).ok()?));
    ["journal.jsonl", "events.normalized.jsonl", "trace.jsonl"]
        .into_iter()
        .filter_map(read)
        .collect()
}

fn assert_preserved(home: &Home, before: &[(&'static str, Vec<u8>)]) {
    for (name, bytes) in before {
        let after = std::fs::read(home.run(&run_id()).join(name)).unwrap();
        let torn = std::fs::read(home.run(&run_id()).join(format!("backend/torn-{name}"))).unwrap_or_default();
        let kept = bytes.len() - torn.len();
        assert_eq!(
            (&after[..kept], &torn[..]),
            (&bytes[..kept], &bytes[kept..]),
            "{name}: a byte was lost"
        );
    }
}

#[test]
fn a_recovery_killed_at_any_step_is_recovered() {
    for first in [4, 9, 12, 30, 70, 96, 103] {
        for (step, fault) in (0..).zip(["kill", "torn"].into_iter().cycle()) {
            let (_place, home) = prepared();
            assert!(
                !run_child(&home, "play", "torn", first),
                "step {first} is past the run's end"
            );
            let finished = run_child(&home, "recover", fault, step);
            recover(&home).unwrap();
            let status = judge(&home, &run_id());
            assert_ne!(status, Some(Status::Pass));
            if finished {
                break;
            }
        }
    }
}

#[test]
fn a_recovery_killed_again_and_again_keeps_every_torn_byte_and_report() {
    let (_place, home) = prepared();
    assert!(!run_child(&home, "play", "torn", 70));
    let before = appended(&home);
    for step in [12, 20, 24, 30] {
        assert!(
            !run_child(&home, "recover", "torn", step),
            "step {step} is past the recovery's end"
        );
    }
    recover(&home).unwrap();
    assert_eq!(judge(&home, &run_id()), Some(Status::Blocked));
    let (name, bytes) = &before[1];
    let after = std::fs::read(home.run(&run_id()).join(name)).unwrap();
    let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    assert!(after.starts_with(&bytes[..whole]));
}

#[test]
fn an_error_at_any_step_never_ends_in_a_torn_pass() {
    for fault in [Fault::InputOutput, Fault::Full] {
        for step in 0.. {
            let (_place, home) = prepared();
            fault::arm(Some((fault, step)));
            let played = play(&home, &run_id());
            let reached = fault::steps() > step;
            fault::arm(None);
            let listed = played.is_ok();
            drop(played);
            recover_dropped(&home);
            let status = judge(&home, &run_id());
            if listed {
                assert_eq!(status, Some(Status::Pass));
            }
            if !reached {
                break;
            }
        }
    }
}

#[test]
fn a_run_killed_at_random_times_is_closed() {
    // The child is not told when: the kill may fall between any two instructions, also inside SQLite.
    for round in 0..40_u64 {
        let (_place, home) = prepared();
        let mut child = start_child(&order(&home, "play", "none", 0));
        pause(std::time::Duration::from_micros(1000 + round * 350));
        child.kill().unwrap();
        child.wait().unwrap();
        recover(&home).unwrap();
        judge(&home, &run_id());
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the kill comes at a time of its own, there is no event to wait for"
)]
fn pause(delay: std::time::Duration) {
    std::thread::sleep(delay);
}

#[test]
fn every_byte_prefix_of_a_journal_replays_to_its_whole_lines() {
    let (_place, home) = prepared();
    play(&home, &run_id()).unwrap();
    let bytes = std::fs::read(home.run(&run_id()).join("journal.jsonl")).unwrap();
    let whole: Vec<JournalRecord> = bytes
        .split_inclusive(|b| *b == b'\n')
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    for len in 0..=bytes.len() {
        let replayed = replay(&bytes[..len]);
        let lines = bytes[..len].iter().filter(|b| **b == b'\n').count();
        assert_eq!(replayed.records, whole[..lines]);
        assert!(replayed.len <= len && (replayed.len == 0 || bytes[replayed.len - 1] == b'\n'));
    }
    // A flipped byte ends the replay at its line or before; nothing after it is believed.
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x01;
        let line = bytes[..at].iter().filter(|b| **b == b'\n').count();
        let replayed = replay(&flipped);
        assert_eq!(
            replayed.records[..line.min(replayed.records.len())],
            whole[..line.min(replayed.records.len())]
        );
    }
}

#[test]
fn every_tenth_byte_prefix_of_a_journal_is_recovered() {
    let (_place, home) = prepared();
    assert!(!run_child(&home, "play", "kill", 100));
    let run = home.run(&run_id());
    let journal = std::fs::read(run.join("journal.jsonl")).unwrap();
    for len in (0..journal.len()).step_by(97) {
        let (_place, other) = prepared();
        copy(&run, &other.run(&run_id()));
        copy(&home.live(), &other.live());
        std::fs::OpenOptions::new()
            .write(true)
            .open(other.run(&run_id()).join("journal.jsonl"))
            .unwrap()
            .set_len(len as u64)
            .unwrap();
        recover(&other).unwrap();
        assert_eq!(judge(&other, &run_id()), Some(Status::Blocked));
        let after = std::fs::read(other.run(&run_id()).join("journal.jsonl")).unwrap();
        let torn = std::fs::read(other.run(&run_id()).join("backend/torn-journal.jsonl")).unwrap_or_default();
        let kept = len - torn.len();
        assert_eq!(
            (&after[..kept], &torn[..]),
            (&journal[..kept], &journal[kept..len]),
            "a byte was lost"
        );
    }
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for (name, file) in crate::test_support::files(from, "") {
        let target = to.join(name);
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(file, target).unwrap();
    }
}

#[test]
fn markers_without_a_directory_and_corrupt_markers_are_handled() {
    let (_place, home) = prepared();
    durable::write_new(home.live_dir(), "a", b"").unwrap();
    recover(&home).unwrap();
    assert_eq!(std::fs::read_dir(home.live()).unwrap().count(), 0);

    assert!(!run_child(&home, "play", "torn", 70));
    let marker = home.live().join(run_id().as_str());
    std::fs::OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(&marker)
        .unwrap();
    recover(&home).unwrap();
    assert_eq!(judge(&home, &run_id()), Some(Status::Blocked));
}

#[test]
fn a_corrupt_journal_is_kept_and_a_new_one_closes_the_run() {
    let (_place, home) = prepared();
    assert!(!run_child(&home, "play", "kill", 70));
    let journal = home.run(&run_id()).join("journal.jsonl");
    let mut bytes = std::fs::read(&journal).unwrap();
    bytes[3] ^= 0xff;
    #[expect(clippy::disallowed_methods, reason = "this is the damage")]
    std::fs::write(&journal, &bytes).unwrap();
    recover(&home).unwrap();
    assert_eq!(judge(&home, &run_id()), Some(Status::Blocked));
    assert_eq!(
        std::fs::read(home.run(&run_id()).join("backend/torn-journal.jsonl")).unwrap(),
        bytes
    );
}

#[test]
fn a_forged_seal_is_set_aside() {
    let (_place, home) = prepared();
    assert!(!run_child(&home, "play", "kill", 70));
    durable::write_new(
        durable::open_dir(&home.run(&run_id())).unwrap(),
        "attestation.dsse.json",
        b"{}",
    )
    .unwrap();
    recover(&home).unwrap();
    assert_eq!(judge(&home, &run_id()), Some(Status::Blocked));
    assert!(home.run(&run_id()).join("interrupted-attestation.dsse.json").exists());
}
