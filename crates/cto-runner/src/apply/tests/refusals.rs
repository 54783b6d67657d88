//! Nothing is changed where something is not as it was approved, and the refusal says what.

use std::fs;
use std::os::unix::fs::symlink;

use super::bench::{Site, git};
use super::child::snapshot;
use crate::apply::{ApplyOutcome, Expected, RecoveredApply, Refusal, fault, recover_applies};
use crate::baseline::sample::{Node, Tree, file, tree, write};
use crate::source::SourceRepository;

fn small() -> (Tree, Tree) {
    let base = tree([
        (".gitignore", file("*.log\n")),
        ("a", file("a\n")),
        ("b", file("b\n")),
        ("d/e", file("e\n")),
        ("unrelated", file("u\n")),
    ]);
    let mut end = base.clone();
    end.insert(b"a".to_vec(), file("A\n"));
    end.remove(&b"b"[..]);
    end.remove(&b"d/e"[..]);
    end.insert(b"d".to_vec(), file("d\n"));
    end.insert(b"n/e/w".to_vec(), file("new\n"));
    (base, end)
}

/// Applies the small change after something was done to the target, and returns the refusal.
fn refused(disturb: impl FnOnce(&Site)) -> Refusal {
    let (base, end) = small();
    let site = Site::new(&base);
    let (made, expected) = (site.commit(&base, &end), site.expected());
    disturb(&site);
    let before = snapshot(&site.target);
    let outcome = site.apply_expecting(&made, &expected).unwrap();
    assert_eq!(snapshot(&site.target), before);
    assert_eq!(fs::read_dir(site.home.applies()).unwrap().count(), 0, "no journal");
    match outcome {
        ApplyOutcome::Refused(refusal) => refusal,
        ApplyOutcome::Applied(applied) => panic!("{applied:?}"),
    }
}

fn refused_path(disturb: impl FnOnce(&Site)) -> String {
    match refused(disturb) {
        Refusal::Path { path, .. } => path,
        other => panic!("{other}"),
    }
}

#[test]
fn a_path_that_is_not_what_the_old_commit_says_is_named() {
    assert_eq!(refused_path(|site| write(&site.target.join("a"), "mine\n")), "a");
    assert_eq!(
        refused_path(|site| fs::remove_file(site.target.join("b")).unwrap()),
        "b"
    );
    let mode = |site: &Site| {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(site.target.join("a"), fs::Permissions::from_mode(0o755)).unwrap();
    };
    assert_eq!(refused_path(mode), "a");
    let link = |site: &Site| {
        fs::rename(site.target.join("a"), site.target.join("run.log")).unwrap();
        symlink("run.log", site.target.join("a")).unwrap();
    };
    assert_eq!(refused_path(link), "a");
}

#[test]
fn what_lies_where_something_new_comes_is_never_overwritten() {
    assert_eq!(
        refused_path(|site| {
            fs::create_dir_all(site.target.join("n/e")).unwrap();
            write(&site.target.join("n/e/w"), "untracked\n");
        }),
        "n/e/w"
    );
    assert_eq!(refused_path(|site| write(&site.target.join("n"), "a file\n")), "n");
    assert_eq!(refused_path(|site| symlink("d", site.target.join("n")).unwrap()), "n");
    assert_eq!(
        refused_path(|site| write(&site.target.join("d/run.log"), "ignored\n")),
        "d"
    );
    assert_eq!(
        refused_path(|site| fs::create_dir(site.target.join("d/empty")).unwrap()),
        "d"
    );
    assert_eq!(
        refused_path(|site| fs::create_dir_all(site.target.join("n/e/w/x")).unwrap()),
        "n/e/w"
    );
}

#[test]
fn what_is_staged_at_a_changed_path_is_refused_and_elsewhere_it_stays() {
    let stage = |site: &Site| {
        write(&site.target.join("a"), "staged\n");
        git(&site.target, &["add", "a"]);
        write(&site.target.join("a"), "a\n");
    };
    assert_eq!(refused_path(stage), "a");
    let below = |site: &Site| {
        write(&site.target.join("n"), "staged\n");
        git(&site.target, &["add", "n"]);
        fs::remove_file(site.target.join("n")).unwrap();
    };
    assert_eq!(refused_path(below), "n");
    let unmerged = |site: &Site| {
        let blob = git(&site.target, &["rev-parse", "HEAD:a"]);
        let lines = format!("100644 {} 1\ta\n", blob.trim());
        write(&site.target.join("lines.log"), lines);
        let words = [
            "sh",
            "-c",
            "git rm -q --cached a && git update-index --index-info < lines.log",
        ];
        let done = crate::real_tool::run(&site.target, &words.map(str::to_owned));
        assert!(done.status.success());
    };
    assert_eq!(refused_path(unmerged), "a");

    let (base, end) = small();
    let site = Site::new(&base);
    let made = site.commit(&base, &end);
    write(&site.target.join("unrelated"), "staged\n");
    write(&site.target.join("more"), "staged\n");
    git(&site.target, &["add", "unrelated", "more"]);
    write(&site.target.join("unrelated"), "and changed\n");
    assert!(matches!(site.apply(&made).unwrap(), ApplyOutcome::Applied(_)));
    assert_eq!(git(&site.target, &["status", "--porcelain"]), "A  more\nMM unrelated\n");
    assert_eq!(git(&site.target, &["show", ":unrelated"]), "staged\n");
}

