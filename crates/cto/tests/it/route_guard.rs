//! `cto guard`: idle is admitted, one change of an idle repository is not, and nothing of it is ever touched.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::lacks::lacks;
use crate::support::{Installation, git, is_root, write};

/// A core with two commits, a linked work tree on a branch and a detached one.
struct Core {
    installation: Installation,
    path: PathBuf,
}

impl Core {
    fn new() -> Self {
        let installation = Installation::new();
        let path = installation.repository("core", &[("STANDARD.md", "one\n"), ("docs/a.md", "a\n")]);
        write(&path.join("STANDARD.md"), b"two\n");
        git(&path, &["commit", "--quiet", "--all", "--message=second"]);
        git(&path, &["worktree", "add", "--quiet", "-b", "feature", "../linked"]);
        git(&path, &["worktree", "add", "--quiet", "--detach", "../detached"]);
        Self { installation, path }
    }

    fn place(&self, name: &str) -> PathBuf {
        self.installation.dir.path().join(name)
    }

    fn guard(&self, more: &[&str]) -> (i32, Value) {
        let mut arguments = vec!["guard", "--core", self.path.to_str().unwrap()];
        arguments.extend(more);
        self.installation.json(&arguments)
    }

    /// Asks, and returns the codes of the findings.
    fn blocked(&self, more: &[&str]) -> (String, Vec<String>) {
        let (exit, said) = self.guard(more);
        assert_eq!(exit, 3, "{said:#}");
        assert_eq!(said["guard_status"], "blocked");
        assert_eq!(said["core_route_admission_status"], "not_admitted");
        assert_eq!(said["next_allowed_action"], "wait_or_open_later_core_route_when_idle");
        assert_eq!(said["ready_for_core_route_review"], false);
        let codes = said["findings"].as_array().unwrap().iter();
        (
            said["blocked_reason"].as_str().unwrap().to_owned(),
            codes
                .map(|finding| finding["code"].as_str().unwrap().to_owned())
                .collect(),
        )
    }

    fn blocks(&self, reason: &str, code: &str) {
        assert_eq!(self.blocked(&[]), (reason.to_owned(), vec![code.to_owned()]));
    }

    fn passes(&self) {
        let (exit, said) = self.guard(&[]);
        assert_eq!(exit, 0, "{:#}", said["findings"]);
    }
}

const ACTIVE: &str = "active_or_conflicting_core_work_present";
const UNCERTAIN: &str = "ownership_uncertain";
const UNUSABLE: &str = "core_repository_unusable";

/// Only root can tell where the processes of others work.
fn without_root() -> bool {
    lacks("root", is_root())
}

/// A process that ends with the test.
struct Running(Child);

