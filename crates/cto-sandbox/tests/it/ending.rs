//! However a program ends, nothing of it is left, and what is told of its end is true.

use cto_sandbox::PROVIDERS;

use crate::world::{World, marker, processes_with, run, run_with};

#[test]
fn daemons_end_with_the_jail_and_are_reported() {
    for provider in PROVIDERS {
        let world = World::new();
        let (plain, session, double) = (marker(), marker(), marker());
        let script = format!(
            "sleep {plain} & setsid sleep {session} >/dev/null 2>&1 & \
             (setsid bash -c 'trap \"\" TERM HUP; (sleep {double} &) ; sleep {double}' &) ; sleep 0.05; exit 3"
        );
        let outcome = run(*provider, &world.shell(&script));
        assert_eq!(
            outcome.exited.code,
            Some(3),
            "{}: {:?}",
            provider.name(),
            outcome.exited
        );
        for word in [&plain, &session, &double] {
            assert_eq!(processes_with(word), Vec::<String>::new(), "{}", provider.name());
        }
        assert!(
            outcome.exited.survivors_total >= 4,
            "{}: {:?}",
            provider.name(),
            outcome.exited
        );
        let told = outcome
            .exited
            .survivors
            .iter()
            .any(|survivor| survivor.argv.contains(&session));
        assert!(told, "{:?}", outcome.exited.survivors);
        assert!(outcome.exited.cgroup_empty, "{}", provider.name());
    }
}

#[test]
fn a_child_that_ends_within_the_grace_is_no_survivor() {
    for provider in PROVIDERS {
        let world = World::new();
        let mut spec = world.shell("(sleep 0.1) & exit 0");
        spec.limits.survivor_grace_ms = 5000;
        let outcome = run(*provider, &spec);
        assert_eq!((outcome.exited.code, outcome.exited.survivors_total), (Some(0), 0));
    }
}

#[test]
fn a_program_that_ignores_termination_is_killed() {
    for provider in PROVIDERS {
        let world = World::new();
        let spec = world.shell("trap 'echo ignored' TERM; echo ready; while :; do sleep 0.01; done");
        let (mut terminated, mut killed) = (false, false);
        let outcome = run_with(*provider, &spec, |jail, stdout| {
            if stdout.contains("ready") && !terminated {
                jail.terminate().unwrap();
                terminated = true;
            }
            if stdout.contains("ignored") && !killed {
                jail.kill().unwrap();
                killed = true;
            }
        })
        .unwrap();
        assert_eq!(
            (outcome.exited.code, outcome.exited.signal),
            (None, Some(9)),
            "{}",
            provider.name()
        );
    }
}

#[test]
fn termination_reaches_a_program_that_heeds_it() {
    for provider in PROVIDERS {
        let world = World::new();
        let spec = world.shell("trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done");
        let mut terminated = false;
        let outcome = run_with(*provider, &spec, |jail, stdout| {
            if stdout.contains("ready") && !terminated {
                jail.terminate().unwrap();
                terminated = true;
            }
        });
        assert_eq!(outcome.unwrap().exited.code, Some(7), "{}", provider.name());
    }
}

#[test]
fn a_failed_exec_is_not_an_exit_status() {
    for provider in PROVIDERS {
        let world = World::new();
        let missing = run(*provider, &world.spec(&["/usr/bin/no-such-program"]));
        assert_eq!(
            missing.exited.exec_failed,
            Some(2),
            "{}: {:?}",
            provider.name(),
            missing.exited
        );
        let unfound = run(*provider, &world.spec(&["no-such-program"]));
        assert_eq!(unfound.exited.exec_failed, Some(2));
        let no_program = run(*provider, &world.spec(&["./README"]));
        assert_eq!(no_program.exited.exec_failed, Some(13));
        let honest = run(*provider, &world.shell("exit 127"));
        assert_eq!((honest.exited.exec_failed, honest.exited.code), (None, Some(127)));
    }
}
