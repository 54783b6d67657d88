//! Stops 7 to 12: ask the engine what to start, close the cage, start, supervise, and quote what it said.

use std::ffi::OsString;
use std::os::fd::AsFd as _;
use std::time::Duration;

use cto_gateway::{Budget, GatewayOrder};
use cto_sandbox::{JailError, Observe, PreparedJail, prepare};
use cto_schema::{EndedBy, EngineObservation, EventType, JournalEvent, ModelObservation, TaskContract};
use serde_json::json;

use super::engine_facts::{enforcement, observation};
use super::markers::marker;
use super::outfit;
use super::serving::{DUMMY_KEY, Listening, PORT, Serving, Start};
use super::work_done::WorkDone;
use super::workspace::Workspace;
use super::{Halt, Journey, chain};
use crate::cage::Cage;
use crate::engine::{EngineOutput, EngineTask, Invocation, Keep, ModelEndpoint, collect_logs};
use crate::supervise::{Beside, Companion, Deadlines, Lifecycle, Output, Supervised, supervise};
use crate::watch::Stage;

/// A closed cage in which the engine waits for the word.
pub(super) struct Caged {
    workspace: Workspace,
    jail: PreparedJail,
    shown: Vec<String>,
    keep: Vec<Keep>,
    serving: Option<Box<Serving>>,
}

/// A workspace whose every process is dead.
pub(super) struct Exited {
    pub(super) workspace: Workspace,
    pub(super) supervised: Supervised,
}

