//! How far an engine has come: from the decision over its admissions to the stage that is open for it.

use cto_policy::{Rung, admissions_of, judge_build, judge_decision, judge_model, judge_source};
use cto_schema::{EngineFacts, MutationMode};

use crate::engine::{EngineManifest, Search};
use crate::facts::look_at_engine;
use crate::ladder::{LadderError, one_rung};
use crate::model::Variables;
use crate::request::{Harness, RunRequest, Task};
use crate::run::chain;

/// How far an engine has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineChain {
    /// The engine.
    pub engine: String,
    /// Whether it runs with a model.
    pub needs_model: bool,
    /// The stage that its gate names; null when none is open.
    pub stage: Option<u8>,
    /// The chain, in order.
    pub steps: Vec<ChainStep>,
}

impl EngineChain {
    /// Returns the first step that does not hold.
    pub fn stops_at(&self) -> Option<&ChainStep> {
        self.steps.iter().find(|step| step.state == ChainState::Missing)
    }
}

/// One step of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainStep {
    /// `decision`, `model`, `source`, `program`, `build`, `provider`, `allow-gate`, `stage`.
    pub name: &'static str,
    /// Whether it holds.
    pub state: ChainState,
    /// What was seen.
    pub detail: String,
    /// What to type next; empty when nothing is needed.
    pub next: String,
}

/// Whether a step holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainState {
    /// It does.
    Holds,
    /// It does not, and is recorded; the stage does not need it.
    Recorded,
    /// It is not asked for.
    NotNeeded,
    /// It does not: the chain stops here.
    Missing,
}

impl ChainState {
    /// Returns the word used in documents.
    pub fn word(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Recorded => "recorded",
            Self::NotNeeded => "not_needed",
            Self::Missing => "missing",
        }
    }
}

/// Looks at one engine; nothing is started.
pub fn engine_chain(harness: &Harness, engine: &str) -> Option<EngineChain> {
    let (found, _) = harness.engines.find(engine).ok()?;
    let manifest = found.manifest();
    let task = Task::Contract {
        path: std::path::PathBuf::new(),
        bytes: vec![],
    };
    let request = RunRequest::of(task, engine.to_owned());
    let (facts, search) = look_at_engine(harness, &request);
    let about = &facts.engine;
    let stage = about.stage_gate_value.as_deref().and_then(|value| value.parse().ok());
    let mode = MutationMode::of_stage(stage.unwrap_or(about.ungated_up_to_stage.max(2)));
    let mode = mode.unwrap_or(MutationMode::CandidateDefault);
    let mut steps = Vec::new();
    if about.needs_model {
        steps.extend(admissions(&facts.admissions, manifest, mode));
    } else {
        let detail = if manifest.model_optional {
            "needed only when a model is asked for with --model"
        } else {
            "this engine runs without a model"
        };
        for name in ["decision", "model", "source", "build", "provider"] {
            steps.push(step(name, ChainState::NotNeeded, detail, ""));
        }
    }
    let at = steps
        .iter()
        .position(|step| step.name == "build")
        .unwrap_or(steps.len());
    steps.insert(at, program(&search));
    let below = stage.filter(|stage| (2..=6).contains(stage)).map(|stage| {
        let admissions = admissions_of(&facts);
        (stage - 1, one_rung(harness, engine, stage - 1, &admissions))
    });
    steps.extend(gates(about, stage, below.as_ref()));
    Some(EngineChain {
        engine: manifest.name.clone(),
        needs_model: about.needs_model,
        stage: if about.gated {
            stage
        } else {
            Some(about.ungated_up_to_stage)
        },
        steps,
    })
}

fn step(name: &'static str, state: ChainState, detail: impl Into<String>, next: impl Into<String>) -> ChainStep {
    ChainStep {
        name,
        state,
        detail: detail.into(),
        next: next.into(),
    }
}

fn state(blocks: bool, reason: &str) -> ChainState {
    match (blocks, reason.is_empty()) {
        (true, _) => ChainState::Missing,
        (false, true) => ChainState::Holds,
        (false, false) => ChainState::Recorded,
    }
}

fn admissions(facts: &cto_schema::AdmissionFacts, manifest: &EngineManifest, mode: MutationMode) -> Vec<ChainStep> {
    let engine = &manifest.name;
    let mut steps = Vec::new();
    if facts.decision_required {
        let next = format!("cto admit decision --engine {engine} --help");
        steps.push(match judge_decision(facts) {
            Ok(status) => step("decision", ChainState::Holds, status.word(), ""),
            Err(cto_policy::DecisionRefusal::NotDecided(why) | cto_policy::DecisionRefusal::Forbids(why)) => {
                step("decision", ChainState::Missing, why, next)
            }
        });
    } else {
        steps.push(step(
            "decision",
            ChainState::NotNeeded,
            "this engine needs no provider decision",
            "",
        ));
    }
    let model = judge_model(facts);
    let pair = format!(
        "{}/{}",
        facts.model.provider.as_deref().unwrap_or("PROVIDER"),
        facts.model.model.as_deref().unwrap_or("MODEL")
    );
    let holds = format!("{}: {pair}", model.status.word());
    let next = format!("cto admit model --engine {engine} --model {pair} --approval WHO");
    steps.push(verdict("model", model.blocks, &model.reason, holds, next));
    let source = judge_source(facts, mode);
    let next = format!("cto admit source --engine {engine} --help");
    steps.push(verdict(
        "source",
        source.blocks,
        &source.reason,
        source.status.word().to_owned(),
        next,
    ));
    let build = judge_build(facts, engine, mode);
    let next = format!("cto admit build --engine {engine} --bin PATH");
    steps.push(verdict(
        "build",
        build.blocks,
        &build.reason,
        build.status.word().to_owned(),
        next,
    ));
    steps.push(provider(facts, manifest));
    steps
}

