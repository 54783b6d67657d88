//! The whole tables: the admitted world with one change has exactly the status and the blocker of that change.

use cto_schema::{
    AdmissionFacts, BlockerCode as C, DecisionStatus, FORBIDDEN_ACTIONS, ProviderReach, Record, RecordFact,
    RepositoryAdmission, Sha256Digest, read_record,
};
use serde_json::{Value, json};

use super::*;
use crate::eligibility::decide;
use crate::eligibility::tests as plain;

const NOW: i64 = 1_790_000_000;

/// Builds a record from JSON, so that tests say what a file would say.
fn record<T: Record>(value: &Value) -> RecordFact<T> {
    let bytes = value.to_string().into_bytes();
    match read_record(&bytes) {
        Ok(record) => RecordFact::read(record, Sha256Digest::of(&bytes)),
        Err(error) => RecordFact::unusable(error.to_string(), None),
    }
}

fn model() -> Value {
    json!({
        "admission_timestamp": "2026-06-01T00:00:00-04:00",
        "allowed_network_class": "local-vllm",
        "approval_source": "operator",
        "credential_source_class": "none",
        "model": "qwen3.6-35b-a3b",
        "provider": "qwen-local",
        "review_trigger": "before anything changes",
        "status": "admitted"
    })
}

fn source() -> Value {
    json!({
        "admission_status": "admitted",
        "source_name": "case",
        "source_url": "https://example.org/case.git",
        "source_type": "git",
        "pinned_commit": "a1".repeat(20),
        "commit_date": "2026-05-01",
        "retrieval_date": "2026-05-31",
        "retrieval_command": "git clone",
        "integrity_reference": format!("sha256:{}", "0f".repeat(32)),
        "licence_note": {"status": "resolved", "licence": "MIT", "permits": ["copied-fixture", "copied-repo"]},
        "protected_source_boundary": "all of it",
        "allowed_execution_modes": ["copied-fixture", "copied-repo"]
    })
}

fn build() -> Value {
    json!({
        "engine": "case",
        "pinned_commit": "a1".repeat(20),
        "checkout_clean": true,
        "binary_path": "/opt/case/bin/ca",
        "binary_size_bytes": 12,
        "binary_sha256": Sha256Digest::of(b"ca").to_string(),
        "identity_check": {"command": ["--help"], "expected": "Case", "passed": true},
        "command_shape": ["ca", "run"],
        "build_timestamp": "2026-05-31"
    })
}

fn decision() -> Value {
    json!({
        "decision_status": "local_provider_required",
        "provider_class": "local_case_compatible",
        "provider": "qwen-local",
        "model": "qwen3.6-35b-a3b",
        "approval_source": "operator",
        "credential_source_class": "none",
        "allowed_network_class": "local-vllm",
        "review_trigger": "before anything changes",
        "effect": "local only"
    })
}

/// Everything that a stage 3 run of the Case engine needs.
fn admitted() -> AdmissionFacts {
    let mut facts = AdmissionFacts {
        judged_at_seconds: NOW,
        decision_required: true,
        decision: record(&decision()),
        source: record(&source()),
        build: record(&build()),
        ..AdmissionFacts::default()
    };
    facts.model.provider = Some("qwen-local".to_owned());
    facts.model.model = Some("qwen3.6-35b-a3b".to_owned());
    facts.model.admission = record(&model());
    facts.model.providers = vec![ProviderReach {
        provider: "qwen-local".to_owned(),
        class: "local".to_owned(),
        endpoint_configured: true,
        credential_class: "none".to_owned(),
        credential_present: true,
        ..ProviderReach::default()
    }];
    facts.binary.path = Some("/opt/case/bin/ca".to_owned());
    facts.binary.size_bytes = 12;
    facts.binary.digest = Some(Sha256Digest::of(b"ca"));
    facts.binary.executable = true;
    facts
}

fn world(mode: MutationMode) -> (TaskContract, Facts) {
    let mut contract = plain::contract();
    contract.mutation_mode = mode;
    if mode == MutationMode::CopiedRepo {
        contract.target_repository = Some("/srv/x".to_owned());
    }
    let mut facts = plain::facts();
    facts.engine.name = "case".to_owned();
    facts.engine.gated = true;
    facts.engine.needs_model = true;
    facts.engine.allow_gate_set = true;
    facts.engine.stage_gate_value = Some(mode.stage().to_string());
    facts.admissions = admitted();
    (contract, facts)
}

