//! Scripts: turns of tool calls by intent, then a last word.

mod cases;
mod choose;
mod phases;

use serde::Deserialize;

pub(super) use choose::{NAMES, choose};

use super::answer::{Answer, Finish, ToolCall, Usage};
use super::call::Call;
use super::tools;

/// The largest script file, in bytes.
const MAX_BYTES: usize = 1024 * 1024;

/// The most turns of a script.
const MAX_TURNS: usize = 1000;

/// What a model does, turn after turn.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// The turns that call tools.
    #[serde(default)]
    turns: Vec<Turn>,
    /// What is said when no turn is left.
    r#final: String,
}

/// One turn: some words, and one thing to do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Turn {
    /// What is said before the tool is called.
    say: Option<String>,
    /// A shell command.
    shell: Option<String>,
    /// A file to write, with the agent's own tool for that.
    write: Option<Write>,
    /// Ask another model from inside, as an agent that falls back does.
    ask_model: Option<String>,
}

/// A file and what is to be in it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Write {
    path: String,
    content: String,
}

/// Why a script cannot be played.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    /// The file is larger than a script may be.
    #[error("read the script: it has {0} bytes, {MAX_BYTES} are allowed; shorten it")]
    TooLarge(usize),
    /// The text is not YAML of this shape.
    #[error("read the script: {0}")]
    Shape(String),
    /// A turn does nothing, or several things.
    #[error("read the script: turn {0} needs exactly one of shell, write and ask_model")]
    Turn(usize),
    /// There are too many turns.
    #[error("read the script: it has {0} turns, {MAX_TURNS} are allowed")]
    TooLong(usize),
}

impl Script {
    /// Reads a script: YAML with `turns` (each `say`, and one of `shell`, `write` and `ask_model`) and `final`.
    ///
    /// # Errors
    ///
    /// When it is too large, is not of that shape, or has a turn that does not do exactly one thing.
    pub fn parse(text: &str) -> Result<Self, ScriptError> {
        if text.len() > MAX_BYTES {
            return Err(ScriptError::TooLarge(text.len()));
        }
        let options = serde_saphyr::options! { strict_booleans: true };
        let script: Self = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
            let text = error.to_string();
            ScriptError::Shape(text.lines().next().unwrap_or_default().chars().take(400).collect())
        })?;
        if script.turns.len() > MAX_TURNS {
            return Err(ScriptError::TooLong(script.turns.len()));
        }
        for (index, turn) in script.turns.iter().enumerate() {
            let things = [turn.shell.is_some(), turn.write.is_some(), turn.ask_model.is_some()];
            if things.into_iter().filter(|thing| *thing).count() != 1 {
                return Err(ScriptError::Turn(index + 1));
            }
        }
        Ok(script)
    }

    fn says(last: impl Into<String>) -> Self {
        Self {
            turns: vec![],
            r#final: last.into(),
        }
    }

    /// Returns the answer to a call: what comes after the tool results that the conversation has.
    pub(super) fn answer(&self, call: &Call) -> Answer {
        let mut answer = Answer {
            seed: call.digest.clone(),
            model: call.model.clone(),
            reasoning: None,
            text: None,
            calls: vec![],
            finish: Finish::Stop,
            usage: Usage {
                input: call.body_bytes.div_ceil(4),
                output: 0,
                reasoning: 0,
            },
        };
        let steps = self.turns.iter().flat_map(|turn| turn.steps(call));
        if let Some((say, tool_call)) = steps.into_iter().nth(call.results) {
            answer.text = say;
            answer.calls = vec![tool_call];
            answer.finish = Finish::ToolCalls;
        } else {
            answer.text = Some(self.r#final.clone());
        }
        answer.count();
        answer
    }
}

impl Turn {
    fn shell(say: Option<&str>, command: String) -> Self {
        Self {
            say: say.map(str::to_owned),
            shell: Some(command),
            ..Self::default()
        }
    }

    /// Returns what the turn does with the tools of this agent, one call a step; nothing when it has none for it.
    fn steps(&self, call: &Call) -> Vec<(Option<String>, ToolCall)> {
        let mut calls: Vec<ToolCall> = vec![];
        if let Some(command) = &self.shell {
            calls.extend(tools::shell(call, command));
        }
        if let Some(write) = &self.write {
            calls.extend(tools::write(call, &write.path, &write.content));
        }
        if let Some(model) = &self.ask_model {
            calls.extend(tools::shell(call, &ask_model(call, model)));
        }
        let mut say = self.say.clone();
        calls.into_iter().map(|call| (say.take(), call)).collect()
    }
}

/// Returns the shell command that asks another model: where a cage has its endpoint, else where this call came in.
fn ask_model(call: &Call, model: &str) -> String {
    let body =
        serde_json::json!({ "model": model, "max_tokens": 16, "messages": [{ "role": "user", "content": "hi" }] });
    let program = r#"
for host in 127.0.0.1:8080 "$2"; do
  if command -v curl > /dev/null; then
    curl -sS -m 20 -H 'content-type: application/json' -H "authorization: Bearer $MODEL_KEY" \
      -d "$1" "http://$host/v1/chat/completions" && break
  elif exec 3<> "/dev/tcp/${host%:*}/${host##*:}"; then
    printf 'POST /v1/chat/completions HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n' "$host" >&3
    printf 'Connection: close\r\nContent-Length: %s\r\n\r\n%s' "${#1}" "$1" >&3
    cat <&3 && break
  fi
done"#;
    let words = [program.trim_start(), "ask", &body.to_string(), &call.host];
    let words: Vec<String> = words.into_iter().map(tools::quoted).collect();
    format!("bash -c {}", words.join(" "))
}

#[cfg(test)]
mod tests;
