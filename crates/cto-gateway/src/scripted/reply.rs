//! What goes over the wire for one answer: status, headers, and the steps of the body.

use std::time::Duration;

use bytes::Bytes;

use super::answer::{Answer, Finish, ToolInput};
use super::call::Call;
use super::fault::Fault;
use super::{bomb, wire};
use crate::Dialect;

/// How often the text of a huge event is repeated; 32 MiB in all.
const HUGE_CHUNKS: u64 = 512;

/// The size of one repeated chunk.
const CHUNK_BYTES: usize = 64 * 1024;

/// A word of the text that endless and huge answers repeat.
const WORD: &str = "again ";

/// A reply.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) steps: Vec<Step>,
    /// Whether the reply waits before its first header.
    pub(super) hangs: bool,
}

/// A step of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Send(Bytes),
    /// Send byte for byte, with this pause before each.
    Drip(Bytes, Duration),
    /// Send the same so many times.
    Repeat(Bytes, u64),
    /// Let what was sent reach the client: what the server still holds is lost when a connection breaks.
    Settle,
    /// Send nothing more, and do not end.
    Hang,
    /// Break the connection.
    Cut,
}

impl Reply {
    /// Returns a reply that is one JSON document.
    pub(super) fn document(status: u16, document: &serde_json::Value) -> Self {
        Self::whole(status, "application/json", document.to_string())
    }

    /// Returns the reply that goes with an error status.
    pub(super) fn error(dialect: Option<Dialect>, status: u16, message: &str) -> Self {
        let mut reply = Self::document(status, &wire::error(dialect, status, message));
        if status == 429 {
            reply.headers.push(("retry-after", "1".to_owned()));
        }
        reply
    }

    fn whole(status: u16, kind: &str, body: String) -> Self {
        let length = body.len().to_string();
        Self {
            status,
            headers: vec![("content-type", kind.to_owned()), ("content-length", length)],
            steps: vec![Step::Send(body.into())],
            hangs: false,
        }
    }

    /// Returns the reply to a call, with what goes wrong with it.
    pub(super) fn to(call: &Call, mut answer: Answer, fault: Option<Fault>, pause: Duration) -> Self {
        let status = match fault {
            Some(Fault::Unauthorized) => Some((401, "the credential is not valid")),
            Some(Fault::NotFound) => Some((404, "the model does not exist or you have no access to it")),
            Some(Fault::TooManyRequests) => Some((429, "rate limit reached; try again in 1s")),
            Some(Fault::ServerError) => Some((500, "the server had an error while it processed the request")),
            _ => None,
        };
        if let Some((status, message)) = status {
            return Self::error(Some(call.dialect), status, message);
        }
        if fault == Some(Fault::Redirect) {
            let mut reply = Self::whole(307, "text/plain", String::new());
            reply.headers.push(("location", "/redirected/v1".to_owned()));
            return reply;
        }
        if fault == Some(Fault::Html) {
            let page = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>Sign in first.</body></html>\n";
            return Self::whole(200, "text/html; charset=utf-8", page.to_owned());
        }
        if let Some(fault) = fault {
            spoil(&mut answer, fault, call);
        }
        let frames = if call.stream {
            wire::events(call.dialect, &answer, call.include_usage)
        } else {
            vec![wire::document(call.dialect, &answer).to_string()]
        };
        let mut reply = if call.stream {
            Self {
                status: 200,
                headers: vec![
                    ("content-type", "text/event-stream; charset=utf-8".to_owned()),
                    ("cache-control", "no-cache".to_owned()),
                ],
                steps: frames.into_iter().map(|frame| Step::Send(frame.into())).collect(),
                hangs: false,
            }
        } else {
            Self::whole(200, "application/json", frames.concat())
        };
        if let Some(fault) = fault {
            reply.distort(fault, call.dialect, call.stream, pause);
        }
        reply
    }

