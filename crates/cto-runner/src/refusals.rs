//! What the engine tried and the bounds refused, as events; and which of it is a forbidden action.

use cto_sandbox::{Act, Address, Observation};
use cto_schema::{EventType, ForbiddenAttempt, escape};
use serde_json::{Value, json};

/// Most events of refused acts; more are counted in the last one.
const MAX_EVENTS: usize = 200;
/// Longest text of one field.
const MAX_TEXT: usize = 400;

/// Refusals as evidence.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    /// Events, in order.
    pub(crate) events: Vec<(EventType, Value)>,
    /// Attempts that break the contract.
    pub(crate) forbidden: Vec<ForbiddenAttempt>,
}

/// Translates what was observed in the engine's cage.
///
/// A refused connection by the engine's own executable is only `bound.refused`: real agents call home. The same by a
/// process that it started is a forbidden action (spec 06).
pub(crate) fn refusals(observations: &[Observation]) -> Refusals {
    let mut refusals = Refusals::default();
    let mut suppressed = 0usize;
    for observation in observations {
        let Some((kind, mut data, attempt)) = judge(observation) else {
            continue;
        };
        if let Some(attempt) = attempt.filter(|a| !refusals.forbidden.contains(a)) {
            refusals.forbidden.push(attempt);
        }
        if refusals.events.len() >= MAX_EVENTS {
            suppressed += 1;
            continue;
        }
        data["pid"] = json!(observation.pid);
        data["program"] = json!(
            observation
                .exe
                .as_ref()
                .map(|exe| shown(exe.as_os_str().as_encoded_bytes()))
        );
        data["by_engine_executable"] = json!(observation.by_engine);
        refusals.events.push((kind, data));
    }
    if suppressed > 0 {
        let data = json!({ "act": "suppressed", "detail": format!("{suppressed} more refusals were not listed") });
        refusals.events.push((EventType::BoundRefused, data));
    }
    refusals
}

type Judgement = (EventType, Value, Option<ForbiddenAttempt>);

fn judge(observation: &Observation) -> Option<Judgement> {
    match &observation.act {
        Act::Reach {
            call,
            address,
            refused: true,
        } => {
            let address = shown_address(address);
            let data =
                json!({ "act": "connect", "call": call, "address": address, "outcome": "refused: empty network" });
            if observation.by_engine {
                return Some((EventType::BoundRefused, data, None));
            }
            let detail = format!("a process that the engine started tried to reach {address}");
            let attempt = ForbiddenAttempt {
                action: "reach_other_host".to_owned(),
                detail,
            };
            Some((EventType::ForbiddenActionAttempted, data, Some(attempt)))
        }
        Act::Write {
            call,
            path,
            outside: true,
            ..
        } => {
            let path = shown(path.as_os_str().as_encoded_bytes());
            // Programs open their terminal and their own bookkeeping files; nothing there is anybody's data.
            if path.starts_with("/dev/") || path.starts_with("/proc/") {
                return None;
            }
            let data =
                json!({ "act": "write", "call": call, "path": path, "outcome": "refused: outside the workspace" });
            Some((EventType::BoundRefused, data, None))
        }
        Act::Denied { call, errno } => {
            let data = json!({ "act": "system_call", "call": call, "outcome": format!("refused with errno {errno}") });
            Some((EventType::BoundRefused, data, None))
        }
        Act::Exec {
            argv, initial: false, ..
        } => {
            let words: Vec<String> = argv.iter().map(|word| shown(word)).collect();
            let action = forbidden_action(&words)?;
            let line = words.join(" ");
            let data =
                json!({ "action": action, "act": "exec", "command": line, "outcome": "no network, no credentials" });
            let attempt = ForbiddenAttempt {
                action: action.to_owned(),
                detail: line,
            };
            Some((EventType::ForbiddenActionAttempted, data, Some(attempt)))
        }
        Act::Exec { .. } | Act::Reach { .. } | Act::Write { .. } | Act::Unreadable { .. } => None,
    }
}

fn shown(bytes: &[u8]) -> String {
    escape(bytes, MAX_TEXT)
}

fn shown_address(address: &Address) -> String {
    match address {
        Address::Internet { ip, port } => std::net::SocketAddr::new(*ip, *port).to_string(),
        Address::Unix { name } => format!("unix:{}", shown(name)),
        Address::Other { family } => format!("address family {family}"),
    }
}

