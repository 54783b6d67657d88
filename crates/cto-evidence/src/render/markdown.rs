//! `report.md`: the verdict first, in words that need no knowledge of the harness.

use std::fmt::Write as _;

use cto_schema::{BoundState, Report, escape};

use super::{ReportView, mend, verdict_line, words};
use crate::timeline::duration_text;

/// How many items of a list are shown.
const SHOWN: usize = 200;
/// How many bytes of one text are shown.
const TEXT_BYTES: usize = 2_000;
/// How many bytes of one path or name are shown.
const NAME_BYTES: usize = 300;

/// Draws `report.md`: printable characters and newlines only, whatever the run contained.
pub fn markdown(view: &ReportView<'_>) -> String {
    let report = view.report;
    let mut page = Page::default();
    page.line(format_args!("# {}", verdict_line(report.status)));
    page.paragraph(&words::headline(report));
    if let Some(reason) = &report.failure_reason {
        page.paragraph(&format!("In short: {}.", code(reason)));
    }
    blockers(&mut page, report);
    what_ran(&mut page, view);
    what_changed(&mut page, view);
    checks(&mut page, report);
    bounds(&mut page, report);
    claims(&mut page, report);
    verify(&mut page, report);
    page.line(format_args!("## What this does not prove"));
    page.paragraph(words::LIMIT);
    page.finish()
}

/// Quotes a text of the run in a code span, where Markdown and HTML mean nothing.
pub(super) fn code(text: &str) -> String {
    code_within(text, NAME_BYTES)
}

fn code_within(text: &str, cap: usize) -> String {
    // Neither a backslash nor an entity can hide a backtick in a code span, so it is spelled.
    let shown = escape(text.as_bytes(), cap)
        .replace('`', "\\u{60}")
        .replace('|', "\\u{7c}");
    if shown.trim().is_empty() {
        "(empty)".to_owned()
    } else {
        format!("`{shown}`")
    }
}

/// A page that is being drawn.
#[derive(Default)]
pub(super) struct Page(String);

impl Page {
    pub(super) fn line(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        self.0.write_fmt(text).unwrap_or_default();
        self.0.push('\n');
    }

    pub(super) fn paragraph(&mut self, text: &str) {
        self.line(format_args!("\n{text}\n"));
    }