    /// Distorts the way a good answer is sent.
    fn distort(&mut self, fault: Fault, dialect: Dialect, stream: bool, pause: Duration) {
        let length = self.length();
        match fault {
            Fault::Hang => self.hangs = true,
            Fault::HangMidway => self.end_midway(Step::Hang),
            Fault::Cut => self.end_midway(Step::Cut),
            Fault::WrongLength => {
                self.set("content-length", (length + 1000).to_string());
                self.steps.push(Step::Settle);
            }
            Fault::Slow => {
                let all: Vec<u8> = self.bytes();
                self.steps = vec![Step::Drip(all.into(), pause)];
            }
            Fault::MalformedStream if stream => self.insert("dat: {\u{1}\nno colon here\n: \n\n"),
            Fault::MalformedJson if stream => self.insert(match dialect {
                Dialect::ChatCompletions => "data: {\"id\": \"chatcmpl-0\", \"object\": \"chat.comp\n\n",
                Dialect::Responses => "event: response.output_text.delta\ndata: {\"type\": \"response.output_\n\n",
                Dialect::Messages => "event: content_block_delta\ndata: {\"type\": \"content_block_d\n\n",
            }),
            Fault::MalformedStream | Fault::MalformedJson => {
                let half = self.bytes()[..length / 2].to_vec();
                self.set("content-length", half.len().to_string());
                self.steps = vec![Step::Send(half.into())];
            }
            Fault::GzipBomb => {
                self.headers.retain(|(name, _)| *name != "content-length");
                self.set("content-encoding", "gzip".to_owned());
                self.steps = bomb::steps();
            }
            Fault::Endless => self.repeat_word(stream, None),
            Fault::HugeEvent => self.repeat_word(false, Some(HUGE_CHUNKS)),
            _ => {}
        }
    }

    /// Ends the body after its first half, and never before something was sent.
    fn end_midway(&mut self, end: Step) {
        if let [Step::Send(only)] = self.steps.as_slice() {
            self.steps = vec![Step::Send(only.slice(..only.len() / 2))];
        } else {
            self.steps.truncate(self.steps.len().div_ceil(2));
        }
        self.steps.extend([Step::Settle, end]);
    }

    fn insert(&mut self, text: &'static str) {
        let middle = self.steps.len() / 2;
        self.steps
            .insert(middle, Step::Send(Bytes::from_static(text.as_bytes())));
    }

    /// Repeats the first frame that holds the word, or the word itself, so many times or for ever.
    fn repeat_word(&mut self, frame: bool, times: Option<u64>) {
        let found = self.steps.iter().enumerate().find_map(|(index, step)| match step {
            Step::Send(bytes) => find(bytes, WORD.as_bytes()).map(|at| (index, bytes.clone(), at)),
            _ => None,
        });
        let Some((index, bytes, at)) = found else {
            return;
        };
        self.headers.retain(|(name, _)| *name != "content-length");
        let unit = if frame { &bytes[..] } else { WORD.as_bytes() };
        let chunk = unit.repeat(CHUNK_BYTES.div_ceil(unit.len()));
        let after = self.steps.split_off(index + 1);
        self.steps.truncate(index);
        if !frame {
            self.steps.push(Step::Send(bytes.slice(..at)));
        }
        self.steps.push(Step::Repeat(chunk.into(), times.unwrap_or(u64::MAX)));
        if !frame {
            self.steps.push(Step::Send(bytes.slice(at..)));
        }
        self.steps.extend(after);
    }

    fn set(&mut self, name: &'static str, value: String) {
        self.headers.retain(|(found, _)| *found != name);
        self.headers.push((name, value));
    }

    fn length(&self) -> usize {
        self.bytes().len()
    }

    /// Returns what is sent plainly.
    fn bytes(&self) -> Vec<u8> {
        let mut all = vec![];
        for step in &self.steps {
            if let Step::Send(bytes) = step {
                all.extend_from_slice(bytes);
            }
        }
        all
    }
}

/// Spoils what is said.
fn spoil(answer: &mut Answer, fault: Fault, call: &Call) {
    match fault {
        Fault::ReasoningOnly => {
            answer.reasoning = Some("I should think about what the task wants before I do anything. ".repeat(8));
            answer.text = None;
            answer.calls.clear();
            answer.finish = Finish::Length;
        }
        Fault::Empty => {
            answer.text = None;
            answer.calls.clear();
            answer.finish = Finish::Stop;
        }
        Fault::OtherModel => answer.model = "another-model".to_owned(),
        Fault::TruncatedArguments => {
            for call in &mut answer.calls {
                let (ToolInput::Arguments(text) | ToolInput::Freeform(text)) = &mut call.input;
                let mut end = text.len() / 2;
                while !text.is_char_boundary(end) {
                    end -= 1;
                }
                text.truncate(end);
            }
        }
        Fault::EchoCredential => {
            let credential = call.credential.as_deref().unwrap_or("none");
            answer.text = Some(format!("The key of this session is {credential} as it seems."));
        }
        Fault::Endless | Fault::HugeEvent => {
            answer.text = Some(WORD.to_owned());
            answer.calls.clear();
            answer.finish = Finish::Stop;
        }
        _ => {}
    }
    answer.count();
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
