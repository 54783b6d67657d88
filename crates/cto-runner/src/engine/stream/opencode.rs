//! `opencode run --format json`: the verdict is the reason of the last step; a tool is shown only after its end.

use cto_schema::{EventType, StreamFacts};
use serde_json::{Value, json};

use super::quoted::{Quoted, first_text, numbers, text};
use crate::engine::EngineOutput;

pub(super) const FINAL_EVENT: &str = "step_finish";

/// Reads the stream. An `error` stays, whatever follows it.
pub(super) fn read(output: &EngineOutput<'_>, quoted: &mut Quoted) -> StreamFacts {
    let mut facts = StreamFacts::default();
    let mut reason = None;
    quoted.each_json(output.stdout, |name, line, quoted| {
        let part = &line["part"];
        match name {
            "step_start" => reason = None,
            "text" | "reasoning" => quoted.say(EventType::EngineMessage, &part["text"]),
            "tool_use" => tool(part, quoted),
            FINAL_EVENT => {
                reason = Some(first_text(&[&part["reason"]], "no reason"));
                quoted.push(EventType::EngineUsage, numbers(&part["tokens"]));
            }
            "error" => {
                let error = &line["error"];
                let failure = stated(error);
                quoted.push(EventType::EngineError, json!({ "text": failure }));
                facts.failure.get_or_insert(failure);
            }
            _ => quoted.unknown(),
        }
    });
    // A step that asks for tools is followed by another one.
    let ended = reason.filter(|reason| reason != "tool-calls");
    facts.final_event_seen = ended.is_some();
    if let Some(reason) = ended.filter(|reason| reason != "stop") {
        facts
            .failure
            .get_or_insert(format!("the last step ended with '{reason}'"));
    }
    facts
}

/// Joins name, status and message: each alone says too little.
fn stated(error: &Value) -> String {
    let said = [&error["name"], &error["data"]["statusCode"], &error["data"]["message"]];
    let said: Vec<String> = said.into_iter().map(text).filter(|said| !said.is_empty()).collect();
    if said.is_empty() {
        first_text(&[error], "an error")
    } else {
        said.join(" ")
    }
}

fn tool(part: &Value, quoted: &mut Quoted) {
    let (tool, state) = (text(&part["tool"]), &part["state"]);
    match tool.as_str() {
        "todowrite" => quoted.push(EventType::EnginePlan, json!({ "text": text(&state["input"]) })),
        "write" | "edit" => {
            let path = [&state["metadata"]["filepath"], &state["input"]["filePath"]];
            quoted.push(
                EventType::EngineFileChange,
                json!({ "path": first_text(&path, ""), "kind": tool }),
            );
        }
        _ => {}
    }
    quoted.push(
        EventType::EngineToolCall,
        json!({
            "tool": tool,
            "input": text(&state["input"]),
            "exit_code": state["metadata"]["exit"].as_i64(),
            "status": text(&state["status"]),
        }),
    );
}
