//! Every kind of repository that git itself would commit to, and nothing of the target is ever executed.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use super::bench::{Site, everything, git};
use super::happy::everything_changes;
use crate::apply::{ApplyError, ApplyOutcome, RecoveredApply, Refusal, fault, recover_applies};
use crate::baseline::sample::{Bench, Tree, file, read, tree, write};

fn small() -> (Tree, Tree) {
    let base = tree([("a", file("a\n")), ("b/c", file("c\n")), ("kept", file("k\n"))]);
    let mut end = base.clone();
    end.insert(b"a".to_vec(), file("A\n"));
    end.remove(&b"b/c"[..]);
    end.insert(b"n/w".to_vec(), file("new\n"));
    (base, end)
}

fn apply_well(site: &Site, base: &Tree, end: &Tree) {
    let made = site.commit(base, end);
    let outcome = site.apply(&made).unwrap();
    assert!(matches!(outcome, ApplyOutcome::Applied(_)), "{outcome:?}");
    site.assert_is(&made.commit, end);
}

#[test]
fn packed_refs_and_packed_objects_and_nested_branch_names_work() {
    let (base, end) = small();
    let site = Site::new(&base);
    git(&site.target, &["checkout", "-q", "-b", "feature/x/y"]);
    git(&site.target, &["pack-refs", "--all"]);
    git(&site.target, &["gc", "-q"]);
    assert!(!site.target.join(".git/refs/heads/feature/x/y").exists());
    fs::remove_dir_all(site.target.join(".git/refs/heads/feature")).unwrap_or_default();
    apply_well(&site, &base, &end);
    assert_eq!(
        git(&site.target, &["symbolic-ref", "HEAD"]).trim(),
        "refs/heads/feature/x/y"
    );
}

#[test]
fn a_linked_work_tree_moves_its_own_branch_only() {
    let (base, end) = small();
    let main = Site::new(&base);
    git(&main.target, &["branch", "side"]);
    let linked = main.bench.directory.path().join("linked");
    git(
        &main.target,
        &["worktree", "add", "-q", linked.to_str().unwrap(), "side"],
    );
    let old = git(&main.target, &["rev-parse", "main"]);
    let mut site = Site::of(Bench::new(), fs::canonicalize(&linked).unwrap());
    apply_well(&site, &base, &end);
    assert_eq!(git(&main.target, &["rev-parse", "main"]), old);
    assert_eq!(git(&main.target, &["status", "--porcelain"]), "");
    assert_eq!(&read(&main.target), &base);
    let log = git(&linked, &["reflog", "-1", "--format=%gs", "HEAD"]);
    assert!(log.starts_with("cto: run "), "{log}");
    let log = git(&main.target, &["reflog", "-1", "--format=%gs", "HEAD"]);
    assert!(!log.starts_with("cto: run "), "{log}");
    // And the other way round: the branch of a linked work tree is not the main one's.
    site = main;
    apply_well(&site, &base, &end);
}

#[test]
fn a_work_tree_of_a_bare_repository_may_have_the_branch_that_head_there_names() {
    let (base, end) = small();
    let seed = Site::new(&base);
    let bare = seed.bench.directory.path().join("bare.git");
    git(
        &seed.target,
        &[
            "clone",
            "-q",
            "--bare",
            seed.target.to_str().unwrap(),
            bare.to_str().unwrap(),
        ],
    );
    let linked = seed.bench.directory.path().join("linked");
    git(&bare, &["worktree", "add", "-q", linked.to_str().unwrap(), "main"]);
    let site = Site::of(Bench::new(), fs::canonicalize(&linked).unwrap());
    apply_well(&site, &base, &end);
}

#[test]
fn flags_and_extensions_of_the_index_are_no_obstacle() {
    let (mut base, mut end) = small();
    for tree in [&mut base, &mut end] {
        tree.insert(b"assumed".to_vec(), file("x\n"));
        tree.insert(b"skipped".to_vec(), file("x\n"));
    }
    let site = Site::new(&base);
    git(&site.target, &["update-index", "--assume-unchanged", "assumed"]);
    git(&site.target, &["update-index", "--skip-worktree", "skipped"]);
    git(&site.target, &["update-index", "--untracked-cache"]);
    git(&site.target, &["update-index", "--split-index"]);
    git(&site.target, &["status"]);
    apply_well(&site, &base, &end);
    let flags = git(&site.target, &["ls-files", "-v"]);
    assert!(flags.contains("h assumed") && flags.contains("S skipped"), "{flags}");
}

