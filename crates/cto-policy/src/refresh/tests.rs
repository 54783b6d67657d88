//! Repeatability over its whole table: the accepted case, and each change that must refuse it.

use cto_schema::{
    ApprovalSource, DimensionVerdict, LaneNow, Pin, PinSource, RejectionCode as C, RepositoryState, RowVerdict,
    TargetWatch,
};

use super::*;
use crate::candidate::judge_candidate;
use crate::candidate::tests::{accepted_run, eligible, state, watch};

const NEWEST: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

fn pin(bundle: BundleFacts) -> PinFacts {
    let mut target = watch();
    target.before = Some(state(NEWEST));
    target.after = target.before.clone();
    PinFacts {
        pin: Pin {
            run_id: bundle.run_id.clone(),
            case_id: Some(bundle.case_id.clone()),
            target_commit: commit_of(&bundle),
            expected_changed_files: Some(bundle.changed_files.clone()),
            stated_by: PinSource::Caller,
        },
        problem: None,
        now: LaneNow {
            lane: "case".to_owned(),
            ..LaneNow::default()
        },
        target: Some(target),
        commit_is_in_history: Some(true),
        bundle: Some(bundle),
    }
}

fn repeat() -> BundleFacts {
    let mut second = accepted_run("case");
    second.run_id = "case-repeat".to_owned();
    second.manifest_digest = Sha256Digest::of(b"repeat");
    second.started_at = "2026-11-20T11:00:00.000000Z".to_owned();
    second.finished_at = "2026-11-20T11:00:01.000000Z".to_owned();
    let approval = second.approval.as_mut().unwrap();
    approval.consumed_by = "case-repeat".to_owned();
    approval.packet_id = "ap-repeat".to_owned();
    second.target.as_mut().unwrap().target_commit = Some(NEWEST.to_owned());
    second
}

fn comparison() -> CandidateComparison {
    let facts = eligible();
    CandidateComparison {
        schema: SchemaId::CANDIDATE_COMPARISON.to_string(),
        comparison_id: "20261120t100000z-comparison-aaaaaaaaaa".to_owned(),
        created_at: "2026-11-20T10:30:00Z".to_owned(),
        candidate: "case".to_owned(),
        against: vec!["fake".to_owned(), "codex".to_owned()],
        verdict: judge_candidate(&facts),
        candidate_default_eligible: false,
        operator_outcome: cto_schema::OperatorOutcome::Pending,
        runtime_default_activation: NotActivated,
        core_promotion_status: NotPromoted,
        facts,
    }
}

fn accepted() -> RefreshFacts {
    RefreshFacts {
        judged_at_seconds: 1_800_000_000,
        harness_version: "0.2.0".to_owned(),
        pins: vec![pin(accepted_run("case")), pin(repeat())],
        comparison: Some(comparison_facts(&comparison(), Sha256Digest::of(b"c"), None, true)),
        prose: vec![],
    }
}

fn judged(facts: &RefreshFacts) -> RepeatabilityRefresh {
    judge_refresh("f", "2026-11-20T12:00:00Z", "case", facts.clone())
}

fn codes(refresh: &RepeatabilityRefresh) -> Vec<C> {
    let mut codes: Vec<C> = refresh.rejections.iter().map(|one| one.code).collect();
    codes.sort();
    codes.dedup();
    codes
}

#[test]
fn two_accepted_runs_are_a_repetition_and_nothing_more() {
    let refresh = judged(&accepted());
    assert_eq!(refresh.rejections, [], "{:#?}", refresh.rejections);
    assert_eq!((refresh.repeatability_count, refresh.repeatability_required), (2, 2));
    assert!(refresh.repeatability_passed && refresh.repeatability_status == Status::Pass);
    let value = serde_json::to_value(&refresh).unwrap();
    for (field, expected) in [
        ("refresh_type", "stage6-real-governed-read-only"),
        ("real_stage5_pass_report", "runs/case-pass-5/report.json"),
        ("real_stage5_proof", "runs/case-pass-5/stage5-owned-repo-proof.json"),
        ("repeat_stage5_pass_report", "runs/case-repeat/report.json"),
        ("repeat_stage5_proof", "runs/case-repeat/stage5-owned-repo-proof.json"),
        ("repeatability_status", "pass"),
        ("source_admission_freshness", "fresh"),
        ("core_promotion_status", "not-promoted"),
    ] {
        assert_eq!(value[field], expected, "{field}");
    }
    assert_eq!(value["runtime_default_activation"], false);
    assert!(refresh.target_read_only_check.passed && refresh.failure_matrix_carry_forward.passed);
    assert_eq!(refresh.real_stage5_passes[1].lanes[0].dimensions.len(), 5);
    let from = refresh.approval_provenance[1].provenance.as_ref().unwrap();
    assert_eq!(from.packet_id, "ap-repeat");
}

