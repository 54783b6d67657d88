//! The rows of the page's tables: each a mark, that is symbol, word and colour, and its cells.

use cto_schema::{BoundState, ChangeKind, PathText, escape};

use super::{ReportView, words};
use crate::timeline::duration_text;

/// How many items of a list are shown.
pub(super) const SHOWN: usize = 500;
/// How many bytes of one text are shown.
const TEXT_BYTES: usize = 4_000;

/// A symbol and a word that mean the same as a colour.
pub(super) struct Mark {
    pub(super) class: &'static str,
    pub(super) symbol: &'static str,
    pub(super) word: String,
}

impl Mark {
    pub(super) fn new(class: &'static str, word: impl Into<String>) -> Self {
        let symbol = match class {
            "good" => "✓",
            "bad" => "✗",
            "warn" => "▲",
            _ => "–",
        };
        Self {
            class,
            symbol,
            word: word.into(),
        }
    }
}

/// One row of a table.
pub(super) struct Row {
    pub(super) mark: Mark,
    pub(super) cells: Vec<String>,
}

/// Escapes a text of the run for the page; the template escapes it for HTML.
pub(super) fn text(untrusted: &str) -> String {
    escape(untrusted.as_bytes(), TEXT_BYTES)
}

pub(super) fn facts(view: &ReportView<'_>) -> Vec<(&'static str, String)> {
    let report = view.report;
    let or_none = |value: Option<String>| value.unwrap_or_else(|| "none".to_owned());
    let exit = match (report.case_process_started, report.backend_exit_code) {
        (false, _) => "not started".to_owned(),
        (true, Some(code)) => format!("exited with code {code}"),
        (true, None) => "ended without an exit code".to_owned(),
    };
    let mode = report.mutation_mode.map_or("unknown", cto_schema::MutationMode::word);
    let stage = report
        .stage
        .map_or_else(|| "unknown".to_owned(), |stage| stage.to_string());
    let model = report.case_model_provider.as_ref().zip(report.case_model.as_ref());
    let ms = |ms: u64| duration_text(ms.saturating_mul(1_000_000));
    let usage = &report.usage;
    let mut facts = vec![
        ("Case", text(&report.case_id)),
        ("Engine", format!("{}, {exit}", text(&report.backend))),
        (
            "Model",
            or_none(model.map(|(provider, model)| text(&format!("{provider}/{model}")))),
        ),
        (
            "Stage",
            format!("{stage}, mode {mode}: {}", text(&report.allowed_mutation_scope)),
        ),
        ("Approval", words::approval_word(report.approval_status).to_owned()),
        ("Baseline commit", or_none(report.baseline_commit.as_deref().map(text))),
        (
            "Contract",
            or_none(report.contract_digest.map(|digest| digest.to_string())),
        ),
        ("Started", text(&report.run_started_at)),
        ("Finished", text(&report.run_finished_at)),
        (
            "Time",
            format!(
                "{} in all; engine {}, verification {}, harness {}",
                ms(usage.total_ms),
                ms(usage.engine_ms),
                ms(usage.verification_ms),
                ms(usage.harness_ms)
            ),
        ),
        ("Harness", text(&report.harness_version)),
    ];
    if let Some(model) = &report.model {
        facts.push(("Model calls", words::model_line(model)));
    }
    if let Some(commit) = words::commit_of(report) {
        facts.push(("Commit in the target", text(commit)));
    }
    if !report.egress.is_empty() {
        let hosts: Vec<String> = report.egress.iter().map(|host| text(host)).collect();
        facts.push(("May also reach", hosts.join(", ")));
    }
    if !report.masked_paths.is_empty() {
        let paths: Vec<String> = report.masked_paths.iter().map(|path| text(path)).collect();
        facts.push(("Hidden from the engine", paths.join(", ")));
    }
    if report.freshness.clock_step_ms != 0 {
        facts.push((
            "Wall clock",
            format!("stepped by {} ms during the run", report.freshness.clock_step_ms),
        ));
    }
    facts
}

pub(super) fn change_line(view: &ReportView<'_>) -> String {
    let report = view.report;
    format!(
        "Changed files: {}. All inside allowed paths: {}. None inside forbidden paths: {}.",
        report.changed_files.len(),
        words::yes_no(report.allowed_writes_passed),
        words::yes_no(report.forbidden_paths_passed),
    )
}

