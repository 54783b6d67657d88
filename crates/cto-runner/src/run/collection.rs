//! Read the write set, make the patch, prove it by applying it.

use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use cto_policy::Scope;
use cto_sandbox::{Change, Exports};
use cto_schema::{EventType, JournalEvent, SchemaId, TreeProof, WriteSet};
use serde_json::json;

use super::engine_run::Exited;
use super::names::{self, Shown};
use super::workspace::Workspace;
use super::{Halt, Journey, chain, secrets};
use crate::clean_room::integrity::{self, ChangedFile};
use crate::collect::{Collection, patched_tree, sandbox_change};
use crate::patch::{make_patch, round_trip};
use crate::supervise::Supervised;
use crate::tool::Git;
use crate::watch::Stage;
use crate::write_set::{CollectLimits, CollectOptions, Collected, FinalContent, WorkspaceView, collect};

/// A change that is on record and can be verified; only [`Journey::collect`] makes one.
pub(super) struct Gathered {
    pub(super) workspace: Workspace,
    pub(super) collection: Collection,
    pub(super) staging: PathBuf,
    /// Keeps the engine's workspace alive: ignored files are read from it where a failure needs explaining.
    pub(super) engine_tree: Exports,
}

impl Journey<'_> {
    /// Reads the write set after every process is dead, and makes the patch.
    pub(super) fn collect(&mut self, exited: Exited) -> Result<Gathered, Halt> {
        self.stage(Stage::Collect);
        let from = self.now();
        let Exited { workspace, supervised } = exited;
        self.dir.journal(JournalEvent::CollectIntent)?;
        let staging = workspace.scratch.0.join("collected");
        make_directory(&staging)?;
        let collected = read_write_set(&self.harness.git, &workspace, &supervised.exports, &staging)?;
        self.keep_workspace(&supervised, workspace.contract.limits.disk_mib);
        let patch = self.make_patch(&workspace, &collected)?;
        self.know_public(&secrets::content_ids(&patch));
        let clean = names::without_secrets(&self.dir, &collected.write_set, &patch);
        let renamed = clean.is_some();
        let (write_set, bytes) = match &clean {
            Some(Shown { write_set, patch, .. }) => (write_set, patch),
            None => (&collected.write_set, &patch),
        };
        let write_set_digest = self.write_json("write-set.json", write_set)?;
        self.write_set = Some(write_set.clone());
        let (patch_digest, findings) = self.dir.write_redacted("patch.diff", bytes)?;
        let redacted = renamed || !findings.is_empty();
        let scope = Scope::of(&workspace.contract).map_err(|error| Halt::Ignorant(chain(&error)))?;
        // From here on it is there, also when it cannot be proven.
        self.seen.patch_exists = !patch.is_empty();
        self.seen
            .secrets
            .extend(clean.iter().flat_map(|clean| clean.findings.clone()));
        self.seen.secrets.extend(findings);
        self.dir.event(
            EventType::PatchApplied,
            json!({ "files": collected.write_set.changes.len(), "patch_bytes": patch.len(), "patch_digest": patch_digest }),
        )?;
        self.stage(Stage::Prove);
        // What is verified is the artifact, read back; only a redacted one is not the engine's patch any more.
        let written = if redacted {
            patch
        } else {
            self.dir.read("patch.diff")?.unwrap_or_default()
        };
        let collection = self.prove_patch(&workspace, &collected, written, &supervised, &scope)?;
        self.patch.clone_from(&collection.patch);
        if redacted {
            self.patch = self.dir.read("patch.diff")?.unwrap_or_default();
        }
        self.seen.roundtrip_error.clone_from(&collection.roundtrip_error);
        let shown = clean.map_or(collected.write_set, |clean| clean.write_set);
        self.check_diff(&workspace, &shown, &scope)?;
        self.dir.journal(JournalEvent::Collected {
            write_set_digest,
            patch_digest,
        })?;
        self.span(
            "collect",
            from,
            "ok",
            &format!("{} changed paths", collection.write_set.changes.len()),
        );
        Ok(Gathered {
            workspace,
            collection,
            staging,
            engine_tree: supervised.exports,
        })
    }

    /// Compares the copy with its baseline while the engine still waits, by the same reading as afterwards.
    pub(super) fn look_at_start(&mut self, workspace: &Workspace, exports: &Exports) -> Result<(), Halt> {
        let covered = workspace
            .layers
            .iter()
            .any(|(_, mount)| mount.starts_with(cto_sandbox::WORKSPACE));
        if exports.upper.is_none() && covered {
            // A layer's files would be read as the copy's own; without a comparison there is no proof.
            self.clean_start = Some(clean_start(
                false,
                "not compared: a layer lies in the copied workspace",
                vec![],
            ));
            return Ok(());
        }
        let staging = workspace.scratch.0.join("start");
        make_directory(&staging)?;
        let found = read_write_set(&self.harness.git, workspace, exports, &staging)?.write_set;
        let changed = found.changes.iter().map(|change| change.path.shown());
        let unsafe_entries = found.unsafe_entries.iter().map(|entry| entry.path.shown());
        // What the harness put there itself is on record with the invocation.
        let own = |path: &String| {
            workspace
                .inputs
                .scratch
                .iter()
                .any(|root| path.starts_with(root.as_str()))
        };
        let ignored = found
            .ignored
            .iter()
            .map(|artifact| artifact.path.shown())
            .filter(|path| !own(path));
        let paths: Vec<String> = changed.chain(unsafe_entries).chain(ignored).take(20).collect();
        let clean = paths.is_empty() && found.git.is_empty() && found.truncated.is_none();
        let detail = format!(
            "the {} workspace compared with the frozen tree before the engine started",
            found.workspace
        );
        self.clean_start = Some(clean_start(clean, &detail, paths.clone()));
        if clean {
            return Ok(());
        }
        Err(Halt::Ignorant(format!(
            "the copy differs from its baseline before the engine started: {}",
            paths.join(", ")
        )))
    }

    fn make_patch(&mut self, workspace: &Workspace, collected: &Collected) -> Result<Vec<u8>, Halt> {
        if collected.write_set.truncated.is_some() {
            return Ok(Vec::new());
        }
        make_patch(&self.harness.git, &workspace.baseline, collected, &workspace.scratch.0)
            .map_err(|error| Halt::Ignorant(chain(&error)))
    }

    fn prove_patch(
        &mut self,
        workspace: &Workspace,
        collected: &Collected,
        patch: Vec<u8>,
        supervised: &Supervised,
        scope: &Scope,
    ) -> Result<Collection, Halt> {
        let directory = workspace.scratch.0.join("applied");
        make_directory(&directory)?;
        let truncated = collected.write_set.truncated.is_some();
        let (changes, roundtrip_error) = if truncated {
            (vec![], None)
        } else {
            let tripped = round_trip(&self.harness.git, &workspace.baseline, &patch, collected, &directory)
                .map_err(|error| Halt::Ignorant(chain(&error)))?;
            (tripped.changes, tripped.mismatch)
        };
        let tree = patched_tree(workspace.baseline.files(), &changes);
        let changed_paths: Vec<Vec<u8>> = collected
            .write_set
            .changes
            .iter()
            .filter_map(|change| change.path.bytes())
            .collect();
        Ok(Collection {
            integrity: integrity_facts(workspace, collected, scope),
            ignored_changes: ignored_changes(&collected.write_set, supervised),
            write_set: collected.write_set.clone(),
            patch,
            roundtrip_error,
            changes: changes.into_iter().map(sandbox_change).collect(),
            changed_paths,
            tree,
        })
    }

    fn check_diff(&mut self, workspace: &Workspace, write_set: &WriteSet, scope: &Scope) -> Result<(), Halt> {
        let (outside, forbidden) = scope.violations(&write_set.changes);
        let contract = &workspace.contract;
        let proof = cto_schema::AllowedPathsProof {
            schema: SchemaId::PROOF.to_string(),
            proof: "allowed_paths".to_owned(),
            holds: outside.is_empty() && forbidden.is_empty() && write_set.truncated.is_none(),
            allowed_paths: contract.allowed_paths.clone(),
            forbidden_paths: contract.effective_forbidden_paths(),
            outside_allowed: outside.clone(),
            inside_forbidden: forbidden.clone(),
        };
        self.write_json("allowed-paths.json", &proof)?;
        self.dir.event(
            EventType::GitDiffChecked,
            json!({
                "changed_files": write_set.changed_files(),
                "outside_allowed": outside,
                "inside_forbidden": forbidden,
                "unsafe": write_set.unsafe_entries.iter().map(|e| e.path.shown()).collect::<Vec<_>>(),
                "roundtrip": self.seen.roundtrip_error.as_deref().unwrap_or("baseline + patch = final tree"),
            }),
        )?;
        Ok(())
    }

    /// Keeps a copy of the final workspace for people, outside the bundle, if that was asked for.
    fn keep_workspace(&mut self, supervised: &Supervised, disk_mib: u32) {
        let limit = u64::from(disk_mib) << 20;
        if !self.request.keep_workspace {
            return;
        }
        let from = self.now();
        let place = self
            .harness
            .home
            .root()
            .join("workspaces")
            .join(self.dir.run_id().as_str());
        let outcome = match crate::keep::keep(supervised.exports.workspace.as_fd(), &place, limit) {
            Ok(()) => {
                self.kept_workspace = Some(place);
                "ok".to_owned()
            }
            // A copy for convenience never decides about a run.
            Err(error) => format!("failed to keep the workspace: {error}"),
        };
        self.span("workspace.keep", from, &outcome, "");
    }
}

