//! One entry of the run ledger and its digest.

use cto_schema::{MutationMode, Report, RunId, Sha256Digest, Status};
use serde::Serialize;

use crate::ledger::{LedgerError, LedgerHead};

/// What a run appends; the ledger adds number and links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEntry {
    /// The run.
    pub run_id: RunId,
    /// The case, or the contract's task id.
    pub case_id: String,
    /// The engine.
    pub backend: String,
    /// Stage, 1 to 6.
    pub stage: Option<u8>,
    /// The mutation mode.
    pub mutation_mode: Option<MutationMode>,
    /// The verdict.
    pub status: Status,
    /// Code of the first blocker; null for a pass.
    pub first_blocker: Option<String>,
    /// RFC 3339 UTC with microseconds.
    pub started_at: String,
    /// RFC 3339 UTC with microseconds.
    pub finished_at: String,
    /// Wall time of the run in milliseconds.
    pub duration_ms: u64,
    /// Digest of `SHA256SUMS`.
    pub manifest_digest: Sha256Digest,
    /// Digest of `attestation.dsse.json`.
    pub attestation_digest: Sha256Digest,
}

impl NewEntry {
    /// Takes an entry's content from the run's report.
    pub(crate) fn of(
        run_id: &RunId,
        report: &Report,
        manifest_digest: Sha256Digest,
        attestation_digest: Sha256Digest,
    ) -> Self {
        Self {
            run_id: run_id.clone(),
            case_id: report.case_id.clone(),
            backend: report.backend.clone(),
            stage: report.stage,
            mutation_mode: report.mutation_mode,
            status: report.status,
            first_blocker: report.blockers.first().map(|blocker| blocker.code.name()),
            started_at: report.run_started_at.clone(),
            finished_at: report.run_finished_at.clone(),
            duration_ms: report.usage.total_ms,
            manifest_digest,
            attestation_digest,
        }
    }
}

/// One entry. Its digest is SHA-256 over the RFC 8785 form of every other field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LedgerEntry {
    /// Number, from 1, without gaps.
    pub seq: i64,
    /// The run.
    pub run_id: RunId,
    /// The case, or the contract's task id.
    pub case_id: String,
    /// The engine.
    pub backend: String,
    /// Stage, 1 to 6.
    pub stage: Option<u8>,
    /// The mutation mode's name.
    pub mutation_mode: Option<String>,
    /// `pass`, `fail` or `blocked`.
    pub status: String,
    /// Code of the first blocker; null for a pass.
    pub first_blocker: Option<String>,
    /// RFC 3339 UTC with microseconds.
    pub started_at: String,
    /// RFC 3339 UTC with microseconds.
    pub finished_at: String,
    /// Wall time of the run in milliseconds.
    pub duration_ms: i64,
    /// Digest of `SHA256SUMS`.
    pub manifest_digest: Sha256Digest,
    /// Digest of `attestation.dsse.json`.
    pub attestation_digest: Sha256Digest,
    /// Digest of the entry before; null for the first.
    pub prev_digest: Option<Sha256Digest>,
    /// Digest of this entry.
    #[serde(skip)]
    pub entry_digest: Sha256Digest,
}

impl LedgerEntry {
    /// Returns the entry that follows `head`.
    pub(crate) fn after(head: Option<&LedgerHead>, new: &NewEntry) -> Result<Self, LedgerError> {
        let seq = head.map_or(1, |head| head.seq + 1);
        let unfit = |reason: &str| LedgerError::Entry {
            seq,
            reason: reason.to_owned(),
        };
        let mut entry = Self {
            seq,
            run_id: new.run_id.clone(),
            case_id: new.case_id.clone(),
            backend: new.backend.clone(),
            stage: new.stage,
            mutation_mode: mode_name(new.mutation_mode),
            status: new.status.word().to_owned(),
            first_blocker: new.first_blocker.clone(),
            started_at: new.started_at.clone(),
            finished_at: new.finished_at.clone(),
            // RFC 8785 numbers are exact up to 2^53; a run of 285,000 years is not one.
            duration_ms: i64::try_from(new.duration_ms)
                .ok()
                .filter(|ms| *ms < 1 << 53)
                .ok_or_else(|| unfit("the duration is out of range"))?,
            manifest_digest: new.manifest_digest,
            attestation_digest: new.attestation_digest,
            prev_digest: head.map(|head| head.digest),
            entry_digest: Sha256Digest::of(b""),
        };
        entry.entry_digest = entry.computed_digest()?;
        Ok(entry)
    }

    /// Computes the digest that the entry must carry.
    pub fn computed_digest(&self) -> Result<Sha256Digest, LedgerError> {
        match serde_json_canonicalizer::to_vec(self) {
            Ok(canonical) => Ok(Sha256Digest::of(&canonical)),
            Err(error) => Err(LedgerError::Entry {
                seq: self.seq,
                reason: error.to_string(),
            }),
        }
    }
}

/// Returns a mode's name as written in documents.
pub(crate) fn mode_name(mode: Option<MutationMode>) -> Option<String> {
    serde_json::to_value(mode?).ok()?.as_str().map(str::to_owned)
}
