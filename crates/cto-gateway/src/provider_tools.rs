//! Finds what a request would make the provider do on its own: search, fetch, call connectors, run code.

use crate::json::Json;
use crate::order::ProviderTool;

/// Something in a request that is not the engine's own work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// A tool that the provider runs.
    Tool(ProviderTool, String),
    /// Another model would serve a part of it.
    OtherModel(String),
    /// Input that lies with the provider, which nobody here can judge.
    Stored(String),
}

/// Keys whose values are the engine's data or a schema, not input for the provider.
const OPAQUE: &[&str] = &[
    "arguments",
    "function",
    "input_schema",
    "json_schema",
    "metadata",
    "parameters",
    "schema",
];

/// Every finding of a request body, in the order of the body.
pub(crate) fn findings(body: &Json<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    top(body, &mut found);
    walk(body, &mut found);
    found
}

fn is_set(value: &Json<'_>) -> bool {
    match value {
        Json::Null | Json::Bool(false) => false,
        Json::Array(items) => !items.is_empty(),
        Json::Object(entries) => !entries.is_empty(),
        _ => true,
    }
}

/// Settings of the whole request with which another model would answer.
const OTHER_MODEL: &[&str] = &["models", "route", "fallbacks"];

/// Settings of the whole request with which the provider would run a tool.
const TOOLS: &[(&str, ProviderTool)] = &[
    ("web_search_options", ProviderTool::WebSearch),
    ("plugins", ProviderTool::WebSearch),
    ("mcp_servers", ProviderTool::Connector),
    ("container", ProviderTool::CodeExecution),
];

/// Settings with which one provider or another takes input from elsewhere, or lets somebody else answer.
const STORED: &[&str] = &[
    "previous_response_id",
    "conversation",
    "prompt",
    "background",
    "search_parameters",
    "enable_search",
    "web_search",
    "data_sources",
    "documents",
    "file_ids",
    "preset",
    "provider",
    "user_config",
    "api_base",
    "base_url",
    "deployment_id",
    "callbacks",
    "extra_body",
];

/// Where a part of the input may lie somewhere else.
const ADDRESSES: &[&str] = &["image_url", "video_url", "audio_url", "file_url"];

/// Keys that are read here or in `request` besides those of the lists above.
const READ: &[&str] = &["model", "stream", "tools", "type", "url", "file_id", "environment"];

/// Tells whether a setting of the whole request is judged by its value.
pub(crate) fn is_judged_at_the_top(key: &str) -> bool {
    OTHER_MODEL.contains(&key) || TOOLS.iter().any(|(name, _)| *name == key) || STORED.contains(&key)
}

/// Settings of the whole request.
fn top(body: &Json<'_>, found: &mut Vec<Finding>) {
    let set = |key: &str| body.get(key).is_some_and(is_set);
    for key in OTHER_MODEL.iter().filter(|key| set(key)) {
        found.push(Finding::OtherModel((*key).to_owned()));
    }
    for (key, tool) in TOOLS {
        // Empty options are options: `"web_search_options": {}` searches.
        let options = matches!(body.get(key), Some(Json::Object(_)));
        if options || set(key) {
            found.push(Finding::Tool(*tool, (*key).to_owned()));
        }
    }
    for key in STORED.iter().filter(|key| set(key)) {
        found.push(Finding::Stored((*key).to_owned()));
    }
}

/// Tells whether a key would be read as a judged one by somebody who does not mind case, and takes the last that fits.
fn folds_to_a_judged_key(key: &str) -> bool {
    let folded = key.to_lowercase();
    let folded_key = folded.as_str();
    folded != key && (is_judged_at_the_top(folded_key) || ADDRESSES.contains(&folded_key) || READ.contains(&folded_key))
}

fn walk(value: &Json<'_>, found: &mut Vec<Finding>) {
    match value {
        Json::Array(items) => items.iter().for_each(|item| walk(item, found)),
        Json::Object(entries) => {
            let kind = value.str("type").unwrap_or_default();
            part(kind, value, found);
            for (key, inner) in entries {
                if folds_to_a_judged_key(key) {
                    found.push(Finding::Stored(format!("a key {key} in another case")));
                }
                let is_data = OPAQUE.contains(&key.as_ref()) || (key == "input" && kind.ends_with("tool_use"));
                if key == "tools" {
                    inner.items().iter().for_each(|tool| declared(tool, found));
                }
                if !is_data {
                    walk(inner, found);
                }
            }
        }
        _ => {}
    }
}

