//! What only the native provider offers: overlays, changes, frozen paths and binds.

use std::fs;
use std::os::fd::AsFd;
use std::path::PathBuf;

use cto_sandbox::{Bind, Change, JailError, ProviderKind, Workspace, probe_machine};

use crate::world::{World, content, has_cgroup, listing, reexec, run, run_with, said_to_lack, workspaces};

fn native() -> &'static dyn cto_sandbox::Provider {
    ProviderKind::Native.provider()
}

#[test]
fn an_overlay_is_mounted_or_refused_by_its_own_name() {
    let world = World::new();
    let mut spec = world.spec(&["/bin/true"]);
    spec.workspace = Workspace::Overlay {
        lowers: vec![world.lower()],
    };
    match run_with(native(), &spec, |_, _| {}) {
        Ok(outcome) => {
            assert!(!said_to_lack("overlay"), "it is here after all");
            assert_eq!(outcome.enforcement.workspace, "overlay");
        }
        Err(JailError::Inner { step, mend, .. }) if said_to_lack("overlay") => {
            assert_eq!((step.as_str(), mend.is_empty()), ("mount overlay", false));
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn the_upper_directory_is_exactly_the_write_set() {
    if said_to_lack("overlay") {
        return;
    }
    let world = World::new();
    let outcome = run(
        native(),
        &world
            .shell("echo more >> README; rm src/deep/data; mkdir -p a/b; echo x > a/b/c; ln -s /x l; cat src/main.py"),
    );
    let upper = outcome.exports.upper.unwrap();
    let expected = [
        "-src/deep/data",
        "README",
        "a/",
        "a/b/",
        "a/b/c",
        "l@",
        "src/",
        "src/deep/",
    ];
    assert_eq!(listing(upper.as_fd()), expected);
    assert_eq!(content(upper.as_fd(), "README"), "hello\nmore\n");
}

#[test]
fn nothing_written_is_nothing_in_the_upper_directory() {
    if said_to_lack("overlay") {
        return;
    }
    let world = World::new();
    let outcome = run(native(), &world.shell("cat README src/main.py; ls -R"));
    assert_eq!(listing(outcome.exports.upper.unwrap().as_fd()), Vec::<String>::new());
}

#[test]
fn the_upper_directory_is_not_in_the_view() {
    let world = World::new();
    let outcome = run(native(), &world.shell("cut -d' ' -f5 /proc/self/mountinfo"));
    assert!(
        !outcome.stdout.contains("upper") && !outcome.stdout.contains("disk"),
        "{}",
        outcome.stdout
    );
    let points: Vec<_> = outcome.stdout.lines().collect();
    assert!(
        points.contains(&"/workspace") && points.contains(&"/proc/sys"),
        "{points:?}"
    );
}

#[test]
fn the_topmost_layer_wins() {
    for workspace in workspaces() {
        let world = World::new();
        let top = world.dir.path().join("top");
        fs::create_dir_all(top.join("src")).unwrap();
        fs::write(top.join("README"), "top\n").unwrap();
        world.give(&top);
        let mut spec = world.shell("cat README src/main.py");
        spec.workspace = workspace(vec![top, world.lower()]);
        assert_eq!(run(native(), &spec).stdout, "top\nprint('hello')\n");
    }
}

#[test]
fn a_copied_workspace_keeps_modes_links_and_times() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let world = World::new();
    fs::set_permissions(world.lower().join("README"), fs::Permissions::from_mode(0o750)).unwrap();
    let mut spec = world.shell("stat -c '%a %Y' README; readlink trap");
    spec.workspace = Workspace::Copied {
        sources: vec![world.lower()],
    };
    let time = fs::metadata(world.lower().join("README")).unwrap().mtime();
    assert_eq!(run(native(), &spec).stdout, format!("750 {time}\n/etc\n"));
}

#[test]
fn changes_are_made_before_the_program_and_follow_no_link() {
    let world = World::new();
    let source = world.dir.path().join("content");
    fs::write(&source, "patched\n").unwrap();
    let host = world.dir.path().join("host");
    fs::create_dir(&host).unwrap();
    let mut spec = world.shell("cat README trap/x; readlink link; ls -d empty; ls src; stat -c %a run.sh");
    let file = |path: &str, mode| Change::File {
        path: path.into(),
        mode,
        source: source.clone(),
    };
    spec.changes = vec![
        file("README", 0o644),
        // `trap` is a link to /etc: it is replaced, never followed.
        file("trap/x", 0o644),
        file("run.sh", 0o755),
        Change::Symlink {
            path: "link".into(),
            target: "/nowhere".into(),
        },
        Change::Directory { path: "empty".into() },
        Change::Remove {
            path: "src/deep".into(),
        },
        Change::Remove {
            path: "missing/file".into(),
        },
    ];
    let outcome = run(native(), &spec);
    let expected = "patched\npatched\n/nowhere\nempty\nmain.py\n755\n";
    assert_eq!(outcome.stdout, expected, "{}", outcome.stderr);
}

#[test]
fn a_name_that_is_no_text_survives() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let world = World::new();
    let mut spec = world.shell("for f in w*; do printf %s \"$f\" | od -An -tx1; done");
    spec.changes = vec![Change::Directory {
        path: PathBuf::from(OsStr::from_bytes(b"w\xff\n")),
    }];
    assert_eq!(run(native(), &spec).stdout.trim(), "77 ff 0a");
}

#[test]
fn a_frozen_path_cannot_be_changed_moved_or_removed() {
    let world = World::new();
    let mut spec = world.shell(
        "echo x > README; rm -f README; mv README R; chmod 777 README; rm -rf src/deep; echo x > src/deep/data; echo x > src/ok; cat README src/deep/data",
    );
    spec.read_only = vec!["README".into(), "src/deep".into(), "missing".into()];
    let outcome = run(native(), &spec);
    assert_eq!(outcome.stdout, "hello\ndata\n", "{}", outcome.stderr);
    if let Some(upper) = outcome.exports.upper {
        assert_eq!(listing(upper.as_fd()), ["src/", "src/ok"]);
    }
}

#[test]
fn a_bind_appears_where_it_should_and_its_mount_point_is_told() {
    let world = World::new();
    let outside = world.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("tool"), "tool\n").unwrap();
    let mut spec = world
        .shell("cat /opt/tools/tool deps/node_modules/tool; echo x > /opt/tools/new; echo x > deps/node_modules/new");
    spec.binds = ["/opt/tools", "/workspace/deps/node_modules"]
        .iter()
        .map(|target| Bind {
            source: outside.clone(),
            target: target.into(),
            read_only: true,
        })
        .collect();
    let outcome = run(native(), &spec);
    assert_eq!(outcome.stdout, "tool\ntool\n", "{}", outcome.stderr);
    assert!(!outside.join("new").exists());
    assert_eq!(
        outcome.exports.created,
        [
            PathBuf::from("/opt/tools"),
            PathBuf::from("/workspace/deps/node_modules")
        ]
    );
}

