//! Any chunking of a good stream passes whole and unchanged; no chunking of a bad one passes its end.

use proptest::prelude::*;

use super::{Fault, Judge, whole};
use crate::echo::Forms;
use crate::order::Dialect;

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

fn judge(dialect: Dialect) -> Judge {
    Judge::new(dialect, MODEL, &Forms::of(KEY), 1 << 20)
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
    let judged = |dialect, body: &str| whole(dialect, MODEL, &Forms::of(KEY), body.as_bytes(), &mut None);
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
        assert_eq!(judged(dialect, &body), Err(Fault::CredentialEchoed), "{body}");
        assert_eq!(judged(dialect, &body.replace("sk-0", "xx-x")), Ok(()), "{body}");
    }
    // Escapes hide it from who looks at bytes, in whatever string it is.
    let escaped = String::from_utf8_lossy(KEY).replace("sk", "\\u0073k");
    let body = format!(r#"{{"model":"m-1","id":"{escaped}","choices":[{{"message":{{"content":"hi"}}}}]}}"#);
    assert_eq!(judged(Dialect::ChatCompletions, &body), Err(Fault::CredentialEchoed));
    let event = format!("data: {body}\n\n");
    assert_eq!(
        judge(Dialect::ChatCompletions).feed(event.as_bytes()),
        Err(Fault::CredentialEchoed)
    );
}
