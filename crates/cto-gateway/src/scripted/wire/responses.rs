//! OpenAI Responses: items that are added, filled and done, between `response.created` and `response.completed`.

use serde_json::{Value, json};

use super::{CREATED_AT, named};
use crate::scripted::answer::{Answer, Finish, ToolCall, ToolInput, pieces};

pub(super) fn events(answer: &Answer) -> Vec<String> {
    let mut stream = Stream::default();
    let begun = response(answer, "in_progress", &[], false);
    stream.push("response.created", json!({ "response": begun }));
    stream.push("response.in_progress", json!({ "response": begun }));
    for (index, item) in items(answer).into_iter().enumerate() {
        item.stream(index, &mut stream);
    }
    let (name, whole) = match answer.finish {
        Finish::Length => ("response.incomplete", document(answer)),
        Finish::Stop | Finish::ToolCalls => ("response.completed", document(answer)),
    };
    stream.push(name, json!({ "response": whole }));
    stream.frames
}

pub(super) fn document(answer: &Answer) -> Value {
    let status = match answer.finish {
        Finish::Length => "incomplete",
        Finish::Stop | Finish::ToolCalls => "completed",
    };
    let output: Vec<Value> = items(answer).iter().map(Item::whole).collect();
    response(answer, status, &output, true)
}

fn response(answer: &Answer, status: &str, output: &[Value], finished: bool) -> Value {
    let usage = answer.usage;
    let usage = json!({
        "input_tokens": usage.input, "input_tokens_details": { "cached_tokens": 0 },
        "output_tokens": usage.output, "output_tokens_details": { "reasoning_tokens": usage.reasoning },
        "total_tokens": usage.input + usage.output,
    });
    let incomplete = (status == "incomplete").then(|| json!({ "reason": "max_output_tokens" }));
    json!({
        "id": answer.id("resp_", 0), "object": "response", "created_at": CREATED_AT, "status": status,
        "model": answer.model, "output": output, "error": null, "incomplete_details": incomplete,
        "instructions": null, "metadata": {}, "parallel_tool_calls": false, "previous_response_id": null,
        "store": false, "tool_choice": "auto", "tools": [],
        "usage": if finished { usage } else { Value::Null },
    })
}

#[derive(Default)]
struct Stream {
    frames: Vec<String>,
}

impl Stream {
    fn push(&mut self, name: &str, mut data: Value) {
        data["type"] = json!(name);
        data["sequence_number"] = json!(self.frames.len());
        self.frames.push(named(name, &data));
    }
}

/// One item of the output.
struct Item<'a> {
    id: String,
    call_id: String,
    kind: ItemKind<'a>,
}

enum ItemKind<'a> {
    Reasoning(&'a str),
    Message(&'a str),
    Call(&'a ToolCall),
}

fn items(answer: &Answer) -> Vec<Item<'_>> {
    let reasoning = answer
        .reasoning
        .as_deref()
        .map(|text| ("rs_", ItemKind::Reasoning(text)));
    let message = answer.text.as_deref().map(|text| ("msg_", ItemKind::Message(text)));
    let calls = answer.calls.iter().map(|call| match call.input {
        ToolInput::Arguments(_) => ("fc_", ItemKind::Call(call)),
        ToolInput::Freeform(_) => ("ctc_", ItemKind::Call(call)),
    });
    let all = reasoning.into_iter().chain(message).chain(calls);
    all.enumerate()
        .map(|(index, (prefix, kind))| Item {
            id: answer.id(prefix, index),
            call_id: answer.id("call_", index),
            kind,
        })
        .collect()
}

impl Item<'_> {
    fn whole(&self) -> Value {
        match &self.kind {
            ItemKind::Reasoning(text) => json!({
                "id": self.id, "type": "reasoning", "summary": [{ "type": "summary_text", "text": text }],
            }),
            ItemKind::Message(text) => self.message("completed", json!([part(text)])),
            ItemKind::Call(call) => self.call(call, "completed", call.input.text()),
        }
    }

    fn message(&self, status: &str, content: Value) -> Value {
        let mut item = json!({ "id": self.id, "type": "message", "status": status, "role": "assistant" });
        item["content"] = content;
        item
    }

    fn call(&self, call: &ToolCall, status: &str, input: &str) -> Value {
        let mut item = json!({ "id": self.id, "call_id": self.call_id, "name": call.name, "status": status });
        let (kind, field) = match call.input {
            ToolInput::Arguments(_) => ("function_call", "arguments"),
            ToolInput::Freeform(_) => ("custom_tool_call", "input"),
        };
        item["type"] = json!(kind);
        item[field] = json!(input);
        if let Some(namespace) = &call.namespace {
            item["namespace"] = json!(namespace);
        }
        item
    }

    fn stream(&self, index: usize, stream: &mut Stream) {
        let begun = match &self.kind {
            ItemKind::Reasoning(_) => json!({ "id": self.id, "type": "reasoning", "summary": [] }),
            ItemKind::Message(_) => self.message("in_progress", json!([])),
            ItemKind::Call(call) => self.call(call, "in_progress", ""),
        };
        stream.push(
            "response.output_item.added",
            json!({ "output_index": index, "item": begun }),
        );
        let at = |place: &str| json!({ "item_id": self.id, "output_index": index, place: 0 });
        match &self.kind {
            ItemKind::Reasoning(text) => {
                let shape = Shape {
                    part: "response.reasoning_summary_part",
                    text: "response.reasoning_summary_text",
                };
                let part = |text: &str| json!({ "type": "summary_text", "text": text });
                shape.stream(text, &at("summary_index"), part, stream);
            }
            ItemKind::Message(text) => {
                let shape = Shape {
                    part: "response.content_part",
                    text: "response.output_text",
                };
                shape.stream(text, &at("content_index"), part, stream);
            }
            ItemKind::Call(call) => {
                let (name, field) = match call.input {
                    ToolInput::Arguments(_) => ("response.function_call_arguments", "arguments"),
                    ToolInput::Freeform(_) => ("response.custom_tool_call_input", "input"),
                };
                let place = json!({ "item_id": self.id, "output_index": index });
                for piece in pieces(call.input.text()) {
                    stream.push(&format!("{name}.delta"), with(&place, "delta", json!(piece)));
                }
                stream.push(&format!("{name}.done"), with(&place, field, json!(call.input.text())));
            }
        }
        stream.push(
            "response.output_item.done",
            json!({ "output_index": index, "item": self.whole() }),
        );
    }
}

/// The names of the events that carry a text.
struct Shape {
    part: &'static str,
    text: &'static str,
}

impl Shape {
    fn stream(&self, text: &str, place: &Value, part: fn(&str) -> Value, stream: &mut Stream) {
        stream.push(&format!("{}.added", self.part), with(place, "part", part("")));
        for piece in pieces(text) {
            stream.push(&format!("{}.delta", self.text), with(place, "delta", json!(piece)));
        }
        stream.push(&format!("{}.done", self.text), with(place, "text", json!(text)));
        stream.push(&format!("{}.done", self.part), with(place, "part", part(text)));
    }
}

fn part(text: &str) -> Value {
    json!({ "type": "output_text", "text": text, "annotations": [], "logprobs": [] })
}

fn with(place: &Value, field: &str, value: Value) -> Value {
    let mut data = place.clone();
    data[field] = value;
    data
}
