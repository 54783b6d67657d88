//! What the engine tried and the bounds refused, as events; and which of it is a forbidden action.

use cto_sandbox::{Act, Address, Observation};
use cto_schema::{EventType, ForbiddenAttempt, escape};
use serde_json::{Value, json};

/// Most events of refused acts; more are counted in the last one.
const MAX_EVENTS: usize = 200;
/// Longest text of one field.
const MAX_TEXT: usize = 400;

/// Most distinct attempts that are named.
const MAX_ATTEMPTS: usize = 100;

/// Refusals as evidence. Acts are judged as they come, so that a flood of them costs no memory and hides nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Refusals {
    /// Events, in order.
    events: Vec<(EventType, Value)>,
    /// Attempts that break the contract.
    forbidden: Vec<ForbiddenAttempt>,
    suppressed: u64,
}

impl Refusals {
    /// Judges one act.
    ///
    /// A refused connection by the cage's own executable is only `bound.refused`: real agents call home. The same by
    /// a process that it started is a forbidden action (spec 06).
    pub(crate) fn take(&mut self, observation: &Observation) {
        let Some((kind, mut data, attempt)) = judge(observation) else {
            return;
        };
        // The first of each action is kept whatever came before it.
        let new = attempt.filter(|attempt| {
            let known = self.forbidden.iter().any(|known| known.action == attempt.action);
            !known || (self.forbidden.len() < MAX_ATTEMPTS && !self.forbidden.contains(attempt))
        });
        let first = new.is_some();
        self.forbidden.extend(new);
        if self.events.len() >= MAX_EVENTS && !first {
            self.suppressed += 1;
            return;
        }
        let program = observation
            .exe
            .as_ref()
            .map(|exe| shown(exe.as_os_str().as_encoded_bytes()));
        data["pid"] = json!(observation.pid);
        data["program"] = json!(program);
        data["by_engine_executable"] = json!(observation.by_engine);
        self.events.push((kind, data));
    }

    /// Returns events and attempts; the last event says how many were not listed.
    pub(crate) fn finish(mut self) -> (Vec<(EventType, Value)>, Vec<ForbiddenAttempt>) {
        if self.suppressed > 0 {
            let detail = format!("{} more refusals were not listed", self.suppressed);
            self.events.push((
                EventType::BoundRefused,
                json!({ "act": "suppressed", "detail": detail }),
            ));
        }
        (self.events, self.forbidden)
    }
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
            let detail = format!("a child process tried to reach {address}");
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
            path,
            argv,
            initial: false,
        } => {
            let words: Vec<String> = argv.iter().map(|word| shown(word)).collect();
            // A program is what its file says as well as what it calls itself.
            let mut by_path = words.clone();
            let file = shown(path.as_os_str().as_encoded_bytes());
            match by_path.first_mut() {
                Some(first) => first.clone_from(&file),
                None => by_path.push(file.clone()),
            }
            let action = forbidden_action(&words).or_else(|| forbidden_action(&by_path))?;
            let line = format!("{file}: {}", words.join(" "));
            let data =
                json!({ "action": action, "act": "exec", "command": line, "outcome": "no network, no credentials" });
            let attempt = ForbiddenAttempt {
                action: action.to_owned(),
                detail: line,
            };
            Some((EventType::ForbiddenActionAttempted, data, Some(attempt)))
        }
        // A process that hides what it starts or whom it calls cannot be told from one that breaks the contract.
        Act::Unreadable { call }
            if matches!(
                *call,
                "execve" | "execveat" | "connect" | "sendto" | "sendmsg" | "sendmmsg"
            ) =>
        {
            let data = json!({ "act": "unreadable", "call": call, "outcome": "its arguments could not be read" });
            let detail = format!("the arguments of {call} could not be read by the observer");
            let attempt = ForbiddenAttempt {
                action: "hide_from_observation".to_owned(),
                detail,
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
        Address::Internet { .. } if address.is_name_lookup() => "a host by its name".to_owned(),
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

    fn refusals(observations: &[Observation]) -> (Vec<(EventType, Value)>, Vec<ForbiddenAttempt>) {
        let mut refusals = Refusals::default();
        observations.iter().for_each(|observation| refusals.take(observation));
        refusals.finish()
    }

    fn exec(path: &str, argv: &[&str]) -> Observation {
        let argv = argv.iter().map(|word| word.as_bytes().to_vec()).collect();
        let act = Act::Exec {
            path: path.into(),
            argv,
            initial: false,
        };
        Observation {
            pid: 7,
            exe: None,
            by_engine: false,
            act,
        }
    }

    #[test]
    fn a_program_is_known_by_its_file_and_by_its_name_and_no_flood_hides_it() {
        assert_eq!(
            refusals(&[exec("/usr/bin/git", &["status", "push"])]).1[0].action,
            "push"
        );
        assert_eq!(refusals(&[exec("/tmp/g", &["git", "push"])]).1[0].action, "push");
        let mut flood: Vec<Observation> = (0..5000).map(|_| reach(true)).collect();
        flood.push(exec("/usr/bin/git", &["git", "push"]));
        let (events, forbidden) = refusals(&flood);
        assert_eq!(forbidden.len(), 1);
        assert!(events.len() <= MAX_EVENTS + 2);
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
        assert_eq!((own.0[0].0, own.1.len()), (EventType::BoundRefused, 0));
        let child = refusals(&[reach(false), reach(false)]);
        assert_eq!((child.0[0].0, child.1.len()), (EventType::ForbiddenActionAttempted, 1));
    }

    #[test]
    fn a_flood_of_refusals_is_counted_not_listed() {
        let flood: Vec<Observation> = (0..1000).map(|_| reach(true)).collect();
        let events = refusals(&flood).0;
        assert_eq!(events.len(), MAX_EVENTS + 1);
        assert!(events[MAX_EVENTS].1["detail"].as_str().unwrap().starts_with("800 more"));
    }
}
