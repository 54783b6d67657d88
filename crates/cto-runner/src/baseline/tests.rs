//! What the store promises: exact files, a usable repository, one build, no process for a hit, no trust in a target.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::time::{Duration, Instant, SystemTime};

use cto_schema::History;

use super::sample::{Bench, Node, Tree, file, read, tree, write};
use super::*;
use crate::lacks::lacks;
use crate::tool::{Git, GitCall, Input};

#[expect(
    clippy::disallowed_methods,
    reason = "the age of files that a test made is told by the real clock"
)]
fn now() -> SystemTime {
    SystemTime::now()
}

fn sample() -> Tree {
    let mut tree = tree([
        ("README", file("hello\r\nworld")),
        ("src/run.sh", Node::Executable(b"#!/bin/sh\n".to_vec())),
        ("src/a.b", file("")),
        ("src/a/deep/x", file("x\n")),
        ("link", Node::Symlink(b"src/run.sh".to_vec())),
        ("id", file("$Id: 12 $\n")),
        (
            ".gitattributes",
            file("* text=auto eol=crlf ident filter=lfs\nREADME text\n"),
        ),
    ]);
    tree.insert(b"\xff na\nme\t\"q".to_vec(), file("odd\n"));
    tree
}

#[test]
fn writes_exactly_the_blobs_and_a_repository_with_one_clean_commit() {
    let bench = Bench::new();
    for format in [ObjectFormat::Sha1, ObjectFormat::Sha256] {
        let (source, commit) = bench.commit(&sample(), format);
        let baseline = bench
            .store
            .ensure(&bench.git, &source, &commit, History::Baseline, false)
            .unwrap();
        assert_eq!(read(baseline.files()), sample());
        assert_eq!((baseline.commit(), baseline.entry_count()), (commit.as_str(), 8));
        assert!(bench.store.check(baseline.tree()).unwrap().differences.is_empty());
        // Its repository, laid over the files, is what an agent gets.
        let git_dir = baseline.git_layer().join(".git");
        let ask = |words: &[&str]| {
            let call = GitCall::new(words[0])
                .args(&words[1..])
                .git_dir(&git_dir)
                .work_tree(baseline.files());
            String::from_utf8(bench.git.run(call).unwrap()).unwrap()
        };
        assert_eq!(ask(&["status", "--porcelain"]), "");
        assert_eq!(ask(&["rev-list", "--all", "--count"]), "1\n");
        assert_eq!(ask(&["rev-parse", "HEAD", "main"]), format!("{commit}\n{commit}\n"));
        assert_eq!(ask(&["for-each-ref", "--format=%(refname)"]), "refs/heads/main\n");
        assert_eq!(ask(&["fsck", "--strict", "--no-dangling"]), "");
        assert!(!git_dir.join("hooks").exists() && !git_dir.join("logs").exists());
        assert!(!git_dir.join("objects/info/alternates").exists());
        let full = bench
            .store
            .ensure(&bench.git, &source, &commit, History::Full, false)
            .unwrap();
        let count = GitCall::new("rev-list")
            .args(["--all", "--count"])
            .git_dir(&full.git_layer().join(".git"));
        assert_eq!(bench.git.run(count).unwrap(), b"2\n");
        assert_eq!(full.files(), baseline.files());
    }
}

#[test]
fn status_of_the_agents_repository_rehashes_nothing() {
    let bench = Bench::new();
    let baseline = bench.baseline(&sample());
    let git_dir = baseline.git_layer().join(".git");
    let differing = || {
        let call = GitCall::new("diff-files")
            .args(["--name-only"])
            .git_dir(&git_dir)
            .work_tree(baseline.files());
        String::from_utf8(bench.git.run(call).unwrap()).unwrap()
    };
    // Other content behind the same stat information is only seen by who reads it.
    let readme = baseline.files().join("README");
    let times = fs::metadata(&readme).unwrap();
    assert_eq!(
        times.mtime(),
        1_000_000_000,
        "older than any index, so never racily clean"
    );
    write(&readme, "HELLO\r\nWORLD");
    let times = fs::FileTimes::new().set_modified(times.modified().unwrap());
    fs::File::open(&readme).unwrap().set_times(times).unwrap();
    assert_eq!(differing(), "");
    write(&readme, "other");
    assert_eq!(differing(), "README\n");
}

