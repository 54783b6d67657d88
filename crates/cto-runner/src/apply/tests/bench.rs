//! A target repository, a home, and a change that was collected.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use cto_evidence::Home;
use cto_schema::{
    Change, ChangeKind, EntryKind, EntryState, History, PathText, RunId, SchemaId, Sha256Digest, WriteSet,
};

use crate::apply::{
    ApplyError, ApplyOrder, ApplyOutcome, CommitText, Expected, MadeCommit, Person, apply, make_commit, verified,
};
use crate::baseline::sample::{Bench, Node, Tree, put, read, write};
use crate::source::{Head, SourceRepository};
use crate::write_set::{Collected, FinalContent};

pub(super) const RUN: &str = "20261120t090000z-case-aaaaaaaaaa";

pub(super) struct Site {
    pub(super) bench: Bench,
    pub(super) home: Home,
    pub(super) target: PathBuf,
    pub(super) run_id: RunId,
    next: std::cell::Cell<u32>,
}

/// Runs git as the operator would, with all that the target's settings say.
pub(super) fn git(at: &Path, words: &[&str]) -> String {
    let (good, said) = try_git(at, words);
    assert!(good, "git {words:?}: {said}");
    said
}

pub(super) fn try_git(at: &Path, words: &[&str]) -> (bool, String) {
    let argv: Vec<String> = ["git", "-c", "user.name=o", "-c", "user.email=o@x"]
        .iter()
        .chain(words)
        .map(|word| (*word).to_owned())
        .collect();
    let output = crate::real_tool::run(at, &argv);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        (true, text)
    } else {
        (false, format!("{text}{complaint}"))
    }
}

pub(super) fn state_of(node: &Node) -> EntryState {
    let (kind, content) = match node {
        Node::File(content) => (EntryKind::File, content),
        Node::Executable(content) => (EntryKind::Executable, content),
        Node::Symlink(content) => (EntryKind::Symlink, content),
    };
    EntryState {
        kind,
        digest: Sha256Digest::of(content),
        size_bytes: content.len() as u64,
    }
}

impl Site {
    /// Makes a target with one commit below the tree's.
    pub(super) fn new(base: &Tree) -> Self {
        Self::with(base, &["init", "-q", "-b", "main"])
    }

    pub(super) fn with(base: &Tree, init: &[&str]) -> Self {
        let bench = Bench::new();
        let target = fs::canonicalize(bench.place("target")).unwrap();
        git(&target, init);
        write(&target.join("first"), "first\n");
        git(&target, &["add", "-A"]);
        git(&target, &["commit", "-qm", "one"]);
        git(&target, &["rm", "-q", "first"]);
        for (path, node) in base {
            put(&target, path, node);
        }
        git(&target, &["add", "-A"]);
        git(&target, &["commit", "-qm", "two"]);
        Self::of(bench, target)
    }

    pub(super) fn of(bench: Bench, target: PathBuf) -> Self {
        let home = Home::open(&bench.directory.path().join("home")).unwrap();
        Self {
            bench,
            home,
            target,
            run_id: RUN.parse().unwrap(),
            next: std::cell::Cell::new(0),
        }
    }

    pub(super) fn open(&self) -> SourceRepository {
        SourceRepository::open(&self.target).unwrap()
    }

    pub(super) fn expected(&self) -> Expected {
        let target = self.open();
        let Head::Branch(branch) = target.head().unwrap() else {
            panic!("no branch")
        };
        Expected {
            identity: target.identity(),
            branch,
            commit: target.head_commit().unwrap(),
        }
    }

    /// Makes the commit that turns the old tree into another one.
    pub(super) fn commit(&self, base: &Tree, end: &Tree) -> MadeCommit {
        let target = self.open();
        let commit = target.head_commit().unwrap();
        let source = target.objects().unwrap();
        let store = &self.bench.store;
        let baseline = store
            .ensure(&self.bench.git, &source, &commit, History::Baseline, true)
            .unwrap();
        let who = person();
        let text = CommitText {
            author: &who,
            committer: &who,
            message: b"Change it\n\nBecause.\n",
        };
        let collected = self.collected(base, end);
        // As the run has it after its clean room: the write set, and the steps that were verified.
        let steps = collected.contents.iter().map(|(path, content)| {
            let path = PathBuf::from(OsStr::from_bytes(path));
            match content {
                FinalContent::File { source, executable } => {
                    let (source, mode) = (source.clone(), if *executable { 0o755 } else { 0o644 });
                    cto_sandbox::Change::File { path, mode, source }
                }
                FinalContent::Symlink { target } => {
                    let target = PathBuf::from(OsStr::from_bytes(target));
                    cto_sandbox::Change::Symlink { path, target }
                }
            }
        });
        let collected = verified(&collected.write_set, &steps.collect::<Vec<_>>());
        let directory = self.bench.place("commit");
        make_commit(&self.bench.git, &baseline, &collected, text, &directory).unwrap()
    }

