//! Validating an engine's adapter: the whole of a run, with a stub in place of the engine's program.
//!
//! Nothing is proved by reading a manifest. A stub is started as the engine would be, says what it was given, and plays
//! the engine's own stream, whole and broken; gates, records and model are changed one at a time.

mod seen;
mod stub;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use cto_gateway::Dialect;
use cto_gateway::scripted::{Fault, FaultPlan, When};
use cto_schema::{BlockerCode, Report, Status};

use crate::cases::{LoadedCase, find};
use crate::engine::{Engine, EngineError};
use crate::ground::{Ground, Layout, PROGRAM};
use crate::matrix::{ACCEPTED, verification_problems};
use crate::model::may_use_a_model;
use crate::request::{Harness, RunRequest, Task};
use crate::run::{Watch, chain, run};
use crate::watch::{Stop, Unwatched};
use stub::{Asked, Play, Stub};

/// The engine's time limit where a check is about time.
const BRIEF_SECONDS: u32 = 2;
/// The stage at which a stub runs.
const STAGE: u8 = 2;

/// The model of a local server that operators use.
const QWEN: &str = "qwen3.6-35b-a3b";

/// What came of validating an engine.
#[derive(Clone, Debug)]
pub struct Validation {
    /// The engine.
    pub engine: String,
    /// Each check, in order.
    pub checks: Vec<EngineCheck>,
}

impl Validation {
    /// Returns whether every check holds.
    pub fn holds(&self) -> bool {
        self.checks.iter().all(|check| check.problems.is_empty())
    }
}

/// One check of an engine.
#[derive(Clone, Debug)]
pub struct EngineCheck {
    /// Its stable name.
    pub name: String,
    /// What was seen.
    pub detail: String,
    /// What is wrong; empty when it holds.
    pub problems: Vec<String>,
    /// The run that shows it.
    pub run_id: Option<String>,
}

/// Validates an engine by running its adapter; `progress` hears the name of each check before it begins.
pub fn validate_engine(
    harness: &Harness,
    name: &str,
    stop: &Stop,
    progress: &mut dyn FnMut(&str),
) -> Result<Validation, EngineError> {
    let (engine, _) = harness.engines.find(name)?;
    let mut proof = Proof {
        harness,
        engine,
        stop,
        progress,
        checks: vec![],
    };
    if proof.is_embedded() {
        proof.fake();
    } else {
        proof.gates();
        proof.accepted();
        proof.streams();
        proof.models();
        proof.lifecycle();
    }
    Ok(Validation {
        engine: proof.name(),
        checks: proof.checks,
    })
}

/// One thing that is different on the ground.
type Change = fn(&mut Layout<'_>);

/// A run that was made for a check.
struct Ran {
    report: Report,
    bundle: PathBuf,
    asked: Option<Asked>,
}

/// What a run must come to.
#[derive(Clone, Copy)]
enum Comes {
    /// It passes.
    ToPass,
    /// It is refused for this reason alone, and no engine starts.
    ToRefusal(BlockerCode),
    /// It starts, and ends with this blocker alone.
    To(BlockerCode, Status),
}

struct Proof<'a> {
    harness: &'a Harness,
    engine: Arc<dyn Engine>,
    stop: &'a Stop,
    progress: &'a mut dyn FnMut(&str),
    checks: Vec<EngineCheck>,
}

