//! Anthropic Messages: one block after the other, each with its start, deltas and stop.

use serde_json::{Value, json};

use super::named;
use crate::scripted::answer::{Answer, Finish, pieces};

pub(super) fn events(answer: &Answer) -> Vec<String> {
    let mut message = envelope(answer);
    message["content"] = json!([]);
    message["stop_reason"] = Value::Null;
    message["usage"]["output_tokens"] = json!(1);
    let mut found = vec![
        named("message_start", &json!({ "type": "message_start", "message": message })),
        named("ping", &json!({ "type": "ping" })),
    ];
    for (index, block) in blocks(answer).into_iter().enumerate() {
        let start = json!({ "type": "content_block_start", "index": index, "content_block": block.start });
        found.push(named("content_block_start", &start));
        for delta in block.deltas {
            let delta = json!({ "type": "content_block_delta", "index": index, "delta": delta });
            found.push(named("content_block_delta", &delta));
        }
        let stop = json!({ "type": "content_block_stop", "index": index });
        found.push(named("content_block_stop", &stop));
    }
    let delta = json!({
        "type": "message_delta",
        "delta": { "stop_reason": stop_reason(answer.finish), "stop_sequence": null },
        "usage": { "output_tokens": answer.usage.output },
    });
    found.push(named("message_delta", &delta));
    found.push(named("message_stop", &json!({ "type": "message_stop" })));
    found
}

pub(super) fn document(answer: &Answer) -> Value {
    let mut message = envelope(answer);
    message["content"] = blocks(answer).into_iter().map(|block| block.whole).collect();
    message
}

fn envelope(answer: &Answer) -> Value {
    json!({
        "id": answer.id("msg_", 0), "type": "message", "role": "assistant", "model": answer.model, "content": [],
        "stop_reason": stop_reason(answer.finish), "stop_sequence": null,
        "usage": {
            "input_tokens": answer.usage.input, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
            "output_tokens": answer.usage.output,
        },
    })
}

/// A block of content: how it starts, what is added, and what it is as a whole.
struct Block {
    start: Value,
    deltas: Vec<Value>,
    whole: Value,
}

fn blocks(answer: &Answer) -> Vec<Block> {
    let mut found = vec![];
    if let Some(thinking) = &answer.reasoning {
        let mut deltas = parts(thinking, "thinking_delta", "thinking");
        deltas.push(json!({ "type": "signature_delta", "signature": answer.seed }));
        found.push(Block {
            start: json!({ "type": "thinking", "thinking": "", "signature": "" }),
            deltas,
            whole: json!({ "type": "thinking", "thinking": thinking, "signature": answer.seed }),
        });
    }
    if let Some(text) = &answer.text {
        found.push(Block {
            start: json!({ "type": "text", "text": "" }),
            deltas: parts(text, "text_delta", "text"),
            whole: json!({ "type": "text", "text": text }),
        });
    }
    for (index, call) in answer.calls.iter().enumerate() {
        let arguments = call.input.text();
        let block = |input: Value| json!({ "type": "tool_use", "id": answer.id("toolu_", index), "name": call.name, "input": input });
        found.push(Block {
            start: block(json!({})),
            deltas: parts(arguments, "input_json_delta", "partial_json"),
            whole: block(serde_json::from_str(arguments).unwrap_or_else(|_| json!(arguments))),
        });
    }
    found
}

fn parts(text: &str, kind: &str, field: &str) -> Vec<Value> {
    pieces(text)
        .into_iter()
        .map(|piece| json!({ "type": kind, field: piece }))
        .collect()
}

fn stop_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "end_turn",
        Finish::ToolCalls => "tool_use",
        Finish::Length => "max_tokens",
    }
}
