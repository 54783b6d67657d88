//! Killed at any point, an apply is finished or undone by recovery, which may itself be killed at any point.

use std::path::PathBuf;

use super::bench::{Site, git};
use super::child::{copy, run, snapshot};
use super::happy::everything_changes;
use crate::apply::{MadeCommit, RecoveredApply, fault, recover_applies};
use crate::baseline::sample::Tree;

/// A finished setting that is copied for each kill.
struct Template {
    site: Site,
    end: Tree,
    made: MadeCommit,
}

impl Template {
    fn new() -> Self {
        let (base, end) = everything_changes();
        let site = Site::new(&base);
        let made = site.commit(&base, &end);
        Self { site, end, made }
    }

    /// Returns a fresh home and a fresh copy of the target.
    fn fresh(&self) -> Site {
        let mut copied = Site::of(crate::baseline::sample::Bench::new(), PathBuf::new());
        copied.target = copied.bench.directory.path().join("target");
        copy(&self.site.target, &copied.target);
        copied
    }

    fn run(&self, action: &str, point: u32, site: &Site) -> bool {
        run(action, point, site.home.root(), &site.target, &self.made)
    }

    /// Returns how many points a whole apply passes, and the number of the first with a name.
    fn points(&self, first: &'static str) -> (u32, u32) {
        let site = self.fresh();
        let found = std::rc::Rc::new(std::cell::Cell::new(None));
        let seen = found.clone();
        fault::arm(Some(Box::new(move |name, number| {
            if name == first && seen.get().is_none() {
                seen.set(Some(number));
            }
            Ok(())
        })));
        site.apply(&self.made).unwrap();
        let points = (fault::seen(), found.get().unwrap());
        fault::arm(None);
        points
    }

    /// Recovers, and checks that the target is wholly the old or wholly the new one.
    fn recover_and_judge(&self, site: &Site, point: u32) -> bool {
        let found = recover_applies(&site.home, &site.bench.git).unwrap();
        let again = recover_applies(&site.home, &site.bench.git).unwrap();
        assert!(again.is_empty(), "point {point}: recovered twice: {again:?}");
        let head = git(&site.target, &["rev-parse", "HEAD"]);
        let committed = head.trim() == self.made.commit;
        for recovery in &found {
            let expected = if committed {
                let target_commit = self.made.commit.clone();
                RecoveredApply::Committed { target_commit }
            } else {
                RecoveredApply::RolledBack
            };
            assert_eq!(recovery.outcome, expected, "point {point}");
        }
        if committed {
            site.assert_is(&self.made.commit, &self.end);
        } else {
            assert_eq!(snapshot(&site.target), snapshot(&self.site.target), "point {point}");
        }
        committed
    }
}

#[test]
fn killed_at_any_point_the_target_becomes_the_old_or_the_new_tree() {
    let template = Template::new();
    let (points, moved) = template.points("after update-ref");
    assert!(points > 100, "{points}");
    for point in 0..points {
        let site = template.fresh();
        assert!(!template.run("apply", point, &site), "point {point} was not reached");
        let committed = template.recover_and_judge(&site, point);
        assert_eq!(committed, point >= moved, "point {point}");
    }
    let site = template.fresh();
    assert!(template.run("apply", points, &site));
    assert!(template.recover_and_judge(&site, points));
}

fn kill_recovery_everywhere(first: &'static str, committed: bool) {
    let template = Template::new();
    let (_, fatal) = template.points(first);
    for point in 0.. {
        let site = template.fresh();
        assert!(!template.run("apply", fatal, &site));
        let finished = template.run("recover", point, &site);
        assert_eq!(template.recover_and_judge(&site, point), committed, "point {point}");
        if finished {
            assert!(point > 10, "only {point} points");
            return;
        }
    }
}

#[test]
fn recovery_that_undoes_may_be_killed_at_any_point() {
    kill_recovery_everywhere("objects written", false);
}

#[test]
fn recovery_that_finishes_may_be_killed_at_any_point() {
    kill_recovery_everywhere("branch moved", true);
}