fn refusals(contract: &TaskContract, facts: &Facts) -> Vec<(String, C)> {
    decide(Ok(contract), facts)
        .gates
        .iter()
        .filter_map(|gate| gate.refusal.as_ref().map(|refusal| (gate.gate.clone(), refusal.code)))
        .collect()
}

fn with(mut value: Value, changes: impl std::borrow::Borrow<Value>) -> Value {
    for (key, change) in changes.borrow().as_object().unwrap() {
        value[key] = change.clone();
    }
    value
}

type Change = fn(&mut AdmissionFacts);

/// Gate, code, stages at which it refuses, change.
const TABLE: &[(&str, C, &[u8], Change)] = &[
    ("provider-decision", C::GateMissing, &[2, 3], |f| {
        f.decision = RecordFact::absent();
    }),
    ("provider-decision", C::GateMissing, &[2, 3], |f| {
        f.decision = RecordFact::unusable("x".to_owned(), None);
    }),
    ("provider-decision", C::GateMissing, &[2, 3], |f| {
        f.decision = record(&with(
            decision(),
            json!({"decision_status": "not_decided", "provider_class": "", "provider": "", "model": ""}),
        ));
    }),
    ("provider-decision", C::GateMissing, &[2, 3], |f| {
        f.decision = record(&with(decision(), json!({"decision_status": "not_decided"})));
    }),
    ("provider-decision", C::GateMissing, &[2, 3], |f| {
        f.decision = record(&with(decision(), json!({"provider_class": "external_anthropic"})));
    }),
    ("provider-decision", C::GateMissing, &[2, 3], |f| {
        f.decision = record(&with(
            decision(),
            json!({"decision_status": "external_provider_approved"}),
        ));
    }),
    ("provider-decision", C::GateMissing, &[2, 3], |f| {
        f.decision = record(&with(decision(), json!({"approval_source": ""})));
    }),
    ("provider-decision", C::GateMissing, &[2, 3], |f| {
        f.decision = record(&with(decision(), json!({"fallback_model": "m"})));
    }),
    ("provider-decision", C::ModelNotAdmitted, &[2, 3], |f| {
        f.decision = record(&with(decision(), json!({"model": "other"})));
    }),
    ("provider-decision", C::ModelNotAdmitted, &[2, 3], |f| {
        f.model.providers[0].class = "external".to_owned();
        f.model.admission = record(&with(model(), json!({"allowed_network_class": "hosted"})));
    }),
    ("provider-decision", C::ModelNotAdmitted, &[2, 3], |f| {
        f.model.admission = record(&with(
            model(),
            json!({"fallback": [{"provider": "openai", "model": "m"}]}),
        ));
    }),
    ("model-admission", C::ModelNotAdmitted, &[2, 3], |f| {
        f.model.admission = RecordFact::absent();
    }),
    ("model-admission", C::ModelNotAdmitted, &[2, 3], |f| {
        f.model.admission = record(&with(model(), json!({"status": "not_admitted"})));
    }),
    ("model-admission", C::ModelNotAdmitted, &[2, 3], |f| {
        f.model.admission = record(&with(model(), json!({"x": 1})));
    }),
    ("model-admission", C::ModelNotAdmitted, &[2, 3], |f| {
        f.model.admission = record(&with(model(), json!({"allowed_network_class": "hosted-model"})));
    }),
    ("model-admission", C::ModelNotAdmitted, &[2, 3], |f| {
        f.model.admission = record(&with(model(), json!({"allowed_network_class": "vllm"})));
    }),
    ("model-admission", C::ModelNotAdmitted, &[2, 3], |f| {
        f.model.admission = record(&with(model(), json!({"credential_source_class": "keyring"})));
    }),
    ("provider-decision", C::ModelNotAdmitted, &[2, 3], |f| {
        f.decision = record(&with(decision(), json!({"allowed_network_class": "hosted"})));
    }),
    ("provider-decision", C::ModelNotAdmitted, &[2, 3], |f| {
        f.decision = record(&with(decision(), json!({"credential_source_class": "environment"})));
    }),
    ("source-admission", C::SourceNotAdmitted, &[3], |f| {
        f.source = RecordFact::absent();
    }),
    ("source-admission", C::SourceNotAdmitted, &[2, 3], |f| {
        f.source = RecordFact::unusable("x".to_owned(), None);
    }),
    ("source-admission", C::SourceNotAdmitted, &[3], |f| {
        f.source = record(&with(source(), json!({"admission_status": "not_admitted"})));
    }),
    ("source-admission", C::SourceNotAdmitted, &[3], |f| {
        f.source = record(&with(source(), json!({"allowed_execution_modes": []})));
    }),
    ("source-admission", C::SourceNotAdmitted, &[3], |f| {
        f.source = record(&with(
            source(),
            json!({"licence_note": {"status": "unresolved", "permits": ["copied-repo"]}}),
        ));
    }),
    ("source-admission", C::SourceNotAdmitted, &[3], |f| {
        f.source = record(&with(source(), json!({"licence_note": {"status": "resolved"}})));
    }),
    ("source-admission", C::SourceNotAdmitted, &[3], |f| {
        f.source = record(&with(source(), json!({"pinned_commit": "b2".repeat(20)})));
    }),
    ("source-admission", C::SourceNotAdmitted, &[2, 3], |f| {
        f.source = record(&with(source(), json!({"pinned_commit": ""})));
    }),
    ("source-admission", C::SourceNotAdmitted, &[2, 3], |f| {
        f.source = record(&with(source(), json!({"retrieval_date": "2031-01-01"})));
    }),
    ("build", C::BuildMismatch, &[2, 3], |f| f.build = RecordFact::absent()),
    ("build", C::BuildMismatch, &[2, 3], |f| {
        f.build = RecordFact::unusable("x".to_owned(), None);
    }),
    ("build", C::BuildMismatch, &[2, 3], |f| {
        f.build = record(&with(build(), json!({"engine": "codex"})));
    }),
    ("build", C::BuildMismatch, &[2, 3], |f| {
        f.binary.digest = Some(Sha256Digest::of(b"changed"));
    }),
    ("build", C::BuildMismatch, &[2, 3], |f| f.binary.size_bytes = 13),
    ("build", C::BuildMismatch, &[2, 3], |f| f.binary.executable = false),
    ("build", C::BuildMismatch, &[2, 3], |f| f.binary.path = None),
    ("build", C::BuildMismatch, &[2, 3], |f| {
        f.binary.path = Some("/usr/bin/ca".to_owned());
    }),
    ("build", C::BuildMismatch, &[2, 3], |f| {
        f.binary.package_digest = Some(Sha256Digest::of(b"x"));
    }),
    ("build", C::BuildMismatch, &[2, 3], |f| {
        let pin = json!({"name": "case", "version": "1.0.0", "integrity": format!("sha256:{}", "0f".repeat(32))});
        f.build = record(&with(build(), json!({"package": pin})));
        f.binary.package = f.build.record.as_ref().unwrap().package.clone();
    }),
    ("build", C::BuildMismatch, &[2, 3], |f| {
        f.build = record(&with(
            build(),
            json!({"identity_check": {"command": ["--help"], "expected": "Case", "passed": false}}),
        ));
    }),
    ("build", C::BuildMismatch, &[2, 3], |f| {
        f.build = record(&with(
            build(),
            json!({"identity_check": {"command": ["--help"], "passed": true}}),
        ));
    }),
    ("build", C::BuildMismatch, &[2, 3], |f| {
        f.build = record(&with(build(), json!({"binary_path": "/tmp/ca"})));
        f.binary.path = Some("/tmp/ca".to_owned());
    }),
    ("build", C::BuildMismatch, &[2, 3], |f| {
        f.build = record(&with(build(), json!({"binary_path": "/opt/bin/case"})));
        f.binary.path = Some("/opt/bin/case".to_owned());
    }),
    ("build", C::BuildMismatch, &[2, 3], |f| {
        f.build = record(&with(build(), json!({"checkout_clean": false})));
    }),
    ("build", C::BuildMismatch, &[2, 3], |f| {
        f.build = record(&with(build(), json!({"build_timestamp": "2031-01-01"})));
    }),
    ("provider-config", C::ProviderLocalConfigUnavailable, &[2, 3], |f| {
        f.model.providers[0].endpoint_configured = false;
    }),
    ("provider-auth", C::ProviderAuthUnavailable, &[2, 3], |f| {
        f.model.providers[0].credential_present = false;
    }),
];