#[test]
fn a_hit_starts_no_process_and_is_fast() {
    let bench = Bench::new();
    let (source, commit) = bench.commit(&sample(), ObjectFormat::Sha1);
    let first = bench
        .store
        .ensure(&bench.git, &source, &commit, History::Baseline, false)
        .unwrap();
    let (before, rounds, started) = (bench.git.processes_started(), 200, Instant::now());
    for _ in 0..rounds {
        let again = bench
            .store
            .ensure(&bench.git, &source, &commit, History::Baseline, false)
            .unwrap();
        assert_eq!(again.manifest_digest(), first.manifest_digest());
    }
    eprintln!("cached ensure: {:?}", started.elapsed() / rounds);
    assert_eq!(bench.git.processes_started(), before);
}

#[test]
fn files_belong_to_the_engine_and_only_the_harness_can_enter() {
    if lacks("root", rustix::process::geteuid().is_root()) {
        return;
    }
    let bench = Bench::new();
    let store = BaselineStore::open(&bench.place("owned"), Some((64001, 64001))).unwrap();
    let (source, commit) = bench.commit(&sample(), ObjectFormat::Sha1);
    let baseline = store
        .ensure(&bench.git, &source, &commit, History::Baseline, false)
        .unwrap();
    let mut pending = vec![baseline.files().to_owned(), baseline.git_layer().to_owned()];
    while let Some(path) = pending.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (64001, 64001), "{}", path.display());
        if metadata.is_dir() {
            pending.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    let home = fs::metadata(baseline.files().parent().unwrap()).unwrap();
    assert_eq!((home.uid(), home.permissions().mode() & 0o777), (0, 0o700));
    let git_dir = baseline.git_layer().join(".git");
    let call = GitCall::new("diff-files")
        .args(["--name-only"])
        .git_dir(&git_dir)
        .work_tree(baseline.files());
    assert_eq!(bench.git.run(call).unwrap(), b"");
}

/// Makes a commit from raw trees that no git would write.
fn raw_commit(bench: &Bench, entries: &[(&str, &[u8], &str)]) -> (ObjectSource, String) {
    let (source, _) = bench.commit(&tree([("a", file("a"))]), ObjectFormat::Sha1);
    let git_dir = source.objects.parent().unwrap();
    let hash = |kind: &str, bytes: Vec<u8>| {
        let call = GitCall::new("hash-object").args(["-w", "--literally", "-t", kind, "--stdin"]);
        let said = bench.git.run(call.git_dir(git_dir).input(Input::Bytes(bytes))).unwrap();
        String::from_utf8(said).unwrap().trim().to_owned()
    };
    let blob = hash("blob", b"content".to_vec());
    let empty = hash("tree", Vec::new());
    let mut bytes = Vec::new();
    for (mode, name, what) in entries {
        let id = match *what {
            "blob" => blob.clone(),
            "tree" => empty.clone(),
            id => id.to_owned(),
        };
        bytes.extend(format!("{mode} ").bytes().chain(name.iter().copied()).chain([0]));
        bytes.extend(data_encoding::HEXLOWER.decode(id.as_bytes()).unwrap());
    }
    let tree = hash("tree", bytes);
    let commit = hash(
        "commit",
        format!("tree {tree}\nauthor a <a@b> 0 +0000\ncommitter a <a@b> 0 +0000\n\n").into_bytes(),
    );
    (source, commit)
}

#[test]
fn hostile_trees_are_refused() {
    let bench = Bench::new();
    let cases: [&[(&str, &[u8], &str)]; 8] = [
        &[("100644", b".git", "blob")],
        &[("100644", b".GiT", "blob")],
        &[("100644", b"..", "blob")],
        &[("100644", b".", "blob")],
        &[("100644", b"git~1", "blob")],
        &[("100644", b"a", "blob"), ("100644", b"a", "blob")],
        &[("100644", b"a/b", "blob")],
        &[("100644", ".g\u{200c}it".as_bytes(), "blob")],
    ];
    for entries in cases {
        let (source, commit) = raw_commit(&bench, entries);
        let error = bench
            .store
            .ensure(&bench.git, &source, &commit, History::Baseline, false)
            .unwrap_err();
        let refused = matches!(error, BaselineError::Objects { .. } | BaselineError::UnsafeTree { .. });
        assert!(refused, "{entries:?}: {error:?}");
    }
    assert!(fs::read_dir(bench.store.root().join("trees")).unwrap().next().is_none());
}

