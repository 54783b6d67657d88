//! Names of the variables that say which model an engine uses, and by which records.

use cto_schema::RecordKind;

use crate::engine::EngineManifest;

/// The variables of one engine.
#[derive(Clone, Debug)]
pub struct Variables {
    prefix: String,
}

impl Variables {
    /// Returns the variables of an engine.
    pub fn of(manifest: &EngineManifest) -> Self {
        let stage = manifest.stage_gate();
        Self {
            prefix: stage.strip_suffix("STAGE").unwrap_or(&stage).to_owned(),
        }
    }

    /// Returns the name of the variable that names the provider.
    pub fn provider(&self) -> String {
        format!("{}MODEL_PROVIDER", self.prefix)
    }

    /// Returns the name of the variable that names the model.
    pub fn model(&self) -> String {
        format!("{}MODEL", self.prefix)
    }

    /// Returns the name of the variable that holds a local provider's base address.
    pub fn local_base_url(&self) -> String {
        format!("{}LOCAL_BASE_URL", self.prefix)
    }

    /// Returns the name of the variable that enables the bridge for the OAuth session of `openai-codex`.
    pub fn codex_bridge(&self) -> String {
        format!("{}OPENAI_CODEX_AUTH_BRIDGE", self.prefix)
    }

    /// Returns the name of the variable that names the file of a record.
    pub fn record(&self, kind: RecordKind) -> String {
        let name = match kind {
            RecordKind::Decision => "PROVIDER_DECISION_FILE",
            RecordKind::Model => "MODEL_ADMISSION_FILE",
            RecordKind::Source => "SOURCE_ADMISSION_FILE",
            RecordKind::Build => "BUILD_ADMISSION_FILE",
            RecordKind::Repository => "STAGE5_TARGET_ADMISSION_FILE",
        };
        format!("{}{name}", self.prefix)
    }
}