#[test]
fn the_path_of_the_target_may_hold_any_byte() {
    use std::os::unix::ffi::OsStrExt as _;
    let (base, end) = small();
    let seed = Site::new(&base);
    let odd = seed
        .bench
        .directory
        .path()
        .join(std::ffi::OsStr::from_bytes(b"a:b \"c\"\n\\\xff -x"));
    fs::rename(&seed.target, &odd).unwrap();
    let site = Site::of(Bench::new(), odd);
    apply_well(&site, &base, &end);
    let (plan, _) = cto_evidence::apply_record(&site.home, &site.run_id).unwrap().unwrap();
    assert_eq!(plan.target.path.bytes().unwrap(), site.target.as_os_str().as_bytes());
}

#[test]
fn who_keeps_no_log_of_refs_gets_none() {
    let (base, end) = small();
    let site = Site::new(&base);
    git(&site.target, &["config", "core.logAllRefUpdates", "false"]);
    fs::remove_dir_all(site.target.join(".git/logs")).unwrap();
    apply_well(&site, &base, &end);
    assert!(!site.target.join(".git/logs").exists());
}

#[test]
fn a_full_disk_after_the_branch_moved_is_mended_by_recovery() {
    if crate::lacks::lacks("root", rustix::process::geteuid().is_root()) {
        return;
    }
    let (base, mut end) = small();
    end.insert(
        b"large".to_vec(),
        crate::baseline::sample::Node::File(vec![b'x'; 700_000]),
    );
    let seed = Site::new(&base);
    let mounted = seed.bench.place("disk");
    let mount = |size: &str| {
        let options = std::ffi::CString::new(size).unwrap();
        let flags = rustix::mount::MountFlags::empty();
        rustix::mount::mount("tmpfs", &mounted, "tmpfs", flags, Some(options.as_c_str())).unwrap();
    };
    mount("size=8m,mode=700");
    let target = mounted.join("target");
    super::child::copy(&seed.target, &target);
    let site = Site::of(Bench::new(), target);
    let made = site.commit(&base, &end);
    let filler = mounted.join("filler");
    // Full before: a refusal.
    let fill = |leave: u64| {
        let free = || {
            let disk = rustix::fs::statvfs(&mounted).unwrap();
            disk.f_bavail * disk.f_frsize
        };
        write(&filler, "");
        while free() > leave {
            let mut file = fs::File::options().append(true).open(&filler).unwrap();
            std::io::Write::write_all(&mut file, &[0; 4096]).unwrap();
        }
    };
    fill(1 << 20);
    let outcome = site.apply(&made).unwrap();
    assert!(
        matches!(&outcome, ApplyOutcome::Refused(refusal) if refusal.to_string().contains("room")),
        "{outcome:?}"
    );
    fs::remove_file(&filler).unwrap();
    let (place, done) = (filler.clone(), std::cell::Cell::new(false));
    let disk = mounted.clone();
    fault::arm(Some(Box::new(move |name, _| {
        if name == "branch moved" && !done.replace(true) {
            let free = rustix::fs::statvfs(&disk).unwrap();
            let leave = 300_000;
            let size = (free.f_bavail * free.f_frsize).saturating_sub(leave);
            write(&place, vec![0; usize::try_from(size).unwrap()]);
        }
        Ok(())
    })));
    let error = site.apply(&made).unwrap_err();
    fault::arm(None);
    let said = crate::apply::error::chain(&error);
    assert!(
        matches!(error, ApplyError::Unfinished { .. }) && said.contains("No space"),
        "{said}"
    );
    let recover = || recover_applies(&site.home, &site.bench.git).unwrap().remove(0).outcome;
    assert!(matches!(recover(), RecoveredApply::Unfinished { .. }));
    fs::remove_file(&filler).unwrap();
    assert!(matches!(recover(), RecoveredApply::Committed { .. }));
    site.assert_is(&made.commit, &end);
    rustix::mount::unmount(&mounted, rustix::mount::UnmountFlags::DETACH).unwrap();
}

#[test]
fn a_directory_that_must_not_be_written_in_is_refused_beforehand() {
    if crate::lacks::lacks("root", rustix::process::geteuid().is_root()) {
        return;
    }
    // Root may write where it likes, but for a mount that nobody may write to.
    let (base, end) = small();
    let site = Site::new(&base);
    let made = site.commit(&base, &end);
    let place = site.target.join("b");
    let bind = rustix::mount::mount_bind(&place, &place);
    bind.unwrap();
    rustix::mount::mount_remount(
        &place,
        rustix::mount::MountFlags::BIND | rustix::mount::MountFlags::RDONLY,
        "",
    )
    .unwrap();
    let outcome = site.apply(&made).unwrap();
    rustix::mount::unmount(&place, rustix::mount::UnmountFlags::DETACH).unwrap();
    assert!(
        matches!(&outcome, ApplyOutcome::Refused(Refusal::Path { path, .. }) if path == "b"),
        "{outcome:?}"
    );
    assert!(matches!(site.apply(&made).unwrap(), ApplyOutcome::Applied(_)));
}

