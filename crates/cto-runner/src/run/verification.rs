//! The clean room.

use std::os::fd::AsFd as _;
use std::path::Path;

use cto_schema::{EventType, JournalEvent, WriteSet};
use serde_json::json;

use super::collection::Gathered;
use super::workspace::Workspace;
use super::{Halt, Journey, chain};
use crate::clean_room::{Canaried, LeftBehind, Room, RoomError, Subject, Verified, not_run, verify};
use crate::collect::Collection;
use crate::harness::apply_canary_patch;
use crate::supervise::Supervised;
use crate::tool::Git;
use crate::watch::Stage;
use crate::write_set::{CollectOptions, WorkspaceView, collect};

/// A change that the clean room has seen; only [`Journey::verify`] makes one.
pub(super) struct VerifiedChange {
    pub(super) workspace: Workspace,
    pub(super) collection: Collection,
}

impl Journey<'_> {
    /// Verifies the collected change, or records why it cannot be.
    pub(super) fn verify(&mut self, gathered: Gathered) -> Result<VerifiedChange, Halt> {
        self.stage(Stage::Verify);
        let from = self.now();
        let Gathered {
            workspace,
            collection,
            staging,
            engine_tree,
        } = gathered;
        self.dir.journal(JournalEvent::VerifyIntent)?;
        let verified = match self.reason_not_to_verify(&workspace) {
            Some(reason) => {
                let mut none = not_run(&reason);
                none.verification.integrity.clone_from(&collection.integrity);
                Ok(none)
            }
            None => self.enter_room(&workspace, &collection, &staging),
        };
        let verified = match verified {
            Ok(verified) => verified,
            Err(RoomError::Stopped) => return Err(Halt::Stopped),
            Err(error) => return Err(Halt::Ignorant(chain(&error))),
        };
        drop(engine_tree);
        self.record_verification(verified, from)?;
        Ok(VerifiedChange { workspace, collection })
    }

    /// A change that is no change, or that cannot be reproduced, is not worth a verification.
    fn reason_not_to_verify(&self, workspace: &Workspace) -> Option<String> {
        let write_set = self.write_set.as_ref()?;
        if let Some(limit) = &write_set.truncated {
            return Some(format!("the write set is incomplete: {limit}"));
        }
        if let Some(error) = &self.seen.roundtrip_error {
            return Some(format!("the patch does not reproduce the final tree: {error}"));
        }
        if write_set.changes.is_empty() && workspace.contract.requires_diff {
            return Some("the engine made no change".to_owned());
        }
        None
    }

    fn enter_room(
        &mut self,
        workspace: &Workspace,
        collection: &Collection,
        staging: &Path,
    ) -> Result<Verified, RoomError> {
        let plan = workspace.plan(self);
        let room = Room {
            plan: &plan,
            provider: workspace.provider,
            reexec: &self.harness.reexec,
            stop: self.watch.stop,
            observer: self.watch.observer,
        };
        let left_behind = AfterVerification {
            git: &self.harness.git,
            workspace,
            write_set: &collection.write_set,
        };
        let cache = self.harness.home.cache();
        let (git, baseline, scratch) = (&self.harness.git, &workspace.baseline, &workspace.scratch.0);
        let patch = workspace.contract.canary_patch.as_deref();
        let apply = move |collection: &Collection| {
            apply_canary_patch(git, baseline, patch.unwrap_or_default(), collection, scratch)
        };
        verify(
            &room,
            &Subject {
                canaried: Canaried {
                    collection,
                    staging,
                    canary_patch: patch.is_some().then_some(&apply),
                },
                cache: &cache,
                left_behind: &left_behind,
            },
        )
    }

    fn record_verification(&mut self, verified: Verified, from: u64) -> Result<(), Halt> {
        let Verified { verification, record } = verified;
        // Paths and what was tried may hold what no document may show.
        let verification = self.dir.clean("report.json", verification)?;
        let (test_log_digest, findings) = self.dir.write_redacted("test.log", &record.log)?;
        self.seen.secrets.extend(findings);
        self.test_log = self.dir.read("test.log")?.unwrap_or_default();
        self.verification_ms = u64::try_from(record.took.as_millis()).unwrap_or(u64::MAX);
        for (kind, data) in record.events {
            let data = self.redact_event(data);
            self.dir.event(kind, data)?;
        }
        let runs: Vec<_> = verification
            .runs
            .iter()
            .map(|run| json!({ "run": run.label.word(), "passed": run.passed(), "cached": run.cached }))
            .collect();
        let canaries: Vec<_> = verification
            .canaries
            .iter()
            .map(|c| json!({ "command": c.command, "state": c.state }))
            .collect();
        self.dir.event(
            EventType::VerificationCompleted,
            json!({ "runs": runs, "canaries": canaries, "not_run": verification.not_run }),
        )?;
        self.dir.journal(JournalEvent::Verified { test_log_digest })?;
        self.seen.verification = Some(verification);
        self.span("verify", from, "ok", "clean room");
        Ok(())
    }
}

/// Compares what a verification command left with the patched tree.
#[derive(Debug)]
struct AfterVerification<'a> {
    git: &'a Git,
    workspace: &'a Workspace,
    write_set: &'a WriteSet,
}

impl LeftBehind for AfterVerification<'_> {
    fn paths(&self, supervised: &Supervised) -> Result<Vec<String>, String> {
        let exports = &supervised.exports;
        let staging = tempfile::tempdir_in(&self.workspace.scratch.0).map_err(|error| error.to_string())?;
        let view = WorkspaceView {
            merged: exports.workspace.as_fd(),
            upper: exports.upper.as_ref().map(|fd| fd.as_fd()),
        };
        let options = CollectOptions {
            scratch_paths: &self.workspace.contract.scratch_paths,
            masked: &[],
            limits: crate::write_set::CollectLimits::default(),
            staging: staging.path(),
        };
        let left = collect(self.git, &self.workspace.baseline, view, &options).map_err(|error| chain(&error))?;
        let known = |set: &WriteSet, change: &cto_schema::Change| {
            set.changes
                .iter()
                .any(|other| other.path == change.path && other.after == change.after)
        };
        let new = left
            .write_set
            .changes
            .iter()
            .filter(|change| !known(self.write_set, change));
        let lost = self
            .write_set
            .changes
            .iter()
            .filter(|change| !known(&left.write_set, change));
        Ok(new.chain(lost).map(|change| change.path.shown()).collect())
    }
}
