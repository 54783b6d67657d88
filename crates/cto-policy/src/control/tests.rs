//! Tests of the summary over the whole table of what can be found.

use cto_schema::{
    ApprovalDecision as D, ApprovalSource as S, BundleState, ControlText, GovernedState as G, LaneReadiness, LaneStep,
    SUMMARY_MAX_BYTES, check_summary,
};

use super::*;
use crate::ladder::needs;

fn run(number: usize) -> RunId {
    format!("20261120t103101z-case-{number:010}").parse().unwrap()
}

fn lane(name: &str) -> LaneSummary {
    LaneSummary {
        lane: name.into(),
        status: LaneReadiness::Blocked,
        blocker: Some("program".into()),
        rationale: "not installed".into(),
        stage: None,
        next: "install it".into(),
        steps: vec![],
    }
}

fn store() -> EvidenceState {
    EvidenceState {
        runs_on_record: 3,
        ledger_head_seq: 3,
        ledger_chain_holds: true,
        ledger_detail: "".into(),
        ..parts::unknown_store()
    }
}

fn facts() -> ControlFacts {
    ControlFacts {
        generated_at: "2026-11-20T10:31:01Z".to_owned(),
        snapshot_seq: 1,
        harness_version: "0.2.0".to_owned(),
        candidate: CANDIDATE.to_owned(),
        ladders: ["fake", "codex", "pi", "case"]
            .map(|name| (name.to_owned(), vec![]))
            .into(),
        lanes: ["fake", "codex", "pi", "case"].map(lane).into(),
        evidence: Some(store()),
        ..ControlFacts::default()
    }
}

fn rung(stage: u8) -> Rung {
    Rung {
        stage,
        evidence: needs(stage)
            .iter()
            .enumerate()
            .map(|(at, need)| (need.name, run(usize::from(stage) * 100 + at).to_string()))
            .collect(),
        missing: vec![],
    }
}

fn packet(number: usize) -> PacketFact {
    PacketFact {
        packet_id: format!("ap-{number:016}"),
        readable: true,
        task_id: "T-1".to_owned(),
        engine: "case".to_owned(),
        stage: 5,
        mutation_mode: None,
        risk_class: None,
        contract_digest: Some(Sha256Digest::of(b"contract")),
        prior_evidence: vec![format!("{} (stage 4)", run(1))],
        allowed_paths: vec!["src/pager.py".to_owned()],
        forbidden_actions: vec!["push".to_owned()],
        created_at: "2026-11-20T10:00:00Z".to_owned(),
        expires_at: "2026-11-21T10:00:00Z".to_owned(),
        expired: false,
        said: None,
        consumed: None,
        passed: false,
    }
}

fn checked(facts: &ControlFacts) -> ControlSummary {
    let summary = control_summary(facts);
    let bytes = serde_json::to_vec_pretty(&summary).unwrap();
    assert!(bytes.len() <= SUMMARY_MAX_BYTES, "{}", bytes.len());
    let read = check_summary(&bytes).unwrap_or_else(|problems| panic!("{problems:?}"));
    assert_eq!(read, summary);
    summary
}

#[test]
fn nothing_on_record_is_said_as_nothing_and_never_as_good() {
    let summary = checked(&facts());
    assert!(!summary.execution_allowed && summary.approval_required && !summary.approval_granted);
    assert!(!summary.candidate_default_eligible && !summary.proof_ready);
    assert_eq!(summary.repeatability_status.as_str(), "blocked");
    assert_eq!(summary.case_stage6_real_governed_refresh.as_str(), "absent");
    assert!(summary.proof_ladder.iter().all(|one| one.highest_passed_stage == 0));
    let mut blind = facts();
    blind.evidence = None;
    assert!(!checked(&blind).evidence.ledger_chain_holds);
}