/// A part of the input: images and files must be in it, not somewhere else.
fn part(kind: &str, value: &Json<'_>, found: &mut Vec<Finding>) {
    for key in ADDRESSES {
        let address = value
            .some(key)
            .map(|address| address.text().or_else(|| address.str("url")));
        if address.is_some_and(|address| address.is_none_or(|address| !address.starts_with("data:"))) {
            found.push(Finding::Tool(ProviderTool::Fetch, (*key).to_owned()));
        }
    }
    if kind == "url" && value.some("url").is_some() {
        found.push(Finding::Tool(ProviderTool::Fetch, "url".to_owned()));
    }
    if value.some("file_id").is_some() || kind == "item_reference" {
        found.push(Finding::Stored("a stored file or item".to_owned()));
    }
}

/// What a part of a response shows that the provider did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ran {
    Tool(ProviderTool),
    /// Another model answered a part of it.
    OtherModel,
}

/// What the provider did, by a block of Messages or an item of Responses; `None` for what the engine does or reads.
pub(crate) fn ran(part: &Json<'_>) -> Option<Ran> {
    let kind = part.str("type").unwrap_or_default();
    let tool = match kind {
        // What engines run.
        "tool_use" | "function_call" | "custom_tool_call" | "local_shell_call" | "shell_call" | "apply_patch_call"
        | "computer_call" | "tool_search_call" => return None,
        "fallback" | "image_generation_call" => return Some(Ran::OtherModel),
        "server_tool_use" => of_word(part.str("name").unwrap_or_default()),
        "container_upload" => ProviderTool::CodeExecution,
        _ if kind.starts_with("mcp_") => ProviderTool::Connector,
        // Results of tools that nobody here knows, too: the engine has run none of them.
        _ if ["_call", "_call_output", "tool_result"]
            .iter()
            .any(|end| kind.ends_with(end)) =>
        {
            of_word(kind)
        }
        _ => return None,
    };
    Some(Ran::Tool(tool))
}

fn of_word(word: &str) -> ProviderTool {
    if word.starts_with("web_search") {
        ProviderTool::WebSearch
    } else if word.starts_with("web_fetch") || word.starts_with("file_search") {
        ProviderTool::Fetch
    } else {
        ProviderTool::CodeExecution
    }
}

/// A tool that a request declares: one that the engine runs itself is no finding.
fn declared(tool: &Json<'_>, found: &mut Vec<Finding>) {
    let kind = tool.str("type").unwrap_or_default();
    let is_hosted = tool
        .get("environment")
        .and_then(|environment| environment.str("type"))
        .is_some_and(|environment| environment != "local");
    let starts = |names: &[&str]| names.iter().any(|name| kind.starts_with(name));
    // A tool without a kind is the engine's own where it says how it is called, as in Messages.
    if kind.is_empty() && !is_hosted && tool.str("name").is_some() && tool.some("input_schema").is_some() {
        return;
    }
    let runs = if starts(&["web_search", "google_search", "x_search"]) {
        ProviderTool::WebSearch
    } else if starts(&["web_fetch", "url_context", "file_search"]) {
        ProviderTool::Fetch
    } else if starts(&["mcp", "connector"]) {
        ProviderTool::Connector
    } else if starts(&["image_generation"]) {
        found.push(Finding::OtherModel(kind.to_owned()));
        return;
    } else if !is_hosted
        && (matches!(
            kind,
            "function" | "custom" | "namespace" | "local_shell" | "shell" | "apply_patch" | "tool_search"
        ) || starts(&["bash_", "text_editor_", "memory_"]))
    {
        return;
    } else {
        // Code execution, computer use, and whatever nobody here knows.
        ProviderTool::CodeExecution
    };
    found.push(Finding::Tool(runs, kind.to_owned()));
}

#[cfg(test)]
mod tests {
    use super::{Finding, findings};
    use crate::json::Json;
    use crate::order::ProviderTool::{CodeExecution, Connector, Fetch, WebSearch};

