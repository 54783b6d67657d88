//! Which model an engine may use: the requested pair, the records that admit it, and how its provider is reached.

mod binary;
mod endpoint;
mod plan;
mod provider;
mod records;
mod settings;
#[cfg(test)]
mod tests;
mod variables;

use std::path::Path;

use cto_policy::judge_model;
use cto_schema::{AdmissionFacts, ModelAdmission, ModelFacts, ModelPair, RecordFact, RecordKind, escape};

use crate::engine::EngineManifest;
use crate::request::{Harness, RunRequest};

pub(crate) use binary::binary_facts;
pub use binary::look_at_binary;
pub use endpoint::{Endpoint, InvalidEndpoint};
pub use plan::ModelPlan;
pub use records::{RecordPlace, own_place, read_fact, record_place};
pub(crate) use settings::credential_class;
pub use settings::{GatewaySettings, ProfileLimits, ProfileSettings, ProviderKind, ProviderSettings};
pub use variables::Variables;

use plan::PlannedRoute;
use provider::{Asker, Reached, reach};

/// A model as somebody asked for it; an admission decides whether it is used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestedModel {
    /// The provider.
    pub provider: Option<String>,
    /// The model.
    pub model: Option<String>,
    /// `flag`, `profile`, `environment` or `file`; `record` where nobody asked and the admission names it.
    pub by: &'static str,
}

/// Returns the pair that was asked for: by flag, by the named profile, by the environment, by the settings. A pair
/// comes from one place; halves of two are never joined.
pub fn requested_model(harness: &Harness, request: &RunRequest, manifest: &EngineManifest) -> Option<RequestedModel> {
    if request.model.is_some() {
        return request.model.clone();
    }
    let variables = Variables::of(manifest);
    let variable = |name: String| {
        harness
            .environment
            .get(&name)
            .filter(|value| !value.is_empty())
            .cloned()
    };
    let environment = (
        variable(variables.provider()),
        variable(variables.model()),
        "environment",
    );
    let settings = harness.settings.engines.get(&manifest.name);
    let file = (
        settings.and_then(|settings| settings.model_provider.clone()),
        settings.and_then(|settings| settings.model.clone()),
        "file",
    );
    [environment, file]
        .into_iter()
        .find(|(provider, model, _)| provider.is_some() || model.is_some())
        .map(|(provider, model, by)| RequestedModel { provider, model, by })
}

/// Returns whether an engine runs with a model: its manifest says so, or it may and was asked to.
pub(crate) fn needs_model(harness: &Harness, request: &RunRequest, manifest: &EngineManifest) -> bool {
    let asked = || requested_model(harness, request, manifest).is_some();
    manifest.wire.is_some() || (may_use_a_model(manifest) && asked())
}

/// Returns whether an engine can be asked to run with a model.
pub fn may_use_a_model(manifest: &EngineManifest) -> bool {
    manifest.wire.is_some() || manifest.model_optional
}

/// Returns the class of a provider and of its credential as they are configured for an engine; empty where they are
/// not known.
pub fn provider_classes(harness: &Harness, manifest: &EngineManifest, provider: &str) -> (String, String) {
    let asker = Asker {
        harness,
        variables: &Variables::of(manifest),
        bridged: &[],
        dialects: &[],
    };
    let facts = reach(&asker, provider, true).facts;
    (facts.class, facts.credential_class)
}

/// The engine's program, as far as it was found.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Program<'a> {
    pub(crate) path: Option<&'a Path>,
    /// Whether an interpreter is started, and the program is its script.
    pub(crate) interpreted: bool,
}

/// Reads every record once and finds out how the requested provider is reached; the plan is there only when the model
/// is admitted and everything that it needs is there.
pub(crate) fn gather_admissions(
    harness: &Harness,
    request: &RunRequest,
    manifest: &EngineManifest,
    program: Program<'_>,
) -> (AdmissionFacts, Option<ModelPlan>) {
    let mut facts = AdmissionFacts {
        judged_at_seconds: cto_evidence::wall_now().as_second(),
        decision_required: manifest.needs_decision,
        model: model_facts(harness, request, manifest),
        source: read_fact(&record_place(harness, manifest, RecordKind::Source).path),
        build: read_fact(&record_place(harness, manifest, RecordKind::Build).path),
        ..AdmissionFacts::default()
    };
    if manifest.needs_decision {
        facts.decision = read_fact(&record_place(harness, manifest, RecordKind::Decision).path);
    }
    if let Some(record) = &facts.build.record {
        facts.binary = binary_facts(program.path, program.interpreted, record);
    }
    let variables = Variables::of(manifest);
    let wire = manifest.wire.as_ref();
    let asker = Asker {
        harness,
        variables: &variables,
        bridged: wire.map(|wire| wire.bridged.as_slice()).unwrap_or_default(),
        dialects: wire.map(|wire| wire.dialects.as_slice()).unwrap_or_default(),
    };
    let reached = reach_all(&asker, &facts.model);
    facts.model.providers = reached.iter().map(|reached| reached.facts.clone()).collect();
    facts.model.runtime_provider = wire.and_then(|wire| wire.runtime_provider.clone());
    let plan = make_plan(harness, &facts, reached);
    if let Some(plan) = &plan {
        facts.model.egress = plan.egress.iter().map(|host| escape(host.as_bytes(), 300)).collect();
        facts.model.provider_tools = plan.provider_tool_words();
    }
    (facts, plan)
}

