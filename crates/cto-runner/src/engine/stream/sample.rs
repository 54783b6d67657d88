//! Streams as real releases print them, to be played by a stub.

use cto_schema::{EngineJsonl, EngineParser, EngineStream};
use serde_json::{Value, json};

/// Returns a complete stream of a run that went well, up to its final event.
pub(crate) fn sample(stream: &EngineStream) -> Vec<u8> {
    let last = stream.final_event.as_deref().unwrap_or_default();
    match (stream.parser, &stream.jsonl) {
        (EngineParser::Codex, _) => include_bytes!("samples/codex.jsonl").to_vec(),
        (EngineParser::Pi, _) => include_bytes!("samples/pi.jsonl").to_vec(),
        (EngineParser::Claude, _) => include_bytes!("samples/claude.jsonl").to_vec(),
        (EngineParser::Opencode, _) => include_bytes!("samples/opencode.jsonl").to_vec(),
        (EngineParser::Case, _) => include_bytes!("samples/case.jsonl").to_vec(),
        (EngineParser::Jsonl, Some(meaning)) => format!("{}\n", last_line(meaning, last)).into_bytes(),
        (EngineParser::Lines | EngineParser::Jsonl, _) => format!("working\n{last}\n").into_bytes(),
    }
}

/// The line that the manifest takes for the end of a run that went well.
fn last_line(meaning: &EngineJsonl, name: &str) -> Value {
    let mut line = json!({});
    put(&mut line, &meaning.name, name.into());
    let event = meaning.events.iter().find(|event| event.name == name);
    if let Some(success) = event.and_then(|event| event.success.as_ref()) {
        put(&mut line, &success.pointer, success.equals.clone());
    }
    line
}

/// Puts a value where a JSON pointer points, below objects.
fn put(document: &mut Value, pointer: &str, value: Value) {
    let mut at = document;
    for part in pointer.split('/').skip(1) {
        let key = part.replace("~1", "/").replace("~0", "~");
        if !at.is_object() {
            *at = json!({});
        }
        at = &mut at[key.as_str()];
    }
    *at = value;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::EngineOutput;

    #[test]
    fn a_stream_of_json_ends_as_its_manifest_says() {
        let stream: EngineStream = serde_saphyr::from_str(
            "{parser: jsonl, final_event: end, jsonl: {name: /event/name, events: [\
             {name: end, as: message, success: {pointer: /event/ok, equals: true}}]}}",
        )
        .unwrap();
        let bytes = sample(&stream);
        let output = EngineOutput {
            stdout: &bytes,
            ..EngineOutput::default()
        };
        assert!(super::super::read(&stream, &output).stream.claims_success);
    }
}
