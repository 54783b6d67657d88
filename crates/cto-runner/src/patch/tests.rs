//! Baseline plus patch is the final tree, whatever the trees hold and whichever way the write set was seen.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Instant;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use super::*;
use crate::baseline::sample::{Bench, Node, Tree, file, put, read, tree, write};
use crate::baseline::{Baseline, beneath};
use crate::write_set::desk::{Desk, copy};
use crate::write_set::{CollectLimits, CollectOptions, Collected, WorkspaceView, collect};

const NAMES: [&[u8]; 18] = [
    b"a",
    b"b",
    b"dir",
    b"-x",
    b" lead",
    b"trail ",
    b"tab\there",
    b"new\nline",
    b"q\"uote",
    b"back\\slash",
    b"\xff\xfe",
    "gr\u{fc}n".as_bytes(),
    b".gitattributes",
    b"x.bin",
    b"*.?[a]",
    b":(top)",
    b"a.b",
    b"\x1b[0m",
];

fn name() -> impl Strategy<Value = Vec<u8>> {
    prop::sample::select(NAMES.to_vec()).prop_map(<[u8]>::to_vec)
}

fn path() -> impl Strategy<Value = Vec<u8>> {
    // git itself refuses a directory of this name.
    let directory = name().prop_map(|name| {
        if name == b".gitattributes" {
            b"attributes".to_vec()
        } else {
            name
        }
    });
    (prop::collection::vec(directory, 0..3), name()).prop_map(|(mut parts, last)| {
        parts.push(last);
        parts.join(&b'/')
    })
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    let fixed: Vec<&[u8]> = vec![
        b"",
        b"\n",
        b"one",
        b"one\n",
        b"one\r\ntwo\r\n",
        b"one\r\ntwo\n",
        b"\0\x01binary\xff",
        b"$Id$\n",
        b"$Id: 12 $\n",
        b"* text=auto eol=crlf\n",
        b"* binary\n",
        b"*.bin filter=lfs diff=lfs\n* ident -diff\n",
        b"\xff\xfea\0",
        b"-- \n--- a/x\n+++ b/x\n@@ -1 +1 @@\n",
        b"trailing \t\n\n\n",
    ];
    prop_oneof![
        prop::sample::select(fixed).prop_map(<[u8]>::to_vec),
        prop::collection::vec(any::<u8>(), 0..300),
        (0..60_usize, 0..60_usize).prop_map(|(lines, at)| {
            (0..lines)
                .map(|n| {
                    if n == at {
                        "changed\n".to_owned()
                    } else {
                        format!("line {n}\n")
                    }
                })
                .collect::<String>()
                .into_bytes()
        }),
    ]
}

fn node() -> impl Strategy<Value = Node> {
    prop_oneof![
        6 => content().prop_map(Node::File),
        2 => content().prop_map(Node::Executable),
        2 => path().prop_map(Node::Symlink),
    ]
}

/// Puts an entry into a tree; what is in its way goes.
fn insert(tree: &mut Tree, path: Vec<u8>, node: Node) {
    let below = [path.as_slice(), b"/"].concat();
    tree.retain(|other, _| !other.starts_with(&below) && !path.starts_with(&[other.as_slice(), b"/"].concat()));
    tree.insert(path, node);
}

#[derive(Clone, Debug)]
enum Edit {
    Put(Vec<u8>, Node),
    Remove(prop::sample::Index),
    RemoveBelow(prop::sample::Index),
    Rename(prop::sample::Index, Vec<u8>),
    Rewrite(prop::sample::Index, Vec<u8>),
    Flip(prop::sample::Index),
}

fn edit() -> impl Strategy<Value = Edit> {
    let at = || any::<prop::sample::Index>();
    prop_oneof![
        3 => (path(), node()).prop_map(|(path, node)| Edit::Put(path, node)),
        2 => at().prop_map(Edit::Remove),
        1 => at().prop_map(Edit::RemoveBelow),
        2 => (at(), path()).prop_map(|(at, path)| Edit::Rename(at, path)),
        3 => (at(), content()).prop_map(|(at, content)| Edit::Rewrite(at, content)),
        2 => at().prop_map(Edit::Flip),
    ]
}