type Change = fn(&mut RefreshFacts);

fn second(facts: &mut RefreshFacts) -> &mut BundleFacts {
    facts.pins[1].bundle.as_mut().unwrap()
}

fn target(facts: &mut RefreshFacts) -> &mut TargetWatch {
    facts.pins[1].target.as_mut().unwrap()
}

/// Each rejection of the spec, as the accepted case with one change of the second pin.
const REJECTED: &[(C, Change)] = &[
    (C::BundleMissing, |f| f.pins[1].bundle = None),
    (C::NotVerified, |f| second(f).failed_checks.push("signature".to_owned())),
    (C::MissingArtifact, |f| {
        second(f).missing_artifacts.push("approval.json".to_owned());
    }),
    (C::MissingArtifact, |f| {
        second(f).missing_report_fields.push("freshness".to_owned());
    }),
    (C::MissingArtifact, |f| second(f).stage_proof = None),
    (C::MissingArtifact, |f| {
        second(f).stage_proof.as_mut().unwrap().name = "stage4-disposable-sandbox-proof.json".to_owned();
    }),
    (C::MissingArtifact, |f| {
        second(f)
            .stage_proof
            .as_mut()
            .unwrap()
            .missing_parts
            .push("clean-end.json".to_owned());
    }),
    (C::MissingApprovalProvenance, |f| second(f).approval = None),
    (C::MissingApprovalProvenance, |f| {
        second(f).approval.as_mut().unwrap().approval_source = ApprovalSource::Validator;
    }),
    (C::MissingApprovalProvenance, |f| {
        second(f).approval.as_mut().unwrap().approval_granted = false;
    }),
    (C::MissingApprovalProvenance, |f| {
        second(f).approval.as_mut().unwrap().approval_consumed = false;
    }),
    (C::MissingApprovalProvenance, |f| {
        second(f).approval.as_mut().unwrap().consumed_by = "other".to_owned();
    }),
    (C::MissingApprovalProvenance, |f| {
        second(f).approval.as_mut().unwrap().actor = " ".to_owned();
    }),
    (C::MissingApprovalProvenance, |f| {
        second(f).approval.as_mut().unwrap().signer_key.clear();
    }),
    (C::MissingApprovalProvenance, |f| {
        second(f).approval.as_mut().unwrap().packet_id.clear();
    }),
    (C::MissingApprovalProvenance, |f| {
        second(f).approval.as_mut().unwrap().execution_scope = "every run".to_owned();
    }),
    (C::SourceAdmissionStale, |f| {
        f.pins[1].now.admissions.insert("source".to_owned(), "other".to_owned());
    }),
    (C::SourceAdmissionStale, |f| {
        second(f).admissions.insert("program".to_owned(), "gone".to_owned());
    }),
    (C::SourceAdmissionStale, |f| {
        f.pins[1].now.source_problem = Some("not admitted".to_owned());
    }),
    (C::FailedFact, |f| second(f).tests_passed = Some(false)),
    (C::FailedFact, |f| second(f).tests_passed = None),
    (C::FailedFact, |f| second(f).target.as_mut().unwrap().start_clean = None),
    (C::FailedFact, |f| {
        second(f).target.as_mut().unwrap().ending_clean = Some(false);
    }),
    (C::FailedFact, |f| {
        second(f).target.as_mut().unwrap().admission_status = "not_admitted".to_owned();
    }),
    (C::NotStageFive, |f| second(f).stage = Some(4)),
    (C::NotStageFive, |f| second(f).started = false),
    (C::NotAccepted, |f| second(f).operator = None),
    (C::NotAccepted, |f| second(f).effective_status = Some(Status::Blocked)),
    (C::OtherEngine, |f| second(f).engine = "pi".to_owned()),
    (C::OtherHarnessVersion, |f| {
        second(f).harness_version = "1.0.0".to_owned();
    }),
    (C::FromTheFuture, |f| {
        second(f).finished_at = "2099-01-01T00:00:00Z".to_owned();
    }),
    (C::FromTheFuture, |f| second(f).finished_at = "yesterday".to_owned()),
    (C::PinMismatch, |f| f.pins[1].pin.case_id = Some("OTHER-1".to_owned())),
    (C::PinMismatch, |f| f.pins[1].pin.case_id = None),
    (C::PinMismatch, |f| f.pins[1].pin.target_commit = Some("c".repeat(40))),
    (C::PinMismatch, |f| f.pins[1].pin.target_commit = None),
    (C::PinMismatch, |f| {
        f.pins[1].pin.expected_changed_files = Some(vec!["other.py".to_owned()]);
    }),
    (C::PinMismatch, |f| f.pins[1].pin.expected_changed_files = None),
    (C::PinMismatch, |f| f.pins[1].pin.run_id = "another".to_owned()),
    (C::DuplicatePin, |f| f.pins.push(f.pins[1].clone())),
    (C::DuplicatePin, |f| {
        let digest = f.pins[0].bundle.as_ref().unwrap().manifest_digest;
        second(f).manifest_digest = digest;
    }),
    (C::DuplicatePin, |f| {
        second(f).approval.as_mut().unwrap().packet_id = "ap-case-pass-5".to_owned();
    }),
    (C::TargetUnreadable, |f| f.pins[1].target = None),
    (C::TargetUnreadable, |f| {
        target(f).problem = Some("another run holds it".to_owned());
    }),
    (C::TargetUnreadable, |f| target(f).after = None),
    (C::TargetChanged, |f| {
        target(f).after = Some(RepositoryState {
            index_digest: Some(Sha256Digest::of(b"touched")),
            ..state(NEWEST)
        });
    }),
    (C::TargetMoved, |f| {
        target(f).before = Some(state(&"d".repeat(40)));
        target(f).after = target(f).before.clone();
    }),
    (C::TargetMoved, |f| {
        target(f).before.as_mut().unwrap().head = "ref: refs/heads/other".to_owned();
        target(f).after = target(f).before.clone();
    }),
    (C::TargetMoved, |f| f.pins[1].commit_is_in_history = Some(false)),
    (C::TargetMoved, |f| f.pins[1].commit_is_in_history = None),
    (C::TargetDirty, |f| target(f).clean = Some(false)),
    (C::TargetDirty, |f| target(f).clean = None),
    (C::TargetNotAdmitted, |f| target(f).admission_digest = None),
    (C::TargetNotAdmitted, |f| {
        target(f).admission_digest = Some(Sha256Digest::of(b"another"));
    }),
    (C::TargetNotAdmitted, |f| {
        target(f).admission_problem = Some("it says critical".to_owned());
    }),
    (C::TargetNotAdmitted, |f| {
        second(f).target.as_mut().unwrap().path_digest = None;
    }),
    (C::DefaultActivation, |f| second(f).says_default_activation = true),
    (C::CorePromotion, |f| second(f).says_promotion = true),
    (C::SecretShapedKey, |f| {
        second(f).secret_shaped_keys.push("api_key".to_owned());
    }),
    (C::FallsShort, |f| second(f).allowed_writes_passed = Some(false)),
    (C::FallsShort, |f| second(f).forbidden_actions_attempted = 1),
    (C::ComparisonMissing, |f| f.comparison = None),
    (C::ComparisonNotHeld, |f| {
        f.comparison.as_mut().unwrap().problem = Some("digests".to_owned());
    }),
    (C::ComparisonNotHeld, |f| {
        f.comparison.as_mut().unwrap().proof_holds = false;
    }),
    (C::ComparisonNotHeld, |f| {
        f.comparison.as_mut().unwrap().candidate = "pi".to_owned();
    }),
    (C::ComparisonNotAccepted, |f| {
        f.comparison.as_mut().unwrap().accepted = false;
    }),
    (C::TooFewPasses, |f| f.pins.truncate(1)),
    (C::TooFewPasses, |f| f.pins.clear()),
];

