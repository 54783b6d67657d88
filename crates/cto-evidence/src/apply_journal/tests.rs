//! A journal is there as a whole or not at all, and belongs to one process at a time.

use std::fs;
use std::io::Read as _;

use cto_schema::{ApplyEntry, ApplyPath, ApplyRef, ApplyTarget, EntryKind, PathText};

use super::*;
use crate::test_child::run_child;

const RUN: &str = "20261120t090000z-case-aaaaaaaaaa";

fn plan(kind: ApplyKind, path: ApplyPath) -> ApplyPlan {
    ApplyPlan {
        schema: SchemaId::APPLY.to_string(),
        run_id: RUN.parse().unwrap(),
        kind,
        target: ApplyTarget {
            path: PathText::new(b"/t"),
            device: "1".to_owned(),
            inode: u64::MAX.to_string(),
        },
        moves: ApplyRef::Branch {
            name: "refs/heads/main".to_owned(),
        },
        old_commit: "0".repeat(40),
        new_commit: "1".repeat(40),
        new_tree: "2".repeat(40),
        new_objects: vec!["1".repeat(40)],
        paths: vec![path],
        planned_at: rfc3339(wall_now()),
    }
}

fn fill(home: &Home, kind: ApplyKind) -> Result<ApplyJournal, ApplyJournalError> {
    let draft = ApplyDraft::begin(home)?;
    let write = |source| ApplyJournalError::Write {
        name: RUN.to_owned(),
        source,
    };
    let mut entries = [(Side::Before, "old"), (Side::After, "new")].map(|(side, text)| {
        let (digest, size_bytes) = draft.keep(side, 0, &mut text.as_bytes()).map_err(write)?;
        assert_eq!((digest, size_bytes), (Sha256Digest::of(text.as_bytes()), 3));
        Ok(Some(ApplyEntry {
            kind: EntryKind::File,
            digest,
            size_bytes,
            object: "3".repeat(40),
        }))
    });
    let mut entry = |at: usize| std::mem::replace(&mut entries[at], Ok(None));
    let path = ApplyPath {
        path: PathText::new(b"\xff\n"),
        before: entry(0)?,
        after: entry(1)?,
    };
    draft.scratch().map_err(write)?;
    draft.ready(plan(kind, path))
}

/// What the child does that is killed.
pub(crate) fn play(home: &Home) {
    let journal = fill(home, ApplyKind::Apply).unwrap();
    journal.scratch().unwrap();
    journal.finish(ApplyEnd::Committed, "").unwrap();
}

fn home() -> (tempfile::TempDir, Home) {
    let place = tempfile::tempdir().unwrap();
    let home = Home::open(&place.path().join("home")).unwrap();
    (place, home)
}

fn read(journal: &ApplyJournal, side: Side) -> String {
    let mut text = String::new();
    journal.open(side, 0).unwrap().read_to_string(&mut text).unwrap();
    text
}

fn found(home: &Home) -> Vec<ApplyJournal> {
    // A test beside us that is starting a child shares our locks until the child's exec.
    for _ in 0..100 {
        let found = unfinished_applies(home).unwrap();
        if !found.is_empty() {
            return found.into_iter().map(Result::unwrap).collect();
        }
    }
    Vec::new()
}

#[test]
fn a_journal_that_is_held_is_nobody_elses_and_a_dropped_one_is_found() {
    let (_place, home) = home();
    let journal = fill(&home, ApplyKind::Apply).unwrap();
    assert!(unfinished_applies(&home).unwrap().is_empty(), "its process lives");
    let plan = journal.plan().clone();
    drop(journal);
    let mut again = found(&home);
    let journal = again.pop().unwrap();
    assert_eq!((journal.plan(), journal.name()), (&plan, RUN));
    assert_eq!(
        (read(&journal, Side::Before), read(&journal, Side::After)),
        ("old".into(), "new".into())
    );
    assert!(unfinished_applies(&home).unwrap().is_empty(), "claimed twice");
    let scratch = journal.scratch().unwrap();
    fs::File::create_new(scratch.join("x")).unwrap();
    assert_eq!(fs::read_dir(journal.scratch().unwrap()).unwrap().count(), 0);
    let done = journal.finish(ApplyEnd::Committed, "").unwrap();
    assert_eq!(done.target_commit.as_ref(), Some(&plan.new_commit));
    assert!(unfinished_applies(&home).unwrap().is_empty());
    assert_eq!(apply_record(&home, &plan.run_id).unwrap(), Some((plan, Some(done))));
    let left = durable::names(durable::open_dir_at(home.applies_dir(), RUN).unwrap()).unwrap();
    assert_eq!(left, [DONE, PLAN]);
}

