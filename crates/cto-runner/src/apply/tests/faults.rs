//! Every single operation fails once, with every error that a disk has: the outcome is told, and recovery mends it.

use std::io;

use rustix::io::Errno;

use super::bench::{Site, git};
use super::child::{copy, snapshot};
use super::happy::some_changes;
use crate::apply::{ApplyError, ApplyOutcome, RecoveredApply, fault, recover_applies};
use crate::baseline::sample::Bench;

/// Fails from the n-th point on, for as many points as told.
fn fail(from: u32, count: u32, errno: Errno) {
    fault::arm(Some(Box::new(move |_, number| {
        if number >= from && number - from < count {
            return Err(io::Error::from(errno));
        }
        Ok(())
    })));
}

#[test]
fn every_operation_may_fail_and_nothing_is_half_done_after_recovery() {
    let (base, end) = some_changes();
    let template = Site::new(&base);
    let made = template.commit(&base, &end);
    let fresh = || {
        let mut site = Site::of(Bench::new(), std::path::PathBuf::new());
        site.target = site.bench.directory.path().join("target");
        copy(&template.target, &site.target);
        site
    };
    let untouched = snapshot(&template.target);
    let (mut undone, mut unfinished) = (0, 0);
    // Once alone, and once with everything that follows, as on a full disk.
    for (count, errno) in [(1, Errno::IO), (u32::MAX, Errno::NOSPC), (u32::MAX, Errno::ACCESS)] {
        for point in 0.. {
            let site = fresh();
            fail(point, count, errno);
            let outcome = site.apply(&made);
            let reached = fault::seen() > point;
            fault::arm(None);
            let head = git(&site.target, &["rev-parse", "HEAD"]).trim().to_owned();
            let place = format!("{errno:?} x{count} at {point}");
            match outcome {
                Ok(ApplyOutcome::Applied(_)) => {
                    site.assert_is(&made.commit, &end);
                    if !reached {
                        break;
                    }
                }
                Ok(ApplyOutcome::Refused(refusal)) => {
                    assert_eq!(snapshot(&site.target), untouched, "{place}: {refusal}");
                    undone += 1;
                }
                Err(error @ ApplyError::Unfinished { .. }) => {
                    assert_eq!(head, made.commit, "{place}");
                    assert_eq!(error.target_commit(), Some(head.as_str()));
                    unfinished += 1;
                }
                Err(ApplyError::NotUndone { .. } | ApplyError::Unknown { .. }) => {}
                Err(error) => assert_eq!(snapshot(&site.target), untouched, "{place}: {error}"),
            }
            for recovery in recover_applies(&site.home, &site.bench.git).unwrap() {
                let expected = if head == made.commit {
                    let target_commit = made.commit.clone();
                    RecoveredApply::Committed { target_commit }
                } else {
                    RecoveredApply::RolledBack
                };
                assert_eq!(recovery.outcome, expected, "{place}");
            }
            if head == made.commit {
                site.assert_is(&made.commit, &end);
            } else {
                assert_eq!(snapshot(&site.target), untouched, "{place}");
            }
        }
    }
    assert!(undone > 30 && unfinished > 30, "{undone} {unfinished}");
}
