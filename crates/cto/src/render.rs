//! The verdict of a run, for a person who reads it for the first time.

use cto_evidence::mend;
use cto_runner::RunOutcome;
use cto_schema::{BlockerCode, BoundState, CanaryState, ModelObservation, Report, RunLabel, Status, escape};

use crate::output::Output;

/// Most changed paths that are listed here; the report has all.
const PATHS: usize = 12;

/// Returns the verdict, what happened, and the next commands to try.
pub(crate) fn verdict(outcome: &RunOutcome, output: &Output) -> String {
    let report = &outcome.report;
    let (word, color, sentence) = match outcome.status {
        Status::Pass => (
            "✔ PASS",
            "1;32",
            "The change stayed inside its bounds and was verified in a clean room.",
        ),
        Status::Fail => (
            "✘ FAIL",
            "1;31",
            "The engine ran, the evidence is complete, and the work is not accepted.",
        ),
        Status::Blocked if waits_for_the_word(report) && was_rejected(report) => (
            "■ BLOCKED",
            "1;33",
            "The change was verified and committed to the target, and the operator rejected it.",
        ),
        Status::Blocked if waits_for_the_word(report) => (
            "■ BLOCKED",
            "1;33",
            "The change was verified and committed to the target; your word on it is missing.",
        ),
        Status::Blocked if outcome.engine_started => (
            "■ BLOCKED",
            "1;33",
            "The engine was started, and there is no verdict on its work.",
        ),
        Status::Blocked => (
            "■ BLOCKED",
            "1;33",
            "A gate said no. No engine was started and nothing was changed.",
        ),
    };
    let mut text = format!(
        "{}  {}  engine {}, {:.2} s\n{sentence}\n\n",
        output.paint(color, word),
        report.case_id,
        escape(report.backend.as_bytes(), 60),
        seconds(report.usage.total_ms),
    );
    for blocker in &report.blockers {
        text = format!(
            "{text}  {} {}\n      {}\n",
            output.paint("31", &blocker.code.name()),
            blocker.detail,
            output.paint("2", mend(blocker.code)),
        );
    }
    if !report.blockers.is_empty() {
        text.push('\n');
    }
    text.push_str(&rows(outcome));
    let (id, cto) = (&outcome.run_id, called_as());
    let chain = match chain_of(outcome) {
        // Gates are asked in groups: behind a closed one there may be more.
        Some(engine) => format!("  {cto} status --engine {engine}    (all that is still missing, in order)\n"),
        None => String::new(),
    };
    let word = if waits_for_the_word(report) && was_rejected(report) {
        format!("  {cto} rollback {id}    (takes the commit back)\n")
    } else if waits_for_the_word(report) {
        format!("  {cto} outcome {id} accept --reason …    (or reject, and then: {cto} rollback {id})\n")
    } else {
        String::new()
    };
    format!("{text}\nNext:\n{chain}{word}  {cto} show {id}\n  {cto} verify {id}\n")
}

/// Returns the one commit that the target got.
fn commit_of(report: &Report) -> Option<&str> {
    report.governed.as_ref()?.target_commit.as_deref()
}

/// Returns whether the word on the commit was said, and is no.
fn was_rejected(report: &Report) -> bool {
    let said = report.governed.as_ref().map(|governed| governed.operator_outcome);
    said == Some(cto_schema::OperatorOutcome::Rejected)
}

/// Returns whether nothing is missing but the operator's yes to the commit.
fn waits_for_the_word(report: &Report) -> bool {
    let only = matches!(report.blockers.as_slice(), [one] if one.code == BlockerCode::MissingOperatorOutcome);
    only && commit_of(report).is_some()
}

/// Returns the engine whose chain of gates and records stopped the run.
fn chain_of(outcome: &RunOutcome) -> Option<String> {
    use cto_schema::BlockerCode as C;
    let of_the_chain = |code: C| {
        [
            C::GateMissing,
            C::ModelNotAdmitted,
            C::SourceNotAdmitted,
            C::BuildMismatch,
            C::ProviderUnavailable,
            C::ProviderAuthUnavailable,
            C::ProviderLocalConfigUnavailable,
        ]
        .contains(&code)
    };
    let stopped = outcome.blockers.iter().any(|blocker| of_the_chain(blocker.code));
    let engine = outcome.report.backend.split(':').next().unwrap_or_default();
    (stopped && !outcome.engine_started).then(|| escape(engine.as_bytes(), 60))
}

/// Returns how the program was called, so that the next commands can be pasted before it is on the search path.
fn called_as() -> String {
    let name = std::env::args_os().next().unwrap_or_default();
    let typed = name
        .to_str()
        .filter(|name| name.contains('/') && !name.contains(char::is_whitespace));
    typed.map_or_else(|| "cto".to_owned(), |name| escape(name.as_bytes(), 400))
}

fn seconds(ms: u64) -> f64 {
    u32::try_from(ms).map_or(f64::MAX, f64::from) / 1000.0
}

