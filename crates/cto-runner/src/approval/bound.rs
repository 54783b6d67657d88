//! What an approval is bound to, gathered the same way when it is asked for and when it is used.

use std::path::Path;

use cto_schema::{BoundValues, Facts, Sha256Digest, TargetFacts, TaskContract, escape};

use crate::baseline::beneath;
use crate::model::ModelPlan;
use crate::request::{Harness, RunRequest};

/// Where nothing is there to be bound, this is what is bound.
const NONE: &str = "none";

/// Returns everything that an approval is bound to, but the target. `Err` says what could not be told.
pub(crate) fn bound_now(
    harness: &Harness,
    request: &RunRequest,
    contract: &TaskContract,
    facts: &Facts,
    plan: Option<&ModelPlan>,
) -> Result<BoundValues, String> {
    let mut bound = BoundValues::new();
    let mut bind = |name: &str, value: String| drop(bound.insert(name.to_owned(), value));
    bind("contract", contract.digest().to_string());
    bind("engine", escape(request.engine.as_bytes(), 80));
    let manifest = facts.engine.manifest_digest;
    bind(
        "engine_manifest",
        manifest.map_or_else(|| NONE.to_owned(), |digest| digest.to_string()),
    );
    bind("engine_program", engine_program(facts)?);
    bind("engine_command", command(request));
    bind("harness_program", digest_of(Path::new("/proc/self/exe"))?);
    bind("harness_version", env!("CARGO_PKG_VERSION").to_owned());
    bind("stage", contract.mutation_mode.stage().to_string());
    bind("mutation_mode", contract.mutation_mode.word().to_owned());
    bind("model", model(facts));
    bind("sandbox", facts.sandbox.provider.clone());
    let workspace = request.workspace.or(harness.settings.workspace);
    bind("workspace", workspace.map_or("probed", |kind| kind.word()).to_owned());
    bind("toolchains", toolchains(harness, request));
    for (name, value) in reachable(harness, plan)? {
        bind(name, value);
    }
    let installation = harness.home.installation_id().map_err(|error| error.to_string())?;
    bind("installation", installation);
    let admissions = &facts.admissions;
    let digest = |digest: Option<Sha256Digest>| digest.map_or_else(|| NONE.to_owned(), |digest| digest.to_string());
    bind("admission.decision", digest(admissions.decision.digest));
    bind("admission.model", digest(admissions.model.admission.digest));
    bind("admission.source", digest(admissions.source.digest));
    bind("admission.build", digest(admissions.build.digest));
    bind("admission.repository", digest(facts.target.admission.digest));
    let engine = &facts.engine;
    if let Some(gate) = &engine.allow_gate {
        bind(
            &format!("gate.{gate}"),
            if engine.allow_gate_set { "1" } else { NONE }.to_owned(),
        );
    }
    if let Some(gate) = &engine.stage_gate {
        let value = engine.stage_gate_value.as_deref().unwrap_or(NONE);
        bind(&format!("gate.{gate}"), escape(value.as_bytes(), 20));
    }
    Ok(bound)
}

