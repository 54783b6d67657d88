//! The Core Promotion Decision Packet as a function of two verified documents. It recommends; it decides nothing.

use std::collections::BTreeMap;

use cto_schema::{
    CandidateComparison, DecisionPacket, DecisionState, NextDecision, NotActivated, NotPromoted, PacketComparison,
    PacketEvidence, PacketFacts, PacketRefresh, PromotionBlocker, PromotionDecision, PromotionNeed,
    RecommendationStatus, RepeatabilityRefresh, RowState, SchemaId, Sha256Digest, Status,
};

/// What a promotion needs (spec 10); none of it is made here.
const NEEDS: [(&str, &str); 5] = [
    ("core_prd", "a PRD in Core, under Core's own rules"),
    ("sot_issue", "an issue in Core's source of truth that names this packet"),
    ("validator", "a validator of Core that checks the promoted rule"),
    ("evidence", "evidence of Core's own run of that validator"),
    (
        "sequence_route",
        "a place in Core's sequence of work, admitted by its route admission guard",
    ),
];

/// Returns what a packet takes from a comparison that verifies.
pub fn packet_comparison(comparison: &CandidateComparison, digest: Sha256Digest, accepted: bool) -> PacketComparison {
    let rows = &comparison.verdict.rows;
    let shown = rows
        .iter()
        .filter(|row| matches!(row.state, RowState::Closed | RowState::Inherited))
        .count();
    PacketComparison {
        comparison_id: comparison.comparison_id.clone(),
        manifest_digest: digest,
        candidate: comparison.candidate.clone(),
        proof_holds: comparison.verdict.proof_holds,
        accepted,
        candidate_run: comparison.verdict.candidate_run.clone(),
        rows_shown: u32::try_from(shown).unwrap_or(u32::MAX),
        rows_not_shown: u32::try_from(rows.len() - shown).unwrap_or(u32::MAX),
    }
}

/// Returns what a packet takes from a refresh that verifies.
pub fn packet_refresh(refresh: &RepeatabilityRefresh, digest: Sha256Digest) -> PacketRefresh {
    let paths = [
        ("real_stage5_pass_report", &refresh.real_stage5_pass_report),
        ("real_stage5_proof", &refresh.real_stage5_proof),
        ("repeat_stage5_pass_report", &refresh.repeat_stage5_pass_report),
        ("repeat_stage5_proof", &refresh.repeat_stage5_proof),
    ];
    let there = paths
        .into_iter()
        .filter_map(|(name, path)| Some((name.to_owned(), path.clone()?)));
    PacketRefresh {
        refresh_id: refresh.refresh_id.clone(),
        manifest_digest: digest,
        candidate: refresh.candidate.clone(),
        comparison_id: refresh.comparison_id.clone(),
        repeatability_count: refresh.repeatability_count,
        repeatability_status: refresh.repeatability_status,
        paths: there.collect(),
        prose_mismatches: u32::try_from(refresh.prose_mismatches.len()).unwrap_or(u32::MAX),
    }
}

