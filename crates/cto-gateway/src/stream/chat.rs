//! Chat Completions: a chunk with a `finish_reason`, then `[DONE]`, makes an engine run its tool calls.

use std::collections::{BTreeMap, BTreeSet};

use crate::json::{Json, is_whole_object};
use crate::order::ProviderTool;
use crate::stream::{Fault, Seen};
use crate::usage;

/// The index of a call of the older form, which has none.
const LEGACY: u64 = u64::MAX;

/// The state of a stream of chunks.
#[derive(Debug, Default)]
pub(crate) struct Chat {
    /// Arguments by choice and position.
    calls: BTreeMap<(u64, u64), String>,
    choices: BTreeSet<u64>,
    finished: BTreeSet<u64>,
}

impl Chat {
    pub(crate) fn kept(&self) -> usize {
        self.calls.len() + self.choices.len()
    }

    /// Whether every choice has its reason to finish.
    pub(crate) fn is_finished(&self) -> bool {
        !self.finished.is_empty() && self.finished == self.choices
    }

    pub(crate) fn done(&mut self, seen: &mut Seen) -> Result<(), Fault> {
        if seen.ended && !seen.failed {
            return Err(Fault::Malformed("an event after the last one"));
        }
        if !seen.failed {
            seen.must_be_named()?;
            self.check(None)?;
        }
        seen.ended = true;
        Ok(())
    }

    pub(crate) fn event(&mut self, seen: &mut Seen, json: &Json<'_>) -> Result<(), Fault> {
        if json.some("error").is_some() {
            (seen.failed, seen.ended) = (true, true);
            return Ok(());
        }
        if let Some(model) = json.str("model").filter(|model| !model.is_empty()) {
            seen.name(model)?;
        }
        for choice in json.list("choices") {
            self.choice(seen, choice)?;
        }
        if let Some(found) = json.some("usage") {
            seen.usage = usage::of_openai(found).and_then(usage::believable);
        }
        Ok(())
    }

    fn choice(&mut self, seen: &mut Seen, choice: &Json<'_>) -> Result<(), Fault> {
        let index = choice.whole("index").unwrap_or(0);
        self.choices.insert(index);
        if choice
            .get("message")
            .and_then(|message| message.some("tool_calls"))
            .is_some()
        {
            return Err(Fault::Malformed("a whole message in a chunk"));
        }
        if let Some(delta) = choice.some("delta") {
            said(seen, delta)?;
            let call = delta.some("function_call").map(|call| (LEGACY, call));
            let calls = delta.list("tool_calls").iter().enumerate();
            let calls = calls.map(|(at, call)| {
                let at = u64::try_from(at).unwrap_or(LEGACY);
                let position = call.whole("index").unwrap_or_else(|| self.position(index, at, call));
                (
                    position,
                    call.get("function")
                        .or_else(|| call.get("custom"))
                        .unwrap_or(&Json::Null),
                )
            });
            let calls: Vec<_> = calls.chain(call).collect();
            if !calls.is_empty() && self.finished.contains(&index) {
                return Err(Fault::Malformed("a tool call after the reason to finish"));
            }
            for (position, function) in calls {
                let arguments = self.calls.entry((index, position)).or_insert_with(|| {
                    seen.call();
                    String::new()
                });
                if let Some(piece) = function.str("arguments") {
                    seen.arguments(piece);
                    arguments.push_str(piece);
                } else if let Some(piece) = function.str("input") {
                    // Free text: it cannot be seen to be whole, only the reason to finish says so.
                    seen.arguments(piece);
                    "{}".clone_into(arguments);
                }
            }
        }
        if let Some(reason) = choice.some("finish_reason") {
            seen.must_be_named()?;
            self.check(Some(index))?;
            seen.finished(reason.text());
            self.finished.insert(index);
        }
        Ok(())
    }

    /// Servers that give no position: a call with an identifier is a new one, one without goes on with the last.
    fn position(&self, choice: u64, at: u64, call: &Json<'_>) -> u64 {
        let known = self.calls.range((choice, 0)..(choice, LEGACY)).next_back();
        match (known, call.some("id")) {
            (None, _) => at,
            (Some(((_, last), _)), None) => *last,
            (Some(((_, last), _)), Some(_)) => last.saturating_add(1).saturating_add(at),
        }
    }

    fn check(&self, choice: Option<u64>) -> Result<(), Fault> {
        let mut calls = self
            .calls
            .iter()
            .filter(|((index, _), _)| choice.is_none_or(|choice| choice == *index));
        match calls.all(|(_, arguments)| is_whole_object(arguments)) {
            true => Ok(()),
            false => Err(Fault::TruncatedToolCall),
        }
    }
}

fn said(seen: &mut Seen, message: &Json<'_>) -> Result<(), Fault> {
    let is_cited = |part: &Json<'_>| part.str("type") == Some("url_citation");
    if message.list("annotations").iter().any(is_cited) {
        seen.may_run(ProviderTool::WebSearch)?;
    }
    if !message.list("executed_tools").is_empty() {
        seen.may_run(ProviderTool::CodeExecution)?;
    }
    seen.content(message.str("content"));
    for part in message.list("content") {
        seen.content(part.str("text"));
    }
    seen.content(message.str("refusal"));
    seen.reasoning(message.str("reasoning_content"));
    seen.reasoning(message.str("reasoning"));
    Ok(())
}

/// Judges a completion that is one document.
pub(crate) fn whole(seen: &mut Seen, json: &Json<'_>) -> Result<(), Fault> {
    if json.list("choices").is_empty() {
        return Err(Fault::Malformed("a completion without a choice"));
    }
    for choice in json.list("choices") {
        let message = choice.get("message").unwrap_or(&Json::Null);
        said(seen, message)?;
        let calls = message.list("tool_calls").iter();
        for custom in calls.clone().filter_map(|call| call.some("custom")) {
            seen.arguments(custom.str("input").unwrap_or_default());
        }
        let calls = calls.map(|call| call.get("function"));
        for function in calls.chain(message.some("function_call").map(Some)) {
            let arguments = function
                .and_then(|function| function.str("arguments"))
                .unwrap_or_default();
            seen.call();
            seen.arguments(arguments);
            if function.is_some() && !is_whole_object(arguments) {
                return Err(Fault::TruncatedToolCall);
            }
        }
        seen.finished(choice.str("finish_reason"));
    }
    seen.usage = json
        .some("usage")
        .and_then(usage::of_openai)
        .and_then(usage::believable);
    Ok(())
}
