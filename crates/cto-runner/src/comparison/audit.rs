//! `cto audit`: everything on record checked, and held against the laws and the endgoal. It writes nothing.

use cto_evidence::{documents, rfc3339, wall_now};
use cto_policy::{AuditFacts, judge_audit};
use cto_schema::{Audit, CandidateComparison, DecisionPacket, DocumentKind, RepeatabilityRefresh, RunId, Status};
use serde::de::DeserializeOwned;

use super::DecideError;
use super::gather::{Belief, every_bundle};
use super::read::{CheckedDocument, read_believing};
use crate::request::Harness;

/// Checks every bundle and every document of this installation, and judges what they prove.
pub fn audit(harness: &Harness, progress: &dyn Fn(&str, &str)) -> Result<Audit, DecideError> {
    let belief = Belief::of(harness)?;
    let (bundles, failed) = every_bundle(harness, &belief, progress)?;
    let now = wall_now();
    let mut facts = AuditFacts {
        judged_at_seconds: now.as_second(),
        harness_version: env!("CARGO_PKG_VERSION").to_owned(),
        bundles,
        failed,
        ..AuditFacts::default()
    };
    let mut failed = Vec::new();
    progress("reading documents", "");
    for (id, found) in all::<CandidateComparison>(harness, &belief, DocumentKind::Comparison, &mut failed) {
        if found.document.verdict.proof_holds && found.seen.accepted {
            facts.accepted_comparisons.push(id.to_string());
        }
    }
    for (id, found) in all::<RepeatabilityRefresh>(harness, &belief, DocumentKind::Refresh, &mut failed) {
        if found.document.repeatability_status == Status::Pass {
            facts.passed_refreshes.push(id.to_string());
        }
    }
    for (id, _) in all::<DecisionPacket>(harness, &belief, DocumentKind::Packet, &mut failed) {
        facts.packets.push(id.to_string());
    }
    facts.failed_documents = failed;
    Ok(judge_audit(&rfc3339(now), &facts))
}

/// Returns the documents of a kind that verify, newest first; the others are named.
fn all<T: DeserializeOwned>(
    harness: &Harness,
    belief: &Belief,
    kind: DocumentKind,
    failed: &mut Vec<String>,
) -> Vec<(RunId, CheckedDocument<T>)> {
    let mut found = Vec::new();
    for id in documents(&harness.home, kind).unwrap_or_default() {
        match read_believing::<T>(harness, belief, kind, &id) {
            Ok(document) if document.outcome.ok() => found.push((id, document)),
            _ => failed.push(id.to_string()),
        }
    }
    found
}