#[test]
fn a_target_that_is_not_the_approved_one_is_refused() {
    let detached = refused(|site| drop(git(&site.target, &["checkout", "-q", "--detach"])));
    assert_eq!(detached, Refusal::Detached);
    let other = refused(|site| drop(git(&site.target, &["checkout", "-q", "-b", "other"])));
    assert!(matches!(other, Refusal::Head { found, .. } if found == "refs/heads/other"));
    let moved = refused(|site| drop(git(&site.target, &["commit", "-q", "--allow-empty", "-m", "x"])));
    assert!(matches!(&moved, Refusal::Moved { branch, .. } if branch == "refs/heads/main"));
    assert!(moved.to_string().contains("moved on"), "{moved}");
    let indirect = refused(|site| {
        git(&site.target, &["branch", "real"]);
        git(&site.target, &["symbolic-ref", "refs/heads/main", "refs/heads/real"]);
    });
    assert!(matches!(indirect, Refusal::Head { .. }), "{indirect}");
    let elsewhere = refused(|site| {
        git(
            &site.target,
            &["worktree", "add", "-q", "--force", "../elsewhere", "main"],
        );
    });
    assert!(
        matches!(&elsewhere, Refusal::Elsewhere { place, .. } if place.contains("\"elsewhere\"")),
        "{elsewhere}"
    );
    let merging = refused(|site| {
        git(&site.target, &["checkout", "-q", "-b", "side"]);
        git(&site.target, &["commit", "-q", "--allow-empty", "-m", "x"]);
        git(&site.target, &["checkout", "-q", "main"]);
        git(&site.target, &["merge", "-q", "--no-ff", "--no-commit", "side"]);
    });
    assert_eq!(merging, Refusal::InProgress { what: "a merge" });
}

#[test]
fn a_lock_of_git_is_respected() {
    for name in ["index.lock", "HEAD.lock", "refs/heads/main.lock"] {
        let refusal = refused(|site| write(&site.target.join(".git").join(name), ""));
        assert_eq!(refusal, Refusal::Locked { name: name.to_owned() });
    }
}

#[test]
fn a_ref_or_log_that_leads_elsewhere_is_not_written_through() {
    for name in [
        "logs/HEAD",
        "logs/refs/heads/main",
        "logs/refs/heads",
        "logs/refs",
        "refs/heads",
    ] {
        let refusal = refused(|site| {
            let place = site.target.join(".git").join(name);
            let aside = site.bench.place("aside").join("x");
            fs::rename(&place, &aside).unwrap();
            symlink(&aside, &place).unwrap();
            if name == "refs/heads" {
                let id = fs::read(aside.join("main")).unwrap();
                let id = String::from_utf8(id).unwrap();
                write(
                    &site.target.join(".git/packed-refs"),
                    format!("{} refs/heads/main\n", id.trim()),
                );
            }
        });
        assert!(matches!(refusal, Refusal::Unsupported { .. }), "{name}: {refusal}");
    }
}

/// Makes every directory of loose objects that is not there yet a link to one elsewhere.
fn link_fans(site: &Site) -> std::path::PathBuf {
    let elsewhere = site.bench.place("elsewhere");
    for fan in 0..=255 {
        let place = site.target.join(format!(".git/objects/{fan:02x}"));
        if !place.exists() {
            symlink(&elsewhere, place).unwrap();
        }
    }
    elsewhere
}

#[test]
fn objects_are_not_written_through_a_link() {
    let mut elsewhere = None;
    let refusal = refused(|site| elsewhere = Some(link_fans(site)));
    let Refusal::Unsupported { what } = refusal else {
        panic!("{refusal}")
    };
    assert!(what.contains("objects"), "{what}");
}