fn apply(tree: &mut Tree, edit: Edit) {
    let pick = |tree: &Tree, at: prop::sample::Index| {
        (!tree.is_empty()).then(|| at.get(&tree.keys().cloned().collect::<Vec<_>>()).clone())
    };
    match edit {
        Edit::Put(path, node) => insert(tree, path, node),
        Edit::Remove(at) => drop(pick(tree, at).and_then(|path| tree.remove(&path))),
        Edit::RemoveBelow(at) => {
            if let Some(path) = pick(tree, at) {
                let top = [path.split(|&b| b == b'/').next().unwrap(), b"/"].concat();
                tree.retain(|other, _| !other.starts_with(&top));
            }
        }
        Edit::Rename(at, to) => {
            if let Some(node) = pick(tree, at).and_then(|path| tree.remove(&path)) {
                insert(tree, to, node);
            }
        }
        Edit::Rewrite(at, content) => {
            if let Some(path) = pick(tree, at) {
                tree.insert(path, Node::File(content));
            }
        }
        Edit::Flip(at) => {
            if let Some(node) = pick(tree, at).and_then(|path| tree.get_mut(&path)) {
                *node = match node.clone() {
                    Node::File(content) => Node::Executable(content),
                    Node::Executable(content) => Node::File(content),
                    Node::Symlink(target) => Node::File(target),
                };
            }
        }
    }
}

/// A tree, and what some edits make of it.
pub(crate) fn trees() -> impl Strategy<Value = (Tree, Tree)> {
    let base = prop::collection::vec((path(), node()), 0..12).prop_map(|entries| {
        let mut tree = Tree::new();
        entries
            .into_iter()
            .for_each(|(path, node)| insert(&mut tree, path, node));
        tree
    });
    (base, prop::collection::vec(edit(), 0..10)).prop_map(|(base, edits)| {
        let mut end = base.clone();
        edits.into_iter().for_each(|edit| apply(&mut end, edit));
        (base, end)
    })
}

/// Lays out what an overlay would leave in its upper layer, whiteouts as files with an attribute.
fn upper(place: &Path, base: &Tree, end: &Tree) {
    for (path, node) in end.iter().filter(|(path, node)| base.get(*path) != Some(node)) {
        put(place, path, node);
    }
    let directories = |tree: &Tree| -> BTreeSet<Vec<u8>> {
        tree.keys()
            .flat_map(|path| {
                path.iter()
                    .enumerate()
                    .filter(|(_, b)| **b == b'/')
                    .map(|(at, _)| path[..at].to_vec())
            })
            .collect()
    };
    let (before, after) = (directories(base), directories(end));
    let mut gone: Vec<&Vec<u8>> = before.iter().chain(base.keys()).collect();
    gone.retain(|path| !end.contains_key(*path) && !after.contains(*path));
    for path in gone {
        // Only the topmost is marked, and nothing below something that is no directory any more.
        let parent = beneath::parent(path);
        if parent.is_empty() || after.contains(parent) {
            put(place, path, &Node::File(Vec::new()));
            let at = place.join(OsStr::from_bytes(path));
            rustix::fs::setxattr(at, "user.overlay.whiteout", b"y", rustix::fs::XattrFlags::empty()).unwrap();
        }
    }
    for path in after.iter().filter(|path| base.contains_key(*path)) {
        let at = place.join(OsStr::from_bytes(path));
        rustix::fs::setxattr(at, "user.overlay.opaque", b"y", rustix::fs::XattrFlags::empty()).unwrap();
    }
}

fn seen(bench: &Bench, baseline: &Baseline, merged: &Path, upper: Option<&Path>) -> Collected {
    let staging = bench.place("staging");
    let merged = beneath::open_directory(merged).unwrap();
    let upper = upper.map(|path| beneath::open_directory(path).unwrap());
    let view = WorkspaceView {
        merged: merged.as_fd(),
        upper: upper.as_ref().map(|fd| fd.as_fd()),
    };
    let options = CollectOptions {
        scratch_paths: &[],
        masked: &[],
        limits: CollectLimits::default(),
        staging: &staging,
    };
    collect(&bench.git, baseline, view, &options).unwrap()
}

/// Makes the change in an overlay that the kernel keeps.
fn in_an_overlay(bench: &Bench, baseline: &Baseline, base: &Tree, end: &Tree) -> Option<Collected> {
    let desk = Desk::overlay(bench, baseline)?;
    for path in base.keys().filter(|path| base.get(*path) != end.get(*path)) {
        fs::remove_file(desk.merged.join(OsStr::from_bytes(path))).unwrap();
    }
    // Directories that hold nothing any more make way, deepest first.
    for path in base.keys().rev() {
        let mut parent = beneath::parent(path);
        while !parent.is_empty() && fs::remove_dir(desk.merged.join(OsStr::from_bytes(parent))).is_ok() {
            parent = beneath::parent(parent);
        }
    }
    for (path, node) in end.iter().filter(|(path, _)| base.get(*path) != end.get(*path)) {
        put(&desk.merged, path, node);
    }
    Some(desk.collect())
}

