//! Where imports are made: one at a time, in a temporary directory that says which run it is about.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use cto_schema::{RunId, escape};
use rustix::fs::FlockOperation;

use super::{ImportError, open_directory};
use crate::bundle::Bundle;
use crate::durable;
use crate::home::Home;
use crate::ledger::Ledger;
use crate::outcome::{beside_name, copy_beside};

/// Where the bundle is unpacked before its name is known.
const UNPACKED: &str = "unpacked";
/// Says which run is being placed; while it is there and the ledger does not list the run, the run is not here.
const PLACING: &str = "placing";

/// The only import that is being made. The kernel releases it on death.
pub(super) struct Place {
    root: PathBuf,
    dir: OwnedFd,
    _lock: File,
}

/// A bundle in its temporary directory.
pub(super) struct Unpacked {
    pub(super) run_id: RunId,
    pub(super) path: PathBuf,
    temporary: String,
    dir: OwnedFd,
    root: OwnedFd,
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        // What stays is removed by the next import or recovery.
        durable::remove_tree_at(&self.root, &self.temporary).unwrap_or_default();
    }
}

impl Place {
    /// Waits until no other import is being made.
    pub(super) fn take(home: &Home) -> Result<Self, ImportError> {
        Self::locked(home, FlockOperation::LockExclusive)
    }

    fn locked(home: &Home, operation: FlockOperation) -> Result<Self, ImportError> {
        let root = home.imported();
        let lock = File::from(open_directory(&root)?);
        rustix::fs::flock(&lock, operation).map_err(|errno| ImportError::Io {
            path: root.clone(),
            source: errno.into(),
        })?;
        let dir = home
            .imported_dir()
            .try_clone_to_owned()
            .map_err(|source| ImportError::Io {
                path: root.clone(),
                source,
            })?;
        Ok(Self { root, dir, _lock: lock })
    }

    fn failed(&self, source: io::Error) -> ImportError {
        ImportError::Io {
            path: self.root.clone(),
            source,
        }
    }

    /// Removes what a dead import left; returns how many there were.
    pub(super) fn sweep(&self, home: &Home) -> Result<u64, ImportError> {
        let names = durable::names(&self.dir).map_err(|source| self.failed(source))?;
        let mut swept = 0;
        for temporary in names.iter().filter(|name| name.starts_with(durable::TEMPORARY_PREFIX)) {
            let placing = match durable::open_dir_at(&self.dir, temporary) {
                Ok(dir) => durable::read_if_present_at(&dir, PLACING).map_err(|source| self.failed(source))?,
                Err(_) => None,
            };
            let run_id: Option<RunId> = placing.and_then(|text| String::from_utf8(text).ok()?.trim().parse().ok());
            if let Some(run_id) = run_id {
                let listed = Ledger::open(home)?
                    .imports()?
                    .iter()
                    .any(|entry| entry.run_id == run_id);
                if !listed {
                    for name in [run_id.to_string(), beside_name(&run_id)] {
                        durable::remove_tree_at(&self.dir, &name).map_err(|source| self.failed(source))?;
                    }
                    durable::sync_dir(&self.dir).map_err(|source| self.failed(source))?;
                }
            }
            durable::remove_tree_at(&self.dir, temporary).map_err(|source| self.failed(source))?;
            swept += 1;
        }
        Ok(swept)
    }

    /// Unpacks a bundle, durably, and gives it its run's name.
    pub(super) fn unpack(&self, from: &Path) -> Result<Unpacked, ImportError> {
        let failed = |source| self.failed(source);
        let temporary = durable::make_temporary_dir_at(&self.dir).map_err(failed)?;
        let dir = durable::open_dir_at(&self.dir, &temporary).map_err(failed)?;
        let root = self.dir.try_clone().map_err(failed)?;
        // From here on, dropping it removes it.
        let mut unpacked = Unpacked {
            run_id: PLACEHOLDER
                .parse()
                .map_err(|_| self.failed(io::ErrorKind::Other.into()))?,
            path: self.root.join(&temporary),
            temporary,
            dir,
            root,
        };
        durable::make_dir_at(&unpacked.dir, UNPACKED).map_err(failed)?;
        let into = durable::open_dir_at(&unpacked.dir, UNPACKED).map_err(failed)?;
        let bundle = Bundle::unpack(from, into)?;
        if let Some(problem) = bundle.problems.first() {
            return Err(ImportError::Form {
                problem: problem.clone(),
            });
        }
        unpacked.run_id = bundle.name().parse().map_err(|_| ImportError::Name {
            name: escape(bundle.name().as_bytes(), 200),
        })?;
        durable::rename_new(&unpacked.dir, UNPACKED, unpacked.run_id.as_str()).map_err(failed)?;
        durable::sync_dir(&unpacked.dir).map_err(failed)?;
        unpacked.path = unpacked.path.join(unpacked.run_id.as_str());
        Ok(unpacked)
    }

    /// Moves a bundle to its place, with what lies beside it; it counts only when the ledger lists it.
    pub(super) fn settle(&self, unpacked: &Unpacked, from: &Path) -> Result<PathBuf, ImportError> {
        let failed = |source| self.failed(source);
        let run_id = unpacked.run_id.as_str();
        for name in [run_id.to_owned(), beside_name(&unpacked.run_id)] {
            if durable::exists_at(&self.dir, &name).map_err(failed)? {
                return Err(ImportError::InTheWay {
                    path: self.root.join(name),
                });
            }
        }
        let word = beside_name(&unpacked.run_id);
        let has_word = copy_beside(from, &unpacked.dir, &word)?;
        durable::write_new(&unpacked.dir, PLACING, run_id.as_bytes()).map_err(failed)?;
        durable::sync_dir(&self.dir).map_err(failed)?;
        if has_word {
            durable::rename_new_across(&unpacked.dir, &word, &self.dir, &word).map_err(failed)?;
        }
        durable::rename_new_across(&unpacked.dir, run_id, &self.dir, run_id).map_err(failed)?;
        durable::sync_dir(&self.dir).map_err(failed)?;
        Ok(self.root.join(run_id))
    }

    /// Adds what was said beside a bundle since it was taken in; another word than the one that is here is an error.
    pub(super) fn add_outcome(&self, home: &Home, unpacked: &Unpacked, from: &Path) -> Result<(), ImportError> {
        // Of a run of this installation its own operators speak.
        if home.run(&unpacked.run_id).symlink_metadata().is_ok() {
            return Ok(());
        }
        copy_beside(from, self.dir.as_fd(), &beside_name(&unpacked.run_id))?;
        Ok(())
    }
}

/// Stands in until the bundle's name is known; no run has it.
const PLACEHOLDER: &str = "not-yet-named";

/// Removes what killed imports left, unless one is being made now; returns how many there were.
pub fn sweep_imports(home: &Home) -> Result<u64, ImportError> {
    match Place::locked(home, FlockOperation::NonBlockingLockExclusive) {
        Ok(place) => place.sweep(home),
        Err(ImportError::Io { source, .. }) if source.kind() == io::ErrorKind::WouldBlock => Ok(0),
        Err(error) => Err(error),
    }
}
