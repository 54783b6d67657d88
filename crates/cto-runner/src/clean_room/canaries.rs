//! Canaries: each verification command must fail when one test that must fail is added.

use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, Scope};

use cto_sandbox::{Change, JailError, PreparedJail};
use cto_schema::{CanaryOutcome, CanaryState, RunLabel, escape};

use super::canary::{self, Hints};
use super::room::{Maker, Room, RoomError};
use super::{Canaried, Verified};

/// The result of applying the contract's canary patch, once for all commands.
type Patched = Option<Result<Vec<Change>, String>>;

/// A canary and the cage that holds it, where one could be made.
struct Caged {
    ready: Ready,
    jail: Result<PreparedJail, JailError>,
}

/// The canary patch applied, and the first command's canary.
struct Made {
    patched: Patched,
    first: Option<Result<Caged, CanaryOutcome>>,
}

impl Made {
    fn make(maker: Maker<'_>, subject: Canaried<'_>) -> Self {
        let patched = subject.canary_patch.map(|apply| apply(subject.collection));
        let contract = maker.plan.contract;
        let first = contract.verification_commands.first();
        let first = first.map(|argv| cage(maker, subject, &patched, 0, argv));
        Self { patched, first }
    }
}

/// The first canary's cage, which is made while the patched tree is verified and holds nothing that runs.
///
/// The kernel kills a cage with the thread that made it, so that thread stays until this is dropped.
pub(super) struct Ahead {
    made: Receiver<Made>,
    _stay: Sender<()>,
}

impl Ahead {
    /// Starts making; `None` where there is no thread to be had, and then it is made in its turn.
    pub(super) fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        maker: Maker<'scope>,
        subject: Canaried<'scope>,
    ) -> Option<Self> {
        let (give, made) = channel();
        let (stay, left) = channel::<()>();
        let thread = Builder::new().spawn_scoped(scope, move || {
            // Where nobody wants it any more it is unmade.
            drop(give.send(Made::make(maker, subject)));
            // Nothing ever comes; the other side's end is the word to go.
            let _gone = left.recv().is_err();
        });
        thread.is_ok().then_some(Self { made, _stay: stay })
    }
}

fn name(index: usize) -> String {
    format!("canary{index}")
}

/// Runs the canary of every command; the contract's own `canary_patch` where none can be made.
pub(super) fn canaries(
    room: &Room<'_>,
    subject: Canaried<'_>,
    ahead: Option<&Ahead>,
    done: &mut Verified,
) -> Result<(), RoomError> {
    let maker = room.maker();
    done.record.log.extend_from_slice(b"== canary ==\n");
    let made = ahead.and_then(|ahead| ahead.made.recv().ok());
    let Made { patched, mut first } = made.unwrap_or_else(|| Made::make(maker, subject));
    for (index, argv) in maker.plan.contract.verification_commands.iter().enumerate() {
        let caged = first.take();
        let caged = caged.unwrap_or_else(|| cage(maker, subject, &patched, index, argv));
        let outcome = match caged {
            Ok(caged) => perform(room, index, argv, caged, done)?,
            Err(outcome) => outcome,
        };
        done.record
            .log
            .extend_from_slice(format!("canary {index}: {}\n", outcome.detail).as_bytes());
        done.verification.canaries.push(outcome);
    }
    Ok(())
}

/// Makes a command's canary and its cage.
fn cage(
    maker: Maker<'_>,
    subject: Canaried<'_>,
    patched: &Patched,
    index: usize,
    argv: &[String],
) -> Result<Caged, CanaryOutcome> {
    let ready = prepare(maker, subject, patched, index, argv)?;
    let jail = maker.make(&name(index), argv, ready.changes.clone());
    Ok(Caged { ready, jail })
}

/// A canary ready to be put into the patched tree.
struct Ready {
    runner: String,
    file: String,
    changes: Vec<Change>,
}

fn prepare(
    maker: Maker<'_>,
    subject: Canaried<'_>,
    patched: &Patched,
    index: usize,
    argv: &[String],
) -> Result<Ready, CanaryOutcome> {
    let collection = subject.collection;
    if let Some(changes) = patched.clone() {
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
        verification_inputs: &maker.plan.contract.verification_inputs,
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

fn stage(subject: Canaried<'_>, index: usize, content: &[u8]) -> io::Result<PathBuf> {
    use std::io::Write as _;
    let path = subject.staging.join(format!("canary-{index}"));
    std::fs::File::create_new(&path)?.write_all(content)?;
    Ok(path)
}

fn perform(
    room: &Room<'_>,
    index: usize,
    argv: &[String],
    caged: Caged,
    done: &mut Verified,
) -> Result<CanaryOutcome, RoomError> {
    let Caged { ready, jail } = caged;
    let mut performed = room.perform_in(&name(index), argv, || jail)?;
    super::room::quote(&mut done.record.log, &performed.output);
    done.record.take(RunLabel::Canary, index, &mut performed.supervised);
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
