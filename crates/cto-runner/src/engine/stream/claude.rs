//! `claude -p --output-format stream-json`: the verdict is `is_error` and the denials of its result, never `subtype`.

use cto_schema::{EventType, StreamFacts};
use serde_json::{Value, json};

use super::quoted::{MAX_ENTRIES, Quoted, first_text, numbers, text};
use crate::engine::EngineOutput;

pub(super) const FINAL_EVENT: &str = "result";

/// Reads the stream. A result that is an error stays, whatever follows it.
pub(super) fn read(output: &EngineOutput<'_>, quoted: &mut Quoted) -> StreamFacts {
    let mut facts = StreamFacts::default();
    quoted.each_json(output.stdout, |name, line, quoted| match name {
        "system" => system(line, quoted),
        "assistant" => {
            // What comes after a result is another round that has to end as well.
            facts.final_event_seen = false;
            for part in line["message"]["content"]
                .as_array()
                .into_iter()
                .flatten()
                .take(MAX_ENTRIES)
            {
                said(part, quoted);
            }
        }
        "user" => results(line, quoted),
        FINAL_EVENT => {
            facts.final_event_seen = true;
            quoted.push(EventType::EngineUsage, numbers(&line["usage"]));
            if let Some(failure) = failure(line) {
                quoted.push(EventType::EngineError, json!({ "text": failure }));
                facts.failure.get_or_insert(failure);
            }
        }
        "stream_event" | "rate_limit_event" => {}
        _ => quoted.unknown(),
    });
    facts
}

fn failure(result: &Value) -> Option<String> {
    if result["is_error"] != false {
        let said = [
            &result["result"],
            &result["errors"],
            &result["api_error_status"],
            &result["subtype"],
        ];
        return Some(first_text(&said, "the result does not say how the run ended"));
    }
    match result["permission_denials"].as_array() {
        Some(denials) if denials.is_empty() => None,
        Some(denials) => {
            let tools: Vec<String> = denials
                .iter()
                .take(5)
                .map(|denial| text(&denial["tool_name"]))
                .collect();
            Some(format!(
                "{} tool calls were denied: {}",
                denials.len(),
                tools.join(", ")
            ))
        }
        None => Some("the result does not say which tool calls were denied".to_owned()),
    }
}

fn system(line: &Value, quoted: &mut Quoted) {
    if line["subtype"] == "api_retry" {
        let data = json!({
            "text": first_text(&[&line["error"], &line["error_status"]], "a call is repeated"),
            "attempt": line["attempt"].as_u64(),
            "warning": true,
        });
        quoted.push(EventType::EngineError, data);
    }
}

fn said(part: &Value, quoted: &mut Quoted) {
    match part["type"].as_str().unwrap_or_default() {
        "text" => quoted.say(EventType::EngineMessage, &part["text"]),
        "thinking" => quoted.say(EventType::EngineMessage, &part["thinking"]),
        "tool_use" => {
            let tool = text(&part["name"]);
            let is_plan = ["TaskCreate", "TaskUpdate", "TodoWrite"].contains(&tool.as_str());
            let kind = if is_plan {
                EventType::EnginePlan
            } else {
                EventType::EngineToolCall
            };
            quoted.push(kind, json!({ "tool": tool, "input": text(&part["input"]) }));
        }
        _ => quoted.unknown(),
    }
}

/// Results of tools: a change of a file is known by its path, an error by its mark.
fn results(line: &Value, quoted: &mut Quoted) {
    let result = &line["tool_use_result"];
    if let Some(path) = result.get("filePath") {
        let data = json!({ "path": text(path), "kind": text(&result["type"]) });
        quoted.push(EventType::EngineFileChange, data);
    }
    let parts = line["message"]["content"].as_array().into_iter().flatten();
    for part in parts.take(MAX_ENTRIES).filter(|part| part["is_error"] == true) {
        let data = json!({ "text": text(&part["content"]), "warning": true });
        quoted.push(EventType::EngineError, data);
    }
}