#[test]
fn a_run_has_one_apply_and_may_be_taken_back_again_and_again() {
    let (_place, home) = home();
    fill(&home, ApplyKind::Apply).unwrap();
    let second = fill(&home, ApplyKind::Apply).unwrap_err();
    assert!(matches!(second, ApplyJournalError::Exists { .. }), "{second}");
    for number in 1..=3 {
        let journal = fill(&home, ApplyKind::Revert).unwrap();
        assert_eq!(journal.name(), format!("{RUN}.revert-{number}"));
    }
    assert_eq!(durable::names(home.applies_dir()).unwrap().len(), 4, "no draft stays");
    assert_eq!(found(&home).len(), 4);
}

#[test]
fn a_draft_that_a_dead_process_left_is_removed_and_a_living_one_is_not() {
    let (_place, home) = home();
    let draft = ApplyDraft::begin(&home).unwrap();
    durable::make_dir_at(home.applies_dir(), ".tmp-1-1").unwrap();
    assert!(unfinished_applies(&home).unwrap().is_empty());
    assert!(durable::exists_at(home.applies_dir(), &draft.temporary).unwrap());
    assert_eq!(durable::names(home.applies_dir()).unwrap().len(), 1);
    drop(draft);
    assert!(durable::names(home.applies_dir()).unwrap().is_empty());
}

#[test]
fn a_plan_that_cannot_be_understood_is_reported_and_kept() {
    let (_place, home) = home();
    let text = serde_json::to_string(fill(&home, ApplyKind::Apply).unwrap().plan()).unwrap();
    let directory = durable::open_dir_at(home.applies_dir(), RUN).unwrap();
    for bad in [
        String::new(),
        text.replace("cto/apply/1.0", "cto/apply/1.1"),
        text.replace("aaaaaaaaaa", "bbbbbbbbbb"),
        text.replacen('{', "{\"surplus\":1,", 1),
    ] {
        durable::write_replacing(&directory, PLAN, bad.as_bytes()).unwrap();
        let claimed = (0..100).find_map(|_| unfinished_applies(&home).unwrap().pop()).unwrap();
        let error = claimed.unwrap_err();
        assert!(matches!(error, ApplyJournalError::Plan { .. }), "{error}");
    }
    assert!(durable::exists_at(&directory, "post").unwrap());
}

#[test]
fn killed_at_any_step_a_journal_is_whole_or_not_there() {
    for fault in ["kill", "torn"] {
        let (mut nothing, mut whole, mut done) = (0, 0, 0);
        for step in 0.. {
            let (_place, home) = home();
            let finished = run_child(&home, "apply", fault, step);
            let mut journals = unfinished_applies(&home).unwrap();
            match (journals.pop(), apply_record(&home, &RUN.parse().unwrap()).unwrap()) {
                (None, None) => {
                    assert!(durable::names(home.applies_dir()).unwrap().is_empty(), "step {step}");
                    nothing += 1;
                }
                (Some(journal), Some((plan, None))) => {
                    let journal = journal.unwrap();
                    assert_eq!(journal.plan(), &plan);
                    assert_eq!(
                        (read(&journal, Side::Before), read(&journal, Side::After)),
                        ("old".into(), "new".into())
                    );
                    journal.finish(ApplyEnd::RolledBack, "").unwrap();
                    whole += 1;
                }
                (None, Some((_, Some(record)))) => {
                    assert_eq!(record.outcome, ApplyEnd::Committed);
                    let left = durable::names(durable::open_dir_at(home.applies_dir(), RUN).unwrap()).unwrap();
                    assert_eq!(left, [DONE, PLAN], "step {step}");
                    done += 1;
                }
                other => panic!("step {step}: {other:?}"),
            }
            if finished {
                break;
            }
        }
        assert!(nothing > 10 && whole > 3 && done > 3, "{nothing} {whole} {done}");
    }
}
