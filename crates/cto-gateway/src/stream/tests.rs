//! Any chunking of a good stream passes whole and unchanged; no chunking of a bad one passes its end.

use proptest::prelude::*;

use super::{Admitted, Fault, Judge, Seen, whole};
use crate::echo::Forms;
use crate::order::{Dialect, ProviderTool};

const MODEL: &str = "m-1";
const KEY: &[u8] = b"sk-0123456789abcdef";

const CHAT: &str = concat!(
    ": comment\r\n\r\n",
    "data: {\"model\":\"\",\"choices\":[]}\n\n",
    "data: {\"model\":\"m-1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"grün\",\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\"\"}}]}}]}\n\n",
    "data: {\"model\":\"m-1\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\":1}\"}}]}}]}\n\n",
    "data: {\"model\":\"m-1\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n",
    "data: [DONE]\n\n",
);

const RESPONSES: &str = concat!(
    "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"model\":\"m-1\"}}\n\n",
    "data: {\"type\":\"response.output_item.added\",\"output_index\":1,\"item\":{\"type\":\"function_call\"}}\n\n",
    "data: {\"type\":\"response.function_call_arguments.delta\",\"output_index\":1,\"delta\":\"{\\\"a\\\":1}\"}\n\n",
    "data: {\"type\":\"response.output_item.done\",\"output_index\":1,\"item\":{\"type\":\"function_call\",\"arguments\":\"{\\\"a\\\":1}\"}}\n\n",
    "data: {\"type\":\"response.output_item.done\",\"output_index\":2,\"item\":{\"type\":\"custom_tool_call\",\"input\":\"*** Begin Patch\"}}\n\n",
    "data: {\"type\":\"response.completed\",\"response\":{\"model\":\"m-1\",\"status\":\"completed\"}}\n\n",
);

const MESSAGES: &str = concat!(
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"model\":\"m-1\"}}\n\n",
    "data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"tool_use\",\"input\":{}}}\n\n",
    "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"a\\\":\"}}\n\n",
    "event: ping\ndata: {\"type\":\"ping\"}\n\n",
    "data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"1}\"}}\n\n",
    "data: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
    "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\"},\"usage\":{\"output_tokens\":3,\"input_tokens\":1}}\n\n",
    "data: {\"type\":\"message_stop\"}\n\n",
);

const ALL: [(Dialect, &str); 3] = [
    (Dialect::ChatCompletions, CHAT),
    (Dialect::Responses, RESPONSES),
    (Dialect::Messages, MESSAGES),
];