    pub(super) fn collected(&self, base: &Tree, end: &Tree) -> Collected {
        let staging = self.bench.place("staging");
        let paths: BTreeSet<&Vec<u8>> = base.keys().chain(end.keys()).collect();
        let (mut changes, mut contents) = (Vec::new(), BTreeMap::new());
        for path in paths.into_iter().filter(|path| base.get(*path) != end.get(*path)) {
            let (before, after) = (base.get(path).map(state_of), end.get(path).map(state_of));
            let kind = match (&before, &after) {
                (None, _) => ChangeKind::Added,
                (_, None) => ChangeKind::Deleted,
                _ => ChangeKind::Modified,
            };
            self.next.set(self.next.get() + 1);
            let source = staging.join(self.next.get().to_string());
            match end.get(path) {
                Some(Node::Symlink(target)) => {
                    contents.insert(path.clone(), FinalContent::Symlink { target: target.clone() });
                }
                Some(Node::File(content) | Node::Executable(content)) => {
                    write(&source, content);
                    let executable = matches!(end.get(path), Some(Node::Executable(_)));
                    contents.insert(path.clone(), FinalContent::File { source, executable });
                }
                None => {}
            }
            changes.push(Change {
                path: PathText::new(path),
                kind,
                before,
                after,
            });
        }
        let write_set = WriteSet {
            schema: SchemaId::WRITE_SET.to_string(),
            workspace: "copied".to_owned(),
            changes,
            touched: vec![],
            ignored: vec![],
            unsafe_entries: vec![],
            empty_directories: vec![],
            git: vec![],
            truncated: None,
        };
        Collected { write_set, contents }
    }

    pub(super) fn apply(&self, commit: &MadeCommit) -> Result<ApplyOutcome, ApplyError> {
        self.apply_expecting(commit, &self.expected())
    }

    pub(super) fn apply_expecting(&self, commit: &MadeCommit, expected: &Expected) -> Result<ApplyOutcome, ApplyError> {
        let target = self.open();
        let lock = target.lock().unwrap();
        apply(&ApplyOrder {
            home: &self.home,
            git: &self.bench.git,
            run_id: &self.run_id,
            target: &target,
            lock: &lock,
            expected,
            commit,
        })
    }

    /// The target is at this commit, whole, clean, and has nothing of ours lying about.
    pub(super) fn assert_is(&self, commit: &str, tree: &Tree) {
        assert_eq!(git(&self.target, &["rev-parse", "HEAD"]).trim(), commit);
        assert_eq!(git(&self.target, &["status", "--porcelain"]), "");
        assert_eq!(&self.read(), tree);
        self.assert_tidy();
    }

    /// Reads the work tree, without what git keeps there.
    pub(super) fn read(&self) -> Tree {
        let mut found = read(&self.target);
        found.remove(&b".git"[..]);
        found
    }

    pub(super) fn assert_tidy(&self) {
        let said = git(&self.target, &["fsck", "--strict", "--no-dangling"]);
        assert!(!said.contains("error") && !said.contains("missing"), "{said}");
        for path in everything(&self.target) {
            let name = path.file_name().unwrap().as_bytes();
            let ours = name.starts_with(b".cto-") || name.starts_with(b"cto-") || name.starts_with(b"tmp_obj");
            assert!(!ours && !name.ends_with(b".lock"), "{}", path.display());
        }
    }
}

pub(super) fn person() -> Person {
    Person {
        name: "Op Erator".to_owned(),
        email: "op@example.org".to_owned(),
        seconds: 1_795_000_000,
    }
}

pub(super) fn everything(at: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(at).unwrap() {
        let path = entry.unwrap().path();
        if path.symlink_metadata().unwrap().is_dir() {
            found.extend(everything(&path));
        }
        found.push(path);
    }
    found
}
