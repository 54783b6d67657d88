//! The Case engine: human lines on standard output, and the verdict in the event log of this very run.

use std::collections::BTreeMap;

use cto_schema::{EventType, StreamFacts};
use serde_json::{Value, json};

use super::quoted::{MAX_ENTRIES, Quoted, first_text, text};
use crate::engine::{EngineOutput, LogFile};

pub(super) const FINAL_EVENT: &str = "pipeline_end";

/// What Case says when an agent's answer has no envelope.
const NO_ENVELOPE: &str = "AGENT_RESULT start delimiter not found";
/// Categories of a review whose failure rejects the change.
const HARD: [&str; 2] = ["principle-compliance", "scope-discipline"];

/// What the log of one run says.
#[derive(Default)]
struct Pipeline {
    started: Vec<String>,
    /// The last end of each phase that was really started; the skipped ends that follow are about nothing.
    ended: BTreeMap<String, Value>,
    end: Option<Value>,
    no_envelope: bool,
    /// Whether the last review is about work that was changed since.
    review_is_stale: bool,
}

/// Reads the event log that standard error names. Case's exit code, task file and run log are wrong after good runs.
pub(super) fn read(output: &EngineOutput<'_>, quoted: &mut Quoted) -> StreamFacts {
    for line in output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        quoted.line("stdout", line);
    }
    let run_id = run_id(output.stderr);
    let Some(log) = choose(run_id.as_deref(), output.logs) else {
        return StreamFacts {
            protocol_error: no_log(output),
            ..StreamFacts::default()
        };
    };
    let mut pipeline = Pipeline::default();
    quoted.each_json(&log.bytes, |_, line, quoted| {
        let other = run_id.as_deref().is_some_and(|id| line["runId"] != id);
        if other {
            return quoted.unknown();
        }
        pipeline.event(line, quoted);
    });
    pipeline.facts()
}

/// Returns the run's identity from its own log on standard error.
fn run_id(stderr: &[u8]) -> Option<String> {
    let mut found = None;
    Quoted::default().each_json(stderr, |_, line, _| {
        if found.is_none() && line["msg"] == "pipeline started" {
            found = line["runId"].as_str().map(str::to_owned);
        }
    });
    found
}

/// Picks the log of this run: the one that bears its identity. An unnamed run has to have left exactly one.
fn choose<'a>(run_id: Option<&str>, logs: &'a [LogFile]) -> Option<&'a LogFile> {
    match (run_id, logs) {
        (Some(id), _) => {
            let name = format!("run-{id}.jsonl");
            logs.iter()
                .find(|log| log.path.file_name().is_some_and(|file| *file == *name))
        }
        (None, [only]) => Some(only),
        (None, _) => None,
    }
}

/// Without a log only the output is left to say why; that there is none is the missing final event.
fn no_log(output: &EngineOutput<'_>) -> Option<String> {
    let wanted = NO_ENVELOPE.as_bytes();
    let said = [output.stdout, output.stderr]
        .iter()
        .any(|bytes| bytes.windows(wanted.len()).any(|part| part == wanted));
    said.then(|| NO_ENVELOPE.to_owned())
}

impl Pipeline {
    fn event(&mut self, line: &Value, quoted: &mut Quoted) {
        let phase = || text(&line["phase"]);
        match line["event"].as_str().unwrap_or_default() {
            "pipeline_start" => quoted.push(EventType::EnginePlan, json!({ "text": text(&line["plan"]["phases"]) })),
            "phase_start" => {
                self.review_is_stale |= phase() == "implement";
                if self.started.len() < MAX_ENTRIES {
                    self.started.push(phase());
                }
                quoted.push(EventType::EngineMessage, json!({ "phase": phase(), "text": "started" }));
            }
            "phase_end" => self.phase_end(line, quoted),
            "tool_start" => {
                let data = json!({ "phase": phase(), "tool": text(&line["tool"]), "input": text(&line["args"]) });
                quoted.push(EventType::EngineToolCall, data);
            }
            "tool_end" if line["isError"] == true => {
                let data = json!({ "phase": phase(), "text": text(&line["result"]), "warning": true });
                quoted.push(EventType::EngineError, data);
            }
            "revision_requested" | "revision_budget_exhausted" => quoted.say(EventType::EngineMessage, line),
            "tool_end" | "status_changed" | "marker_written" => {}
            FINAL_EVENT => self.end = Some(line.clone()),
            _ => quoted.unknown(),
        }
    }

