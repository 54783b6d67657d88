//! What an installation offers to its runs: the baseline store, fixtures, and canary patches.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use cto_evidence::{Home, KnownSecret};
use cto_sandbox::{Change, DEFAULT_ENGINE_ID, Reexec};

use crate::baseline::{Baseline, BaselineError, BaselineStore, ObjectSource};
use crate::cases::{CaseFile, CaseFileKind, LoadedCase};
use crate::collect::Collection;
use crate::engine::{EngineError, Engines};
use crate::fixture::{FixtureFile, FixtureSource};
use crate::request::Harness;
use crate::run::chain;
use crate::settings::Settings;
use crate::tool::Git;

/// Host and port of the gateway as engines see it.
const ENGINE_SIDE: &str = "127.0.0.1:8080";

/// An endpoint as the environment gives it, not yet looked at and never shown.
pub(crate) struct EndpointText(String);

impl std::fmt::Debug for EndpointText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EndpointText(configured)")
    }
}

impl Harness {
    /// Puts an installation together; `environment` holds the gates. Engines that the settings register are read here.
    pub fn new(
        home: Home,
        settings: Settings,
        git: Git,
        environment: BTreeMap<String, String>,
        secrets: Vec<KnownSecret>,
    ) -> Result<Self, EngineError> {
        let (endpoints, environment): (BTreeMap<_, _>, BTreeMap<_, _>) = environment
            .into_iter()
            .partition(|(name, _)| name.ends_with("_BASE_URL"));
        let mut harness = Self {
            home,
            engines: Engines::new(&settings)?,
            settings,
            git,
            reexec: Reexec::current(),
            environment,
            secrets,
            validator: None,
            endpoints: BTreeMap::new(),
            present: BTreeSet::new(),
        };
        harness.know_endpoints(endpoints);
        Ok(harness)
    }

    /// Returns the same installation with other gates: the same settings, git, secrets and endpoints.
    pub(crate) fn beside(&self, home: Home, environment: BTreeMap<String, String>) -> Result<Self, EngineError> {
        let mut own = Self::new(
            home,
            self.settings.clone(),
            self.git.clone(),
            environment,
            self.secrets.clone(),
        )?;
        own.present.clone_from(&self.present);
        own.endpoints.extend(
            self.endpoints
                .iter()
                .map(|(name, text)| (name.clone(), EndpointText(text.0.clone()))),
        );
        Ok(own)
    }

    /// Adds what else is known of the environment: which variables are set, and the values of those that
    /// [`Settings::endpoint_variables`] names.
    #[must_use]
    pub fn with_variables(mut self, present: BTreeSet<String>, endpoints: BTreeMap<String, String>) -> Self {
        self.present = present;
        self.know_endpoints(endpoints);
        self
    }

    /// An endpoint's value appears nowhere: not in what is printed, and not in evidence.
    fn know_endpoints(&mut self, endpoints: BTreeMap<String, String>) {
        for (name, value) in endpoints {
            // The engine's own side of the gateway has a fixed address, which evidence may show.
            if !value.is_empty() && !value.contains(ENGINE_SIDE) {
                self.secrets.push(KnownSecret {
                    name: format!("endpoint in {name}"),
                    value: value.clone().into_bytes(),
                });
            }
            self.endpoints.insert(name, EndpointText(value));
        }
    }

    /// Returns the value of a variable that holds an endpoint.
    pub(crate) fn endpoint(&self, variable: &str) -> Option<&str> {
        let text = self.endpoints.get(variable).map(|text| text.0.as_str());
        text.filter(|text| !text.is_empty())
    }

    /// Returns whether a variable is set; its value is not looked at.
    pub(crate) fn has_variable(&self, name: &str) -> bool {
        self.present.contains(name)
    }

    /// Opens the baseline store; baselines belong to the engine's uid where the harness is root.
    pub fn baselines(&self) -> Result<BaselineStore, BaselineError> {
        BaselineStore::open(&self.home.baselines(), self.engine_owner())
    }

    /// Returns whom baselines and layers belong to; `None` for an ordinary user, whose engines are the user.
    pub fn engine_owner(&self) -> Option<(u32, u32)> {
        let sandbox = &self.settings.sandbox;
        let uid = sandbox.engine_uid.unwrap_or(DEFAULT_ENGINE_ID);
        let gid = sandbox.engine_gid.unwrap_or(uid);
        rustix::process::geteuid().is_root().then_some((uid, gid))
    }

    /// Returns the objects and the commit of a case's fixture, made once.
    pub(crate) fn fixture(&self, git: &Git, case: &LoadedCase) -> Result<(ObjectSource, String), String> {
        let file = |file: &CaseFile| match file.kind {
            CaseFileKind::Link => Err("a fixture cannot hold symbolic links".to_owned()),
            CaseFileKind::Plain | CaseFileKind::Executable => Ok(FixtureFile {
                path: file.path.clone(),
                content: file.bytes.clone(),
                executable: file.kind == CaseFileKind::Executable,
            }),
        };
        let files: Vec<FixtureFile> = case.files.iter().map(file).collect::<Result<_, _>>()?;
        let store = self.baselines().map_err(|error| chain(&error))?;
        let source = FixtureSource::new(files).map_err(|error| chain(&error))?;
        let made = source.ensure(git, &store).map_err(|error| chain(&error))?;
        Ok((made.objects, made.commit))
    }
}

/// Applies the contract's canary patch on top of the collected change.
pub(crate) fn apply_canary_patch(
    git: &Git,
    baseline: &Baseline,
    patch: &str,
    collection: &Collection,
    scratch: &Path,
) -> Result<Vec<Change>, String> {
    let directory = scratch.join("canary-patch");
    std::fs::create_dir(&directory).map_err(|error| error.to_string())?;
    let applied = crate::patch::apply_on_top(git, baseline, patch.as_bytes(), &collection.tree.overrides, &directory);
    applied
        .map(|changes| changes.into_iter().map(crate::collect::sandbox_change).collect())
        .map_err(|error| chain(&error))
}
