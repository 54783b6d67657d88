//! What the clean room puts on record besides its results: the log, and what was tried in it.

use std::time::Duration;

use cto_schema::{EventType, ForbiddenAttempt, RunLabel};
use serde_json::{Value, json};

use crate::supervise::Supervised;

/// The log, and what processes of verification tried.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) log: Vec<u8>,
    pub(crate) events: Vec<(EventType, Value)>,
    /// Forbidden actions that the baseline's own commands attempt: no change is to blame for them.
    pub(super) habits: Vec<String>,
    pub(super) attempts: Vec<ForbiddenAttempt>,
    /// How long all commands ran that were started, canaries with them.
    pub(crate) took: Duration,
}

impl Record {
    /// Takes what one command took, and what was tried in its cage.
    pub(super) fn take(&mut self, label: RunLabel, command: usize, supervised: &mut Supervised) {
        self.took += supervised.duration;
        let (mut events, attempts) = std::mem::take(&mut supervised.refusals).finish();
        events.extend(supervised.exited.survivors.iter().map(|survivor| {
            let process = format!("{} ({})", survivor.comm, survivor.argv);
            let outcome = "ended with the cage";
            (
                EventType::BoundRefused,
                json!({ "act": "outlive", "process": process, "pid": survivor.pid, "outcome": outcome }),
            )
        }));
        for (kind, mut data) in events {
            if let Some(own) = data
                .as_object_mut()
                .and_then(|data| data.remove("by_engine_executable"))
            {
                data["by_command_executable"] = own;
            }
            data["during"] = json!("verification");
            data["run"] = json!(label.word());
            data["command"] = json!(command);
            self.events.push((kind, data));
        }
        for attempt in attempts {
            if label == RunLabel::Baseline {
                self.habits.push(attempt.action);
            } else if !self.attempts.contains(&attempt) {
                self.attempts.push(attempt);
            }
        }
        self.habits.sort();
        self.habits.dedup();
    }

    /// Returns the attempts that are the change's doing.
    pub(super) fn forbidden(&self) -> Vec<ForbiddenAttempt> {
        let new = |attempt: &&ForbiddenAttempt| !self.habits.contains(&attempt.action);
        self.attempts.iter().filter(new).cloned().collect()
    }
}
