//! Responses: `response.output_item.done` makes codex run a call at once, `response.completed` the others.

use std::collections::BTreeMap;

use crate::json::{Json, is_whole_object};
use crate::stream::{Fault, Seen};
use crate::usage;

/// The state of a stream of response events.
#[derive(Debug, Default)]
pub(crate) struct Responses {
    /// Arguments of calls that are not done, by position.
    open: BTreeMap<u64, String>,
}

impl Responses {
    pub(crate) fn kept(&self) -> usize {
        self.open.len()
    }

    pub(crate) fn event(&mut self, seen: &mut Seen, kind: &str, json: &Json<'_>) -> Result<(), Fault> {
        if let Some(model) = json.get("response").and_then(|response| response.str("model")) {
            seen.name(model)?;
        }
        let position = json.whole("output_index").unwrap_or(0);
        match kind {
            "response.output_text.delta" | "response.refusal.delta" => seen.content(json.str("delta")),
            "response.reasoning_text.delta" | "response.reasoning_summary_text.delta" => {
                seen.reasoning(json.str("delta"));
            }
            "response.custom_tool_call_input.delta" => seen.arguments(json.str("delta").unwrap_or_default()),
            "response.output_item.added" => {
                seen.ran(json.get("item").unwrap_or(&Json::Null))?;
                if is_call(json) {
                    self.open.insert(position, String::new());
                }
            }
            "response.function_call_arguments.delta" => {
                let piece = json.str("delta").unwrap_or_default();
                seen.arguments(piece);
                self.open.entry(position).or_default().push_str(piece);
            }
            "response.function_call_arguments.done" => {
                seen.must_be_named()?;
                whole_arguments(json)?;
            }
            "response.output_item.done" => {
                seen.must_be_named()?;
                item(seen, json.get("item").unwrap_or(&Json::Null))?;
                self.open.remove(&position);
            }
            "response.completed" | "response.incomplete" | "response.done" => {
                seen.must_be_named()?;
                if !self.open.values().all(|arguments| is_whole_object(arguments)) {
                    return Err(Fault::TruncatedToolCall);
                }
                let response = json.get("response").unwrap_or(&Json::Null);
                let counted = seen.tool_calls;
                whole(seen, response)?;
                if counted > 0 {
                    seen.tool_calls = counted;
                }
                seen.ended = true;
            }
            "response.failed" | "error" => (seen.failed, seen.ended) = (true, true),
            _ => {}
        }
        Ok(())
    }
}

fn is_call(event: &Json<'_>) -> bool {
    event.get("item").and_then(|item| item.str("type")) == Some("function_call")
}

fn whole_arguments(holder: &Json<'_>) -> Result<(), Fault> {
    match holder.str("arguments").is_some_and(is_whole_object) {
        true => Ok(()),
        false => Err(Fault::TruncatedToolCall),
    }
}

/// Judges one item of the output that is done.
fn item(seen: &mut Seen, item: &Json<'_>) -> Result<(), Fault> {
    seen.ran(item)?;
    let is_incomplete = item.str("status") == Some("incomplete");
    match item.str("type").unwrap_or_default() {
        "function_call" => {
            seen.call();
            seen.arguments(item.str("arguments").unwrap_or_default());
            whole_arguments(item)?;
            if is_incomplete {
                return Err(Fault::TruncatedToolCall);
            }
        }
        "custom_tool_call" | "local_shell_call" | "shell_call" | "apply_patch_call" | "computer_call" => {
            seen.call();
            for key in ["input", "action", "operation"] {
                seen.input(item.get(key).unwrap_or(&Json::Null));
            }
            if is_incomplete {
                return Err(Fault::TruncatedToolCall);
            }
        }
        "message" => {
            for part in item.list("content") {
                seen.content(part.str("text"));
                seen.content(part.str("refusal"));
            }
        }
        "reasoning" => {
            seen.has_reasoning = true;
            for part in item.list("summary").iter().chain(item.list("content")) {
                seen.reasoning(part.str("text"));
            }
        }
        _ => {}
    }
    Ok(())
}

/// Judges a response that is one document, or the one inside the last event.
pub(crate) fn whole(seen: &mut Seen, response: &Json<'_>) -> Result<(), Fault> {
    for entry in response.list("output") {
        item(seen, entry)?;
    }
    let details = response.some("incomplete_details");
    let reason = details.and_then(|details| details.str("reason"));
    seen.finished(reason.or_else(|| response.str("status")));
    seen.failed |= response.str("status") == Some("failed");
    seen.usage = response
        .some("usage")
        .and_then(usage::of_openai)
        .and_then(usage::believable);
    Ok(())
}
