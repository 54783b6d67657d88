//! From an intent to a call: which of the tools that the agent declares does it, and with what arguments.

use serde_json::{Map, Value, json};

use super::answer::{ToolCall, ToolInput};
use super::call::{Call, Tool};

/// Names under which agents offer a shell, most wanted first.
const SHELLS: &[&str] = &[
    "exec_command",
    "shell_command",
    "bash",
    "shell",
    "run_shell_command",
    "execute_command",
    "terminal",
];

/// Names under which agents offer to write a whole file.
const WRITERS: &[&str] = &["write", "write_file", "create_file"];

/// Names under which agents offer to read a file.
const READERS: &[&str] = &["read", "read_file", "view_file"];

/// Returns the call that runs a shell command, if the agent has a tool for it.
pub(super) fn shell(call: &Call, command: &str) -> Option<ToolCall> {
    let tool = named(call, SHELLS)?;
    let schema = tool.schema.as_ref()?;
    let field = ["cmd", "command", "script"]
        .into_iter()
        .find(|field| schema["properties"].get(field).is_some())
        .unwrap_or("command");
    let wants_words = schema["properties"][field]["type"] == "array";
    let value = if wants_words {
        json!(["bash", "-c", command])
    } else {
        json!(command)
    };
    Some(filled(tool, schema, &[(field, value)]))
}

/// Returns the calls that write a file: with the tool that the agent has for it, else in its shell.
pub(super) fn write(call: &Call, path: &str, content: &str) -> Vec<ToolCall> {
    if let Some(tool) = named(call, WRITERS)
        && let Some(schema) = &tool.schema
    {
        let mut calls: Vec<ToolCall> = vec![];
        // An agent that can read refuses to overwrite what it has not read.
        calls.extend(read(call, path));
        let place = place(call, schema, path);
        calls.push(filled(tool, schema, &[place, ("content", json!(content))]));
        return calls;
    }
    if let Some(tool) = call.tools.iter().find(|tool| tool.name == "apply_patch") {
        return vec![patch(tool, path, content)];
    }
    shell(call, &heredoc(&[(path, content)])).into_iter().collect()
}

fn read(call: &Call, path: &str) -> Option<ToolCall> {
    let tool = named(call, READERS)?;
    let schema = tool.schema.as_ref()?;
    Some(filled(tool, schema, &[place(call, schema, path)]))
}

/// Returns the shell command that writes files as they are.
pub(super) fn heredoc(files: &[(&str, &str)]) -> String {
    let mut command = String::new();
    for (path, content) in files {
        if let Some((directory, _)) = path.rsplit_once('/') {
            command.push_str(&format_line("mkdir -p", directory));
        }
        let mut mark = "END_OF_FILE".to_owned();
        while content.lines().any(|line| line == mark) {
            mark.push('_');
        }
        command.push_str("cat > ");
        command.push_str(&quoted(path));
        command.push_str(" <<'");
        command.push_str(&mark);
        command.push_str("'\n");
        command.push_str(content);
        if !content.ends_with('\n') {
            command.push('\n');
        }
        command.push_str(&mark);
        command.push('\n');
    }
    command
}

fn format_line(verb: &str, path: &str) -> String {
    format!("{verb} {}\n", quoted(path))
}

/// Quotes a word for a shell.
pub(super) fn quoted(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-".contains(&b);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

fn named<'a>(call: &'a Call, names: &[&str]) -> Option<&'a Tool> {
    names
        .iter()
        .find_map(|name| call.tools.iter().find(|tool| tool.name.eq_ignore_ascii_case(name)))
}

/// Returns the argument that names a file, absolute where the agent wants that and says where it works.
fn place(call: &Call, schema: &Value, path: &str) -> (&'static str, Value) {
    let field = ["file_path", "filePath", "path"]
        .into_iter()
        .find(|field| schema["properties"].get(field).is_some())
        .unwrap_or("path");
    match call.working_directory() {
        Some(directory) if field != "path" => (field, json!(format!("{directory}/{path}"))),
        _ => (field, json!(path)),
    }
}

/// Makes a call with these arguments and something plausible for all others that the schema demands.
fn filled(tool: &Tool, schema: &Value, arguments: &[(&'static str, Value)]) -> ToolCall {
    let mut object = Map::new();
    for (name, value) in arguments {
        object.insert((*name).to_owned(), value.clone());
    }
    let required = schema["required"].as_array().into_iter().flatten();
    for name in required.filter_map(Value::as_str) {
        if !object.contains_key(name) {
            object.insert(name.to_owned(), plausible(&schema["properties"][name], name));
        }
    }
    ToolCall {
        name: tool.name.clone(),
        namespace: tool.namespace.clone(),
        input: ToolInput::Arguments(Value::Object(object).to_string()),
    }
}

fn plausible(schema: &Value, name: &str) -> Value {
    match schema["type"].as_str().unwrap_or_default() {
        "boolean" => json!(false),
        "integer" | "number" => schema.get("minimum").cloned().unwrap_or_else(|| json!(60_000)),
        "array" => json!([]),
        "object" => json!({}),
        _ => match schema["enum"].as_array().and_then(|choices| choices.first()) {
            Some(choice) => choice.clone(),
            None => json!(if name.contains("dir") { "." } else { "Works on the task" }),
        },
    }
}

/// Returns the call of a patch tool that puts a whole file in place.
fn patch(tool: &Tool, path: &str, content: &str) -> ToolCall {
    let mut text = format!("*** Begin Patch\n*** Add File: {path}\n");
    for line in content.lines() {
        text.push('+');
        text.push_str(line);
        text.push('\n');
    }
    text.push_str("*** End Patch");
    match &tool.schema {
        None => ToolCall {
            name: tool.name.clone(),
            namespace: tool.namespace.clone(),
            input: ToolInput::Freeform(text),
        },
        Some(schema) => filled(tool, schema, &[("input", json!(text))]),
    }
}
