//! Messages: `content_block_stop` of a `tool_use`, `message_delta` and `message_stop` make an engine run its calls.

use std::collections::BTreeMap;

use crate::json::{Json, is_whole_object};
use crate::order::ProviderTool;
use crate::record::TokenUsage;
use crate::stream::{Fault, Seen};
use crate::usage;

/// The state of a stream of message events.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    /// Arguments of calls that are not done, by position.
    open: BTreeMap<u64, String>,
    /// A call had no arguments, which is good unless the tokens ran out.
    has_empty_call: bool,
    has_begun: bool,
    /// The reason to stop was given: an engine acts on what came before it.
    has_reason: bool,
    /// What the first event said of the input.
    input: Option<TokenUsage>,
}

impl Messages {
    pub(crate) fn kept(&self) -> usize {
        self.open.len()
    }

    pub(crate) fn event(&mut self, seen: &mut Seen, kind: &str, json: &Json<'_>) -> Result<(), Fault> {
        // Only the first event has to name the model; what names one later must name the same.
        for holder in [Some(json), json.get("message"), json.get("delta")] {
            if let Some(model) = holder.and_then(|holder| holder.str("model")) {
                seen.name(model)?;
            }
        }
        let position = json.whole("index").unwrap_or(0);
        // The end of a block of text may come late; a call was whole before the reason, or there would be none.
        if self.has_reason && matches!(kind, "content_block_start" | "content_block_delta") {
            return Err(Fault::Malformed("content after the reason to stop"));
        }
        match kind {
            "message_start" => {
                if std::mem::replace(&mut self.has_begun, true) {
                    return Err(Fault::Malformed("a second message in one response"));
                }
                let message = json.get("message").unwrap_or(&Json::Null);
                blocks(seen, message)?;
                self.input = message.some("usage").and_then(|usage| usage::of_anthropic(usage, None));
            }
            "content_block_start" => {
                let block = json.get("content_block").unwrap_or(&Json::Null);
                seen.ran(block)?;
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
                self.has_reason |= reason.is_some();
                seen.finished(reason);
                if let Some(found) = json.some("usage") {
                    counted(seen, found)?;
                    // What the first event says of the output is a beginning, and no statement of what there was.
                    seen.usage = usage::of_anthropic(found, self.input).and_then(usage::believable);
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

/// Judges what a usage says of tools that the provider ran and of models that answered.
fn counted(seen: &mut Seen, usage: &Json<'_>) -> Result<(), Fault> {
    let tools = usage.get("server_tool_use").unwrap_or(&Json::Null);
    for (key, tool) in [
        ("web_search_requests", ProviderTool::WebSearch),
        ("web_fetch_requests", ProviderTool::Fetch),
        ("code_execution_requests", ProviderTool::CodeExecution),
    ] {
        if tools.whole(key).is_some_and(|count| count > 0) {
            seen.may_run(tool)?;
        }
    }
    for iteration in usage.list("iterations") {
        if let Some(model) = iteration.str("model") {
            seen.name(model)?;
        }
    }
    Ok(())
}

/// Judges the content of a message, as far as it is whole.
fn blocks(seen: &mut Seen, message: &Json<'_>) -> Result<(), Fault> {
    for block in message.list("content") {
        seen.ran(block)?;
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
    match message.some("usage") {
        Some(usage) => counted(seen, usage),
        None => Ok(()),
    }
}

/// Judges a message that is one document.
pub(crate) fn whole(seen: &mut Seen, json: &Json<'_>) -> Result<(), Fault> {
    if json.str("type") != Some("message") {
        return Err(Fault::Malformed("a response that is no message"));
    }
    blocks(seen, json)?;
    seen.finished(json.str("stop_reason"));
    let found = json.some("usage").and_then(|usage| usage::of_anthropic(usage, None));
    seen.usage = found.and_then(usage::believable);
    Ok(())
}
