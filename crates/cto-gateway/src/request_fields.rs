//! Which fields the top of a request may have, by wire format: an unknown one may make a provider do anything.
//!
//! A new version of an agent may send a new field. The lists are data: once its documentation says that the field
//! reaches nobody and stores nothing that is read back, it belongs here; until then the operator can admit it by
//! `gateway.request_fields`.

use crate::json::Json;
use crate::order::Dialect;
use crate::provider_tools::is_judged_at_the_top;

/// OpenAI, "Create chat completion" (platform.openai.com/docs/api-reference/chat/create).
const CHAT_COMPLETIONS: &[&str] = &[
    "audio",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "metadata",
    "modalities",
    "model",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_retention",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
];

/// How servers of the same wire format let sampling, reasoning and the answer's form be set: vLLM ("OpenAI-compatible
/// server: extra parameters"), llama.cpp (`tools/server/README.md`), OpenRouter ("API parameters"), DeepSeek and Z.ai
/// ("Thinking mode"). Agents send them to local models above all.
const CHAT_COMPLETIONS_OF_OTHERS: &[&str] = &[
    "cache_prompt",
    "chat_template_kwargs",
    "enable_thinking",
    "include_reasoning",
    "min_p",
    "reasoning",
    "repetition_penalty",
    "thinking",
    "tool_stream",
    "top_a",
    "top_k",
    "usage",
];

/// OpenAI, "Create a model response" (platform.openai.com/docs/api-reference/responses/create), and `client_metadata`,
/// words about the client that codex sends (`codex-rs/codex-api`, `ResponsesApiRequest`).
const RESPONSES: &[&str] = &[
    "client_metadata",
    "context_management",
    "include",
    "input",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "model",
    "parallel_tool_calls",
    "prompt_cache_key",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];

/// Anthropic, "Create a Message" (docs.claude.com/en/api/messages), and the fields of its published betas that Claude
/// Code sends: `context_management`, `diagnostics`, `output_format`, `speed`.
const MESSAGES: &[&str] = &[
    "cache_control",
    "context_management",
    "diagnostics",
    "inference_geo",
    "max_tokens",
    "messages",
    "metadata",
    "model",
    "output_config",
    "output_format",
    "service_tier",
    "speed",
    "stop_sequences",
    "stream",
    "system",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
    "top_k",
    "top_p",
];

/// The first field at the top of a request that nobody here knows and the operator has not admitted. What is judged by
/// its value elsewhere is known.
pub(crate) fn unknown<'b>(dialect: Dialect, body: &'b Json<'_>, admitted: &[String]) -> Option<&'b str> {
    let lists: &[&[&str]] = match dialect {
        Dialect::ChatCompletions => &[CHAT_COMPLETIONS, CHAT_COMPLETIONS_OF_OTHERS],
        Dialect::Responses => &[RESPONSES],
        Dialect::Messages => &[MESSAGES],
    };
    let is_known = |key: &str| {
        lists.iter().any(|list| list.contains(&key))
            || is_judged_at_the_top(key)
            || admitted.iter().any(|field| field == key)
    };
    body.keys().find(|key| !is_known(key))
}

#[cfg(test)]
mod tests {
    use super::unknown;
    use crate::json::Json;
    use crate::order::Dialect;

    fn of(dialect: Dialect, body: &str) -> Option<String> {
        let body = Json::read(body.as_bytes()).unwrap();
        unknown(dialect, &body, &["admitted".to_owned()]).map(str::to_owned)
    }

    #[test]
    fn what_no_list_names_is_unknown_whatever_its_value() {
        for dialect in [Dialect::ChatCompletions, Dialect::Responses, Dialect::Messages] {
            for value in ["null", "false", "{}", "\"x\""] {
                let body = format!(r#"{{"model":"m","of_tomorrow":{value}}}"#);
                assert_eq!(
                    of(dialect, &body).as_deref(),
                    Some("of_tomorrow"),
                    "{dialect:?} {value}"
                );
            }
            assert_eq!(
                of(dialect, r#"{"model":"m","stream":true,"tools":[],"admitted":1}"#),
                None
            );
            // Within the fields nothing is asked by name.
            assert_eq!(of(dialect, r#"{"metadata":{"of_tomorrow":1}}"#), None);
            // Case is no way around it.
            assert_eq!(of(dialect, r#"{"Model":"m"}"#).as_deref(), Some("Model"));
        }
    }

    #[test]
    fn a_field_of_one_format_is_none_of_another() {
        assert_eq!(of(Dialect::Messages, r#"{"input":[]}"#).as_deref(), Some("input"));
        assert_eq!(
            of(Dialect::Responses, r#"{"messages":[]}"#).as_deref(),
            Some("messages")
        );
        assert_eq!(
            of(Dialect::ChatCompletions, r#"{"system":""}"#).as_deref(),
            Some("system")
        );
        // Judged by its value: unset it is nothing.
        assert_eq!(of(Dialect::Responses, r#"{"previous_response_id":null}"#), None);
    }

    /// The fields of first and later requests of the agents, as they came to the scripted model.
    #[test]
    fn what_agents_send_is_known() {
        for (dialect, fields) in [
            (
                Dialect::Responses,
                "model instructions input tools tool_choice parallel_tool_calls reasoning store stream include prompt_cache_key text client_metadata service_tier",
            ),
            (
                Dialect::ChatCompletions,
                "model messages stream stream_options store max_completion_tokens tools temperature",
            ),
            (
                Dialect::ChatCompletions,
                "model messages stream prompt_cache_key prompt_cache_retention reasoning_effort chat_template_kwargs enable_thinking thinking tool_stream tool_choice",
            ),
            (
                Dialect::ChatCompletions,
                "model max_tokens temperature top_p messages tools tool_choice stream stream_options",
            ),
            (
                Dialect::Messages,
                "model messages system tools metadata max_tokens thinking context_management output_config stream temperature tool_choice diagnostics speed",
            ),
            (
                Dialect::Responses,
                "model input stream prompt_cache_key prompt_cache_retention store max_output_tokens temperature service_tier tools reasoning include",
            ),
        ] {
            let fields: Vec<String> = fields.split(' ').map(|field| format!("\"{field}\":1")).collect();
            assert_eq!(of(dialect, &format!("{{{}}}", fields.join(","))), None);
        }
    }
}