#[test]
fn each_record_that_does_not_hold_is_refused_by_its_gate_and_no_other() {
    for mode in [MutationMode::CopiedFixture, MutationMode::CopiedRepo] {
        let (contract, facts) = world(mode);
        assert_eq!(refusals(&contract, &facts), [], "{mode:?}");
        for (index, (gate, code, stages, change)) in TABLE.iter().enumerate() {
            let (contract, mut facts) = world(mode);
            change(&mut facts.admissions);
            let expected = if stages.contains(&mode.stage()) {
                vec![((*gate).to_owned(), *code)]
            } else {
                vec![]
            };
            assert_eq!(
                refusals(&contract, &facts),
                expected,
                "row {index} at stage {}",
                mode.stage()
            );
        }
    }
}

#[test]
fn a_closed_gate_is_told_alone() {
    for close in [
        (|f: &mut Facts| f.engine.allow_gate_set = false) as fn(&mut Facts),
        |f| f.engine.stage_gate_value = None,
        |f| f.engine.stage_gate_value = Some("3".to_owned()),
    ] {
        let (contract, mut facts) = world(MutationMode::CopiedFixture);
        facts.admissions = AdmissionFacts::default();
        close(&mut facts);
        let codes: Vec<C> = refusals(&contract, &facts).into_iter().map(|(_, code)| code).collect();
        assert_eq!(codes, [C::GateMissing]);
    }
}

