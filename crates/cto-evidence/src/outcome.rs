//! The operator's word after a run: `runs/<run id>.outcome/operator-outcome.json`, beside the bundle, which stays as it is.

use std::fs;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use cto_schema::{
    DocumentKind, OperatorOutcome, OutcomeStatement, RunId, SchemaId, SignedStatement, StrictLimits, check_schema,
    parse_strict,
};

use crate::approvals::{AllowedSigners, CheckedSignature, check_signature};
use crate::clock::wall_now;
use crate::durable;
use crate::home::Home;
use crate::keys::Signer;
use crate::signed_beside::{HEARD, ROLLBACK, write_heard};

/// Name of the file.
pub(crate) const FILE: &str = "operator-outcome.json";
/// Everything that lies beside a bundle.
const BESIDE: [&str; 3] = [FILE, HEARD, ROLLBACK];
/// Longest document.
pub(crate) const LIMITS: StrictLimits = StrictLimits { bytes: 256 << 10 };

/// Why an outcome could not be used.
#[derive(Debug, thiserror::Error)]
pub enum OutcomeError {
    /// It was said already.
    #[error("say what became of run '{run_id}': that was said already, and stays")]
    Said {
        /// The run.
        run_id: String,
    },
    /// It is not what it must be.
    #[error("read {}: {reason}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// It could not be read or written.
    #[error("use {}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

/// Puts the operator's word beside a run's bundle, and when it came in by this installation's clock; the first word stays.
pub fn write_outcome(
    home: &Home,
    run_id: &RunId,
    signed: &SignedStatement,
    signer: &Signer,
) -> Result<PathBuf, OutcomeError> {
    let word = serde_json::to_vec(signed).unwrap_or_default();
    let path = write_beside(home, run_id, FILE, &word)?;
    // Whoever was first with the word says when. Without it, only the clock of whoever checks is asked.
    write_heard(home, run_id, &word, signer)?;
    Ok(path)
}

/// Puts the operator's word beside a sealed document; the first word stays.
pub fn write_document_outcome(
    home: &Home,
    kind: DocumentKind,
    id: &RunId,
    signed: &SignedStatement,
) -> Result<PathBuf, OutcomeError> {
    let place = home.root().join(kind.directory());
    let dir = durable::open_dir(&place).map_err(|source| OutcomeError::Io {
        path: place.clone(),
        source,
    })?;
    write_beside_at(
        dir.as_fd(),
        &place,
        id,
        FILE,
        &serde_json::to_vec(signed).unwrap_or_default(),
    )
}

pub(crate) fn write_beside(home: &Home, run_id: &RunId, file: &str, bytes: &[u8]) -> Result<PathBuf, OutcomeError> {
    write_beside_at(home.runs_dir(), &home.runs(), run_id, file, bytes)
}

fn write_beside_at(
    runs: BorrowedFd<'_>,
    place: &Path,
    run_id: &RunId,
    file: &str,
    bytes: &[u8],
) -> Result<PathBuf, OutcomeError> {
    let name = format!("{run_id}.outcome");
    let path = place.join(&name).join(file);
    let failed = |source| OutcomeError::Io {
        path: path.clone(),
        source,
    };
    match durable::make_dir_at(runs, &name) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
        _ => durable::sync_dir(runs).map_err(failed)?,
    }
    let dir = durable::open_dir_at(runs, &name).map_err(failed)?;
    match durable::write_new(&dir, file, bytes) {
        Ok(()) => Ok(path),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(OutcomeError::Said {
            run_id: run_id.to_string(),
        }),
        Err(source) => Err(failed(source)),
    }
}

/// Reads the operator's word about a run; `None` when nothing was said.
pub fn read_outcome(home: &Home, run_id: &RunId) -> Result<Option<SignedStatement>, OutcomeError> {
    read_outcome_beside(&home.run(run_id))
}

/// Reads the operator's word beside a bundle.
pub fn read_outcome_beside(bundle: &Path) -> Result<Option<SignedStatement>, OutcomeError> {
    read_beside(bundle, FILE)
}

/// Puts what is said beside a bundle beside its archive: `FILE.outcome/`, byte for byte. `None` when nothing was said.
///
/// With `overwrite`, files of an earlier export are replaced, and removed where this run has none.
pub fn export_outcome(bundle: &Path, archive: &Path, overwrite: bool) -> Result<Option<PathBuf>, OutcomeError> {
    let said: Vec<(&str, Vec<u8>)> = BESIDE
        .into_iter()
        .filter_map(|file| Some(bytes_beside(bundle, file).transpose()?.map(|bytes| (file, bytes))))
        .collect::<Result<_, _>>()?;
    let place = beside(archive);
    let failed = |source| OutcomeError::Io {
        path: place.clone(),
        source,
    };
    if said.is_empty() && place.symlink_metadata().is_err() {
        return Ok(None);
    }
    match fs::create_dir(&place) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && overwrite => (),
        other => other.map_err(failed)?,
    }
    let dir = durable::open_dir(&place).map_err(failed)?;
    for file in BESIDE {
        match said.iter().find(|(name, _)| *name == file) {
            Some((_, bytes)) => durable::write_replacing(&dir, file, bytes).map_err(failed)?,
            None if durable::exists_at(&dir, file).map_err(failed)? => {
                durable::remove_at(&dir, file).map_err(failed)?;
            }
            None => (),
        }
    }
    Ok((!said.is_empty()).then_some(place))
}

