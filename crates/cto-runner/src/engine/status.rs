//! What stands between an engine and its first run, for people.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Engine, Places, Search};
use crate::request::Harness;

/// One engine as `cto engines` shows it.
#[derive(Clone, Debug)]
pub struct EngineStatus {
    /// The engine.
    pub engine: Arc<dyn Engine>,
    /// Where its program is.
    pub search: Search,
    /// Whether its allow gate is set, where it has one.
    pub allowed: Option<bool>,
    /// What its stage gate says.
    pub stage: Option<String>,
    /// What to do next, in order; empty when nothing is missing that can be told without a task.
    pub next: Vec<String>,
}

impl Harness {
    /// Returns every engine with what is missing; nothing is executed.
    pub fn engine_statuses(&self, more_toolchains: &[PathBuf]) -> Vec<EngineStatus> {
        let mut toolchains = more_toolchains.to_vec();
        toolchains.extend(self.settings.toolchains.iter().cloned());
        let places = Places {
            environment: &self.environment,
            toolchains: &toolchains,
        };
        self.engines.all().map(|engine| status(engine, &places)).collect()
    }
}

fn status(engine: &Arc<dyn Engine>, places: &Places<'_>) -> EngineStatus {
    let manifest = engine.manifest();
    let search = engine.search(places);
    let (allow, stage_gate) = (manifest.allow_gate(), manifest.stage_gate());
    let allowed = places.environment.get(&allow).is_some_and(|value| value == "1");
    let stage = places.environment.get(&stage_gate).cloned();
    let mut next = Vec::new();
    if let Search::Missing { mend, .. } = &search {
        next.push(mend.clone());
    }
    if manifest.gated && !allowed {
        next.push(format!("set {allow}=1"));
    }
    if manifest.gated && stage.is_none() {
        next.push(format!(
            "set {stage_gate} to the stage of the task, 2 for a copied fixture and 3 for a copied repository"
        ));
    }
    EngineStatus {
        engine: Arc::clone(engine),
        search,
        allowed: manifest.gated.then_some(allowed),
        stage,
        next,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Engines;
    use crate::settings::Settings;

    #[test]
    fn what_is_missing_is_named_until_nothing_is() {
        let engines = Engines::new(&Settings::default()).unwrap();
        let (codex, _) = engines.find("codex").unwrap();
        let mut environment = std::collections::BTreeMap::new();
        let next = |environment: &_| {
            let places = Places {
                environment,
                toolchains: &[],
            };
            status(&codex, &places).next
        };
        assert_eq!(next(&environment).len(), 3);
        for (at, (name, value)) in [
            ("CTO_HARNESS_CODEX_BIN", "/usr/bin/env"),
            ("CTO_HARNESS_ALLOW_CODEX", "1"),
            ("CTO_HARNESS_CODEX_STAGE", "2"),
        ]
        .into_iter()
        .enumerate()
        {
            environment.insert(name.to_owned(), value.to_owned());
            assert_eq!(next(&environment).len(), 2 - at, "{name}");
        }
        let (fake, _) = engines.find("fake").unwrap();
        let places = Places {
            environment: &environment,
            toolchains: &[],
        };
        let status = status(&fake, &places);
        assert!(status.next.is_empty() && status.allowed.is_none());
    }
}