#[test]
fn facts_that_nobody_gathered_admit_no_engine_with_a_model() {
    let (contract, mut facts) = world(MutationMode::CopiedFixture);
    facts.admissions = AdmissionFacts::default();
    assert_eq!(
        refusals(&contract, &facts),
        [("model-admission".to_owned(), C::ModelNotAdmitted)]
    );
    facts.admissions = admitted();
    facts.admissions.model.providers.clear();
    assert_eq!(
        refusals(&contract, &facts),
        [("provider-config".to_owned(), C::ProviderLocalConfigUnavailable)]
    );
}

#[test]
fn an_engine_without_a_model_is_asked_for_no_record() {
    let (contract, mut facts) = world(MutationMode::CopiedRepo);
    facts.admissions = AdmissionFacts::default();
    facts.engine.needs_model = false;
    assert_eq!(refusals(&contract, &facts), []);
    assert_eq!(
        admission_words(&facts, Some(&contract)),
        AdmissionWords {
            source: "not-required",
            model: "not-required"
        }
    );
}

#[test]
fn an_engine_without_gates_needs_no_record_of_source_or_build_but_one_that_is_there_must_hold() {
    let (contract, mut facts) = world(MutationMode::CopiedRepo);
    facts.engine.name = "command".to_owned();
    facts.engine.gated = false;
    facts.engine.ungated_up_to_stage = 3;
    facts.admissions.decision_required = false;
    facts.admissions.source = RecordFact::absent();
    facts.admissions.build = RecordFact::absent();
    assert_eq!(refusals(&contract, &facts), []);
    facts.admissions.source = record(&with(source(), json!({"admission_status": "not_admitted"})));
    facts.admissions.build = record(&build());
    let codes: Vec<C> = refusals(&contract, &facts).into_iter().map(|(_, code)| code).collect();
    assert_eq!(codes, [C::SourceNotAdmitted, C::BuildMismatch]);
}

