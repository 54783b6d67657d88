//! What an engine with a model needs of a jail: a listener of its own, private files, and masks.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::path::PathBuf;

use cto_sandbox::{Change, JailError, ProviderKind, prepare};

use crate::conformance::promising;
use crate::world::{World, content, listing, reexec, run, run_with};

const PORT: u16 = 8080;

/// Asks the listener for one line; bash needs no other program for it.
const ASK: &str = "exec 3<>/dev/tcp/127.0.0.1/8080; echo hello >&3; read -r answer <&3; echo \"got $answer\"";

#[test]
fn a_listener_born_inside_is_served_from_outside() {
    for provider in promising("network") {
        let world = World::new();
        let mut spec = world.shell(ASK);
        spec.listen = Some(PORT);
        let mut jail = prepare(provider, &spec, &reexec()).unwrap();
        let listener = TcpListener::from(jail.take_listener().expect("the listener"));
        assert_eq!(listener.local_addr().unwrap().to_string(), "127.0.0.1:8080");
        assert!(jail.exports().listener.is_none(), "it is handed over once");
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut heard = [0; 6];
            stream.read_exact(&mut heard).unwrap();
            stream.write_all(b"from outside\n").unwrap();
            heard
        });
        // A connection that is made before anybody accepts waits; nobody needs to be first.
        let running = jail.start().unwrap();
        assert_eq!(&server.join().unwrap(), b"hello\n", "{}", provider.name());
        let (exited, _) = running.wait_empty().unwrap();
        assert_eq!(exited.code, Some(0), "{}", provider.name());
    }
}

#[test]
fn the_listener_opens_nothing_else() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = other.local_addr().unwrap().port();
    for provider in promising("network") {
        let world = World::new();
        let mut spec = world.shell(&format!(
            "for port in {port} 8081 22; do (exec 3<>/dev/tcp/127.0.0.1/$port) 2>/dev/null && echo open $port; done; \
             (exec 3<>/dev/tcp/192.0.2.1/80) 2>/dev/null && echo reached; echo done"
        ));
        spec.listen = Some(PORT);
        let outcome = run(provider, &spec);
        assert_eq!(outcome.stdout, "done\n", "{}", provider.name());
        let network = outcome.enforcement.bound("network").unwrap();
        assert!(network.how.contains("127.0.0.1:8080"), "{network:?}");
    }
}

#[test]
fn the_engine_holds_no_descriptor_of_the_listener() {
    for provider in promising("network") {
        let world = World::new();
        let mut spec = world.shell("ls /proc/self/fd | wc -l; ls -l /proc/self/fd | grep -c socket");
        spec.listen = Some(PORT);
        let outcome = run(provider, &spec);
        assert!(
            outcome.stdout.ends_with("\n0\n"),
            "{}: {}",
            provider.name(),
            outcome.stdout
        );
    }
}

#[test]
fn private_files_are_there_before_the_program() {
    for provider in promising("mount_view") {
        let world = World::new();
        let host_file = world.dir.path().join("host");
        fs::write(&host_file, "of the host\n").unwrap();
        let mut spec =
            world.shell("cat ~/.agent/config.toml ~/.agent/host in-workspace; stat -c '%a %u' ~/.agent/config.toml; id -u; echo x > ~/.agent/new");
        spec.home = vec![
            Change::Content {
                path: ".agent/config.toml".into(),
                mode: 0o600,
                bytes: b"model = \"m\"\n".to_vec(),
            },
            Change::File {
                path: ".agent/host".into(),
                mode: 0o644,
                source: host_file,
            },
        ];
        spec.changes = vec![Change::Content {
            path: "in-workspace".into(),
            mode: 0o644,
            bytes: b"of the workspace\n".to_vec(),
        }];
        let outcome = run(provider, &spec);
        let lines: Vec<&str> = outcome.stdout.lines().collect();
        assert_eq!(
            lines[..3],
            ["model = \"m\"", "of the host", "of the workspace"],
            "{}",
            provider.name()
        );
        assert_eq!(lines[3], format!("600 {}", lines[4]), "the engine owns its files");
        assert_eq!(
            content(outcome.exports.home.as_fd(), ".agent/new"),
            "x\n",
            "{}",
            outcome.stderr
        );
    }
}

#[test]
fn a_mask_hides_what_is_there_and_cannot_be_lifted() {
    for provider in promising("mount_view") {
        let world = World::new();
        let lower = world.lower();
        fs::create_dir_all(lower.join(".agent/plugin")).unwrap();
        fs::write(lower.join(".agent/plugin/evil.js"), "evil").unwrap();
        fs::write(lower.join("agent.json"), "{\"baseURL\": \"http://elsewhere\"}").unwrap();
        world.give(&lower);
        let mut spec = world.shell(
            "ls -A .agent; cat agent.json; echo x > agent.json; echo x > .agent/y; rm -rf .agent agent.json; mv .agent other; \
             mv agent.json other; echo fine > kept; ls -A",
        );
        spec.masks = [".agent", "agent.json", "absent", "src/absent", "absent/deeper"]
            .iter()
            .map(PathBuf::from)
            .collect();
        let outcome = run(provider, &spec);
        let expected = [PathBuf::from(".agent"), PathBuf::from("agent.json")];
        assert_eq!(outcome.exports.masked, expected, "{}", provider.name());
        assert_eq!(
            outcome.stdout,
            ".agent\nREADME\nagent.json\nkept\nsrc\ntrap\n",
            "{}: {}",
            provider.name(),
            outcome.stderr
        );
        if let Some(upper) = &outcome.exports.upper {
            assert_eq!(listing(upper.as_fd()), ["kept"]);
        }
    }
}

#[test]
fn a_mask_that_is_a_link_gets_no_jail() {
    for provider in promising("mount_view") {
        let world = World::new();
        std::os::unix::fs::symlink("src", world.lower().join(".agent")).unwrap();
        world.give(&world.lower());
        let mut spec = world.shell("true");
        spec.masks = vec![".agent".into()];
        let refused = run_with(provider, &spec, |_, _| {});
        assert!(refused.is_err(), "{}", provider.name());
    }
}

#[test]
fn without_a_network_or_a_view_there_is_neither() {
    let world = World::new();
    let none = ProviderKind::None.provider();
    for change in [0, 1] {
        let mut spec = world.shell("true");
        if change == 0 {
            spec.listen = Some(PORT);
        } else {
            spec.masks = vec![".agent".into()];
        }
        let refused = run_with(none, &spec, |_, _| {});
        assert!(matches!(refused, Err(JailError::Missing { .. })));
    }
}

#[test]
fn the_root_of_the_view_can_be_the_starting_directory() {
    for provider in promising("mount_view") {
        let world = World::new();
        let mut spec = world.shell("pwd");
        spec.workdir = "/".into();
        assert_eq!(run(provider, &spec).stdout, "/\n", "{}", provider.name());
    }
}
