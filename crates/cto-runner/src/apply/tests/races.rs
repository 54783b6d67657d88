//! Somebody else works in the target while the change is made: nothing of theirs is lost, and all of it is told.

use std::cell::Cell;
use std::fs;
use std::io;
use std::path::Path;
use std::rc::Rc;

use super::bench::{Site, git, try_git};
use super::child::snapshot;
use crate::apply::{ApplyError, ApplyOutcome, MadeCommit, RecoveredApply, Refusal, fault, recover_applies};
use crate::baseline::sample::{Tree, file, tree, write};

fn small() -> (Tree, Tree) {
    let base = tree([("a", file("a\n")), ("b/c", file("c\n")), ("kept", file("k\n"))]);
    let mut end = base.clone();
    end.insert(b"a".to_vec(), file("A\n"));
    end.remove(&b"b/c"[..]);
    end.insert(b"n/w".to_vec(), file("new\n"));
    (base, end)
}

struct Race {
    site: Site,
    base: Tree,
    end: Tree,
    made: MadeCommit,
}

impl Race {
    fn new() -> Self {
        let (base, end) = small();
        let site = Site::new(&base);
        let made = site.commit(&base, &end);
        Self { site, base, end, made }
    }

    /// Applies, and does something at the first point with a name.
    fn apply(
        &self,
        point: &'static str,
        act: impl Fn(&Path) -> io::Result<()> + 'static,
    ) -> Result<ApplyOutcome, ApplyError> {
        let (target, done) = (self.site.target.clone(), Rc::new(Cell::new(false)));
        let seen = done.clone();
        fault::arm(Some(Box::new(move |name, _| {
            if name == point && !seen.replace(true) {
                return act(&target);
            }
            Ok(())
        })));
        let outcome = self.site.apply(&self.made);
        fault::arm(None);
        assert!(done.get(), "{point} was not reached");
        outcome
    }

    fn recover(&self) -> Vec<RecoveredApply> {
        let found = recover_applies(&self.site.home, &self.site.bench.git).unwrap();
        found.into_iter().map(|recovery| recovery.outcome).collect()
    }

    fn committed(&self) -> RecoveredApply {
        let target_commit = self.made.commit.clone();
        RecoveredApply::Committed { target_commit }
    }
}

/// Moves the branch as a push or a fetch into it would: without the index's lock.
fn commit_beside(target: &Path) -> io::Result<()> {
    let other = git(target, &["commit-tree", "-p", "HEAD", "-m", "other", "HEAD^{tree}"]);
    git(target, &["update-ref", "refs/heads/main", other.trim()]);
    Ok(())
}

#[test]
fn a_branch_that_moves_between_check_and_swap_leaves_the_target_as_the_other_made_it() {
    let race = Race::new();
    let outcome = race.apply("before update-ref", commit_beside).unwrap();
    let head = git(&race.site.target, &["rev-parse", "HEAD"]).trim().to_owned();
    match outcome {
        ApplyOutcome::Refused(Refusal::Moved { found, .. }) => assert_eq!(found, head),
        other => panic!("{other:?}"),
    }
    assert_ne!(head, race.made.commit);
    race.site.assert_is(&head, &race.base);
    for (id, _) in &race.made.objects {
        let (there, _) = try_git(&race.site.target, &["cat-file", "-e", id]);
        assert!(!there, "{id} stayed");
    }
    assert!(race.recover().is_empty());
}

#[test]
fn a_commit_of_the_operator_meets_the_locked_index_and_the_change_goes_on() {
    let race = Race::new();
    let commit = |target: &Path| {
        let (good, said) = try_git(target, &["commit", "-q", "--allow-empty", "-m", "mine"]);
        assert!(!good && said.contains("index.lock"), "{said}");
        Ok(())
    };
    let outcome = race.apply("before update-ref", commit).unwrap();
    assert!(matches!(outcome, ApplyOutcome::Applied(_)), "{outcome:?}");
    race.site.assert_is(&race.made.commit, &race.end);
}

#[test]
fn an_index_that_somebody_locks_first_is_theirs() {
    let race = Race::new();
    let before = snapshot(&race.site.target);
    let lock = |target: &Path| {
        write(&target.join(".git/index.lock"), "theirs");
        Ok(())
    };
    let outcome = race.apply("journal", lock).unwrap();
    assert!(
        matches!(outcome, ApplyOutcome::Refused(Refusal::Locked { .. })),
        "{outcome:?}"
    );
    fs::remove_file(race.site.target.join(".git/index.lock")).unwrap();
    assert_eq!(snapshot(&race.site.target), before);
}

