//! What a loss of power could tear is made durable in the right order: no test here can cut the power, but the order of
//! the operations can be seen.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::rc::Rc;

use cto_evidence::apply_record;

use super::bench::Site;
use super::happy::everything_changes;
use crate::apply::{fault, recover_applies};

type Trace = Rc<RefCell<Vec<&'static str>>>;

fn record(fail_at: &'static str) -> Trace {
    let trace = Trace::default();
    let seen = trace.clone();
    fault::arm(Some(Box::new(move |name, _| {
        seen.borrow_mut().push(name);
        if name == fail_at {
            return Err(io::ErrorKind::Other.into());
        }
        Ok(())
    })));
    trace
}

/// Each file is durable before it gets its name, and each change of names before the next phase.
fn check(trace: &[&'static str]) {
    let (mut unsynced_file, mut unsynced_names) = (false, false);
    for (at, point) in trace.iter().enumerate() {
        match *point {
            "create" => unsynced_file = true,
            "fsync" => unsynced_file = false,
            "rename" => {
                assert!(!unsynced_file, "step {at}: a name for a file that is not durable");
                unsynced_names = true;
            }
            "unlink" | "rmdir" | "mkdir" | "symlink" => unsynced_names = true,
            "fsync_dir" => unsynced_names = false,
            "objects written" | "before update-ref" | "files" | "index followed" | "before done" => {
                assert!(!unsynced_names, "step {at}: '{point}' with names that are not durable");
            }
            _ => {}
        }
    }
}

/// Returns what comes between a point and the first that changes something.
fn before_the_first_change<'a>(trace: &'a [&'static str], from: &str) -> &'a [&'static str] {
    let from = trace.iter().position(|point| *point == from).map_or(0, |at| at + 1);
    let rest = &trace[from..];
    let changes = ["create", "symlink", "unlink", "rmdir", "mkdir", "rename"];
    let first = rest.iter().position(|point| changes.contains(point)).unwrap();
    &rest[..first]
}

#[test]
fn the_branch_is_durable_before_any_file_changes() {
    let (base, end) = everything_changes();
    let site = Site::new(&base);
    let made = site.commit(&base, &end);
    let trace = record("");
    site.apply(&made).unwrap();
    fault::arm(None);
    check(&trace.borrow());
    // Every directory that got an object, every new one in its own, and the one above them all.
    let (plan, _) = apply_record(&site.home, &site.run_id).unwrap().unwrap();
    let fans: BTreeSet<&str> = plan.new_objects.iter().map(|id| &id[..2]).collect();
    let written = trace
        .borrow()
        .split(|point| *point == "objects written")
        .next()
        .unwrap()
        .to_vec();
    let count = |name: &str| {
        written
            .iter()
            .rev()
            .take_while(|point| **point != "index locked")
            .filter(|point| **point == name)
            .count()
    };
    assert_eq!(count("rename"), plan.new_objects.len());
    assert!(count("fsync_dir") > count("mkdir") + fans.len(), "{written:?}");
    // The branch, its log and the log of `HEAD`, and the directories of each.
    let durable = before_the_first_change(&trace.borrow(), "after update-ref").to_vec();
    let count = |name: &str| durable.iter().filter(|point| **point == name).count();
    assert!(count("fsync") >= 3 && count("fsync_dir") >= 6, "{durable:?}");

    // Recovery does not know whether the dead process came so far.
    let site = Site::new(&base);
    let made = site.commit(&base, &end);
    let trace = record("after update-ref");
    site.apply(&made).unwrap_err();
    fault::arm(None);
    assert_eq!(trace.borrow().last(), Some(&"after update-ref"));
    let trace = record("");
    recover_applies(&site.home, &site.bench.git).unwrap();
    fault::arm(None);
    check(&trace.borrow());
    let durable = before_the_first_change(&trace.borrow(), "").to_vec();
    assert!(
        durable.iter().filter(|point| **point == "fsync").count() >= 3,
        "{durable:?}"
    );
    site.assert_is(&made.commit, &end);
}

#[test]
fn what_is_undone_is_gone_durably() {
    let (base, end) = everything_changes();
    let site = Site::new(&base);
    let made = site.commit(&base, &end);
    let trace = record("objects written");
    site.apply(&made).unwrap();
    fault::arm(None);
    let trace = trace.borrow();
    let undone = trace.iter().position(|point| *point == "objects written").unwrap();
    assert_eq!(trace.last(), Some(&"fsync_dir"));
    assert!(trace[undone..].contains(&"unlink"));
    site.assert_is(&made.parent, &base);
}
