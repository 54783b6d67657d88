//! Matrices on disk: a plan that never changes, and one small file for each cell that was begun or has its verdict.
//!
//! `matrices/<id>/` appears complete with its `plan.json` or not at all. `cells/` holds the marks, each created once; a
//! mark names a run, and what came of that run is read from its bundle. Whatever kills a matrix therefore loses at most
//! the cells that were running. `lock` is held by whoever works on the matrix, and released by the kernel on death.

mod check;
mod report;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use cto_policy::plan_problem;
use cto_schema::{MatrixMark, MatrixPlan, RunId, SchemaId, StrictLimits, check_schema, escape, parse_strict};
use rustix::fs::FlockOperation;
use serde::de::DeserializeOwned;

use crate::durable;
use crate::home::{Home, HomeError};

pub(crate) use check::matrix_checks;
pub use report::{check_new_file, check_report_place, write_new_file, write_report};

const PLAN: &str = "plan.json";
const CELLS: &str = "cells";
const LOCK: &str = "lock";

/// Longest plan: a million lanes are about half of it.
const PLAN_LIMIT: StrictLimits = StrictLimits { bytes: 256 << 20 };
/// Longest mark.
const MARK_LIMIT: StrictLimits = StrictLimits { bytes: 4096 };

/// Why a matrix could not be used.
#[derive(Debug, thiserror::Error)]
pub enum MatrixError {
    /// The home.
    #[error("use the directory of matrices")]
    Home(#[from] HomeError),
    /// There is no such matrix.
    #[error("find matrix '{id}'{}", known.as_ref().map(|id| format!("; the newest is '{id}'")).unwrap_or_default())]
    Missing {
        /// Its name, escaped.
        id: String,
        /// The newest that there is.
        known: Option<RunId>,
    },
    /// Another process works on it.
    #[error("lock matrix '{id}': another cto works on it; wait for that one, or stop it")]
    Busy {
        /// Its name.
        id: RunId,
    },
    /// A document is not what it must be.
    #[error("read {}: {reason}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A report would be put over something.
    #[error("write the report to {}: it is not an empty directory; name another one", .path.display())]
    Occupied {
        /// The directory.
        path: PathBuf,
    },
    /// A file could not be read or written.
    #[error("use {}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

/// What is marked of one cell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CellMarks {
    /// Runs that were begun, by attempt from 1.
    pub begun: BTreeMap<u32, RunId>,
    /// The run that has the verdict.
    pub done: Option<RunId>,
}

/// A matrix that this process alone works on.
#[derive(Debug)]
pub struct MatrixDir {
    plan: MatrixPlan,
    path: PathBuf,
    cells: OwnedFd,
    _lock: File,
}

impl MatrixDir {
    /// Puts a new plan on record, durably, and locks it.
    pub fn create(home: &Home, plan: &MatrixPlan) -> Result<Self, MatrixError> {
        let id = plan.matrix_id.as_str();
        let path = home.matrices().join(id);
        let failed = |source| MatrixError::Io {
            path: path.clone(),
            source,
        };
        let all = home.matrices_dir()?;
        let made = || -> io::Result<()> {
            let temporary = durable::make_temporary_dir_at(&all)?;
            let own = durable::open_dir_at(&all, &temporary)?;
            durable::make_dir_at(&own, CELLS)?;
            durable::create_at(&own, LOCK)?;
            durable::write_new(&own, PLAN, &plan.canonical())?;
            durable::rename_new(&all, &temporary, id)?;
            durable::sync_dir(&all)
        };
        made().map_err(failed)?;
        Self::open(home, id)
    }

    /// Locks a matrix and reads its plan.
    pub fn open(home: &Home, id: &str) -> Result<Self, MatrixError> {
        let missing = || MatrixError::Missing {
            id: escape(id.as_bytes(), 80),
            known: list_matrices(home).ok().and_then(|ids| ids.into_iter().next_back()),
        };
        // Nothing but an id is ever put in a path.
        let id: RunId = id.parse().map_err(|_| missing())?;
        let path = home.matrices().join(id.as_str());
        let failed = |source| MatrixError::Io {
            path: path.clone(),
            source,
        };
        let dir = match durable::open_dir_at(home.matrices_dir()?, id.as_str()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(missing()),
            other => other.map_err(failed)?,
        };
        let lock = durable::open_append_at(&dir, LOCK).map_err(failed)?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(MatrixError::Busy { id }),
            other => other.map_err(|error| failed(error.into()))?,
        }
        let plan: MatrixPlan = document(&dir, PLAN, &path.join(PLAN), PLAN_LIMIT)?;
        let damaged = |reason: String| MatrixError::Damaged {
            path: path.join(PLAN),
            reason,
        };
        if plan.matrix_id != id {
            return Err(damaged("it is the plan of another matrix".to_owned()));
        }
        if let Some(problem) = plan_problem(&plan) {
            return Err(damaged(problem));
        }
        let cells = durable::open_dir_at(&dir, CELLS).map_err(failed)?;
        Ok(Self {
            plan,
            path,
            cells,
            _lock: lock,
        })
    }