/// Makes the packet that follows from the facts. A promotion can only be requested over evidence that carries it; the
/// error says what is missing.
pub fn decision_packet(
    packet_id: &str,
    created_at: &str,
    resolver: &str,
    decision: PromotionDecision,
    facts: PacketFacts,
) -> Result<DecisionPacket, String> {
    let missing = missing(&facts);
    let ready = missing.is_empty();
    if let (PromotionDecision::CorePromotionRequested, Some(first)) = (decision, missing.first()) {
        return Err(format!("its evidence does not carry a request: {}", first.detail));
    }
    let mut blockers = missing;
    blockers.extend(NEEDS.iter().map(|(name, what)| PromotionBlocker {
        code: format!("{name}_missing"),
        detail: format!("this side makes no such thing: {what}"),
    }));
    blockers.push(PromotionBlocker {
        code: "core_route_admission_guard_not_passed".to_owned(),
        detail: "Core has to be idle, and its guard has to pass, before a route is opened".to_owned(),
    });
    let allowed = [
        PromotionDecision::NotDecided,
        PromotionDecision::CorePromotionRequested,
        PromotionDecision::CorePromotionDeferred,
    ];
    Ok(DecisionPacket {
        schema: SchemaId::DECISION_PACKET.to_string(),
        packet_id: packet_id.to_owned(),
        created_at: created_at.to_owned(),
        candidate: facts.comparison.candidate.clone(),
        decision_status: decision,
        allowed_decision_states: allowed
            .into_iter()
            .map(|state| DecisionState {
                state,
                consequence: state.consequence().to_owned(),
            })
            .collect(),
        resolver: resolver.to_owned(),
        ready_for_core_review: ready,
        candidate_default_repeatability_eligible: ready,
        repeatability_count: facts.refresh.repeatability_count,
        repeatability_status: facts.refresh.repeatability_status,
        runtime_default_activation: NotActivated,
        core_promotion_status: NotPromoted,
        recommended_next_decision: NextDecision::OpenGovernedCorePrdRoute,
        recommendation_status: RecommendationStatus::CandidateOnlyUntilCoreRouteAdmissionGuardPasses,
        evidence: evidence(&facts),
        blockers_before_promotion: blockers,
        promotion_requires: NEEDS
            .iter()
            .map(|(name, what)| PromotionNeed {
                name: (*name).to_owned(),
                what: (*what).to_owned(),
            })
            .collect(),
        facts,
    })
}

/// What the evidence does not carry.
fn missing(facts: &PacketFacts) -> Vec<PromotionBlocker> {
    let (comparison, refresh) = (&facts.comparison, &facts.refresh);
    let id = &comparison.comparison_id;
    let held = [
        (
            "candidate_comparison_not_held",
            comparison.proof_holds,
            format!("the proof of comparison {id} does not hold"),
        ),
        (
            "candidate_comparison_not_accepted",
            comparison.accepted,
            format!("no operator accepted comparison {id}"),
        ),
        (
            "repeatability_not_passed",
            refresh.repeatability_status == Status::Pass,
            format!(
                "refresh {} is {}",
                refresh.refresh_id,
                refresh.repeatability_status.word()
            ),
        ),
        (
            "another_candidate",
            refresh.candidate == comparison.candidate,
            format!("refresh {} is about {}", refresh.refresh_id, refresh.candidate),
        ),
        (
            "another_comparison",
            refresh.comparison_id.as_ref() == Some(id),
            format!(
                "refresh {} was held against another comparison than {id}",
                refresh.refresh_id
            ),
        ),
    ];
    held.into_iter()
        .filter(|(_, holds, _)| !holds)
        .map(|(code, _, detail)| PromotionBlocker {
            code: code.to_owned(),
            detail,
        })
        .collect()
}

