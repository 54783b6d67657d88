//! `pi --mode json`: the verdict is the stop reason of the last assistant message, once the agent has ended.

use cto_schema::{EventType, StreamFacts};
use serde_json::{Value, json};

use super::quoted::{MAX_ENTRIES, Quoted, first_text, numbers, text};
use crate::engine::EngineOutput;

pub(super) const FINAL_EVENT: &str = "agent_end";

/// Lines that repeat the whole message each time: they are most of the stream and say nothing new.
const DROPPED: [&[u8]; 2] = [br#"{"type":"message_update""#, br#"{"type":"tool_execution_update""#];

/// What the last assistant message says of its end.
#[derive(Default)]
struct Last {
    stop: Option<String>,
    error: String,
}

/// Reads the stream. With retries there are several ends; the last one counts, and only what came before it.
pub(super) fn read(output: &EngineOutput<'_>, quoted: &mut Quoted) -> StreamFacts {
    let mut facts = StreamFacts::default();
    let mut last = Last::default();
    let dropped = |line: &[u8]| DROPPED.iter().any(|start| line.starts_with(start));
    quoted.each_json_but(output.stdout, dropped, |name, line, quoted| match name {
        "session"
        | "turn_start"
        | "turn_end"
        | "message_start"
        | "message_update"
        | "tool_execution_update"
        | "compaction_start"
        | "compaction_end"
        | "queue_update" => {}
        "agent_start" => facts.final_event_seen = false,
        "message_end" => message(&line["message"], &mut last, quoted),
        "tool_execution_start" => {
            let data = json!({ "tool": text(&line["toolName"]), "input": text(&line["args"]) });
            quoted.push(EventType::EngineToolCall, data);
        }
        "tool_execution_end" => tool_end(line, quoted),
        "auto_retry_start" | "auto_retry_end" => {
            let said = first_text(&[&line["finalError"], &line["errorMessage"]], name);
            quoted.push(EventType::EngineError, json!({ "text": said, "warning": true }));
        }
        FINAL_EVENT => {
            facts.final_event_seen = true;
            let messages = line["messages"].as_array().into_iter().flatten();
            if let Some(message) = messages.rev().find(|message| message["role"] == "assistant") {
                last = end_of(message);
            }
        }
        _ => quoted.unknown(),
    });
    facts.failure = match last.stop.as_deref() {
        Some("stop") => None,
        None if !facts.final_event_seen => None,
        None => Some("the agent ended without an answer".to_owned()),
        Some(stop) if facts.final_event_seen || stop == "error" => Some(
            format!("the last answer ended with '{stop}' {}", last.error)
                .trim_end()
                .to_owned(),
        ),
        Some(_) => None,
    };
    facts
}

fn end_of(message: &Value) -> Last {
    Last {
        stop: Some(first_text(&[&message["stopReason"]], "no reason")),
        error: text(&message["errorMessage"]),
    }
}

fn message(message: &Value, last: &mut Last, quoted: &mut Quoted) {
    if message["role"] != "assistant" {
        return;
    }
    *last = end_of(message);
    for part in message["content"].as_array().into_iter().flatten().take(MAX_ENTRIES) {
        quoted.say(EventType::EngineMessage, &part["text"]);
    }
    if !last.error.is_empty() {
        quoted.push(EventType::EngineError, json!({ "text": last.error }));
    }
    quoted.push(EventType::EngineUsage, numbers(&message["usage"]));
}

fn tool_end(line: &Value, quoted: &mut Quoted) {
    let tool = text(&line["toolName"]);
    if line["isError"] == true {
        let data = json!({ "text": text(&line["result"]["content"]), "tool": tool, "warning": true });
        quoted.push(EventType::EngineError, data);
    } else if tool == "edit" || tool == "write" {
        let data = json!({ "tool": tool, "diff": text(&line["result"]["details"]["diff"]) });
        quoted.push(EventType::EngineFileChange, data);
    }
}
