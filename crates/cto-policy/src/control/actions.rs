//! What may be done next, what may not, and the one thing that is best done.

use cto_schema::{ControlText, EngineProof, GovernedState, LaneReadiness, NextAction};

use super::ControlFacts;

/// Never done by anything that reads a summary.
const NEVER: [&str; 5] = ["activate_runtime_default", "promote_core", "push", "merge", "deploy"];

/// Returns the names of what may be done now and of what may not.
pub(super) fn actions(facts: &ControlFacts, execution_allowed: bool) -> (Vec<ControlText>, Vec<ControlText>) {
    let has = |state| facts.packets.iter().any(|packet| packet.state() == state);
    let conditional = [
        ("run_fixture_or_copy", true),
        ("request_approval_packet", true),
        ("approve_packet", has(GovernedState::Requested)),
        ("deny_packet", has(GovernedState::Requested)),
        ("run_approved_packet_once", execution_allowed),
        ("say_operator_outcome", !facts.waiting.is_empty()),
        ("recover", !facts.dead.is_empty()),
    ];
    let named = |wanted: bool| {
        conditional
            .iter()
            .filter(move |(_, may)| *may == wanted)
            .map(|(name, _)| ControlText::new(name))
    };
    let never = NEVER.iter().map(|name| ControlText::new(name));
    (named(true).collect(), named(false).chain(never).collect())
}

fn action(id: &str, label: &str, why: String, command: &str, blocking: Vec<ControlText>) -> NextAction {
    NextAction {
        id: id.into(),
        label: label.into(),
        why: why.into(),
        command_text: (!command.is_empty()).then(|| command.into()),
        blocking,
    }
}

/// Chooses exactly one action: broken evidence first, then what waits for a person, then the next step upwards.
pub(super) fn next_action(facts: &ControlFacts, ladder: &[EngineProof]) -> NextAction {
    let waits = mend(facts).or_else(|| answer(facts));
    waits.or_else(|| climb(facts, ladder)).unwrap_or_else(|| {
        let why = "every rung that the harness can prove is proven".to_owned();
        action("nothing", "Nothing to do", why, "", vec![])
    })
}

fn mend(facts: &ControlFacts) -> Option<NextAction> {
    let store = facts.evidence.as_ref();
    if let Some(store) = store.filter(|store| !store.ledger_chain_holds) {
        let why = store.ledger_detail.to_string();
        return Some(action(
            "check_evidence",
            "Check the evidence store",
            why,
            "cto verify --all",
            vec!["ledger".into()],
        ));
    }
    let unfinished = store.map_or(0, |store| store.unfinished_changes);
    if !facts.dead.is_empty() || unfinished > 0 {
        let why = format!(
            "{} runs were left by dead processes, {unfinished} changes of repositories are unfinished",
            facts.dead.len()
        );
        let blocking = facts.dead.iter().take(3).map(|run| run.as_str().into()).collect();
        return Some(action(
            "recover",
            "Close what was left open",
            why,
            "cto recover",
            blocking,
        ));
    }
    None
}

fn answer(facts: &ControlFacts) -> Option<NextAction> {
    if let Some(run) = facts.waiting.first() {
        let why = format!("run {run} put its commit into the repository and waits for your word");
        let command = format!("cto show {run}");
        return Some(action(
            "say_operator_outcome",
            "Accept or reject a change",
            why,
            &command,
            vec![run.as_str().into()],
        ));
    }
    let find = |state| facts.packets.iter().find(|packet| packet.state() == state);
    if let Some(packet) = find(GovernedState::Approved) {
        let why = format!(
            "packet {} is approved for one run until {}",
            packet.packet_id, packet.expires_at
        );
        let command = format!("cto approvals {}", packet.packet_id);
        return Some(action(
            "run_approved_packet_once",
            "Run what was approved",
            why,
            &command,
            vec![],
        ));
    }
    let packet = find(GovernedState::Requested)?;
    let why = format!("packet {} asks for a run at stage {}", packet.packet_id, packet.stage);
    let command = format!("cto approvals {}", packet.packet_id);
    Some(action(
        "decide_packet",
        "Read the packet, then approve or deny it",
        why,
        &command,
        vec!["approval".into()],
    ))
}

fn climb(facts: &ControlFacts, ladder: &[EngineProof]) -> Option<NextAction> {
    if facts.evidence.as_ref().is_some_and(|store| store.runs_on_record == 0) {
        let why = "no run is on record".to_owned();
        return Some(action(
            "first_run",
            "Run the first case",
            why,
            "cto run r1-string-slugify",
            vec![],
        ));
    }
    let of = |name: &str| ladder.iter().find(|one| one.engine.as_str() == name);
    if let Some(fake) = of("fake").filter(|one| one.highest_passed_stage < 3) {
        return Some(validate("fake", fake.highest_passed_stage + 1));
    }
    let name = facts.candidate.as_str();
    let candidate = of(name)?;
    let lane = facts.lanes.iter().find(|lane| lane.lane.as_str() == name);
    if let Some(lane) = lane.filter(|lane| lane.status == LaneReadiness::Blocked) {
        let why = format!("lane {name} is blocked: {}", lane.rationale);
        let command = format!("cto status --engine {name}");
        let blocking = lane.blocker.iter().cloned().collect();
        return Some(action(
            "open_lane",
            "Open the candidate's lane",
            why,
            &command,
            blocking,
        ));
    }
    match candidate.highest_passed_stage {
        climbed @ 0..5 => Some(validate(name, climbed + 1)),
        5 => {
            let why = format!("{name} is proven through stage 5; a comparison of stage 6 is missing");
            let blocking = vec!["stage6_comparison".into()];
            Some(action(
                "compare",
                "Compare the candidate",
                why,
                &format!("cto compare --candidate {name}"),
                blocking,
            ))
        }
        _ => None,
    }
}

fn validate(engine: &str, stage: u8) -> NextAction {
    let why = format!("{engine} is proven up to stage {}", stage - 1);
    let label = format!("Prove stage {stage} of {engine}");
    let command = format!("cto stage validate {stage} --engine {engine}");
    action("validate_stage", &label, why, &command, vec![])
}
