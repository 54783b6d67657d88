//! Rows about gates, records and models: a gated agent with a scripted model in settings of its own, with one change.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use cto_evidence::Home;
use cto_gateway::CredentialSource;
use cto_gateway::scripted::{Fault, FaultPlan, ScriptedModel, ScriptedOptions, When};
use cto_schema::{MutationMode, RecordKind, Sha256Digest};
use serde_json::{Value, json};

use crate::cases::LoadedCase;
use crate::engine::EngineManifest;
use crate::model::{GatewaySettings, ProviderKind, ProviderSettings, Variables, look_at_binary};
use crate::request::Harness;
use crate::run::chain;
use crate::settings::EngineSettings;

/// The engine of these rows.
pub(super) const AGENT: &str = "fixture-agent";
/// Its provider, and the model that is admitted.
const PROVIDER: &str = "scripted";
const MODEL: &str = "scripted-fix";
/// What it is: every machine has it, and no two machines the same.
const PROGRAM: &str = "/bin/sh";
/// A commit that its records name.
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What is different from the accepted run of an agent with a model.
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
}

/// An installation with the agent, its records and its model; the home is the caller's.
pub(super) struct ModelWorld {
    pub(super) harness: Harness,
    #[expect(dead_code, reason = "they serve as long as they live")]
    alive: (ScriptedModel, tempfile::TempDir),
}

impl ModelWorld {
    pub(super) fn new(harness: &Harness, case: &LoadedCase, change: ModelChange) -> Result<Self, String> {
        let place = tempfile::tempdir_in(harness.home.work()).map_err(|error| error.to_string())?;
        let fault = FaultPlan {
            fault: Fault::ReasoningOnly,
            when: When::Call(1),
        };
        let options = ScriptedOptions {
            fault: matches!(change, ModelChange::ReasoningOnly).then_some(fault),
            ..ScriptedOptions::default()
        };
        let model = ScriptedModel::start(options).map_err(|error| chain(&error))?;
        let manifest = place.path().join("engine.yaml");
        write(&manifest, &agent(case)).map_err(|error| error.to_string())?;
        let mut settings = harness.settings.clone();
        let engine = EngineSettings {
            manifest: Some(manifest),
            program: Some(PROGRAM.into()),
            ..EngineSettings::default()
        };
        settings.engines.insert(AGENT.to_owned(), engine);
        let credential = match change {
            ModelChange::NoCredential => CredentialSource::Environment("CTO_FIXTURE_KEY".to_owned()),
            _ => CredentialSource::None,
        };
        let provider = ProviderSettings {
            class: Some(ProviderKind::Local),
            credential: Some(credential),
            ..ProviderSettings::default()
        };
        settings.providers.insert(PROVIDER.to_owned(), provider);
        settings.gateway = GatewaySettings::default();
        let environment = environment(place.path(), change, &model).map_err(|error| error.to_string())?;
        let home = Home::open(harness.home.root()).map_err(|error| chain(&error))?;
        let secrets = harness.secrets.clone();
        let harness = Harness::new(home, settings, harness.git.clone(), environment, secrets)
            .map_err(|error| chain(&error))?
            .with_variables(BTreeSet::new(), BTreeMap::new());
        Ok(Self {
            harness,
            alive: (model, place),
        })
    }
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

/// Gates, the requested pair, the endpoint, and where the records lie, which are written here.
fn environment(place: &Path, change: ModelChange, model: &ScriptedModel) -> std::io::Result<BTreeMap<String, String>> {
    let manifest = EngineManifest {
        name: AGENT.to_owned(),
        ..EngineManifest::default()
    };
    let variables = Variables::of(&manifest);
    let requested = match change {
        ModelChange::OtherModelRequested => "another-model",
        _ => MODEL,
    };
    let mut environment = BTreeMap::from([
        (manifest.stage_gate(), change.mode().stage().to_string()),
        (variables.provider(), PROVIDER.to_owned()),
        (variables.model(), requested.to_owned()),
    ]);
    if !matches!(change, ModelChange::GateNotSet) {
        environment.insert(manifest.allow_gate(), "1".to_owned());
    }
    if !matches!(change, ModelChange::NoEndpoint) {
        environment.insert(variables.local_base_url(), model.openai_base_url());
    }
    let records = [
        (RecordKind::Model, model_record()),
        (RecordKind::Source, source_record(change)),
        (RecordKind::Build, build_record(change)),
    ];
    for (kind, record) in records {
        let path = place.join(format!("{}.json", kind.word()));
        write(&path, &record)?;
        environment.insert(variables.record(kind), path.display().to_string());
    }
    Ok(environment)
}

fn model_record() -> Value {
    json!({
        "status": "admitted",
        "provider": PROVIDER,
        "model": MODEL,
        "credential_source_class": "none",
        "allowed_network_class": "local",
        "approval_source": "the failure matrix",
        "admission_timestamp": "2026-01-01T00:00:00Z",
        "review_trigger": "never: it serves one run",
    })
}

fn source_record(change: ModelChange) -> Value {
    let status = match change {
        ModelChange::SourceNotAdmitted => "not_admitted",
        _ => "admitted",
    };
    let modes = ["copied-fixture", "copied-repo"];
    json!({
        "admission_status": status,
        "source_name": AGENT,
        "source_url": "https://example.invalid/fixture-agent",
        "source_type": "git",
        "pinned_commit": COMMIT,
        "commit_date": "2026-01-01T00:00:00Z",
        "retrieval_date": "2026-01-01T00:00:00Z",
        "retrieval_command": "none: it is part of this program",
        "integrity_reference": Sha256Digest::of(COMMIT.as_bytes()),
        "licence_note": {"status": "resolved", "licence": "MIT", "permits": modes},
        "protected_source_boundary": "none",
        "allowed_execution_modes": modes,
    })
}

fn build_record(change: ModelChange) -> Value {
    let binary = look_at_binary(&PathBuf::from(PROGRAM), false);
    let digest = match change {
        ModelChange::OtherBinary => Some(Sha256Digest::of(b"another binary")),
        _ => binary.digest,
    };
    json!({
        "engine": AGENT,
        "pinned_commit": COMMIT,
        "binary_path": binary.path,
        "binary_size_bytes": binary.size_bytes,
        "binary_sha256": digest,
        "identity_check": {"command": [], "passed": true},
        "command_shape": ["sh -c SCRIPT"],
        "build_timestamp": "2026-01-01T00:00:00Z",
    })
}

/// Records that others could write are not believed.
fn write(path: &Path, document: &Value) -> std::io::Result<()> {
    let mut options = fs::File::options();
    let mut file = options.write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(document.to_string().as_bytes())
}
