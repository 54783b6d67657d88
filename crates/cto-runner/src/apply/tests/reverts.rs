//! An applied commit is taken back by an inverse one, or a refusal names what git could do.

use cto_evidence::apply_record;
use cto_schema::{ApplyEnd, ApplyKind};

use super::bench::{Site, git, person};
use super::child::snapshot;
use super::happy::everything_changes;
use crate::apply::{ApplyOutcome, CommitText, Expected, MadeCommit, Refusal, RevertOrder, revert};
use crate::baseline::sample::{Tree, write};

fn applied() -> (Site, Tree, Tree, MadeCommit, Expected) {
    let (base, end) = everything_changes();
    let site = Site::new(&base);
    let (made, expected) = (site.commit(&base, &end), site.expected());
    assert!(matches!(site.apply(&made).unwrap(), ApplyOutcome::Applied(_)));
    (site, base, end, made, expected)
}

/// Takes the commit back.
pub(super) fn take_back(site: &Site, made: &MadeCommit, expected: &Expected) -> ApplyOutcome {
    let target = site.open();
    let lock = target.lock().unwrap();
    let who = person();
    let order = RevertOrder {
        home: &site.home,
        git: &site.bench.git,
        run_id: &site.run_id,
        target: &target,
        lock: &lock,
        identity: expected.identity,
        branch: &expected.branch,
        target_commit: &made.commit,
        text: CommitText {
            author: &who,
            committer: &who,
            message: b"Take it back\n",
        },
        directory: &site.bench.place("revert"),
    };
    revert(&order).unwrap()
}

#[test]
fn an_applied_commit_is_taken_back_by_one_more_commit() {
    let (site, base, _, made, expected) = applied();
    let outcome = take_back(&site, &made, &expected);
    let ApplyOutcome::Applied(applied) = outcome else {
        panic!("{outcome:?}")
    };
    site.assert_is(&applied.target_commit, &base);
    let line = git(&site.target, &["rev-list", "HEAD"]);
    let line: Vec<&str> = line.lines().collect();
    assert_eq!(line[..3], [&applied.target_commit, &made.commit, &made.parent]);
    let log = git(&site.target, &["reflog", "-1", "--format=%gs"]);
    assert_eq!(log.trim(), format!("cto: revert of run {}", site.run_id));
    let (plan, done) = apply_record(&site.home, &site.run_id).unwrap().unwrap();
    assert_eq!((plan.kind, plan.new_commit), (ApplyKind::Apply, made.commit));
    assert_eq!(done.unwrap().outcome, ApplyEnd::Committed);
}

#[test]
fn a_target_that_has_moved_on_is_left_to_git_revert() {
    let (site, _, _, made, expected) = applied();
    write(&site.target.join("new/name"), "mine\n");
    let before = snapshot(&site.target);
    let outcome = take_back(&site, &made, &expected);
    assert_eq!(snapshot(&site.target), before);
    // Not moved on: a file is in the way, and git revert would meet the same one.
    let ApplyOutcome::Refused(refusal @ Refusal::InTheWay { .. }) = outcome else {
        panic!("{outcome:?}")
    };
    let said = refusal.to_string();
    assert!(said.contains("new/name") && said.contains("stash"), "{said}");
    assert!(!said.contains("git revert") && !said.contains("moved on"), "{said}");
    let hint = format!("git revert {}", made.commit);
    git(&site.target, &["commit", "-qam", "mine"]);
    let outcome = take_back(&site, &made, &expected);
    assert!(matches!(&outcome, ApplyOutcome::Refused(refusal) if refusal.to_string().contains(&hint)));
    // Back where it was, it can be taken back after all.
    git(&site.target, &["reset", "-q", "--hard", "HEAD~1"]);
    assert!(matches!(take_back(&site, &made, &expected), ApplyOutcome::Applied(_)));
}