pub(super) fn changes(view: &ReportView<'_>) -> Vec<Row> {
    let Some(write_set) = view.write_set else {
        return Vec::new();
    };
    let scope = view.contract.and_then(|contract| cto_policy::Scope::of(contract).ok());
    let mark = |path: &PathText| match (&scope, path.bytes()) {
        (Some(scope), Some(bytes)) => {
            let verdict = scope.judge(&bytes);
            match (verdict.allowed, verdict.forbidden_by) {
                (_, Some(_)) => Mark::new("bad", "forbidden"),
                (true, None) => Mark::new("good", "allowed"),
                (false, None) => Mark::new("bad", "not allowed"),
            }
        }
        _ => Mark::new("none", "not judged"),
    };
    let row = |change: &cto_schema::Change| {
        let kind = match change.kind {
            ChangeKind::Added => "added",
            ChangeKind::Modified => "modified",
            ChangeKind::Deleted => "deleted",
        };
        let size = change
            .after
            .as_ref()
            .map_or_else(|| "–".to_owned(), |after| after.size_bytes.to_string());
        Row {
            mark: mark(&change.path),
            cells: vec![kind.to_owned(), change.path.shown(), size],
        }
    };
    write_set.changes.iter().take(SHOWN).map(row).collect()
}

pub(super) fn unsafe_entries(view: &ReportView<'_>) -> Vec<Row> {
    let entries = view
        .write_set
        .map(|set| set.unsafe_entries.as_slice())
        .unwrap_or_default();
    let row = |entry: &cto_schema::UnsafeEntry| Row {
        mark: Mark::new("bad", "unsafe"),
        cells: vec![text(&entry.reason), entry.path.shown()],
    };
    entries.iter().take(SHOWN).map(row).collect()
}

pub(super) fn checks(view: &ReportView<'_>) -> Vec<Row> {
    use cto_schema::{CanaryState, RunLabel};
    let Some(room) = &view.report.clean_room else {
        return Vec::new();
    };
    let mut rows = Vec::new();
    for run in &room.runs {
        let (name, meaning) = words::run_words(run.label);
        // Only two runs must pass; of the others any result is a fact.
        let class = match (run.label, run.passed()) {
            (RunLabel::Patched | RunLabel::RestoredInputs, true) => "good",
            (RunLabel::Patched | RunLabel::RestoredInputs, false) => "bad",
            (RunLabel::Baseline | RunLabel::Canary | RunLabel::EngineTree, _) => "none",
        };
        let mark = Mark::new(class, if run.passed() { "exited 0" } else { "did not exit 0" });
        let commands: Vec<String> = run.commands.iter().take(SHOWN).map(|c| c.argv.join(" ")).collect();
        let what = format!("{meaning}: {}", words::run_result(run));
        rows.push(Row {
            mark,
            cells: vec![name.to_owned(), what, text(&commands.join(" ; "))],
        });
    }
    for canary in room.canaries.iter().take(SHOWN) {
        let mark = match canary.state {
            CanaryState::FailedAsItMust => Mark::new("good", "failed as it must"),
            CanaryState::Passed | CanaryState::Unusable => Mark::new("bad", "no evidence"),
            CanaryState::NotGenerated => Mark::new("none", "not made"),
        };
        let name = format!("Canary of command {}", canary.command.saturating_add(1));
        rows.push(Row {
            mark,
            cells: vec![name, words::canary_words(canary).to_owned(), text(&canary.detail)],
        });
    }
    for fact in room.integrity.iter().take(SHOWN) {
        let mark = if fact.allowed {
            Mark::new("good", "allowed")
        } else {
            Mark::new("bad", "not allowed")
        };
        rows.push(Row {
            mark,
            cells: vec![text(&fact.kind), text(&fact.path), text(&fact.detail)],
        });
    }
    rows
}

pub(super) fn bounds(view: &ReportView<'_>) -> Vec<Row> {
    let bounds = view
        .report
        .enforcement
        .as_ref()
        .map(|e| e.bounds.as_slice())
        .unwrap_or_default();
    let row = |bound: &cto_schema::Bound| {
        let class = match bound.state {
            BoundState::Enforced => "good",
            BoundState::Weaker => "warn",
            BoundState::Absent => "bad",
        };
        let mark = Mark::new(class, words::bound_word(bound.state));
        Row {
            mark,
            cells: vec![text(&bound.name), text(&bound.how), text(&bound.read_back)],
        }
    };
    bounds.iter().take(SHOWN).map(row).collect()
}

pub(super) fn claims(view: &ReportView<'_>) -> Vec<Row> {
    use cto_schema::ClaimBasis;
    let row = |claim: &cto_schema::Claim| {
        let class = match claim.basis {
            ClaimBasis::Verified => "good",
            ClaimBasis::SelfReported | ClaimBasis::Inferred => "warn",
            ClaimBasis::Absent => "none",
        };
        let (word, meaning) = words::basis_words(claim.basis);
        let mark = Mark::new(class, format!("{word}: {meaning}"));
        Row {
            mark,
            cells: vec![text(&claim.statement), text(&claim.evidence.join(", "))],
        }
    };
    view.report.claims.iter().take(SHOWN).map(row).collect()
}
