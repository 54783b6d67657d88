//! `cto summary`: the control summary, for people, as a document, or checked.

use std::io::Read as _;
use std::path::Path;

use cto_runner::summarise;
use cto_schema::{ControlSummary, ExitClass, ProofState, SUMMARY_MAX_BYTES, check_summary};
use serde_json::json;

use crate::cli::Global;
use crate::cli_panel::SummaryArgs;
use crate::error::CommandError;
use crate::installation;
use crate::output::{Exit, Output};

pub(super) fn summary(global: &Global, args: &SummaryArgs, output: &Output) -> Result<Exit, CommandError> {
    if let Some(file) = &args.check {
        return check(file, output);
    }
    let harness = installation::open_without_git(global)?;
    harness
        .engines
        .find(&args.candidate)
        .map_err(|error| CommandError::usage(crate::error::chain(&error)).hint("cto engines lists the engines"))?;
    let summary = summarise(&harness, &args.candidate, 1).map_err(|error| {
        CommandError::failed(&error).hint("there is no summary of what cannot be read; see: cto verify --all")
    })?;
    if output.json() {
        output.document(&summary);
    } else {
        output.print(&text(&summary, output));
    }
    Ok(Exit(ExitClass::Pass))
}

fn check(file: &Path, output: &Output) -> Result<Exit, CommandError> {
    let shown = cto_schema::escape(file.as_os_str().as_encoded_bytes(), 400);
    let unread = |error: std::io::Error| CommandError::refused(format!("failed to read {shown}: {error}"));
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(file).map_err(unread)?;
    // One byte more than is allowed is enough to refuse it.
    let limit = u64::try_from(SUMMARY_MAX_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    opened.take(limit).read_to_end(&mut bytes).map_err(unread)?;
    let problems = check_summary(&bytes).err().unwrap_or_default();
    let problems: Vec<String> = problems
        .iter()
        .map(|problem| cto_schema::escape(problem.as_bytes(), 400))
        .collect();
    if output.json() {
        output.document(&json!({ "file": shown, "holds": problems.is_empty(), "problems": problems }));
    } else if problems.is_empty() {
        output.print(&format!(
            "{} {shown}: a control summary that holds\n",
            output.paint("32", "✔")
        ));
    } else {
        let lines = problems
            .iter()
            .map(|problem| format!("{} {problem}\n", output.paint("31", "✘")));
        output.print(&lines.collect::<String>());
    }
    Ok(Exit(if problems.is_empty() {
        ExitClass::Pass
    } else {
        ExitClass::Unverified
    }))
}

/// Draws the summary for a terminal; its texts are inert already.
pub(super) fn text(summary: &ControlSummary, output: &Output) -> String {
    let mut lines = vec![head(summary, output)];
    lines.push("  ladder                1 2 3 4 5 6".to_owned());
    for ladder in &summary.proof_ladder {
        let marks: Vec<&str> = ladder
            .stages
            .iter()
            .map(|stage| match stage.status {
                ProofState::Passed => "✔",
                ProofState::Partial => "◐",
                ProofState::NotReached => "·",
            })
            .collect();
        lines.push(format!(
            "            {:<11} {}",
            ladder.engine.as_str(),
            marks.join(" ")
        ));
    }
    lines.push(String::new());
    lines.push(format!(
        "  candidate {}: {}",
        summary.candidate_default_engine, summary.candidate_default_reason
    ));
    lines.push(format!(
        "            repeatability {}: {}",
        summary.repeatability_status, summary.repeatability_reason
    ));
    lines.push(format!(
        "            runtime default activation {}, core promotion {}",
        summary.runtime_default_activation, summary.core_promotion_status
    ));
    let store = &summary.evidence;
    let chain = if store.ledger_chain_holds {
        "its chain holds".to_owned()
    } else {
        store.ledger_detail.to_string()
    };
    lines.push(format!(
        "  evidence  {} runs on record, {chain}; {} bundles verified for this, {} do not verify; {} live, {} dead",
        store.runs_on_record, store.bundles_verified, store.bundles_unverifiable, store.runs_live, store.runs_dead
    ));
    for one in &summary.attention {
        let run = one.run_id.as_ref().map(|run| format!("{run}: ")).unwrap_or_default();
        lines.push(format!(
            "  {} {}  {run}{}",
            output.paint("33", "▲"),
            one.kind,
            one.detail
        ));
    }
    lines.join("\n") + "\n"
}

/// Draws what comes first: whether a governed run may start, and what is best done next.
pub(super) fn head(summary: &ControlSummary, output: &Output) -> String {
    let next = &summary.next_recommended_operator_action;
    let mut lines = vec![
        posture(summary, output),
        format!("  next      {}: {}", next.label, next.why),
    ];
    if let Some(command) = &next.command_text {
        lines.push(format!("            {}", output.paint("1", command.as_str())));
    }
    lines.join("\n") + "\n\n"
}

fn posture(summary: &ControlSummary, output: &Output) -> String {
    let (mark, color, words) = if summary.execution_allowed {
        ("✔", "32", "one governed run may be started")
    } else {
        ("■", "33", "no governed run may be started")
    };
    format!("{} {words}: {}", output.paint(color, mark), summary.reason)
}
