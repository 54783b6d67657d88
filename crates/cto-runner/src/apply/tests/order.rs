//! What a loss of power could tear is made durable in the right order: no test here can cut the power, but the order of
//! the operations can be seen.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

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
