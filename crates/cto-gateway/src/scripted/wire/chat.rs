//! OpenAI Chat Completions: chunks without names, usage in a chunk of its own, `[DONE]` at the end.

use serde_json::{Map, Value, json};

use super::CREATED_AT;
use crate::scripted::answer::{Answer, Finish, pieces};

pub(super) fn events(answer: &Answer, include_usage: bool) -> Vec<String> {
    let mut found = vec![choice(answer, &json!({ "role": "assistant", "content": "" }), None)];
    for piece in pieces(answer.reasoning.as_deref().unwrap_or_default()) {
        found.push(choice(answer, &json!({ "reasoning": piece }), None));
    }
    for piece in pieces(answer.text.as_deref().unwrap_or_default()) {
        found.push(choice(answer, &json!({ "content": piece }), None));
    }
    for (index, call) in answer.calls.iter().enumerate() {
        let start = json!({ "tool_calls": [{
            "index": index, "id": answer.id("call_", index), "type": "function",
            "function": { "name": call.name, "arguments": "" },
        }] });
        found.push(choice(answer, &start, None));
        for piece in pieces(call.input.text()) {
            let delta = json!({ "tool_calls": [{ "index": index, "function": { "arguments": piece } }] });
            found.push(choice(answer, &delta, None));
        }
    }
    found.push(choice(answer, &json!({}), Some(finish_reason(answer.finish))));
    if include_usage {
        let mut last = chunk(answer);
        last.insert("choices".to_owned(), json!([]));
        last.insert("usage".to_owned(), usage(answer));
        found.push(frame(last));
    }
    found.push("data: [DONE]\n\n".to_owned());
    found
}

pub(super) fn document(answer: &Answer) -> Value {
    let mut message = json!({ "role": "assistant", "content": answer.text, "refusal": null });
    if let Some(reasoning) = &answer.reasoning {
        message["reasoning"] = json!(reasoning);
    }
    if !answer.calls.is_empty() {
        let calls = answer.calls.iter().enumerate().map(|(index, call)| {
            json!({
                "id": answer.id("call_", index), "type": "function",
                "function": { "name": call.name, "arguments": call.input.text() },
            })
        });
        message["tool_calls"] = calls.collect();
    }
    json!({
        "id": answer.id("chatcmpl-", 0), "object": "chat.completion", "created": CREATED_AT, "model": answer.model,
        "choices": [{
            "index": 0, "message": message, "logprobs": null, "finish_reason": finish_reason(answer.finish),
        }],
        "usage": usage(answer),
    })
}

fn chunk(answer: &Answer) -> Map<String, Value> {
    let mut chunk = Map::new();
    chunk.insert("id".to_owned(), json!(answer.id("chatcmpl-", 0)));
    chunk.insert("object".to_owned(), json!("chat.completion.chunk"));
    chunk.insert("created".to_owned(), json!(CREATED_AT));
    chunk.insert("model".to_owned(), json!(answer.model));
    chunk
}

fn choice(answer: &Answer, delta: &Value, finish_reason: Option<&str>) -> String {
    let mut chunk = chunk(answer);
    chunk.insert(
        "choices".to_owned(),
        json!([{ "index": 0, "delta": delta, "finish_reason": finish_reason }]),
    );
    frame(chunk)
}

fn frame(chunk: Map<String, Value>) -> String {
    format!("data: {}\n\n", Value::Object(chunk))
}

fn finish_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::ToolCalls => "tool_calls",
        Finish::Length => "length",
    }
}

fn usage(answer: &Answer) -> Value {
    let usage = answer.usage;
    json!({
        "prompt_tokens": usage.input, "completion_tokens": usage.output, "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": { "cached_tokens": 0 },
        "completion_tokens_details": { "reasoning_tokens": usage.reasoning },
    })
}
