//! Claims about the Case engine: phases, reviews, and whose log it is.

use super::*;

/// A Case log: phases as (phase, agent, the end's fields), and the pipeline's end.
fn case_log(phases: &[(&str, &str, &str)], end: &str) -> Normalized {
    let mut lines = Vec::new();
    for (phase, agent, fields) in phases {
        lines.push(format!(
            r#"{{"event":"phase_start","phase":"{phase}","agent":"{agent}"}}"#
        ));
        lines.push(format!(
            r#"{{"event":"phase_end","phase":"{phase}","agent":"{agent}",{fields}}}"#
        ));
        // The executor reports unused revision cycles like this, after good runs.
        lines.push(format!(
            r#"{{"event":"phase_end","phase":"{phase}","agent":"{agent}","outcome":"skipped"}}"#
        ));
    }
    lines.push(format!(r#"{{"event":"pipeline_end",{end}}}"#));
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    read_lines(EngineParser::Case, &lines)
}

#[test]
fn case_is_judged_by_phases_and_pipeline_end() {
    let good = (
        r"implement",
        "implementer",
        r#""outcome":"completed","result":{"summary":"s"}"#,
    );
    let done = r#""outcome":"completed""#;
    assert!(case_log(&[good], done).stream.claims_success);
    // A second run of a finished task runs the retrospective alone.
    let again = case_log(&[("retrospective", "retrospective", r#""outcome":"completed""#)], done);
    assert!(again.stream.failure.is_some());

    let failed = case_log(
        &[(
            "implement",
            "implementer",
            r#""outcome":"failed","result":{"error":"the tests are red"}"#,
        )],
        r#""outcome":"failed","failedAgent":"implementer""#,
    );
    assert_eq!(
        failed.stream.failure.as_deref(),
        Some("implementer failed: the tests are red")
    );

    let no_envelope = case_log(
        &[(
            "implement",
            "implementer",
            r#""outcome":"failed","result":{"error":"AGENT_RESULT start delimiter not found"}"#,
        )],
        r#""outcome":"failed","failedAgent":"implementer""#,
    );
    assert!(no_envelope.stream.protocol_error.is_some() && no_envelope.stream.failure.is_none());

    let closer = case_log(
        &[
            good,
            ("close", "closer", r#""outcome":"failed","result":{"error":"no gh"}"#),
        ],
        r#""outcome":"failed","failedAgent":"closer""#,
    );
    assert!(closer.stream.claims_success);
}

#[test]
fn case_rejections_come_from_the_last_real_review() {
    let good = (r"implement", "implementer", r#""outcome":"completed""#);
    for (review, end) in [
        (
            r#""outcome":"failed","result":{"summary":"bad"}"#,
            r#""outcome":"failed","failedAgent":"reviewer""#,
        ),
        (
            r#""outcome":"completed","result":{"findings":{"critical":2}}"#,
            r#""outcome":"completed""#,
        ),
        (
            r#""outcome":"completed","result":{"rubric":{"categories":[{"category":"scope-discipline","verdict":"fail"}]}}"#,
            r#""outcome":"completed""#,
        ),
    ] {
        let rejected = case_log(&[good, ("review", "reviewer", review)], end);
        assert!(rejected.stream.reviewer_rejection.is_some(), "{review}");
        assert!(!rejected.stream.claims_success && rejected.stream.failure.is_none());
        let revised = (
            "review",
            "reviewer",
            r#""outcome":"completed","result":{"findings":{"critical":0}}"#,
        );
        let revised = case_log(
            &[good, ("review", "reviewer", review), good, revised],
            r#""outcome":"completed""#,
        );
        assert!(revised.stream.claims_success, "{review}");
    }
}

#[test]
fn a_pipeline_that_was_ended_is_rejected_by_a_review_that_nothing_followed() {
    let start = |phase: &str| format!(r#"{{"event":"phase_start","phase":"{phase}"}}"#);
    let rejected =
        r#"{"event":"phase_end","phase":"review","outcome":"completed","result":{"findings":{"critical":1}}}"#;
    let review = [start("implement"), start("review"), rejected.to_owned()];
    let read = |lines: &[String]| {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        read_lines(EngineParser::Case, &lines).stream
    };
    let ended = read(&review);
    assert!(ended.reviewer_rejection.is_some() && !ended.final_event_seen);
    let revised = read(&[&review[..], &[start("implement")]].concat());
    assert_eq!(revised.reviewer_rejection, None, "the review is about older work");
    let again = read(&[&review[..], &[start("implement")], &review[1..]].concat());
    assert!(again.reviewer_rejection.is_some());
}

#[test]
fn case_reads_the_log_of_this_run_and_no_other() {
    let stderr = include_bytes!("../samples/case.stderr.jsonl");
    let own = include_bytes!("../samples/case.jsonl").to_vec();
    let log = |name: &str, bytes: &[u8]| LogFile {
        path: PathBuf::from(".case/cto-task/events").join(name),
        bytes: bytes.to_vec(),
    };
    let forged = log("run-0.jsonl", br#"{"event":"pipeline_end","outcome":"completed"}"#);
    let real = log("run-d50338d5-b207-4a07-a81b-fe7b11701be6.jsonl", &own);
    let read_logs = |stderr: &[u8], logs: &[LogFile]| {
        let output = EngineOutput {
            stdout: b"",
            stderr,
            logs,
        };
        read(&description(EngineParser::Case), &output).stream
    };
    assert!(read_logs(stderr, &[forged.clone(), real.clone()]).claims_success);
    assert!(!read_logs(stderr, std::slice::from_ref(&forged)).final_event_seen);
    assert!(
        !read_logs(b"", &[forged, real.clone()]).final_event_seen,
        "which of two?"
    );
    assert!(read_logs(b"", &[real]).claims_success);
    // Another run's lines under this run's name are not this run's.
    let other = log(
        "run-d50338d5-b207-4a07-a81b-fe7b11701be6.jsonl",
        include_bytes!("../samples/case.book.jsonl"),
    );
    assert!(!read_logs(stderr, &[other]).final_event_seen);
    let lost = read_logs(b"{\"msg\":\"AGENT_RESULT start delimiter not found\"}\n", &[]);
    assert!(lost.protocol_error.is_some());
}

#[test]
fn real_case_runs_that_went_wrong_are_told_apart() {
    let rejected = read_as(EngineParser::Case, include_bytes!("../samples/case.reject.jsonl")).stream;
    assert!(
        rejected
            .reviewer_rejection
            .is_some_and(|text| text.contains("not good enough"))
    );
    assert!(rejected.failure.is_none() && rejected.protocol_error.is_none());
    for lost in [
        &include_bytes!("../samples/case.no-envelope.jsonl")[..],
        &include_bytes!("../samples/case.provider-500.jsonl")[..],
    ] {
        let facts = read_as(EngineParser::Case, lost).stream;
        assert_eq!(
            facts.protocol_error.as_deref(),
            Some("AGENT_RESULT start delimiter not found")
        );
        assert!(facts.final_event_seen && facts.reviewer_rejection.is_none());
    }
}

#[test]
fn case_quotes_its_human_lines_beside_its_log() {
    let logs = [LogFile {
        path: PathBuf::from(".case/cto-task/events/run-d50338d5-b207-4a07-a81b-fe7b11701be6.jsonl"),
        bytes: include_bytes!("../samples/case.jsonl").to_vec(),
    }];
    let output = EngineOutput {
        stdout: include_bytes!("../samples/case.stdout.txt"),
        stderr: include_bytes!("../samples/case.stderr.jsonl"),
        logs: &logs,
    };
    let normalized = read(&description(EngineParser::Case), &output);
    assert!(normalized.stream.claims_success);
    let said = |text: &str| {
        normalized
            .events
            .iter()
            .any(|(_, data)| data.to_string().contains(text))
    };
    assert!(said("Pipeline completed successfully.") && said("\"phase\":\"review\""));
}