#[test]
fn every_course_of_an_approval_has_one_state() {
    let table = [
        (None, false, false, false, G::Requested),
        (None, false, false, true, G::Expired),
        (Some((D::Approved, S::Operator)), false, false, false, G::Approved),
        (Some((D::Approved, S::Operator)), false, false, true, G::Expired),
        (Some((D::Approved, S::Validator)), false, false, false, G::Expired),
        (Some((D::Denied, S::Operator)), false, false, false, G::Denied),
        (Some((D::Denied, S::Operator)), false, false, true, G::Denied),
        (Some((D::Approved, S::Operator)), true, false, true, G::ConsumedByRun),
        (
            Some((D::Approved, S::Operator)),
            true,
            true,
            true,
            G::ConsumedByPassEvidence,
        ),
        (
            Some((D::Approved, S::Validator)),
            true,
            true,
            false,
            G::ConsumedByPassEvidence,
        ),
    ];
    for (said, consumed, passed, expired, expected) in table {
        assert_eq!(governed_state(said, consumed, passed, expired), expected, "{said:?}");
        let mut facts = facts();
        let mut one = packet(1);
        (one.said, one.passed, one.expired) = (said, passed, expired);
        one.consumed = consumed.then(|| (run(7), "2026-11-20T11:00:00Z".to_owned()));
        facts.packets = vec![one];
        let summary = checked(&facts);
        assert_eq!(summary.governed_execution[0].state, expected);
        assert_eq!(summary.execution_allowed, expected == G::Approved);
        if let Some(packet) = &summary.approval_packet {
            assert_eq!(packet.evidence_paths.len(), 1);
        }
        let waits = matches!(expected, G::Requested | G::Approved);
        assert_eq!(summary.approval_packet.is_some(), waits, "{expected:?}");
        assert_eq!(
            summary
                .approval_packet
                .is_some_and(|packet| packet.approval_command_text.is_some()),
            expected == G::Requested
        );
    }
}

#[test]
fn no_combination_of_proofs_activates_or_promotes() {
    for climbed in 0..=6_u8 {
        for accepted in 0..=3 {
            for (comparison, eligible) in [(false, false), (true, false), (true, true), (false, true)] {
                for refresh in [None, Some("pass"), Some("fail"), Some("blocked"), Some("activated")] {
                    let mut facts = facts();
                    facts.ladders[3].1 = (1..=climbed).map(rung).collect();
                    if let Some(six) = facts.ladders[3].1.iter_mut().find(|rung| rung.stage == 6) {
                        six.evidence.insert("comparison", run(6).to_string());
                    }
                    facts.accepted = (0..accepted).map(run).collect();
                    facts.candidate_documents = CandidateDocuments {
                        comparison: comparison.then(|| "comparisons/c/report.json".parse().unwrap()),
                        comparison_eligible: eligible,
                        refresh: refresh.map(|_| "refreshes/r/report.json".parse().unwrap()),
                        refresh_status: refresh.map(str::to_owned),
                        matrix_report: None,
                    };
                    let summary = checked(&facts);
                    let json = serde_json::to_value(&summary).unwrap();
                    assert_eq!(json["runtime_default_activation"], serde_json::json!(false));
                    assert_eq!(json["core_promotion_status"], "not-promoted");
                    assert_eq!(
                        summary.candidate_default_eligible,
                        climbed >= 5 && comparison && eligible
                    );
                    let repeated = summary.candidate_default_eligible && accepted >= 2 && refresh == Some("pass");
                    assert_eq!(summary.candidate_default_repeatability_eligible, repeated);
                    assert_eq!(summary.proof_ready, repeated && climbed == 6);
                }
            }
        }
    }
}

#[test]
fn a_stage_above_a_missing_one_is_a_gap_and_counts_for_nothing() {
    let mut facts = facts();
    facts.ladders[1].1 = vec![rung(1), rung(3)];
    let summary = checked(&facts);
    let codex = &summary.proof_ladder[1];
    assert!(codex.gap && codex.highest_passed_stage == 1);
    assert!(summary.attention.iter().any(|one| one.kind.as_str() == "ladder_gap"));
}

#[test]
fn one_run_consumes_one_approval_and_a_second_is_an_alarm() {
    let mut facts = facts();
    facts.packets = vec![packet(1), packet(2)];
    for one in &mut facts.packets {
        one.said = Some((D::Approved, S::Operator));
        one.consumed = Some((run(7), "2026-11-20T11:00:00Z".to_owned()));
    }
    let summary = checked(&facts);
    assert_eq!(summary.governed_execution[1].state, G::Unreadable);
    assert!(summary.attention.iter().any(|one| one.kind.as_str() == "approval"));
}

