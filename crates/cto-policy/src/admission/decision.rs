//! Whether the operator decided for the provider that is asked for.

use cto_schema::{AdmissionFacts, DecisionStatus, ProviderDecision};

use super::classes;

/// Why a provider decision does not let an engine run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecisionRefusal {
    /// There is no decision, or none that can be used.
    NotDecided(String),
    /// The decision is for something else.
    Forbids(String),
}

/// Judges the provider decision; `Ok` carries the status. With no record nothing is decided.
pub fn judge_decision(facts: &AdmissionFacts) -> Result<DecisionStatus, DecisionRefusal> {
    use DecisionRefusal::{Forbids, NotDecided};
    if let Some(problem) = &facts.decision.problem {
        return Err(NotDecided(format!("the provider decision cannot be used: {problem}")));
    }
    let Some(record) = &facts.decision.record else {
        return Err(NotDecided(
            "no provider is decided for; record the decision with cto admit decision".to_owned(),
        ));
    };
    if let Some(contradiction) = contradiction(record) {
        return Err(NotDecided(format!(
            "the provider decision cannot be used: {contradiction}"
        )));
    }
    if record.decision_status == DecisionStatus::NotDecided {
        return Err(NotDecided(
            "the provider decision says not_decided, and until it is decided nothing may run".to_owned(),
        ));
    }
    if record.decision_status == DecisionStatus::LocalProviderRequired {
        let elsewhere: Vec<&str> = facts
            .model
            .providers
            .iter()
            .filter(|reach| reach.class != "local")
            .map(|reach| reach.provider.as_str())
            .collect();
        if !elsewhere.is_empty() {
            let names = elsewhere.join(", ");
            return Err(Forbids(format!(
                "the provider decision requires a local provider, and these are not: {names}"
            )));
        }
    }
    let decided = (
        record.provider.as_ref().map(|p| p.as_str()),
        record.model.as_ref().map(|m| m.as_str()),
    );
    let asked = (facts.model.provider.as_deref(), facts.model.model.as_deref());
    if decided != asked {
        let shown = |pair: (Option<&str>, Option<&str>)| {
            format!("{}/{}", pair.0.unwrap_or("(none)"), pair.1.unwrap_or("(none)"))
        };
        return Err(Forbids(format!(
            "{} was requested and the provider decision is for {}",
            shown(asked),
            shown(decided)
        )));
    }
    if let (Some(network), Some(credential)) = (&record.allowed_network_class, &record.credential_source_class) {
        let (network, credential) = (network.as_str(), credential.as_str());
        let found = classes::contradiction("provider decision", network, credential, &facts.model.providers);
        if let Some(why) = found {
            return Err(Forbids(why));
        }
    }
    let fallbacks = facts
        .model
        .admission
        .record
        .iter()
        .flat_map(|admission| admission.fallback.iter());
    let other = fallbacks
        .filter(|pair| {
            record.fallback_provider.as_ref() != Some(&pair.provider)
                || record.fallback_model.as_ref() != Some(&pair.model)
        })
        .map(ToString::to_string)
        .next();
    other.map_or(Ok(record.decision_status), |pair| {
        Err(Forbids(format!(
            "the model admission has the fallback {pair}, which the provider decision does not name"
        )))
    })
}

/// What makes a decision contradict itself.
fn contradiction(record: &ProviderDecision) -> Option<&'static str> {
    let external = record.provider_class.map(cto_schema::ProviderClass::is_external);
    let named = record.provider.is_some() || record.model.is_some();
    let fallback = record.fallback_provider.is_some() || record.fallback_model.is_some();
    match (record.decision_status, external) {
        (DecisionStatus::NotDecided, None) if !named && !fallback => return None,
        (DecisionStatus::NotDecided, _) => return Some("it decides nothing and names a provider, model or class"),
        (DecisionStatus::ExternalProviderApproved, Some(true))
        | (DecisionStatus::LocalProviderRequired, Some(false)) => {}
        (DecisionStatus::ExternalProviderApproved, _) => {
            return Some("it approves an external provider and its class is not external");
        }
        (DecisionStatus::LocalProviderRequired, _) => {
            return Some("it requires a local provider and its class is not local");
        }
    }
    if record.provider.is_none() || record.model.is_none() {
        return Some("it names no provider or no model");
    }
    if record.fallback_provider.is_some() != record.fallback_model.is_some() {
        return Some("it names half a fallback");
    }
    if record.approval_source.is_none() {
        return Some("it does not say who approved it");
    }
    if record.credential_source_class.is_none() || record.allowed_network_class.is_none() {
        return Some("it does not name the class of credential and of network");
    }
    None
}