fn evidence(facts: &PacketFacts) -> BTreeMap<String, PacketEvidence> {
    let (comparison, refresh) = (&facts.comparison, &facts.refresh);
    let mut map = BTreeMap::new();
    let mut shows = |name: &str, path: String, shows: String, id: &str| {
        let replay = format!("cto verify {id}");
        map.insert(name.to_owned(), PacketEvidence { path, shows, replay });
    };
    let id = &comparison.comparison_id;
    let eligible = comparison.proof_holds && comparison.accepted;
    shows(
        "stage6_candidate_default_comparison",
        format!("comparisons/{id}/stage6-candidate-default-comparison.json"),
        format!("candidate_default_eligible: {eligible}"),
        id,
    );
    shows(
        "failure_matrix",
        format!("comparisons/{id}/stage6-candidate-default-comparison.json"),
        format!(
            "{} rows shown, {} not",
            comparison.rows_shown, comparison.rows_not_shown
        ),
        id,
    );
    let id = &refresh.refresh_id;
    shows(
        "stage6_real_governed_refresh",
        format!("refreshes/{id}/stage6-real-governed-refresh-comparison.json"),
        format!(
            "repeatability_status: {}, repeatability_count: {}",
            refresh.repeatability_status.word(),
            refresh.repeatability_count
        ),
        id,
    );
    for (name, path) in &refresh.paths {
        let run = path.split('/').nth(1).unwrap_or_default();
        shows(
            name,
            path.clone(),
            "an accepted run on an owned repository".to_owned(),
            run,
        );
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> PacketFacts {
        PacketFacts {
            comparison: PacketComparison {
                comparison_id: "c".to_owned(),
                manifest_digest: Sha256Digest::of(b"c"),
                candidate: "case".to_owned(),
                proof_holds: true,
                accepted: true,
                candidate_run: Some("r".to_owned()),
                rows_shown: 40,
                rows_not_shown: 0,
            },
            refresh: PacketRefresh {
                refresh_id: "f".to_owned(),
                manifest_digest: Sha256Digest::of(b"f"),
                candidate: "case".to_owned(),
                comparison_id: Some("c".to_owned()),
                repeatability_count: 2,
                repeatability_status: Status::Pass,
                paths: BTreeMap::from([("real_stage5_proof".to_owned(), "runs/r/p.json".to_owned())]),
                prose_mismatches: 0,
            },
        }
    }

    fn made(facts: PacketFacts, decision: PromotionDecision) -> Result<DecisionPacket, String> {
        decision_packet("p", "2026-11-20T00:00:00Z", "Core", decision, facts)
    }

    #[test]
    fn complete_evidence_is_ready_for_review_and_promotes_nothing() {
        let packet = made(facts(), PromotionDecision::CorePromotionRequested).unwrap();
        assert!(packet.ready_for_core_review && packet.candidate_default_repeatability_eligible);
        let value = serde_json::to_value(&packet).unwrap();
        for (field, expected) in [
            ("runtime_default_activation", serde_json::json!(false)),
            ("core_promotion_status", serde_json::json!("not-promoted")),
            (
                "recommended_next_decision",
                serde_json::json!("open_governed_core_prd_route"),
            ),
            (
                "recommendation_status",
                serde_json::json!("candidate_only_until_core_route_admission_guard_passes"),
            ),
            ("decision_status", serde_json::json!("core_promotion_requested")),
        ] {
            assert_eq!(value[field], expected, "{field}");
        }
        assert_eq!(packet.evidence["real_stage5_proof"].replay, "cto verify r");
        assert_eq!(packet.promotion_requires.len(), 5);
        let guard = packet.blockers_before_promotion.last().unwrap();
        assert_eq!(guard.code, "core_route_admission_guard_not_passed");
    }

    #[test]
    fn a_fact_that_the_evidence_does_not_carry_cannot_be_written() {
        type Change = fn(&mut PacketFacts);
        let changes: [(&str, Change); 7] = [
            ("candidate_comparison_not_held", |f| f.comparison.proof_holds = false),
            ("candidate_comparison_not_accepted", |f| f.comparison.accepted = false),
            ("repeatability_not_passed", |f| {
                f.refresh.repeatability_status = Status::Blocked;
            }),
            ("repeatability_not_passed", |f| {
                f.refresh.repeatability_status = Status::Fail;
            }),
            ("another_candidate", |f| f.refresh.candidate = "pi".to_owned()),
            ("another_comparison", |f| f.refresh.comparison_id = None),
            ("another_comparison", |f| f.refresh.comparison_id = Some("d".to_owned())),
        ];
        for (code, change) in changes {
            let mut changed = facts();
            change(&mut changed);
            assert!(
                made(changed.clone(), PromotionDecision::CorePromotionRequested).is_err(),
                "{code}"
            );
            for decision in [PromotionDecision::NotDecided, PromotionDecision::CorePromotionDeferred] {
                let packet = made(changed.clone(), decision).unwrap();
                assert!(!packet.ready_for_core_review, "{code}");
                assert!(!packet.candidate_default_repeatability_eligible, "{code}");
                assert_eq!(packet.blockers_before_promotion[0].code, code);
            }
        }
    }
}
