//! `cto stage validate`: a stage's accepted run and every failure that it must show, played, verified and judged.

use std::ffi::OsString;

use cto_evidence::{AllowedSigners, Home};
use cto_policy::{Rung, needs};
use cto_schema::{Blocker, MutationMode, RunId, Status};
use serde::Serialize;

use super::candidate::candidate;
use super::compare::{StageComparison, compare, read};
use super::play::play_need;
use super::{LadderError, current_admissions, one_rung};
use crate::cases::find;
use crate::matrix::ACCEPTED;
use crate::request::{Harness, RunRequest, Task};
use crate::run::{Watch, chain, run};
use crate::watch::{Stop, Unwatched};

/// One thing that was checked by running it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StageCheck {
    /// Its name.
    pub name: String,
    /// Whether it holds.
    pub ok: bool,
    /// Whether nothing was asked of the harness here: an operator's own run has to show it.
    pub left_to_operator: bool,
    /// What was seen.
    pub detail: String,
    /// The run that shows it.
    pub run_id: Option<String>,
}

/// Whose stage is validated.
#[derive(Clone, Copy, Debug)]
pub struct Who<'a> {
    /// The engine.
    pub engine: &'a str,
    /// The argv of the `command` engine.
    pub command: &'a [OsString],
}

/// What a stage's validator found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StageValidation {
    /// The stage.
    pub stage: u8,
    /// The engine.
    pub engine: String,
    /// Whether everything held.
    pub ok: bool,
    /// Everything that was checked, in order.
    pub checked: Vec<StageCheck>,
    /// What did not hold.
    pub errors: Vec<String>,
    /// `report.json` of the accepted run.
    pub pass_report_path: Option<String>,
    /// `report.json` of each failure.
    pub failure_report_paths: Vec<String>,
    /// The stage's own proofs.
    pub proof_paths: Vec<String>,
    /// The accepted run at stage 2 against `fake` on the same fixture, played now.
    pub fake_baseline: Option<StageComparison>,
    /// The accepted run at stage 3 against the one at stage 2.
    pub stage_below: Option<StageComparison>,
}

/// Validates a stage of an engine: first the stage below, then the gates, the accepted run and each failure.
pub fn validate_stage(
    harness: &Harness,
    who: Who<'_>,
    stage: u8,
    progress: &dyn Fn(&str),
) -> Result<StageValidation, LadderError> {
    let mut found = StageValidation {
        stage,
        engine: who.engine.to_owned(),
        ok: false,
        checked: vec![],
        errors: vec![],
        pass_report_path: None,
        failure_report_paths: vec![],
        proof_paths: vec![],
        fake_baseline: None,
        stage_below: None,
    };
    if stage > 1 {
        below(harness, who, stage - 1, progress, &mut found)?;
    }
    if found.errors.is_empty() {
        progress("gates");
        gates(harness, who, stage, &mut found);
        let proving = proving(harness, who.engine, stage);
        match proving {
            Ok(proving) if stage < 6 => fixtures(&proving, who, stage, progress, &mut found)?,
            Ok(_) => candidate(harness, who, progress, &mut found),
            Err(problem) => found.note("ground", Err(problem), None),
        }
    }
    found.ok = found.errors.is_empty();
    Ok(found)
}

impl StageValidation {
    pub(super) fn note(&mut self, name: &str, held: Result<String, String>, run_id: Option<&RunId>) {
        let ok = held.is_ok();
        let detail = held.unwrap_or_else(|problem| problem);
        if !ok {
            self.errors.push(format!("{name}: {detail}"));
        }
        self.checked.push(StageCheck {
            name: name.to_owned(),
            ok,
            left_to_operator: false,
            detail,
            run_id: run_id.map(ToString::to_string),
        });
    }

    /// Notes what no validator can show.
    fn leave_to_operator(&mut self, name: &str, detail: &str) {
        self.checked.push(StageCheck {
            name: name.to_owned(),
            ok: true,
            left_to_operator: true,
            detail: detail.to_owned(),
            run_id: None,
        });
    }
}

/// A stage stands on the one below: what is on record counts, and what is missing is put there.
fn below(
    harness: &Harness,
    who: Who<'_>,
    stage: u8,
    progress: &dyn Fn(&str),
    found: &mut StageValidation,
) -> Result<(), LadderError> {
    let on_record = match proving(harness, who.engine, stage) {
        Ok(proving) => rung_of(&proving, who, stage)?.validated(),
        Err(_) => false,
    };
    let name = format!("stage-{stage}");
    if on_record {
        found.note(&name, Ok("its bundles are on record and verify".to_owned()), None);
        return Ok(());
    }
    let validated = validate_stage(harness, who, stage, progress)?;
    let held = if validated.ok {
        Ok(format!("validated now, {} checks", validated.checked.len()))
    } else {
        Err(validated.errors.join("; "))
    };
    found.note(&name, held, None);
    Ok(())
}

