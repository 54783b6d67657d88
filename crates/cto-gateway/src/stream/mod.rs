//! Judges a response while it passes: which events may go on, and what they said.

mod chat;
mod messages;
mod responses;
mod sse;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use bytes::Bytes;

use crate::call::Ending;
use crate::echo::{Forms, Watch};
use crate::json::Json;
use crate::order::{Dialect, ProviderTool};
use crate::provider_tools::{self, Ran};
use crate::record::{CallOutcome, TokenUsage};

/// Why the rest of a response is not passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Malformed(&'static str),
    TooLarge,
    ModelMismatch,
    TruncatedToolCall,
    CredentialEchoed,
    ProviderTool(ProviderTool),
    Cut,
}

impl Fault {
    pub(crate) fn outcome(self) -> CallOutcome {
        match self {
            Self::Malformed(_) | Self::ProviderTool(_) => CallOutcome::Malformed,
            Self::TooLarge => CallOutcome::TooLarge,
            Self::ModelMismatch => CallOutcome::ModelMismatch,
            Self::TruncatedToolCall => CallOutcome::TruncatedToolCall,
            Self::CredentialEchoed => CallOutcome::CredentialEchoed,
            Self::Cut => CallOutcome::Cut,
        }
    }

    pub(crate) fn detail(self) -> &'static str {
        match self {
            Self::Malformed(detail) => detail,
            Self::TooLarge => "the response or one of its events is larger than allowed",
            Self::ModelMismatch => "the response names another model, or none",
            Self::TruncatedToolCall => "the arguments of a tool call are not a whole JSON object",
            Self::CredentialEchoed => "the response holds the credential",
            Self::ProviderTool(ProviderTool::WebSearch) => "the provider searched the web, which is not admitted",
            Self::ProviderTool(ProviderTool::Fetch) => "the provider fetched something, which is not admitted",
            Self::ProviderTool(ProviderTool::Connector) => "the provider called a connector, which is not admitted",
            Self::ProviderTool(ProviderTool::CodeExecution) => {
                "the provider ran code or an unknown tool, which is not admitted"
            }
            Self::Cut => "the response ended before its last event",
        }
    }
}

/// What a response may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Admitted<'a> {
    pub(crate) dialect: Dialect,
    /// The only model that may have made it.
    pub(crate) model: &'a str,
    /// The credential, which may not be in it.
    pub(crate) forms: &'a Forms,
    /// Tools that the provider may have run.
    pub(crate) tools: &'a [ProviderTool],
}

/// What a response said so far.
#[derive(Debug)]
pub(crate) struct Seen {
    expected: String,
    tools: Vec<ProviderTool>,
    pub(crate) served_model: Option<String>,
    pub(crate) finish: Option<String>,
    pub(crate) tool_calls: u32,
    pub(crate) usage: Option<TokenUsage>,
    has_content: bool,
    has_reasoning: bool,
    /// The upstream reported an error inside the response.
    failed: bool,
    /// The event after which none may follow came by.
    ended: bool,
    watch: Watch,
}

/// No response has more tool calls or choices at a time.
const MOST_CALLS: usize = 1024;

/// Longest name of a model or of a reason that a record repeats.
const MOST_WORD: usize = 128;