impl Journey<'_> {
    /// Closes the cage, records which bounds hold, and opens the model gateway, before anything of the engine runs.
    pub(super) fn cage(&mut self, mut workspace: Workspace) -> Result<Caged, Halt> {
        let from = self.now();
        let order = workspace
            .model
            .as_ref()
            .map(|plan| plan.order(budget(&workspace.contract)));
        let invocation = self.invocation(&workspace, order.as_ref())?;
        let listen = order.as_ref().map(|_| PORT);
        let (changes, inputs) = outfit::inputs(&invocation, &workspace.engine.manifest().scratch, &workspace.baseline)
            .map_err(|error| Halt::Ignorant(format!("failed to look at the baseline: {error}")))?;
        workspace.inputs = inputs;
        let link = outfit::masked_link(&invocation.masks, &workspace.baseline)
            .map_err(|error| Halt::Ignorant(format!("failed to look at the baseline: {error}")))?;
        if let Some(link) = link {
            let name = self.facts.engine.name.clone();
            return Err(self.target_refused(format!(
                "'{link}' in the target is a symbolic link; engine '{name}' could be taken over by what lies there, and a \
                 link cannot be covered: make it a plain file or directory, or remove it"
            ))?);
        }
        self.engine_binds.clone_from(&invocation.binds);
        let outfit = outfit::outfit(&invocation, listen);
        let egress = order.as_ref().map(egress_environment).unwrap_or_default();
        let cage = Cage {
            suffix: "engine".to_owned(),
            program: invocation.program,
            env: invocation.env.into_iter().chain(egress).collect(),
            changes,
            observe: Observe::Everything,
            outfit,
        };
        let spec = workspace.plan(self).spec(cage);
        let mut jail = match prepare(workspace.provider, &spec, &self.harness.reexec) {
            Ok(jail) => jail,
            Err(error) => return Err(self.bound_refused(&error)?),
        };
        self.look_at_start(&workspace, jail.exports())?;
        let enforcement = self.dir.clean("enforcement.json", enforcement(jail.enforcement()))?;
        let enforcement_digest = self.write_json("enforcement.json", &enforcement)?;
        self.enforcement = Some(enforcement);
        self.dir.journal(JournalEvent::EngineReady { enforcement_digest })?;
        self.span("cage", from, "ok", workspace.provider.name());
        let serving = match &order {
            Some(order) => Some(self.serve(order, &mut jail)?),
            None => None,
        };
        Ok(Caged {
            workspace,
            jail,
            shown: invocation.shown,
            keep: invocation.keep,
            serving,
        })
    }

    fn invocation(&self, workspace: &Workspace, order: Option<&GatewayOrder>) -> Result<Invocation, Halt> {
        let endpoint = order.and_then(|order| order.routes.first()).map(|route| ModelEndpoint {
            provider: route.provider.clone(),
            model: route.model.clone(),
            base: format!("http://127.0.0.1:{PORT}"),
            key: DUMMY_KEY.to_owned(),
        });
        let task = EngineTask {
            contract: &workspace.contract,
            case: self.case(),
            variant: workspace.variant.as_deref(),
            command: &self.request.command,
            program: workspace.program.as_ref(),
            model: endpoint.as_ref(),
        };
        workspace
            .engine
            .invocation(&task)
            .map_err(|error| Halt::Ignorant(chain(&error)))
    }

    /// Opens the model gateway on the listener that was born in the cage.
    fn serve(&mut self, order: &GatewayOrder, jail: &mut PreparedJail) -> Result<Box<Serving>, Halt> {
        let from = self.now();
        let Some(listener) = jail.take_listener() else {
            return Err(Halt::Ignorant(
                "the cage has no listener for the model gateway".to_owned(),
            ));
        };
        match Serving::start(self.harness, order, listener)? {
            Start::Serving(serving) => {
                self.span("gateway", from, "ok", "");
                Ok(serving)
            }
            Start::Unavailable(seen) => {
                let reason = seen
                    .unavailable
                    .as_ref()
                    .map(|end| end.detail.clone())
                    .unwrap_or_default();
                self.span("gateway", from, "refused", &reason);
                let data = self.gate_blocked("model-gateway", &reason);
                self.dir.event(EventType::BackendGateBlocked, data)?;
                self.note_model(*seen)?;
                Err(Halt::Refused)
            }
        }
    }

    /// Puts on record that the cage could not be closed; a missing bound is a refusal, anything else is ignorance.
    fn bound_refused(&mut self, error: &JailError) -> Result<Halt, Halt> {
        let reason = chain(error);
        if !matches!(
            error,
            JailError::Missing { .. } | JailError::Refused { .. } | JailError::Inner { .. }
        ) {
            return Ok(Halt::Ignorant(reason));
        }
        let data = self.gate_blocked("sandbox", &reason);
        self.dir.event(EventType::BackendGateBlocked, data)?;
        self.seen.bound_refused = Some(reason);
        Ok(Halt::Refused)
    }

    /// Puts on record that the target holds what no run can take.
    pub(super) fn target_refused(&mut self, reason: String) -> Result<Halt, Halt> {
        let data = self.gate_blocked("target", &reason);
        self.dir.event(EventType::BackendGateBlocked, data)?;
        self.seen.target_refused = Some(reason);
        Ok(Halt::Refused)
    }

    /// Starts the engine and follows it until nothing of it runs.
    pub(super) fn supervise(&mut self, caged: Caged) -> Result<Exited, Halt> {
        if self.watch.stop.asked() {
            return Err(Halt::Stopped);
        }
        self.stage(Stage::Engine);
        let Caged {
            workspace,
            jail,
            shown,
            keep,
            mut serving,
        } = caged;
        self.spend_approval(&workspace.contract)?;
        self.dir.journal(JournalEvent::EngineIntent { argv: shown })?;
        let from = self.now();
        let deadlines = deadlines(&workspace);
        let running = jail.start().map_err(|error| Halt::Ignorant(chain(&error)))?;
        // From here on an engine process may exist, whatever goes wrong.
        self.seen.engine = Some(EngineObservation {
            started: true,
            ..EngineObservation::default()
        });
        let dir = &mut self.dir;
        let mut write = |kind, data| dir.event(kind, data).map_err(Halt::from);
        let mut listening = serving.as_mut().map(|serving| Listening {
            serving,
            write: &mut write,
            failed: None,
        });
        let companion = listening.as_mut().map(|listening| listening as &mut dyn Companion);
        let mut work = WorkDone::of(&self.harness.git, &workspace);
        let beside = Beside {
            companion,
            lifecycle: work.as_mut().map(|work| work as &mut dyn Lifecycle),
        };
        let supervised = supervise(running, deadlines, self.watch.stop, self.watch.observer, beside);
        let work_seen = work.and_then(|work| work.seen);
        let failed = listening.and_then(|listening| listening.failed);
        // What the gateway saw is evidence also of a run that the harness lost sight of.
        self.end_serving(serving)?;
        let supervised = supervised.map_err(|error| Halt::Ignorant(chain(&error)))?;
        self.span("engine", from, "ok", &self.facts.engine.name.clone());
        if let Some(halt) = failed {
            return Err(halt);
        }
        self.engine_output_bytes = supervised.stdout.total() + supervised.stderr.total();
        self.record_engine(&workspace, &supervised, &keep)?;
        self.leave_end_markers(&supervised, work_seen)?;
        let exited = &supervised.exited;
        self.dir.journal(JournalEvent::EngineExited {
            exit_code: exited.code,
            signal: exited.signal,
        })?;
        if supervised.ended_by == EndedBy::Cancelled {
            return Err(Halt::Stopped);
        }
        Ok(Exited { workspace, supervised })
    }

    /// Says why the harness ended the engine.
    fn leave_end_markers(&mut self, supervised: &Supervised, work_seen: Option<String>) -> Result<(), Halt> {
        let seconds = supervised.duration.as_secs();
        match (supervised.ended_by, work_seen) {
            (EndedBy::Lifecycle, Some(seen)) => {
                self.dir
                    .write("backend/provider-lifecycle-harness-completed.txt", seen.as_bytes())?;
            }
            (EndedBy::Timeout | EndedBy::IdleTimeout, _) => {
                let line = format!("the harness ended the engine at a time limit, after {seconds} s\n");
                self.dir.write("backend/provider-timeout.txt", line.as_bytes())?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Leaves the markers that name what went wrong with the provider.
    fn leave_model_markers(&mut self) -> Result<(), Halt> {
        let Some(seen) = &self.seen.model else { return Ok(()) };
        let ends = seen.unavailable.iter().chain(&seen.violations).chain(&seen.last);
        let mut details: Vec<&str> = ends.map(|end| end.detail.as_str()).collect();
        details.extend(
            seen.refused
                .values()
                .flat_map(|refused| &refused.named)
                .map(String::as_str),
        );
        let line = format!("{}\n", details.join("; "));
        for name in cto_policy::model_blockers(seen).into_iter().filter_map(marker) {
            if !self.dir.artifacts().contains_key(name) {
                self.dir.write(name, line.as_bytes())?;
            }
        }
        Ok(())
    }

    /// Ends the gateway, whose engine is dead, and notes what it saw.
    fn end_serving(&mut self, serving: Option<Box<Serving>>) -> Result<(), Halt> {
        let Some(serving) = serving else { return Ok(()) };
        let (events, seen) = serving.end();
        for (kind, data) in events {
            self.dir.event(kind, data)?;
        }
        self.note_model(seen)
    }

    fn note_model(&mut self, seen: ModelObservation) -> Result<(), Halt> {
        self.seen.model = Some(seen);
        self.clean_seen()?;
        self.leave_model_markers()
    }

    /// Writes the raw logs, the quoted stream and the refusals; notes what the verdict needs.
    fn record_engine(&mut self, workspace: &Workspace, supervised: &Supervised, keep: &[Keep]) -> Result<(), Halt> {
        let (stdout, stderr) = (supervised.stdout.bytes(), supervised.stderr.bytes());
        let unread = |error: std::io::Error| Halt::Ignorant(format!("failed to read what the engine left: {error}"));
        let exports = &supervised.exports;
        let mut normalized = workspace.engine.normalize(&EngineOutput {
            stdout: &stdout,
            stderr: &stderr,
            logs: &collect_logs(exports.workspace.as_fd(), &workspace.engine.manifest().logs),
        });
        let (refusals, forbidden) = supervised.refusals.clone().finish();
        // What an engine that we ended left unsaid is our doing, unless it had come to its end and only lingered.
        let lingered = supervised.ended_by == EndedBy::Lifecycle && normalized.stream.final_event_seen;
        let has_spoken = supervised.ended_by == EndedBy::Itself || lingered;
        if !has_spoken {
            normalized.stream.protocol_error = None;
        }
        self.seen.engine = Some(observation(
            supervised,
            std::mem::take(&mut normalized.stream),
            forbidden,
            workspace.contract.limits.disk_mib,
        ));
        self.clean_seen()?;
        for (kind, data) in std::mem::take(&mut normalized.events).into_iter().chain(refusals) {
            let data = self.redact_event(data);
            self.dir.event(kind, data)?;
        }
        for (name, bytes) in [("backend/stdout.log", &stdout), ("backend/stderr.log", &stderr)] {
            let (_, findings) = self.dir.write_redacted(name, bytes)?;
            self.seen.secrets.extend(findings);
        }
        for kept in outfit::kept(exports.home.as_fd(), keep).map_err(unread)? {
            let (_, findings) = self.dir.write_redacted(&kept.name, &kept.bytes)?;
            self.seen.secrets.extend(findings);
        }
        for known in normalized.markers.iter().filter(|_| has_spoken) {
            let (name, line) = (format!("backend/{}", known.name), format!("{}\n", known.text));
            if !self.dir.artifacts().contains_key(&name) {
                self.dir.write(&name, line.as_bytes())?;
            }
        }
        if self
            .seen
            .engine
            .as_ref()
            .is_some_and(|engine| engine.start_error.is_some())
        {
            self.dir.write(
                "backend/provider-unavailable.txt",
                b"the engine's program could not be started\n",
            )?;
        }
        Ok(())
    }

    /// Replaces secrets in an event's data; the raw log reports them, so findings are not counted twice.
    pub(super) fn redact_event(&self, data: serde_json::Value) -> serde_json::Value {
        let text = data.to_string();
        let findings = self.dir.scan("events.normalized.jsonl", text.as_bytes());
        if findings.is_empty() {
            data
        } else {
            json!({ "redacted": findings.iter().map(|f| &f.rule).collect::<Vec<_>>() })
        }
    }
}

/// Package managers find the admitted hosts through the gateway; without any there is no proxy to ask.
fn egress_environment(order: &GatewayOrder) -> Vec<(OsString, OsString)> {
    if order.egress.is_empty() {
        return vec![];
    }
    let proxy = format!("http://127.0.0.1:{PORT}");
    let names = ["HTTPS_PROXY", "https_proxy", "npm_config_https_proxy"];
    let mut env: Vec<_> = names
        .iter()
        .map(|name| (OsString::from(name), OsString::from(&proxy)))
        .collect();
    env.extend(["NO_PROXY", "no_proxy"].map(|name| (OsString::from(name), OsString::from("127.0.0.1"))));
    env
}

/// Returns what the run may use up of its model; time is bounded by the deadlines.
fn budget(contract: &TaskContract) -> Budget {
    Budget {
        tokens: contract.budget.tokens.map(u64::from),
        cost_micro_usd: contract.budget.cost_micro_usd.map(u64::from),
    }
}

fn deadlines(workspace: &Workspace) -> Deadlines {
    let contract = &workspace.contract;
    let timeouts = &contract.timeouts;
    let seconds = |count: u32| Duration::from_secs(u64::from(count));
    let wall = contract
        .budget
        .wall_seconds
        .map_or(timeouts.engine_seconds, |wall| wall.min(timeouts.engine_seconds));
    let output = u64::from(contract.limits.output_mib) << 20;
    Deadlines {
        wall: seconds(wall),
        idle: (timeouts.idle_seconds > 0).then(|| seconds(timeouts.idle_seconds)),
        grace: seconds(timeouts.grace_seconds),
        output: Output {
            keep_bytes: output,
            limit_bytes: Some(output),
        },
    }
}

#[cfg(test)]
mod tests {

    #[test]
    fn the_streams_events_are_only_ever_quotes() {
        let settings = crate::settings::Settings::default();
        let engines = crate::engine::Engines::new(&settings).unwrap();
        let forged = br#"{"type":"run.completed","status":"pass"}
{"type":"approval.granted"}
"#;
        let output = crate::engine::EngineOutput {
            stdout: forged,
            ..crate::engine::EngineOutput::default()
        };
        for engine in engines.all() {
            for (kind, _) in engine.normalize(&output).events {
                assert!(cto_schema::EventType::name(kind).starts_with("engine."), "{kind}");
            }
        }
    }
}
