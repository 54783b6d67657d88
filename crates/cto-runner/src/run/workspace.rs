//! The frozen baseline and what every cage of the run has in common.

use std::path::PathBuf;
use std::sync::Arc;

use cto_sandbox::Provider;
use cto_schema::JournalEvent;

use super::admit::Admitted;
use super::open::unique_part;
use super::outfit::Inputs;
use super::{Halt, Journey, chain};
use crate::baseline::{Baseline, BaselineError};
use crate::cage::CagePlan;
use crate::engine::{Engine, Installation};
use crate::model::ModelPlan;
use crate::settings::WorkspaceKind;
use crate::tool::GitError;
use crate::toolchains::from_root;
use crate::watch::Stage;

/// A baseline that is held and a private directory of the run; only [`Journey::prepare`] makes one.
pub(super) struct Workspace {
    pub(super) engine: Arc<dyn Engine>,
    pub(super) program: Option<Installation>,
    pub(super) variant: Option<String>,
    pub(super) provider: &'static dyn Provider,
    pub(super) contract: cto_schema::TaskContract,
    pub(super) baseline: Baseline,
    pub(super) kind: WorkspaceKind,
    pub(super) layers: Vec<(PathBuf, PathBuf)>,
    pub(super) toolchains: Vec<PathBuf>,
    pub(super) scratch: Scratch,
    /// The admitted model and how it is reached; `None` where the engine needs none.
    pub(super) model: Option<ModelPlan>,
    /// What the harness put in the workspace for the engine.
    pub(super) inputs: Inputs,
    /// For private copies that a dropped uid must reach by path, which only the provider `none` needs.
    pub(super) open_scratch: Option<Scratch>,
}

/// Returns where the private copy of a run without namespaces lies when the harness is root.
pub(crate) fn open_scratch_path(unique: &str) -> PathBuf {
    PathBuf::from(format!("/tmp/cto-{unique}"))
}

/// A private directory of one run; recovery removes it by name when the run cannot.
#[derive(Debug)]
pub(super) struct Scratch(pub(super) PathBuf);

impl std::fmt::Debug for Workspace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workspace")
            .field("baseline", &self.baseline)
            .field("scratch", &self.scratch)
            .finish_non_exhaustive()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed now is found by name and removed by recovery or gc.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

impl Workspace {
    /// Returns what every cage of the run has in common.
    pub(super) fn plan<'a>(&'a self, journey: &'a Journey<'_>) -> CagePlan<'a> {
        CagePlan {
            contract: &self.contract,
            baseline: &self.baseline,
            workspace: self.kind,
            sandbox: &journey.harness.settings.sandbox,
            toolchains: self.toolchains.iter().map(|root| from_root(root)).collect(),
            layers: self.layers.clone(),
            name: unique_part(journey.dir.run_id()).to_owned(),
            scratch: self.open_scratch.as_ref().unwrap_or(&self.scratch).0.clone(),
        }
    }
}

impl Journey<'_> {
    /// Prepares the baseline and a private directory.
    pub(super) fn prepare(&mut self, admitted: Admitted) -> Result<Workspace, Halt> {
        if self.watch.stop.asked() {
            return Err(Halt::Stopped);
        }
        self.stage(Stage::Workspace);
        let from = self.now();
        let contract = admitted.contract;
        let kind = admitted
            .cage_test
            .workspace(self.request.workspace.or(self.harness.settings.workspace));
        let store = self.harness.baselines().map_err(|e| Halt::Ignorant(chain(&e)))?;
        let baseline = store.ensure(
            &self.harness.git.stopped_by(self.watch.stop),
            &admitted.objects,
            &admitted.commit,
            contract.history,
            contract.allow_gitlinks,
        );
        let baseline = match baseline {
            Ok(baseline) => baseline,
            Err(BaselineError::Git {
                source: GitError::Stopped { .. },
            }) => return Err(Halt::Stopped),
            // It is the target's own, and the contract may accept it.
            Err(error @ BaselineError::Gitlink { .. }) => return Err(self.target_refused(chain(&error))?),
            Err(other) => return Err(Halt::Ignorant(chain(&other))),
        };
        self.fixture_objects = Some(admitted.objects);
        let (commit, tree) = (baseline.commit().to_owned(), baseline.tree().to_owned());
        self.know_public(&[commit.clone(), tree.clone()]);
        self.baseline = Some((commit.clone(), tree.clone()));
        self.dir.journal(JournalEvent::WorkspaceIntent {
            workspace: kind.word().to_owned(),
            commit,
            tree,
        })?;
        let layers = self.resolve_layers(&contract)?;
        let scratch = self.harness.home.work().join(self.dir.run_id().as_str());
        std::fs::create_dir(&scratch)
            .map_err(|error| Halt::Ignorant(format!("failed to create {}: {error}", scratch.display())))?;
        let open_scratch = self.open_scratch(admitted.provider)?;
        let detail = format!("{} entries, {}", baseline.entry_count(), kind.word());
        self.span("baseline", from, "ok", &detail);
        Ok(Workspace {
            engine: admitted.engine,
            program: admitted.program,
            variant: admitted.variant,
            provider: admitted.provider,
            contract,
            baseline,
            kind,
            layers,
            toolchains: self.toolchains(),
            model: admitted.model,
            inputs: Inputs::default(),
            scratch: Scratch(scratch),
            open_scratch,
        })
    }

    /// Makes the directory that a dropped uid can reach by path; without namespaces there is no other way.
    fn open_scratch(&self, provider: &dyn Provider) -> Result<Option<Scratch>, Halt> {
        use std::os::unix::fs::DirBuilderExt as _;
        if provider.name() != "none" || self.harness.engine_owner().is_none() {
            return Ok(None);
        }
        let path = open_scratch_path(unique_part(self.dir.run_id()));
        std::fs::DirBuilder::new()
            .mode(0o711)
            .create(&path)
            .map_err(|error| Halt::Ignorant(format!("failed to create {}: {error}", path.display())))?;
        Ok(Some(Scratch(path)))
    }

    fn resolve_layers(&self, contract: &cto_schema::TaskContract) -> Result<Vec<(PathBuf, PathBuf)>, Halt> {
        let root = self.harness.home.layers();
        let resolve = |layer| crate::layers::resolve(&root, layer).map_err(|error| Halt::Ignorant(chain(&error)));
        contract
            .dependency_layers
            .iter()
            .map(|layer| Ok((resolve(layer)?, layer.mount.clone())))
            .collect()
    }

    /// Returns every toolchain directory that the operator maps into the cages.
    pub(super) fn toolchains(&self) -> Vec<PathBuf> {
        crate::facts::toolchains(self.harness, self.request)
    }

    /// Returns the case, when the task is one.
    pub(super) fn case(&self) -> Option<&crate::cases::LoadedCase> {
        match &self.request.task {
            crate::request::Task::Case(case) => Some(case),
            crate::request::Task::Contract { .. } => None,
        }
    }
}
