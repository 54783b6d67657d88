//! A commit holds what was verified, or is not made.

use std::fs;

use cto_schema::History;

use super::bench::{Site, git, person};
use crate::apply::{CommitError, CommitText, Person, make_commit};
use crate::baseline::sample::{file, tree, write};
use crate::write_set::{Collected, FinalContent};

fn make(disturb: impl FnOnce(&mut Collected), person: &Person, message: &[u8]) -> Result<String, CommitError> {
    let base = tree([("a", file("a\n"))]);
    let end = tree([("a", file("A\n")), ("b", file("b\n"))]);
    let site = Site::new(&base);
    let target = site.open();
    let commit = target.head_commit().unwrap();
    let source = target.objects().unwrap();
    let store = &site.bench.store;
    let baseline = store
        .ensure(&site.bench.git, &source, &commit, History::Baseline, true)
        .unwrap();
    let mut collected = site.collected(&base, &end);
    disturb(&mut collected);
    let text = CommitText {
        author: person,
        committer: person,
        message,
    };
    let directory = site.bench.place("commit");
    let made = make_commit(&site.bench.git, &baseline, &collected, text, &directory)?;
    assert_eq!(
        made.objects.len(),
        4,
        "two blobs, a tree and the commit: {:?}",
        made.objects
    );
    assert_eq!(made.objects[3].0, made.commit);
    assert_eq!(git(&made.git_dir, &["cat-file", "-t", &made.commit]).trim(), "commit");
    Ok(git(&made.git_dir, &["cat-file", "commit", &made.commit]))
}

#[test]
fn the_commit_is_byte_for_byte_what_was_asked_for() {
    let said = make(|_| {}, &person(), b"Subject\n\nBody \xc3\xbc\n").unwrap();
    let (head, message) = said.split_once("\n\n").unwrap();
    assert_eq!(message, "Subject\n\nBody \u{fc}\n");
    let lines: Vec<&str> = head.lines().collect();
    assert!(
        lines[0].starts_with("tree ") && lines[1].starts_with("parent "),
        "{head}"
    );
    assert_eq!(
        lines[2..],
        [
            "author Op Erator <op@example.org> 1795000000 +0000",
            "committer Op Erator <op@example.org> 1795000000 +0000"
        ]
    );
}

#[test]
fn contents_that_are_not_the_verified_ones_are_not_committed() {
    let change = |collected: &mut Collected| {
        let Some(FinalContent::File { source, .. }) = collected.contents.get(&b"b"[..]) else {
            panic!("no file")
        };
        fs::remove_file(source).unwrap();
        write(source, "B\n");
    };
    assert!(matches!(make(change, &person(), b"x\n"), Err(CommitError::Content { path }) if path == "b"));
    let mode = |collected: &mut Collected| {
        let Some(FinalContent::File { executable, .. }) = collected.contents.get_mut(&b"b"[..]) else {
            panic!("no file")
        };
        *executable = true;
    };
    assert!(matches!(
        make(mode, &person(), b"x\n"),
        Err(CommitError::Content { .. })
    ));
    let gone = |collected: &mut Collected| drop(collected.contents.remove(&b"a"[..]));
    assert!(matches!(
        make(gone, &person(), b"x\n"),
        Err(CommitError::Content { .. })
    ));
    let cut = |collected: &mut Collected| collected.write_set.truncated = Some("files".to_owned());
    assert!(matches!(make(cut, &person(), b"x\n"), Err(CommitError::Tree { .. })));
    let nothing = |collected: &mut Collected| collected.write_set.changes.clear();
    assert!(matches!(make(nothing, &person(), b"x\n"), Err(CommitError::Empty)));
}

#[test]
fn nobody_can_write_a_header_with_a_name_or_a_message() {
    for (name, email) in [
        ("", "a@b"),
        ("a", ""),
        ("a\nparent x", "a@b"),
        ("a <x>", "a@b"),
        ("a", "a>b"),
        (" a", "a@b"),
        ("a", "a\u{0}b"),
    ] {
        let who = Person {
            name: name.to_owned(),
            email: email.to_owned(),
            seconds: 0,
        };
        assert!(
            matches!(make(|_| {}, &who, b"x\n"), Err(CommitError::Person { .. })),
            "{name:?} {email:?}"
        );
    }
    for message in [&b""[..], b" \n", b"a\0b\n"] {
        assert!(matches!(make(|_| {}, &person(), message), Err(CommitError::Message)));
    }
}
