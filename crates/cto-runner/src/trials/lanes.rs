//! The lanes of a matrix: each engine on each case, with its request, and whether it may run at all.

use cto_schema::{Blocker, MatrixOptions, MatrixPlan};

use super::{TrialsError, TrialsObserver};
use crate::cases::{LoadedCase, find};
use crate::facts::decide_only;
use crate::request::{Harness, RunRequest, Task};
use crate::run::read_task;
use crate::settings::WorkspaceKind;

/// Every lane of a plan, ready to run or denied.
#[derive(Debug)]
pub struct Lanes<'a> {
    plan: &'a MatrixPlan,
    cases: Vec<LoadedCase>,
    denied: Vec<Option<Vec<Blocker>>>,
}

impl<'a> Lanes<'a> {
    /// Reads every case again, holds its contract to the plan's, and asks the gates about each lane before any cell is
    /// started. `wanted` says which lanes still have something to run; the others are not asked about.
    pub fn open(
        harness: &Harness,
        plan: &'a MatrixPlan,
        wanted: impl Fn(usize) -> bool,
        observer: &dyn TrialsObserver,
    ) -> Result<Self, TrialsError> {
        let cases = plan
            .cases
            .iter()
            .map(|id| find(id, &harness.settings.cases))
            .collect::<Result<Vec<_>, _>>()?;
        let mut lanes = Self {
            plan,
            cases,
            denied: vec![None; plan.lanes.len()],
        };
        for (at, lane) in plan.lanes.iter().enumerate().filter(|(at, _)| wanted(*at)) {
            let Some(request) = lanes.request(at) else {
                continue;
            };
            let digest = read_task(harness, &request).1.map(|contract| contract.digest());
            if digest != Ok(lane.contract_digest) {
                return Err(TrialsError::Changed {
                    engine: cto_schema::escape(lane.engine.as_bytes(), 80),
                    case_id: cto_schema::escape(lane.case_id.as_bytes(), 80),
                });
            }
            observer.asked(&lane.engine, &lane.case_id);
            let decision = decide_only(harness, &request);
            lanes.denied[at] = (decision.selected_backend == "none").then(|| {
                let reasons = decision.denied_backends.into_iter().flat_map(|denial| denial.reasons);
                reasons.collect()
            });
        }
        Ok(lanes)
    }

    /// Returns why a lane cannot run; `None` when it can.
    pub fn denied(&self, lane: usize) -> Option<&[Blocker]> {
        self.denied.get(lane)?.as_deref()
    }

    /// Returns what one run of a lane asks for.
    pub(super) fn request(&self, lane: usize) -> Option<RunRequest> {
        let case = self.cases.get(lane / self.plan.engines.len().max(1))?;
        let engine = &self.plan.lanes.get(lane)?.engine;
        Some(request_of(case, engine, &self.plan.options))
    }
}

/// Returns the request of an engine on a case.
pub(super) fn request_of(case: &LoadedCase, engine: &str, options: &MatrixOptions) -> RunRequest {
    // Only the engine `command` is told what to start.
    let command = if engine == "command" {
        options.command.iter().map(Into::into).collect()
    } else {
        vec![]
    };
    RunRequest {
        command,
        provider: options.sandbox.clone(),
        workspace: match options.workspace.as_deref() {
            Some("overlay") => Some(WorkspaceKind::Overlay),
            Some("copied") => Some(WorkspaceKind::Copied),
            _ => None,
        },
        timeout_seconds: options.timeout_seconds,
        toolchains: options.toolchains.iter().map(Into::into).collect(),
        ..RunRequest::of(Task::Case(Box::new(case.clone())), engine.to_owned())
    }
}
