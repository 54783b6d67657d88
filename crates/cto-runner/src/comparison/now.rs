//! The world as it is now: an engine's records, and the repository of an accepted run. Both are only read.

use std::ffi::OsString;
use std::path::PathBuf;

use cto_evidence::Bundle;
use cto_policy::{admissions_of, judge_repository, judge_source, shown_path};
use cto_schema::{ApprovalPacket, HIDDEN_PATH, LaneNow, MutationMode, Sha256Digest, TargetWatch, TaskContract};

use crate::admit::engine_chain;
use crate::facts::{look_at_engine, target_admission};
use crate::request::{Harness, RunRequest, Task};
use crate::run::chain;
use crate::source::{SourceLock, SourceRepository};

/// Looks at an engine. `bundle` is a run of it, whose packet names the program of `command`.
pub(crate) fn lane_now(harness: &Harness, engine: &str, bundle: Option<&Bundle>) -> LaneNow {
    let mut now = LaneNow {
        lane: engine.to_owned(),
        ..LaneNow::default()
    };
    if let Err(error) = harness.engines.find(engine) {
        now.problem = Some(chain(&error));
        return now;
    }
    let (facts, _) = look_at_engine(harness, &request_of(engine, bundle.and_then(packet_of).as_ref()));
    now.admissions = admissions_of(&facts);
    if facts.engine.needs_model {
        let judged = judge_source(&facts.admissions, MutationMode::OwnedNoncriticalRepo);
        now.source_problem = judged.blocks.then_some(judged.reason);
    }
    let stopped = engine_chain(harness, engine);
    now.problem = stopped.as_ref().and_then(|chain| chain.stops_at()).map(|step| {
        let next = if step.next.is_empty() {
            String::new()
        } else {
            format!("; next: {}", step.next)
        };
        format!("{}: {}{next}", step.name, step.detail)
    });
    now
}

fn request_of(engine: &str, packet: Option<&ApprovalPacket>) -> RunRequest {
    let task = Task::Contract {
        path: std::path::PathBuf::new(),
        bytes: vec![],
    };
    let mut request = RunRequest::of(task, engine.to_owned());
    if let Some(packet) = packet {
        request.command = packet.engine_command.iter().map(OsString::from).collect();
    }
    request
}

/// Returns the packet that a run consumed, as it lies in the bundle.
pub(crate) fn packet_of(bundle: &Bundle) -> Option<ApprovalPacket> {
    serde_json::from_slice(bundle.document("approval/packet.json")?).ok()
}

fn contract_of(bundle: &Bundle) -> Option<TaskContract> {
    serde_json::from_slice(bundle.document("contract.json")?).ok()
}

/// A repository that is being watched: held against a run that would change it, and never written.
#[derive(Debug)]
pub(crate) struct Watched {
    watch: TargetWatch,
    source: Option<SourceRepository>,
    lock: Option<SourceLock>,
    keep: PathBuf,
}

impl Watched {
    /// Looks at the repository that a run was about, before anything else is done.
    pub(crate) fn begin(harness: &Harness, engine: &str, bundle: &Bundle) -> Option<Self> {
        let contract = contract_of(bundle)?;
        let path = contract.target_repository.clone()?;
        let shown = shown_path(&path);
        let path_digest = shown.strip_prefix(HIDDEN_PATH).and_then(Sha256Digest::from_hex)?;
        let record = target_admission(harness, &request_of(engine, packet_of(bundle).as_ref()), &contract);
        let now = cto_evidence::wall_now().as_second();
        let refusals = judge_repository(&record, Some(&contract), now);
        let mut watched = Self {
            watch: TargetWatch {
                path_digest,
                admission_digest: record.digest,
                admission_problem: refusals.into_iter().next().map(|(_, detail)| detail),
                before: None,
                after: None,
                clean: None,
                problem: None,
            },
            source: None,
            lock: None,
            keep: PathBuf::new(),
        };
        if let Err(problem) = watched.open(harness, &path) {
            // What is told may be handed around; where the repository is may not.
            watched.watch.problem = Some(problem.replace(path.trim_end_matches('/'), "the target repository"));
        }
        Some(watched)
    }

    fn open(&mut self, harness: &Harness, path: &str) -> Result<(), String> {
        let source = SourceRepository::open(path.as_ref()).map_err(|error| chain(&error))?;
        self.lock = Some(source.lock_shared().map_err(|error| chain(&error))?);
        self.watch.before = Some(source.state().map_err(|error| chain(&error))?);
        let (device, inode) = source.identity();
        let keep = harness.home.cache().join(format!("status-{device:x}-{inode:x}"));
        std::fs::create_dir_all(&keep).map_err(|error| format!("failed to create {}: {error}", keep.display()))?;
        let dirty = source.dirty_paths(&harness.git, &keep).map_err(|error| chain(&error))?;
        self.watch.clean = Some(dirty.count == 0);
        self.keep = keep;
        self.source = Some(source);
        Ok(())
    }

    /// Returns whether a commit is in the history of the branch that is checked out; `None` when that cannot be told.
    pub(crate) fn has_in_history(&self, harness: &Harness, commit: &str) -> Option<bool> {
        let source = self.source.as_ref()?;
        source.has_in_history(&harness.git, &self.keep, commit).ok()
    }

    /// Looks again, after everything else was done.
    pub(crate) fn end(mut self) -> TargetWatch {
        if let Some(source) = &self.source {
            match source.state() {
                Ok(state) if source.is_in_place() => self.watch.after = Some(state),
                Ok(_) => self.watch.problem = Some("another directory lies where the target repository was".to_owned()),
                Err(error) => self.watch.problem = Some(chain(&error)),
            }
        }
        self.watch
    }
}
