//! What the write set says.

use cto_schema::{BlockerCode, Observations, TaskContract, WriteSet};

use super::Reasons;
use crate::scope::Scope;

/// How many paths a blocker's detail names.
const SHOWN: usize = 10;

pub(super) fn judge(
    contract: &TaskContract,
    write_set: &WriteSet,
    observed: &Observations,
    cause_known: bool,
    reasons: &mut Reasons,
) {
    match Scope::of(contract) {
        Ok(scope) => {
            let (outside, forbidden) = scope.violations(&write_set.changes);
            if !outside.is_empty() {
                reasons.add(
                    BlockerCode::DisallowedFileChange,
                    format!("outside allowed_paths: {}", list(&outside)),
                );
            }
            if !forbidden.is_empty() {
                reasons.add(
                    BlockerCode::DisallowedFileChange,
                    format!("inside forbidden_paths: {}", list(&forbidden)),
                );
            }
        }
        Err(error) => reasons.add(BlockerCode::ContractInvalid, error.to_string()),
    }
    if !write_set.unsafe_entries.is_empty() {
        let entries: Vec<String> = write_set
            .unsafe_entries
            .iter()
            .map(|entry| format!("{} ({})", entry.path.shown(), entry.reason))
            .collect();
        reasons.add(BlockerCode::UnsafeFile, list(&entries));
    }
    if let Some(limit) = &write_set.truncated {
        reasons.add(BlockerCode::ResourceLimit, limit.clone());
    }
    if let Some(error) = &observed.roundtrip_error {
        reasons.add(BlockerCode::PatchRoundtripFailed, error.clone());
    }
    let nothing = write_set.changes.is_empty() && write_set.unsafe_entries.is_empty() && write_set.truncated.is_none();
    if contract.requires_diff && nothing && !cause_known {
        reasons.add(BlockerCode::NoDiff, "a change is required and the engine made none");
    }
}

/// Joins paths for people; the whole list is in the bundle.
pub(super) fn list(items: &[String]) -> String {
    let more = items.len().saturating_sub(SHOWN);
    let mut text = items[..items.len().min(SHOWN)].join(", ");
    if more > 0 {
        text = format!("{text} and {more} more");
    }
    text
}
