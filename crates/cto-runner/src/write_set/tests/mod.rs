//! Every way to hide a change is seen, and what is seen is exact.

mod unsafe_entries;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::time::Instant;

use cto_schema::{ChangeKind, History};

use super::desk::Desk;
use super::*;
use crate::baseline::sample::{Bench, Node, Tree, file, put, tree, write};
use crate::tool::GitCall;

/// Runs a claim in both forms of workspace.
fn in_both(tree: &Tree, claim: impl Fn(&Desk<'_>)) {
    let bench = Bench::new();
    let baseline = bench.baseline(tree);
    claim(&Desk::copied(&bench, &baseline));
    if let Some(desk) = Desk::overlay(&bench, &baseline) {
        claim(&desk);
    }
}

fn sample() -> Tree {
    tree([
        ("a.py", file("one\n")),
        ("b.py", file("two\n")),
        ("run", Node::Executable(b"#!/bin/sh\n".to_vec())),
        ("dir/x", file("x")),
        ("dir/sub/y", file("y")),
        ("link", Node::Symlink(b"a.py".to_vec())),
        (".gitignore", file("*.log\nbuild/\n")),
    ])
}

fn changed(collected: &Collected) -> Vec<(String, ChangeKind)> {
    collected
        .write_set
        .changes
        .iter()
        .map(|change| (change.path.shown(), change.kind))
        .collect()
}

fn marks(collected: &Collected) -> Vec<(String, String)> {
    collected
        .write_set
        .unsafe_entries
        .iter()
        .map(|entry| (entry.path.shown(), entry.reason.clone()))
        .collect()
}

fn kinds(collected: &Collected) -> Vec<String> {
    let mut kinds: Vec<String> = collected.write_set.git.iter().map(|fact| fact.kind.clone()).collect();
    kinds.dedup();
    kinds
}

#[test]
fn an_untouched_workspace_is_empty() {
    in_both(&sample(), |desk| {
        let collected = desk.collect();
        assert_eq!(changed(&collected), []);
        assert_eq!(
            (collected.write_set.git.len(), collected.write_set.ignored.len()),
            (0, 0)
        );
        assert!(collected.contents.is_empty() && collected.write_set.truncated.is_none());
    });
}

#[test]
fn every_kind_of_change_is_named() {
    in_both(&sample(), |desk| {
        let at = |path: &str| desk.merged.join(path);
        write(&at("a.py"), "ONE\n");
        fs::set_permissions(at("b.py"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::remove_file(at("run")).unwrap();
        fs::remove_file(at("link")).unwrap();
        symlink("b.py", at("link")).unwrap();
        fs::remove_dir_all(at("dir")).unwrap();
        write(&at("dir"), "now a file");
        fs::create_dir_all(at("new/deep")).unwrap();
        write(&at("new/deep/f"), "");
        fs::create_dir_all(at("hollow/inner")).unwrap();
        let collected = desk.collect();
        use ChangeKind::{Added, Deleted, Modified};
        let expected = [
            ("a.py", Modified),
            ("b.py", Modified),
            ("dir", Added),
            ("dir/sub/y", Deleted),
            ("dir/x", Deleted),
            ("link", Modified),
            ("new/deep/f", Added),
            ("run", Deleted),
        ];
        assert_eq!(
            changed(&collected),
            expected.map(|(path, kind)| (path.to_owned(), kind))
        );
        assert_eq!(collected.write_set.empty_directories[0].shown(), "hollow/inner");
        assert_eq!(collected.contents.len(), 5);
        assert_eq!(marks(&collected), []);
    });
}

#[test]
fn a_directory_made_anew_hides_nothing() {
    in_both(&sample(), |desk| {
        fs::remove_dir_all(desk.merged.join("dir")).unwrap();
        fs::create_dir(desk.merged.join("dir")).unwrap();
        write(&desk.merged.join("dir/x"), "x");
        assert_eq!(
            changed(&desk.collect()),
            [("dir/sub/y".to_owned(), ChangeKind::Deleted)]
        );
    });
}

#[test]
fn what_was_touched_and_restored_is_listed_as_touched() {
    let bench = Bench::new();
    let baseline = bench.baseline(&sample());
    let Some(desk) = Desk::overlay(&bench, &baseline) else {
        return;
    };
    write(&desk.merged.join("a.py"), "evil\n");
    write(&desk.merged.join("a.py"), "one\n");
    let collected = desk.collect();
    assert_eq!(changed(&collected), []);
    assert_eq!(collected.write_set.touched[0].shown(), "a.py");
}

/// A name, what is done to the git directory, and the fact that it must become.
type Trick = (&'static str, fn(&Desk<'_>), &'static str);

fn tricks() -> [Trick; 13] {
    [
        (
            "assume-unchanged",
            |d| drop(d.git(&["update-index", "--assume-unchanged", "a.py"])),
            "index_changed",
        ),
        (
            "skip-worktree",
            |d| drop(d.git(&["update-index", "--skip-worktree", "a.py"])),
            "index_changed",
        ),
        (
            "info/exclude",
            |d| write(&d.merged.join(".git/info/exclude"), "*"),
            "config_changed",
        ),
        (
            "stat cache",
            |d| drop(d.git(&["config", "core.ignoreStat", "true"])),
            "config_changed",
        ),
        (
            "core.worktree",
            |d| drop(d.git(&["config", "core.worktree", "/tmp"])),
            "config_changed",
        ),
        (
            "core.fileMode",
            |d| drop(d.git(&["config", "core.fileMode", "false"])),
            "config_changed",
        ),
        (
            "hook",
            |d| {
                fs::create_dir_all(d.merged.join(".git/hooks")).unwrap();
                write(&d.merged.join(".git/hooks/post-index-change"), "#!/bin/sh\n");
            },
            "hook_added",
        ),
        (
            "commit",
            |d| drop(d.git(&["commit", "--allow-empty", "-qam", "x"])),
            "head_moved",
        ),
        (
            "replace",
            |d| {
                write(
                    &d.merged.join(".git/packed-refs"),
                    format!("{} refs/replace/{}\n", d.baseline.commit(), d.baseline.tree()),
                );
            },
            "replaced",
        ),
        (
            "alternates",
            |d| write(&d.merged.join(".git/objects/info/alternates"), "/x\n"),
            "objects_added",
        ),
        (
            "no repository",
            |d| fs::remove_dir_all(d.merged.join(".git")).unwrap(),
            "replaced",
        ),
        (
            "new repository",
            |d| {
                fs::remove_dir_all(d.merged.join(".git")).unwrap();
                d.bench.git.run(GitCall::new("init").arg("-q").arg(&d.merged)).unwrap();
                d.git(&["add", "-A"]);
                d.git(&["-c", "user.email=x", "commit", "-qm", "x"]);
            },
            "head_moved",
        ),
        (
            "shallow",
            |d| write(&d.merged.join(".git/info/grafts"), "x"),
            "replaced",
        ),
    ]
}

#[test]
fn no_trick_of_git_hides_a_change() {
    in_both(&sample(), |desk| {
        for (name, trick, fact) in tricks() {
            let fresh = if desk.upper.is_some() {
                Desk::overlay(desk.bench, desk.baseline).unwrap()
            } else {
                Desk::copied(desk.bench, desk.baseline)
            };
            write(&fresh.merged.join("a.py"), "ONE\n");
            let times = fs::FileTimes::new()
                .set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000));
            fs::File::open(fresh.merged.join("a.py"))
                .unwrap()
                .set_times(times)
                .unwrap();
            write(&fresh.merged.join("planted"), "x");
            trick(&fresh);
            let collected = fresh.collect();
            let paths: Vec<String> = collected.write_set.changed_files();
            assert_eq!(paths, ["a.py", "planted"], "{name}");
            assert!(
                kinds(&collected).iter().any(|kind| kind == fact),
                "{name}: {:?}",
                collected.write_set.git
            );
        }
    });
}

#[test]
fn a_new_ignore_file_ignores_nothing() {
    in_both(&sample(), |desk| {
        fs::create_dir(desk.merged.join("new")).unwrap();
        write(&desk.merged.join("new/.gitignore"), "*\n");
        write(&desk.merged.join("new/evil.py"), "x");
        write(&desk.merged.join(".gitignore"), "*\n");
        assert_eq!(
            desk.collect().write_set.changed_files(),
            [".gitignore", "new/.gitignore", "new/evil.py"]
        );
    });
}

#[test]
fn the_baselines_rules_and_scratch_paths_keep_new_paths_out_and_tracked_ones_in() {
    let mut start = sample();
    start.insert(b"kept.log".to_vec(), file("tracked\n"));
    start.insert(b"dir/.gitignore".to_vec(), file("!keep.log\n"));
    in_both(&start, |desk| {
        let at = |path: &str| desk.merged.join(path);
        write(&at("kept.log"), "changed\n");
        write(&at("new.log"), "x");
        write(&at("dir/keep.log"), "x");
        fs::create_dir_all(at("build/o")).unwrap();
        write(&at("build/o/x.pyc"), "x");
        symlink("/usr/bin/python3", at("build/python")).unwrap();
        fs::create_dir_all(at("p/__pycache__")).unwrap();
        write(&at("p/__pycache__/m.pyc"), "x");
        write(&at(":(top)x.log"), "x");
        write(&at("-n.log"), "x");
        fs::remove_file(at("link")).unwrap();
        fs::create_dir(at("link")).unwrap();
        write(&at("link/behind.log"), "x");
        let scratch = ["**/__pycache__/"];
        let collected = desk.collect_with(&scratch, CollectLimits::default()).unwrap();
        assert_eq!(
            collected.write_set.changed_files(),
            ["dir/keep.log", "kept.log", "link", "link/behind.log"]
        );
        let ignored: Vec<_> = collected
            .write_set
            .ignored
            .iter()
            .map(|i| (i.path.path.as_str(), i.because.as_str(), i.digest.is_some()))
            .collect();
        let expected = [
            ("-n.log", "ignore_rules", true),
            (":(top)x.log", "ignore_rules", true),
            ("build/o/x.pyc", "ignore_rules", true),
            ("build/python", "ignore_rules", false),
            ("new.log", "ignore_rules", true),
            ("p/__pycache__/m.pyc", "scratch_paths", true),
        ];
        assert_eq!(ignored, expected);
        assert_eq!(marks(&collected), []);
    });
}

#[test]
fn many_ignored_files_are_one_line() {
    in_both(&sample(), |desk| {
        fs::create_dir_all(desk.merged.join("build/o")).unwrap();
        for number in 0..1001 {
            write(&desk.merged.join(format!("build/o/{number}")), "x");
        }
        fs::create_dir_all(desk.merged.join("dir/build")).unwrap();
        let collected = desk.collect();
        let ignored: Vec<_> = collected
            .write_set
            .ignored
            .iter()
            .map(|i| i.path.path.as_str())
            .collect();
        assert_eq!(ignored, ["build", "dir/build"]);
        assert!(collected.write_set.empty_directories.is_empty());
    });
}

#[test]
fn limits_stop_a_collection_by_name() {
    in_both(&sample(), |desk| {
        for name in ["1", "2", "3"] {
            write(&desk.merged.join(name), "12345");
        }
        let base = CollectLimits::default();
        let stop = |limits| {
            desk.collect_with(&[], limits)
                .unwrap()
                .write_set
                .truncated
                .unwrap_or_default()
        };
        assert!(stop(CollectLimits { files: 2, ..base }).starts_with("files:"));
        assert!(stop(CollectLimits { file_bytes: 4, ..base }).starts_with("file_bytes:"));
        fs::create_dir_all(desk.merged.join("d/d/d")).unwrap();
        assert!(stop(CollectLimits { depth: 2, ..base }).starts_with("depth:"));
        let few = if desk.upper.is_some() { 2 } else { 0 };
        for number in 0..20 {
            write(&desk.merged.join(format!("more-{number}")), "");
        }
        assert!(
            stop(CollectLimits {
                walked_entries: few,
                ..base
            })
            .starts_with("walked_entries:")
        );
        assert_eq!(stop(base), "");
    });
}

#[test]
fn an_upper_layer_that_points_elsewhere_is_refused() {
    let bench = Bench::new();
    let baseline = bench.baseline(&sample());
    for attribute in ["user.overlay.redirect", "user.overlay.metacopy"] {
        let upper = bench.place("upper");
        fs::create_dir(upper.join("dir")).unwrap();
        rustix::fs::setxattr(upper.join("dir"), attribute, b"/x", rustix::fs::XattrFlags::empty()).unwrap();
        let merged = bench.place("merged");
        let desk = std::mem::ManuallyDrop::new(Desk {
            bench: &bench,
            baseline: &baseline,
            merged,
            upper: Some(upper),
        });
        let error = desk.collect_with(&[], CollectLimits::default()).unwrap_err();
        assert!(matches!(error, WriteSetError::OverlayFeature { .. }), "{error:?}");
    }
}

#[test]
fn fifty_thousand_files_cost_nothing_once_they_are_there() {
    let bench = Bench::new();
    let tree: Tree = (0..50_000)
        .map(|n| (format!("d{}/f{n}", n % 500).into_bytes(), file(&format!("{n}\n"))))
        .collect();
    let (source, commit) = bench.commit(&tree, crate::baseline::ObjectFormat::Sha1);
    let ensure = || {
        let started = Instant::now();
        let baseline = bench
            .store
            .ensure(&bench.git, &source, &commit, History::Baseline, false)
            .unwrap();
        (baseline, started.elapsed())
    };
    let (first, cold) = ensure();
    drop(first);
    let before = bench.git.processes_started();
    let (baseline, warm) = ensure();
    assert_eq!(bench.git.processes_started(), before);
    let Some(desk) = Desk::overlay(&bench, &baseline) else {
        return;
    };
    let started = Instant::now();
    assert_eq!(changed(&desk.collect()), []);
    let empty = started.elapsed();
    write(&desk.merged.join("d1/f1"), "other");
    let started = Instant::now();
    assert_eq!(changed(&desk.collect()).len(), 1);
    let one = started.elapsed();
    assert_eq!(bench.git.processes_started(), before);
    let started = Instant::now();
    let status = desk.git(&["status", "--porcelain"]);
    eprintln!(
        "50,000 files: ensure {cold:?}, cached {warm:?}, no change {empty:?}, one change {one:?}, agent's status {:?}",
        started.elapsed()
    );
    assert_eq!(status, b" M d1/f1\n");
    assert!(warm.as_millis() < 50 && empty.as_millis() < 50, "{warm:?} {empty:?}");
}

#[test]
fn a_name_that_put_writes_is_what_is_read() {
    let bench = Bench::new();
    let baseline = bench.baseline(&sample());
    let desk = Desk::copied(&bench, &baseline);
    put(&desk.merged, b"\xff/\xfe", &file("x"));
    let collected = desk.collect();
    assert_eq!(collected.write_set.changes[0].path.bytes().unwrap(), b"\xff/\xfe");
    assert_eq!(marks(&collected), []);
}