#[test]
fn every_status_of_a_model_admission_is_reached() {
    use ModelAdmissionStatus as S;
    let status = |change: &dyn Fn(&mut AdmissionFacts)| {
        let mut facts = admitted();
        change(&mut facts);
        let judged = judge_model(&facts);
        assert_eq!(judged.blocks, judged.status != S::Admitted, "{judged:?}");
        assert_eq!(judged.reason.is_empty(), !judged.blocks, "{judged:?}");
        judged.status
    };
    let say = |changes: Value| status(&|f| f.model.admission = record(&with(model(), changes.clone())));
    assert_eq!(status(&|_| {}), S::Admitted);
    assert_eq!(
        status(&|f| f.model.admission = RecordFact::absent()),
        S::MissingAdmission
    );
    assert_eq!(say(json!({"status": "pending"})), S::NotAdmitted);
    assert_eq!(say(json!({"status": "not_admitted"})), S::NotAdmitted);
    assert_eq!(say(json!({"status": "Admitted"})), S::InvalidAdmission);
    assert_eq!(say(json!({"model": "other"})), S::Mismatch);
    assert_eq!(say(json!({"provider": "other"})), S::Mismatch);
    assert_eq!(say(json!({"expires_at": "2026-09-01"})), S::Expired);
    assert_eq!(say(json!({"expires_at": "2031-01-01"})), S::Admitted);
    assert_eq!(say(json!({"expires_at": "2026-01-01"})), S::InvalidAdmission);
    assert_eq!(
        say(json!({"admission_timestamp": "2031-01-01T00:00:00Z"})),
        S::InvalidAdmission
    );
    let pair = json!({"provider": "openai", "model": "m"});
    assert_eq!(say(json!({"fallback": [pair]})), S::Admitted);
    assert_eq!(say(json!({"fallback": [pair, pair]})), S::InvalidAdmission);
    assert_eq!(
        say(json!({"fallback": [{"provider": "qwen-local", "model": "qwen3.6-35b-a3b"}]})),
        S::InvalidAdmission
    );
    assert_eq!(status(&|f| f.model.provider = None), S::Mismatch);
    assert_eq!(status(&|f| f.model.model = None), S::Mismatch);
    assert_eq!(
        status(&|f| {
            f.model.provider = None;
            f.model.model = None;
        }),
        S::Mismatch
    );
    // A fallback is admitted as a fallback only.
    assert_eq!(
        status(&|f| {
            f.model.admission = record(&with(
                model(),
                json!({"fallback": [{"provider": "openai", "model": "m"}]}),
            ));
            f.model.provider = Some("openai".to_owned());
            f.model.model = Some("m".to_owned());
        }),
        S::Mismatch
    );
}

#[test]
fn an_admission_ends_at_its_very_second() {
    let at = |now: i64| {
        let mut facts = admitted();
        facts.judged_at_seconds = now;
        facts.model.admission = record(&with(model(), json!({"expires_at": "2026-09-01T00:00:00Z"})));
        judge_model(&facts).status
    };
    let end = 1_788_220_800;
    assert_eq!(at(end - 1), ModelAdmissionStatus::Admitted);
    assert_eq!(at(end), ModelAdmissionStatus::Expired);
}

#[test]
fn a_source_is_recorded_at_stage_two_and_needed_from_stage_three_on() {
    use SourceAdmissionStatus as S;
    let judged = |change: Value, mode| {
        let mut facts = admitted();
        facts.source = record(&with(source(), change));
        let judged = judge_source(&facts, mode);
        (judged.status, judged.blocks)
    };
    let (two, three) = (MutationMode::CopiedFixture, MutationMode::CopiedRepo);
    assert_eq!(judged(json!({}), three), (S::Admitted, false));
    for change in [
        json!({"admission_status": "not_admitted"}),
        json!({"allowed_execution_modes": []}),
        json!({"licence_note": {"status": "unresolved", "permits": ["copied-fixture", "copied-repo"]}}),
        json!({"licence_note": {"status": "resolved", "permits": []}}),
    ] {
        assert_eq!(judged(change.clone(), two), (S::NotAdmitted, false), "{change}");
        assert_eq!(judged(change.clone(), three), (S::NotAdmitted, true), "{change}");
    }
    let moved = json!({"pinned_commit": "b2".repeat(20)});
    assert_eq!(judged(moved.clone(), two), (S::Stale, false));
    assert_eq!(judged(moved, three), (S::Stale, true));
    let package = |version: &str| json!({"name": "agent", "version": version, "integrity": format!("sha256:{}", "0f".repeat(32))});
    let packaged = |version: &str| {
        with(
            source(),
            json!({"pinned_commit": "", "pinned_package": package(version)}),
        )
    };
    let against = |source: &Value, build: &Value| {
        let mut facts = admitted();
        facts.source = record(source);
        facts.build = record(build);
        judge_source(&facts, three).status
    };
    let installed = with(build(), json!({"pinned_commit": "", "package": package("1.0.0")}));
    assert_eq!(against(&packaged("1.0.0"), &installed), S::Admitted);
    assert_eq!(against(&packaged("1.0.1"), &installed), S::Stale);
    assert_eq!(against(&source(), &installed), S::Stale, "pins that cannot be compared");
    let tagged = with(source(), json!({"pinned_commit": "", "pinned_tag": "v1.0.0"}));
    assert_eq!(against(&tagged, &build()), S::Admitted);
}

