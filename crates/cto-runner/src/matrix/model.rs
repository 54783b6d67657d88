//! Rows about gates, records and models: a gated agent that may run, with one change.

use cto_gateway::CredentialSource;
use cto_gateway::scripted::{Fault, FaultPlan, When};
use cto_schema::{MutationMode, Sha256Digest};
use serde_json::{Value, json};

use crate::cases::LoadedCase;
use crate::engine::EngineManifest;
use crate::ground::{Ground, Layout, PROGRAM, write};
use crate::request::Harness;
use crate::settings::EngineSettings;

/// The engine of these rows.
pub(super) const AGENT: &str = "fixture-agent";

/// What is different from the run of an agent that may run.
#[derive(Clone, Copy, Debug)]
pub(super) enum ModelChange {
    GateNotSet,
    OtherModelRequested,
    ReasoningOnly,
    NoCredential,
    NoEndpoint,
    SourceNotAdmitted,
    OtherBinary,
}

impl ModelChange {
    /// Returns the mode of the run: records of the source are asked for from stage 3 on.
    pub(super) fn mode(self) -> MutationMode {
        match self {
            Self::SourceNotAdmitted => MutationMode::CopiedRepo,
            _ => MutationMode::CopiedFixture,
        }
    }

    pub(super) fn apply(self, layout: &mut Layout<'_>) {
        match self {
            Self::GateNotSet => layout.allowed = false,
            Self::OtherModelRequested => layout.requested = "another-model",
            Self::ReasoningOnly => {
                layout.options.fault = Some(FaultPlan {
                    fault: Fault::ReasoningOnly,
                    when: When::Call(1),
                });
            }
            Self::NoCredential => layout.credential = CredentialSource::Environment("CTO_FIXTURE_KEY".to_owned()),
            Self::NoEndpoint => layout.endpoint = false,
            Self::SourceNotAdmitted => layout.source_status = "not_admitted",
            Self::OtherBinary => layout.other_binary = Some(Sha256Digest::of(b"another binary")),
        }
    }
}

/// Lays the ground for a row.
pub(super) fn lay(harness: &Harness, case: &LoadedCase, change: ModelChange) -> Result<Ground, String> {
    let about = EngineManifest {
        name: AGENT.to_owned(),
        ..EngineManifest::default()
    };
    let mut layout = Layout::of(&about, change.mode().stage());
    change.apply(&mut layout);
    Ground::lay(harness, &layout, |settings, place| {
        let manifest = place.join("engine.yaml");
        write(&manifest, &agent(case))?;
        let engine = EngineSettings {
            manifest: Some(manifest),
            program: Some(PROGRAM.into()),
            ..EngineSettings::default()
        };
        settings.engines.insert(AGENT.to_owned(), engine);
        Ok(())
    })
}

/// The agent's manifest: it makes the case's reference edit and says that it is done.
fn agent(case: &LoadedCase) -> Value {
    let edits: String = case
        .case
        .reference_edit
        .iter()
        .map(|(path, content)| format!("cat > '{path}' <<'END-OF-FILE'\n{content}END-OF-FILE\n"))
        .collect();
    json!({
        "schema": "cto/engine/1.0",
        "name": AGENT,
        "summary": "the agent of the failure matrix",
        "find": {},
        "argv": ["-c", format!("{edits}echo done")],
        "model": {
            "dialects": ["chat_completions"],
            "base_path": "/v1",
            "key_variable": "OPENAI_API_KEY",
        },
        "stream": {"parser": "lines", "final_event": "done"},
    })
}