#[test]
fn each_change_of_the_accepted_case_is_rejected_with_its_own_code() {
    for (at, (code, change)) in REJECTED.iter().enumerate() {
        let mut facts = accepted();
        change(&mut facts);
        let refresh = judged(&facts);
        assert!(
            codes(&refresh).contains(code),
            "{at}: {code:?}: {:#?}",
            refresh.rejections
        );
        assert!(!refresh.repeatability_passed, "{at}: {code:?}");
        let worst = refresh.rejections.iter().map(|one| one.code.status()).max();
        assert_eq!(Some(refresh.repeatability_status), worst, "{at}: {code:?}");
        assert!(refresh.repeatability_status >= code.status(), "{at}: {code:?}");
    }
    let named: std::collections::BTreeSet<C> = REJECTED.iter().map(|(code, _)| *code).collect();
    let all = <C as strum::VariantArray>::VARIANTS;
    assert_eq!(named.len(), all.len(), "every code has a case");
}

#[test]
fn a_third_pin_that_does_not_count_is_never_dropped_silently() {
    let mut facts = accepted();
    let mut third = pin(repeat());
    third.bundle.as_mut().unwrap().run_id = "case-third".to_owned();
    third.bundle.as_mut().unwrap().failed_checks.push("digests".to_owned());
    third.pin.run_id = "case-third".to_owned();
    facts.pins.push(third);
    let refresh = judged(&facts);
    assert_eq!(
        (refresh.repeatability_count, refresh.repeatability_status),
        (2, Status::Fail)
    );
    assert!(!refresh.repeatability_passed);
}

