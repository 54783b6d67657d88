//! Canaries: each verification command must fail when one test that must fail is added.

use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use cto_sandbox::Change;
use cto_schema::{CanaryOutcome, CanaryState, escape};

use super::canary::{self, Hints};
use super::room::{Room, RoomError};
use super::{Subject, Verified};

/// Runs the canary of every command; the contract's own `canary_patch` where none can be made.
pub(super) fn canaries(room: &Room<'_>, subject: &Subject<'_>, done: &mut Verified) -> Result<(), RoomError> {
    let contract = room.plan.contract;
    done.log.extend_from_slice(b"== canary ==\n");
    for (index, argv) in contract.verification_commands.iter().enumerate() {
        let outcome = match prepare(room, subject, index, argv) {
            Ok(ready) => perform(room, index, argv, ready, done)?,
            Err(outcome) => outcome,
        };
        done.log
            .extend_from_slice(format!("canary {index}: {}\n", outcome.detail).as_bytes());
        done.verification.canaries.push(outcome);
    }
    Ok(())
}

/// A canary ready to be put into the patched tree.
struct Ready {
    runner: String,
    file: String,
    changes: Vec<Change>,
}

fn prepare(room: &Room<'_>, subject: &Subject<'_>, index: usize, argv: &[String]) -> Result<Ready, CanaryOutcome> {
    let collection = subject.collection;
    if room.plan.contract.canary_patch.is_some() {
        let changes = collection
            .canary_patch
            .clone()
            .unwrap_or_else(|| Err("it was not applied".to_owned()));
        let changes = changes.map_err(|error| outcome(index, "canary_patch", "", CanaryState::Unusable, &error))?;
        let mut all = collection.changes.clone();
        all.extend(changes);
        return Ok(Ready {
            runner: "canary_patch".to_owned(),
            file: String::new(),
            changes: all,
        });
    }
    let hints = Hints {
        changed: &collection.changed_paths,
        verification_inputs: &room.plan.contract.verification_inputs,
    };
    let mut seed = [0u8; 8];
    let drawn = getrandom::fill(&mut seed).map_err(|error| error.to_string());
    drawn.map_err(|error| outcome(index, "", "", CanaryState::Unusable, &error))?;
    let made = canary::generate(&collection.tree, argv, hints, seed);
    let made = made.map_err(|none| outcome(index, "", "", CanaryState::NotGenerated, &none.to_string()))?;
    let file = escape(&made.file, 400);
    let source = stage(subject, index, &made.content)
        .map_err(|error| outcome(index, made.runner, &file, CanaryState::Unusable, &error.to_string()))?;
    let path = PathBuf::from(std::ffi::OsStr::from_bytes(&made.file));
    let mut changes = collection.changes.clone();
    changes.push(Change::File {
        path,
        mode: 0o644,
        source,
    });
    Ok(Ready {
        runner: made.runner.to_owned(),
        file,
        changes,
    })
}

fn stage(subject: &Subject<'_>, index: usize, content: &[u8]) -> io::Result<PathBuf> {
    use std::io::Write as _;
    let path = subject.staging.join(format!("canary-{index}"));
    std::fs::File::create_new(&path)?.write_all(content)?;
    Ok(path)
}

fn perform(
    room: &Room<'_>,
    index: usize,
    argv: &[String],
    ready: Ready,
    done: &mut Verified,
) -> Result<CanaryOutcome, RoomError> {
    let performed = room.perform(&format!("canary{index}"), argv, ready.changes)?;
    done.log.extend_from_slice(&performed.output);
    let result = &performed.result;
    let (state, detail) = match (&result.start_error, result.passed, result.timed_out, result.exit_code) {
        (Some(error), ..) => (
            CanaryState::Unusable,
            format!("the command could not be started: {error}"),
        ),
        (None, _, true, _) => (
            CanaryState::Unusable,
            "the command exceeded its time limit with the canary".to_owned(),
        ),
        (None, true, ..) => (
            CanaryState::Passed,
            format!(
                "'{}' still exited 0 with a test that must fail",
                escape(argv.join(" ").as_bytes(), 200)
            ),
        ),
        (None, false, false, Some(code)) => (
            CanaryState::FailedAsItMust,
            format!("failed as it must, with exit code {code}"),
        ),
        (None, false, false, None) => (
            CanaryState::FailedAsItMust,
            format!("failed as it must, by signal {}", result.signal.unwrap_or(0)),
        ),
    };
    Ok(outcome(index, &ready.runner, &ready.file, state, &detail))
}

fn outcome(index: usize, runner: &str, file: &str, state: CanaryState, detail: &str) -> CanaryOutcome {
    CanaryOutcome {
        command: u32::try_from(index).unwrap_or(u32::MAX),
        runner: runner.to_owned(),
        file: file.to_owned(),
        state,
        detail: detail.to_owned(),
    }
}
