//! Gates of engines that run with a model: decision, admissions, endpoint and credential.

use cto_schema::{BlockerCode, MutationMode};

use super::{GateInput, Refusal, rules};
use crate::admission::{DecisionRefusal, judge_build, judge_decision, judge_model, judge_source};

/// Returns the mode when admissions are asked for: the engine needs a model, its own gates hold, and the mode runs
/// something. A closed gate is the cause; what is not admitted behind it is not told as well.
fn asked(input: &GateInput<'_>) -> Option<MutationMode> {
    let engine = &input.facts.engine;
    let mode = input.contract.ok()?.mutation_mode;
    let closed = !engine.registered || rules::engine_allow(input).is_some() || rules::engine_stage(input).is_some();
    (engine.needs_model && !closed && mode != MutationMode::None).then_some(mode)
}

pub(super) fn provider_decision(input: &GateInput<'_>) -> Option<Refusal> {
    asked(input)?;
    let facts = &input.facts.admissions;
    if !facts.decision_required {
        return None;
    }
    match judge_decision(facts) {
        Ok(_) => None,
        Err(DecisionRefusal::NotDecided(detail)) => Some((BlockerCode::GateMissing, detail)),
        Err(DecisionRefusal::Forbids(detail)) => Some((BlockerCode::ModelNotAdmitted, detail)),
    }
}

pub(super) fn model_admission(input: &GateInput<'_>) -> Option<Refusal> {
    asked(input)?;
    let judged = judge_model(&input.facts.admissions);
    judged.blocks.then(|| {
        (
            BlockerCode::ModelNotAdmitted,
            format!("{}: {}", judged.status.word(), judged.reason),
        )
    })
}

pub(super) fn source_admission(input: &GateInput<'_>) -> Option<Refusal> {
    let mode = asked(input)?;
    let facts = &input.facts.admissions;
    if !facts.source.present && rules::ungated(input) {
        return None;
    }
    let judged = judge_source(facts, mode);
    judged.blocks.then(|| {
        (
            BlockerCode::SourceNotAdmitted,
            format!("{}: {}", judged.status.word(), judged.reason),
        )
    })
}

pub(super) fn build(input: &GateInput<'_>) -> Option<Refusal> {
    let mode = asked(input)?;
    // A program that is not there is refused by its own gate; that is the cause.
    let missing = input.facts.engine.program_found == Some(false);
    if missing || (!input.facts.admissions.build.present && rules::ungated(input)) {
        return None;
    }
    let judged = judge_build(&input.facts.admissions, &input.facts.engine.name, mode);
    judged.blocks.then(|| {
        (
            BlockerCode::BuildMismatch,
            format!("{}: {}", judged.status.word(), judged.reason),
        )
    })
}

/// How a provider that is not admitted could be reached is nobody's question.
fn model_admitted(input: &GateInput<'_>) -> bool {
    asked(input).is_some() && model_admission(input).is_none()
}

pub(super) fn provider_config(input: &GateInput<'_>) -> Option<Refusal> {
    if !model_admitted(input) {
        return None;
    }
    let providers = &input.facts.admissions.model.providers;
    let detail = if providers.is_empty() {
        "how the provider is reached is not known".to_owned()
    } else {
        let missing: Vec<&str> = providers
            .iter()
            .filter(|reach| !reach.endpoint_configured)
            .map(|reach| reach.endpoint_detail.as_str())
            .collect();
        if missing.is_empty() {
            return None;
        }
        missing.join("; ")
    };
    Some((BlockerCode::ProviderLocalConfigUnavailable, detail))
}

pub(super) fn provider_auth(input: &GateInput<'_>) -> Option<Refusal> {
    if !model_admitted(input) {
        return None;
    }
    let missing: Vec<&str> = input
        .facts
        .admissions
        .model
        .providers
        .iter()
        // A provider that nobody knows has no credential either; its own gate says so.
        .filter(|reach| !reach.class.is_empty() && !reach.credential_present)
        .map(|reach| reach.credential_detail.as_str())
        .collect();
    (!missing.is_empty()).then(|| (BlockerCode::ProviderAuthUnavailable, missing.join("; ")))
}