impl Running {
    fn new(directory: &Path, argv: &[&str]) -> Self {
        let mut command = Command::new(argv[0]);
        command.args(&argv[1..]).current_dir(directory).stdin(Stdio::piped());
        Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Everything below a directory with every time that a look could change, but the time of reading.
fn exactly(root: &Path) -> Vec<(PathBuf, [i64; 7])> {
    let mut found = Vec::new();
    let mut pending = vec![root.to_owned()];
    while let Some(path) = pending.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        if meta.is_dir() {
            pending.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        let numbers = [
            i64::from(meta.mode()),
            meta.ino().cast_signed(),
            meta.size().cast_signed(),
            meta.mtime(),
            meta.mtime_nsec(),
            meta.ctime(),
            meta.ctime_nsec(),
        ];
        found.push((path, numbers));
    }
    found.sort();
    found
}

#[test]
fn admits_an_idle_repository_with_work_trees() {
    if without_root() {
        return;
    }
    let core = Core::new();
    let (exit, said) = core.guard(&[]);
    assert_eq!(exit, 0, "{said:#}");
    for (name, value) in [
        ("schema", "cto/route-guard/1.0".into()),
        ("core_route_admission_status", "admitted".into()),
        ("guard_status", "passed".into()),
        ("blocked_reason", Value::Null),
        ("do_not_touch_other_agent_work", true.into()),
        ("idle_governed_core_route_required", true.into()),
        ("no_active_conflicting_core_worktree_required", true.into()),
        ("ready_for_core_route_review", true.into()),
        ("next_allowed_action", "open_governed_core_prd_route".into()),
        ("unchanged_by_check", true.into()),
        ("runtime_default_activation", false.into()),
        ("core_promotion_status", "not-promoted".into()),
    ] {
        assert_eq!(said[name], value, "{name}");
    }
    let trees = said["facts"]["before"]["work_trees"].as_array().unwrap();
    let branches: Vec<&Value> = trees.iter().map(|tree| &tree["branch"]).collect();
    assert_eq!(trees.len(), 3);
    assert!(branches.contains(&&Value::from("refs/heads/feature")) && branches.contains(&&Value::Null));
    assert_eq!(said["facts"]["before"], said["facts"]["after"]);
    let text = core.installation.cto(&["guard", "--core", core.path.to_str().unwrap()]);
    assert!(String::from_utf8(text.stdout).unwrap().contains("PASSED"));
}

#[test]
fn a_linked_work_tree_stands_for_its_whole_repository() {
    if without_root() {
        return;
    }
    let core = Core::new();
    let linked = core.place("linked");
    let arguments = ["guard", "--core", linked.to_str().unwrap()];
    assert_eq!(core.installation.json(&arguments).0, 0);
    write(&core.path.join("new.txt"), b"x");
    let (exit, said) = core.installation.json(&arguments);
    assert_eq!((exit, &said["findings"][0]["code"]), (3, &Value::from("main_dirty")));
}

#[test]
fn blocks_on_every_kind_of_uncommitted_work() {
    if without_root() {
        return;
    }
    let core = Core::new();
    let linked = core.place("linked");
    for (tree, code) in [(&core.path, "main_dirty"), (&linked, "work_tree_dirty")] {
        write(&tree.join("new.txt"), b"x");
        core.blocks(ACTIVE, code);
        fs::remove_file(tree.join("new.txt")).unwrap();
        core.passes();
        write(&tree.join("STANDARD.md"), b"three\n");
        core.blocks(ACTIVE, code);
        // Staged, and taken back on disk only: the work tree equals the commit, the index does not.
        git(tree, &["add", "STANDARD.md"]);
        write(&tree.join("STANDARD.md"), b"two\n");
        core.blocks(ACTIVE, code);
        git(tree, &["reset", "--quiet"]);
        core.passes();
        fs::remove_file(tree.join("docs/a.md")).unwrap();
        core.blocks(ACTIVE, code);
        git(tree, &["checkout", "--quiet", "docs/a.md"]);
        // Hidden from git status.
        git(tree, &["update-index", "--assume-unchanged", "STANDARD.md"]);
        write(&tree.join("STANDARD.md"), b"hidden\n");
        core.blocks(ACTIVE, code);
        write(&tree.join("STANDARD.md"), b"two\n");
        git(tree, &["update-index", "--no-assume-unchanged", "STANDARD.md"]);
        core.passes();
    }
}

#[test]
fn blocks_in_the_middle_of_an_operation_and_under_a_lock() {
    if without_root() {
        return;
    }
    let core = Core::new();
    let linked = core.place("linked");
    let linked_git = core.path.join(".git/worktrees/linked");
    for (place, code) in [
        (core.path.join(".git/MERGE_HEAD"), "operation_in_progress"),
        (core.path.join(".git/CHERRY_PICK_HEAD"), "operation_in_progress"),
        (core.path.join(".git/BISECT_LOG"), "operation_in_progress"),
        (linked_git.join("REVERT_HEAD"), "operation_in_progress"),
        (linked_git.join("rebase-merge/head-name"), "operation_in_progress"),
        (core.path.join(".git/index.lock"), "git_locked"),
        (core.path.join(".git/refs/heads/main.lock"), "git_locked"),
        (core.path.join(".git/gc.pid"), "git_locked"),
        (linked_git.join("index.lock"), "git_locked"),
        (linked_git.join("locked"), "work_tree_locked"),
    ] {
        write(&place, b"x\n");
        core.blocks(ACTIVE, code);
        fs::remove_file(&place).unwrap();
        if place.ends_with("rebase-merge/head-name") {
            fs::remove_dir(linked_git.join("rebase-merge")).unwrap();
        }
    }
    core.passes();
    // A real one: a rebase that stopped at a conflict.
    write(&linked.join("STANDARD.md"), b"theirs\n");
    git(&linked, &["commit", "--quiet", "--all", "--message=theirs"]);
    core.passes();
    write(&core.path.join("STANDARD.md"), b"ours\n");
    git(&core.path, &["commit", "--quiet", "--all", "--message=ours"]);
    let stopped = Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@cto.invalid", "rebase", "main"])
        .current_dir(&linked)
        .output()
        .unwrap();
    assert!(!stopped.status.success());
    let (reason, codes) = core.blocked(&[]);
    assert_eq!(reason, ACTIVE);
    assert!(codes.contains(&"operation_in_progress".to_owned()), "{codes:?}");
    assert!(codes.contains(&"work_tree_dirty".to_owned()), "{codes:?}");
}

#[test]
fn blocks_where_nobody_can_tell() {
    if without_root() {
        return;
    }
    let core = Core::new();
    let linked = core.place("linked");
    fs::rename(&linked, core.place("moved")).unwrap();
    core.blocks(UNCERTAIN, "work_tree_unknown");
    fs::rename(core.place("moved"), &linked).unwrap();
    core.passes();
    // git leaves out an entry that it cannot read; the count does not agree then.
    let entry = core.path.join(".git/worktrees/linked/gitdir");
    let gitdir = fs::read(&entry).unwrap();
    fs::remove_file(&entry).unwrap();
    let (reason, codes) = core.blocked(&[]);
    assert_eq!(reason, UNCERTAIN);
    assert!(codes.contains(&"repository_uncertain".to_owned()), "{codes:?}");
    write(&entry, &gitdir);
    core.passes();
    // An index that is split over two files cannot be judged from one.
    git(&linked, &["update-index", "--split-index"]);
    core.blocks(UNCERTAIN, "work_tree_unknown");
    git(&linked, &["update-index", "--no-split-index"]);
    for shared in fs::read_dir(core.path.join(".git/worktrees/linked")).unwrap() {
        let shared = shared.unwrap().path();
        if shared.to_string_lossy().contains("sharedindex") {
            fs::remove_file(shared).unwrap();
        }
    }
    core.passes();
    git(&core.path, &["config", "core.worktree", "/tmp"]);
    assert_eq!(core.blocked(&[]).0, UNCERTAIN);
}

#[test]
fn a_submodule_that_is_checked_out_is_not_looked_into_and_blocks() {
    if without_root() {
        return;
    }
    let core = Core::new();
    let part = core.installation.repository("part", &[("x.txt", "x\n")]);
    git(
        &core.path,
        &["submodule", "--quiet", "add", part.to_str().unwrap(), "part"],
    );
    git(&core.path, &["commit", "--quiet", "--all", "--message=part"]);
    core.blocks(UNCERTAIN, "submodule_unknown");
    git(&core.path, &["submodule", "--quiet", "deinit", "--force", "part"]);
    core.passes();
}

#[test]
fn refuses_what_is_no_repository_with_a_main_work_tree() {
    let core = Core::new();
    let dir = core.installation.dir.path();
    git(dir, &["clone", "--quiet", "--bare", "core", "bare.git"]);
    git(dir, &["init", "--quiet", "empty"]);
    symlink(&core.path, core.place("link")).unwrap();
    fs::create_dir(core.place("plain")).unwrap();
    write(&core.place("file"), b"x");
    for (name, says) in [
        ("bare.git", "it is bare"),
        ("empty", "no commit yet"),
        ("link", "symbolic link"),
        ("plain", "no `.git`"),
        ("core/docs", "a part of the repository"),
        ("file", "not a directory"),
        ("missing", "nothing is there"),
    ] {
        let (exit, said) = core.installation.json(&["guard", "--core", name]);
        assert_eq!((exit, &said["blocked_reason"]), (3, &Value::from(UNUSABLE)), "{name}");
        let detail = said["findings"][0]["detail"].as_str().unwrap();
        assert!(detail.contains(says), "{name}: {detail}");
    }
    let output = core.installation.cto(&["guard"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn sees_a_process_by_its_directory_program_command_line_and_files() {
    if without_root() {
        return;
    }
    let core = Core::new();
    let (linked, outside) = (core.place("linked"), core.place("outside"));
    fs::create_dir(&outside).unwrap();
    core.passes();
    let main = core.path.to_str().unwrap();
    let inside = format!("{main}/docs");
    let option = format!("--unused={main}/docs/a.md");
    let tail = core.path.join(".git/cat");
    for (directory, argv, by) in [
        (core.path.as_path(), vec!["cat"], "working_directory"),
        (Path::new(&inside), vec!["cat"], "working_directory"),
        (linked.as_path(), vec!["cat"], "working_directory"),
        (&core.path.join(".git"), vec!["cat"], "working_directory"),
        (&outside, vec!["tail", "-f", "../core/STANDARD.md"], "command_line"),
        (&outside, vec!["sh", "-c", "cat", "sh", &option], "command_line"),
        (
            &outside,
            vec!["sh", "-c", "exec 3< ../linked/STANDARD.md; read x"],
            "command_line",
        ),
        (
            &outside,
            vec![
                "sh",
                "-c",
                "cd ..; a=core; exec 3< $a/STANDARD.md; cd outside; echo go; read x",
            ],
            "open_file",
        ),
    ] {
        let mut command = Command::new(argv[0]);
        let child = command
            .args(&argv[1..])
            .current_dir(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut running = Running(child.spawn().unwrap());
        if by == "open_file" {
            // It says when it holds the file.
            let mut line = [0; 3];
            std::io::Read::read_exact(running.0.stdout.as_mut().unwrap(), &mut line).unwrap();
        }
        let (exit, said) = core.guard(&[]);
        assert_eq!(
            (exit, &said["blocked_reason"]),
            (3, &Value::from(ACTIVE)),
            "{argv:?}: {said:#}"
        );
        let seen = said["facts"]["processes"]["processes"].as_array().unwrap();
        let pid = i64::from(running.0.id());
        let found = seen.iter().find(|process| process["pid"] == pid);
        assert_eq!(
            found.map(|process| &process["by"]),
            Some(&Value::from(by)),
            "{argv:?}: {seen:?}"
        );
        drop(running);
        core.passes();
    }
    // A program that lies in the repository, ignored by its status.
    fs::copy("/bin/cat", &tail).unwrap();
    let running = Running::new(&outside, &[tail.to_str().unwrap()]);
    let (_, said) = core.guard(&[]);
    assert_eq!(
        said["facts"]["processes"]["processes"][0]["by"], "executable",
        "{said:#}"
    );
    drop(running);
    fs::remove_file(&tail).unwrap();
    core.passes();
    // A directory with the same beginning is another one.
    let near = core.place("core-2");
    fs::create_dir(&near).unwrap();
    let _running = Running::new(&near, &["cat"]);
    core.passes();
}

#[test]
fn whoever_asks_is_no_work_but_a_shell_in_the_repository_is() {
    if without_root() {
        return;
    }
    let core = Core::new();
    let shell = |directory: &Path, script: &str| {
        let mut command = core.installation.command();
        command.current_dir(directory);
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", script]).current_dir(directory).env_clear();
        for (name, value) in command.get_envs() {
            shell.env(name, value.unwrap_or_default());
        }
        shell.output().unwrap().status.code().unwrap()
    };
    let (program, path) = (crate::support::program(), core.path.to_str().unwrap());
    let home = core.installation.dir.path();
    // The trailing command keeps the shell alive, with the repository in its command line.
    assert_eq!(shell(home, &format!("{program} guard --core {path}; exit $?")), 0);
    assert_eq!(shell(home, &format!("{program} guard --core={path}; exit $?")), 0);
    assert_eq!(
        shell(
            home,
            &format!("cat {path}/STANDARD.md; {program} guard --core {path}; exit $?")
        ),
        3
    );
    assert_eq!(shell(&core.path, &format!("{program} guard --core .; exit $?")), 3);
}

#[test]
fn blocks_on_branches_and_paths_of_a_conflict_list() {
    if without_root() {
        return;
    }
    let core = Core::new();
    let list = core.place("conflicts.yaml");
    let say = |branches: &str, paths: &str| {
        let text = format!(
            "schema: cto/core-conflicts/1.0\nconflicts:\n- id: W-1\n  owner: ana\n  branches: [{branches}]\n  paths: [{paths}]\n"
        );
        write(&list, text.as_bytes());
        core.guard(&["--conflicts", list.to_str().unwrap()])
    };
    let passed = |said: &(i32, Value)| said.0 == 0 && said.1["facts"]["conflict_list"]["digest"].is_string();
    let hit = |said: &(i32, Value), what: &str| {
        said.1["blocked_reason"] == ACTIVE
            && said.1["findings"][0]["code"] == "conflict_present"
            && said.1["facts"]["conflicts"][0]["found"]
                .as_str()
                .unwrap()
                .contains(what)
    };
    assert!(passed(&say("standards/*", "docs/")));
    assert!(hit(&say("feat*", ""), "refs/heads/feature"));
    git(&core.path, &["update-ref", "refs/remotes/origin/standards/x", "HEAD"]);
    assert!(hit(&say("standards/*", ""), "refs/remotes/origin/standards/x"));
    git(&core.path, &["update-ref", "-d", "refs/remotes/origin/standards/x"]);
    // Committed on the branch of a work tree, and clean: not in main yet.
    let linked = core.place("linked");
    write(&linked.join("docs/a.md"), b"changed\n");
    git(&linked, &["commit", "--quiet", "--all", "--message=docs"]);
    assert!(hit(&say("other", "docs/"), "docs/a.md"));
    assert!(hit(&say("other", "docs/*.md"), "branch refs/heads/feature"));
    assert!(passed(&say("other", "standards/")));
    git(&core.path, &["merge", "--quiet", "--ff-only", "feature"]);
    assert!(passed(&say("other", "docs/")));
    // Only a detached work tree holds it.
    let detached = core.place("detached");
    write(&detached.join("docs/b.md"), b"new\n");
    git(&detached, &["add", "--all"]);
    git(&detached, &["commit", "--quiet", "--message=b"]);
    assert!(hit(&say("other", "docs/b.md"), "detached"));
}

#[test]
fn an_unusable_list_or_record_blocks_and_an_open_route_does() {
    if without_root() {
        return;
    }
    let core = Core::new();
    let file = core.place("given.yaml");
    let given = |option: &str, text: &str| {
        write(&file, text.as_bytes());
        core.guard(&[option, file.to_str().unwrap()])
    };
    let route = |status: &str, until: &str| {
        format!("schema: cto/core-route/1.0\nroute_id: R-1\nowner: ana\nstatus: {status}\nuntil: {until}\n")
    };
    assert_eq!(given("--route", &route("closed", "2999-01-01T00:00:00Z")).0, 0);
    assert_eq!(given("--route", &route("open", "2001-01-01T00:00:00Z")).0, 0);
    let (exit, said) = given("--route", &route("open", "2999-01-01T00:00:00Z"));
    assert_eq!((exit, &said["findings"][0]["code"]), (3, &Value::from("route_open")));
    assert_eq!(said["blocked_reason"], ACTIVE);
    let json = r#"{"schema":"cto/core-route/1.0","route_id":"R","owner":"a","status":"closed","until":"2999-01-01"}"#;
    assert_eq!(given("--route", json).0, 0);
    let unusable = |said: (i32, Value), code: &str| {
        assert_eq!(
            (said.0, &said.1["blocked_reason"]),
            (3, &Value::from(UNCERTAIN)),
            "{:#}",
            said.1
        );
        assert_eq!(said.1["findings"][0]["code"], code);
    };
    unusable(given("--route", &route("maybe", "2999-01-01")), "route_record_unusable");
    unusable(given("--route", ""), "route_record_unusable");
    unusable(given("--conflicts", "conflicts: []\n"), "conflict_list_unusable");
    unusable(
        given("--conflicts", "schema: cto/core-conflicts/9.0\nconflicts: []\n"),
        "conflict_list_unusable",
    );
    unusable(core.guard(&["--route", "/nowhere/route.yaml"]), "route_record_unusable");
    unusable(
        core.guard(&["--conflicts", "/nowhere/list.yaml"]),
        "conflict_list_unusable",
    );
    assert_eq!(
        given("--conflicts", "schema: cto/core-conflicts/1.0\nconflicts: []\n").0,
        0
    );
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    unusable(
        core.guard(&["--conflicts", file.to_str().unwrap()]),
        "conflict_list_unusable",
    );
}

#[test]
fn executes_nothing_that_a_hostile_repository_brings() {
    if without_root() {
        return;
    }
    let core = Core::new();
    let marker = core.place("executed");
    let evil = core.place("evil");
    write(
        &evil,
        format!("#!/bin/sh\ntouch {}\ncat\n", marker.display()).as_bytes(),
    );
    fs::set_permissions(&evil, fs::Permissions::from_mode(0o755)).unwrap();
    let evil_shown = evil.display();
    let included = core.path.join(".git/more.config");
    let text = format!(
        "[core]\n\tfsmonitor = {evil_shown}\n\tsshCommand = {evil_shown}\n\tpager = {evil_shown}\n[pager]\n\tworktree = {evil_shown}\n\
         [filter \"evil\"]\n\tclean = {evil_shown}\n\tsmudge = {evil_shown}\n\tprocess = {evil_shown}\n\trequired = true\n\
         [diff \"evil\"]\n\ttextconv = {evil_shown}\n\tcommand = {evil_shown}\n[diff]\n\texternal = {evil_shown}\n\
         [alias]\n\tworktree = !{evil_shown}\n\tfor-each-ref = !{evil_shown}\n"
    );
    write(&included, text.as_bytes());
    let config = core.path.join(".git/config");
    let mut all = fs::read_to_string(&config).unwrap();
    all.push_str(&text);
    all.push_str("[include]\n\tpath = more.config\n");
    write(&config, all.as_bytes());
    write(&core.path.join(".git/info/attributes"), b"* filter=evil diff=evil\n");
    for hook in [
        "post-index-change",
        "pre-commit",
        "reference-transaction",
        "fsmonitor-watchman",
    ] {
        fs::copy(&evil, core.path.join(".git/hooks").join(hook)).unwrap();
    }
    let list = core.place("conflicts.yaml");
    write(
        &list,
        b"schema: cto/core-conflicts/1.0\nconflicts:\n- {id: W, owner: a, branches: [none], paths: [docs/]}\n",
    );
    // Touched, so that a status has to read its content.
    write(&core.path.join("STANDARD.md"), b"two\n");
    let (exit, said) = core.guard(&["--conflicts", list.to_str().unwrap()]);
    assert!(!marker.exists());
    assert_eq!(exit, 0, "{:#}", said["findings"]);
    // The same commands under git's ordinary rules do execute it, so the marker would be there.
    let ordinary = Command::new("git")
        .args(["status"])
        .current_dir(&core.path)
        .output()
        .unwrap();
    assert!(marker.exists(), "{ordinary:?}");
}

#[test]
fn a_repository_of_somebody_else_is_not_looked_at_by_an_ordinary_user() {
    if without_root() {
        return;
    }
    let core = Core::new();
    let home = core.place("user-home");
    fs::create_dir(&home).unwrap();
    std::os::unix::fs::chown(&home, Some(65_534), Some(65_534)).unwrap();
    fs::set_permissions(core.installation.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let as_nobody = |path: &Path| {
        let mut command = Command::new("setpriv");
        command
            .args([
                "--reuid=65534",
                "--regid=65534",
                "--clear-groups",
                crate::support::program(),
            ])
            .args([
                "--json",
                "--home",
                home.join("cto").to_str().unwrap(),
                "guard",
                "--core",
            ])
            .arg(path)
            .current_dir("/");
        let output = command.output().unwrap();
        let said: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
        (output.status.code().unwrap(), said)
    };
    let (exit, said) = as_nobody(&core.path);
    assert_eq!((exit, &said["blocked_reason"]), (3, &Value::from(UNUSABLE)));
    assert!(
        said["findings"][0]["detail"]
            .as_str()
            .unwrap()
            .contains("belongs to uid 0")
    );
    // In his own repository he cannot tell where root's processes work.
    let own = Command::new("cp")
        .args(["-a", "core", "own"])
        .current_dir(core.installation.dir.path())
        .status();
    assert!(own.unwrap().success());
    fs::remove_dir_all(core.place("own/.git/worktrees")).unwrap();
    let given = Command::new("chown")
        .args(["-R", "65534:65534", "own"])
        .current_dir(core.installation.dir.path())
        .status();
    assert!(given.unwrap().success());
    let (exit, said) = as_nobody(&core.place("own"));
    assert_eq!(
        (exit, &said["blocked_reason"]),
        (3, &Value::from(UNCERTAIN)),
        "{said:#}"
    );
    assert_eq!(said["findings"][0]["code"], "processes_unknown");
    // Root may look at anybody's.
    let own = core.place("own");
    assert_eq!(core.installation.json(&["guard", "--core", own.to_str().unwrap()]).0, 0);
}

#[test]
fn leaves_the_repository_exactly_as_it_is_and_opens_nothing_of_it_for_writing() {
    if without_root() {
        return;
    }
    let core = Core::new();
    let list = core.place("conflicts.yaml");
    write(
        &list,
        b"schema: cto/core-conflicts/1.0\nconflicts:\n- {id: W, owner: a, branches: [none], paths: [docs/]}\n",
    );
    let places = [core.path.clone(), core.place("linked"), core.place("detached")];
    let before: Vec<_> = places.iter().map(|place| exactly(place)).collect();
    let log = core.place("strace.log");
    let calls = "trace=%file,%process,write,pwrite64,writev,pwritev,sendfile,copy_file_range,splice,ftruncate,fallocate,\
                 fchmod,fchown,fsetxattr,flock,kill,tkill,tgkill,pidfd_send_signal,ptrace";
    let output = Command::new("strace")
        .args(["-f", "-y", "-qq", "-s", "300", "-e", calls, "-o", log.to_str().unwrap()])
        .args([crate::support::program(), "--json", "--home"])
        .arg(core.installation.home())
        .args([
            "guard",
            "--conflicts",
            list.to_str().unwrap(),
            "--core",
            core.path.to_str().unwrap(),
        ])
        .current_dir("/")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let after: Vec<_> = places.iter().map(|place| exactly(place)).collect();
    assert_eq!(before, after);
    let text = fs::read_to_string(&log).unwrap();
    let shown: Vec<&str> = places.iter().map(|place| place.to_str().unwrap()).collect();
    // Where git works says nothing about a path that begins at the root.
    let from_root = |line: &str| match (line.find("AT_FDCWD<"), line.find(">, \"/")) {
        (Some(from), Some(to)) if from < to => format!("{}{}", &line[..from], &line[to..]),
        _ => line.to_owned(),
    };
    let there: Vec<String> = text
        .lines()
        .map(from_root)
        .filter(|line| shown.iter().any(|place| line.contains(place)))
        .collect();
    assert!(there.len() > 100, "strace saw {} calls there", there.len());
    let writes = [
        "O_WRONLY",
        "O_RDWR",
        "O_CREAT",
        "O_TRUNC",
        "O_TMPFILE",
        " rename",
        " unlink",
        " mkdir",
        " rmdir",
        " link",
        " symlink",
        " chmod",
        " fchmod",
        " chown",
        " fchown",
        " utime",
        " truncate",
        " ftruncate",
        " mknod",
        " setxattr",
        " flock(",
        " fallocate",
    ];
    for line in &there {
        // A call on the installation's own files may name the repository as an alternate; nothing else may.
        let found = writes.iter().find(|write| line.contains(**write));
        assert!(found.is_none(), "{line}");
        let written = line.split_once("write(").and_then(|(_, rest)| rest.split_once(','));
        let to = written.map_or("", |(descriptor, _)| descriptor);
        assert!(!shown.iter().any(|place| to.contains(place)), "{line}");
    }
    let none = [" ptrace(", " kill(", " tkill(", " tgkill(", " pidfd_send_signal("];
    assert!(none.iter().all(|call| !text.contains(call)));
}

#[test]
fn works_on_a_repository_that_is_mounted_read_only() {
    if without_root() {
        return;
    }
    let core = Core::new();
    let path = core.path.to_str().unwrap();
    let script = format!(
        "mount --bind {path} {path} && mount -o remount,bind,ro {path} && ! touch {path}/x 2>/dev/null && exec {} --home {} guard --core {path}",
        crate::support::program(),
        core.installation.home().display()
    );
    let script_file = core.place("script.sh");
    write(&script_file, script.as_bytes());
    let output = Command::new("unshare")
        .args(["--mount", "/bin/sh", script_file.to_str().unwrap()])
        .current_dir("/")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(
        output.status.code(),
        Some(0),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(said.contains("unchanged"));
}

#[test]
fn writes_no_installation_below_the_repository() {
    let core = Core::new();
    let before = exactly(&core.path);
    for home in ["core/home", "core/.git/home", "linked/home"] {
        let output = core
            .installation
            .cto(&["--home", home, "guard", "--core", core.path.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(2), "{home}: {output:?}");
    }
    assert_eq!(exactly(&core.path), before);
}

#[test]
fn a_change_by_anybody_during_the_check_blocks() {
    if without_root() {
        return;
    }
    let core = Core::new();
    let list = core.place("conflicts.yaml");
    write(
        &list,
        b"schema: cto/core-conflicts/1.0\nconflicts:\n- {id: W, owner: a, branches: [none]}\n",
    );
    let more = ["--conflicts", list.to_str().unwrap()];
    // Somebody acts between the two looks: when branches are listed.
    let wrapper = core.place("git-wrapper");
    let act = core.place("act");
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *for-each-ref*) /bin/sh {} ;; esac\nexec /usr/bin/git \"$@\"\n",
        act.display()
    );
    write(&wrapper, script.as_bytes());
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
    write(
        &core.installation.home().join("harness.yaml"),
        format!("git: {}\n", wrapper.display()).as_bytes(),
    );
    fs::set_permissions(core.installation.home(), fs::Permissions::from_mode(0o700)).unwrap();
    let (main, linked) = (core.path.display(), core.place("linked").display().to_string());
    for (script, undo) in [
        (format!("echo x > {main}/new"), format!("rm {main}/new")),
        (format!("echo x > {linked}/new"), format!("rm {linked}/new")),
        (
            format!("/usr/bin/git -C {main} update-ref refs/heads/new HEAD"),
            ":".to_owned(),
        ),
        (format!("touch {main}/.git/index"), ":".to_owned()),
        (format!("touch {main}/.git/objects/info"), ":".to_owned()),
        (format!("echo x > {main}/.git/hooks/pre-push"), ":".to_owned()),
    ] {
        write(&act, b":\n");
        assert_eq!(core.guard(&more).0, 0, "before {script}");
        write(&act, script.as_bytes());
        let blocked = core.blocked(&more);
        assert_eq!(
            blocked,
            (
                "core_changed_during_check".to_owned(),
                vec!["changed_during_check".to_owned()]
            ),
            "{script}"
        );
        assert!(Command::new("/bin/sh").args(["-c", &undo]).status().unwrap().success());
    }
}
