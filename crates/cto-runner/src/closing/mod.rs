//! Closing a run: verdict, report, seal. The same code closes an accepted, a refused and an interrupted run.

mod claims;
mod model;
mod report;

use cto_evidence::{Ledger, ReportView, RunDir, RunDirError, SealError, Signer, html, markdown};
use cto_policy::{Evidence, conclude, status_of};
use cto_schema::{
    Blocker, EligibilityDecision, Enforcement, EventType, Facts, JournalEvent, Observations, Report, Span, Status,
    TaskContract, WriteSet,
};
use serde_json::json;

/// What the signature does not prove.
const LIMITS: &str = "this signature proves that the holder of the key said so; not that the host below it was sound, \
                      and not that the change is correct";

/// Everything that is known when a run ends, however it ends.
#[derive(Debug)]
pub(crate) struct Ending<'a> {
    pub(crate) case_id: &'a str,
    pub(crate) backend: &'a str,
    pub(crate) contract: Option<&'a TaskContract>,
    pub(crate) decision: &'a EligibilityDecision,
    pub(crate) facts: &'a Facts,
    pub(crate) write_set: Option<&'a WriteSet>,
    pub(crate) enforcement: Option<&'a Enforcement>,
    pub(crate) baseline: Option<(&'a str, &'a str)>,
    pub(crate) patch: &'a [u8],
    pub(crate) test_log: &'a [u8],
    pub(crate) spans: &'a [Span],
    pub(crate) engine_output_bytes: u64,
    /// Of all verification commands that were started, canaries with them.
    pub(crate) verification_ms: u64,
    pub(crate) observations: Observations,
}

/// A run that could not be closed; recovery will try again.
#[derive(Debug, thiserror::Error)]
pub enum CloseError {
    /// Evidence could not be written.
    #[error("write the run's last evidence; free space or mend the directory, then run: cto recover")]
    Write(#[from] RunDirError),
    /// The seal could not be made.
    #[error("seal the run; mend the cause, then run: cto recover")]
    Seal(#[from] SealError),
    /// The report could not be expressed as JSON.
    #[error("express the report as JSON")]
    Json(#[from] serde_json::Error),
}

/// Concludes, reports and seals a run; returns its report.
pub(crate) fn close(
    mut dir: RunDir,
    signer: &Signer,
    ledger: &Ledger,
    mut ending: Ending<'_>,
) -> Result<Report, CloseError> {
    dir.release_reserve();
    // Recovery goes on from what was observed before.
    ending.observations.artifact_failures.extend_from_slice(dir.failures());
    if dir.required_events().is_empty() {
        // Not even that could be written before there was room for it.
        let nonce = dir.nonce_hex();
        dir.event(EventType::RunStarted, json!({ "nonce": nonce, "late": true }))?;
    }
    let mut events: Vec<String> = dir.required_events().iter().map(|event| event.name()).collect();
    // The verdict's own event comes after the verdict, so it is counted before it is written; a failure to write it
    // leaves the run unsealed.
    events.push(EventType::RunCompleted.name());
    ending.observations.events = events;
    // Journal, verdict and report tell of the same texts, so what may not be shown goes before them.
    let known = dir.secrets().len();
    ending.observations = dir.clean("report.json", ending.observations)?;
    let found = dir.secrets().get(known..).unwrap_or_default();
    ending.observations.secrets.extend_from_slice(found);
    let (blockers, status) = verdict(&ending);
    dir.journal(JournalEvent::Observed {
        observations: Box::new(ending.observations.clone()),
    })?;
    let codes: Vec<String> = blockers.iter().map(|blocker| blocker.code.name()).collect();
    dir.event(
        EventType::RunCompleted,
        json!({ "status": status.word(), "blockers": codes }),
    )?;
    dir.journal(JournalEvent::Concluded {
        status,
        blockers: blockers.clone(),
    })?;
    let streams = dir.close_streams()?;
    let mut report = report::report(&dir, &ending, &streams, status, blockers);
    let view = ReportView {
        report: &report,
        contract: ending.contract,
        write_set: ending.write_set,
        spans: ending.spans,
        patch: ending.patch,
        test_log: ending.test_log,
    };
    let (text, page) = (markdown(&view), html(&view));
    dir.write_together(&[("report.md", text.as_bytes()), ("report.html", page.as_bytes())])?;
    report::index(&mut report, &dir);
    // All of it was clean when it was gathered; a place that was forgotten must not leave its digest behind.
    report = dir.clean("report.json", report)?;
    let own = report.own_digest();
    report.artifact_digests.insert("report.json".to_owned(), own);
    let mut bytes = cto_schema::inert_json(serde_json::to_string_pretty(&report)?).into_bytes();
    bytes.push(b'\n');
    dir.write("report.json", &bytes)?;
    dir.seal(LIMITS, signer, ledger)?;
    Ok(report)
}

fn verdict(ending: &Ending<'_>) -> (Vec<Blocker>, Status) {
    let evidence = Evidence {
        contract: ending.contract,
        decision: ending.decision,
        write_set: ending.write_set,
        observations: &ending.observations,
    };
    let blockers = conclude(&evidence);
    let status = status_of(&blockers, evidence.context());
    (blockers, status)
}