    /// Ends the page: one empty line between its parts, none at its end.
    pub(super) fn finish(self) -> String {
        let mut text = self.0;
        while text.contains("\n\n\n") {
            text = text.replace("\n\n\n", "\n\n");
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
        text
    }

    /// Quotes lines as an indented block.
    fn block(&mut self, text: &str) {
        self.line(format_args!(""));
        for line in text.split('\n') {
            self.line(format_args!("    {}", escape(line.as_bytes(), TEXT_BYTES)));
        }
        self.line(format_args!(""));
    }

    pub(super) fn list(&mut self, items: impl ExactSizeIterator<Item = String>, rest: &str) {
        let more = items.len().saturating_sub(SHOWN);
        for item in items.take(SHOWN) {
            self.line(format_args!("- {item}"));
        }
        if more > 0 {
            self.line(format_args!("- and {more} more in {rest}"));
        }
        self.line(format_args!(""));
    }
}

fn blockers(page: &mut Page, report: &Report) {
    if report.blockers.is_empty() {
        return;
    }
    page.line(format_args!("## Why not, and what to do next"));
    for (index, blocker) in report.blockers.iter().enumerate() {
        page.line(format_args!(
            "\n{}. `{}`, seen at `{}`:",
            index + 1,
            blocker.code.name(),
            blocker.event
        ));
        // Eight blanks: a code block inside a list item.
        let detail = escape(blocker.detail.as_bytes(), TEXT_BYTES);
        page.line(format_args!("\n        {detail}\n"));
        page.line(format_args!("   Next: {}", mend(blocker.code)));
    }
    page.line(format_args!(""));
}

fn what_ran(page: &mut Page, view: &ReportView<'_>) {
    let report = view.report;
    let or_none = |text: &Option<String>| text.as_ref().map_or_else(|| "none".to_owned(), |t| code(t));
    page.line(format_args!("## What ran\n"));
    if let Some(contract) = view.contract {
        page.line(format_args!("- Task: {}", code(&contract.title)));
    }
    page.line(format_args!(
        "- Run: {}, case {}",
        code(&report.run_id),
        code(&report.case_id)
    ));
    let exit = match (report.case_process_started, report.backend_exit_code) {
        (false, _) => "its process was not started".to_owned(),
        (true, Some(exit_code)) => format!("its process exited with code {exit_code}"),
        (true, None) => "its process ended without an exit code".to_owned(),
    };
    page.line(format_args!("- Engine: {}; {exit}", code(&report.backend)));
    let model = match (&report.case_model_provider, &report.case_model) {
        (Some(provider), Some(model)) => code(&format!("{provider}/{model}")),
        _ => "none".to_owned(),
    };
    page.line(format_args!("- Model: {model}"));
    if let Some(seen) = &report.model {
        page.line(format_args!("- Model calls: {}", words::model_line(seen)));
    }
    if !report.egress.is_empty() {
        let hosts: Vec<String> = report.egress.iter().map(|host| code(host)).collect();
        page.line(format_args!(
            "- May also reach: {}; each connection is an event",
            hosts.join(", ")
        ));
    }
    if !report.masked_paths.is_empty() {
        let paths: Vec<String> = report.masked_paths.iter().map(|path| code(path)).collect();
        page.line(format_args!("- Hidden from the engine: {}", paths.join(", ")));
    }
    let mode = report.mutation_mode.map_or("unknown", cto_schema::MutationMode::word);
    let stage = report
        .stage
        .map_or_else(|| "unknown".to_owned(), |stage| stage.to_string());
    page.line(format_args!(
        "- Where the change could land: stage {stage}, mode {mode}: {}",
        code(&report.allowed_mutation_scope)
    ));
    if let Some(commit) = words::commit_of(report) {
        page.line(format_args!("- Commit in the repository: {}", code(commit)));
    }
    page.line(format_args!(
        "- Approval: {}",
        words::approval_word(report.approval_status)
    ));
    page.line(format_args!("- Baseline commit: {}", or_none(&report.baseline_commit)));
    let digest = report.contract_digest.map(|digest| digest.to_string());
    page.line(format_args!("- Contract: {}", or_none(&digest)));
    page.line(format_args!(
        "- Started {}, finished {}",
        code(&report.run_started_at),
        code(&report.run_finished_at)
    ));
    if report.freshness.clock_step_ms != 0 {
        page.line(format_args!(
            "- The wall clock stepped by {} ms during the run; order rests on the boot-time clock",
            report.freshness.clock_step_ms
        ));
    }
    let ms = |ms: u64| duration_text(ms.saturating_mul(1_000_000)).replace('µ', "u");
    let usage = &report.usage;
    page.line(format_args!(
        "- Time: {} in all; engine {}, verification {}, harness {}",
        ms(usage.total_ms),
        ms(usage.engine_ms),
        ms(usage.verification_ms),
        ms(usage.harness_ms)
    ));
    page.line(format_args!("- Harness: {}\n", code(&report.harness_version)));
}

fn what_changed(page: &mut Page, view: &ReportView<'_>) {
    let report = view.report;
    page.line(format_args!("## What changed"));
    page.paragraph(&format!(
        "{} changed; all inside allowed paths: {}; none inside forbidden paths: {}. The exact change is patch.diff.",
        count(report.changed_files.len(), "file"),
        words::yes_no(report.allowed_writes_passed),
        words::yes_no(report.forbidden_paths_passed),
    ));
    let Some(write_set) = view.write_set else {
        return;
    };
    let scope = view.contract.and_then(|contract| cto_policy::Scope::of(contract).ok());
    let mark = |path: &cto_schema::PathText| match (&scope, path.bytes()) {
        (Some(scope), Some(bytes)) => {
            let verdict = scope.judge(&bytes);
            match (verdict.allowed, verdict.forbidden_by) {
                (_, Some(_)) => "FORBIDDEN",
                (true, None) => "allowed",
                (false, None) => "NOT ALLOWED",
            }
        }
        _ => "not judged",
    };
    let change = |change: &cto_schema::Change| {
        let kind = match change.kind {
            cto_schema::ChangeKind::Added => "added",
            cto_schema::ChangeKind::Modified => "modified",
            cto_schema::ChangeKind::Deleted => "deleted",
        };
        format!("{} {kind}: {}", mark(&change.path), code(&change.path.shown()))
    };
    page.list(write_set.changes.iter().map(change), "write-set.json");
    if !write_set.unsafe_entries.is_empty() {
        page.paragraph("Entries that must not come out of a sandbox:");
        let entry = |e: &cto_schema::UnsafeEntry| format!("{} ({})", code(&e.path.shown()), code(&e.reason));
        page.list(write_set.unsafe_entries.iter().map(entry), "write-set.json");
    }
    if !write_set.ignored.is_empty() {
        page.paragraph(&format!(
            "{} kept out of the patch by ignore rules or scratch_paths; write-set.json lists them.",
            count(write_set.ignored.len(), "path")
        ));
    }
}

fn count(number: usize, noun: &str) -> String {
    if number == 1 {
        format!("1 {noun}")
    } else {
        format!("{number} {noun}s")
    }
}

fn checks(page: &mut Page, report: &Report) {
    page.line(format_args!("## What was checked"));
    let room = report.clean_room.as_ref();
    let runs = room.map(|room| room.runs.as_slice()).unwrap_or_default();
    if runs.is_empty() {
        page.paragraph(words::nothing_ran(report));
        if let Some(why) = room.and_then(|room| room.not_run.as_ref()) {
            page.block(why);
        }
        return;
    }
    page.paragraph(
        "All output is in test.log. An exit code of 0 counts only beside a canary: a test that must fail, and did.",
    );
    for run in runs {
        let (name, meaning) = words::run_words(run.label);
        page.line(format_args!("- {name} ({meaning}): {}", words::run_result(run)));
        for command in run.commands.iter().take(SHOWN) {
            let end = match (command.timed_out, command.exit_code, command.signal) {
                (true, _, _) => "exceeded its time limit".to_owned(),
                (_, Some(exit_code), _) => format!("exited {exit_code}"),
                (_, None, Some(signal)) => format!("ended by signal {signal}"),
                (_, None, None) => "could not be started".to_owned(),
            };
            page.line(format_args!(
                "  - {} {end} after {} ms",
                code(&command.argv.join(" ")),
                command.duration_ms
            ));
        }
    }
    let Some(room) = room else { return };
    for canary in room.canaries.iter().take(SHOWN) {
        page.line(format_args!(
            "- Canary of command {}: {}: {}",
            canary.command.saturating_add(1),
            words::canary_words(canary),
            code(&canary.detail)
        ));
    }
    for fact in room.integrity.iter().take(SHOWN) {
        let allowed = if fact.allowed { "allowed" } else { "NOT ALLOWED" };
        page.line(format_args!(
            "- {allowed} {}: {} {}",
            code(&fact.kind),
            code(&fact.path),
            code(&fact.detail)
        ));
    }
    page.line(format_args!(""));
}

fn bounds(page: &mut Page, report: &Report) {
    page.line(format_args!("## Which bounds held"));
    let Some(enforcement) = &report.enforcement else {
        page.paragraph("No sandbox was made, because no engine was started.");
        return;
    };
    page.paragraph(&format!("Sandbox {}, kernel {}. \"Enforced\" means that the kernel kept it; \"weaker\" and \"absent\" mean what they say.", code(&enforcement.provider), code(&enforcement.kernel)));
    page.line(format_args!("| Bound | State | How |\n|---|---|---|"));
    for bound in enforcement.bounds.iter().take(SHOWN) {
        let state = words::bound_word(bound.state);
        let state = if bound.state == BoundState::Enforced {
            state.to_owned()
        } else {
            state.to_uppercase()
        };
        page.line(format_args!(
            "| {} | {state} | {} |",
            code(&bound.name),
            code(&bound.how)
        ));
    }
    page.line(format_args!(""));
}

fn claims(page: &mut Page, report: &Report) {
    page.line(format_args!("## What this report claims, and on what\n"));
    let claim = |claim: &cto_schema::Claim| {
        let (basis, meaning) = words::basis_words(claim.basis);
        let evidence: Vec<String> = claim.evidence.iter().take(10).map(|artifact| code(artifact)).collect();
        let shown = if evidence.is_empty() {
            String::new()
        } else {
            format!(" See {}.", evidence.join(", "))
        };
        format!(
            "{basis} ({meaning}): {}{shown}",
            code_within(&claim.statement, TEXT_BYTES)
        )
    };
    page.list(report.claims.iter().map(claim), "report.json");
    if !report.not_applicable.is_empty() {
        page.paragraph("What this run could not have:");
        let reason = |(name, why): (&String, &String)| format!("{}: {}", code(name), code(why));
        page.list(report.not_applicable.iter().map(reason), "report.json");
    }
}

fn verify(page: &mut Page, report: &Report) {
    page.line(format_args!("## How to check it yourself"));
    page.paragraph("Run these beside the bundle's directory. They need neither this harness nor its host.");
    for (purpose, script) in words::verify_scripts(&report.run_id) {
        page.paragraph(purpose);
        page.block(&script);
    }
}