    fn phase_end(&mut self, line: &Value, quoted: &mut Quoted) {
        let phase = text(&line["phase"]);
        let outcome = text(&line["outcome"]);
        if outcome == "skipped" || !self.started.contains(&phase) {
            return;
        }
        let result = &line["result"];
        let said = first_text(&[&result["error"], &result["summary"]], "");
        self.no_envelope |= said.contains(NO_ENVELOPE);
        self.review_is_stale &= phase != "review";
        quoted.push(
            EventType::EngineMessage,
            json!({ "phase": phase, "outcome": outcome, "text": said }),
        );
        self.ended.insert(phase, line.clone());
    }

    fn facts(self) -> StreamFacts {
        let Some(end) = &self.end else {
            return StreamFacts {
                protocol_error: self.no_envelope.then(|| NO_ENVELOPE.to_owned()),
                // It was ended before it could say so itself.
                reviewer_rejection: self.rejection(&Value::Null).filter(|_| !self.review_is_stale),
                ..StreamFacts::default()
            };
        };
        let mut facts = StreamFacts {
            final_event_seen: true,
            reviewer_rejection: self.rejection(end),
            ..StreamFacts::default()
        };
        let failed_agent = text(&end["failedAgent"]);
        if end["outcome"] != "completed" {
            if self.no_envelope {
                facts.protocol_error = Some(NO_ENVELOPE.to_owned());
            } else if facts.reviewer_rejection.is_none() && failed_agent != "closer" {
                facts.failure = Some(self.failure(&failed_agent));
            }
            // A closer that fails only could not open the pull request that nobody wants.
        } else if !self.started.iter().any(|phase| phase == "implement") {
            // So ends a second run of a finished task.
            facts.failure = Some("the pipeline completed without an implement phase".to_owned());
        }
        facts
    }

    fn failure(&self, agent: &str) -> String {
        let phase = self.ended.values().find(|end| end["agent"] == agent);
        let said = phase.map(|end| first_text(&[&end["result"]["error"], &end["result"]["summary"]], ""));
        let said = said
            .filter(|said| !said.is_empty())
            .map(|said| format!(": {said}"))
            .unwrap_or_default();
        let agent = if agent.is_empty() { "the pipeline" } else { agent };
        format!("{agent} failed{said}")
    }

    /// The last review decides: an outcome, a hard category or a critical finding.
    fn rejection(&self, end: &Value) -> Option<String> {
        let review = self.ended.get("review");
        let result = review.map_or(&Value::Null, |review| &review["result"]);
        let critical = result["findings"]["critical"].as_u64().unwrap_or_default();
        let categories = result["rubric"]["categories"].as_array().into_iter().flatten();
        let hard = categories
            .filter(|category| category["verdict"] == "fail")
            .map(|category| text(&category["category"]))
            .find(|category| HARD.contains(&category.as_str()));
        let summary = first_text(&[&result["error"], &result["summary"]], "no summary");
        if critical > 0 {
            return Some(format!("the reviewer has {critical} critical findings: {summary}"));
        }
        if let Some(category) = hard {
            return Some(format!("the reviewer fails '{category}': {summary}"));
        }
        let failed = end["failedAgent"] == "reviewer" && !summary.contains(NO_ENVELOPE);
        failed.then(|| format!("the reviewer failed: {summary}"))
    }
}