/// The gates deny by default, whoever asks, and the default lane is the embedded engine.
fn gates(harness: &Harness, who: Who<'_>, stage: u8, found: &mut StageValidation) {
    let engine = who.engine;
    let default = harness.settings.default_lane.as_deref().unwrap_or("fake");
    let held = if default == "fake" {
        Ok("fake is the engine where none is named".to_owned())
    } else {
        Err(format!(
            "harness.yaml makes '{default}' the default lane; remove default_lane"
        ))
    };
    found.note("default-is-fake", held, None);
    let Ok((manifest, _)) = harness.engines.find(engine) else {
        found.note(
            "registered",
            Err(format!("no engine named '{engine}' is registered; see cto engines")),
            None,
        );
        return;
    };
    let manifest = manifest.manifest();
    let gated = manifest.gated || stage > manifest.ungated_up_to_stage;
    if !gated {
        found.note(
            "denied-by-default",
            Ok(format!("{engine} needs no gate at stage {stage}")),
            None,
        );
        return;
    }
    for (name, allow, gate) in [
        ("denied-by-default", None, Some(stage.to_string())),
        ("denied-without-its-stage", Some("1"), None),
        ("denied-at-another-stage", Some("1"), Some((stage % 6 + 1).to_string())),
    ] {
        let mut environment = harness.environment.clone();
        environment.remove(&manifest.allow_gate());
        environment.remove(&manifest.stage_gate());
        environment.extend(allow.map(|value| (manifest.allow_gate(), value.to_owned())));
        environment.extend(gate.map(|value| (manifest.stage_gate(), value)));
        let (held, run_id) = match denied(harness, environment, who, stage) {
            Ok((detail, run_id)) => (Ok(detail), Some(run_id)),
            Err(problem) => (Err(problem), None),
        };
        found.note(name, held, run_id.as_ref());
    }
}

fn denied(
    harness: &Harness,
    environment: std::collections::BTreeMap<String, String>,
    who: Who<'_>,
    stage: u8,
) -> Result<(String, RunId), String> {
    let own = beside(harness, environment)?;
    let case = find(ACCEPTED, &[]).map_err(|error| chain(&error))?;
    let mut request = RunRequest::of(Task::Case(Box::new(case)), who.engine.to_owned());
    request.command = who.command.to_vec();
    request.mode = Some(match stage {
        1 => MutationMode::None,
        4..=6 => MutationMode::SandboxRepo,
        _ => MutationMode::CopiedFixture,
    });
    let stop = Stop::new().map_err(|error| error.to_string())?;
    let watch = Watch {
        observer: &Unwatched,
        stop: &stop,
    };
    let outcome = run(&own, &request, watch).map_err(|error| chain(&error))?;
    let by_gate = outcome
        .blockers
        .iter()
        .any(|blocker| blocker.code == cto_schema::BlockerCode::GateMissing);
    if outcome.status == Status::Blocked && by_gate && !outcome.engine_started {
        Ok(("blocked, and no process started".to_owned(), outcome.run_id))
    } else {
        Err(format!("run {} was {}", outcome.run_id, outcome.status.word()))
    }
}

/// The same installation with the engine's gates set, and with the harness proving itself.
fn proving(harness: &Harness, engine: &str, stage: u8) -> Result<Harness, String> {
    let (found, _) = harness.engines.find(engine).map_err(|error| chain(&error))?;
    let manifest = found.manifest();
    let mut environment = harness.environment.clone();
    environment.insert(manifest.allow_gate(), "1".to_owned());
    environment.insert(manifest.stage_gate(), stage.to_string());
    let mut own = beside(harness, environment)?;
    own.validator = Some(AllowedSigners::default());
    Ok(own)
}

fn beside(harness: &Harness, environment: std::collections::BTreeMap<String, String>) -> Result<Harness, String> {
    let home = Home::open(harness.home.root()).map_err(|error| chain(&error))?;
    harness.beside(home, environment).map_err(|error| chain(&error))
}

fn rung_of(harness: &Harness, who: Who<'_>, stage: u8) -> Result<Rung, LadderError> {
    one_rung(
        harness,
        who.engine,
        stage,
        &current_admissions(harness, who.engine, who.command),
    )
}

