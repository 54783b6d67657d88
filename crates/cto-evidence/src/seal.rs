//! The seal: manifest, signature, ledger entry, and the end of the live marker, in this order.
//!
//! Sealed means that the envelope exists and verifies; nothing inside the bundle records it. The report is written
//! before, and what is signed about the run is taken from it, so the two cannot disagree.

use std::path::PathBuf;

use cto_schema::{
    PREDICATE_TYPE, Report, RunId, RunPredicate, STATEMENT_TYPE, SchemaId, Sha256Digest, Statement, Subject,
};

use crate::durable;
use crate::keys::Signer;
use crate::ledger::{Ledger, LedgerEntry, LedgerError, NewEntry};
use crate::live::LiveError;
use crate::manifest::{self, ATTESTATION, ManifestError, SUMS};
use crate::run_dir::RunDir;

/// Why a run was not sealed. Its live marker stays, so the next command closes it.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// Journal, events and trace are still open.
    #[error("seal run '{run_id}': its journal is not closed")]
    Open {
        /// The run.
        run_id: RunId,
    },
    /// There is no report, or it is not this run's.
    #[error("seal run '{run_id}': report.json {reason}")]
    Report {
        /// The run.
        run_id: RunId,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The manifest was not made.
    #[error("make SHA256SUMS of run '{run_id}'")]
    Manifest {
        /// The run.
        run_id: RunId,
        /// The cause.
        source: ManifestError,
    },
    /// Manifest or envelope could not be written.
    #[error("write '{artifact}' of run '{run_id}'")]
    Write {
        /// The run.
        run_id: RunId,
        /// Name in the bundle.
        artifact: &'static str,
        /// The system's error.
        source: std::io::Error,
    },
    /// The bundle is sealed and the ledger does not list it yet; the next command appends it.
    #[error("list sealed run '{run_id}' in the ledger; the next cto command will try again")]
    Ledger {
        /// The run.
        run_id: RunId,
        /// The cause.
        source: LedgerError,
    },
    /// The bundle is sealed and listed, and its live marker could not be removed; the next command removes it.
    #[error("finish run '{run_id}'")]
    Live {
        /// The run.
        run_id: RunId,
        /// The cause.
        source: LiveError,
    },
}

/// A sealed run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The run.
    pub run_id: RunId,
    /// Its directory.
    pub path: PathBuf,
    /// Digest of `SHA256SUMS`.
    pub manifest_digest: Sha256Digest,
    /// Digest of `attestation.dsse.json`.
    pub attestation_digest: Sha256Digest,
    /// Its entry in the ledger.
    pub entry: LedgerEntry,
}

impl RunDir {
    /// Returns what the signature will say about the run, from its report and from what was written here.
    /// `limits` says what the signature does not prove.
    pub fn predicate(&self, report: &Report, limits: &str) -> RunPredicate {
        let digest = |artifact: &str| self.artifacts().get(artifact).map(|written| written.digest);
        let model = report.case_model_provider.as_ref().zip(report.case_model.as_ref());
        RunPredicate {
            schema: SchemaId::RUN.to_string(),
            run_id: self.run_id().to_string(),
            nonce: self.nonce_hex(),
            harness_version: report.harness_version.clone(),
            backend: report.backend.clone(),
            contract_digest: report.contract_digest,
            decision_digest: digest("decision.json"),
            baseline_commit: report.baseline_commit.clone(),
            baseline_tree: report.baseline_tree.clone(),
            patch_digest: digest("patch.diff"),
            write_set_digest: digest("write-set.json"),
            enforcement: report.enforcement.clone(),
            model: model.map(|(provider, model)| format!("{provider}/{model}")),
            status: report.status,
            blockers: report.blockers.clone(),
            verification: report.verification.clone(),
            event_chain_head: self.event_chain_head(),
            ledger_head: self.opened().ledger_head,
            started_at: report.run_started_at.clone(),
            finished_at: report.run_finished_at.clone(),
            limits_of_this_statement: limits.to_owned(),
        }
    }

    /// Seals the run: `SHA256SUMS`, signature, `attestation.dsse.json`, ledger entry; then the live marker goes.
    ///
    /// The streams must be closed and the report written. `limits` says what the signature does not prove. After an
    /// error the run is unsealed or unlisted, its marker stays, and recovery finishes it.
    pub fn seal(self, limits: &str, signer: &Signer, ledger: &Ledger) -> Result<Sealed, SealError> {
        let run_id = self.run_id().clone();
        if self.closed.is_none() {
            return Err(SealError::Open { run_id });
        }
        let report = self.own_report()?;
        let sums = manifest::make(&self.dir, self.artifacts()).map_err(|source| SealError::Manifest {
            run_id: run_id.clone(),
            source,
        })?;
        let manifest_digest = Sha256Digest::of(&sums);
        let envelope = self.envelope(&report, limits, &manifest_digest, signer)?;
        self.write_last(&[(SUMS, &sums), (ATTESTATION, &envelope)])?;
        let attestation_digest = Sha256Digest::of(&envelope);
        let new = NewEntry::of(&run_id, &report, manifest_digest, attestation_digest);
        let entry = ledger.append(&new).map_err(|source| SealError::Ledger {
            run_id: run_id.clone(),
            source,
        })?;
        let Self {
            lock, live_dir, path, ..
        } = self;
        lock.finish(&live_dir).map_err(|source| SealError::Live {
            run_id: run_id.clone(),
            source,
        })?;
        Ok(Sealed {
            run_id,
            path,
            manifest_digest,
            attestation_digest,
            entry,
        })
    }

    fn own_report(&self) -> Result<Report, SealError> {
        let wrong = |reason| SealError::Report {
            run_id: self.run_id().clone(),
            reason,
        };
        let bytes = durable::read_at(&self.dir, "report.json").map_err(|_| wrong("cannot be read"))?;
        let report: Report = serde_json::from_slice(&bytes).map_err(|_| wrong("is not a report"))?;
        if report.run_id != self.run_id().as_str() {
            return Err(wrong("is another run's"));
        }
        if report.freshness.nonce != self.nonce_hex() || report.freshness.event_chain_head != self.event_chain_head() {
            return Err(wrong("does not carry this run's nonce and event chain"));
        }
        Ok(report)
    }

    fn envelope(
        &self,
        report: &Report,
        limits: &str,
        manifest_digest: &Sha256Digest,
        signer: &Signer,
    ) -> Result<Vec<u8>, SealError> {
        let statement = Statement {
            kind: STATEMENT_TYPE.to_owned(),
            subject: vec![Subject::new(SUMS, manifest_digest)],
            predicate_type: PREDICATE_TYPE.to_owned(),
            predicate: self.predicate(report, limits),
        };
        let bytes =
            serde_json::to_vec(&statement).and_then(|statement| serde_json::to_vec(&signer.envelope(&statement)));
        bytes.map_err(|error| SealError::Write {
            run_id: self.run_id().clone(),
            artifact: ATTESTATION,
            source: error.into(),
        })
    }

    /// One fsync of the directory makes both names durable. A crash before it may leave the envelope without the
    /// manifest, which is not sealed.
    fn write_last(&self, files: &[(&'static str, &[u8])]) -> Result<(), SealError> {
        durable::write_new_together(&self.dir, files).map_err(|(at, source)| SealError::Write {
            run_id: self.run_id().clone(),
            artifact: files.get(at).map_or(ATTESTATION, |file| file.0),
            source,
        })
    }
}