fn rows(outcome: &RunOutcome) -> String {
    let report = &outcome.report;
    let mut rows: Vec<(&str, String)> = Vec::new();
    if report.case_process_started {
        rows.push(("changed", changed(report)));
        rows.push(("checks", checks(report)));
        rows.push(("bounds", bounds(report)));
        if let Some(model) = &report.model {
            rows.push(("model", model_calls(model)));
        }
        if !report.egress.is_empty() {
            rows.push(("egress", format!("may also reach {}", report.egress.join(", "))));
        }
        if !report.masked_paths.is_empty() {
            rows.push(("hidden", format!("{} from the engine", report.masked_paths.join(", "))));
        }
        if !report.forbidden_actions_attempted.is_empty() {
            rows.push((
                "attempted",
                format!(
                    "{} forbidden actions, see the events",
                    report.forbidden_actions_attempted.len()
                ),
            ));
        }
    }
    let commit = commit_of(report);
    if let Some(commit) = commit {
        rows.push(("commit", format!("{commit} in the target")));
    }
    if let Some(mutated) = report.source_repository_mutated {
        let word = match (mutated, commit) {
            (true, _) => "CHANGED during the run",
            (false, Some(_)) => "apart from that commit untouched",
            (false, None) => "untouched: HEAD, refs, index and metadata are as before",
        };
        rows.push(("source", word.to_owned()));
    }
    if let Some(kept) = &outcome.kept_workspace {
        rows.push(("workspace", format!("{} (untrusted)", kept.display())));
    }
    rows.push(("evidence", outcome.bundle.display().to_string()));
    rows.iter()
        .map(|(name, value)| format!("  {name:<10} {value}\n"))
        .collect()
}

fn changed(report: &Report) -> String {
    let files = &report.changed_files;
    if files.is_empty() {
        return "nothing".to_owned();
    }
    let shown: Vec<String> = files
        .iter()
        .take(PATHS)
        .map(|path| escape(path.as_bytes(), 200))
        .collect();
    let more = files.len().saturating_sub(PATHS);
    if more > 0 {
        format!("{} and {more} more", shown.join(", "))
    } else {
        shown.join(", ")
    }
}

fn checks(report: &Report) -> String {
    let Some(room) = &report.clean_room else {
        return "none ran".to_owned();
    };
    if let Some(reason) = &room.not_run {
        return format!("none ran: {reason}");
    }
    let word = |passed: bool| if passed { "passed" } else { "failed" };
    let mut parts: Vec<String> = room
        .runs
        .iter()
        .map(|run| {
            let what = match run.label {
                RunLabel::Baseline => "before the change",
                RunLabel::Patched => "with the patch",
                RunLabel::RestoredInputs => "with the baseline's tests",
                RunLabel::Canary => "canary",
                RunLabel::EngineTree => "in the engine's own tree",
            };
            format!("{what} {}", word(run.passed()))
        })
        .collect();
    for canary in &room.canaries {
        parts.push(match canary.state {
            CanaryState::FailedAsItMust => "a test that must fail failed".to_owned(),
            CanaryState::Passed => "a test that must fail PASSED".to_owned(),
            CanaryState::NotGenerated => "no failing test could be made".to_owned(),
            CanaryState::Unusable => "the failing test could not be used".to_owned(),
        });
    }
    parts.join(" · ")
}

/// Which model, how often, and what it took.
fn model_calls(model: &ModelObservation) -> String {
    let failed = model.failed_calls();
    let refused = model.refused_calls();
    let mut parts = vec![
        format!("{}/{}", model.provider, model.model),
        format!("{} calls answered", model.completed),
    ];
    for (count, word) in [(failed, "failed"), (refused, "refused")] {
        if count > 0 {
            parts.push(format!("{count} {word}"));
        }
    }
    parts.push(format!(
        "{} tokens in, {} out",
        model.usage.input_tokens, model.usage.output_tokens
    ));
    match model.usage.calls_without_usage {
        0 => {}
        1 => parts.push("1 call stated no usage".to_owned()),
        count => parts.push(format!("{count} calls stated no usage")),
    }
    parts.join(" · ")
}

fn bounds(report: &Report) -> String {
    let Some(enforcement) = &report.enforcement else {
        return "none".to_owned();
    };
    let names = |state: BoundState| -> Vec<&str> {
        enforcement
            .bounds
            .iter()
            .filter(|b| b.state == state)
            .map(|b| b.name.as_str())
            .collect()
    };
    let mut text = format!(
        "{} enforced by {}",
        names(BoundState::Enforced).len(),
        enforcement.provider
    );
    for (state, word) in [(BoundState::Weaker, "weaker"), (BoundState::Absent, "absent")] {
        let list = names(state);
        if !list.is_empty() {
            text = format!("{text}, {word}: {}", list.join(", "));
        }
    }
    text
}