impl Proof<'_> {
    fn name(&self) -> String {
        self.engine.manifest().name.clone()
    }

    /// True for the engine that has no program at all.
    fn is_embedded(&self) -> bool {
        self.engine.document().is_none() && !self.engine.manifest().model_optional
    }

    fn has_model(&self) -> bool {
        may_use_a_model(self.engine.manifest())
    }

    /// The doors: without the gates nothing starts.
    fn gates(&mut self) {
        if !self.engine.manifest().gated {
            return;
        }
        let refused = Comes::ToRefusal(BlockerCode::GateMissing);
        let mut closed = |layout: &mut Layout<'_>| layout.allowed = false;
        self.check("denied_by_default", Play::Complete, &mut closed, refused);
        let mut elsewhere = |layout: &mut Layout<'_>| layout.stage = STAGE + 1;
        self.check("stage_gate_blocks", Play::Complete, &mut elsewhere, refused);
    }

    /// One run that passes, and what its engine was given.
    fn accepted(&mut self) {
        let Some(ran) = self.check("accepted_run", Play::Complete, &mut |_| {}, Comes::ToPass) else {
            return;
        };
        let run_id = ran.report.run_id.clone();
        for (name, seen) in seen::checks(self.engine.as_ref(), &ran.report, &ran.bundle, ran.asked.as_ref()) {
            let (detail, problems) = match seen {
                Ok(detail) => (detail, vec![]),
                Err(problem) => (String::new(), vec![problem]),
            };
            self.checks.push(EngineCheck {
                name: name.to_owned(),
                detail,
                problems,
                run_id: Some(run_id.clone()),
            });
        }
    }

    /// What its stream and its end may mean.
    fn streams(&mut self) {
        let unchanged = &mut |_: &mut Layout<'_>| {};
        if self.engine.manifest().final_event.is_some() {
            let comes = Comes::To(BlockerCode::MissingRequiredEvent, Status::Fail);
            self.check("stream_without_its_end_fails", Play::WithoutEnd, unchanged, comes);
        }
        let comes = Comes::To(BlockerCode::EngineFailed, Status::Fail);
        self.check("failed_exit_fails", Play::ExitsWithThree, unchanged, comes);
        let comes = Comes::To(BlockerCode::Timeout, Status::Blocked);
        self.check("provider_timeout_fail_closed", Play::Hangs, unchanged, comes);
        let engine = Arc::clone(&self.engine);
        let mut known = BTreeSet::new();
        for failure in engine.document().iter().flat_map(|document| &document.failures) {
            if !known.insert(failure.blocker.name()) {
                continue;
            }
            let status = failure.blocker.status(cto_schema::StatusContext {
                engine_started: true,
                patch_exists: false,
            });
            let name = format!("known_failure_{}", failure.blocker.name());
            let play = Play::Says(failure.text.clone());
            if let Some(ran) = self.check(&name, play, unchanged, Comes::To(failure.blocker, status)) {
                self.expect(ran.bundle.join("backend").join(&failure.marker).exists(), || {
                    format!("the marker backend/{} is missing", failure.marker)
                });
            }
        }
    }

    /// What must hold of the model before anything starts, and what must not stand in the way.
    fn models(&mut self) {
        if !self.has_model() {
            return;
        }
        let refusals: [(&str, BlockerCode, Change); 4] = [
            ("model_provider_gate_blocks", BlockerCode::ModelNotAdmitted, |layout| {
                layout.requested = "another-model";
            }),
            (
                "local_config_gate_blocks",
                BlockerCode::ProviderLocalConfigUnavailable,
                |layout| layout.endpoint = false,
            ),
            ("build_gate_blocks", BlockerCode::BuildMismatch, |layout| {
                layout.other_binary = Some(cto_schema::Sha256Digest::of(b"another binary"));
            }),
            ("reasoning_only_blocks", BlockerCode::ProviderResponseShape, |layout| {
                layout.options.fault = at_preflight(Fault::ReasoningOnly);
            }),
        ];
        for (name, code, mut change) in refusals {
            self.check(name, Play::Complete, &mut change, Comes::ToRefusal(code));
        }
        let name = format!("local_provider_delayed_content_allows_{}", self.name());
        let mut slow = |layout: &mut Layout<'_>| {
            layout.options.fault = at_preflight(Fault::Slow);
            layout.options.drip_pause = std::time::Duration::from_millis(2);
        };
        self.check(&name, Play::Complete, &mut slow, Comes::ToPass);
        self.qwen();
    }

    /// A local server that speaks as `OpenAI` does keeps its own name in everything that is reported.
    fn qwen(&mut self) {
        let wire = self.engine.manifest().wire.clone();
        let compatible = |wire: &crate::engine::Wire| wire.dialects.contains(&Dialect::ChatCompletions);
        if !wire.as_ref().is_some_and(compatible) {
            return;
        }
        let name = format!("qwen_local_openai_compat_allows_{}", self.name());
        let mut qwen = |layout: &mut Layout<'_>| {
            layout.provider = "qwen-local";
            (layout.model, layout.requested) = (QWEN, QWEN);
            layout.options.also_lists = vec![QWEN.to_owned()];
        };
        let Some(ran) = self.check(&name, Play::Complete, &mut qwen, Comes::ToPass) else {
            return;
        };
        let report = &ran.report;
        let reported = (report.case_model_provider.as_deref(), report.case_model.as_deref());
        self.expect(reported == (Some("qwen-local"), Some(QWEN)), || {
            format!("the report names {reported:?}")
        });
        let inside = wire.and_then(|wire| wire.runtime_provider);
        self.expect(inside.is_none() || report.case_runtime_model_provider == inside, || {
            format!("inside it is {:?} in the report", report.case_runtime_model_provider)
        });
    }

    /// One that stays after its work is ended and judged, where its manifest says that it may stay.
    fn lifecycle(&mut self) {
        if self.engine.manifest().lifecycle_idle_seconds.is_none() {
            return;
        }
        let name = "lifecycle_supervision_accepts_committed_diff";
        if let Some(ran) = self.check(name, Play::CommitsAndStays, &mut |_| {}, Comes::ToPass) {
            let marker = "backend/provider-lifecycle-harness-completed.txt";
            self.expect(ran.bundle.join(marker).exists(), || {
                format!("the harness did not end it: {marker} is missing")
            });
        }
    }

    /// The engine that is a stub itself.
    fn fake(&mut self) {
        for (name, play, comes) in [
            ("accepted_run", "", Comes::ToPass),
            (
                "no_diff_fails",
                ":no-diff",
                Comes::To(BlockerCode::NoDiff, Status::Fail),
            ),
            (
                "stream_without_its_end_fails",
                ":missing-event",
                Comes::To(BlockerCode::MissingRequiredEvent, Status::Fail),
            ),
            (
                "failed_exit_fails",
                ":engine-failed",
                Comes::To(BlockerCode::EngineFailed, Status::Fail),
            ),
            (
                "provider_timeout_fail_closed",
                ":timeout",
                Comes::To(BlockerCode::Timeout, Status::Blocked),
            ),
        ] {
            (self.progress)(name);
            let brief = play == ":timeout";
            let ran = self.run(self.harness, format!("fake{play}"), brief);
            self.judge(name, ran, comes);
        }
    }

    /// Runs a stub on ground with one change, and judges the run.
    fn check(&mut self, name: &str, play: Play, change: &mut dyn FnMut(&mut Layout<'_>), comes: Comes) -> Option<Ran> {
        (self.progress)(name);
        let ran = self.stub(play, change);
        self.judge(name, ran, comes)
    }

    fn stub(&self, play: Play, change: &mut dyn FnMut(&mut Layout<'_>)) -> Result<Ran, String> {
        if self.stop.asked() {
            return Err("the operator stopped it".to_owned());
        }
        let case = self.case()?;
        let brief = play == Play::Hangs;
        let stub = Arc::new(Stub::new(Arc::clone(&self.engine), play, case.case.reference_edit));
        let mut layout = Layout::of(stub.manifest(), STAGE);
        change(&mut layout);
        let mut ground = Ground::lay(self.harness, &layout, |_, _| Ok(()))?;
        ground.harness.engines.replace(Arc::clone(&stub) as Arc<dyn Engine>);
        let mut ran = self.run(&ground.harness, self.name(), brief)?;
        ran.asked = stub.asked();
        Ok(ran)
    }

    fn run(&self, harness: &Harness, engine: String, brief: bool) -> Result<Ran, String> {
        let mut request = RunRequest::of(Task::Case(Box::new(self.case()?)), engine);
        request.timeout_seconds = brief.then_some(BRIEF_SECONDS);
        // Only an engine whose program is named with each run looks at it.
        request.command = vec![PROGRAM.into()];
        let watch = Watch {
            observer: &Unwatched,
            stop: self.stop,
        };
        let outcome = run(harness, &request, watch).map_err(|error| chain(&error))?;
        Ok(Ran {
            report: *outcome.report,
            bundle: outcome.bundle,
            asked: None,
        })
    }

    fn case(&self) -> Result<LoadedCase, String> {
        find(ACCEPTED, &[]).map_err(|error| chain(&error))
    }

    /// Notes a check; returns the run when it came to what it must.
    fn judge(&mut self, name: &str, ran: Result<Ran, String>, comes: Comes) -> Option<Ran> {
        let mut check = EngineCheck {
            name: name.to_owned(),
            detail: String::new(),
            problems: vec![],
            run_id: None,
        };
        match &ran {
            Ok(ran) => {
                let report = &ran.report;
                check.detail = outcome(report);
                check.run_id = Some(report.run_id.clone());
                if !comes.fits(report) {
                    check.problems.push(format!("the run came to: {}", check.detail));
                }
                check.problems.extend(verification_problems(self.harness, &ran.bundle));
            }
            Err(problem) => check.problems.push(problem.clone()),
        }
        let holds = check.problems.is_empty();
        self.checks.push(check);
        ran.ok().filter(|_| holds)
    }

    /// Adds a problem to the last check unless something holds.
    fn expect(&mut self, holds: bool, problem: impl FnOnce() -> String) {
        if let (false, Some(check)) = (holds, self.checks.last_mut()) {
            check.problems.push(problem());
        }
    }
}

impl Comes {
    fn fits(self, report: &Report) -> bool {
        let codes: Vec<BlockerCode> = report.blockers.iter().map(|blocker| blocker.code).collect();
        let started = report.case_process_started;
        match self {
            Self::ToPass => report.status == Status::Pass && codes.is_empty() && started,
            Self::ToRefusal(code) => report.status == Status::Blocked && codes == [code] && !started,
            Self::To(code, status) => report.status == status && codes == [code] && started,
        }
    }
}

/// Says in a line what a run came to.
fn outcome(report: &Report) -> String {
    let started = if report.case_process_started {
        "the engine was started"
    } else {
        "nothing was started"
    };
    let blockers: Vec<String> = report
        .blockers
        .iter()
        .map(|blocker| format!("{} ({})", blocker.code.name(), blocker.detail))
        .collect();
    let because = if blockers.is_empty() { "" } else { ": " };
    format!("{}, {started}{because}{}", report.status.word(), blockers.join("; "))
}

/// The harness's own question to a local provider is the first call.
fn at_preflight(fault: Fault) -> Option<FaultPlan> {
    Some(FaultPlan {
        fault,
        when: When::Call(1),
    })
}