#[test]
fn a_writable_bind_can_be_written() {
    let world = World::new();
    let outside = world.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    world.give(&outside);
    let mut spec = world.shell("echo x > /opt/out/new");
    spec.binds = vec![Bind {
        source: outside.clone(),
        target: "/opt/out".into(),
        read_only: false,
    }];
    assert_eq!(run(native(), &spec).exited.code, Some(0));
    assert_eq!(fs::read_to_string(outside.join("new")).unwrap(), "x\n");
}

#[test]
fn a_wrong_specification_is_refused_with_its_reason() {
    let world = World::new();
    let mut specs = vec![world.spec(&["true"]); 5];
    specs[0].name = "../x".to_owned();
    specs[1].workdir = "/etc".into();
    specs[2].read_only = vec!["../x".into()];
    specs[3].workspace = Workspace::Overlay { lowers: Vec::new() };
    specs[4].binds = vec![Bind {
        source: "/etc".into(),
        target: "relative".into(),
        read_only: true,
    }];
    for spec in specs {
        let refused = run_with(native(), &spec, |_, _| {}).err();
        assert!(matches!(refused, Some(JailError::Specification { .. })), "{refused:?}");
    }
    let mut spec = world.spec(&["true"]);
    spec.workspace = Workspace::Overlay {
        lowers: vec!["/no/such/layer".into()],
    };
    let refused = run_with(native(), &spec, |_, _| {}).err();
    assert!(matches!(refused, Some(JailError::Inner { .. })), "{refused:?}");
}

#[test]
fn programs_of_the_host_work_in_the_view() {
    let world = World::new();
    let script = "import multiprocessing, socket, tempfile, os, pwd\n\
        l = multiprocessing.Lock(); tempfile.mkdtemp()\n\
        s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen()\n\
        c = socket.create_connection(s.getsockname())\n\
        a, b = os.openpty()\n\
        print(pwd.getpwuid(os.getuid()).pw_name, socket.gethostname(), os.getcwd())";
    let outcome = run(native(), &world.spec(&["/usr/bin/python3", "-c", script]));
    assert_eq!(outcome.stdout, "agent cto /workspace\n", "{}", outcome.stderr);
}

#[test]
fn this_machine_can_do_everything() {
    let world = World::new();
    let report = probe_machine(&reexec(), world.dir.path());
    for ability in &report.abilities {
        let lacking = match ability.name {
            "memory_cgroup" | "process_cgroup" => !has_cgroup(),
            name => said_to_lack(name),
        };
        assert_eq!(ability.ok, !lacking, "{ability:?}");
    }
    assert!(report.landlock_abi >= 1);
}
