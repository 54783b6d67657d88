//! Tests of verification: an honest bundle passes, and every twin of it with one change fails.
#![expect(
    clippy::disallowed_methods,
    reason = "tests write files and start programs that are not ours"
)]

mod archives;
pub(crate) mod fixture;
mod forgery;
mod governed;
mod speed;
mod tamper;
mod third_party;
mod written;

use cto_schema::Status;

use super::{CheckState, KnownKey, TrustedKeys, VerificationOutcome, verify_bundle};
use crate::bundle::Bundle;
use fixture::{Made, World, key};

/// Checks a bundle with the fixture's key.
pub(crate) fn outcome(made: &Made) -> VerificationOutcome {
    outcome_at(&made.path)
}

fn outcome_at(path: &std::path::Path) -> VerificationOutcome {
    verify_bundle(&Bundle::open(path).unwrap(), &trusted(), None)
}

fn trusted() -> TrustedKeys {
    TrustedKeys::new(vec![KnownKey::new("fixture", key().verifying_key())])
}

/// Returns the names of failed checks.
fn failed(outcome: &VerificationOutcome) -> Vec<&'static str> {
    outcome.failed().map(|check| check.name).collect()
}

/// True when reading or checking refuses what lies at `path`. It stops at the first check that fails.
fn refused(path: &std::path::Path) -> bool {
    let Ok(bundle) = Bundle::open(path) else {
        return true;
    };
    let keys = trusted();
    let context = super::Context::read(&bundle, &keys, None);
    super::checks::CHECKS.iter().any(|(_, check)| check(&context).is_err())
}

#[test]
fn an_honest_bundle_passes_every_check() {
    let made = World::accepted().make();
    let outcome = outcome(&made);
    let failures: Vec<_> = outcome.failed().collect();
    assert!(failures.is_empty(), "{failures:#?}");
    assert_eq!(outcome.status, Some(Status::Pass));
    assert_eq!(outcome.signer.as_deref(), Some("fixture"));
    let skipped: Vec<&str> = outcome
        .checks
        .iter()
        .filter(|c| c.state == CheckState::NotApplicable)
        .map(|c| c.name)
        .collect();
    assert_eq!(
        skipped,
        [
            "approval",
            "model",
            "proofs",
            "stage-proofs",
            "outcome",
            "ledger",
            "outcome-beside"
        ]
    );
}

#[test]
fn an_honest_refusal_and_an_honest_failure_pass_as_what_they_are() {
    for (world, status) in [
        (World::refused(), Status::Blocked),
        (World::outside(), Status::Fail),
        (World::interrupted(), Status::Blocked),
    ] {
        let outcome = outcome(&world.make());
        let failures: Vec<_> = outcome.failed().collect();
        assert!(failures.is_empty(), "{status:?} {failures:#?}");
        assert_eq!(outcome.status, Some(status));
    }
}

#[test]
fn many_bundles_come_back_in_order_with_their_own_results() {
    let (good, bad) = (World::accepted().make(), World::accepted().make());
    std::fs::write(bad.path.join("test.log"), "other").unwrap();
    let paths = vec![
        good.path.clone(),
        bad.path.clone(),
        "/nonexistent".into(),
        good.path.clone(),
    ];
    let seen = std::sync::atomic::AtomicUsize::new(0);
    let count = |_: usize, _: &super::Verified| {
        seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    };
    let results = super::verify_many(&paths, &trusted(), None, 3, &count);
    let ok: Vec<bool> = results.iter().map(super::Verified::ok).collect();
    assert_eq!(ok, [true, false, false, true]);
    assert_eq!(seen.into_inner(), 4);
}
