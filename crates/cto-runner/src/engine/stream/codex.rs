//! `codex exec --json`: items and turns; the turn's end is the verdict, and an item of type `error` is a warning.

use std::collections::BTreeMap;

use cto_schema::{EventType, StreamFacts};
use serde_json::{Value, json};

use super::quoted::{MAX_ENTRIES, Quoted, first_text, numbers, text};
use crate::engine::EngineOutput;

pub(super) const FINAL_EVENT: &str = "turn.completed";

/// Reads the stream. `turn.failed` stays, whatever follows it.
pub(super) fn read(output: &EngineOutput<'_>, quoted: &mut Quoted) -> StreamFacts {
    let mut facts = StreamFacts::default();
    // Commands that were begun and have not ended: a run that is killed in one shows it.
    let mut open: BTreeMap<String, Value> = BTreeMap::new();
    quoted.each_json(output.stdout, |name, line, quoted| match name {
        "thread.started" => {}
        "turn.started" => facts.final_event_seen = false,
        FINAL_EVENT => {
            facts.final_event_seen = true;
            quoted.push(EventType::EngineUsage, numbers(&line["usage"]));
        }
        "turn.failed" => {
            let failure = first_text(&[&line["error"]["message"], &line["error"]], "the turn failed");
            quoted.push(EventType::EngineError, json!({ "text": failure }));
            facts.failure.get_or_insert(failure);
        }
        // Reconnections come this way as well, so it decides nothing.
        "error" => quoted.say(EventType::EngineError, &line["message"]),
        "item.started" | "item.updated" => {
            let item = &line["item"];
            match item["type"].as_str() {
                Some("command_execution") if open.len() < MAX_ENTRIES => {
                    open.insert(text(&item["id"]), command(item));
                }
                Some("todo_list") => plan(item, quoted),
                _ => {}
            }
        }
        "item.completed" => {
            open.remove(&text(&line["item"]["id"]));
            item(&line["item"], quoted);
        }
        _ => quoted.unknown(),
    });
    for call in open.into_values() {
        quoted.push(EventType::EngineToolCall, call);
    }
    facts
}

fn item(item: &Value, quoted: &mut Quoted) {
    match item["type"].as_str().unwrap_or_default() {
        "agent_message" | "reasoning" => quoted.say(EventType::EngineMessage, &item["text"]),
        "command_execution" => quoted.push(EventType::EngineToolCall, command(item)),
        "file_change" => {
            for change in item["changes"].as_array().into_iter().flatten().take(MAX_ENTRIES) {
                let data = json!({ "path": text(&change["path"]), "kind": text(&change["kind"]) });
                quoted.push(EventType::EngineFileChange, data);
            }
        }
        "todo_list" => plan(item, quoted),
        "mcp_tool_call" | "web_search" | "collab_tool_call" => {
            let data = json!({ "tool": text(&item["type"]), "input": text(item) });
            quoted.push(EventType::EngineToolCall, data);
        }
        "error" => {
            let data = json!({ "text": text(&item["message"]), "warning": true });
            quoted.push(EventType::EngineError, data);
        }
        _ => quoted.unknown(),
    }
}

fn command(item: &Value) -> Value {
    json!({
        "tool": "shell",
        "input": text(&item["command"]),
        "exit_code": item["exit_code"].as_i64(),
        "status": text(&item["status"]),
    })
}

fn plan(item: &Value, quoted: &mut Quoted) {
    let steps = item["items"].as_array().into_iter().flatten().take(MAX_ENTRIES);
    let steps: Vec<Value> = steps
        .map(|step| json!({ "text": text(&step["text"]), "done": step["completed"] == true }))
        .collect();
    quoted.push(EventType::EnginePlan, json!({ "steps": steps }));
}
