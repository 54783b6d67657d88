//! The layered tree shows the patched state, and follows no link.

use std::fs;
use std::os::unix::fs::symlink;

use super::super::{LayeredTree, TreeView};

fn put(path: &std::path::Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    #[expect(clippy::disallowed_methods, reason = "a test's own files need not survive a crash")]
    fs::write(path, bytes).unwrap();
}

#[test]
fn the_patch_lies_over_the_baseline() {
    let root = tempfile::tempdir().unwrap();
    let (base, upper) = (root.path().join("base"), root.path().join("upper"));
    for path in ["a", "d/x", "d/y", "gone/z", "f/inner"] {
        put(&base.join(path), b"old");
    }
    put(&upper, b"new");
    let over = |path: &str, file: bool| (path.as_bytes().to_vec(), file.then(|| upper.clone()));
    let overrides = [
        over("d/x", true),
        over("d/y", false),
        over("gone", false),
        over("f", true),
        over("new/deep/n", true),
    ];
    let tree = LayeredTree {
        base,
        overrides: overrides.into_iter().collect(),
    };

    assert_eq!(tree.read(b"a").unwrap(), b"old");
    assert_eq!(tree.read(b"d/x").unwrap(), b"new");
    for absent in [
        &b"d/y"[..],
        b"gone/z",
        b"f/inner",
        b"nothing",
        b"d",
        b"../base/a",
        b"/etc/passwd",
    ] {
        assert_eq!(tree.read(absent), None, "{}", String::from_utf8_lossy(absent));
    }
    let names = |directory: &[u8]| {
        tree.list(directory)
            .into_iter()
            .map(|(name, d)| (String::from_utf8(name).unwrap(), d))
            .collect::<Vec<_>>()
    };
    let expect = |pairs: &[(&str, bool)]| {
        pairs
            .iter()
            .map(|(name, d)| ((*name).to_owned(), *d))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(b""),
        expect(&[("a", false), ("d", true), ("f", false), ("new", true)])
    );
    assert_eq!(names(b"d"), expect(&[("x", false)]));
    assert_eq!(names(b"new"), expect(&[("deep", true)]));
    assert!(names(b"gone").is_empty() && names(b"f").is_empty());
    for (path, there) in [
        (&b""[..], true),
        (b"a", true),
        (b"d/y", false),
        (b"gone", false),
        (b"gone/z", false),
        (b"new/deep", true),
        (b"f/inner", false),
    ] {
        assert_eq!(tree.exists(path), there, "{}", String::from_utf8_lossy(path));
    }
}

#[test]
fn links_and_pipes_are_not_read() {
    let root = tempfile::tempdir().unwrap();
    let base = root.path().join("base");
    put(&base.join("real/file"), b"x");
    put(&root.path().join("secret"), b"s");
    symlink("../secret", base.join("out")).unwrap();
    symlink("real", base.join("directory")).unwrap();
    symlink("real/file", base.join("inside")).unwrap();
    rustix::fs::mkfifoat(
        rustix::fs::CWD,
        base.join("pipe"),
        rustix::fs::Mode::from_raw_mode(0o600),
    )
    .unwrap();
    let overrides = [(b"over".to_vec(), Some(base.join("out")))].into_iter().collect();
    let tree = LayeredTree { base, overrides };
    for path in [&b"out"[..], b"inside", b"directory/file", b"pipe", b"over"] {
        assert_eq!(tree.read(path), None, "{}", String::from_utf8_lossy(path));
    }
    assert!(tree.list(b"directory").is_empty());
    assert!(tree.list(b"").contains(&(b"directory".to_vec(), false)));
}