/// Makes the patch, proves it, and applies its steps to a whole fresh tree.
fn prove(bench: &Bench, baseline: &Baseline, base: &Tree, end: &Tree, collected: &Collected) -> Vec<u8> {
    let before = bench.git.processes_started();
    let patch = make_patch(&bench.git, baseline, collected, &bench.place("scratch")).unwrap();
    let proof = round_trip(&bench.git, baseline, &patch, collected, &bench.place("proof")).unwrap();
    assert!(bench.git.processes_started() - before <= 3);
    assert_eq!(proof.mismatch, None, "{}", String::from_utf8_lossy(&patch));
    let fresh = bench.place("fresh");
    base.iter().for_each(|(path, node)| put(&fresh, path, node));
    for change in &proof.changes {
        let place = fresh.join(&change.path);
        match fs::symlink_metadata(&place) {
            Ok(found) if found.is_dir() => fs::remove_dir_all(&place).unwrap(),
            Ok(_) => fs::remove_file(&place).unwrap(),
            Err(_) => {}
        }
        let path = change.path.as_os_str().as_bytes();
        match &change.entry {
            TreeEntry::Absent => {}
            TreeEntry::File { mode, source } => {
                let content = fs::read(source).unwrap();
                put(
                    &fresh,
                    path,
                    &if *mode == 0o755 {
                        Node::Executable(content)
                    } else {
                        Node::File(content)
                    },
                );
            }
            TreeEntry::Symlink { target } => {
                put(&fresh, path, &Node::Symlink(target.as_os_str().as_bytes().to_vec()));
            }
        }
    }
    assert_eq!(&read(&fresh), end);
    assert!(no_empty_directory_below(&fresh), "git carries no empty directories");
    patch
}

fn no_empty_directory_below(place: &Path) -> bool {
    fs::read_dir(place)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .all(|path| {
            let metadata = fs::symlink_metadata(&path).unwrap();
            !metadata.is_dir() || (fs::read_dir(&path).unwrap().next().is_some() && no_empty_directory_below(&path))
        })
}