/// Hands over what an answer may be.
fn admitted<T>(dialect: Dialect, tools: &[ProviderTool], then: impl FnOnce(&Admitted<'_>) -> T) -> T {
    then(&Admitted {
        dialect,
        model: MODEL,
        forms: &Forms::of(KEY),
        tools,
    })
}

fn judge(dialect: Dialect) -> Judge {
    admitted(dialect, &[], |admitted| Judge::new(admitted, 1 << 20))
}

/// Judges a document.
fn judged(dialect: Dialect, body: &str) -> Result<Seen, Fault> {
    let (seen, result) = admitted(dialect, &[], |admitted| whole(admitted, body.as_bytes()));
    result.map(|()| seen.unwrap())
}

/// What passes of a stream that comes in pieces, and how it ends.
fn passed(judge: &mut Judge, stream: &str, sizes: &[usize]) -> (String, Result<(), Fault>) {
    let (mut out, mut at, mut sizes) = (Vec::new(), 0, sizes.iter().cycle());
    let mut result = Ok(());
    while at < stream.len() && result.is_ok() {
        let end = stream.len().min(at + sizes.next().unwrap());
        result = judge.feed(&stream.as_bytes()[at..end]);
        at = end;
        while let Some(piece) = judge.take() {
            out.extend_from_slice(&piece);
        }
    }
    let result = result.and_then(|()| judge.end());
    while let Some(piece) = judge.take() {
        out.extend_from_slice(&piece);
    }
    (String::from_utf8(out).unwrap(), result)
}

proptest! {
    #[test]
    fn any_chunking_of_a_good_stream_passes_unchanged(
        sizes in prop::collection::vec(1_usize..200, 1..20),
        which in 0_usize..3,
    ) {
        let (dialect, stream) = ALL[which];
        let mut judge = judge(dialect);
        let (out, result) = passed(&mut judge, stream, &sizes);
        prop_assert_eq!((out.as_str(), result), (stream, Ok(())));
        prop_assert_eq!(judge.seen().tool_calls, if dialect == Dialect::Responses { 2 } else { 1 });
        prop_assert_eq!(judge.ending().outcome, crate::record::CallOutcome::Completed);
    }

    #[test]
    fn a_stream_that_is_changed_anywhere_never_passes_a_call_that_is_not_whole(
        at in 0_usize..800,
        byte in prop::sample::select(b"{}[]\",: \n\r0x\\".to_vec()),
        sizes in prop::collection::vec(1_usize..200, 1..8),
        which in 0_usize..3,
    ) {
        let (dialect, stream) = ALL[which];
        let mut bytes = stream.as_bytes().to_vec();
        let at = at % bytes.len();
        bytes[at] = byte;
        let Ok(changed) = String::from_utf8(bytes) else { return Ok(()) };
        let (out, result) = passed(&mut judge(dialect), &changed, &sizes);
        // What passes is a beginning of what came, and all of it only when it was found good.
        prop_assert!(changed.starts_with(&out));
        prop_assert!(result.is_err() || out == changed);
    }
}

#[test]
fn nothing_passes_before_a_model_is_named() {
    let mut judge = judge(Dialect::ChatCompletions);
    judge.feed(b": comment\n\n").unwrap();
    assert!(judge.take().is_some());
    judge
        .feed(b"data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\n: comment\n\n")
        .unwrap();
    assert!(judge.take().is_none());
    judge.feed(b"data: {\"model\":\"m-1\",\"choices\":[]}\n\n").unwrap();
    // All that was held back, in one piece.
    assert_eq!(judge.take().unwrap().split(|byte| *byte == b'\n').count(), 7);
    assert!(judge.take().is_none());
}

#[test]
fn an_event_waits_only_while_it_may_be_the_beginning_of_the_credential() {
    let delta =
        |text: &str| format!("data: {{\"model\":\"m-1\",\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n");
    let mut judge = judge(Dialect::ChatCompletions);
    judge.feed(delta("sk-0").as_bytes()).unwrap();
    assert!(judge.take().is_some());
    judge.feed(delta("12345678").as_bytes()).unwrap();
    assert!(judge.take().is_none());
    judge.feed(delta(" is no key").as_bytes()).unwrap();
    let both = [delta("12345678"), delta(" is no key")].concat();
    assert_eq!(judge.take().unwrap(), both.as_bytes());
    judge.feed(delta("sk-01234567").as_bytes()).unwrap();
    assert_eq!(judge.feed(delta("89abcdef").as_bytes()), Err(Fault::CredentialEchoed));
    assert!(judge.take().is_none());
}

#[test]
fn calls_without_a_position_are_told_apart_by_their_identifiers() {
    let call = |id: &str, arguments: &str| {
        format!(
            "data: {{\"model\":\"m-1\",\"choices\":[{{\"delta\":{{\"tool_calls\":[{{{id}\"function\":{{\"arguments\":\"{arguments}\"}}}}]}}}}]}}\n\n"
        )
    };
    let finish = "data: {\"model\":\"m-1\",\"choices\":[{\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n";
    let good = [call("\"id\":\"a\",", "{}"), call("\"id\":\"b\",", "{"), call("", "}")].concat();
    let mut judged = judge(Dialect::ChatCompletions);
    assert_eq!(judged.feed((good + finish).as_bytes()), Ok(()));
    assert_eq!(judged.seen().tool_calls, 2);
    let bad = [call("\"id\":\"a\",", "{"), call("\"id\":\"b\",", "{}")].concat();
    let fed = judge(Dialect::ChatCompletions).feed((bad + finish).as_bytes());
    assert_eq!(fed, Err(Fault::TruncatedToolCall));
}

#[test]
fn a_call_after_the_reason_to_finish_and_an_incomplete_item_are_no_good() {
    let stream = CHAT.replace(
        "data: [DONE]\n\n",
        "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":1}]}}]}\n\n",
    );
    let result = judge(Dialect::ChatCompletions).feed(stream.as_bytes());
    assert!(matches!(result, Err(Fault::Malformed(_))), "{result:?}");
    let stream = RESPONSES.replace(
        "\"type\":\"custom_tool_call\"",
        "\"type\":\"custom_tool_call\",\"status\":\"incomplete\"",
    );
    assert_eq!(
        judge(Dialect::Responses).feed(stream.as_bytes()),
        Err(Fault::TruncatedToolCall)
    );
    let stream = MESSAGES
        .replace("{\\\"a\\\":", "")
        .replace("\"1}\"", "\"\"")
        .replace("tool_use\"},\"usage", "max_tokens\"},\"usage");
    assert_eq!(
        judge(Dialect::Messages).feed(stream.as_bytes()),
        Err(Fault::TruncatedToolCall)
    );
}

