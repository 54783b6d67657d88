//! Taking in a bundle that another installation made: unpacked beside, verified as unpacked, then renamed into place.
//!
//! An import is there when the ledger lists it. Until then all that exists lies in a temporary directory, which names the
//! run; whoever comes next removes both.

mod place;
#[cfg(test)]
mod tests;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use cto_policy::{AlreadyHere, ImportFacts, ImportRefusal, judge_import};
use cto_schema::{Moment, Report, RunId, Sha256Digest, escape};
use jiff::Timestamp;

use crate::bundle::{Bundle, BundleError, shown};
use crate::clock::rfc3339;
use crate::durable;
use crate::home::Home;
use crate::keys::{KeyError, Keys};
use crate::ledger::{ImportEntry, Ledger, LedgerError, NewEntry, Origin};
use crate::outcome::OutcomeError;
use crate::verify::{TrustedKeys, VerificationOutcome, verify_bundle};
use place::Place;

pub use place::sweep_imports;

/// Why a bundle could not be looked at; what speaks against one that could is a refusal.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It cannot be read as a bundle, or not unpacked.
    #[error("read the bundle")]
    Bundle(#[from] BundleError),
    /// It holds what a bundle may not hold.
    #[error("unpack the bundle: {problem}")]
    Form {
        /// What was found.
        problem: String,
    },
    /// Its directory does not have a run's name.
    #[error("unpack the bundle: its directory is named '{name}', which is no run's id")]
    Name {
        /// The name, escaped.
        name: String,
    },
    /// What lies beside it cannot be taken.
    #[error("take what the operator said beside it")]
    Outcome(#[from] OutcomeError),
    /// The keys.
    #[error("use the installation's keys")]
    Keys(#[from] KeyError),
    /// The ledger.
    #[error("use the run ledger")]
    Ledger(#[from] LedgerError),
    /// Something that the ledger does not list is in the way.
    #[error("place the bundle: {} is there, and the ledger does not list it; look at it and move it away", path.display())]
    InTheWay {
        /// What.
        path: PathBuf,
    },
    /// A directory of the installation.
    #[error("use {}", path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
}

/// What became of a bundle.
#[derive(Clone, Debug)]
pub enum Imported {
    /// It is here now.
    Taken {
        /// Its entry.
        entry: Box<ImportEntry>,
        /// Where it is.
        path: PathBuf,
    },
    /// It was here before, byte for byte.
    Already {
        /// The run.
        run_id: RunId,
        /// Where it is.
        path: PathBuf,
    },
    /// It is not taken.
    Refused {
        /// The run that it names, escaped.
        run_id: String,
        /// Every reason.
        reasons: Vec<ImportRefusal>,
    },
}

/// Takes in a bundle, a directory or an archive, with what lies beside it. `keys` are those that this installation trusts;
/// `wanted_key` is the one that must have signed, if that matters; `own_version` is this program's; `now` is the wall clock.
pub fn import(
    home: &Home,
    from: &Path,
    keys: &TrustedKeys,
    wanted_key: Option<&str>,
    own_version: &str,
    now: Timestamp,
) -> Result<Imported, ImportError> {
    let from = &std::fs::canonicalize(from).map_err(|source| BundleError::Read {
        path: shown(from),
        source,
    })?;
    let place = Place::take(home)?;
    place.sweep(home)?;
    let unpacked = place.unpack(from)?;
    let copy = Bundle::open(&unpacked.path)?;
    let verified = verify_bundle(&copy, keys, None);
    let ledger = Ledger::open(home)?;
    let seen = Seen::of(&copy, &verified, home, &ledger)?;
    let reasons = judge_import(&seen.facts(&verified, wanted_key, own_version, now));
    // Only a run's own report can be listed, so what has none was refused above.
    let Some(report) = seen.report.filter(|_| reasons.is_empty()) else {
        return Ok(Imported::Refused {
            run_id: unpacked.run_id.to_string(),
            reasons,
        });
    };
    if let Some(path) = seen.path {
        place.add_outcome(home, &unpacked, from)?;
        return Ok(Imported::Already {
            run_id: unpacked.run_id.clone(),
            path,
        });
    }
    let digest = |name: &str| copy.digest(name).unwrap_or_else(|| Sha256Digest::of(b""));
    let new = NewEntry::of(
        &unpacked.run_id,
        &report,
        digest("SHA256SUMS"),
        digest("attestation.dsse.json"),
    );
    let origin = Origin {
        keyid: verified.keyid.clone().unwrap_or_default(),
        name: verified.signer.clone().unwrap_or_default(),
        imported_at: rfc3339(now),
        harness_version: escape(report.harness_version.as_bytes(), 100),
    };
    let path = place.settle(&unpacked, from)?;
    let entry = ledger.append_import(&new, &origin)?;
    Ok(Imported::Taken {
        entry: Box::new(entry),
        path,
    })
}

/// What was seen of the unpacked copy and of what is here.
struct Seen {
    report: Option<Report>,
    version: Option<String>,
    sealed: bool,
    signed_here: bool,
    here: AlreadyHere,
    path: Option<PathBuf>,
}

impl Seen {
    fn of(copy: &Bundle, verified: &VerificationOutcome, home: &Home, ledger: &Ledger) -> Result<Self, ImportError> {
        let digests = |bundle: &Bundle| (bundle.digest("SHA256SUMS"), bundle.digest("attestation.dsse.json"));
        let (manifest, envelope) = digests(copy);
        let run_id: RunId = copy.name().parse().map_err(|_| ImportError::Name {
            name: copy.name().to_owned(),
        })?;
        let own = ledger.find(&run_id)?.map(|entry| {
            (
                (Some(entry.manifest_digest), Some(entry.attestation_digest)),
                home.run(&run_id),
            )
        });
        let imported = ledger.imports()?.into_iter().find(|entry| entry.run_id == run_id);
        let imported = imported.map(|entry| {
            (
                (Some(entry.manifest_digest), Some(entry.attestation_digest)),
                home.imported().join(run_id.as_str()),
            )
        });
        let unlisted = home.run(&run_id).symlink_metadata().is_ok();
        let (here, path) = match own.or(imported) {
            Some((known, path)) if known == (manifest, envelope) => (AlreadyHere::Same, Some(path)),
            Some(_) => (AlreadyHere::Other, None),
            None if unlisted => (AlreadyHere::Other, None),
            None => (AlreadyHere::Nothing, None),
        };
        let own_keys = Keys::open(home)?.list()?;
        let is_own = |keyid: &str| {
            let found = own_keys.iter().find(|key| key.keyid == keyid);
            found.is_some_and(|key| key.is_signing || key.retired_at.is_some())
        };
        // A report of another major may not be one that this version can read.
        let loose: Option<serde_json::Value> = copy
            .document("report.json")
            .and_then(|bytes| serde_json::from_slice(bytes).ok());
        let version = loose.as_ref().and_then(|report| report["harness_version"].as_str());
        Ok(Self {
            version: version.map(|version| escape(version.as_bytes(), 100)),
            report: copy
                .document("report.json")
                .and_then(|bytes| serde_json::from_slice(bytes).ok()),
            sealed: manifest.is_some() && envelope.is_some(),
            signed_here: verified.keyid.as_deref().is_some_and(is_own),
            here,
            path,
        })
    }

    fn facts<'a>(
        &'a self,
        verified: &'a VerificationOutcome,
        wanted_key: Option<&'a str>,
        own_version: &'a str,
        now: Timestamp,
    ) -> ImportFacts<'a> {
        let seconds = |text: &str| text.parse::<Moment>().ok().map(|at| at.unix_seconds());
        let latest = self.report.as_ref().and_then(|report| {
            let (started, finished) = (seconds(&report.run_started_at)?, seconds(&report.run_finished_at)?);
            Some(started.max(finished))
        });
        ImportFacts {
            sealed: self.sealed,
            signer: verified.keyid.as_deref(),
            wanted_key,
            signed_here: self.signed_here,
            failed: verified
                .failed()
                .map(|check| (check.name, check.detail.as_str()))
                .collect(),
            harness_version: self.version.as_deref(),
            own_version,
            latest_seconds: latest,
            now_seconds: now.as_second(),
            here: self.here,
        }
    }
}

/// Returns the directory of an imported run, if it is listed.
pub fn imported_run(home: &Home, ledger: &Ledger, run_id: &str) -> Result<Option<PathBuf>, LedgerError> {
    let listed = ledger
        .imports()?
        .into_iter()
        .find(|entry| entry.run_id.as_str() == run_id);
    Ok(listed.map(|entry| home.imported().join(entry.run_id.as_str())))
}

fn open_directory(path: &Path) -> Result<OwnedFd, ImportError> {
    durable::open_dir(path).map_err(|source| ImportError::Io {
        path: path.to_owned(),
        source,
    })
}