/// Returns the name of what lies beside a run's bundle.
pub(crate) fn beside_name(run_id: &RunId) -> String {
    format!("{run_id}.outcome")
}

/// Copies what is said beside a bundle or its archive into a directory of this name, byte for byte; returns whether
/// anything was said. A file that is there already must be the same.
pub(crate) fn copy_beside(bundle: &Path, into: impl AsFd, name: &str) -> Result<bool, OutcomeError> {
    let into = into.as_fd();
    let mut said = false;
    // That a change was taken back outweighs that it was accepted, so it comes first.
    for file in [ROLLBACK, FILE] {
        let Some(bytes) = bytes_beside(bundle, file)? else {
            continue;
        };
        let path = beside(bundle).join(file);
        if bytes.len() > LIMITS.bytes {
            let reason = format!("it has {} bytes, {} are allowed", bytes.len(), LIMITS.bytes);
            return Err(OutcomeError::Damaged { path, reason });
        }
        let failed = |source| OutcomeError::Io {
            path: path.clone(),
            source,
        };
        match durable::make_dir_at(into, name) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
            _ => durable::sync_dir(into).map_err(failed)?,
        }
        let dir = durable::open_dir_at(into, name).map_err(failed)?;
        match durable::read_if_present_at(&dir, file).map_err(failed)? {
            None => durable::write_new(&dir, file, &bytes).map_err(failed)?,
            Some(here) if here == bytes => {}
            Some(_) => {
                let reason = "another one was taken in before, and stays".to_owned();
                return Err(OutcomeError::Damaged { path, reason });
            }
        }
        said = true;
    }
    Ok(said)
}

fn beside(bundle: &Path) -> PathBuf {
    let mut place = bundle.as_os_str().to_owned();
    place.push(".outcome");
    PathBuf::from(place)
}

pub(crate) fn bytes_beside(bundle: &Path, file: &str) -> Result<Option<Vec<u8>>, OutcomeError> {
    let place = beside(bundle);
    let failed = |source| OutcomeError::Io {
        path: place.join(file),
        source,
    };
    let dir = match durable::open_dir(&place) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(failed)?,
    };
    let opened = match durable::open_read_at(&dir, file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(failed)?,
    };
    // One byte more than is allowed is enough to refuse it.
    let mut bytes = Vec::new();
    let cap = LIMITS.bytes as u64 + 1;
    opened.take(cap).read_to_end(&mut bytes).map_err(failed)?;
    Ok(Some(bytes))
}

fn read_beside<T: serde::de::DeserializeOwned>(bundle: &Path, file: &str) -> Result<Option<T>, OutcomeError> {
    let Some(bytes) = bytes_beside(bundle, file)? else {
        return Ok(None);
    };
    parse_strict(&bytes, LIMITS)
        .map(Some)
        .map_err(|error| OutcomeError::Damaged {
            path: beside(bundle).join(file),
            reason: error.to_string(),
        })
}

/// Reads an outcome and checks its form and its signature; whose key it is, is another question.
pub(crate) fn read_signed(signed: &SignedStatement) -> Result<(OutcomeStatement, CheckedSignature), String> {
    let bytes = signed.statement.as_bytes();
    let statement: OutcomeStatement = parse_strict(bytes, LIMITS).map_err(|error| error.to_string())?;
    check_schema(&statement.schema, SchemaId::OPERATOR_OUTCOME).map_err(|error| error.to_string())?;
    if statement.canonical() != bytes {
        return Err("it is not in canonical form".to_owned());
    }
    if statement.outcome == OperatorOutcome::Pending {
        return Err("it says nothing".to_owned());
    }
    let checked = check_signature(bytes, &signed.signature)?;
    Ok((statement, checked))
}

/// Checks an outcome: its form, its signature, and that the key is one of its actor's. Returns what was said and the key's
/// fingerprint; the error says what is wrong.
pub fn check_outcome(signed: &SignedStatement, signers: &AllowedSigners) -> Result<(OutcomeStatement, String), String> {
    let (statement, checked) = read_signed(signed)?;
    checked.belongs_to(&statement.actor, signers, statement.decided_at.unix_seconds())?;
    Ok((statement, checked.fingerprint))
}

/// As [`check_outcome`], where the word comes in: the key must also be its actor's by the clock here, which its owner
/// cannot choose.
pub fn hear_outcome(signed: &SignedStatement, signers: &AllowedSigners) -> Result<(OutcomeStatement, String), String> {
    let (statement, checked) = read_signed(signed)?;
    checked.belongs_to(&statement.actor, signers, wall_now().as_second())?;
    check_outcome(signed, signers)
}