fn fixtures(
    harness: &Harness,
    who: Who<'_>,
    stage: u8,
    progress: &dyn Fn(&str),
    found: &mut StageValidation,
) -> Result<(), LadderError> {
    let before = rung_of(harness, who, stage)?;
    for need in needs(stage) {
        if need.name == "pass" && stage == 5 {
            let detail = "an accepted run at stage 5 needs an operator: cto request, approve, run, outcome";
            found.leave_to_operator("pass", detail);
            continue;
        }
        progress(need.name);
        let played = play_need(harness, who, stage, need.name);
        let after = rung_of(harness, who, stage)?;
        let shown = after.evidence.get(need.name);
        // Old evidence does not stand in for what was played now.
        let new = shown.filter(|run_id| before.evidence.get(need.name) != Some(run_id));
        let (held, run_id) = match (played, new) {
            (Ok(run_id), Some(shown)) if *shown == run_id.to_string() => {
                let code = need.code.map_or_else(|| "pass".to_owned(), |code| code.name());
                (Ok(format!("{code}, and the bundle verifies")), Some(run_id))
            }
            (Ok(run_id), _) => (
                Err(format!("{}; see cto show {run_id}", ended_with(harness, &run_id))),
                Some(run_id),
            ),
            (Err(problem), _) => (Err(problem), None),
        };
        if let Some(run_id) = &run_id {
            paths(harness, run_id, need.code.is_none(), found);
        }
        let passed = held.is_ok() && need.name == "pass";
        found.note(need.name, held, run_id.as_ref());
        if let Some(run_id) = run_id.filter(|_| passed) {
            progress("comparison");
            comparisons(harness, who, stage, &run_id, found)?;
        }
    }
    Ok(())
}

/// Says how a run ended that does not show what it was played for.
fn ended_with(harness: &Harness, run_id: &RunId) -> String {
    match read(harness, run_id) {
        Ok((report, _)) if report.blockers.is_empty() => format!("run {run_id} passed"),
        Ok((report, _)) => {
            let told = |blocker: &Blocker| format!("{}: {}", blocker.code.name(), blocker.detail);
            let blockers: Vec<String> = report.blockers.iter().map(told).collect();
            format!("run {run_id} ended with {}", blockers.join("; "))
        }
        Err(problem) => format!("run {run_id}: {problem}"),
    }
}

/// Stage 2 is held against `fake` on the same fixture, stage 3 against the engine's own stage 2.
fn comparisons(
    harness: &Harness,
    who: Who<'_>,
    stage: u8,
    run_id: &RunId,
    found: &mut StageValidation,
) -> Result<(), LadderError> {
    let (name, what, baseline) = match stage {
        2 => {
            let fake = Who {
                engine: "fake",
                command: &[],
            };
            (
                "fake-baseline",
                "fake on the same fixture",
                play_need(harness, fake, 2, "pass"),
            )
        }
        3 => {
            let below = rung_of(harness, who, 2)?.evidence.get("pass").cloned();
            let below = below.and_then(|run| run.parse().ok());
            let below = below.ok_or_else(|| "no accepted run at stage 2 is on record".to_owned());
            ("stage-below", "the same engine at stage 2", below)
        }
        _ => return Ok(()),
    };
    let compared = baseline.and_then(|baseline| compare(harness, run_id, &baseline, what));
    let held = match &compared {
        Ok(compared) => {
            let wrong: Vec<String> = compared
                .fields
                .iter()
                .filter(|field| !field.holds)
                .map(|field| format!("{}: {}", field.field, field.detail))
                .collect();
            if wrong.is_empty() {
                Ok(format!("{} fields compared with {what}", compared.fields.len()))
            } else {
                Err(wrong.join("; "))
            }
        }
        Err(problem) => Err(problem.clone()),
    };
    found.note(name, held, None);
    match stage {
        2 => found.fake_baseline = compared.ok(),
        _ => found.stage_below = compared.ok(),
    }
    Ok(())
}

fn paths(harness: &Harness, run_id: &RunId, is_pass: bool, found: &mut StageValidation) {
    let bundle = harness.home.run(run_id);
    let report = bundle.join("report.json").display().to_string();
    if !is_pass {
        found.failure_report_paths.push(report);
        return;
    }
    found.pass_report_path = Some(report);
    let proofs = std::fs::read_dir(&bundle).into_iter().flatten().filter_map(Result::ok);
    let mut names: Vec<_> = proofs
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.retain(|name| name.starts_with("stage") && name.ends_with(".json"));
    names.sort();
    found
        .proof_paths
        .extend(names.iter().map(|name| bundle.join(name).display().to_string()));
}