/// Makes programs that leave a mark, wherever git looks for one, and returns where the mark would be.
fn set_traps(target: &Path, place: &Path) -> std::path::PathBuf {
    let mark = place.join("mark");
    let trap = place.join("trap");
    write(
        &trap,
        format!("#!/bin/sh\necho \"$0 $*\" >> '{}'\ncat\n", mark.display()),
    );
    fs::set_permissions(&trap, fs::Permissions::from_mode(0o755)).unwrap();
    let hooks = target.join(".git/hooks");
    fs::create_dir_all(&hooks).unwrap();
    for hook in [
        "reference-transaction",
        "post-index-change",
        "post-checkout",
        "post-commit",
        "pre-commit",
        "commit-msg",
        "prepare-commit-msg",
        "post-rewrite",
        "post-merge",
        "fsmonitor-watchman",
        "pre-auto-gc",
        "update",
        "post-update",
    ] {
        fs::copy(&trap, hooks.join(hook)).unwrap();
    }
    let trap = trap.to_str().unwrap();
    let other = place.join("included");
    write(&other, format!("[core]\n\thooksPath = {}\n", hooks.display()));
    for (key, value) in [
        ("core.fsmonitor", trap),
        ("core.sshCommand", trap),
        ("core.pager", trap),
        ("core.editor", trap),
        ("core.askPass", trap),
        ("core.alternateRefsCommand", trap),
        ("pager.update-ref", "true"),
        ("filter.trap.clean", trap),
        ("filter.trap.smudge", trap),
        ("filter.trap.process", trap),
        ("filter.trap.required", "true"),
        ("diff.external", trap),
        ("diff.trap.textconv", trap),
        ("diff.trap.command", trap),
        ("merge.trap.driver", trap),
        ("gpg.program", trap),
        ("commit.gpgSign", "true"),
        ("gc.auto", "1"),
        ("hook.trap.command", trap),
        ("hook.trap.event", "reference-transaction"),
        ("alias.update-ref", &format!("!{trap}")),
        ("include.path", other.to_str().unwrap()),
    ] {
        git(target, &["config", "--add", key, value]);
    }
    mark
}

#[test]
fn no_program_that_the_target_names_is_ever_started() {
    let (mut base, mut end) = everything_changes();
    let rules = file("*.trapped filter=trap diff=trap merge=trap\n");
    for tree in [&mut base, &mut end] {
        tree.insert(b".gitattributes".to_vec(), rules.clone());
        tree.insert(b"x.trapped".to_vec(), file("x\n"));
    }
    let site = Site::new(&base);
    let made = site.commit(&base, &end);
    let mark = set_traps(&site.target, &site.bench.place("traps"));
    // Its entry must be looked at again, which would run the filter.
    write(&site.target.join("x.trapped"), "x\n");
    fs::remove_file(&mark).unwrap_or_default();
    let outcome = site.apply(&made).unwrap();
    assert!(matches!(outcome, ApplyOutcome::Applied(_)), "{outcome:?}");
    assert!(!mark.exists(), "{}", fs::read_to_string(&mark).unwrap());
    assert_eq!(&read(&site.target), &end);
    // The traps are good ones: the operator's own git falls into them.
    super::bench::try_git(&site.target, &["commit", "-q", "--allow-empty", "-m", "x"]);
    let fallen = fs::read_to_string(&mark).unwrap();
    assert!(fallen.contains("pre-commit") || fallen.contains("trap"), "{fallen}");
    git(&site.target, &["update-ref", "refs/heads/other", "HEAD"]);
    let fallen = fs::read_to_string(&mark).unwrap();
    assert!(fallen.contains("reference-transaction"), "{fallen}");
}

#[test]
fn what_root_makes_in_somebodys_repository_belongs_to_that_somebody() {
    if crate::lacks::lacks("root", rustix::process::geteuid().is_root()) {
        return;
    }
    let (base, end) = everything_changes();
    let site = Site::new(&base);
    git(&site.target, &["checkout", "-q", "-b", "a/b"]);
    git(&site.target, &["pack-refs", "--all"]);
    let made = site.commit(&base, &end);
    let mut all = everything(&site.target);
    all.push(site.target.clone());
    for path in &all {
        std::os::unix::fs::lchown(path, Some(4321), Some(4322)).unwrap();
    }
    let outcome = site.apply(&made).unwrap();
    assert!(matches!(outcome, ApplyOutcome::Applied(_)), "{outcome:?}");
    for path in everything(&site.target) {
        let metadata = path.symlink_metadata().unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (4321, 4322), "{}", path.display());
    }
}