#[test]
fn the_final_tree_has_the_id_that_git_gives_it() {
    let config = Config {
        cases: 40,
        rng_seed: RngSeed::Fixed(20_261_120),
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new(config)
        .run(&trees(), |(base, end)| {
            let bench = Bench::new();
            let baseline = bench.baseline(&base);
            let merged = bench.place("merged");
            copy(baseline.git_layer(), &merged);
            end.iter().for_each(|(path, node)| put(&merged, path, node));
            let collected = seen(&bench, &baseline, &merged, None);
            let id = tree_id(&bench.git, &baseline, &collected, &bench.place("tree")).unwrap();
            assert_eq!(id, bench.baseline(&end).tree());
            Ok(())
        })
        .unwrap();
}

#[test]
fn baseline_plus_patch_is_the_final_tree() {
    let cases = if cfg!(debug_assertions) { 150 } else { 600 };
    // The same trees every time: a failure is found again.
    let config = Config {
        cases,
        rng_seed: RngSeed::Fixed(20_261_130),
        failure_persistence: None,
        ..Config::default()
    };
    let changed = std::cell::Cell::new(0);
    TestRunner::new(config)
        .run(&trees(), |(base, end)| {
            let bench = Bench::new();
            let baseline = bench.baseline(&base);
            let merged = bench.place("merged");
            copy(baseline.git_layer(), &merged);
            end.iter().for_each(|(path, node)| put(&merged, path, node));
            let layer = bench.place("upper");
            upper(&layer, &base, &end);
            let copied = seen(&bench, &baseline, &merged, None);
            let overlay = seen(&bench, &baseline, &merged, Some(&layer));
            prop_assert_eq!(&copied.write_set.changes, &overlay.write_set.changes);
            let mounted = in_an_overlay(&bench, &baseline, &base, &end);
            if let Some(mounted) = mounted {
                prop_assert_eq!(&copied.write_set.changes, &mounted.write_set.changes);
            }
            let patch = prove(&bench, &baseline, &base, &end, &copied);
            prop_assert_eq!(&patch, &prove(&bench, &baseline, &base, &end, &overlay));
            prop_assert_eq!(patch.is_empty(), base == end);
            changed.set(changed.get() + u32::from(!patch.is_empty()));
            Ok(())
        })
        .unwrap();
    assert!(changed.get() > cases / 2, "{} of {cases} trees changed", changed.get());
}

fn simple() -> (Bench, Tree, Tree) {
    let base = tree([("a.py", file("one\ntwo\n")), ("b", file("b")), ("d/c", file("c\r\n"))]);
    let mut end = base.clone();
    end.insert(b"a.py".to_vec(), file("one\n2\n"));
    end.insert(b"b".to_vec(), Node::Executable(b"b".to_vec()));
    end.remove(&b"d/c"[..]);
    (Bench::new(), base, end)
}

#[test]
fn the_text_is_gits_own() {
    let (bench, base, end) = simple();
    let baseline = bench.baseline(&base);
    let merged = bench.place("merged");
    end.iter().for_each(|(path, node)| put(&merged, path, node));
    let patch = prove(&bench, &baseline, &base, &end, &seen(&bench, &baseline, &merged, None));
    let text = String::from_utf8(patch).unwrap();
    let start = "diff --git a/a.py b/a.py\nindex 814f4a422927b82f5f8a43f8fab6d3839e3983f2..";
    assert!(text.starts_with(start), "{text}");
    assert!(
        text.contains(" 100644\n--- a/a.py\n+++ b/a.py\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n"),
        "{text}"
    );
    assert!(text.contains("old mode 100644\nnew mode 100755\n"), "{text}");
    assert!(
        text.contains("deleted file mode 100644\n") && text.contains("-c\r\n"),
        "{text}"
    );
}

#[test]
fn a_patch_that_is_not_the_change_is_caught() {
    let (bench, base, end) = simple();
    let baseline = bench.baseline(&base);
    let merged = bench.place("merged");
    end.iter().for_each(|(path, node)| put(&merged, path, node));
    let collected = seen(&bench, &baseline, &merged, None);
    let patch = make_patch(&bench.git, &baseline, &collected, &bench.place("scratch")).unwrap();
    let text = String::from_utf8(patch).unwrap();
    let lies = [
        text.replace("+2", "+3"),
        text.replace("new mode 100755", "new mode 100644"),
        text.split("diff --git a/b").next().unwrap().to_owned(),
        format!("{text}diff --git a/extra b/extra\nnew file mode 100644\nindex 0000000..e69de29\n"),
        text.replace("-two", "-three"),
        "not a patch".to_owned(),
        String::new(),
    ];
    for lie in lies {
        let proof = round_trip(&bench.git, &baseline, lie.as_bytes(), &collected, &bench.place("proof")).unwrap();
        assert!(proof.mismatch.is_some(), "{lie}");
    }
    let mut cut = collected.clone();
    cut.write_set.truncated = Some("files".to_owned());
    assert!(matches!(
        make_patch(&bench.git, &baseline, &cut, &bench.place("scratch")),
        Err(PatchError::Truncated { .. })
    ));
    let mut empty = collected;
    empty.contents.clear();
    assert!(matches!(
        make_patch(&bench.git, &baseline, &empty, &bench.place("scratch")),
        Err(PatchError::Content { .. })
    ));
}

#[test]
fn one_changed_file_costs_three_processes() {
    let (bench, base, _) = simple();
    let baseline = bench.baseline(&base);
    let merged = bench.place("merged");
    base.iter().for_each(|(path, node)| put(&merged, path, node));
    write(&merged.join("a.py"), "changed\n");
    let layer = bench.place("upper");
    write(&layer.join("a.py"), "changed\n");
    let started = Instant::now();
    let collected = seen(&bench, &baseline, &merged, Some(&layer));
    let collecting = started.elapsed();
    let (before, started) = (bench.git.processes_started(), Instant::now());
    let patch = make_patch(&bench.git, &baseline, &collected, &bench.place("scratch")).unwrap();
    let making = started.elapsed();
    let started = Instant::now();
    round_trip(&bench.git, &baseline, &patch, &collected, &bench.place("proof")).unwrap();
    eprintln!(
        "one file: collect {collecting:?}, patch {making:?}, round trip {:?}",
        started.elapsed()
    );
    assert_eq!(bench.git.processes_started() - before, 3);
}
