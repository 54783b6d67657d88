//! Health: everything that can be proven without a human, proven by running it.

use cto_evidence::{Ledger, LedgerError, is_live, unfinished_applies};
use cto_policy::CANDIDATE;
use cto_schema::check_summary;
use serde::Serialize;

use crate::comparison::newest_refresh;
use crate::control::summarise;
use crate::ladder::{Who, validate_stage};
use crate::matrix::{ROWS, play};
use crate::request::Harness;
use crate::run::chain;
use crate::validate::validate_engine;
use crate::watch::Stop;

/// How a part of the system is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthState {
    /// It was proven.
    Pass,
    /// It fell short.
    Fail,
    /// This version cannot prove it; why is in its detail.
    NotProven,
}

/// One part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HealthLine {
    /// Its name.
    pub part: String,
    /// How it is.
    pub state: HealthState,
    /// What was seen.
    pub detail: String,
    /// The command that shows it again.
    pub replay: String,
}

/// The whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Health {
    /// `pass` when nothing fell short.
    pub status: HealthState,
    /// When it was looked at, RFC 3339 UTC.
    pub checked_at: String,
    /// Version of the harness.
    pub harness_version: String,
    /// Every part, in order.
    pub lines: Vec<HealthLine>,
}

/// Looks at everything; `progress` is told what comes next.
pub fn health(harness: &Harness, stop: &Stop, progress: &dyn Fn(&str, &str)) -> Health {
    let mut lines = vec![];
    store(harness, &mut lines);
    matrix(harness, stop, progress, &mut lines);
    for stage in 1..=6 {
        if stop.asked() {
            break;
        }
        stage_line(harness, stage, progress, &mut lines);
    }
    refresh_line(harness, &mut lines);
    engines(harness, stop, progress, &mut lines);
    lines.push(line("control_summary", control_summary(harness), "cto summary"));
    if stop.asked() {
        lines.push(line(
            "complete",
            Err("stopped before everything was looked at".to_owned()),
            "cto health",
        ));
    }
    let failed = lines.iter().any(|line| line.state == HealthState::Fail);
    Health {
        status: if failed { HealthState::Fail } else { HealthState::Pass },
        checked_at: cto_evidence::rfc3339(cto_evidence::wall_now()),
        harness_version: env!("CARGO_PKG_VERSION").to_owned(),
        lines,
    }
}

fn line(part: &str, held: Result<String, String>, replay: &str) -> HealthLine {
    let (state, detail) = match held {
        Ok(detail) => (HealthState::Pass, detail),
        Err(detail) => (HealthState::Fail, detail),
    };
    HealthLine {
        part: part.to_owned(),
        state,
        detail,
        replay: replay.to_owned(),
    }
}

fn not_proven(part: &str, why: &str, lines: &mut Vec<HealthLine>) {
    lines.push(HealthLine {
        part: part.to_owned(),
        state: HealthState::NotProven,
        detail: why.to_owned(),
        replay: String::new(),
    });
}

/// The control summary, computed now and read back as a stranger would.
fn control_summary(harness: &Harness) -> Result<String, String> {
    let summary = summarise(harness, CANDIDATE, 1).map_err(|error| chain(&error))?;
    let bytes = serde_json::to_vec_pretty(&summary).map_err(|error| error.to_string())?;
    match check_summary(&bytes) {
        Ok(_) => Ok(format!("{} bytes, every rule between its fields holds", bytes.len())),
        Err(problems) => Err(problems.join("; ")),
    }
}

/// The ledger's chain, and what dead processes left.
fn store(harness: &Harness, lines: &mut Vec<HealthLine>) {
    let checked = Ledger::open(&harness.home).and_then(|ledger| ledger.check());
    let held = checked
        .map(|count| format!("{count} entries in one chain"))
        .map_err(|error: LedgerError| chain(&error));
    lines.push(line("ledger", held, "cto verify --all"));
    let left = unfinished_applies(&harness.home);
    let held = match left {
        Ok(left) if left.is_empty() => Ok("no change of a repository is unfinished".to_owned()),
        Ok(left) => Err(format!("{} changes of repositories are unfinished", left.len())),
        Err(error) => Err(chain(&error)),
    };
    lines.push(line("applies", held, "cto recover"));
}

