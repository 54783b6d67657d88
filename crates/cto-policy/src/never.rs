//! A claim about every decision document, over arbitrary facts and mutated JSON: none activates, and none promotes.

use std::sync::LazyLock;

use cto_schema::{
    Audit, CandidateComparison, DecisionPacket, NotActivated, NotPromoted, OperatorOutcome, PacketComparison,
    PacketFacts, PacketRefresh, PromotionDecision, RepeatabilityRefresh, SchemaId, Sha256Digest, Status,
};
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::candidate::tests::eligible;
use crate::{AuditFacts, decision_packet, judge_audit, judge_candidate, judge_refresh};

/// The two words, wherever they stand in a document.
fn said(value: &Value, found: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if name == "runtime_default_activation" || name == "core_promotion_status" {
                    found.push((name.clone(), value.clone()));
                }
                said(value, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| said(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn never<T: Serialize>(document: &T) {
    let mut found = Vec::new();
    said(&serde_json::to_value(document).unwrap(), &mut found);
    assert!(found.len() >= 2);
    for (name, value) in found {
        let only = if name == "core_promotion_status" {
            json!("not-promoted")
        } else {
            json!(false)
        };
        assert_eq!(value, only, "{name}");
    }
}

/// Made once: judging forty rows for each case would take the time and show nothing more.
static COMPARISON: LazyLock<CandidateComparison> = LazyLock::new(|| {
    let facts = eligible();
    CandidateComparison {
        schema: SchemaId::CANDIDATE_COMPARISON.to_string(),
        comparison_id: "c".to_owned(),
        created_at: "2026-11-20T10:30:00Z".to_owned(),
        candidate: "case".to_owned(),
        against: vec!["fake".to_owned()],
        verdict: judge_candidate(&facts),
        candidate_default_eligible: false,
        operator_outcome: OperatorOutcome::Pending,
        runtime_default_activation: NotActivated,
        core_promotion_status: NotPromoted,
        facts,
    }
});

fn packet(
    texts: &[String; 3],
    flags: [bool; 2],
    count: u32,
    status: Status,
    decision: PromotionDecision,
) -> Option<DecisionPacket> {
    let facts = PacketFacts {
        comparison: PacketComparison {
            comparison_id: texts[0].clone(),
            manifest_digest: Sha256Digest::of(b"c"),
            candidate: texts[1].clone(),
            proof_holds: flags[0],
            accepted: flags[1],
            candidate_run: None,
            rows_shown: count,
            rows_not_shown: 0,
        },
        refresh: PacketRefresh {
            refresh_id: texts[2].clone(),
            manifest_digest: Sha256Digest::of(b"f"),
            candidate: texts[1].clone(),
            comparison_id: Some(texts[0].clone()),
            repeatability_count: count,
            repeatability_status: status,
            paths: std::collections::BTreeMap::new(),
            prose_mismatches: 0,
        },
    };
    decision_packet(&texts[0], &texts[1], &texts[2], decision, facts).ok()
}

/// Puts a value in the place of one of the two words, or beside it.
fn forged<T: Serialize + DeserializeOwned>(
    document: &T,
    value: &Value,
    promotion: bool,
) -> Result<T, serde_json::Error> {
    let mut json = serde_json::to_value(document).unwrap();
    let name = if promotion {
        "core_promotion_status"
    } else {
        "runtime_default_activation"
    };
    json[name] = value.clone();
    serde_json::from_value(json)
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        Just(json!("promoted")),
        Just(json!("not-promoted")),
        Just(json!("true")),
        Just(json!("false")),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z_]{1,12}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn decisions() -> impl Strategy<Value = PromotionDecision> {
    prop_oneof![
        Just(PromotionDecision::NotDecided),
        Just(PromotionDecision::CorePromotionRequested),
        Just(PromotionDecision::CorePromotionDeferred),
    ]
}

fn statuses() -> impl Strategy<Value = Status> {
    prop_oneof![Just(Status::Pass), Just(Status::Blocked), Just(Status::Fail)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_facts_make_a_packet_activate_or_promote(
        texts in prop::array::uniform3(".{0,30}"),
        flags in any::<[bool; 2]>(),
        count in any::<u32>(),
        status in statuses(),
        decision in decisions(),
    ) {
        if let Some(packet) = packet(&texts, flags, count, status, decision) {
            never(&packet);
        }
    }

    #[test]
    fn no_bundle_makes_a_comparison_a_refresh_or_an_audit_activate_or_promote(
        says in any::<[bool; 2]>(),
        at in any::<prop::sample::Index>(),
        text in ".{0,30}",
        now in any::<i64>(),
    ) {
        let mut comparison = COMPARISON.clone();
        let run = at.get(&comparison.facts.bundles.keys().cloned().collect::<Vec<_>>()).clone();
        let bundle = comparison.facts.bundles.get_mut(&run).unwrap();
        bundle.says_default_activation = says[0];
        bundle.says_promotion = says[1];
        bundle.case_id.clone_from(&text);
        comparison.facts.default_lane.clone_from(&text);
        comparison.facts.judged_at_seconds = now;
        comparison.verdict = judge_candidate(&comparison.facts);
        prop_assert!(!comparison.candidate_default_eligible);
        never(&comparison);
        let audit = judge_audit(&text, &AuditFacts {
            bundles: comparison.facts.bundles.clone(),
            judged_at_seconds: now,
            ..AuditFacts::default()
        });
        never(&audit);
        let facts = cto_schema::RefreshFacts {
            judged_at_seconds: now,
            harness_version: text.clone(),
            pins: vec![],
            comparison: Some(crate::comparison_facts(&comparison, Sha256Digest::of(b"c"), None, says[0])),
            prose: crate::read_prose(&text),
        };
        never(&judge_refresh(&text, &text, &text, facts));
    }

    #[test]
    fn no_json_reads_back_as_activated_or_promoted(value in any_json(), promotion in any::<bool>()) {
        let only = if promotion { json!("not-promoted") } else { json!(false) };
        let comparison = COMPARISON.clone();
        let refresh = judge_refresh("f", "t", "case", cto_schema::RefreshFacts {
            judged_at_seconds: 0,
            harness_version: "0.2.0".to_owned(),
            pins: vec![],
            comparison: None,
            prose: vec![],
        });
        let texts = ["a", "b", "c"].map(str::to_owned);
        let packet = packet(&texts, [true, true], 2, Status::Pass, PromotionDecision::NotDecided).unwrap();
        let audit = judge_audit("t", &AuditFacts::default());
        fn check<T: Serialize + DeserializeOwned>(document: &T, value: &Value, promotion: bool, only: &Value) {
            match forged(document, value, promotion) {
                Ok(read) => {
                    assert_eq!(value, only);
                    never(&read);
                }
                Err(_) => assert_ne!(value, only),
            }
        }
        check::<CandidateComparison>(&comparison, &value, promotion, &only);
        check::<RepeatabilityRefresh>(&refresh, &value, promotion, &only);
        check::<DecisionPacket>(&packet, &value, promotion, &only);
        check::<Audit>(&audit, &value, promotion, &only);
    }
}
