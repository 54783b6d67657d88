//! One run of the verification commands over one tree, each command in a cage of its own.

use std::ffi::OsString;
use std::time::Duration;

use cto_sandbox::{Change, JailError, Observe, PreparedJail, Program, Provider, Reexec, prepare};
use cto_schema::{CommandResult, EndedBy, RunLabel, VerificationRun};

use super::record::Record;
use crate::cage::{Cage, CagePlan, Outfit};
use crate::supervise::{Beside, Deadlines, Output, SuperviseError, Supervised, supervise};
use crate::watch::{RunObserver, Stop};

/// Most output of one command that `test.log` keeps.
const OUTPUT_BYTES: u64 = 1 << 20;

/// Where commands are verified: fresh cages over the same frozen baseline.
#[derive(Clone, Copy)]
pub(crate) struct Room<'a> {
    pub(crate) plan: &'a CagePlan<'a>,
    pub(crate) provider: &'a dyn Provider,
    pub(crate) reexec: &'a Reexec,
    pub(crate) stop: &'a Stop,
    pub(crate) observer: &'a dyn RunObserver,
}

/// The clean room failed, not what was verified in it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RoomError {
    /// A cage could not be made.
    #[error("make a cage for verification")]
    Jail(#[from] JailError),
    /// A cage could not be followed.
    #[error("follow a verification command")]
    Supervise(#[from] SuperviseError),
    /// The operator stopped the run.
    #[error("finish verification: the operator stopped the run")]
    Stopped,
}

/// One command's result with its output and what it left.
#[derive(Debug)]
pub(crate) struct Performed {
    pub(crate) result: CommandResult,
    pub(crate) output: Vec<u8>,
    pub(crate) supervised: Supervised,
}

/// What a cage of the room is made of; unlike the room it can go to another thread.
#[derive(Clone, Copy)]
pub(crate) struct Maker<'a> {
    pub(crate) plan: &'a CagePlan<'a>,
    provider: &'a dyn Provider,
    reexec: &'a Reexec,
}

impl Maker<'_> {
    /// Makes the cage of one command over the baseline with changes applied; it waits for the word.
    pub(crate) fn make(&self, name: &str, argv: &[String], changes: Vec<Change>) -> Result<PreparedJail, JailError> {
        let words = argv.iter().map(OsString::from).collect();
        let cage = Cage {
            suffix: name.to_owned(),
            program: Program::Argv(words),
            env: vec![],
            changes,
            observe: Observe::Attempts,
            outfit: Outfit::default(),
        };
        prepare(self.provider, &self.plan.spec(cage), self.reexec)
    }
}

impl<'a> Room<'a> {
    /// Returns what cages are made of.
    pub(crate) fn maker(&self) -> Maker<'a> {
        Maker {
            plan: self.plan,
            provider: self.provider,
            reexec: self.reexec,
        }
    }

    /// Runs one command over the baseline with changes applied.
    pub(crate) fn perform(&self, name: &str, argv: &[String], changes: Vec<Change>) -> Result<Performed, RoomError> {
        self.perform_in(name, argv, || self.maker().make(name, argv, changes))
    }

    /// Runs one command in the cage that `jail` gives.
    pub(crate) fn perform_in(
        &self,
        name: &str,
        argv: &[String],
        jail: impl FnOnce() -> Result<PreparedJail, JailError>,
    ) -> Result<Performed, RoomError> {
        if self.stop.asked() {
            return Err(RoomError::Stopped);
        }
        self.observer.activity(&format!(
            "{name}: {}",
            cto_schema::escape(argv.join(" ").as_bytes(), 100)
        ));
        let jail = jail()?;
        let timeouts = &self.plan.contract.timeouts;
        let deadlines = Deadlines {
            wall: Duration::from_secs(timeouts.verification_seconds.into()),
            idle: None,
            grace: Duration::from_secs(timeouts.grace_seconds.into()).min(Duration::from_secs(2)),
            output: Output {
                keep_bytes: OUTPUT_BYTES,
                limit_bytes: None,
            },
        };
        let supervised = supervise(jail.start()?, deadlines, self.stop, self.observer, Beside::default())?;
        if supervised.ended_by == EndedBy::Cancelled {
            return Err(RoomError::Stopped);
        }
        Ok(performed(argv, supervised))
    }

    /// Runs every command over the same tree, and puts it on record.
    pub(crate) fn perform_all(
        &self,
        label: RunLabel,
        commands: &[Vec<String>],
        changes: &[Change],
        record: &mut Record,
    ) -> Result<(VerificationRun, Vec<Supervised>), RoomError> {
        let mut results = Vec::new();
        let mut ends = Vec::new();
        let title = format!("== {} ==\n", label.word());
        record.log.extend_from_slice(title.as_bytes());
        for (index, argv) in commands.iter().enumerate() {
            let name = format!("{}{index}", label.word().replace('_', "-"));
            let mut done = self.perform(&name, argv, changes.to_vec())?;
            append(&mut record.log, &done);
            record.take(label, index, &mut done.supervised);
            results.push(done.result);
            ends.push(done.supervised);
        }
        Ok((
            VerificationRun {
                label,
                cached: false,
                commands: results,
            },
            ends,
        ))
    }
}

fn performed(argv: &[String], supervised: Supervised) -> Performed {
    let exited = &supervised.exited;
    let timed_out = supervised.ended_by == EndedBy::Timeout;
    let start_error = exited.exec_failed.map(|errno| {
        format!(
            "'{}': {}",
            cto_schema::escape(argv[0].as_bytes(), 100),
            std::io::Error::from_raw_os_error(errno)
        )
    });
    let lost = exited.init_lost.then(|| "the sandbox was lost".to_owned());
    let start_error = start_error.or(lost);
    let result = CommandResult {
        argv: argv.to_vec(),
        exit_code: exited.code.filter(|_| start_error.is_none()),
        signal: exited.signal,
        duration_ms: u32::try_from(supervised.duration.as_millis()).unwrap_or(u32::MAX),
        timed_out,
        passed: exited.code == Some(0) && !timed_out && start_error.is_none(),
        start_error,
    };
    let mut output = supervised.stdout.bytes();
    output.extend(supervised.stderr.bytes());
    Performed {
        result,
        output,
        supervised,
    }
}

fn append(log: &mut Vec<u8>, done: &Performed) {
    let result = &done.result;
    let end = match (&result.start_error, result.timed_out, result.exit_code, result.signal) {
        (Some(error), ..) => format!("could not be started: {error}"),
        (None, true, ..) => "stopped: time limit exceeded".to_owned(),
        (None, false, Some(code), _) => format!("exit {code}"),
        (None, false, None, signal) => format!("ended by signal {}", signal.unwrap_or(0)),
    };
    let argv = cto_schema::escape(result.argv.join(" ").as_bytes(), 400);
    log.extend_from_slice(format!("$ {argv}\n[{end}, {} ms]\n", result.duration_ms).as_bytes());
    quote(log, &done.output);
}

/// Appends output as a quotation, line by line, so that nothing a command prints reads as a line of the harness.
pub(super) fn quote(log: &mut Vec<u8>, output: &[u8]) {
    let lines = output.strip_suffix(b"\n").unwrap_or(output);
    if lines.is_empty() {
        return;
    }
    for line in lines.split(|byte| *byte == b'\n') {
        log.extend_from_slice(b"| ");
        log.extend_from_slice(line);
        log.push(b'\n');
    }
}