fn model_facts(harness: &Harness, request: &RunRequest, manifest: &EngineManifest) -> ModelFacts {
    let place = record_place(harness, manifest, RecordKind::Model);
    let admission: RecordFact<ModelAdmission> = read_fact(&place.path);
    let variables = Variables::of(manifest);
    let name = &manifest.name;
    let named = match (admission.present, place.by) {
        (false, "environment") => format!("{} names ", variables.record(RecordKind::Model)),
        (false, "file") => "harness.yaml names ".to_owned(),
        _ => String::new(),
    };
    let named = if named.is_empty() {
        named
    } else {
        let path = escape(place.path.as_os_str().as_encoded_bytes(), 300);
        format!("{named}{path}, and there is no such file; ")
    };
    let how_to_request = format!(
        "{named}request a model with --model PROVIDER/MODEL, or in {} and {}, and admit it with: cto admit model --engine {name}",
        variables.provider(),
        variables.model()
    );
    let requested = requested_model(harness, request, manifest).or_else(|| {
        // Nobody asked for another, and the record is the authority.
        let pair = admission.record.as_ref()?.pair();
        Some(RequestedModel {
            provider: Some(pair.provider.to_string()),
            model: Some(pair.model.to_string()),
            by: "record",
        })
    });
    let requested = requested.unwrap_or_default();
    let shown = |text: String| escape(text.as_bytes(), 200);
    ModelFacts {
        provider: requested.provider.map(shown),
        model: requested.model.map(shown),
        requested_by: requested.by.to_owned(),
        how_to_request,
        admission,
        providers: vec![],
        runtime_provider: None,
        egress: vec![],
        provider_tools: vec![],
    }
}

/// The requested provider first, then those of the admitted fallbacks, each once.
fn reach_all(asker: &Asker<'_>, model: &ModelFacts) -> Vec<Reached> {
    let fallbacks = model.admission.record.iter().flat_map(|record| record.fallback.iter());
    let mut names: Vec<&str> = model.provider.as_deref().into_iter().collect();
    for pair in fallbacks {
        if !names.contains(&pair.provider.as_str()) {
            names.push(pair.provider.as_str());
        }
    }
    names
        .iter()
        .enumerate()
        .map(|(index, name)| reach(asker, name, index == 0))
        .collect()
}

fn make_plan(harness: &Harness, facts: &AdmissionFacts, reached: Vec<Reached>) -> Option<ModelPlan> {
    let judged = judge_model(facts);
    let all_there = reached
        .iter()
        .all(|reached| reached.facts.endpoint_configured && reached.facts.credential_present);
    if judged.blocks || !all_there {
        return None;
    }
    let record = facts.model.admission.record.as_ref()?;
    let pair = record.pair();
    let mut planned = Vec::new();
    for pair in std::iter::once(&pair).chain(&record.fallback) {
        planned.push(route(harness, pair, &reached)?);
    }
    let first = reached.into_iter().next()?;
    let gateway = &harness.settings.gateway;
    Some(ModelPlan {
        preflight: match first.kind? {
            ProviderKind::External => cto_gateway::Preflight::None,
            ProviderKind::Local => cto_gateway::Preflight::Local,
        },
        dialects: first.dialects,
        limits: gateway.limits.clone(),
        provider_tools: gateway.provider_tools.clone(),
        request_fields: gateway.request_fields.clone(),
        egress: gateway.egress.clone(),
        planned,
    })
}

fn route(harness: &Harness, pair: &ModelPair, reached: &[Reached]) -> Option<PlannedRoute> {
    let provider = pair.provider.as_str();
    let found = reached.iter().find(|reached| reached.facts.provider == provider)?;
    let settings = harness.settings.providers.get(provider);
    Some(PlannedRoute {
        pair: pair.clone(),
        endpoint: found.endpoint.clone()?,
        credential: found.credential.clone()?,
        price: settings.and_then(|settings| settings.prices.get(pair.model.as_str()).copied()),
    })
}