#[test]
fn calls_without_number_are_no_response() {
    let open = |number: u32| {
        [
            format!(
                "data: {{\"model\":\"m-1\",\"choices\":[{{\"delta\":{{\"tool_calls\":[{{\"index\":{number}}}]}}}}]}}\n\n"
            ),
            format!(
                "data: {{\"type\":\"response.function_call_arguments.delta\",\"output_index\":{number},\"delta\":\"x\"}}\n\n"
            ),
            format!(
                "data: {{\"type\":\"content_block_delta\",\"index\":{number},\"delta\":{{\"type\":\"input_json_delta\"}}}}\n\n"
            ),
        ]
    };
    for (at, (dialect, _)) in ALL.into_iter().enumerate() {
        let mut judge = judge(dialect);
        let results = (0..2000).map(|number| judge.feed(open(number)[at].as_bytes()));
        let good = results.take_while(Result::is_ok).count();
        assert!((1000..1100).contains(&good), "{dialect:?}: {good}");
    }
}

#[test]
fn the_credential_is_found_wherever_a_document_holds_it() {
    // In two pieces that lie side by side for whoever reads them.
    let halves = |before: &str, between: &str, after: &str| {
        let (one, other) = std::str::from_utf8(KEY).unwrap().split_at(9);
        format!("{before}{one}{between}{other}{after}")
    };
    for (dialect, before, between, after) in [
        (
            Dialect::Messages,
            r#"{"type":"message","model":"m-1","content":[{"type":"tool_use","input":{"a":[""#,
            r#"",""#,
            r#""]}}]}"#,
        ),
        (
            Dialect::Messages,
            r#"{"type":"message","model":"m-1","content":[{"type":"thinking","thinking":""#,
            r#""},{"type":"thinking","thinking":""#,
            r#""}]}"#,
        ),
        (
            Dialect::ChatCompletions,
            r#"{"model":"m-1","choices":[{"message":{"tool_calls":[{"custom":{"input":""#,
            r#""}},{"custom":{"input":""#,
            r#""}}]}}]}"#,
        ),
        (
            Dialect::Responses,
            r#"{"model":"m-1","output":[{"type":"reasoning","summary":[{"text":""#,
            r#""},{"text":""#,
            r#""}]}]}"#,
        ),
        (
            Dialect::Responses,
            r#"{"model":"m-1","output":[{"type":"local_shell_call","action":{"command":[""#,
            r#"",""#,
            r#""]}}]}"#,
        ),
    ] {
        let body = halves(before, between, after);
        assert_eq!(judged(dialect, &body).err(), Some(Fault::CredentialEchoed), "{body}");
        assert!(judged(dialect, &body.replace("sk-0", "xx-x")).is_ok(), "{body}");
    }
    // Escapes hide it from who looks at bytes, in whatever string it is.
    let escaped = String::from_utf8_lossy(KEY).replace("sk", "\\u0073k");
    let body = format!(r#"{{"model":"m-1","id":"{escaped}","choices":[{{"message":{{"content":"hi"}}}}]}}"#);
    assert_eq!(
        judged(Dialect::ChatCompletions, &body).err(),
        Some(Fault::CredentialEchoed)
    );
    let event = format!("data: {body}\n\n");
    assert_eq!(
        judge(Dialect::ChatCompletions).feed(event.as_bytes()),
        Err(Fault::CredentialEchoed)
    );
}

/// The stream of a message with an event before the one that has a text in it.
fn with_event(stream: &str, before: &str, event: &str) -> String {
    let at = stream.find(before).unwrap();
    let at = stream[..at].rfind("\n\n").map_or(0, |at| at + 2);
    format!("{}data: {event}\n\n{}", &stream[..at], &stream[at..])
}

#[test]
fn a_message_names_no_other_model_anywhere() {
    for event in [
        r#"{"type":"message_delta","delta":{"model":"m-2"}}"#,
        r#"{"type":"ping","model":"m-2"}"#,
        r#"{"type":"message_delta","delta":{},"usage":{"output_tokens":1,"iterations":[{"type":"message","model":"m-1"},{"type":"fallback_message","model":"m-2"}]}}"#,
        r#"{"type":"content_block_start","index":7,"content_block":{"type":"fallback","from":{"model":"m-1"},"to":{"model":"m-2"}}}"#,
    ] {
        let stream = with_event(MESSAGES, "\"message_delta\"", event);
        let result = judge(Dialect::Messages).feed(stream.as_bytes());
        assert_eq!(result, Err(Fault::ModelMismatch), "{event}");
        assert_eq!(
            judge(Dialect::Messages).feed(stream.replace("m-2", MODEL).replace("fallback\"", "text\"").as_bytes()),
            Ok(()),
            "{event}"
        );
    }
}

#[test]
fn nothing_follows_the_reason_to_stop_and_no_message_follows_another() {
    let block = r#"{"type":"content_block_start","index":3,"content_block":{"type":"tool_use","input":{"a":1}}}"#;
    let stop = r#"{"type":"content_block_stop","index":3}"#;
    let stream = with_event(MESSAGES, "\"message_stop\"", block);
    let stream = with_event(&stream, "\"message_stop\"", stop);
    let result = judge(Dialect::Messages).feed(stream.as_bytes());
    assert!(matches!(result, Err(Fault::Malformed(_))), "{result:?}");
    let again = r#"{"type":"message_start","message":{"model":"m-1","content":[]}}"#;
    let stream = with_event(MESSAGES, "\"message_delta\"", again);
    let result = judge(Dialect::Messages).feed(stream.as_bytes());
    assert!(matches!(result, Err(Fault::Malformed(_))), "{result:?}");
}

/// Parts of a response that show what the provider ran.
const RAN: &[(Dialect, ProviderTool, &str)] = &[
    (
        Dialect::Messages,
        ProviderTool::WebSearch,
        r#"{"type":"server_tool_use","name":"web_search","input":{}}"#,
    ),
    (
        Dialect::Messages,
        ProviderTool::WebSearch,
        r#"{"type":"web_search_tool_result","content":[]}"#,
    ),
    (
        Dialect::Messages,
        ProviderTool::Fetch,
        r#"{"type":"web_fetch_tool_result","content":{}}"#,
    ),
    (
        Dialect::Messages,
        ProviderTool::CodeExecution,
        r#"{"type":"server_tool_use","name":"bash_code_execution","input":{}}"#,
    ),
    (
        Dialect::Messages,
        ProviderTool::CodeExecution,
        r#"{"type":"code_execution_tool_result","content":{}}"#,
    ),
    (
        Dialect::Messages,
        ProviderTool::CodeExecution,
        r#"{"type":"of_tomorrow_tool_result"}"#,
    ),
    (
        Dialect::Messages,
        ProviderTool::Connector,
        r#"{"type":"mcp_tool_use","input":{}}"#,
    ),
    (
        Dialect::Responses,
        ProviderTool::WebSearch,
        r#"{"type":"web_search_call"}"#,
    ),
    (
        Dialect::Responses,
        ProviderTool::Fetch,
        r#"{"type":"file_search_call"}"#,
    ),
    (
        Dialect::Responses,
        ProviderTool::CodeExecution,
        r#"{"type":"code_interpreter_call"}"#,
    ),
    (
        Dialect::Responses,
        ProviderTool::CodeExecution,
        r#"{"type":"shell_call_output"}"#,
    ),
    (
        Dialect::Responses,
        ProviderTool::Connector,
        r#"{"type":"mcp_list_tools"}"#,
    ),
    (
        Dialect::ChatCompletions,
        ProviderTool::WebSearch,
        r#"{"annotations":[{"type":"url_citation"}]}"#,
    ),
    (
        Dialect::ChatCompletions,
        ProviderTool::CodeExecution,
        r#"{"executed_tools":[{"type":"python"}]}"#,
    ),
];

#[test]
fn tools_that_the_provider_ran_are_noticed_unless_admitted() {
    for (dialect, tool, part) in RAN {
        let (events, document) = match dialect {
            Dialect::Messages => (
                format!(
                    "data: {{\"type\":\"message_start\",\"message\":{{\"model\":\"m-1\"}}}}\n\ndata: {{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{part}}}\n\n"
                ),
                format!(r#"{{"type":"message","model":"m-1","content":[{part}]}}"#),
            ),
            Dialect::Responses => (
                format!("data: {{\"type\":\"response.output_item.added\",\"item\":{part}}}\n\n"),
                format!(r#"{{"model":"m-1","output":[{part}]}}"#),
            ),
            Dialect::ChatCompletions => (
                format!("data: {{\"model\":\"m-1\",\"choices\":[{{\"delta\":{part}}}]}}\n\n"),
                format!(r#"{{"model":"m-1","choices":[{{"message":{part}}}]}}"#),
            ),
        };
        for (tools, expected) in [(&[][..], Err(Fault::ProviderTool(*tool))), (&[*tool], Ok(()))] {
            admitted(*dialect, tools, |admitted| {
                assert_eq!(
                    Judge::new(admitted, 1 << 20).feed(events.as_bytes()),
                    expected,
                    "{part}"
                );
                assert_eq!(whole(admitted, document.as_bytes()).1, expected, "{part}");
            });
        }
    }
    let usage = r#"{"type":"message_delta","delta":{},"usage":{"output_tokens":1,"server_tool_use":{"web_search_requests":1}}}"#;
    let stream = with_event(MESSAGES, "\"message_delta\"", usage);
    assert_eq!(
        judge(Dialect::Messages).feed(stream.as_bytes()),
        Err(Fault::ProviderTool(ProviderTool::WebSearch))
    );
    let none = stream.replace("\"web_search_requests\":1", "\"web_search_requests\":0");
    assert_eq!(judge(Dialect::Messages).feed(none.as_bytes()), Ok(()));
}

#[test]
fn a_usage_that_is_not_stated_is_none() {
    let usage = |dialect, stream: &str| {
        let mut judge = judge(dialect);
        judge.feed(stream.as_bytes()).unwrap();
        judge.seen().usage.map(|usage| (usage.input, usage.output))
    };
    let start = "\"model\":\"m-1\",\"usage\":{\"input_tokens\":9,\"output_tokens\":1}";
    let stream = MESSAGES.replace("\"model\":\"m-1\"", start);
    let end = ",\"usage\":{\"output_tokens\":3,\"input_tokens\":1}";
    assert_eq!(usage(Dialect::Messages, &stream), Some((1, 3)));
    let output = stream.replace(end, ",\"usage\":{\"output_tokens\":3}");
    assert_eq!(usage(Dialect::Messages, &output), Some((9, 3)));
    // The first event knows nothing of the output yet.
    assert_eq!(usage(Dialect::Messages, &stream.replace(end, "")), None);
    // Zero tokens of input are the word of a server that does not count.
    let zero = "\"choices\":[],\"usage\":{\"prompt_tokens\":0,\"completion_tokens\":0}}";
    let zero = CHAT.replace("\"choices\":[]}", zero);
    assert_ne!(zero, CHAT);
    assert_eq!(usage(Dialect::ChatCompletions, &zero), None);
    let one = zero.replace("\"prompt_tokens\":0", "\"prompt_tokens\":1");
    assert_eq!(usage(Dialect::ChatCompletions, &one), Some((1, 0)));
}
