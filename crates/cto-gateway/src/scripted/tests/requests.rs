//! Requests of the kinds that real agents send, small and made up.

use serde_json::{Value, json};

/// The prompt that names a case by its title.
pub(super) const PROMPT: &str = "Please: Fix slugify so that whitespace\n  runs become one hyphen. Thanks.";

/// Returns a first request in the format of `path`.
pub(super) fn first(path: &str, model: &str, stream: bool) -> Value {
    conversation(path, model, stream, PROMPT, &[])
}

/// Returns a request in which tools have answered `results` so far.
pub(super) fn conversation(path: &str, model: &str, stream: bool, prompt: &str, results: &[String]) -> Value {
    let mut body = match path {
        "/v1/chat/completions" => chat(prompt, results),
        "/v1/responses" => responses(prompt, results),
        _ => messages(prompt, results),
    };
    body["model"] = json!(model);
    body["stream"] = json!(stream);
    body
}

fn chat(prompt: &str, results: &[String]) -> Value {
    let mut messages = vec![
        json!({ "role": "system", "content": "You are an agent." }),
        json!({ "role": "user", "content": [{ "type": "text", "text": prompt }] }),
    ];
    for (index, result) in results.iter().enumerate() {
        let id = format!("call_{index}");
        let call = json!({ "id": id, "type": "function", "function": { "name": "bash", "arguments": "{}" } });
        messages.push(json!({ "role": "assistant", "content": null, "tool_calls": [call] }));
        messages.push(json!({ "role": "tool", "tool_call_id": id, "content": result }));
    }
    json!({
        "messages": messages,
        "stream_options": { "include_usage": true },
        "tools": [{ "type": "function", "function": { "name": "bash", "parameters": shell("command") } }],
    })
}

fn responses(prompt: &str, results: &[String]) -> Value {
    let part = |text: &str| json!([{ "type": "input_text", "text": text }]);
    let mut input = vec![
        json!({ "type": "message", "role": "developer", "content": part("You are an agent.") }),
        json!({ "type": "message", "role": "user", "content": part(prompt) }),
    ];
    for (index, result) in results.iter().enumerate() {
        let id = format!("call_{index}");
        input.push(json!({ "type": "function_call", "call_id": id, "name": "exec_command", "arguments": "{}" }));
        input.push(json!({ "type": "function_call_output", "call_id": id, "output": result }));
    }
    json!({
        "instructions": null,
        "input": input,
        "tools": [
            { "type": "web_search" },
            { "type": "function", "name": "exec_command", "parameters": shell("cmd") },
        ],
    })
}

fn messages(prompt: &str, results: &[String]) -> Value {
    let mut messages = vec![
        json!({ "role": "user", "content": [{ "type": "text", "text": prompt }] }),
        json!({ "role": "system", "content": "Be brief." }),
    ];
    for (index, result) in results.iter().enumerate() {
        let id = format!("toolu_{index}");
        let call = json!({ "type": "tool_use", "id": id, "name": "Bash", "input": {} });
        messages.push(json!({ "role": "assistant", "content": [call] }));
        let content = json!([{ "type": "text", "text": result }]);
        let result = json!({ "type": "tool_result", "tool_use_id": id, "content": content });
        messages.push(json!({ "role": "user", "content": [result] }));
    }
    json!({
        "max_tokens": 1024,
        "system": [{ "type": "text", "text": "You are an agent." }],
        "messages": messages,
        "tools": [{ "name": "Bash", "input_schema": shell("command") }],
    })
}

fn shell(field: &str) -> Value {
    json!({
        "type": "object",
        "properties": { field: { "type": "string" }, "description": { "type": "string" } },
        "required": [field, "description"],
    })
}
