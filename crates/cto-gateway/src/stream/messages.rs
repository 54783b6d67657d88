//! Messages: `content_block_stop` of a `tool_use`, `message_delta` and `message_stop` make an engine run its calls.

use std::collections::BTreeMap;

use crate::json::{Json, is_whole_object};
use crate::stream::{Fault, Seen};
use crate::usage;

/// The state of a stream of message events.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    /// Arguments of calls that are not done, by position.
    open: BTreeMap<u64, String>,
    /// A call had no arguments, which is good unless the tokens ran out.
    has_empty_call: bool,
}

impl Messages {
    pub(crate) fn kept(&self) -> usize {
        self.open.len()
    }

    pub(crate) fn event(&mut self, seen: &mut Seen, kind: &str, json: &Json<'_>) -> Result<(), Fault> {
        let position = json.whole("index").unwrap_or(0);
        match kind {
            "message_start" => {
                let message = json.get("message").unwrap_or(&Json::Null);
                if let Some(model) = message.str("model") {
                    seen.name(model)?;
                }
                seen.usage = message.some("usage").and_then(|usage| usage::of_anthropic(usage, None));
            }
            "content_block_start" => {
                let block = json.get("content_block").unwrap_or(&Json::Null);
                match block.str("type") {
                    Some("tool_use" | "server_tool_use" | "mcp_tool_use") => {
                        seen.must_be_named()?;
                        self.open.insert(position, String::new());
                        seen.call();
                        seen.input(block.get("input").unwrap_or(&Json::Null));
                    }
                    Some("thinking") => seen.reasoning(block.str("thinking")),
                    Some("redacted_thinking") => seen.has_reasoning = true,
                    _ => seen.content(block.str("text")),
                }
            }
            "content_block_delta" => self.delta(seen, position, json.get("delta").unwrap_or(&Json::Null)),
            "content_block_stop" => {
                seen.must_be_named()?;
                if let Some(arguments) = self.open.remove(&position) {
                    self.has_empty_call |= arguments.is_empty();
                    if !arguments.is_empty() && !is_whole_object(&arguments) {
                        return Err(Fault::TruncatedToolCall);
                    }
                }
            }
            "message_delta" => {
                self.closed(seen)?;
                let reason = json.get("delta").and_then(|delta| delta.str("stop_reason"));
                if self.has_empty_call && reason == Some("max_tokens") {
                    return Err(Fault::TruncatedToolCall);
                }
                seen.finished(reason);
                if let Some(found) = json.some("usage") {
                    seen.usage = usage::of_anthropic(found, seen.usage);
                }
            }
            "message_stop" => {
                self.closed(seen)?;
                seen.ended = true;
            }
            "error" => (seen.failed, seen.ended) = (true, true),
            _ => {}
        }
        Ok(())
    }

    fn delta(&mut self, seen: &mut Seen, position: u64, delta: &Json<'_>) {
        match delta.str("type").unwrap_or_default() {
            "input_json_delta" => {
                let piece = delta.str("partial_json").unwrap_or_default();
                seen.arguments(piece);
                self.open.entry(position).or_default().push_str(piece);
            }
            "thinking_delta" => seen.reasoning(delta.str("thinking")),
            _ => seen.content(delta.str("text")),
        }
    }

    fn closed(&self, seen: &Seen) -> Result<(), Fault> {
        seen.must_be_named()?;
        match self.open.is_empty() {
            true => Ok(()),
            false => Err(Fault::TruncatedToolCall),
        }
    }
}

/// Judges a message that is one document.
pub(crate) fn whole(seen: &mut Seen, json: &Json<'_>) -> Result<(), Fault> {
    if json.str("type") != Some("message") {
        return Err(Fault::Malformed("a response that is no message"));
    }
    for block in json.list("content") {
        match block.str("type").unwrap_or_default() {
            "tool_use" | "server_tool_use" | "mcp_tool_use" => {
                seen.call();
                let input = block.get("input").unwrap_or(&Json::Null);
                seen.input(input);
                if !matches!(input, Json::Object(_)) {
                    return Err(Fault::TruncatedToolCall);
                }
            }
            "thinking" => {
                seen.has_reasoning = true;
                seen.reasoning(block.str("thinking"));
            }
            "redacted_thinking" => seen.has_reasoning = true,
            _ => seen.content(block.str("text")),
        }
    }
    seen.finished(json.str("stop_reason"));
    seen.usage = json.some("usage").and_then(|usage| usage::of_anthropic(usage, None));
    Ok(())
}
