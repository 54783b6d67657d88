//! The shapes of streams, each read by a small reader of its own.

use serde_json::{Value, json};

use super::client::{Reply, post};
use super::requests::{conversation, first};
use super::{PATHS, plain};

/// What a stream says when it is put together.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Said {
    model: String,
    pub(super) text: String,
    reasoning: String,
    /// Name, id and input of each tool call.
    pub(super) calls: Vec<(String, String, String)>,
    finish: String,
    tokens: (u64, u64),
}

fn chat(reply: &Reply) -> Said {
    let mut said = Said::default();
    let events = reply.events();
    let (last, events) = events.split_last().unwrap();
    assert_eq!(last, &(String::new(), "[DONE]".to_owned()));
    let chunks: Vec<Value> = events
        .iter()
        .map(|(_, data)| serde_json::from_str(data).unwrap())
        .collect();
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    for chunk in &chunks {
        assert_eq!(chunk["object"], "chat.completion.chunk");
        assert_eq!(chunk["id"], chunks[0]["id"]);
        said.model = chunk["model"].as_str().unwrap().to_owned();
        if let Some(usage) = chunk.get("usage") {
            assert_eq!(chunk["choices"], json!([]));
            said.tokens = tokens(usage, "prompt_tokens", "completion_tokens");
            continue;
        }
        assert_eq!(said.finish, "", "nothing but usage comes after the finish");
        let choice = &chunk["choices"][0];
        assert_eq!(choice["index"], 0);
        let delta = &choice["delta"];
        said.text.push_str(delta["content"].as_str().unwrap_or_default());
        said.reasoning.push_str(delta["reasoning"].as_str().unwrap_or_default());
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            let index = usize::try_from(call["index"].as_u64().unwrap()).unwrap();
            if let Some(id) = call["id"].as_str() {
                assert_eq!(index, said.calls.len());
                assert_eq!(call["type"], "function");
                let name = call["function"]["name"].as_str().unwrap();
                said.calls.push((name.to_owned(), id.to_owned(), String::new()));
            }
            let piece = call["function"]["arguments"].as_str().unwrap();
            said.calls[index].2.push_str(piece);
        }
        said.finish = choice["finish_reason"].as_str().unwrap_or_default().to_owned();
    }
    said
}

fn responses(reply: &Reply) -> Said {
    let mut said = Said::default();
    let events: Vec<Value> = reply
        .events()
        .into_iter()
        .map(|(name, data)| {
            let data: Value = serde_json::from_str(&data).unwrap();
            assert_eq!(data["type"], name);
            data
        })
        .collect();
    let mut open: Vec<Value> = vec![];
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], number);
        let kind = event["type"].as_str().unwrap();
        let at = event["output_index"].as_u64().map(|at| usize::try_from(at).unwrap());
        let piece = event["delta"].as_str().unwrap_or_default();
        match kind {
            "response.created" => assert_eq!(number, 0),
            "response.in_progress" => assert_eq!(number, 1),
            "response.output_item.added" => {
                assert_eq!(at, Some(open.len()));
                open.push(json!({ "item": event["item"], "text": "" }));
            }
            "response.output_text.delta" => said.text.push_str(piece),
            "response.reasoning_summary_text.delta" => said.reasoning.push_str(piece),
            "response.output_item.done" => {
                let item = &event["item"];
                assert_eq!(item["id"], open[at.unwrap()]["item"]["id"]);
                if item["type"] == "function_call" || item["type"] == "custom_tool_call" {
                    let input = item.get("arguments").or_else(|| item.get("input")).unwrap();
                    assert_eq!(input, &open[at.unwrap()]["text"], "the pieces make the whole");
                    let text = |field: &str| item[field].as_str().unwrap().to_owned();
                    said.calls
                        .push((text("name"), text("call_id"), input.as_str().unwrap().to_owned()));
                }
            }
            "response.completed" | "response.incomplete" => {
                assert_eq!(number, events.len() - 1);
                let response = &event["response"];
                assert_eq!(response["output"].as_array().unwrap().len(), open.len());
                said.model = response["model"].as_str().unwrap().to_owned();
                said.finish = response["status"].as_str().unwrap().to_owned();
                said.tokens = tokens(&response["usage"], "input_tokens", "output_tokens");
            }
            _ if kind.ends_with("_call_arguments.delta") || kind.ends_with("_call_input.delta") => {
                let text = open[at.unwrap()]["text"].as_str().unwrap().to_owned();
                open[at.unwrap()]["text"] = json!(text + piece);
            }
            _ => assert!(event["item_id"] == open[at.unwrap()]["item"]["id"], "{kind}"),
        }
    }
    said
}