/// Reads the write set of a workspace as it is now.
pub(super) fn read_write_set(
    git: &Git,
    workspace: &Workspace,
    exports: &Exports,
    staging: &Path,
) -> Result<Collected, Halt> {
    let limits = &workspace.contract.limits;
    let view = WorkspaceView {
        merged: exports.workspace.as_fd(),
        upper: exports.upper.as_ref().map(|fd| fd.as_fd()),
    };
    let inputs = &workspace.inputs;
    let scratch: Vec<String> = workspace
        .contract
        .scratch_paths
        .iter()
        .chain(&inputs.scratch)
        .cloned()
        .collect();
    let covered: Vec<PathBuf> = exports.masked.iter().chain(&inputs.covering).cloned().collect();
    let options = CollectOptions {
        scratch_paths: &scratch,
        masked: &covered,
        limits: CollectLimits {
            files: limits.files.into(),
            file_bytes: u64::from(limits.file_mib) << 20,
            total_bytes: u64::from(limits.disk_mib) << 20,
            ..CollectLimits::default()
        },
        staging,
    };
    let mut collected =
        collect(git, &workspace.baseline, view, &options).map_err(|error| Halt::Ignorant(chain(&error)))?;
    debug_assert_eq!(collected.write_set.schema, SchemaId::WRITE_SET.to_string());
    // Mount points of layers that the cage itself made are not the engine's work.
    let created: Vec<Vec<u8>> = exports.created.iter().filter_map(|path| relative(path)).collect();
    collected
        .write_set
        .empty_directories
        .retain(|path| !path.bytes().is_some_and(|bytes| created.contains(&bytes)));
    Ok(collected)
}

