//! The one change that turns the accepted run into a row of the matrix.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use cto_schema::TaskContract;
use rustix::fs::FlockOperation;

use crate::cases::{CaseFileKind, LoadedCase};
use crate::request::Harness;
use crate::run::chain;
use crate::tool::GitCall;
use crate::watch::{RunObserver, Stage, Stop};

/// A changed contract.
#[derive(Clone, Copy, Debug)]
pub(super) enum ContractChange {
    NoCommands,
    CommandThatWrites,
    UnknownField,
}

/// A changed target.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TargetChange {
    Uncommitted,
    Held,
}

/// A changed request.
#[derive(Clone, Copy, Debug)]
pub(super) enum RequestChange {
    CommandWithoutSandbox,
}

/// Somebody who meddles while the run goes on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Interference {
    ObstructPatch,
    CorruptPatch,
    CommitInTarget,
    Cancel,
}

/// A throwaway repository that holds a case's accepted result; removed with the value.
#[derive(Debug)]
pub(crate) struct Throwaway {
    place: tempfile::TempDir,
    lock: Option<File>,
}

impl Throwaway {
    /// Makes a repository with two commits from a case's fixture with its reference edit.
    pub(crate) fn new(harness: &Harness, case: &LoadedCase) -> Result<Self, String> {
        Self::make(harness, case, true)
    }

    /// Makes a repository with two commits from a case's fixture as it is.
    pub(crate) fn unfixed(harness: &Harness, case: &LoadedCase) -> Result<Self, String> {
        Self::make(harness, case, false)
    }

    fn make(harness: &Harness, case: &LoadedCase, fixed: bool) -> Result<Self, String> {
        let place = tempfile::tempdir_in(harness.home.work()).map_err(|error| error.to_string())?;
        let repository = place.path().join("repository");
        fs::create_dir(&repository).map_err(|error| error.to_string())?;
        let git = |arguments: &[&str]| {
            let call = GitCall::new(arguments[0]).args(&arguments[1..]).directory(&repository);
            harness.git.run(call).map(drop).map_err(|error| chain(&error))
        };
        git(&["init", "--quiet", "--initial-branch=main"])?;
        let config = repository.join(".git/config");
        let user = b"[user]\n\tname = fixture\n\temail = fixture@cto.invalid\n";
        append(&config, user).map_err(|error| error.to_string())?;
        for file in case.files.iter().filter(|file| file.kind != CaseFileKind::Link) {
            let path = repository.join(String::from_utf8_lossy(&file.path).as_ref());
            write(&path, &file.bytes).map_err(|error| error.to_string())?;
        }
        git(&["add", "--all"])?;
        git(&["commit", "--quiet", "--message=fixture"])?;
        for (path, content) in case.case.reference_edit.iter().filter(|_| fixed) {
            write(&repository.join(path), content.as_bytes()).map_err(|error| error.to_string())?;
        }
        git(&["commit", "--quiet", "--all", "--allow-empty", "--message=second"])?;
        Ok(Self { place, lock: None })
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.place.path().join("repository")
    }

    /// Moves it on by an empty commit.
    pub(super) fn commit_more(&self, harness: &Harness) -> Result<(), String> {
        let call = GitCall::new("commit").args(["--quiet", "--allow-empty", "--message=moved on"]);
        let moved = harness.git.run(call.directory(&self.path()));
        moved.map(drop).map_err(|error| chain(&error))
    }

    /// Leaves an uncommitted change, or holds the repository as another run would.
    pub(crate) fn change(&mut self, change: TargetChange) -> io::Result<()> {
        match change {
            TargetChange::Uncommitted => append(&self.path().join("strings.py"), b"# uncommitted\n"),
            TargetChange::Held => {
                let held = File::open(self.path())?;
                rustix::fs::flock(&held, FlockOperation::NonBlockingLockExclusive)?;
                self.lock = Some(held);
                Ok(())
            }
        }
    }
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    File::create(path)?.write_all(bytes)
}

fn append(path: &Path, bytes: &[u8]) -> io::Result<()> {
    File::options().append(true).create(true).open(path)?.write_all(bytes)
}

/// Changes a case so that its contract is the changed one.
pub(super) fn change_case(case: &mut LoadedCase, change: ContractChange) {
    match change {
        ContractChange::NoCommands => case.case.verification.clear(),
        ContractChange::CommandThatWrites | ContractChange::UnknownField => {}
    }
}

/// Returns the bytes of a contract file with the change in it.
pub(crate) fn contract_bytes(contract: &TaskContract, unknown_field: bool) -> Vec<u8> {
    let mut value = serde_json::to_value(contract).unwrap_or_default();
    if unknown_field {
        value["allow_everything"] = serde_json::Value::Bool(true);
    }
    value.to_string().into_bytes()
}

/// An observer that meddles at the right moment, by ordinary means that anyone with the same rights has.
#[derive(Debug)]
pub(crate) struct Meddler<'a> {
    pub(super) way: Option<Interference>,
    pub(super) repository: Option<PathBuf>,
    pub(super) stop: &'a Stop,
    /// The bytes of the patch before it was corrupted.
    pub(super) kept: Mutex<Option<Vec<u8>>>,
}

impl<'a> Meddler<'a> {
    /// Meddles in one way, or not at all.
    pub(crate) fn new(way: Option<Interference>, stop: &'a Stop) -> Self {
        Self {
            way,
            repository: None,
            stop,
            kept: Mutex::new(None),
        }
    }
}

impl RunObserver for Meddler<'_> {
    fn stage(&self, stage: Stage, bundle: &Path) {
        let Some(way) = self.way else { return };
        // What fails here makes the row fail, which is what is reported.
        drop(self.meddle(way, stage, bundle));
    }
}

impl Meddler<'_> {
    fn meddle(&self, way: Interference, stage: Stage, bundle: &Path) -> io::Result<()> {
        let patch = bundle.join("patch.diff");
        match (way, stage) {
            (Interference::ObstructPatch, Stage::Collect) => fs::create_dir(&patch),
            (Interference::ObstructPatch, Stage::Seal) => fs::remove_dir(&patch),
            (Interference::CorruptPatch, Stage::Prove) => {
                let bytes = fs::read(&patch)?;
                let mut corrupt = bytes.clone();
                if let Some(at) = corrupt.windows(2).rposition(|pair| pair == b"\n+") {
                    corrupt[at + 2] ^= 1;
                }
                *self.kept.lock().map_err(|_| io::ErrorKind::Other)? = Some(bytes);
                File::create(&patch)?.write_all(&corrupt)
            }
            (Interference::CorruptPatch, Stage::Verify) => {
                let kept = self.kept.lock().map_err(|_| io::ErrorKind::Other)?.take();
                File::create(&patch)?.write_all(&kept.unwrap_or_default())
            }
            (Interference::CommitInTarget, Stage::Verify) => {
                let repository = self.repository.as_ref().ok_or(io::ErrorKind::NotFound)?;
                let head = fs::read(repository.join(".git/refs/heads/main"))?;
                write(&repository.join(".git/refs/heads/intruder"), &head)
            }
            (Interference::Cancel, Stage::Engine) => {
                self.stop.ask();
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