#[test]
fn a_head_that_is_switched_meanwhile_gets_its_branch_back() {
    for point in ["objects written", "before update-ref"] {
        let race = Race::new();
        git(&race.site.target, &["branch", "other"]);
        let switch = |target: &Path| {
            git(target, &["symbolic-ref", "HEAD", "refs/heads/other"]);
            Ok(())
        };
        let outcome = race.apply(point, switch).unwrap();
        assert!(
            matches!(outcome, ApplyOutcome::Refused(Refusal::Undone { .. })),
            "{outcome:?}"
        );
        race.site.assert_is(&race.made.parent, &race.base);
        assert_eq!(git(&race.site.target, &["rev-parse", "main"]).trim(), race.made.parent);
    }
}

#[test]
fn what_is_saved_or_staged_before_the_branch_moves_is_a_refusal() {
    for stage in [false, true] {
        let race = Race::new();
        let edit = move |target: &Path| {
            write(&target.join("a"), "the operator's\n");
            if stage {
                git(target, &["add", "a"]);
            }
            Ok(())
        };
        let outcome = race.apply("journal", edit).unwrap();
        assert!(
            matches!(&outcome, ApplyOutcome::Refused(Refusal::Path { path, .. }) if path == "a"),
            "{outcome:?}"
        );
        let target = &race.site.target;
        assert_eq!(
            git(target, &["status", "--porcelain"]).trim_start(),
            if stage { "M  a\n" } else { "M a\n" }
        );
        assert_eq!(git(target, &["rev-parse", "HEAD"]).trim(), race.made.parent);
        race.site.assert_tidy();
        assert!(race.recover().is_empty());
    }
}

#[test]
fn work_of_the_operator_that_equals_the_change_is_not_undone_with_it() {
    let race = Race::new();
    fault::arm(Some(Box::new(|name, _| match name {
        "objects written" | "unlink" => Err(io::ErrorKind::Other.into()),
        _ => Ok(()),
    })));
    race.site.apply(&race.made).unwrap_err();
    fault::arm(None);
    write(&race.site.target.join("a"), "A\n");
    assert_eq!(race.recover(), [RecoveredApply::RolledBack]);
    assert_eq!(git(&race.site.target, &["status", "--porcelain"]), " M a\n");
}

#[test]
fn a_file_that_is_edited_meanwhile_is_left_alone_and_named_until_it_is_put_right() {
    let race = Race::new();
    let edit = |target: &Path| {
        write(&target.join("a"), "the operator's\n");
        Ok(())
    };
    let error = race.apply("branch moved", edit).unwrap_err();
    assert!(
        matches!(&error, ApplyError::Unfinished { why, .. } if why.contains("\"a\"")),
        "{error}"
    );
    let target = &race.site.target;
    assert_eq!(fs::read_to_string(target.join("a")).unwrap(), "the operator's\n");
    assert_eq!(git(target, &["status", "--porcelain"]), " M a\n", "the rest is done");
    assert!(matches!(&race.recover()[..], [RecoveredApply::Unfinished { why }] if why.contains("\"a\"")));
    assert_eq!(fs::read_to_string(target.join("a")).unwrap(), "the operator's\n");
    git(target, &["checkout", "-q", "--", "a"]);
    assert_eq!(race.recover(), [race.committed()]);
    race.site.assert_is(&race.made.commit, &race.end);
}

#[test]
fn a_file_that_is_saved_while_its_successor_is_written_is_kept() {
    let race = Race::new();
    // The first content that is written after the journal is an object; files come after the branch.
    let (target, moved, done) = (race.site.target.clone(), Cell::new(false), Cell::new(false));
    fault::arm(Some(Box::new(move |name, _| {
        moved.set(moved.get() || name == "branch moved");
        if moved.get() && name == "half written" && !done.replace(true) {
            write(&target.join("a"), "saved\n");
        }
        Ok(())
    })));
    let error = race.site.apply(&race.made).unwrap_err();
    fault::arm(None);
    assert!(matches!(error, ApplyError::Unfinished { .. }), "{error}");
    assert_eq!(fs::read_to_string(race.site.target.join("a")).unwrap(), "saved\n");
    race.site.assert_tidy();
}

#[test]
fn an_apply_whose_process_lives_is_not_recovered() {
    let race = Race::new();
    let (home, program) = (race.site.home.root().to_owned(), race.site.bench.git.clone());
    let look = move |_: &Path| {
        let home = cto_evidence::Home::open(&home).unwrap();
        assert_eq!(recover_applies(&home, &program).unwrap(), []);
        Ok(())
    };
    let outcome = race.apply("branch moved", look).unwrap();
    assert!(matches!(outcome, ApplyOutcome::Applied(_)), "{outcome:?}");
}

#[test]
fn a_target_that_another_run_holds_is_left_for_later() {
    let race = Race::new();
    race.apply("branch moved", |_| Err(io::ErrorKind::Other.into()))
        .unwrap_err();
    let other = race.site.open();
    let lock = other.lock().unwrap();
    assert!(matches!(&race.recover()[..], [RecoveredApply::Unfinished { why }] if why.contains("another run")));
    drop(lock);
    assert_eq!(race.recover(), [race.committed()]);
}