pub(crate) fn capped(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

impl Seen {
    fn new(admitted: &Admitted<'_>) -> Self {
        Self {
            expected: admitted.model.to_owned(),
            tools: admitted.tools.to_vec(),
            served_model: None,
            finish: None,
            tool_calls: 0,
            usage: None,
            has_content: false,
            has_reasoning: false,
            failed: false,
            ended: false,
            watch: admitted.forms.watch(),
        }
    }

    /// A tool that the provider ran must be one that it may run.
    fn may_run(&self, tool: ProviderTool) -> Result<(), Fault> {
        match self.tools.contains(&tool) {
            true => Ok(()),
            false => Err(Fault::ProviderTool(tool)),
        }
    }

    /// Judges a part of a response for what the provider did by itself.
    fn ran(&self, part: &Json<'_>) -> Result<(), Fault> {
        match provider_tools::ran(part) {
            None => Ok(()),
            Some(Ran::Tool(tool)) => self.may_run(tool),
            Some(Ran::OtherModel) => Err(Fault::ModelMismatch),
        }
    }

    /// A response says which model made it: the admitted one exactly, never an alias or a snapshot.
    pub(crate) fn name(&mut self, model: &str) -> Result<(), Fault> {
        if self.served_model.is_none() || model != self.expected {
            self.served_model = Some(capped(model, MOST_WORD));
        }
        if model == self.expected {
            Ok(())
        } else {
            Err(Fault::ModelMismatch)
        }
    }

    /// Nothing that an engine acts on goes out before a model was named.
    fn must_be_named(&self) -> Result<(), Fault> {
        match &self.served_model {
            Some(_) => Ok(()),
            None => Err(Fault::ModelMismatch),
        }
    }

    fn content(&mut self, text: Option<&str>) {
        if let Some(text) = text {
            self.has_content |= !text.trim().is_empty();
            self.watch.feed(text);
        }
    }

    fn reasoning(&mut self, text: Option<&str>) {
        if let Some(text) = text {
            self.has_reasoning |= !text.is_empty();
            self.watch.feed(text);
        }
    }

    fn arguments(&mut self, text: &str) {
        self.watch.feed(text);
    }

    /// Arguments that are JSON already.
    fn input(&mut self, value: &Json<'_>) {
        value.each_text(&mut |text| self.watch.feed(text));
    }

    fn call(&mut self) {
        self.tool_calls = self.tool_calls.saturating_add(1);
    }

    fn finished(&mut self, reason: Option<&str>) {
        self.finish = reason.map(|reason| capped(reason, MOST_WORD)).or(self.finish.take());
    }

    /// How a response that was passed on to its end counts.
    pub(crate) fn ending(&self) -> Ending {
        let is_silent = !self.has_content && self.tool_calls == 0;
        let ran_out = matches!(
            self.finish.as_deref(),
            Some("length" | "max_tokens" | "max_output_tokens")
        );
        let reasoned = self.has_reasoning || self.usage.is_some_and(|usage| usage.reasoning > 0);
        if self.failed {
            Ending::of_upstream(
                CallOutcome::UpstreamError,
                "the upstream reported an error inside the response",
            )
        } else if is_silent && (reasoned || ran_out) {
            Ending::of_upstream(
                CallOutcome::ReasoningOnly,
                "the response has neither text nor a tool call",
            )
        } else {
            Ending::COMPLETED
        }
    }
}

#[derive(Debug)]
enum Reader {
    Chat(chat::Chat),
    Responses(responses::Responses),
    Messages(messages::Messages),
}

impl Reader {
    /// How many calls and choices it keeps in mind.
    fn kept(&self) -> usize {
        match self {
            Self::Chat(chat) => chat.kept(),
            Self::Responses(responses) => responses.kept(),
            Self::Messages(messages) => messages.kept(),
        }
    }
}

/// Takes the bytes of an event stream, gives back those that may go on.
#[derive(Debug)]
pub(crate) struct Judge {
    scanner: sse::Scanner,
    rules: Rules,
    /// Of what the scanner holds: judged, and free to go on.
    ready: usize,
    /// Behind that: judged, and held back for what may follow.
    waiting: usize,
    limit: usize,
}

/// What an event is judged by.
#[derive(Debug)]
struct Rules {
    reader: Reader,
    forms: Forms,
    seen: Seen,
    /// Events with data that came by.
    events: u64,
}

impl Judge {
    pub(crate) fn new(admitted: &Admitted<'_>, event_bytes: u64) -> Self {
        let limit = usize::try_from(event_bytes).unwrap_or(usize::MAX);
        Self {
            scanner: sse::Scanner::new(limit),
            rules: Rules {
                reader: match admitted.dialect {
                    Dialect::ChatCompletions => Reader::Chat(chat::Chat::default()),
                    Dialect::Responses => Reader::Responses(responses::Responses::default()),
                    Dialect::Messages => Reader::Messages(messages::Messages::default()),
                },
                forms: admitted.forms.clone(),
                seen: Seen::new(admitted),
                events: 0,
            },
            ready: 0,
            waiting: 0,
            limit,
        }
    }

    pub(crate) fn seen(&self) -> &Seen {
        &self.rules.seen
    }

    pub(crate) fn events(&self) -> u64 {
        self.rules.events
    }

    /// Whether the event after which none may follow was let through.
    pub(crate) fn is_ended(&self) -> bool {
        self.rules.seen.ended && self.waiting == 0
    }

    /// How a stream that was passed on to its end counts.
    pub(crate) fn ending(&self) -> Ending {
        self.rules.seen.ending()
    }

    pub(crate) fn has_ready(&self) -> bool {
        self.ready > 0
    }

    pub(crate) fn ready_bytes(&self) -> usize {
        self.ready
    }

    /// All bytes that may go on, where the scanner had them: nothing is copied.
    pub(crate) fn take(&mut self) -> Option<Bytes> {
        let ready = std::mem::take(&mut self.ready);
        (ready > 0).then(|| self.scanner.take(ready))
    }

    /// Takes in what came from the upstream.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.scanner.feed(bytes);
        while let Some(event) = self.scanner.next().map_err(|_| Fault::TooLarge)? {
            let is_free = self.rules.judge(event, self.waiting > 0)?;
            self.waiting += event.len();
            if is_free {
                self.ready += std::mem::take(&mut self.waiting);
            } else if self.waiting > self.limit {
                return Err(Fault::TooLarge);
            }
        }
        Ok(())
    }

    /// The upstream's body has ended where its framing says so.
    pub(crate) fn end(&mut self) -> Result<(), Fault> {
        let rest = self.scanner.rest();
        let is_last_word = matches!(self.rules.reader, Reader::Chat(_)) && rest.trim_ascii() == b"data: [DONE]";
        if is_last_word {
            self.rules.judge(rest, self.waiting > 0)?;
        } else if !rest.trim_ascii().is_empty() {
            return Err(Fault::Cut);
        }
        let is_finished = match &self.rules.reader {
            Reader::Chat(chat) => chat.is_finished(),
            Reader::Responses(_) | Reader::Messages(_) => false,
        };
        if !self.rules.seen.ended && !is_finished {
            return Err(Fault::Cut);
        }
        (self.ready, self.waiting) = (self.scanner.len(), 0);
        Ok(())
    }
}