#[test]
fn other_engines_need_a_build_record_from_stage_three_on() {
    let mut facts = admitted();
    facts.decision_required = false;
    facts.build = RecordFact::absent();
    assert!(!judge_build(&facts, "codex", MutationMode::CopiedFixture).blocks);
    assert!(judge_build(&facts, "codex", MutationMode::CopiedRepo).blocks);
    let bare = with(
        build(),
        json!({"engine": "codex", "pinned_commit": "", "identity_check": {"command": [], "passed": true}}),
    );
    facts.build = record(&bare);
    assert!(!judge_build(&facts, "codex", MutationMode::CopiedFixture).blocks);
    assert!(
        judge_build(&facts, "codex", MutationMode::CopiedRepo).blocks,
        "nothing is pinned"
    );
    facts.binary.digest = None;
    assert!(
        judge_build(&facts, "codex", MutationMode::CopiedFixture).blocks,
        "a record that does not hold blocks"
    );
}

#[test]
fn every_decision_has_its_effect() {
    assert_eq!(judge_decision(&admitted()), Ok(DecisionStatus::LocalProviderRequired));
    let mut facts = admitted();
    let external = json!({
        "decision_status": "external_provider_approved",
        "provider_class": "external_openai_codex",
        "provider": "openai-codex",
        "model": "gpt-5.5",
        "fallback_provider": "qwen-local",
        "fallback_model": "qwen3.6-35b-a3b",
        "allowed_network_class": "codex-oauth-hosted-model-plus-local-vllm-fallback",
        "credential_source_class": "codex-oauth-and-local-vllm-config"
    });
    facts.decision = record(&with(decision(), external));
    facts.model.provider = Some("openai-codex".to_owned());
    facts.model.model = Some("gpt-5.5".to_owned());
    facts.model.providers[0].class = "external".to_owned();
    let fallback = json!({"provider": "openai-codex", "model": "gpt-5.5", "fallback": [{"provider": "qwen-local", "model": "qwen3.6-35b-a3b"}]});
    facts.model.admission = record(&with(model(), fallback));
    assert_eq!(judge_decision(&facts), Ok(DecisionStatus::ExternalProviderApproved));
    facts.model.model = Some("gpt-5".to_owned());
    assert!(matches!(judge_decision(&facts), Err(DecisionRefusal::Forbids(_))));
    assert!(matches!(
        judge_decision(&AdmissionFacts::default()),
        Err(DecisionRefusal::NotDecided(_))
    ));
}

#[test]
fn an_operators_own_words_for_a_credential_are_recorded_and_those_that_say_a_place_are_held_to_it() {
    for (class, found, holds) in [
        ("pi-models-json-local-provider-no-secret", "none", true),
        ("codex-oauth-and-local-vllm-config", "command", true),
        ("environment", "environment", true),
        ("environment-or-file", "file", true),
        ("Environment", "file", false),
        ("none", "environment", false),
        ("file", "none", false),
    ] {
        let mut facts = admitted();
        facts.model.admission = record(&with(model(), json!({"credential_source_class": class})));
        facts.model.providers[0].credential_class = found.to_owned();
        let judged = judge_model(&facts);
        assert_eq!(judged.blocks, !holds, "{class}, {found}: {}", judged.reason);
    }
}

fn target() -> Value {
    json!({
        "admission_status": "admitted",
        "allowed_paths": ["strings.py", "src/", "docs/*.md"],
        "approval_source": "operator",
        "approval_timestamp": "2026-06-01",
        "forbidden_actions": FORBIDDEN_ACTIONS,
        "forbidden_paths": [".env", ".env.*", "secrets/"],
        "noncritical_rationale": "a sandbox",
        "operator_outcome_required": true,
        "ownership_evidence": "made for this",
        "repository_owner": "operator",
        "review_trigger": "before any change",
        "risk_classification": "low_risk_noncritical",
        "target_repository_path": "/srv/target"
    })
}

pub(crate) fn repository() -> RepositoryAdmission {
    record(&target()).record.unwrap()
}