#[test]
fn recovery_undoes_what_was_begun_where_objects_became_links() {
    let (base, end) = small();
    let site = Site::new(&base);
    let made = site.commit(&base, &end);
    let head = git(&site.target, &["rev-parse", "HEAD"]);
    // Dead after the index was locked, and nothing that could be undone on the way.
    fault::arm(Some(Box::new(|name, _| {
        if name == "index locked" {
            std::panic::panic_any("dead");
        }
        Ok(())
    })));
    let dead = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| site.apply(&made)));
    fault::arm(None);
    assert!(dead.is_err() && site.target.join(".git/index.lock").exists());
    let elsewhere = link_fans(&site);
    let recovered = recover_applies(&site.home, &site.bench.git).unwrap();
    assert_eq!(recovered[0].outcome, RecoveredApply::RolledBack, "{recovered:?}");
    assert!(!site.target.join(".git/index.lock").exists());
    assert_eq!(git(&site.target, &["rev-parse", "HEAD"]), head);
    assert_eq!(fs::read_dir(elsewhere).unwrap().count(), 0);
}

#[test]
fn another_directory_at_the_same_path_is_refused() {
    let (base, end) = small();
    let site = Site::new(&base);
    let (made, expected) = (site.commit(&base, &end), site.expected());
    let identity = (expected.identity.0, expected.identity.1 + 1);
    let expected = Expected { identity, ..expected };
    let outcome = site.apply_expecting(&made, &expected).unwrap();
    assert_eq!(outcome, ApplyOutcome::Refused(Refusal::Identity));
    // Swapped while it is open.
    let expected = site.expected();
    let target = site.open();
    let aside = site.target.with_extension("aside");
    fs::rename(&site.target, &aside).unwrap();
    super::child::copy(&aside, &site.target);
    let lock = target.lock().unwrap();
    let outcome = crate::apply::apply(&crate::apply::ApplyOrder {
        home: &site.home,
        git: &site.bench.git,
        run_id: &site.run_id,
        target: &target,
        lock: &lock,
        expected: &expected,
        commit: &made,
    });
    assert_eq!(outcome.unwrap(), ApplyOutcome::Refused(Refusal::Identity));
    SourceRepository::open(&site.target).unwrap();
}

#[test]
fn what_git_would_show_as_changed_for_ever_is_refused_beforehand() {
    for (rules, path, content) in [
        ("*.bat text\n", "x.bat", "one\r\n"),
        ("*.c ident\n", "x.c", "$Id: 1234 $\n"),
        ("*.big filter=lfs\n", "x.big", "large\n"),
        ("*.u working-tree-encoding=UTF-16LE\n", "x.u", "odd\n"),
    ] {
        let base = tree([(".gitattributes", file(rules)), ("a", file("a\n"))]);
        let mut end = base.clone();
        end.insert(path.as_bytes().to_vec(), file(content));
        let site = Site::new(&base);
        let made = site.commit(&base, &end);
        let before = snapshot(&site.target);
        match site.apply(&made).unwrap() {
            ApplyOutcome::Refused(Refusal::Path { path: named, .. }) => assert_eq!(named, path),
            other => panic!("{rules}: {other:?}"),
        }
        assert_eq!(snapshot(&site.target), before);
    }
    // The rule may also come with the change, or be the operator's own.
    let base = tree([("a", file("a\n"))]);
    let mut end = base.clone();
    end.insert(b"sub/x.bat".to_vec(), file("one\r\n"));
    let site = Site::new(&base);
    let made = site.commit(&base, &end);
    write(&site.target.join(".git/info/attributes"), "*.bat text\n");
    assert!(matches!(
        site.apply(&made).unwrap(),
        ApplyOutcome::Refused(Refusal::Path { .. })
    ));
    end.insert(b"sub/.gitattributes".to_vec(), file("*.bat text\n"));
    let site = Site::new(&base);
    let made = site.commit(&base, &end);
    assert!(matches!(
        site.apply(&made).unwrap(),
        ApplyOutcome::Refused(Refusal::Path { .. })
    ));
    // Rules that change nothing about these bytes are no reason.
    end.insert(b"sub/x.bat".to_vec(), file("one\n"));
    let site = Site::new(&base);
    let made = site.commit(&base, &end);
    assert!(matches!(site.apply(&made).unwrap(), ApplyOutcome::Applied(_)));
    site.assert_is(&made.commit, &end);
}

#[test]
fn a_run_is_applied_once() {
    let (base, end) = small();
    let site = Site::new(&base);
    let made = site.commit(&base, &end);
    assert!(matches!(site.apply(&made).unwrap(), ApplyOutcome::Applied(_)));
    let mut third = end.clone();
    third.insert(b"a".to_vec(), Node::Executable(b"third\n".to_vec()));
    let made = site.commit(&end, &third);
    let before = snapshot(&site.target);
    let error = site.apply(&made).unwrap_err();
    assert!(matches!(error, crate::apply::ApplyError::Journal { .. }), "{error}");
    assert_eq!(snapshot(&site.target), before);
}
