//! The `command` engine: any program that the operator names.

use std::ffi::OsString;

use cto_sandbox::Program;
use cto_schema::{EventType, StreamFacts, Untrusted};
use serde_json::json;

use super::{Engine, EngineError, EngineManifest, EngineTask, Invocation, Normalized};

/// Most lines of output that become events; all of it is in `backend/`.
const MAX_EVENTS: usize = 200;
/// Longest text of one event.
const MAX_TEXT: usize = 2000;

/// Any program, with no promise about its output.
pub(super) struct Command;

const MANIFEST: EngineManifest = EngineManifest {
    name: "command",
    summary: "any program that the operator names after '--'; no gate for copies",
    gated: false,
    ungated_up_to_stage: 3,
    final_event: None,
};

impl Engine for Command {
    fn manifest(&self) -> &'static EngineManifest {
        &MANIFEST
    }

    fn program(&self, task: &EngineTask<'_>) -> Option<OsString> {
        Some(task.command.first().cloned().unwrap_or_default())
    }

    /// The words `{brief}` and `{title}` of the argv are replaced; the brief is in `TASK_BRIEF` as well.
    fn invocation(&self, task: &EngineTask<'_>) -> Result<Invocation, EngineError> {
        if task.command.is_empty() {
            return Err(EngineError::NoCommand);
        }
        let contract = task.contract;
        let argv: Vec<OsString> = task
            .command
            .iter()
            .map(|word| match word.to_str() {
                Some("{brief}") => OsString::from(&contract.brief),
                Some("{title}") => OsString::from(&contract.title),
                _ => word.clone(),
            })
            .collect();
        let shown = argv
            .iter()
            .map(|word| cto_schema::escape(word.as_encoded_bytes(), 400))
            .collect();
        let env = vec![
            ("TASK_ID".into(), OsString::from(&contract.task_id)),
            ("TASK_BRIEF".into(), OsString::from(&contract.brief)),
        ];
        Ok(Invocation {
            program: Program::Argv(argv),
            env,
            shown,
        })
    }

    fn normalize(&self, stdout: &[u8], stderr: &[u8]) -> Normalized {
        let mut events = Vec::new();
        for (stream, bytes) in [("stdout", stdout), ("stderr", stderr)] {
            let lines = bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty());
            for line in lines.take(MAX_EVENTS) {
                let text = Untrusted::new(line).escaped(MAX_TEXT);
                events.push((EventType::EngineMessage, json!({ "stream": stream, "text": text })));
            }
        }
        Normalized {
            events,
            stream: StreamFacts::default(),
        }
    }
}
