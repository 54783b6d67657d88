//! What a machine may lack that a test needs; the tests of other crates include this file by its path.

use std::io::Write as _;

/// Tells whether a test has to end early, because the machine lacks what it needs.
///
/// # Panics
///
/// When it lacks that and nobody said so in `CTO_TEST_LACKS`: what is not proved must not look like a proof. What was
/// left out is added to the file that `CTO_TEST_UNPROVED` names.
#[expect(
    clippy::disallowed_methods,
    reason = "whoever starts the tests tells them about the machine"
)]
pub(crate) fn lacks(what: &str, present: bool) -> bool {
    if present {
        return false;
    }
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    let said = std::env::var("CTO_TEST_LACKS").unwrap_or_default();
    assert!(
        said.split([',', ' ']).any(|word| word == what),
        "{test} needs {what}; CTO_TEST_LACKS={what} says that this machine lacks it, and leaves the claim unproved"
    );
    unproved(test, what);
    true
}

/// Notes that a test ended early: it is printed, and added to the file that `CTO_TEST_UNPROVED` names.
#[expect(
    clippy::disallowed_methods,
    reason = "whoever starts the tests tells them about the machine"
)]
pub(crate) fn unproved(test: &str, what: &str) {
    let line = format!("{test} (no {what})\n");
    let told = std::io::stderr().write_all(b"not proved: ");
    told.and_then(|()| std::io::stderr().write_all(line.as_bytes()))
        .unwrap();
    if let Some(path) = std::env::var_os("CTO_TEST_UNPROVED") {
        let mut list = std::fs::File::options().create(true).append(true).open(path).unwrap();
        list.write_all(line.as_bytes()).unwrap();
    }
}

#[test]
#[should_panic(expected = "says that this machine lacks it")]
fn what_nobody_declared_to_be_missing_fails() {
    lacks("something that is never declared", false);
}