impl Rules {
    /// Judges an event; says whether it may go on, with all that was held back before it.
    fn judge(&mut self, event: &[u8], is_one_waiting: bool) -> Result<bool, Fault> {
        if self.forms.occur_in(event) {
            return Err(Fault::CredentialEchoed);
        }
        let message = sse::read(event).ok_or(Fault::Malformed("an event that is no event"))?;
        let mut is_free = true;
        if let Some(data) = message.data.as_deref().filter(|data| !data.is_empty()) {
            self.events += 1;
            self.data(message.name, data)?;
            if self.reader.kept() > MOST_CALLS {
                return Err(Fault::Malformed("more tool calls than any response has"));
            }
            is_free = self.seen.served_model.is_some() || self.seen.failed;
        } else if is_one_waiting {
            is_free = self.seen.served_model.is_some();
        }
        if self.seen.watch.found() {
            return Err(Fault::CredentialEchoed);
        }
        Ok(is_free && !self.seen.watch.is_suspicious())
    }

    fn data(&mut self, name: Option<&str>, data: &str) -> Result<(), Fault> {
        let seen = &mut self.seen;
        if data.trim() == "[DONE]" {
            return match &mut self.reader {
                Reader::Chat(chat) => chat.done(seen),
                Reader::Responses(_) if seen.ended => Ok(()),
                _ => Err(Fault::Malformed("[DONE] in a format that has none")),
            };
        }
        if seen.ended {
            return Err(Fault::Malformed("an event after the last one"));
        }
        let json = Json::read_text(data).ok_or(Fault::Malformed("an event whose data is no JSON"))?;
        if data.contains('\\') && is_escaped_in(&json, &self.forms) {
            return Err(Fault::CredentialEchoed);
        }
        match &mut self.reader {
            Reader::Chat(reader) => reader.event(seen, &json),
            Reader::Responses(reader) => reader.event(seen, kind(name, &json)?, &json),
            Reader::Messages(reader) => reader.event(seen, kind(name, &json)?, &json),
        }
    }
}

/// The kind of an event, which its name repeats.
fn kind<'e>(name: Option<&str>, json: &'e Json<'_>) -> Result<&'e str, Fault> {
    let kind = json.str("type").unwrap_or_default();
    match name.is_none_or(|name| name == kind) {
        true => Ok(kind),
        false => Err(Fault::Malformed("an event whose name is not its type")),
    }
}

/// Whether the credential is in a string that is written with escapes, so that its bytes do not show it.
fn is_escaped_in(json: &Json<'_>, forms: &Forms) -> bool {
    let mut is_in = false;
    json.each_text(&mut |text| {
        if let Cow::Owned(text) = text {
            is_in |= forms.occur_in(text.as_bytes());
        }
    });
    is_in
}

/// What became of a response that is one JSON document: what it said, as far as it could be read, and what is wrong.
pub(crate) type Whole = (Option<Seen>, Result<(), Fault>);

/// Judges a response that is one JSON document.
pub(crate) fn whole(admitted: &Admitted<'_>, body: &[u8]) -> Whole {
    if admitted.forms.occur_in(body) {
        return (None, Err(Fault::CredentialEchoed));
    }
    let Some(json) = Json::read(body) else {
        return (None, Err(Fault::Malformed("the response is no JSON")));
    };
    let mut seen = Seen::new(admitted);
    let judged = document(admitted, &mut seen, &json);
    (Some(seen), judged)
}

fn document(admitted: &Admitted<'_>, seen: &mut Seen, json: &Json<'_>) -> Result<(), Fault> {
    if is_escaped_in(json, admitted.forms) {
        return Err(Fault::CredentialEchoed);
    }
    if json.some("error").is_some() && json.some("choices").is_none() && json.some("output").is_none() {
        seen.failed = true;
        return Ok(());
    }
    if let Some(model) = json.str("model") {
        seen.name(model)?;
    }
    seen.must_be_named()?;
    match admitted.dialect {
        Dialect::ChatCompletions => chat::whole(seen, json)?,
        Dialect::Responses => responses::whole(seen, json)?,
        Dialect::Messages => messages::whole(seen, json)?,
    }
    match seen.watch.found() {
        true => Err(Fault::CredentialEchoed),
        false => Ok(()),
    }
}