fn verdict(name: &'static str, blocks: bool, reason: &str, holds: String, next: String) -> ChainStep {
    let state = state(blocks, reason);
    match state {
        ChainState::Holds => step(name, state, holds, ""),
        _ => step(name, state, reason, next),
    }
}

fn provider(facts: &cto_schema::AdmissionFacts, manifest: &EngineManifest) -> ChainStep {
    let lacking = facts.model.providers.iter().find_map(|reach| {
        let endpoint = (!reach.endpoint_configured).then_some(&reach.endpoint_detail);
        endpoint.or((!reach.credential_present).then_some(&reach.credential_detail))
    });
    let local = Variables::of(manifest).local_base_url();
    match (facts.model.providers.first(), lacking) {
        (None, _) => step(
            "provider",
            ChainState::Missing,
            "no model is asked for",
            facts.model.how_to_request.clone(),
        ),
        (Some(_), Some(why)) if why.contains(&local) => {
            step("provider", ChainState::Missing, why, format!("export {local}=ADDRESS"))
        }
        (Some(_), Some(why)) => step("provider", ChainState::Missing, why, mend(why)),
        (Some(first), None) => step(
            "provider",
            ChainState::Holds,
            format!("{}, credential class {}", first.class, first.credential_class),
            "",
        ),
    }
}

/// Returns the part of a detail that says what to do; where it says nothing, the settings are the place to look.
fn mend(why: &str) -> &str {
    let parts = why.rsplit("; ").chain(why.rsplit(": "));
    let mut mends = parts.filter(|part| ["set ", "say ", "run "].iter().any(|verb| part.starts_with(verb)));
    mends.next().unwrap_or("cto config show")
}

fn program(search: &Search) -> ChainStep {
    match search {
        Search::NotNeeded => step("program", ChainState::NotNeeded, "embedded, or named with each run", ""),
        Search::Found(found) => {
            let path = cto_schema::escape(found.program.as_os_str().as_encoded_bytes(), 300);
            step("program", ChainState::Holds, format!("{path} ({})", found.how), "")
        }
        Search::Missing { looked, mend } => step("program", ChainState::Missing, looked.join("; "), mend),
    }
}

/// The allow gate, and the stage: open when its gate names it and the stage below is validated.
fn gates(engine: &EngineFacts, stage: Option<u8>, below: Option<&(u8, Result<Rung, LadderError>)>) -> [ChainStep; 2] {
    if !engine.gated {
        let detail = format!("no gate up to stage {}", engine.ungated_up_to_stage);
        return ["allow-gate", "stage"].map(|name| step(name, ChainState::NotNeeded, detail.clone(), ""));
    }
    let name = |gate: &Option<String>| gate.clone().unwrap_or_default();
    let (allow, stage_gate) = (name(&engine.allow_gate), name(&engine.stage_gate));
    let allowed = if engine.allow_gate_set {
        step("allow-gate", ChainState::Holds, format!("{allow}=1"), "")
    } else {
        step(
            "allow-gate",
            ChainState::Missing,
            format!("{allow} is not 1"),
            format!("export {allow}=1"),
        )
    };
    let missing = |detail: String, next: String| step("stage", ChainState::Missing, detail, next);
    let validate = |below: u8| format!("cto stage validate {below} --engine {}", engine.name);
    let open = match (stage, below) {
        (Some(stage @ 1..=6), None) => step("stage", ChainState::Holds, format!("{stage_gate}={stage}"), ""),
        (Some(stage @ 1..=6), Some((below, Ok(rung)))) if rung.validated() => {
            let detail = format!("{stage_gate}={stage}; stage {below} is validated");
            step("stage", ChainState::Holds, detail, "")
        }
        (Some(1..=6), Some((below, Ok(rung)))) => missing(
            format!("stage {below} is not validated: {} missing", rung.missing.join(", ")),
            validate(*below),
        ),
        (Some(1..=6), Some((below, Err(error)))) => missing(chain(error), validate(*below)),
        _ => missing(format!("{stage_gate} names no stage"), format!("export {stage_gate}=2")),
    };
    [allowed, open]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_is_taken_from_what_was_seen() {
        for (why, expected) in [
            ("provider 'x' has no endpoint; set LAB_URL", "set LAB_URL"),
            (
                "the credential of provider 'x' is not there: set LAB_KEY",
                "set LAB_KEY",
            ),
            (
                "the credential of provider 'x' is not there: /k: No such file or directory",
                "cto config show",
            ),
        ] {
            assert_eq!(mend(why), expected);
        }
    }
}
