//! One request for a model's answer, read into what a script needs to know: who asks what, and how far it has come.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::Dialect;

/// A request for an answer.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) dialect: Dialect,
    pub(super) model: String,
    /// Whether the answer is wanted as a stream of events.
    pub(super) stream: bool,
    /// Whether a stream of Chat Completions ends with its usage.
    pub(super) include_usage: bool,
    /// What the harness of the agent says: system and developer messages, instructions.
    pub(super) system: String,
    /// What the user says, all messages.
    pub(super) prompt: String,
    pub(super) tools: Vec<Tool>,
    /// Tool results in the conversation: how far the script has come.
    pub(super) results: usize,
    /// What the tools said.
    pub(super) heard: String,
    pub(super) body_bytes: u64,
    /// The digest of the body, as 64 hexadecimal digits.
    pub(super) digest: String,
    /// The address that the client used, from its `Host` header.
    pub(super) host: String,
    /// The credential that came with the request; it is compared, echoed when asked to, and never recorded.
    pub(super) credential: Option<String>,
}

/// A tool that the agent declares.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tool {
    pub(super) name: String,
    pub(super) namespace: Option<String>,
    /// The schema of its arguments; none for a tool that takes free text.
    pub(super) schema: Option<Value>,
}

/// Why a body is not a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum CallError {
    #[error("the body is not a JSON object")]
    NotAnObject,
    #[error("the body names no model")]
    NoModel,
}

impl Call {
    /// Reads a body.
    pub(super) fn read(dialect: Dialect, bytes: &[u8]) -> Result<Self, CallError> {
        let body: Value = serde_json::from_slice(bytes).map_err(|_| CallError::NotAnObject)?;
        let object = body.as_object().ok_or(CallError::NotAnObject)?;
        let model = object.get("model").and_then(Value::as_str).ok_or(CallError::NoModel)?;
        let mut call = Self {
            dialect,
            model: model.to_owned(),
            stream: body["stream"].as_bool().unwrap_or(false),
            include_usage: body["stream_options"]["include_usage"].as_bool().unwrap_or(false),
            system: String::new(),
            prompt: String::new(),
            tools: vec![],
            results: 0,
            heard: String::new(),
            body_bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            digest: format!("{:x}", Sha256::digest(bytes)),
            host: String::new(),
            credential: None,
        };
        for list in ["messages", "input"] {
            match &body[list] {
                Value::Array(items) => items.iter().for_each(|item| call.take(item)),
                Value::String(text) => add(&mut call.prompt, text),
                _ => {}
            }
        }
        let mut system = String::new();
        for field in ["instructions", "system"] {
            gather(&body[field], &mut system);
        }
        add(&mut system, &call.system);
        call.system = system;
        if let Some(tools) = body["tools"].as_array() {
            tools.iter().for_each(|tool| declare(tool, None, &mut call.tools));
        }
        Ok(call)
    }

    fn take(&mut self, item: &Value) {
        let kind = item["type"].as_str().unwrap_or_default();
        if kind.ends_with("_call_output") {
            self.hear(&item["output"]);
            return;
        }
        match item["role"].as_str().unwrap_or_default() {
            "tool" => self.hear(&item["content"]),
            "system" | "developer" => gather(&item["content"], &mut self.system),
            "user" => {
                gather(&item["content"], &mut self.prompt);
                let parts = item["content"].as_array().into_iter().flatten();
                parts
                    .filter(|part| part["type"] == "tool_result")
                    .for_each(|part| self.hear(&part["content"]));
            }
            _ => {}
        }
    }

    fn hear(&mut self, content: &Value) {
        self.results += 1;
        gather(content, &mut self.heard);
    }

    /// Returns the directory that the agent says it works in; tools that want absolute paths need it.
    pub(super) fn working_directory(&self) -> Option<&str> {
        const MARKS: [&str; 2] = ["orking directory: ", "<cwd>"];
        let found = [&self.system, &self.prompt].into_iter().find_map(|text| {
            MARKS
                .iter()
                .find_map(|mark| text.find(mark).map(|at| &text[at + mark.len()..]))
        })?;
        let end = found.find(['\n', '<']).unwrap_or(found.len());
        let directory = found[..end].trim();
        directory.starts_with('/').then_some(directory)
    }
}

/// Collects the text of a message: a string, or a list of parts.
fn gather(content: &Value, into: &mut String) {
    match content {
        Value::String(text) => add(into, text),
        Value::Array(parts) => {
            for part in parts {
                if let Some(text) = part["text"].as_str() {
                    add(into, text);
                }
            }
        }
        _ => {}
    }
}

fn add(into: &mut String, text: &str) {
    if !into.is_empty() && !text.is_empty() {
        into.push('\n');
    }
    into.push_str(text);
}

/// Reads one declared tool; a namespace holds further ones.
fn declare(tool: &Value, namespace: Option<&str>, into: &mut Vec<Tool>) {
    let function = if tool["function"].is_object() {
        &tool["function"]
    } else {
        tool
    };
    let kind = tool["type"].as_str().unwrap_or("function");
    let Some(name) = function["name"].as_str() else {
        return;
    };
    if kind == "namespace" {
        let inner = tool["tools"].as_array().into_iter().flatten();
        inner.for_each(|tool| declare(tool, Some(name), into));
        return;
    }
    let schema = ["parameters", "input_schema"]
        .iter()
        .find_map(|field| function.get(*field))
        .filter(|_| kind != "custom" || function.get("input_schema").is_some());
    into.push(Tool {
        name: name.to_owned(),
        namespace: namespace.map(str::to_owned),
        schema: match kind {
            "custom" if schema.is_none() => None,
            _ => Some(schema.cloned().unwrap_or(Value::Null)),
        },
    });
}