fn messages(reply: &Reply) -> Said {
    let mut said = Said::default();
    let mut open = None;
    let mut blocks = 0;
    for (name, data) in reply.events() {
        let data: Value = serde_json::from_str(&data).unwrap();
        assert_eq!(data["type"], name.as_str());
        if name.starts_with("content_block_") {
            let index = data["index"].as_u64().unwrap();
            assert_eq!(index, blocks, "blocks come one after the other");
            assert_eq!(
                open.is_none(),
                name == "content_block_start",
                "a block is open while it is filled"
            );
        }
        match name.as_str() {
            "message_start" => {
                assert_eq!(data["message"]["content"], json!([]));
                said.model = data["message"]["model"].as_str().unwrap().to_owned();
                said.tokens.0 = data["message"]["usage"]["input_tokens"].as_u64().unwrap();
            }
            "ping" => {}
            "content_block_start" => {
                let block = &data["content_block"];
                if block["type"] == "tool_use" {
                    let text = |field: &str| block[field].as_str().unwrap().to_owned();
                    said.calls.push((text("name"), text("id"), String::new()));
                }
                open = Some(block["type"].clone());
            }
            "content_block_delta" => {
                let delta = &data["delta"];
                let (field, into) = match delta["type"].as_str().unwrap() {
                    "text_delta" => ("text", &mut said.text),
                    "thinking_delta" => ("thinking", &mut said.reasoning),
                    "input_json_delta" => ("partial_json", &mut said.calls.last_mut().unwrap().2),
                    other => {
                        assert_eq!(other, "signature_delta");
                        continue;
                    }
                };
                into.push_str(delta[field].as_str().unwrap());
            }
            "content_block_stop" => {
                open = None;
                blocks += 1;
            }
            "message_delta" => {
                said.finish = data["delta"]["stop_reason"].as_str().unwrap().to_owned();
                said.tokens.1 = data["usage"]["output_tokens"].as_u64().unwrap();
            }
            other => assert_eq!(other, "message_stop"),
        }
    }
    assert!(reply.text().ends_with("data: {\"type\":\"message_stop\"}\n\n"));
    said
}

fn tokens(usage: &Value, input: &str, output: &str) -> (u64, u64) {
    (usage[input].as_u64().unwrap(), usage[output].as_u64().unwrap())
}

pub(super) fn said(path: &str, reply: &Reply) -> Said {
    assert_eq!(reply.status, 200);
    assert!(reply.whole);
    assert_eq!(reply.headers["content-type"], "text/event-stream; charset=utf-8");
    match path {
        "/v1/chat/completions" => chat(reply),
        "/v1/responses" => responses(reply),
        _ => messages(reply),
    }
}