/// Every row of the failure matrix.
fn matrix(harness: &Harness, stop: &Stop, progress: &dyn Fn(&str, &str), lines: &mut Vec<HealthLine>) {
    let mut wrong = Vec::new();
    let mut played = 0;
    for row in ROWS.iter().take_while(|_| !stop.asked()) {
        progress("failure matrix", row.name);
        played += 1;
        let result = play(harness, row);
        let left_live = result
            .run_id
            .as_ref()
            .is_some_and(|run_id| is_live(&harness.home, run_id).unwrap_or(true));
        if !result.problems.is_empty() || left_live {
            wrong.push(format!("{}: {}", row.name, result.problems.join("; ")));
        }
    }
    let held = if wrong.is_empty() {
        Ok(format!("{played} rows hold, each with its own blocker alone"))
    } else {
        Err(wrong.join(" · "))
    };
    lines.push(line("failure_matrix", held, "cto fixtures run --all"));
}

/// The newest refresh of accepted runs, checked again with everything that it rests on. None can be made without an
/// operator, so one that is missing is not proven, and no failure.
fn refresh_line(harness: &Harness, lines: &mut Vec<HealthLine>) {
    let part = "case_stage6_real_governed_refresh";
    match newest_refresh(harness) {
        None => not_proven(
            part,
            "no refresh is on record: it needs an operator's two accepted runs",
            lines,
        ),
        Some(Err(problem)) => lines.push(line(part, Err(problem), "cto verify --all")),
        Some(Ok(found)) => {
            let document = &found.document;
            let told = format!(
                "{}: {}, {} of {} accepted runs count",
                document.candidate,
                document.repeatability_status.word(),
                document.repeatability_count,
                document.repeatability_required
            );
            let replay = format!("cto verify {}", found.id);
            let held = match (found.problem(), document.repeatability_passed) {
                (Some(problem), _) => Err(format!("refresh {} does not verify: {problem}", found.id)),
                (None, true) => Ok(told),
                (None, false) => Err(told),
            };
            lines.push(line(part, held, &replay));
        }
    }
}

/// One stage of the embedded engine.
fn stage_line(harness: &Harness, stage: u8, progress: &dyn Fn(&str, &str), lines: &mut Vec<HealthLine>) {
    let who = Who {
        engine: "fake",
        command: &[],
    };
    let part = format!("stage{stage}");
    let found = validate_stage(harness, who, stage, &|name| progress(&part, name));
    let held = match found {
        Ok(found) if found.ok => Ok(format!("{} checks hold", found.checked.len())),
        Ok(found) => Err(found.errors.join(" · ")),
        Err(error) => Err(chain(&error)),
    };
    lines.push(line(&part, held, &format!("cto stage validate {stage} --engine fake")));
}

/// The adapter of each embedded engine, against a stub that plays its stream.
fn engines(harness: &Harness, stop: &Stop, progress: &dyn Fn(&str, &str), lines: &mut Vec<HealthLine>) {
    let names: Vec<String> = harness
        .engines
        .all()
        .map(|engine| engine.manifest().name.clone())
        .collect();
    for name in names.iter().take_while(|_| !stop.asked()) {
        let part = if name == "case" {
            "case_provider_adapter".to_owned()
        } else {
            format!("engine_{name}")
        };
        let found = validate_engine(harness, name, stop, &mut |check| progress(&part, check));
        let held = match found {
            Ok(found) if found.holds() => Ok(format!("{} checks hold", found.checks.len())),
            Ok(found) => {
                let wrong = found.checks.iter().filter(|check| !check.problems.is_empty());
                let told: Vec<String> = wrong
                    .map(|check| format!("{}: {}", check.name, check.problems.join("; ")))
                    .collect();
                Err(told.join(" · "))
            }
            Err(error) => Err(chain(&error)),
        };
        lines.push(line(&part, held, &format!("cto engine validate {name}")));
    }
}