/// Recognises programs whose purpose is one of the forbidden actions, by their argv.
fn forbidden_action(argv: &[String]) -> Option<&'static str> {
    let program = argv.first()?.rsplit('/').next()?;
    let words: Vec<&str> = argv[1..]
        .iter()
        .map(String::as_str)
        .filter(|word| !word.starts_with('-'))
        .collect();
    let first = words.first().copied().unwrap_or_default();
    let second = words.get(1).copied().unwrap_or_default();
    match (program, first, second) {
        ("git", _, _) => git_action(&argv[1..]),
        ("gh" | "hub" | "glab", "pr" | "pull-request" | "mr", "close") => Some("close"),
        ("gh" | "hub" | "glab", "pr" | "pull-request" | "mr", "merge") => Some("merge"),
        ("gh" | "hub" | "glab", "issue", "close") => Some("issue_close"),
        ("gh" | "hub" | "glab", "auth" | "secret", _) => Some("credential_change"),
        ("gh" | "hub" | "glab", "pr" | "pull-request" | "mr", _) => Some("pr_open"),
        ("gh" | "hub" | "glab", "release", _) => Some("public_publication"),
        ("npm" | "pnpm" | "yarn" | "bun" | "cargo" | "poetry" | "uv" | "gem" | "hatch" | "flit", "publish", _)
        | ("twine", "upload", _)
        | ("gem" | "docker" | "podman", "push", _) => Some("public_publication"),
        ("kubectl", "apply" | "create" | "delete" | "rollout", _)
        | ("helm", "install" | "upgrade", _)
        | ("terraform" | "tofu" | "pulumi", "apply" | "up" | "destroy", _)
        | ("vercel" | "netlify" | "fly" | "flyctl" | "serverless" | "wrangler", "deploy", _) => Some("deploy"),
        _ => None,
    }
}

/// Skips git's global options, some of which take a value.
fn git_action(arguments: &[String]) -> Option<&'static str> {
    let mut words = arguments.iter().map(String::as_str);
    let command = loop {
        match words.next()? {
            "-c" | "-C" | "--git-dir" | "--work-tree" | "--namespace" | "--exec-path" | "--super-prefix" => {
                words.next()?;
            }
            word if word.starts_with('-') => {}
            word => break word,
        }
    };
    match command {
        "push" | "send-pack" | "receive-pack" | "http-push" | "send-email" => Some("push"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(line: &str) -> Option<&'static str> {
        forbidden_action(&line.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn recognises_what_the_contract_forbids_and_leaves_work_alone() {
        for (line, action) in [
            ("/usr/bin/git push origin main", "push"),
            ("git -C /workspace -c a=b push", "push"),
            ("gh pr create --fill", "pr_open"),
            ("gh pr merge 3", "merge"),
            ("npm publish", "public_publication"),
            ("cargo publish --dry-run", "public_publication"),
            ("twine upload dist/x", "public_publication"),
            ("terraform apply", "deploy"),
        ] {
            assert_eq!(argv(line), Some(action), "{line}");
        }
        for line in [
            "git commit -m push",
            "git status",
            "npm test",
            "cargo build",
            "gh --version",
            "python push",
            "git",
        ] {
            assert_eq!(argv(line), None, "{line}");
        }
    }

    fn reach(by_engine: bool) -> Observation {
        let address = Address::Internet {
            ip: [192, 0, 2, 1].into(),
            port: 443,
        };
        let act = Act::Reach {
            call: "connect",
            address,
            refused: true,
        };
        Observation {
            pid: 7,
            exe: None,
            by_engine,
            act,
        }
    }

    #[test]
    fn calling_home_is_refused_and_a_child_that_calls_out_is_forbidden() {
        let own = refusals(&[reach(true)]);
        assert_eq!((own.events[0].0, own.forbidden.len()), (EventType::BoundRefused, 0));
        let child = refusals(&[reach(false), reach(false)]);
        assert_eq!(
            (child.events[0].0, child.forbidden.len()),
            (EventType::ForbiddenActionAttempted, 1)
        );
    }

    #[test]
    fn a_flood_of_refusals_is_counted_not_listed() {
        let flood: Vec<Observation> = (0..1000).map(|_| reach(true)).collect();
        let events = refusals(&flood).events;
        assert_eq!(events.len(), MAX_EVENTS + 1);
        assert!(events[MAX_EVENTS].1["detail"].as_str().unwrap().starts_with("800 more"));
    }
}
