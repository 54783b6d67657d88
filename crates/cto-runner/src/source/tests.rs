//! A target is refused for a reason that can be acted on, observed exactly, and never executed.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use cto_schema::History;

use super::*;
use crate::baseline::BaselineError;
use crate::baseline::sample::{Bench, write};
use crate::tool::GitCall;

/// Runs git as its owner would, inside a repository of the test.
fn git(bench: &Bench, at: &Path, words: &[&str]) -> String {
    let call = GitCall::new("-c")
        .args(["user.name=o", "-c", "user.email=o@x", "-c", "protocol.allow=always"])
        .args(words);
    String::from_utf8(bench.git.run(call.directory(at)).unwrap()).unwrap()
}

fn repository(bench: &Bench) -> PathBuf {
    let path = fs::canonicalize(bench.place("target")).unwrap();
    git(bench, &path, &["init", "-q", "-b", "main"]);
    write(&path.join("a.txt"), "a\n");
    write(&path.join(".gitignore"), "*.log\n");
    git(bench, &path, &["add", "-A"]);
    git(bench, &path, &["commit", "-qm", "one"]);
    path
}

#[test]
fn every_unusable_path_has_its_own_refusal() {
    let bench = Bench::new();
    let path = repository(&bench);
    let open = |path: &Path| SourceRepository::open(path).unwrap_err();
    assert!(matches!(open(&path.join("none")), SourceError::Missing { .. }));
    assert!(matches!(open(&path.join("a.txt")), SourceError::NotADirectory { .. }));
    assert!(matches!(open(&path.join("a.txt/x")), SourceError::NotADirectory { .. }));
    let link = path.with_file_name("link");
    symlink(&path, &link).unwrap();
    match open(&link) {
        SourceError::Symlink { instead, .. } => assert_eq!(instead, path),
        other => panic!("{other:?}"),
    }
    fs::create_dir(path.join("sub")).unwrap();
    assert!(
        open(&link.join("sub"))
            .to_string()
            .contains(path.join("sub").to_str().unwrap())
    );
    assert!(
        open(&path.join("sub"))
            .to_string()
            .contains(&format!("repository {}; write that", path.display()))
    );
    assert!(matches!(
        open(&bench.place("plain")),
        SourceError::NotARepository { .. }
    ));
    let bare = bench.place("bare");
    git(&bench, &bare, &["init", "-q", "--bare"]);
    assert!(matches!(open(&bare), SourceError::Bare { .. }));
    let empty = bench.place("empty");
    git(&bench, &empty, &["init", "-q"]);
    assert!(matches!(open(&empty), SourceError::Empty { .. }));
    git(
        &bench,
        &path,
        &["submodule", "--quiet", "add", path.to_str().unwrap(), "module"],
    );
    assert!(matches!(open(&path.join("module")), SourceError::Submodule { .. }));
    let separate = bench.place("separate");
    git(
        &bench,
        &separate,
        &["clone", "-q", "--separate-git-dir", "g", path.to_str().unwrap(), "w"],
    );
    assert!(matches!(
        open(&separate.join("w")),
        SourceError::ForeignGitDirectory { .. }
    ));
    let thief = bench.place("thief");
    write(
        &thief.join(".git"),
        format!("gitdir: {}\n", path.join(".git").display()),
    );
    assert!(matches!(open(&thief), SourceError::ForeignGitDirectory { .. }));
    git(&bench, &path, &["worktree", "add", "-q", "--detach", "../honest"]);
    let honest = path.with_file_name("honest");
    SourceRepository::open(&honest).unwrap();
    write(&thief.join(".git"), fs::read(honest.join(".git")).unwrap());
    assert!(open(&thief).to_string().contains("another work tree"));
    let linked = bench.place("linked");
    symlink(path.join(".git"), linked.join(".git")).unwrap();
    assert!(matches!(open(&linked), SourceError::Symlink { .. }));
}