#[test]
fn exactly_one_action_is_recommended_and_evidence_comes_first() {
    let expect = |facts: &ControlFacts, id: &str| {
        let action = checked(facts).next_recommended_operator_action;
        assert_eq!(action.id.as_str(), id);
    };
    let mut facts = facts();
    expect(&facts, "validate_stage");
    facts.ladders[0].1 = (1..=3).map(rung).collect();
    expect(&facts, "open_lane");
    facts.lanes[3].status = LaneReadiness::Ready;
    expect(&facts, "validate_stage");
    facts.ladders[3].1 = (1..=5).map(rung).collect();
    expect(&facts, "compare");
    let mut six = rung(6);
    six.evidence.insert("comparison", run(6).to_string());
    facts.ladders[3].1.push(six);
    expect(&facts, "nothing");
    facts.packets = vec![packet(1)];
    expect(&facts, "decide_packet");
    facts.packets[0].said = Some((D::Approved, S::Operator));
    expect(&facts, "run_approved_packet_once");
    facts.waiting = vec![run(1)];
    expect(&facts, "say_operator_outcome");
    facts.dead = vec![run(2)];
    expect(&facts, "recover");
    facts.evidence.as_mut().unwrap().ledger_chain_holds = false;
    expect(&facts, "check_evidence");
    let mut empty = super::tests::facts();
    empty.evidence.as_mut().unwrap().runs_on_record = 0;
    expect(&empty, "first_run");
}

#[test]
fn hostile_and_endless_facts_are_cut_and_withheld() {
    let canaries = [
        "sk-proj-abcdefghijklmnop1234567890",
        "https://models.example/v1",
        "10.1.2.3:8080",
        "/home/canary/x",
    ];
    let mut facts = facts();
    let text = |at: usize| format!("{} \u{202e}\u{1b}[2J {}", canaries[at % 4], "long ".repeat(500));
    for (at, lane) in facts.lanes.iter_mut().enumerate() {
        lane.rationale = ControlText::new(&text(at));
        lane.steps = (0..50)
            .map(|at| LaneStep {
                step: "s".into(),
                state: "missing".into(),
                detail: text(at).into(),
            })
            .collect();
    }
    facts.packets = (0..2000).map(packet).collect();
    for (at, packet) in facts.packets.iter_mut().enumerate() {
        packet.task_id = text(at);
        packet.allowed_paths = (0..300).map(text).collect();
    }
    facts.bundles = (0..2000)
        .map(|at| BundleSource {
            run_id: run(at),
            state: BundleState::Unverifiable,
            detail: text(at).into(),
        })
        .collect();
    facts
        .ladders
        .extend((0..60).map(|at| (format!("engine-{at}"), (1..=5).map(rung).collect())));
    let summary = checked(&facts);
    assert!(summary.bundles_omitted > 1900 && summary.attention.len() <= 20);
    let json = serde_json::to_string(&summary).unwrap();
    for canary in canaries {
        assert!(!json.contains(canary), "{canary}");
    }
}

#[test]
fn a_changed_summary_is_refused() {
    let mut facts = facts();
    facts.packets = vec![packet(1)];
    let good = serde_json::to_value(control_summary(&facts)).unwrap();
    type Change = fn(&mut serde_json::Value);
    let changes: &[(&str, Change)] = &[
        ("execution_allowed", |v| v["execution_allowed"] = true.into()),
        ("activation", |v| v["runtime_default_activation"] = true.into()),
        ("promotion", |v| v["core_promotion_status"] = "promoted".into()),
        ("executable", |v| v["approval_packet"]["executable"] = true.into()),
        ("unknown field", |v| v["extra"] = 1.into()),
        ("a path", |v| v["reason"] = "see /home/me/x".into()),
        ("a run", |v| v["proof_ladder"][0]["highest_passed_stage"] = 3.into()),
        ("a lane", |v| drop(v["lanes"].as_array_mut().unwrap().remove(1))),
        ("a rationale", |v| v["lanes"][1]["rationale"] = "".into()),
        ("another packet", |v| v["approval_packet"]["packet_id"] = "ap-x".into()),
        ("an upward path", |v| v["matrix_report_path"] = "../x".into()),
        ("a newline", |v| {
            let text = format!("{}\n", v["approval_packet"]["approval_command_text"].as_str().unwrap());
            v["approval_packet"]["approval_command_text"] = text.into();
        }),
        ("a major", |v| v["schema"] = "cto/control-summary/2.0".into()),
    ];
    for (name, change) in changes {
        let mut changed = good.clone();
        change(&mut changed);
        // Also with a digest that fits: the rules stand by themselves.
        if let Ok(read) = serde_json::from_value::<ControlSummary>(changed.clone()) {
            changed = serde_json::to_value(read.sealed()).unwrap();
        }
        assert!(check_summary(changed.to_string().as_bytes()).is_err(), "{name}");
    }
    let mut other = good.clone();
    other["reason"] = "another".into();
    assert!(check_summary(other.to_string().as_bytes()).is_err(), "the digest");
    assert!(check_summary(good.to_string().as_bytes()).is_ok());
    let padded = format!("{good}{}", " ".repeat(SUMMARY_MAX_BYTES));
    assert!(check_summary(padded.as_bytes()).is_err(), "too large");
}