#[test]
fn a_prose_is_held_against_the_proofs_which_stay() {
    let prose = "\
# Closeout
approval_source: operator
- **Approved by** me@example.org, on Friday
execution_scope: one approved Harness run only
packet: ap-repeat
operator_outcome: accepted
approved by the operator
";
    let mut facts = accepted();
    facts.prose = read_prose(prose);
    assert_eq!(facts.prose.len(), 6, "{:#?}", facts.prose);
    assert_eq!(judged(&facts).prose_mismatches, []);
    for (line, field) in [
        ("approval_source: validator", "approval_source"),
        ("| Approval source | `validator` |", "approval_source"),
        ("Approved by somebody@example.org.", "actor"),
        ("This was approved by the validator", "actor"),
        ("packet_id: ap-other", "packet_id"),
        ("approval_granted: false", "approval_granted"),
        ("consumed_by = 20261120t100000z-x-aaaaaaaaaa", "consumed_by"),
        ("operator_outcome: rejected", "operator_outcome"),
        ("target commit: cccccccccccc", "target_commit"),
        ("execution scope: every run of this week", "execution_scope"),
    ] {
        let mut facts = accepted();
        facts.prose = read_prose(&format!("{prose}\n{line}\n"));
        let before = facts.pins.clone();
        let refresh = judged(&facts);
        let [mismatch] = refresh.prose_mismatches.as_slice() else {
            panic!("{line}: {:#?}", refresh.prose_mismatches)
        };
        assert_eq!((mismatch.field.as_str(), mismatch.line), (field, 9), "{line}");
        assert_eq!(refresh.facts.pins, before, "the proof is not rewritten");
        assert!(refresh.repeatability_passed, "a prose is no evidence");
    }
}

#[test]
fn a_prose_about_one_run_is_held_against_that_run() {
    let first = "20261120t100000z-tidy-1-aaaaaaaaaa";
    let mut facts = accepted();
    facts.pins[0].bundle.as_mut().unwrap().run_id = first.to_owned();
    facts.prose = read_prose(&format!("## {first}\npacket_id: ap-repeat\n"));
    let mismatches = prose::mismatches(&facts);
    assert_eq!(mismatches.len(), 1);
    assert_eq!(mismatches[0].run_id.as_deref(), Some(first));
    facts.prose = read_prose("run: 20261120t100000z-other-bbbbbbbbbb\npacket_id: ap-x\n");
    assert_eq!(prose::mismatches(&facts), [], "it speaks of a run that is not pinned");
    let secret = read_prose("actor: ghp_abcdefghijklmnop1234567890abcdef\n");
    assert!(secret[0].value.starts_with("(not repeated"), "{secret:?}");
}

#[test]
fn a_comparison_whose_rows_are_open_carries_nothing_forward() {
    let mut facts = accepted();
    let rows: &mut Vec<RowVerdict> = &mut facts.comparison.as_mut().unwrap().rows;
    rows[0].state = RowState::Open;
    let refresh = judged(&facts);
    assert!(!refresh.failure_matrix_carry_forward.passed);
    let short = |one: &DimensionVerdict| one.verdict == cto_schema::Standing::FallsShort;
    assert!(refresh.real_stage5_passes[0].lanes[0].dimensions.iter().any(short));
    assert!(!refresh.repeatability_passed);
}
