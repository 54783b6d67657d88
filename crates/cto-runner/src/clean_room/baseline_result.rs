//! The baseline's own result, cached by tree, commands and environment.

use std::path::{Path, PathBuf};

use crate::cache::write_cache;
use cto_schema::{RunLabel, Sha256Digest, VerificationRun};
use serde::{Deserialize, Serialize};

use super::record::Record;
use super::room::{Room, RoomError};

/// A cached result. It is a convenience of this machine, never evidence by itself: the bundle holds the result.
#[derive(Serialize, Deserialize)]
struct CachedResult {
    run: VerificationRun,
    log: String,
    habits: Vec<String>,
}

/// Returns what the commands say about the baseline alone.
pub(super) fn baseline_result(
    room: &Room<'_>,
    cache: &Path,
    record: &mut Record,
) -> Result<VerificationRun, RoomError> {
    let place = place(room, cache);
    // An unreadable or torn cache entry is as good as none.
    if let Some(cached) = std::fs::read(&place)
        .ok()
        .and_then(|bytes| serde_json::from_slice::<CachedResult>(&bytes).ok())
    {
        let quoted = format!("== baseline (cached) ==\n{}", cached.log);
        record.log.extend_from_slice(quoted.as_bytes());
        record.habits = cached.habits;
        return Ok(VerificationRun {
            cached: true,
            ..cached.run
        });
    }
    let from = record.log.len();
    let commands = &room.plan.contract.verification_commands;
    let (run, _) = room.perform_all(RunLabel::Baseline, commands, &[], record)?;
    // A result that a limit or a failed start produced may not hold next time.
    if run.commands.iter().all(|command| command.exit_code.is_some()) {
        let text = String::from_utf8_lossy(&record.log[from..]).into_owned();
        let text = text.split_once('\n').map_or(String::new(), |(_, rest)| rest.to_owned());
        let cached = CachedResult {
            run: run.clone(),
            log: text,
            habits: record.habits.clone(),
        };
        if let Ok(bytes) = serde_json::to_vec(&cached) {
            // Without the cache the next run only takes longer.
            drop(write_cache(&place, &bytes));
        }
    }
    Ok(run)
}

fn place(room: &Room<'_>, cache: &Path) -> PathBuf {
    let key = serde_json::json!({
        "tree": room.plan.baseline.tree(),
        "commit": room.plan.baseline.commit(),
        "commands": room.plan.contract.verification_commands,
        "environment": room.plan.environment_digest(room.provider.name()),
    });
    cache.join(format!(
        "baseline-result-{}.json",
        Sha256Digest::of(key.to_string().as_bytes()).hex()
    ))
}