#[test]
fn each_format_streams_a_tool_call_and_then_a_last_word() {
    let model = plain();
    for (path, call_ends, word_ends) in [
        (PATHS[0], "tool_calls", "stop"),
        (PATHS[1], "completed", "completed"),
        (PATHS[2], "tool_use", "end_turn"),
    ] {
        let body = first(path, "scripted-fix", true);
        let call = said(path, &post(model.address(), path, &body));
        assert_eq!(call.model, "scripted-fix");
        assert_eq!(call.text, "I will look at the code first.");
        assert_eq!(call.finish, call_ends);
        let [(name, id, arguments)] = call.calls.as_slice() else {
            panic!("{call:?}");
        };
        assert!(["bash", "exec_command", "Bash"].contains(&name.as_str()));
        assert!(id.len() > 20, "{id}");
        let arguments: Value = serde_json::from_str(arguments).unwrap();
        let command = arguments.get("cmd").or_else(|| arguments.get("command")).unwrap();
        assert_eq!(command, "ls; cat strings.py");
        assert!(
            arguments["description"].is_string(),
            "what the schema requires is there"
        );
        assert_eq!(
            call.tokens.0,
            u64::try_from(body.to_string().len()).unwrap().div_ceil(4)
        );
        assert!(call.tokens.1 > 5);

        let results = ["one".to_owned(), "two".to_owned()];
        let body = conversation(path, "scripted-fix", true, super::requests::PROMPT, &results);
        let word = said(path, &post(model.address(), path, &body));
        assert!(word.calls.is_empty());
        assert_eq!(word.finish, word_ends);
        assert!(word.text.starts_with("Done: Fix slugify"), "{}", word.text);
    }
}

#[test]
fn reasoning_streams_apart_from_text_and_ends_for_its_length() {
    let model = plain();
    for (path, ends) in [(PATHS[0], "length"), (PATHS[1], "incomplete"), (PATHS[2], "max_tokens")] {
        let said = said(
            path,
            &post(model.address(), path, &first(path, "scripted-reasoning-only", true)),
        );
        assert_eq!((said.text.as_str(), said.finish.as_str()), ("", ends));
        assert!(said.reasoning.len() > 100);
        assert!(said.calls.is_empty());
    }
}

#[test]
fn usage_of_a_chat_comes_only_when_it_was_asked_for() {
    let model = plain();
    let mut body = first(PATHS[0], "scripted-fix", true);
    body.as_object_mut().unwrap().remove("stream_options");
    assert_eq!(said(PATHS[0], &post(model.address(), PATHS[0], &body)).tokens, (0, 0));
}

#[test]
fn documents_say_what_streams_say() {
    let model = plain();
    for path in PATHS {
        let stream = said(path, &post(model.address(), path, &first(path, "scripted-fix", true)));
        let reply = post(model.address(), path, &first(path, "scripted-fix", false));
        assert_eq!(reply.headers["content-type"], "application/json");
        let document = reply.json();
        assert_eq!(document["model"], "scripted-fix");
        let (text, input) = match path {
            "/v1/chat/completions" => {
                let message = &document["choices"][0]["message"];
                assert_eq!(document["choices"][0]["finish_reason"], "tool_calls");
                let arguments = &message["tool_calls"][0]["function"]["arguments"];
                (&message["content"], arguments.as_str().unwrap().to_owned())
            }
            "/v1/responses" => {
                assert_eq!(document["status"], "completed");
                let output = &document["output"];
                (
                    &output[0]["content"][0]["text"],
                    output[1]["arguments"].as_str().unwrap().to_owned(),
                )
            }
            _ => {
                assert_eq!(document["stop_reason"], "tool_use");
                (
                    &document["content"][0]["text"],
                    document["content"][1]["input"].to_string(),
                )
            }
        };
        assert_eq!(text, stream.text.as_str());
        assert_eq!(input, stream.calls[0].2);
    }
}

#[test]
fn streams_are_word_for_word_as_committed() {
    let model = plain();
    for path in PATHS {
        for results in [vec![], vec!["x".to_owned(), "y".to_owned()]] {
            let body = conversation(path, "scripted-fix", true, super::requests::PROMPT, &results);
            let reply = post(model.address(), path, &body);
            let name = format!(
                "{}-{}",
                path.trim_start_matches("/v1/").replace('/', "-"),
                results.len()
            );
            insta::assert_snapshot!(name, reply.text());
        }
    }
}