#[test]
fn damaged_repositories_are_errors() {
    let bench = Bench::new();
    let path = repository(&bench);
    let head = path.join(".git/HEAD");
    let refusal = |text: &str| {
        write(&head, text);
        SourceRepository::open(&path).unwrap_err()
    };
    for text in [
        "",
        "nonsense",
        "ref: ../../../etc/passwd",
        "ref: refs/heads/../../HEAD",
        "ref: /etc/passwd",
        "\u{feff}x",
    ] {
        assert!(matches!(refusal(text), SourceError::Corrupt { .. }), "{text}");
    }
    assert!(matches!(refusal("ref: refs/heads/none\n"), SourceError::Empty { .. }));
    assert!(matches!(refusal(&"1".repeat(40)), SourceError::Corrupt { .. }));
    write(&path.join(".git/refs/heads/loop"), "ref: refs/heads/loop\n");
    assert!(matches!(refusal("ref: refs/heads/loop"), SourceError::Corrupt { .. }));
    fs::remove_file(&head).unwrap();
    symlink("refs/heads/main", &head).unwrap();
    assert!(matches!(
        SourceRepository::open(&path),
        Err(SourceError::Corrupt { .. })
    ));
    fs::remove_file(&head).unwrap();
    let directory = beneath::open_directory(&path.join(".git")).unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o644);
    rustix::fs::mknodat(&directory, "HEAD", rustix::fs::FileType::Fifo, mode, 0).unwrap();
    assert!(
        matches!(SourceRepository::open(&path), Err(SourceError::Corrupt { .. })),
        "a FIFO must not hold us"
    );
    fs::remove_file(&head).unwrap();
    let config = fs::read_to_string(path.join(".git/config")).unwrap();
    write(
        &path.join(".git/config"),
        format!("{config}[extensions]\n\trefstorage = reftable\n"),
    );
    assert!(matches!(refusal("ref: refs/heads/main"), SourceError::Format { .. }));
}

#[test]
fn head_is_read_in_every_form() {
    let bench = Bench::new();
    let path = repository(&bench);
    let commit = git(&bench, &path, &["rev-parse", "HEAD"]).trim().to_owned();
    let head = || SourceRepository::open(&path).unwrap().head_commit().unwrap();
    assert_eq!(head(), commit);
    git(&bench, &path, &["pack-refs", "--all"]);
    git(&bench, &path, &["gc", "-q"]);
    assert_eq!(head(), commit);
    git(&bench, &path, &["checkout", "-q", "--detach"]);
    assert_eq!(head(), commit);
    git(&bench, &path, &["worktree", "add", "-q", "-b", "other", "../worktree"]);
    let linked = path.with_file_name("worktree");
    git(&bench, &linked, &["commit", "-q", "--allow-empty", "-m", "two"]);
    let second = git(&bench, &linked, &["rev-parse", "HEAD"]).trim().to_owned();
    let repository = SourceRepository::open(&linked).unwrap();
    assert_eq!(repository.head_commit().unwrap(), second);
    let source = repository.objects().unwrap();
    let baseline = bench
        .store
        .ensure(&bench.git, &source, &second, History::Full, false)
        .unwrap();
    assert!(baseline.files().join("a.txt").exists());
    assert_eq!(
        repository.dirty_paths(&bench.git, &bench.place("keep")).unwrap().count,
        0
    );
}

#[test]
fn a_sha256_repository_is_a_target_like_any_other() {
    let bench = Bench::new();
    let path = fs::canonicalize(bench.place("long")).unwrap();
    git(&bench, &path, &["init", "-q", "--object-format=sha256"]);
    write(&path.join("a"), "a");
    git(&bench, &path, &["add", "-A"]);
    git(&bench, &path, &["commit", "-qm", "one"]);
    let repository = SourceRepository::open(&path).unwrap();
    let (source, commit) = (repository.objects().unwrap(), repository.head_commit().unwrap());
    assert_eq!((source.format, commit.len()), (ObjectFormat::Sha256, 64));
    bench
        .store
        .ensure(&bench.git, &source, &commit, History::Baseline, false)
        .unwrap();
    assert_eq!(
        repository.dirty_paths(&bench.git, &bench.place("keep")).unwrap().count,
        0
    );
}

#[test]
fn a_shallow_clone_is_a_target_and_a_partial_one_says_what_to_do() {
    let bench = Bench::new();
    let path = repository(&bench);
    git(&bench, &path, &["commit", "-q", "--allow-empty", "-m", "two"]);
    git(&bench, &path, &["config", "uploadpack.allowFilter", "true"]);
    let place = fs::canonicalize(bench.place("clones")).unwrap();
    let url = format!("file://{}", path.display());
    git(&bench, &place, &["clone", "-q", "--depth=1", &url, "shallow"]);
    let shallow = SourceRepository::open(&place.join("shallow")).unwrap();
    let (source, commit) = (shallow.objects().unwrap(), shallow.head_commit().unwrap());
    assert_eq!(source.shallow, std::slice::from_ref(&commit));
    for history in [History::Baseline, History::Full] {
        bench
            .store
            .ensure(&bench.git, &source, &commit, history, false)
            .unwrap();
    }
    git(
        &bench,
        &place,
        &["clone", "-q", "--filter=blob:none", "--no-checkout", &url, "partial"],
    );
    let partial = SourceRepository::open(&place.join("partial")).unwrap();
    let store = crate::baseline::BaselineStore::open(&bench.place("other"), None).unwrap();
    let error = store
        .ensure(
            &bench.git,
            &partial.objects().unwrap(),
            &commit,
            History::Baseline,
            false,
        )
        .unwrap_err();
    assert!(
        matches!(&error, BaselineError::Objects { .. }) && error.to_string().contains("--refetch"),
        "{error}"
    );
}

