//! External validators: configured commands, run in the workspace without a shell, ended when they take too long.

use std::io::Read;
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use cto_schema::{ExternalValidator, RuleId, WorkspaceFinding, WorkspaceRules, escape};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

/// How much of the end of its output is kept.
const SAID_BYTES: usize = 2000;
/// How long its output is waited for once it has ended: a process that it left may hold the pipe.
const OUTPUT_PATIENCE: Duration = Duration::from_secs(1);

/// Runs the configured validators; returns how many ran, and what is wrong.
pub(super) fn run(
    workspace: &Path,
    rules: &WorkspaceRules,
    allowed: bool,
    source: &str,
) -> (u32, Vec<WorkspaceFinding>) {
    let mut found = Vec::new();
    let mut ran = 0;
    for validator in &rules.validators {
        let name = escape(validator.name.as_bytes(), 80);
        let finding = |rule, message: String, mend: &str| WorkspaceFinding {
            file: source.to_owned(),
            line: None,
            rule,
            message: escape(message.as_bytes(), 1200),
            mend: mend.to_owned(),
        };
        if !allowed {
            found.push(finding(
                RuleId::ValidatorNotRun,
                format!("the validator '{name}' was not run: {}", validator.command.join(" ")),
                "read the command, and run: cto workspace validate --run-validators",
            ));
            continue;
        }
        ran += 1;
        if let Err(reason) = run_one(workspace, validator) {
            found.push(finding(
                RuleId::ValidatorFailed,
                format!("the validator '{name}' {reason}"),
                "mend what it complains about, or correct its command or timeout in the rules file",
            ));
        }
    }
    (ran, found)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the operator's own command, run because the operator said so on the command line"
)]
fn run_one(workspace: &Path, validator: &ExternalValidator) -> Result<(), String> {
    let (program, arguments) = validator.command.split_first().ok_or("has no command")?;
    let program = if program.contains('/') {
        workspace.join(program)
    } else {
        program.into()
    };
    let (reader, writer) = std::io::pipe().map_err(|error| format!("could not be started: {error}"))?;
    let copy = writer
        .try_clone()
        .map_err(|error| format!("could not be started: {error}"))?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(workspace)
        .env_clear()
        .envs([
            ("PATH", "/usr/local/bin:/usr/bin:/bin"),
            ("LANG", "C.UTF-8"),
            ("HOME", "/nonexistent"),
        ])
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(copy)
        .process_group(0);
    let started = cto_sandbox::end_with_parent(&mut command).spawn();
    // The command holds the writing ends of the pipe; the reader below would wait for them for ever.
    drop(command);
    let mut child = started.map_err(|error| format!("could not be started: {error}"))?;
    let said = tail(reader);
    let timeout = Duration::from_secs(u64::from(validator.timeout_seconds));
    let ended = wait(&child, timeout).map_err(|error| error.to_string())?;
    if !ended {
        stop(&mut child);
        return Err(format!("did not end within {} seconds", validator.timeout_seconds));
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    if status.success() {
        return Ok(());
    }
    let said = said.recv_timeout(OUTPUT_PATIENCE).unwrap_or_default();
    let said = String::from_utf8_lossy(&said)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    Err(format!("ended with {status}: {said}"))
}

/// Ends it with everything that it started and that stayed in its group.
fn stop(child: &mut Child) {
    // An end that came by itself in the meantime is no error.
    let _gone = kill_process_group(Pid::from_child(child), Signal::KILL).is_err();
    drop(child.kill());
    drop(child.wait());
}

/// Waits for the end; false when it did not come in time.
fn wait(child: &Child, timeout: Duration) -> std::io::Result<bool> {
    let process = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    let until = Instant::now() + timeout;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(std::io::Error::other)?;
        let mut waited = [PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN)];
        match poll(&mut waited, Some(&left)) {
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
            Ok(count) => return Ok(count > 0),
        }
    }
}

/// Reads output to its end on a thread of its own and hands over the last of it.
fn tail(mut from: impl Read + Send + 'static) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        let mut chunk = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut chunk) {
            kept.extend_from_slice(&chunk[..count]);
            if kept.len() > 4 * SAID_BYTES {
                kept.drain(..kept.len() - SAID_BYTES);
            }
        }
        let cut = kept.len().saturating_sub(SAID_BYTES);
        // Nobody listens to a validator that was good.
        drop(sender.send(kept.split_off(cut)));
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(command: &[&str], timeout_seconds: u32) -> Result<(), String> {
        let place = tempfile::tempdir().unwrap();
        let validator = ExternalValidator {
            name: "test".to_owned(),
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            timeout_seconds,
        };
        run_one(place.path(), &validator)
    }

    #[test]
    fn only_an_exit_of_zero_in_time_is_good() {
        assert_eq!(run(&["true"], 60), Ok(()));
        let error = run(&["sh", "-c", "echo what is wrong >&2; exit 3"], 60).unwrap_err();
        assert!(error.contains("what is wrong") && error.contains('3'), "{error}");
        let error = run(&["no-such-program-at-all"], 60).unwrap_err();
        assert!(error.contains("could not be started"), "{error}");
        let error = run(&["sh", "-c", "sleep 600 & sleep 600"], 1).unwrap_err();
        assert!(error.contains("did not end within 1 seconds"), "{error}");
        assert!(run(&["sh", "-c", "kill -9 $$"], 60).is_err());
    }

    #[test]
    fn a_process_that_stays_behind_with_the_pipe_is_not_waited_for() {
        let begun = Instant::now();
        assert!(run(&["sh", "-c", "sleep 60 & exit 1"], 30).is_err());
        assert!(begun.elapsed() < Duration::from_secs(25));
    }
}
