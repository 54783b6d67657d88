//! Killed at any point, an apply is finished or undone by recovery, which may itself be killed at any point.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use super::bench::{RUN, Site, git};
use super::child::{copy, finish, snapshot, start};
use super::happy::everything_changes;
use crate::apply::{MadeCommit, RecoveredApply, fault, recover_applies};
use crate::baseline::sample::{Tree, write};

/// A finished setting that is copied for each kill.
struct Template {
    site: Site,
    base: Tree,
    end: Tree,
    made: MadeCommit,
}

impl Template {
    fn new() -> Self {
        let (base, end) = everything_changes();
        let site = Site::new(&base);
        let made = site.commit(&base, &end);
        Self { site, base, end, made }
    }

    /// Returns a fresh home and a fresh copy of the target.
    fn fresh(&self) -> Site {
        let mut copied = Site::of(crate::baseline::sample::Bench::new(), PathBuf::new());
        copied.target = copied.bench.directory.path().join("target");
        copy(&self.site.target, &copied.target);
        copied
    }

    fn start(&self, action: &str, point: u32, site: &Site) -> std::process::Child {
        start(action, point, site.home.root(), &site.target, &self.made)
    }

    fn run(&self, action: &str, point: u32, site: &Site) -> bool {
        finish(self.start(action, point, site))
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

#[test]
fn two_recoveries_at_once_do_the_work_of_one() {
    let template = Template::new();
    let (_, fatal) = template.points("branch moved");
    for _ in 0..5 {
        let site = template.fresh();
        assert!(!template.run("apply", fatal, &site));
        let both = [
            template.start("recover", u32::MAX, &site),
            template.start("recover", u32::MAX, &site),
        ];
        assert!(both.into_iter().all(finish));
        assert!(template.recover_and_judge(&site, fatal));
    }
}

#[test]
fn a_git_that_outlives_its_harness_still_counts_as_the_apply() {
    let template = Template::new();
    let site = template.fresh();
    let place = site.home.root().parent().unwrap().to_owned();
    let (slow, begun) = (place.join("slow-git"), place.join("begun"));
    let real = site.bench.git.program().display().to_string();
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *update-ref*) exec 3<&0; sleep 1 & echo > '{}'; wait;; esac\nexec {real} \"$@\"\n",
        begun.display()
    );
    write(&slow, script);
    std::fs::set_permissions(&slow, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut child = template.start("apply", u32::MAX, &site);
    while !begun.exists() {
        assert!(!wait(&child, Duration::from_millis(5)));
    }
    child.kill().unwrap();
    finish(child);
    assert_eq!(
        recover_applies(&site.home, &site.bench.git).unwrap(),
        [],
        "something of it lives"
    );
    let ended = Instant::now() + Duration::from_secs(30);
    while recover_applies(&site.home, &site.bench.git).unwrap().is_empty() {
        assert!(Instant::now() < ended);
        rustix::event::poll(
            &mut [],
            Some(&rustix::event::Timespec {
                tv_sec: 0,
                tv_nsec: 50_000_000,
            }),
        )
        .unwrap();
    }
    assert!(!template.recover_and_judge(&site, 0));
}

/// Waits until a child has ended, or some time has passed; true when it has ended.
fn wait(child: &std::process::Child, time: Duration) -> bool {
    let process = rustix::process::pidfd_open(
        rustix::process::Pid::from_child(child),
        rustix::process::PidfdFlags::empty(),
    )
    .unwrap();
    let timeout = rustix::event::Timespec::try_from(time).unwrap();
    let mut waited = [PollFd::new(&process, PollFlags::IN)];
    rustix::event::poll(&mut waited, Some(&timeout)).unwrap() > 0
}

/// Where the points lie is our idea; time has none, and reaches into git as well.
#[test]
fn killed_at_any_time_the_target_becomes_the_old_or_the_new_tree() {
    let template = Template::new();
    let begun = Instant::now();
    assert!(template.run("apply", u32::MAX, &template.fresh()));
    let whole = begun.elapsed();
    let mut ends = [0, 0];
    for step in 0..KILLS {
        let site = template.fresh();
        let mut child = template.start("apply", u32::MAX, &site);
        wait(&child, whole * step / KILLS);
        child.kill().unwrap();
        finish(child);
        // A git that was just being started ends with its parent, but not at the very same moment: until then it
        // shares the locks, and the apply counts as alive.
        let journal = site.home.applies().join(RUN);
        for _ in 0..1000 {
            if let Ok(lock) = std::fs::File::options()
                .write(true)
                .open(site.target.join(".git/refs/heads/main.lock"))
            {
                lock.set_modified(std::time::UNIX_EPOCH).unwrap();
            }
            recover_applies(&site.home, &site.bench.git).unwrap();
            if !journal.exists() || journal.join("done.json").exists() {
                break;
            }
            rustix::event::poll(
                &mut [],
                Some(&rustix::event::Timespec {
                    tv_sec: 0,
                    tv_nsec: 5_000_000,
                }),
            )
            .unwrap();
        }
        let head = git(&site.target, &["rev-parse", "HEAD"]).trim().to_owned();
        let committed = head == template.made.commit;
        site.assert_is(&head, if committed { &template.end } else { &template.base });
        assert!(committed || head == template.made.parent);
        ends[usize::from(committed)] += 1;
    }
    assert!(ends[0] > 0, "{ends:?}");
}

/// Enough to reach every part of an apply; a night may have more.
const KILLS: u32 = 40;