    #[test]
    fn everything_that_the_provider_would_do_is_found() {
        let cases: &[(&str, crate::order::ProviderTool)] = &[
            (r#"{"tools":[{"type":"web_search"}]}"#, WebSearch),
            (r#"{"tools":[{"type":"web_search_preview_2025_03_11"}]}"#, WebSearch),
            (
                r#"{"tools":[{"type":"web_search_20250305","name":"web_search"}]}"#,
                WebSearch,
            ),
            (r#"{"tools":[{"type":"web_fetch_20250910"}]}"#, Fetch),
            (r#"{"tools":[{"type":"file_search"}]}"#, Fetch),
            (r#"{"tools":[{"type":"mcp","server_url":"x"}]}"#, Connector),
            (r#"{"tools":[{"type":"mcp_toolset"}]}"#, Connector),
            (r#"{"mcp_servers":[{"url":"x"}]}"#, Connector),
            (r#"{"tools":[{"type":"code_interpreter"}]}"#, CodeExecution),
            (r#"{"tools":[{"type":"code_execution_20250825"}]}"#, CodeExecution),
            (r#"{"tools":[{"type":"computer_use_preview"}]}"#, CodeExecution),
            (r#"{"tools":[{"type":"computer_20250124"}]}"#, CodeExecution),
            (
                r#"{"tools":[{"type":"shell","environment":{"type":"container_auto"}}]}"#,
                CodeExecution,
            ),
            (r#"{"tools":[{"type":"of_tomorrow"}]}"#, CodeExecution),
            (
                r#"{"tools":[{"type":"namespace","tools":[{"type":"web_search"}]}]}"#,
                WebSearch,
            ),
            (
                r#"{"input":[{"type":"tool_search_output","tools":[{"type":"mcp"}]}]}"#,
                Connector,
            ),
            (r#"{"web_search_options":{"x":1}}"#, WebSearch),
            (r#"{"web_search_options":{}}"#, WebSearch),
            (r#"{"plugins":[{"id":"web"}]}"#, WebSearch),
            (r#"{"container":"c"}"#, CodeExecution),
            (
                r#"{"messages":[{"content":[{"type":"image_url","image_url":{"url":"https://x"}}]}]}"#,
                Fetch,
            ),
            (
                r#"{"input":[{"content":[{"type":"input_image","image_url":"https://x"}]}]}"#,
                Fetch,
            ),
            (
                r#"{"input":[{"content":[{"type":"input_file","file_url":"https://x"}]}]}"#,
                Fetch,
            ),
            (
                r#"{"input":[{"type":"function_call_output","output":[{"type":"input_image","image_url":"http://x"}]}]}"#,
                Fetch,
            ),
            (
                r#"{"messages":[{"content":[{"type":"image","source":{"type":"url","url":"x"}}]}]}"#,
                Fetch,
            ),
            (
                r#"{"messages":[{"content":[{"type":"tool_result","content":[{"type":"document","source":{"type":"url","url":"x"}}]}]}]}"#,
                Fetch,
            ),
        ];
        for (body, tool) in cases {
            let found = findings(&Json::read(body.as_bytes()).unwrap());
            assert!(
                matches!(&found[..], [Finding::Tool(seen, _)] if seen == tool),
                "{body}: {found:?}"
            );
        }
    }

    #[test]
    fn what_lies_with_the_provider_and_other_models_are_found() {
        for body in [
            r#"{"previous_response_id":"r"}"#,
            r#"{"conversation":{"id":"c"}}"#,
            r#"{"prompt":{"id":"p"}}"#,
            r#"{"background":true}"#,
            r#"{"input":[{"type":"item_reference","id":"i"}]}"#,
            r#"{"input":[{"content":[{"type":"input_file","file_id":"f"}]}]}"#,
        ] {
            let found = findings(&Json::read(body.as_bytes()).unwrap());
            assert!(matches!(&found[..], [Finding::Stored(_)]), "{body}: {found:?}");
        }
        for body in [r#"{"models":["a","b"]}"#, r#"{"tools":[{"type":"image_generation"}]}"#] {
            let found = findings(&Json::read(body.as_bytes()).unwrap());
            assert!(matches!(&found[..], [Finding::OtherModel(_)]), "{body}: {found:?}");
        }
    }

    #[test]
    fn the_engines_own_tools_and_data_are_none() {
        for body in [
            r#"{"tools":[{"type":"function","function":{"name":"f","parameters":{"properties":{"file_id":{"type":"url","url":"u"}}}}}]}"#,
            r#"{"tools":[{"name":"Bash","input_schema":{"properties":{"image_url":{"type":"string"}}}}]}"#,
            r#"{"tools":[{"type":"custom","name":"apply_patch"},{"type":"bash_20250124","name":"bash"}]}"#,
            r#"{"messages":[{"content":[{"type":"tool_use","input":{"type":"url","url":"x","file_id":"f"}}]}]}"#,
            r#"{"messages":[{"content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AA"}}]}]}"#,
            r#"{"previous_response_id":null,"background":false,"mcp_servers":[],"store":false,"tools":[]}"#,
            r#"{"input":[{"type":"function_call","arguments":"{\"file_id\":1}"}]}"#,
        ] {
            assert_eq!(findings(&Json::read(body.as_bytes()).unwrap()), [], "{body}");
        }
    }
}