#[test]
fn a_targets_path_is_shown_as_its_digest_and_that_is_shown_as_it_is() {
    let shown = crate::shown_path("/srv/target");
    assert!(shown.starts_with("/sha256/") && !shown.contains("srv"));
    assert_eq!(crate::shown_path(&shown), shown);
    assert_eq!(crate::shown_path("/srv/target/"), shown);
    assert_ne!(crate::shown_path("/srv/other"), shown);
    assert_ne!(crate::shown_path("/sha256/short"), "/sha256/short");
}

#[test]
fn every_block_of_a_target_admission_has_its_own_reason() {
    use RepositoryRefusal as R;
    let judged = |value: &Value| {
        let found = judge_repository(&record::<RepositoryAdmission>(value), None, NOW);
        assert!(
            found.iter().all(|(_, detail)| !detail.contains("/srv/target")),
            "{found:?}"
        );
        found.into_iter().map(|(refusal, _)| refusal).collect::<Vec<_>>()
    };
    assert_eq!(judged(&target()), []);
    assert_eq!(judge_repository(&RecordFact::absent(), None, NOW)[0].0, R::FileMissing);
    for (change, refusal) in [
        (json!({"admission_status": "not_admitted"}), R::NotAdmitted),
        (json!({"admission_status": "maybe"}), R::Unreadable),
        (json!({"target_repository_path": ""}), R::NoPath),
        (json!({"target_repository_path": "relative"}), R::Unreadable),
        (json!({"repository_owner": ""}), R::NoOwner),
        (json!({"ownership_evidence": ""}), R::NoOwnershipEvidence),
        (json!({"risk_classification": "critical"}), R::WrongRisk),
        (json!({"risk_classification": ""}), R::WrongRisk),
        (json!({"noncritical_rationale": null}), R::NoRationale),
        (json!({"allowed_paths": []}), R::EmptyAllowedPaths),
        (json!({"allowed_paths": ["../x"]}), R::WrongPattern),
        (json!({"forbidden_paths": ["!x"]}), R::WrongPattern),
        (
            json!({"forbidden_actions": FORBIDDEN_ACTIONS[1..]}),
            R::MissingForbiddenAction,
        ),
        (json!({"approval_source": ""}), R::NoApprovalSource),
        (json!({"approval_timestamp": ""}), R::NoApprovalTimestamp),
        (json!({"approval_timestamp": "2031-01-01"}), R::NoApprovalTimestamp),
        (json!({"operator_outcome_required": false}), R::OutcomeNotRequired),
        (json!({"review_trigger": ""}), R::NoReviewTrigger),
    ] {
        assert_eq!(judged(&with(target(), change.clone())), [refusal], "{change}");
    }
    for action in FORBIDDEN_ACTIONS {
        let rest: Vec<&str> = FORBIDDEN_ACTIONS
            .iter()
            .filter(|other| **other != action)
            .copied()
            .collect();
        assert_eq!(
            judged(&with(target(), json!({"forbidden_actions": rest}))),
            [R::MissingForbiddenAction]
        );
    }
    let many = json!({"approval_source": "", "ownership_evidence": "", "allowed_paths": []});
    assert_eq!(
        judged(&with(target(), many)),
        [R::NoOwnershipEvidence, R::EmptyAllowedPaths, R::NoApprovalSource]
    );
}

#[test]
fn a_contract_stays_within_the_target_admission() {
    let within = |paths: &[&str]| {
        let mut contract = plain::contract();
        contract.allowed_paths = paths.iter().map(|path| (*path).to_owned()).collect();
        judge_repository(&record(&target()), Some(&contract), NOW).is_empty()
    };
    for good in [
        "strings.py",
        "src/",
        "src/a.py",
        "src/**/*.py",
        "src/lib/",
        "docs/*.md",
        "docs/a.md",
    ] {
        assert!(within(&[good]), "{good}");
    }
    for bad in [
        "**",
        "*",
        "strings.*",
        "string?.py",
        "src*",
        "src",
        "srcx/a",
        "docs/",
        "docs/**",
        "docs/a/b.md",
        "x/strings.py",
        "s[r]c/a",
        "{src,x}/a",
        "src/../x",
    ] {
        assert!(!within(&[bad]), "{bad}");
    }
    assert!(!within(&["strings.py", "other.py"]));
}
