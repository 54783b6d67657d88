//! What only several bundles show together: an approval that more than one run consumed.

use std::collections::{BTreeMap, BTreeSet};

use cto_schema::Sha256Digest;

use super::{Check, CheckState, Verified};

/// Fails every run of a packet that another run has consumed as well: one word of an operator is good for one run. A run
/// that is here twice, as a directory and as an archive, is one run.
pub(super) fn fail_shared_approvals(results: &mut [Verified]) {
    let mut runs: BTreeMap<Sha256Digest, BTreeSet<(String, Option<Sha256Digest>)>> = BTreeMap::new();
    for outcome in results.iter().filter_map(|verified| verified.result.as_ref().ok()) {
        if let Some(packet) = outcome.approval_packet {
            let run = (outcome.run_id.clone(), outcome.manifest_digest);
            runs.entry(packet).or_default().insert(run);
        }
    }
    runs.retain(|_, runs| runs.len() > 1);
    for outcome in results.iter_mut().filter_map(|verified| verified.result.as_mut().ok()) {
        let Some(runs) = outcome.approval_packet.and_then(|packet| runs.get(&packet)) else {
            continue;
        };
        let own = (outcome.run_id.clone(), outcome.manifest_digest);
        let others: Vec<&str> = runs
            .iter()
            .filter(|run| **run != own)
            .map(|(run_id, _)| run_id.as_str())
            .collect();
        outcome.checks.push(Check {
            name: "approval-once",
            state: CheckState::Failed,
            detail: format!("its approval was consumed by {} as well", others.join(", ")),
        });
        outcome.effective_status = None;
    }
}
