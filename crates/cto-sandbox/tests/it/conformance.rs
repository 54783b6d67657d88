//! The claims that hold for every provider that promises them.

use std::fs;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::fd::AsFd;

use cto_sandbox::{Bind, BoundState, Build, Change, JailError, PROVIDERS, Program, Provider, ProviderKind, self_test};

use crate::world::{World, content, eventually, marker, processes_with, reexec, run, run_with, said_to_lack};

/// Every provider of the table that promises a bound.
pub(crate) fn promising(bound: &str) -> impl Iterator<Item = &'static dyn Provider> {
    PROVIDERS
        .iter()
        .copied()
        .filter(move |provider| provider.promises().contains(&bound))
}

#[test]
fn the_table_holds_every_kind() {
    let names: Vec<_> = PROVIDERS.iter().map(|provider| provider.name()).collect();
    assert_eq!(names, ["native", "bwrap", "none"]);
    for kind in [ProviderKind::Native, ProviderKind::Bwrap, ProviderKind::None] {
        assert!(names.contains(&kind.provider().name()));
    }
}

#[test]
fn every_promised_bound_reads_back_as_enforced() {
    let world = World::new();
    for provider in PROVIDERS {
        let outcome = run(*provider, &world.spec(&["/bin/true"]));
        assert_eq!(
            outcome.exited.code,
            Some(0),
            "{}: {:?}",
            provider.name(),
            outcome.exited
        );
        for promise in provider.promises() {
            let bound = outcome.enforcement.bound(promise).expect(promise);
            assert_eq!(bound.state, BoundState::Enforced, "{} {bound:?}", provider.name());
        }
        assert!(outcome.exited.cgroup_empty);
    }
}

#[test]
fn the_provider_without_bounds_does_not_claim_any() {
    let world = World::new();
    let outcome = run(ProviderKind::None.provider(), &world.spec(&["/bin/true"]));
    for name in [
        "user_namespace",
        "mount_view",
        "network",
        "pid_namespace",
        "landlock",
        "disk_limit",
    ] {
        let bound = outcome.enforcement.bound(name).expect(name);
        assert_eq!(bound.state, BoundState::Absent, "{bound:?}");
    }
}

#[derive(Debug)]
struct Overclaiming(&'static str);

impl Provider for Overclaiming {
    fn name(&self) -> &'static str {
        "overclaiming"
    }

    fn promises(&self) -> &'static [&'static str] {
        match self.0 {
            "network" => &["network"],
            "mount_view" => &["mount_view"],
            "capabilities" => &["pid_namespace"],
            _ => &["no_such_bound"],
        }
    }

    fn build(&self) -> Result<Build, JailError> {
        Ok(Build::Bare)
    }
}

#[test]
fn a_provider_that_promises_too_much_gets_no_jail() {
    let world = World::new();
    for claim in ["network", "mount_view", "capabilities", "nonsense"] {
        let name = marker();
        let refused = run_with(&Overclaiming(claim), &world.spec(&["/bin/sleep", &name]), |_, _| {});
        assert!(matches!(refused, Err(JailError::Refused { .. })), "{claim}");
        eventually("the refused jail is gone", || processes_with(&name).is_empty());
    }
}

#[test]
fn a_write_outside_leaves_no_file_on_the_host() {
    for provider in promising("mount_view") {
        let world = World::new();
        let mark = format!("cto-outside-{}", marker());
        let places = [
            world.dir.path().join(&mark),
            format!("/tmp/{mark}").into(),
            format!("/usr/{mark}").into(),
            format!("/root/{mark}").into(),
            format!("/var/tmp/{mark}").into(),
            format!("/dev/shm/{mark}").into(),
            format!("/{mark}").into(),
            format!("/etc/{mark}").into(),
        ];
        let script: String = places
            .iter()
            .map(|place| format!("mkdir -p $(dirname {0}); echo x > {0}; ", place.display()))
            .collect();
        run(provider, &world.shell(&script));
        for place in places {
            assert!(!place.exists(), "{}: {}", provider.name(), place.display());
        }
    }
}

#[test]
fn a_listener_on_the_hosts_loopback_gets_no_connection() {
    for provider in promising("network") {
        let world = World::new();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        run(
            provider,
            &world.shell(&format!("exec 3<>/dev/tcp/127.0.0.1/{port}; echo hello >&3")),
        );
        listener.set_nonblocking(true).unwrap();
        let accepted = listener.accept().map(drop).unwrap_err();
        assert_eq!(accepted.kind(), ErrorKind::WouldBlock, "{}", provider.name());
    }
}

#[test]
fn a_leaked_descriptor_is_invisible() {
    let file = fs::File::open("/etc").unwrap();
    let leaked = rustix::io::fcntl_dupfd_cloexec(&file, 239).unwrap();
    rustix::io::fcntl_setfd(&leaked, rustix::io::FdFlags::empty()).unwrap();
    for provider in PROVIDERS {
        let world = World::new();
        let outcome = run(*provider, &world.shell("echo /proc/self/fd/*"));
        let numbers: Vec<_> = outcome.stdout.split_whitespace().collect();
        // The shell itself opens the directory to list it.
        let expected = [
            "/proc/self/fd/0",
            "/proc/self/fd/1",
            "/proc/self/fd/2",
            "/proc/self/fd/3",
        ];
        assert_eq!(numbers, expected, "{}", provider.name());
    }
}