/// Returns where a run may connect, and what may be asked there: an approval of one endpoint is none of another.
fn reachable(harness: &Harness, plan: Option<&ModelPlan>) -> Result<[(&'static str, String); 5], String> {
    let names = [
        "gateway.egress",
        "gateway.provider_tools",
        "gateway.request_fields",
        "gateway.limits",
        "model.endpoints",
    ];
    let Some(plan) = plan else {
        return Ok(names.map(|name| (name, NONE.to_owned())));
    };
    let seal = sealed_by(harness)?;
    let listed = |words: &[String]| {
        let shown: Vec<String> = words.iter().map(|word| escape(word.as_bytes(), 300)).collect();
        if shown.is_empty() {
            NONE.to_owned()
        } else {
            shown.join(", ")
        }
    };
    let limits = serde_json::to_vec(&plan.limits).map_err(|error| error.to_string())?;
    let values = [
        listed(&plan.egress),
        listed(&plan.provider_tool_words()),
        listed(&plan.request_fields),
        Sha256Digest::of(&limits).to_string(),
        plan.bound_endpoints(&seal).join(", "),
    ];
    let [a, b, c, d, e] = names;
    let [v, w, x, y, z] = values;
    Ok([(a, v), (b, w), (c, x), (d, y), (e, z)])
}

/// Returns what turns a text into one that is always the same for it and tells nobody what it was: a plain digest of an
/// address can be guessed. With another signing key, what is bound so is another value.
fn sealed_by(harness: &Harness) -> Result<impl Fn(&str) -> String, String> {
    let keys = cto_evidence::Keys::open(&harness.home).map_err(|error| error.to_string())?;
    let signer = keys.ensure_signing_key().map_err(|error| error.to_string())?;
    Ok(move |text: &str| {
        let statement = format!("urn:cto:bound-endpoint:1.0\0{text}");
        let signed = signer.envelope(statement.as_bytes());
        let signature = signed.signatures.first().map(|one| one.sig.as_bytes());
        Sha256Digest::of(signature.unwrap_or_default()).to_string()
    })
}

/// Returns what an approval is bound to of the target: by descriptor, not by name.
pub(crate) fn bound_target(target: &TargetFacts, path: Option<&str>, identity: Option<(u64, u64)>) -> BoundValues {
    let mut bound = BoundValues::new();
    let mut bind = |name: &str, value: Option<String>| {
        drop(bound.insert(format!("target.{name}"), value.unwrap_or_else(|| NONE.to_owned())));
    };
    bind("path", path.map(cto_policy::shown_path));
    bind("device", identity.map(|(device, _)| device.to_string()));
    bind("inode", identity.map(|(_, inode)| inode.to_string()));
    bind("commit", target.commit.clone());
    let state = target.before.as_ref();
    bind("head", state.map(|state| state.head.clone()));
    let digest = |digest: Option<Sha256Digest>| digest.map(|digest| digest.to_string());
    bind("refs", state.and_then(|state| digest(state.refs_digest)));
    bind("index", state.and_then(|state| digest(state.index_digest)));
    bind("metadata", state.and_then(|state| digest(state.metadata_digest)));
    bound
}

/// The engine's own bytes, where it has any besides ours.
fn engine_program(facts: &Facts) -> Result<String, String> {
    if let Some(digest) = facts.engine.program_digest {
        return Ok(digest.to_string());
    }
    if facts.engine.program.starts_with('/') && facts.engine.program_found == Some(true) {
        let path = Path::new(&facts.engine.program);
        // A program that exists only in the workspace is bound by the target's commit.
        return if path.exists() {
            digest_of(path)
        } else {
            Ok(facts.engine.program.clone())
        };
    }
    Ok(match facts.engine.program.as_str() {
        "" => "embedded".to_owned(),
        name => name.to_owned(),
    })
}

fn command(request: &RunRequest) -> String {
    if request.command.is_empty() {
        return NONE.to_owned();
    }
    let mut joined = Vec::new();
    for word in &request.command {
        joined.extend_from_slice(&(word.len() as u64).to_be_bytes());
        joined.extend_from_slice(word.as_encoded_bytes());
    }
    Sha256Digest::of(&joined).to_string()
}

fn model(facts: &Facts) -> String {
    let model = &facts.admissions.model;
    match (&model.provider, &model.model) {
        (Some(provider), Some(model)) => format!("{provider}/{model}"),
        _ => NONE.to_owned(),
    }
}

fn toolchains(harness: &Harness, request: &RunRequest) -> String {
    let all = crate::facts::toolchains(harness, request);
    if all.is_empty() {
        return NONE.to_owned();
    }
    let shown: Vec<String> = all
        .iter()
        .map(|path| escape(path.as_os_str().as_encoded_bytes(), 400))
        .collect();
    shown.join(":")
}

fn digest_of(path: &Path) -> Result<String, String> {
    let shown = || escape(path.as_os_str().as_encoded_bytes(), 400);
    let digest = std::fs::File::open(path).and_then(beneath::digest_reader);
    digest
        .map(|(digest, _)| digest.to_string())
        .map_err(|error| format!("failed to read {}: {error}", shown()))
}
