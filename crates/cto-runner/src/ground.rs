//! Ground to prove engines on: records, gates and a scripted model, in settings of its own beside the operator's.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use cto_evidence::{AllowedSigners, Home};
use cto_gateway::CredentialSource;
use cto_gateway::scripted::{ScriptedModel, ScriptedOptions};
use cto_schema::{RecordKind, Sha256Digest};
use serde_json::{Value, json};

use crate::engine::EngineManifest;
use crate::model::{GatewaySettings, ProviderKind, ProviderSettings, Variables, credential_class, look_at_binary};
use crate::request::Harness;
use crate::run::chain;
use crate::settings::Settings;

/// What stands for an engine's program: every machine has it.
pub(crate) const PROGRAM: &str = "/bin/sh";
/// A commit that the records name.
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// How the ground is laid: everything is admitted but what is changed.
#[derive(Debug)]
pub(crate) struct Layout<'a> {
    pub(crate) manifest: &'a EngineManifest,
    /// The stage that is open.
    pub(crate) stage: u8,
    pub(crate) allowed: bool,
    pub(crate) provider: &'static str,
    /// The model that is admitted.
    pub(crate) model: &'static str,
    pub(crate) requested: &'static str,
    pub(crate) endpoint: bool,
    pub(crate) credential: CredentialSource,
    pub(crate) source_status: &'static str,
    /// Whether source and build are on record as well; a real program has no record that a stub could stand for.
    pub(crate) source_and_build: bool,
    /// The digest of the admitted binary, where it is not the program's.
    pub(crate) other_binary: Option<Sha256Digest>,
    pub(crate) options: ScriptedOptions,
}

impl<'a> Layout<'a> {
    /// Returns a layout on which the engine may run at a stage.
    pub(crate) fn of(manifest: &'a EngineManifest, stage: u8) -> Self {
        Self {
            manifest,
            stage,
            allowed: true,
            provider: "scripted",
            model: "scripted-fix",
            requested: "scripted-fix",
            endpoint: true,
            credential: CredentialSource::None,
            source_status: "admitted",
            source_and_build: true,
            other_binary: None,
            options: ScriptedOptions::default(),
        }
    }
}

/// An installation with records and a model of its own; home, sandbox and toolchains are the caller's.
pub(crate) struct Ground {
    pub(crate) harness: Harness,
    #[expect(dead_code, reason = "they serve as long as they live")]
    alive: (ScriptedModel, tempfile::TempDir),
}

impl Ground {
    /// Lays it; `settle` may add to the settings, and to the directory that they may name.
    pub(crate) fn lay(
        harness: &Harness,
        layout: &Layout<'_>,
        settle: impl FnOnce(&mut Settings, &Path) -> std::io::Result<()>,
    ) -> Result<Self, String> {
        let failed = |error: std::io::Error| error.to_string();
        let place = tempfile::tempdir_in(harness.home.work()).map_err(failed)?;
        let mut settings = harness.settings.clone();
        let provider = ProviderSettings {
            class: Some(ProviderKind::Local),
            credential: Some(layout.credential.clone()),
            ..ProviderSettings::default()
        };
        settings.providers.insert(layout.provider.to_owned(), provider);
        settings.gateway = GatewaySettings::default();
        settle(&mut settings, place.path()).map_err(failed)?;
        let model = ScriptedModel::start(layout.options.clone()).map_err(|error| chain(&error))?;
        let environment = environment(place.path(), layout, &model).map_err(failed)?;
        let home = Home::open(harness.home.root()).map_err(|error| chain(&error))?;
        let mut harness = Harness::new(
            home,
            settings,
            harness.git.clone(),
            environment,
            harness.secrets.clone(),
        )
        .map_err(|error| chain(&error))?
        .with_variables(BTreeSet::new(), BTreeMap::new());
        // Nobody may approve there; the rungs below are not asked for.
        harness.validator = Some(AllowedSigners::default());
        Ok(Self {
            harness,
            alive: (model, place),
        })
    }
}

/// Gates, the requested pair, the endpoint, and where the records lie, which are written here.
fn environment(place: &Path, layout: &Layout<'_>, model: &ScriptedModel) -> std::io::Result<BTreeMap<String, String>> {
    let manifest = layout.manifest;
    let variables = Variables::of(manifest);
    let mut environment = BTreeMap::from([
        (manifest.stage_gate(), layout.stage.to_string()),
        (variables.provider(), layout.provider.to_owned()),
        (variables.model(), layout.requested.to_owned()),
    ]);
    if layout.allowed {
        environment.insert(manifest.allow_gate(), "1".to_owned());
    }
    if layout.endpoint {
        let base = match manifest.wire.as_ref().map(|wire| wire.dialects.as_slice()) {
            Some([cto_gateway::Dialect::Messages]) => model.anthropic_base_url(),
            _ => model.openai_base_url(),
        };
        environment.insert(variables.local_base_url(), base);
    }
    let records = [
        (RecordKind::Decision, decision(layout)),
        (RecordKind::Model, admission(layout)),
        (RecordKind::Source, source(layout)),
        (RecordKind::Build, build(layout)),
    ];
    let own = |kind: &RecordKind| !matches!(kind, RecordKind::Source | RecordKind::Build);
    for (kind, record) in records
        .into_iter()
        .filter(|(kind, _)| layout.source_and_build || own(kind))
    {
        let path = place.join(format!("{}.json", kind.word()));
        write(&path, &record)?;
        environment.insert(variables.record(kind), path.display().to_string());
    }
    Ok(environment)
}

fn decision(layout: &Layout<'_>) -> Value {
    json!({
        "decision_status": "local_provider_required",
        "provider_class": "local_case_compatible",
        "provider": layout.provider,
        "model": layout.model,
        "approval_source": "a proof",
        "credential_source_class": credential_class(&layout.credential),
        "allowed_network_class": "local",
        "review_trigger": "never: it serves one run",
        "effect": "one run",
    })
}

fn admission(layout: &Layout<'_>) -> Value {
    json!({
        "status": "admitted",
        "provider": layout.provider,
        "model": layout.model,
        "credential_source_class": credential_class(&layout.credential),
        "allowed_network_class": "local",
        "approval_source": "a proof",
        "admission_timestamp": "2026-01-01T00:00:00Z",
        "review_trigger": "never: it serves one run",
    })
}

fn source(layout: &Layout<'_>) -> Value {
    let modes = ["copied-fixture", "copied-repo"];
    json!({
        "admission_status": layout.source_status,
        "source_name": layout.manifest.name,
        "source_url": "https://example.invalid/engine",
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

fn build(layout: &Layout<'_>) -> Value {
    let binary = look_at_binary(Path::new(PROGRAM), false);
    json!({
        "engine": layout.manifest.name,
        "pinned_commit": COMMIT,
        "binary_path": binary.path,
        "binary_size_bytes": binary.size_bytes,
        "binary_sha256": layout.other_binary.or(binary.digest),
        // The stub does not speak; what the real program has to say is asked when its build is admitted.
        "identity_check": {"command": ["--help"], "expected": "Case", "passed": true},
        "command_shape": ["sh"],
        "build_timestamp": "2026-01-01T00:00:00Z",
    })
}

/// Writes a file of the operator's: what others could write is not believed.
pub(crate) fn write(path: &Path, document: &Value) -> std::io::Result<()> {
    let mut options = fs::File::options();
    let mut file = options.write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(document.to_string().as_bytes())
}