#[test]
fn a_sysctl_stays_as_it_is() {
    let path = "/proc/sys/kernel/printk_ratelimit_burst";
    let before = fs::read_to_string(path).unwrap();
    for provider in PROVIDERS {
        let world = World::new();
        run(
            *provider,
            &world.shell(&format!("echo 4711 > {path}; echo 4711 >/proc/self/root{path}")),
        );
        assert_eq!(fs::read_to_string(path).unwrap(), before, "{}", provider.name());
    }
}

#[test]
fn the_environment_is_the_specified_one() {
    for provider in PROVIDERS {
        let world = World::new();
        let mut spec = world.spec(&["/usr/bin/env"]);
        spec.env = vec![("A".into(), "b c".into()), ("EMPTY".into(), "".into())];
        assert_eq!(run(*provider, &spec).stdout, "A=b c\nEMPTY=\n", "{}", provider.name());
    }
}

#[test]
fn a_program_is_found_by_its_name_in_the_specified_path() {
    for provider in PROVIDERS {
        let world = World::new();
        assert_eq!(run(*provider, &world.spec(&["echo", "found"])).stdout, "found\n");
    }
}

#[test]
fn an_embedded_function_runs_under_the_same_locks() {
    for provider in PROVIDERS {
        let world = World::new();
        let mut spec = world.spec(&[]);
        spec.program = Program::Embedded {
            name: "answer".to_owned(),
            input: "x".to_owned(),
        };
        let outcome = run(*provider, &spec);
        assert_eq!(outcome.exited.code, Some(42), "{}: {}", provider.name(), outcome.stderr);
        assert_eq!(outcome.stdout, "the answer to x\n");
        spec.program = Program::Embedded {
            name: "unknown".to_owned(),
            input: String::new(),
        };
        assert_eq!(run(*provider, &spec).exited.code, Some(127));
    }
}

#[test]
fn the_workspace_can_be_written_and_its_source_stays() {
    for provider in PROVIDERS {
        let world = World::new();
        let script = "echo changed > README && rm src/main.py && mkdir new && echo x > new/file && cat trap/hostname";
        let outcome = run(*provider, &world.shell(script));
        assert_eq!(outcome.exited.code, Some(0), "{}: {}", provider.name(), outcome.stderr);
        assert_eq!(content(outcome.exports.workspace.as_fd(), "README"), "changed\n");
        assert_eq!(content(outcome.exports.workspace.as_fd(), "new/file"), "x\n");
        assert_eq!(fs::read_to_string(world.lower().join("README")).unwrap(), "hello\n");
        assert!(world.lower().join("src/main.py").exists());
        assert!(!world.lower().join("new").exists());
    }
}

#[test]
fn the_home_directory_is_private_and_outlives_the_jail() {
    for provider in PROVIDERS {
        let world = World::new();
        let outcome = run(*provider, &world.shell("echo session > $HOME/log"));
        assert_eq!(outcome.exited.code, Some(0), "{}: {}", provider.name(), outcome.stderr);
        assert_eq!(
            content(outcome.exports.home.as_fd(), "log"),
            "session\n",
            "{}",
            provider.name()
        );
    }
}

#[test]
fn the_self_test_finds_no_way_out() {
    for provider in promising("mount_view") {
        let world = World::new();
        let result = self_test(provider, &reexec(), world.dir.path(), "test-a").unwrap();
        let failures: Vec<_> = result.failures().collect();
        assert!(failures.is_empty(), "{}: {failures:#?}", provider.name());
        assert!(result.probes.len() > 30);
        assert!(
            result.elapsed_ms < 1000 || said_to_lack("speed"),
            "{} ms",
            result.elapsed_ms
        );
    }
    let world = World::new();
    let bare = self_test(ProviderKind::None.provider(), &reexec(), world.dir.path(), "test-b").unwrap();
    assert!(
        bare.failures().any(|probe| probe.name == "host_tcp_listener"),
        "the probe must be able to fail"
    );
}

#[test]
fn changes_binds_and_frozen_paths_hold_in_every_view() {
    for provider in promising("mount_view") {
        let world = World::new();
        let outside = world.dir.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("tool"), "patched\n").unwrap();
        let mut spec = world.shell(
            "cat README /opt/tools/tool trap/x; \
             echo x > src/main.py; rm -f src/main.py; mv src/main.py m; echo x > /opt/tools/new; \
             cat src/main.py; test -e src/deep || echo gone",
        );
        let file = |path: &str| Change::File {
            path: path.into(),
            mode: 0o644,
            source: outside.join("tool"),
        };
        spec.changes = vec![
            file("README"),
            file("trap/x"),
            Change::Remove {
                path: "src/deep".into(),
            },
        ];
        spec.read_only = vec!["src/main.py".into(), "missing".into()];
        spec.binds = vec![Bind {
            source: outside.clone(),
            target: "/opt/tools".into(),
            read_only: true,
        }];
        let outcome = run(provider, &spec);
        let expected = "patched\npatched\npatched\nprint('hello')\ngone\n";
        assert_eq!(outcome.stdout, expected, "{}: {}", provider.name(), outcome.stderr);
        assert!(!outside.join("new").exists());
        spec.read_only = vec!["trap".into()];
        spec.changes.clear();
        let refused = run_with(provider, &spec, |_, _| {}).err();
        assert!(matches!(refused, Some(JailError::Inner { .. })), "{refused:?}");
    }
    let world = World::new();
    let mut spec = world.spec(&["/bin/true"]);
    spec.read_only = vec!["README".into()];
    let refused = run_with(ProviderKind::None.provider(), &spec, |_, _| {}).err();
    assert!(matches!(refused, Some(JailError::Missing { .. })), "{refused:?}");
}
