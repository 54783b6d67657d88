//! What a good apply leaves: one commit, clean, and nothing else touched.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::bench::{Site, git, person};
use crate::apply::{Applied, ApplyOutcome};
use crate::baseline::sample::{Node, Tree, file, tree, write};

/// A tree and another one, with every kind of difference.
pub(super) fn everything_changes() -> (Tree, Tree) {
    let mut base = tree([
        (".gitignore", file("*.log\n")),
        ("kept", file("kept\n")),
        ("modified", file("one\ntwo\n")),
        ("deleted", file("gone\n")),
        ("old/name", file("moved\n")),
        ("deep/er/est", file("alone\n")),
        ("script", file("#!/bin/sh\n")),
        ("plain", Node::Executable(b"x\n".to_vec())),
        ("link", Node::Symlink(b"kept".to_vec())),
        ("becomes-link", file("text\n")),
        ("was-link", Node::Symlink(b"modified".to_vec())),
        ("file-to-directory", file("f\n")),
        ("directory-to-file/a/b", file("d\n")),
        ("binary", Node::File(vec![0, 1, 2, 255])),
    ]);
    base.insert(b"\xff\xfe/na\nme".to_vec(), file("odd\n"));
    let mut end = base.clone();
    for gone in [
        "deleted",
        "old/name",
        "deep/er/est",
        "file-to-directory",
        "directory-to-file/a/b",
    ] {
        end.remove(gone.as_bytes());
    }
    end.extend(tree([
        ("modified", file("one\n2\n")),
        ("new/name", file("moved\n")),
        ("script", Node::Executable(b"#!/bin/sh\n".to_vec())),
        ("plain", file("x\n")),
        ("link", Node::Symlink(b"new/name".to_vec())),
        ("becomes-link", Node::Symlink(b"plain".to_vec())),
        ("was-link", file("file now\n")),
        ("file-to-directory/in/side", file("i\n")),
        ("directory-to-file", file("f\n")),
        ("binary", Node::File(vec![0, 255, 0, 10, 13])),
        ("empty", file("")),
        ("a b/\"c\"/\\d", Node::Executable(b"quoted\n".to_vec())),
    ]));
    end.insert(b"\xff\xfe/na\nme".to_vec(), file("odder\n"));
    end.insert(b"\xf0/\xe9\x01".to_vec(), Node::Symlink(b"\xff/nowhere".to_vec()));
    (base, end)
}

/// One of each kind of step, for tests that repeat them often.
pub(super) fn some_changes() -> (Tree, Tree) {
    let base = tree([
        ("modified", file("one\n")),
        ("old/name", file("moved\n")),
        ("file-to-directory", file("f\n")),
    ]);
    let end = tree([
        ("modified", file("two\n")),
        ("new/er/name", file("moved\n")),
        ("file-to-directory/link", Node::Symlink(b"x".to_vec())),
    ]);
    (base, end)
}

#[test]
fn a_change_of_every_kind_becomes_exactly_one_clean_commit() {
    for init in [
        &["init", "-q", "-b", "main"][..],
        &["init", "-q", "-b", "main", "--object-format=sha256"],
    ] {
        let (base, mut end) = everything_changes();
        let site = Site::with(&base, init);
        write(&site.target.join("run.log"), "ignored\n");
        fs::set_permissions(site.target.join("modified"), fs::Permissions::from_mode(0o600)).unwrap();
        let old = git(&site.target, &["rev-parse", "HEAD"]).trim().to_owned();
        let made = site.commit(&base, &end);
        assert_eq!(made.parent, old);
        let outcome = site.apply(&made).unwrap();
        let target_commit = made.commit.clone();
        assert_eq!(outcome, ApplyOutcome::Applied(Applied { target_commit }));
        end.insert(b"run.log".to_vec(), file("ignored\n"));
        site.assert_is(&made.commit, &end);
        assert_eq!(git(&site.target, &["rev-parse", "HEAD~1"]).trim(), old);
        assert_eq!(git(&site.target, &["rev-list", "--count", "HEAD"]).trim(), "3");
        let shown = git(&site.target, &["log", "-1", "--format=%an <%ae> %at %cn %ct%n%B"]);
        assert_eq!(
            shown.trim_end(),
            "Op Erator <op@example.org> 1795000000 Op Erator 1795000000\nChange it\n\nBecause."
        );
        for name in ["HEAD", "main"] {
            let log = git(&site.target, &["reflog", "-1", "--format=%gs %gn", name]);
            assert_eq!(log.trim(), format!("cto: run {} {}", site.run_id, person().name));
        }
        let mode = fs::metadata(site.target.join("modified")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "the operator's own bits stay");
        for gone in ["old", "deep"] {
            assert!(!site.target.join(gone).exists(), "{gone}");
        }
    }
}
