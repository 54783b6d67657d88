//! The child process of tests that kill one.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use cto_evidence::Home;

use super::bench::{RUN, everything, person};
use crate::apply::commit::loose_objects;
use crate::apply::{ApplyOrder, Expected, MadeCommit, apply, fault, recover_applies};
use crate::baseline::ObjectFormat;
use crate::source::{Head, SourceRepository};
use crate::tool::Git;

const CHILD: &str = "apply::tests::child::child";
/// What the child is told to do: action, point, home, target, commit, tree, parent, private git directory.
const ORDER: &str = "CTO_APPLY_TEST_CHILD";

/// Not a test by itself: the process that other tests start. Does nothing without an order.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the order reaches the child by its environment"
)]
fn child() {
    let Ok(order) = std::env::var(ORDER) else {
        return;
    };
    let parts: Vec<&str> = order.split('|').collect();
    let home = Home::open(parts[2].as_ref()).unwrap();
    let fatal: u32 = parts[1].parse().unwrap();
    fault::arm(Some(Box::new(move |_, number| {
        if number == fatal {
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)?;
        }
        Ok(())
    })));
    let slow = home.root().with_file_name("slow-git");
    let git = if slow.exists() {
        Git::at(slow)
    } else {
        Git::find().unwrap()
    };
    if parts[0] == "recover" {
        recover_applies(&home, &git).unwrap();
        return;
    }
    let git_dir = PathBuf::from(parts[7]);
    let mut objects = loose_objects(&git_dir.join("objects"), ObjectFormat::Sha1).unwrap();
    objects.sort_by_key(|(id, _)| (id == parts[4], id.clone()));
    let commit = MadeCommit {
        commit: parts[4].to_owned(),
        tree: parts[5].to_owned(),
        parent: parts[6].to_owned(),
        committer: person(),
        git_dir,
        objects,
    };
    let target = SourceRepository::open(parts[3].as_ref()).unwrap();
    put(&home, &git, &target, &commit);
}

fn put(home: &Home, git: &Git, target: &SourceRepository, commit: &MadeCommit) {
    let Head::Branch(branch) = target.head().unwrap() else {
        panic!("no branch")
    };
    let expected = Expected {
        identity: target.identity(),
        branch,
        commit: target.head_commit().unwrap(),
    };
    let order = ApplyOrder {
        home,
        git,
        run_id: &RUN.parse().unwrap(),
        target,
        lock: &target.lock().unwrap(),
        expected: &expected,
        commit,
    };
    apply(&order).unwrap();
}

/// Starts the child, which is killed at a point if it reaches that.
#[expect(clippy::disallowed_methods, reason = "these tests are about real processes")]
pub(super) fn start(action: &str, point: u32, home: &Path, target: &Path, commit: &MadeCommit) -> Child {
    let order = [
        action,
        &point.to_string(),
        home.to_str().unwrap(),
        target.to_str().unwrap(),
        &commit.commit,
        &commit.tree,
        &commit.parent,
        commit.git_dir.to_str().unwrap(),
    ]
    .join("|");
    Command::new(std::env::current_exe().unwrap())
        .args([CHILD, "--exact", "--nocapture", "--test-threads=1"])
        .env(ORDER, order)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits for the child; true when it finished, false when it was killed.
pub(super) fn finish(child: Child) -> bool {
    let output = child.wait_with_output().unwrap();
    let killed = output.status.signal() == Some(9);
    assert!(
        output.status.success() || killed,
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output.status.success()
}

/// Copies a directory with everything in it.
pub(super) fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (source, place) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            copy(&source, &place);
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&source).unwrap(), &place).unwrap();
        } else {
            fs::copy(&source, &place).unwrap();
        }
    }
}

/// Everything below a directory, byte for byte, with modes.
pub(super) fn snapshot(at: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let read = |path: &Path| -> io::Result<(u32, Vec<u8>)> {
        let metadata = path.symlink_metadata()?;
        let content = if metadata.is_symlink() {
            fs::read_link(path)?.into_os_string().into_encoded_bytes()
        } else if metadata.is_dir() {
            Vec::new()
        } else {
            fs::read(path)?
        };
        Ok((metadata.permissions().mode(), content))
    };
    everything(at)
        .into_iter()
        .map(|path| (path.strip_prefix(at).unwrap().to_owned(), read(&path).unwrap()))
        .collect()
}
