//! The audit over complete evidence, and over each part of it missing.

use super::*;
use crate::candidate::tests::{accepted_run, every_row, pass};

fn complete() -> AuditFacts {
    let mut bundles = every_row("fake");
    bundles.extend([accepted_run("fake"), pass("fake", 2), pass("fake", 3), pass("fake", 4)]);
    let mut vendor = pass("pi", 2);
    vendor.source_admission_status = "admitted".to_owned();
    vendor.admissions = [("source", "s"), ("build", "b")]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .into();
    let mut refused = every_row("case").remove(22);
    refused.run_id = "case-refused".to_owned();
    let mut nothing = refused.clone();
    nothing.run_id = "nothing".to_owned();
    nothing.stage = Some(1);
    bundles.extend([vendor, refused, nothing]);
    AuditFacts {
        judged_at_seconds: 1_800_000_000,
        harness_version: "0.2.0".to_owned(),
        bundles: bundles
            .into_iter()
            .map(|bundle| (bundle.run_id.clone(), bundle))
            .collect(),
        failed: vec![],
        accepted_comparisons: vec!["c".to_owned()],
        passed_refreshes: vec!["r".to_owned()],
        packets: vec!["p".to_owned()],
        failed_documents: vec![],
    }
}

fn not_proven(facts: &AuditFacts) -> Vec<String> {
    let audit = judge_audit("2026-11-20T00:00:00Z", facts);
    let open = audit.lines.iter().filter(|line| line.status == AuditStatus::NotProven);
    let open: Vec<String> = open.map(|line| line.id.clone()).collect();
    assert_eq!(audit.completion_status == CompletionStatus::Complete, open.is_empty());
    open
}

#[test]
fn nothing_is_proven_by_nothing() {
    assert_eq!(not_proven(&AuditFacts::default()).len(), LINES.len());
    assert_eq!(LINES.iter().filter(|line| line.0 == Law).count(), 9);
    assert_eq!(LINES.iter().filter(|line| line.0 == Requirement).count(), 10);
}

#[test]
fn everything_is_proven_by_all_of_it_and_each_line_falls_with_what_it_needs() {
    let all = complete();
    assert_eq!(not_proven(&all), Vec::<String>::new());
    for row in FAILURE_ROWS {
        // Runs that show these rows show other needs as well.
        if matches!(row.name, "gate-missing" | "missing-operator-outcome") {
            continue;
        }
        let mut less = all.clone();
        less.bundles.retain(|_, bundle| !shows_row(row, bundle));
        let needed = LINES.iter().filter(|line| line.3.contains(&Row(row.name)));
        let needed: Vec<String> = needed.map(|line| line.1.to_owned()).collect();
        assert_eq!(not_proven(&less), needed, "{}", row.name);
    }
    for (run, needs) in [
        ("fake-pass-3", &[Pass(3)][..]),
        ("fake-pass-4", &[Pass(4)]),
        ("fake-pass-5", &[Accepted, ThreeFacts]),
        ("pi-pass-2", &[Vendor]),
        ("nothing", &[RunsNothing]),
    ] {
        let mut less = all.clone();
        assert!(less.bundles.remove(run).is_some());
        let needed = LINES
            .iter()
            .filter(|line| needs.iter().any(|need| line.3.contains(need)));
        let needed: Vec<String> = needed.map(|line| line.1.to_owned()).collect();
        assert_eq!(not_proven(&less), needed, "{run}");
    }
}

#[test]
fn what_does_not_verify_activates_or_is_another_versions_proves_nothing() {
    type Change = fn(&mut AuditFacts);
    let changes: [(&str, Change); 8] = [
        ("law_3_every_run_is_sealed", |f| f.failed.push("x".to_owned())),
        ("law_3_every_run_is_sealed", |f| f.failed_documents.push("x".to_owned())),
        ("cortex_governs", |f| f.packets.clear()),
        ("default_status_is_earned", |f| f.accepted_comparisons.clear()),
        ("candidate_default_evidence", |f| f.passed_refreshes.clear()),
        ("cortex_governs", |f| {
            f.bundles.values_mut().next().unwrap().says_promotion = true;
        }),
        ("law_6_no_secret", |f| {
            let bundle = f.bundles.values_mut().next().unwrap();
            bundle.secret_shaped_keys.push("api_key".to_owned());
        }),
        ("law_1_default_deny", |f| {
            f.bundles
                .values_mut()
                .for_each(|bundle| bundle.harness_version = "1.0.0".to_owned());
        }),
    ];
    for (line, change) in changes {
        let mut facts = complete();
        change(&mut facts);
        assert!(not_proven(&facts).contains(&line.to_owned()), "{line}");
    }
}