/// A name, and what is done to the repository.
type Step = (&'static str, fn(&Bench, &Path));

#[test]
fn the_state_shows_every_change_of_the_git_directory() {
    let bench = Bench::new();
    let path = repository(&bench);
    let repository = SourceRepository::open(&path).unwrap();
    let mut last = repository.state().unwrap();
    assert_eq!(repository.state().unwrap(), last);
    let steps: [Step; 11] = [
        ("config", |_, p| write(&p.join(".git/config"), "[core]\n\tx = y\n")),
        ("hook", |_, p| write(&p.join(".git/hooks/pre-commit"), "x")),
        ("hook mode", |_, p| {
            fs::set_permissions(p.join(".git/hooks/pre-commit"), fs::Permissions::from_mode(0o755)).unwrap();
        }),
        ("exclude", |_, p| write(&p.join(".git/info/exclude"), "x")),
        ("tag", |b, p| drop(git(b, p, &["tag", "t"]))),
        ("packed", |b, p| drop(git(b, p, &["pack-refs", "--all"]))),
        ("lock", |_, p| write(&p.join(".git/index.lock"), "")),
        ("unlock", |_, p| fs::remove_file(p.join(".git/index.lock")).unwrap()),
        ("index", |b, p| {
            write(&p.join("new"), "x");
            git(b, p, &["add", "new"]);
        }),
        ("worktree", |b, p| {
            git(b, p, &["worktree", "add", "-q", "--detach", "../w2"]);
        }),
        ("commit", |b, p| drop(git(b, p, &["commit", "-qm", "two"]))),
    ];
    for (name, step) in steps {
        step(&bench, &path);
        let state = repository.state().unwrap();
        assert_ne!(state, last, "{name}");
        last = state;
    }
}

#[test]
fn one_run_holds_a_target_and_nothing_is_written_to_it() {
    let bench = Bench::new();
    let path = repository(&bench);
    let (one, two) = (
        SourceRepository::open(&path).unwrap(),
        SourceRepository::open(&path).unwrap(),
    );
    let held = one.lock().unwrap();
    assert!(matches!(two.lock(), Err(SourceError::Busy { .. })));
    drop(held);
    drop(two.lock().unwrap());
    assert!(one.is_in_place());
    fs::rename(&path, path.with_file_name("moved")).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(!one.is_in_place());
}

#[test]
fn dirt_is_counted_and_cleanliness_is_not_confused() {
    let bench = Bench::new();
    let path = repository(&bench);
    let keep = bench.place("keep");
    write(&path.join("crlf.txt"), "one\r\ntwo\r\n");
    write(&path.join(".gitattributes"), "crlf.txt text eol=crlf\n");
    git(&bench, &path, &["add", "-A"]);
    git(&bench, &path, &["commit", "-qm", "two"]);
    write(&path.join(".git/info/exclude"), "private\n");
    write(&path.join("private"), "x");
    write(&path.join("x.log"), "x");
    let repository = SourceRepository::open(&path).unwrap();
    let before = repository.state().unwrap();
    assert_eq!(
        repository.dirty_paths(&bench.git, &keep).unwrap(),
        DirtyPaths::default()
    );
    let processes = bench.git.processes_started();
    assert_eq!(repository.dirty_paths(&bench.git, &keep).unwrap().count, 0);
    assert_eq!(
        bench.git.processes_started(),
        processes + 1,
        "the kept index saves a process"
    );
    // What hides dirt from the owner's git does not hide it here.
    git(&bench, &path, &["update-index", "--assume-unchanged", "a.txt"]);
    write(&path.join("a.txt"), "b\n");
    fs::remove_file(path.join("crlf.txt")).unwrap();
    for number in 0..30 {
        write(&path.join(format!("new\x1b{number:02}")), "");
    }
    let dirty = repository.dirty_paths(&bench.git, &keep).unwrap();
    assert_eq!((dirty.count, dirty.shown.len()), (32, 20));
    assert_eq!(dirty.shown[..3], ["a.txt", "crlf.txt", "new\\u{1b}00"]);
    git(&bench, &path, &["update-index", "--no-assume-unchanged", "a.txt"]);
    let after = repository.state().unwrap();
    assert_eq!(
        (before.refs_digest, before.metadata_digest),
        (after.refs_digest, after.metadata_digest)
    );
}

#[test]
fn an_object_that_never_ends_does_not_hold_a_run() {
    let bench = Bench::new();
    let path = repository(&bench);
    let repository = SourceRepository::open(&path).unwrap();
    let commit = repository.head_commit().unwrap();
    let object = path.join(".git/objects").join(&commit[..2]).join(&commit[2..]);
    fs::remove_file(&object).unwrap();
    let directory = beneath::open_directory(object.parent().unwrap()).unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o644);
    rustix::fs::mknodat(&directory, &commit[2..], rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let git = crate::tool::Git::find()
        .unwrap()
        .with_limit(std::time::Duration::from_millis(300));
    let error = bench
        .store
        .ensure(&git, &repository.objects().unwrap(), &commit, History::Baseline, false)
        .unwrap_err();
    let late = matches!(
        &error,
        BaselineError::Git {
            source: crate::tool::GitError::TimedOut { .. }
        }
    );
    assert!(late || matches!(error, BaselineError::Objects { .. }), "{error:?}");
}

#[test]
fn nothing_of_a_hostile_target_is_executed() {
    let bench = Bench::new();
    let path = repository(&bench);
    let marker = bench.place("marker").join("pwned");
    let program = path.join("evil.sh");
    write(
        &program,
        format!("#!/bin/sh\necho \"$0 $@\" >> {}\ncat\n", marker.display()),
    );
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let evil = program.display();
    write(&path.join(".gitattributes"), "* filter=evil diff=evil merge=evil\n");
    write(
        &path.join(".gitmodules"),
        "[submodule \"s\"]\n\tpath = s\n\turl = ../x\n",
    );
    git(&bench, &path, &["add", "-A"]);
    git(&bench, &path, &["commit", "-qm", "two"]);
    // A submodule that is checked out has settings of its own.
    let module = path.join("module");
    git(&bench, &path, &["init", "-q", "module"]);
    write(&module.join("x"), "x");
    write(&module.join(".gitattributes"), "* filter=evil\n");
    git(&bench, &module, &["add", "-A"]);
    git(&bench, &module, &["commit", "-qm", "x"]);
    git(&bench, &path, &["add", "module"]);
    git(&bench, &path, &["commit", "-qm", "three"]);
    let config = format!("[core]\n\tfsmonitor = {evil}\n[filter \"evil\"]\n\tclean = {evil}\n");
    write(&module.join(".git/config"), config);
    write(&module.join("x"), "y");
    write(
        &path.join(".git/evil.config"),
        format!("[core]\n\tfsmonitor = {evil}\n"),
    );
    let config = format!(
        "[core]\n\tfsmonitor = {evil}\n\thooksPath = {hooks}\n\tsshCommand = {evil}\n\tpager = {evil}\n\teditor = {evil}\n\
         \talternateRefsCommand = {evil}\n[include]\n\tpath = evil.config\n[filter \"evil\"]\n\tclean = {evil}\n\tsmudge = {evil}\n\
         \tprocess = {evil}\n\trequired = true\n[diff \"evil\"]\n\ttextconv = {evil}\n\tcommand = {evil}\n[diff]\n\texternal = {evil}\n\
         [alias]\n\tstatus = !{evil}\n\tls-tree = !{evil}\n[uploadpack]\n\tpackObjectsHook = {evil}\n[gpg]\n\tprogram = {evil}\n\
         [remote \"origin\"]\n\turl = ext::{evil}\n\tpromisor = true\n[extensions]\n\tpartialClone = origin\n",
        hooks = path.join(".git/hooks").display()
    );
    write(&path.join(".git/config"), config);
    for hook in [
        "post-index-change",
        "post-checkout",
        "pre-commit",
        "reference-transaction",
        "fsmonitor-watchman",
    ] {
        let hook = path.join(".git/hooks").join(hook);
        fs::copy(&program, &hook).unwrap();
    }
    let repository = SourceRepository::open(&path).unwrap();
    let _held = repository.lock().unwrap();
    let before = repository.state().unwrap();
    let commit = repository.head_commit().unwrap();
    bench
        .store
        .ensure(&bench.git, &repository.objects().unwrap(), &commit, History::Full, true)
        .unwrap();
    let keep = bench.place("keep");
    write(&path.join("a.txt"), "changed so that it is hashed\n");
    assert_eq!(repository.dirty_paths(&bench.git, &keep).unwrap().shown, ["a.txt"]);
    assert_eq!(repository.state().unwrap(), before);
    assert!(!marker.exists(), "{}", fs::read_to_string(&marker).unwrap_or_default());
    // The trap itself works: the owner's own git steps into it.
    let call = GitCall::new("-c")
        .args(["core.fsmonitor=.git/hooks/fsmonitor-watchman", "status"])
        .directory(&path);
    drop(bench.git.run(call));
    assert!(marker.exists());
}
