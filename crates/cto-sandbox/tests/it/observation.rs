//! What a jailed program does is told, and none of it goes on because of that.

use std::net::IpAddr;

use cto_sandbox::{Act, Address, Observation, Observe};

use crate::conformance::promising;
use crate::world::{Outcome, World, run};

fn observed(script: &str) -> Vec<(&'static str, Outcome)> {
    promising("mount_view")
        .map(|provider| {
            let world = World::new();
            let mut spec = world.shell(script);
            spec.observe = Observe::Everything;
            (provider.name(), run(provider, &spec))
        })
        .collect()
}

fn find(outcome: &Outcome, wanted: impl Fn(&Act) -> bool) -> Option<&Observation> {
    outcome.observations.iter().find(|observation| wanted(&observation.act))
}

#[test]
fn tells_of_a_connection_and_that_it_was_refused() {
    for (provider, outcome) in observed(": > /dev/tcp/169.254.169.254/80; : > /dev/tcp/127.0.0.1/9") {
        let to = |wanted: &str, act: &Act| {
            let wanted: IpAddr = wanted.parse().unwrap();
            matches!(act, Act::Reach { address: Address::Internet { ip, .. }, .. } if *ip == wanted)
        };
        let outside = find(&outcome, |act| to("169.254.169.254", act)).expect(provider);
        assert!(matches!(
            outside.act,
            Act::Reach {
                call: "connect",
                address: Address::Internet { port: 80, .. },
                refused: true
            }
        ));
        assert!(outside.by_engine, "{outside:?}");
        let inside = find(&outcome, |act| to("127.0.0.1", act)).expect(provider);
        assert!(matches!(inside.act, Act::Reach { refused: false, .. }), "{inside:?}");
    }
}

#[test]
fn tells_of_every_program_that_is_run() {
    for (provider, outcome) in observed("/usr/bin/env printf %s x; exit 0") {
        let execs: Vec<_> = outcome
            .observations
            .iter()
            .filter_map(|observation| match &observation.act {
                Act::Exec { path, argv, initial } => Some((path.as_path(), argv, *initial)),
                _ => None,
            })
            .collect();
        assert_eq!(execs[0].0.to_str(), Some("/bin/bash"), "{provider}");
        assert!(execs[0].2);
        let env = execs.iter().find(|exec| exec.0.ends_with("env")).expect(provider);
        assert_eq!(env.1[1], b"printf");
        assert!(!env.2);
    }
}

#[test]
fn tells_of_a_write_outside_and_of_one_inside() {
    for (provider, outcome) in observed("echo x > /usr/x; echo x > inside; rm -f /etc/passwd; mv inside moved") {
        let told = |wanted: &str, wanted_outside: bool| {
            find(
                &outcome,
                |act| matches!(act, Act::Write { path, outside, .. } if path.to_str() == Some(wanted) && *outside == wanted_outside),
            )
        };
        assert!(told("/usr/x", true).is_some(), "{provider} {:?}", outcome.observations);
        assert!(told("/workspace/inside", false).is_some(), "{provider}");
        assert!(told("/etc/passwd", true).is_some(), "{provider}");
        assert!(told("/workspace/moved", false).is_some(), "{provider}");
    }
}

#[test]
fn tells_of_a_denied_call_which_stays_denied() {
    for (provider, outcome) in observed("unshare -U true; echo $?") {
        let denied = find(&outcome, |act| {
            matches!(
                act,
                Act::Denied {
                    call: "unshare",
                    errno: 1
                }
            )
        });
        assert!(denied.is_some(), "{provider}: {:?}", outcome.observations);
        assert_eq!(outcome.stdout, "1\n", "{provider}");
    }
}

#[test]
fn a_flood_is_counted_and_does_not_block() {
    for (provider, outcome) in observed("for i in $(seq 1500); do : > /dev/null; done; echo done") {
        assert_eq!(outcome.stdout, "done\n", "{provider}");
        let kept = outcome
            .observations
            .iter()
            .filter(|seen| matches!(seen.act, Act::Write { outside: false, .. }));
        assert_eq!(kept.count(), 1000, "{provider}");
        assert!(outcome.exited.suppressed["write"] >= 500, "{provider}");
    }
}

#[test]
fn a_jail_whose_calls_nobody_reads_can_still_be_killed() {
    let world = World::new();
    for provider in promising("mount_view") {
        let mut spec = world.shell("true; true");
        spec.observe = Observe::Everything;
        let running = cto_sandbox::prepare(provider, &spec, &crate::world::reexec())
            .unwrap()
            .start()
            .unwrap();
        running.kill().unwrap();
        let (exited, _) = running.wait_empty().unwrap();
        assert_eq!(exited.signal, Some(9), "{}", provider.name());
    }
}
