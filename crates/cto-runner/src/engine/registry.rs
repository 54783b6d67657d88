//! The engines of an installation: two in code, the rest as manifests.

use std::sync::Arc;

use super::command::Command;
use super::fake::Fake;
use super::{Engine, EngineError, PLAYS};
use crate::settings::Settings;

/// The engines of an installation; no two have one name.
#[derive(Clone, Debug)]
pub struct Engines {
    all: Vec<Arc<dyn Engine>>,
}

impl Engines {
    /// Puts together what is embedded and what the settings register.
    pub fn new(_settings: &Settings) -> Result<Self, EngineError> {
        Ok(Self {
            all: vec![Arc::new(Fake::new()), Arc::new(Command::new())],
        })
    }

    /// Returns every engine, in the order in which they are listed.
    pub fn all(&self) -> impl Iterator<Item = &Arc<dyn Engine>> {
        self.all.iter()
    }

    /// Finds an engine by the name before the colon, and the variant after it.
    pub fn find<'a>(&self, selector: &'a str) -> Result<(Arc<dyn Engine>, Option<&'a str>), EngineError> {
        let (name, variant) = match selector.split_once(':') {
            Some((name, variant)) => (name, Some(variant)),
            None => (selector, None),
        };
        let engine = self.all().find(|engine| engine.manifest().name == name).cloned();
        let engine = engine.ok_or_else(|| {
            let names = self.all().map(|engine| engine.manifest().name.as_str());
            EngineError::Unknown {
                name: cto_schema::escape(name.as_bytes(), 80),
                suggestion: cto_schema::nearest(name, names),
            }
        })?;
        if let Some(variant) = variant.filter(|v| name != "fake" || !PLAYS.iter().any(|play| play.name == *v)) {
            return Err(EngineError::UnknownVariant {
                variant: cto_schema::escape(variant.as_bytes(), 80),
                suggestion: cto_schema::nearest(variant, PLAYS.iter().map(|play| play.name)),
            });
        }
        Ok((engine, variant))
    }
}
