//! Quotes of an engine's words: escaped, capped, and counted where they are left out.

use cto_schema::{EventType, Untrusted};
use serde_json::{Map, Value, json};

use super::MAX_LINE;

/// Most events of one run.
const MAX_EVENTS: usize = 2000;
/// Longest text of one event.
const MAX_TEXT: usize = 2000;
/// Most entries of a list that is quoted.
pub(super) const MAX_ENTRIES: usize = 50;

/// The events of one run so far.
#[derive(Debug, Default)]
pub(super) struct Quoted {
    events: Vec<(EventType, Value)>,
    left_out: u64,
    not_json: u64,
    too_long: u64,
    unknown: u64,
    cut: bool,
}

impl Quoted {
    /// Adds an event, or counts it.
    pub(super) fn push(&mut self, kind: EventType, data: Value) {
        if self.events.len() < MAX_EVENTS {
            self.events.push((kind, data));
        } else {
            self.left_out += 1;
        }
    }

    /// Adds an event with one text; an empty one says nothing.
    pub(super) fn say(&mut self, kind: EventType, said: &Value) {
        let text = text(said);
        if !text.is_empty() {
            self.push(kind, json!({ "text": text }));
        }
    }

    /// Adds a line of output that is no JSON.
    pub(super) fn line(&mut self, stream: &str, line: &[u8]) {
        let text = Untrusted::new(line).escaped(MAX_TEXT);
        self.push(EventType::EngineMessage, json!({ "stream": stream, "text": text }));
    }

    /// Counts an event that no rule knows.
    pub(super) fn unknown(&mut self) {
        self.unknown += 1;
    }

    /// Counts a line that is over the limit.
    pub(super) fn too_long(&mut self) {
        self.too_long += 1;
    }

    /// Parses each line of a JSON stream and hands it on with the name of its event.
    ///
    /// A line over the limit is handed on as null, under the name that its first bytes give it.
    pub(super) fn each_json(&mut self, bytes: &[u8], event: impl FnMut(&str, &Value, &mut Self)) {
        self.each_json_but(bytes, |_| false, event);
    }

    /// The same without the lines that `skip`, which sees them raw, says yes to.
    pub(super) fn each_json_but(
        &mut self,
        bytes: &[u8],
        skip: impl Fn(&[u8]) -> bool,
        mut event: impl FnMut(&str, &Value, &mut Self),
    ) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (line, complete) = match rest.iter().position(|byte| *byte == b'\n') {
                Some(at) => {
                    let line = &rest[..at];
                    rest = &rest[at + 1..];
                    (line, true)
                }
                None => (std::mem::take(&mut rest), false),
            };
            let line = line.trim_ascii();
            if line.is_empty() || skip(line) {
                continue;
            }
            if line.len() > MAX_LINE {
                self.too_long += 1;
                let name = first_name(line).unwrap_or_default();
                event(&name, &Value::Null, self);
                continue;
            }
            match serde_json::from_str::<Value>(&String::from_utf8_lossy(line)) {
                Ok(value) if value.is_object() => {
                    let name = value["type"].as_str().unwrap_or_default().to_owned();
                    event(&name, &value, self);
                }
                _ if !complete => self.cut = true,
                _ => self.not_json += 1,
            }
        }
    }

    /// Ends the list: what was left out is counted in one last event.
    pub(super) fn finish(mut self) -> Vec<(EventType, Value)> {
        let counts = [
            ("events_left_out", self.left_out),
            ("lines_not_json", self.not_json),
            ("lines_too_long", self.too_long),
            ("events_unknown", self.unknown),
            ("last_line_cut", u64::from(self.cut)),
        ];
        let counts: Map<String, Value> = counts
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(name, count)| (name.to_owned(), count.into()))
            .collect();
        if !counts.is_empty() {
            self.events.push((EventType::EngineMessage, Value::Object(counts)));
        }
        self.events
    }
}

/// Quotes a value: a string as it is, null as nothing, anything else as JSON.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => Untrusted::new(text).escaped(MAX_TEXT),
        other => Untrusted::new(other.to_string()).escaped(MAX_TEXT),
    }
}

/// Quotes the first value that says something.
pub(super) fn first_text(values: &[&Value], otherwise: &str) -> String {
    let said = values.iter().map(|value| text(value)).find(|text| !text.is_empty());
    said.unwrap_or_else(|| otherwise.to_owned())
}

/// Quotes the numbers of an object, also one level down; nothing else of it.
pub(super) fn numbers(value: &Value) -> Value {
    let mut found = Map::new();
    for (name, inner) in value.as_object().into_iter().flatten().take(MAX_ENTRIES) {
        let name = Untrusted::new(name).escaped(80);
        if let Some(number) = inner.as_u64() {
            found.insert(name, number.into());
        } else if let Some(inner) = inner.as_object() {
            for (below, number) in inner.iter().take(MAX_ENTRIES) {
                if let Some(number) = number.as_u64() {
                    found.insert(format!("{name}_{}", Untrusted::new(below).escaped(80)), number.into());
                }
            }
        }
    }
    Value::Object(found)
}

/// Returns the event's name of a line that is too long to parse.
fn first_name(line: &[u8]) -> Option<String> {
    let rest = line.strip_prefix(br#"{"type":""#)?;
    let end = rest.iter().take(80).position(|byte| *byte == b'"')?;
    String::from_utf8(rest[..end].to_vec()).ok()
}
