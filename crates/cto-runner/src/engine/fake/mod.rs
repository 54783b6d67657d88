//! The `fake` engine: embedded, deterministic, and able to play every failure of the matrix.

mod play;
mod program;

use std::ffi::OsString;

use cto_sandbox::Program;
use cto_schema::{EventType, StreamFacts, Untrusted};
use serde_json::{Value, json};

use super::{Engine, EngineError, EngineManifest, EngineOutput, EngineTask, Invocation, Normalized, Places, Search};

pub use play::{PLAYS, Play};
pub(crate) use program::play;

/// The default lane.
#[derive(Debug)]
pub(super) struct Fake {
    manifest: EngineManifest,
}

impl Fake {
    pub(super) fn new() -> Self {
        Self {
            manifest: EngineManifest {
                name: "fake".to_owned(),
                summary:
                    "embedded and deterministic: plays a scripted edit, or a failure (fake:no-diff, …); the default lane"
                        .to_owned(),
                ungated_up_to_stage: 3,
                parser: "fake".to_owned(),
                final_event: Some(FINAL_EVENT.to_owned()),
                ..EngineManifest::default()
            },
        }
    }
}

const FINAL_EVENT: &str = "fake.finished";

/// Longest text of one event.
const MAX_TEXT: usize = 2000;

impl Engine for Fake {
    fn manifest(&self) -> &EngineManifest {
        &self.manifest
    }

    fn search(&self, _places: &Places<'_>) -> Search {
        Search::NotNeeded
    }

    fn program(&self, task: &EngineTask<'_>) -> Option<OsString> {
        (task.variant == Some("provider-unavailable")).then(|| OsString::from("/nonexistent/agent"))
    }

    fn invocation(&self, task: &EngineTask<'_>) -> Result<Invocation, EngineError> {
        let script = play::script(task);
        let shown = vec!["fake".to_owned(), task.variant.unwrap_or("edit").to_owned()];
        // A script is strings and numbers: it always serialises.
        let input = serde_json::to_string(&script).unwrap_or_default();
        let program = Program::Embedded {
            name: "fake".to_owned(),
            input,
        };
        Ok(Invocation::of(program, shown))
    }

    fn normalize(&self, output: &EngineOutput<'_>) -> Normalized {
        let mut normalized = Normalized {
            stream: StreamFacts {
                final_event: Some(FINAL_EVENT.to_owned()),
                ..StreamFacts::default()
            },
            ..Normalized::default()
        };
        for line in output.stdout.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
            let Ok(value) = serde_json::from_slice::<Value>(line) else {
                normalized.stream.protocol_error = Some("a line of the stream is not JSON".to_owned());
                continue;
            };
            read_line(&value, &mut normalized);
        }
        normalized
    }
}

fn read_line(value: &Value, normalized: &mut Normalized) {
    let text = |field: &str| Untrusted::new(value[field].as_str().unwrap_or_default()).escaped(MAX_TEXT);
    let (kind, data) = match value["type"].as_str().unwrap_or_default() {
        "fake.plan" => (EventType::EnginePlan, json!({ "text": text("text") })),
        "fake.edit" => (EventType::EngineFileChange, json!({ "path": text("path") })),
        "fake.tool" => (EventType::EngineToolCall, json!({ "tool": text("tool") })),
        "fake.error" => {
            normalized.stream.failure = Some(text("text"));
            (EventType::EngineError, json!({ "text": text("text") }))
        }
        "fake.review" => {
            normalized.stream.reviewer_rejection = Some(text("text"));
            (EventType::EngineMessage, json!({ "text": text("text") }))
        }
        FINAL_EVENT => {
            normalized.stream.final_event_seen = true;
            normalized.stream.claims_success = true;
            (EventType::EngineMessage, json!({ "text": "finished" }))
        }
        _ => (EventType::EngineMessage, json!({ "text": text("text") })),
    };
    normalized.events.push((kind, data));
}