#[test]
fn submodule_links_need_the_contracts_word() {
    let bench = Bench::new();
    let id = "1234567890123456789012345678901234567890";
    let (source, commit) = raw_commit(&bench, &[("100644", b"a", "blob"), ("160000", b"sub", id)]);
    let ensure = |allow| {
        bench
            .store
            .ensure(&bench.git, &source, &commit, History::Baseline, allow)
    };
    assert!(matches!(ensure(false), Err(BaselineError::Gitlink { .. })));
    let baseline = ensure(true).unwrap();
    assert!(baseline.files().join("sub").is_dir());
    assert!(bench.store.check(baseline.tree()).unwrap().differences.is_empty());
    // Also when it is stored already.
    assert!(matches!(ensure(false), Err(BaselineError::Gitlink { .. })));
}

#[test]
fn damaged_objects_are_errors() {
    let bench = Bench::new();
    let missing = "1".repeat(40);
    let (source, commit) = raw_commit(&bench, &[("100644", b"a", missing.as_str())]);
    let error = bench
        .store
        .ensure(&bench.git, &source, &commit, History::Baseline, false)
        .unwrap_err();
    assert!(matches!(error, BaselineError::Objects { .. }), "{error:?}");
    let error = bench
        .store
        .ensure(&bench.git, &source, &missing, History::Baseline, false)
        .unwrap_err();
    assert!(matches!(error, BaselineError::Objects { .. }), "{error:?}");
    let error = bench
        .store
        .ensure(&bench.git, &source, "HEAD", History::Baseline, false)
        .unwrap_err();
    assert!(matches!(error, BaselineError::CommitName { .. }), "{error:?}");

    // Every file of the object directory, cut and flipped.
    let (source, commit) = bench.commit(&sample(), ObjectFormat::Sha1);
    let mut files = Vec::new();
    for part in ["pack", "."] {
        for entry in fs::read_dir(source.objects.join(part)).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_file() {
                files.push(entry.path());
            }
        }
    }
    // A small import leaves loose objects; both forms must fail.
    for directory in fs::read_dir(&source.objects).unwrap().map(|e| e.unwrap().path()) {
        if directory.is_dir() && directory.file_name().unwrap().len() == 2 {
            files.extend(fs::read_dir(directory).unwrap().map(|e| e.unwrap().path()));
        }
    }
    assert!(!files.is_empty());
    let mut refused = 0;
    for path in files {
        let whole = fs::read(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let mut flipped = whole.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 0x10;
        for other in [whole[..whole.len() / 2].to_vec(), Vec::new(), flipped] {
            write(&path, other);
            match bench
                .store
                .ensure(&bench.git, &source, &commit, History::Baseline, false)
            {
                Err(BaselineError::Objects { .. }) => refused += 1,
                Err(error) => panic!("{}: {error:?}", path.display()),
                // A damaged `.rev` or an object of the other commit does not matter; the content must be right.
                Ok(baseline) => {
                    assert_eq!(read(baseline.files()), sample());
                    drop(baseline);
                    bench
                        .store
                        .gc(&[], Duration::ZERO, now() + Duration::from_secs(9))
                        .unwrap();
                }
            }
        }
        write(&path, whole);
    }
    assert!(refused >= 3, "{refused}");
}

#[test]
fn an_object_whose_content_is_not_its_name_is_refused() {
    let bench = Bench::new();
    let (source, commit) = raw_commit(&bench, &[("100644", b"a", "blob")]);
    let git_dir = source.objects.parent().unwrap();
    let loose = |content: &str| {
        let call = GitCall::new("hash-object").args(["-w", "--stdin"]).git_dir(git_dir);
        let said = bench.git.run(call.input(Input::Bytes(content.into()))).unwrap();
        let id = String::from_utf8(said).unwrap();
        source.objects.join(&id[..2]).join(id[2..].trim())
    };
    let (honest, other) = (loose("content"), loose("conTent"));
    fs::set_permissions(&honest, fs::Permissions::from_mode(0o644)).unwrap();
    write(&honest, fs::read(other).unwrap());
    let error = bench
        .store
        .ensure(&bench.git, &source, &commit, History::Baseline, false)
        .unwrap_err();
    assert!(matches!(error, BaselineError::Objects { .. }), "{error:?}");
}