#[test]
fn a_target_that_has_moved_on_is_left_as_it_is_once_and_for_all() {
    let race = Race::new();
    race.apply("branch moved", |_| Err(io::ErrorKind::Other.into()))
        .unwrap_err();
    let target = &race.site.target;
    fs::remove_file(target.join(".git/index.lock")).unwrap();
    git(target, &["commit", "-q", "--allow-empty", "-m", "on top"]);
    let head = git(target, &["rev-parse", "HEAD"]);
    let files = race.site.read();
    assert!(matches!(&race.recover()[..], [RecoveredApply::Abandoned { .. }]));
    assert_eq!(git(target, &["rev-parse", "HEAD"]), head);
    assert_eq!(race.site.read(), files);
    race.site.assert_tidy();
    assert!(race.recover().is_empty());
}

#[test]
fn a_branch_that_was_moved_back_by_hand_takes_the_files_with_it() {
    let race = Race::new();
    race.apply("index followed", |_| Err(io::ErrorKind::Other.into()))
        .unwrap_err();
    let target = &race.site.target;
    git(target, &["update-ref", "refs/heads/main", &race.made.parent]);
    assert_ne!(git(target, &["status", "--porcelain"]), "");
    assert_eq!(race.recover(), [RecoveredApply::RolledBack]);
    race.site.assert_is(&race.made.parent, &race.base);
}

#[test]
fn another_repository_in_the_place_of_the_target_is_not_touched() {
    let race = Race::new();
    race.apply("branch moved", |_| Err(io::ErrorKind::Other.into()))
        .unwrap_err();
    let (target, aside) = (&race.site.target, race.site.target.with_extension("aside"));
    fs::rename(target, &aside).unwrap();
    assert!(
        matches!(&race.recover()[..], [RecoveredApply::Unfinished { .. }]),
        "nothing is there"
    );
    super::child::copy(&aside, target);
    let before = snapshot(target);
    assert!(matches!(&race.recover()[..], [RecoveredApply::Unfinished { why }] if why.contains("another one")));
    assert_eq!(snapshot(target), before);
    fs::remove_dir_all(target).unwrap();
    fs::rename(&aside, target).unwrap();
    assert_eq!(race.recover(), [race.committed()]);
    race.site.assert_is(&race.made.commit, &race.end);
}

#[test]
fn objects_that_somebody_needs_by_now_stay() {
    let race = Race::new();
    let commit = race.made.commit.clone();
    let take = move |target: &Path| {
        git(target, &["update-ref", "refs/heads/theirs", &commit]);
        commit_beside(target)
    };
    let outcome = race.apply("before update-ref", take).unwrap();
    assert!(matches!(outcome, ApplyOutcome::Refused(_)), "{outcome:?}");
    race.site.assert_tidy();
    assert_eq!(
        git(&race.site.target, &["rev-parse", "theirs"]).trim(),
        race.made.commit
    );

    // A blob that the operator stores as well is the operator's.
    let race = Race::new();
    let store = |target: &Path| {
        write(&target.join("mine"), "new\n");
        git(target, &["hash-object", "-w", "mine"]);
        commit_beside(target)
    };
    race.apply("before update-ref", store).unwrap();
    let id = git(&race.site.target, &["hash-object", "mine"]);
    git(&race.site.target, &["cat-file", "-e", id.trim()]);
}

#[test]
fn a_lock_that_a_killed_git_left_is_told_from_a_living_ones() {
    let lock = ".git/refs/heads/main.lock";
    let leave = |content: String, seconds_ago: i64| {
        let race = Race::new();
        race.apply("objects written", |_| Ok(())).unwrap();
        let race = Race::new();
        let (text, commit) = (content, race.made.commit.clone());
        // Everything up to here is made; what undoes it fails as well, as if the process had died.
        fault::arm(Some(Box::new(move |name, _| match name {
            "objects written" | "unlink" => Err(io::ErrorKind::Other.into()),
            _ => Ok(()),
        })));
        let error = race.site.apply(&race.made).unwrap_err();
        fault::arm(None);
        assert!(matches!(error, ApplyError::NotUndone { .. }), "{error}");
        let place = race.site.target.join(lock);
        write(&place, text.replace("NEW", &commit));
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime).tv_sec;
        let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(u64::try_from(now - seconds_ago).unwrap());
        fs::File::options()
            .write(true)
            .open(&place)
            .unwrap()
            .set_modified(at)
            .unwrap();
        race
    };
    for (content, age) in [("NEW\n", 0), ("", 5)] {
        let race = leave(content.to_owned(), age);
        assert_eq!(race.recover(), [RecoveredApply::RolledBack], "{content:?}");
        race.site.assert_is(&race.made.parent, &race.base);
    }
    let race = leave(String::new(), 0);
    assert!(matches!(&race.recover()[..], [RecoveredApply::Unfinished { .. }]));
    let race = leave("somebody else's\n".to_owned(), 100);
    assert_eq!(race.recover(), [RecoveredApply::RolledBack]);
    assert!(race.site.target.join(lock).exists());
}