fn clean_start(holds: bool, detail: &str, paths: Vec<String>) -> TreeProof {
    TreeProof {
        schema: SchemaId::PROOF.to_string(),
        proof: "clean_start".to_owned(),
        holds,
        detail: detail.to_owned(),
        paths,
    }
}

fn make_directory(path: &Path) -> Result<(), Halt> {
    std::fs::create_dir(path).map_err(|error| Halt::Ignorant(format!("failed to create {}: {error}", path.display())))
}

fn relative(created: &Path) -> Option<Vec<u8>> {
    let below = created.strip_prefix(cto_sandbox::WORKSPACE).ok()?;
    Some(below.as_os_str().as_encoded_bytes().to_vec())
}

/// Facts about changed tests; content is read where a path is a test or its configuration.
fn integrity_facts(workspace: &Workspace, collected: &Collected, scope: &Scope) -> Vec<cto_schema::IntegrityFact> {
    let mut contents = Vec::new();
    for change in &collected.write_set.changes {
        let Some(path) = change.path.bytes().filter(|path| integrity::may_hold_tests(path)) else {
            continue;
        };
        let before = change.before.as_ref().and_then(|_| {
            let mut bytes = Vec::new();
            let mut file = workspace.baseline.open(&path).ok()?;
            std::io::Read::read_to_end(&mut file, &mut bytes).ok().map(|_| bytes)
        });
        let after = collected.contents.get(&path).and_then(|content| match content {
            FinalContent::File { source, .. } => std::fs::read(source).ok(),
            FinalContent::Symlink { target } => Some(target.clone()),
        });
        contents.push((path, before, after));
    }
    let files: Vec<ChangedFile<'_>> = contents
        .iter()
        .map(|(path, before, after)| ChangedFile {
            path,
            before: before.as_deref(),
            after: after.as_deref(),
        })
        .collect();
    integrity::facts(&files, &|path| {
        let verdict = scope.judge(path);
        verdict.allowed && verdict.forbidden_by.is_none()
    })
}

/// Ignored files as the engine left them, read through the descriptor of its workspace.
fn ignored_changes(write_set: &WriteSet, supervised: &Supervised) -> Vec<Change> {
    use std::os::fd::AsRawFd as _;
    use std::os::unix::ffi::OsStrExt as _;
    let root = PathBuf::from(format!("/proc/self/fd/{}", supervised.exports.workspace.as_raw_fd()));
    let files = write_set.ignored.iter().filter(|artifact| artifact.digest.is_some());
    files
        .filter_map(|artifact| artifact.path.bytes())
        .map(|bytes| PathBuf::from(std::ffi::OsStr::from_bytes(&bytes)))
        .filter(|path| root.join(path).symlink_metadata().is_ok_and(|meta| meta.is_file()))
        .map(|path| Change::File {
            source: root.join(&path),
            path,
            mode: 0o644,
        })
        .collect()
}