#[test]
fn eight_builders_at_once_give_one_good_entry() {
    let bench = Bench::new();
    let (source, commit) = bench.commit(&sample(), ObjectFormat::Sha1);
    let root = bench.store.root().to_owned();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let (git, store) = (Git::find().unwrap(), BaselineStore::open(&root, None).unwrap());
                let baseline = store.ensure(&git, &source, &commit, History::Baseline, false).unwrap();
                assert_eq!(read(baseline.files()), sample());
            });
        }
    });
    assert_eq!(fs::read_dir(root.join("trees")).unwrap().count(), 1);
    assert_eq!(fs::read_dir(root.join("tmp")).unwrap().count(), 0);
}

#[test]
fn what_a_crash_leaves_is_harmless_and_removed() {
    let bench = Bench::new();
    let (source, commit) = bench.commit(&sample(), ObjectFormat::Sha1);
    let root = bench.store.root();
    // A builder that died: a work directory, and entries that were renamed but never completed.
    fs::create_dir_all(root.join("tmp/commit-dead/layer/.git")).unwrap();
    fs::create_dir_all(root.join(format!("commits/{commit}-baseline/layer"))).unwrap();
    let baseline = bench
        .store
        .ensure(&bench.git, &source, &commit, History::Baseline, false)
        .unwrap();
    let tree_directory = baseline.files().parent().unwrap().to_owned();
    drop(baseline);
    fs::remove_file(tree_directory.join("meta.json")).unwrap();
    let baseline = bench
        .store
        .ensure(&bench.git, &source, &commit, History::Baseline, false)
        .unwrap();
    assert_eq!(read(baseline.files()), sample());

    let later = now() + Duration::from_secs(10);
    let report = bench.store.gc(&[], Duration::ZERO, later).unwrap();
    assert_eq!(
        (report.commits, report.trees, report.unfinished),
        (0, 0, 1),
        "a held entry stays: {report:?}"
    );
    drop(baseline);
    let key = BaselineKey {
        commit,
        full_history: false,
    };
    assert_eq!(
        bench.store.gc(&[key], Duration::ZERO, later).unwrap(),
        GarbageReport::default()
    );
    assert_eq!(
        bench.store.gc(&[], Duration::from_secs(3600), later).unwrap(),
        GarbageReport::default()
    );
    let report = bench.store.gc(&[], Duration::ZERO, later).unwrap();
    assert_eq!((report.commits, report.trees), (1, 1));
    assert!(report.bytes > 0);
}

#[test]
fn a_store_that_others_can_write_is_refused() {
    let bench = Bench::new();
    let root = bench.place("loose");
    fs::set_permissions(&root, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(
        BaselineStore::open(&root, None),
        Err(BaselineError::ForeignStore { .. })
    ));
    fs::set_permissions(&root, fs::Permissions::from_mode(0o700)).unwrap();
    BaselineStore::open(&root, None).unwrap();
    let link = root.with_file_name("link");
    std::os::unix::fs::symlink(&root, &link).unwrap();
    assert!(matches!(
        BaselineStore::open(&link, None),
        Err(BaselineError::ForeignStore { .. })
    ));
}

#[test]
fn a_check_sees_every_change_of_a_stored_tree() {
    let bench = Bench::new();
    let baseline = bench.baseline(&sample());
    let differences = || bench.store.check(baseline.tree()).unwrap().differences.len();
    assert_eq!(differences(), 0);
    write(&baseline.files().join("new"), "x");
    assert_eq!(differences(), 1);
    write(&baseline.files().join("README"), "hello\r\nworlD");
    assert_eq!(differences(), 2);
    fs::set_permissions(baseline.files().join("id"), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(differences(), 3);
    fs::remove_file(baseline.files().join("link")).unwrap();
    assert_eq!(differences(), 4);
    write(&baseline.files().with_file_name("manifest"), "");
    assert!(matches!(
        bench.store.check(baseline.tree()),
        Err(BaselineError::Damaged { .. })
    ));
}