    /// Returns the plan.
    pub fn plan(&self) -> &MatrixPlan {
        &self.plan
    }

    /// Returns the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Marks that a cell was begun as a run; durable when it returns.
    pub fn begin(&self, cell: u32, attempt: u32, run_id: &RunId) -> Result<(), MatrixError> {
        self.mark(&format!("{cell:06}.{attempt}.begun.json"), cell, attempt, run_id)
    }

    /// Marks which run has the verdict of a cell; durable when it returns.
    pub fn finish(&self, cell: u32, attempt: u32, run_id: &RunId) -> Result<(), MatrixError> {
        self.mark(&format!("{cell:06}.done.json"), cell, attempt, run_id)
    }

    fn mark(&self, name: &str, cell: u32, attempt: u32, run_id: &RunId) -> Result<(), MatrixError> {
        let mark = MatrixMark {
            schema: SchemaId::MATRIX_CELL.to_string(),
            cell,
            attempt,
            run_id: run_id.clone(),
        };
        let written = serde_json::to_vec(&mark)
            .map_err(io::Error::from)
            .and_then(|bytes| durable::write_new(&self.cells, name, &bytes));
        written.map_err(|source| MatrixError::Io {
            path: self.path.join(CELLS).join(name),
            source,
        })
    }

    /// Reads every mark. A file that is no mark is an error: whoever put it there may have put others away.
    pub fn marks(&self) -> Result<BTreeMap<u32, CellMarks>, MatrixError> {
        let place = self.path.join(CELLS);
        let names = durable::names(&self.cells).map_err(|source| MatrixError::Io {
            path: place.clone(),
            source,
        })?;
        let mut all: BTreeMap<u32, CellMarks> = BTreeMap::new();
        // What a kill left half written has no name yet.
        for name in names.iter().filter(|name| !name.starts_with(durable::TEMPORARY_PREFIX)) {
            let path = place.join(name);
            let damaged = |reason: &str| MatrixError::Damaged {
                path: path.clone(),
                reason: reason.to_owned(),
            };
            let mark: MatrixMark = document(&self.cells, name, &path, MARK_LIMIT)?;
            check_schema(&mark.schema, SchemaId::MATRIX_CELL).map_err(|error| damaged(&error.to_string()))?;
            let begun = format!("{:06}.{}.begun.json", mark.cell, mark.attempt);
            let done = format!("{:06}.done.json", mark.cell);
            let own = all.entry(mark.cell).or_default();
            if *name == begun {
                own.begun.insert(mark.attempt, mark.run_id);
            } else if *name == done {
                own.done = Some(mark.run_id);
            } else {
                return Err(damaged("it is not the mark that its name says"));
            }
        }
        Ok(all)
    }
}

/// Returns the ids of every matrix of a home, oldest first.
pub fn list_matrices(home: &Home) -> Result<Vec<RunId>, MatrixError> {
    let names = durable::names(home.matrices_dir()?).map_err(|source| MatrixError::Io {
        path: home.matrices(),
        source,
    })?;
    let ids = names.iter().filter(|name| !name.starts_with(durable::TEMPORARY_PREFIX));
    Ok(ids.filter_map(|name| name.parse().ok()).collect())
}

fn document<T: DeserializeOwned>(
    dir: &OwnedFd,
    name: &str,
    path: &Path,
    limit: StrictLimits,
) -> Result<T, MatrixError> {
    let bytes = durable::read_at(dir, name).map_err(|source| MatrixError::Io {
        path: path.to_owned(),
        source,
    })?;
    parse_strict(&bytes, limit).map_err(|error| MatrixError::Damaged {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}
