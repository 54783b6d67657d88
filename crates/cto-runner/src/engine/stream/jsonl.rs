//! `jsonl`: a JSON stream whose meaning stands in the manifest.

use cto_schema::{EngineJsonl, EngineJsonlEvent, EngineJsonlKind, EventType, StreamFacts};
use serde_json::{Map, Value};

use super::quoted::{Quoted, text};
use crate::engine::EngineOutput;

/// Reads standard output by the manifest's rules. A failure stays, whatever follows it.
pub(super) fn read(
    meaning: &EngineJsonl,
    final_event: Option<&str>,
    output: &EngineOutput<'_>,
    quoted: &mut Quoted,
) -> StreamFacts {
    let mut facts = StreamFacts::default();
    quoted.each_json(output.stdout, |sniffed, line, quoted| {
        let name = line.pointer(&meaning.name).and_then(Value::as_str).unwrap_or(sniffed);
        let Some(event) = meaning.events.iter().find(|event| event.name == name) else {
            return quoted.unknown();
        };
        facts.final_event_seen |= final_event == Some(name);
        if let Some(failure) = failure(event, line) {
            facts.failure.get_or_insert(failure);
        }
        if let Some(kind) = kind(event.kind) {
            quoted.push(kind, quote(event, line));
        }
    });
    facts
}

fn kind(kind: EngineJsonlKind) -> Option<EventType> {
    match kind {
        EngineJsonlKind::Message => Some(EventType::EngineMessage),
        EngineJsonlKind::Plan => Some(EventType::EnginePlan),
        EngineJsonlKind::ToolCall => Some(EventType::EngineToolCall),
        EngineJsonlKind::FileChange => Some(EventType::EngineFileChange),
        EngineJsonlKind::Usage => Some(EventType::EngineUsage),
        EngineJsonlKind::Error => Some(EventType::EngineError),
        EngineJsonlKind::Nothing => None,
    }
}

fn failure(event: &EngineJsonlEvent, line: &Value) -> Option<String> {
    let stated = match &event.success {
        Some(success) => line.pointer(&success.pointer) != Some(&success.equals),
        None => event.kind == EngineJsonlKind::Error,
    };
    stated.then(|| format!("{}: {}", event.name, text(line)))
}

fn quote(event: &EngineJsonlEvent, line: &Value) -> Value {
    let mut data = Map::new();
    for pointer in &event.quote {
        let name = pointer.rsplit('/').next().unwrap_or_default();
        let value = line.pointer(pointer).unwrap_or(&Value::Null);
        data.insert(name.to_owned(), text(value).into());
    }
    if event.quote.is_empty() {
        data.insert("text".to_owned(), text(line).into());
    }
    Value::Object(data)
}
