//! Facts about changed tests and their configuration: what a patch did to the things that judge it.

mod names;

#[cfg(test)]
mod tests;

use cto_schema::{IntegrityFact, escape};

use names::{is_configuration, is_test, name, shadowed};
pub(crate) use names::{is_verification_path, may_hold_tests};

/// One changed path with its content on both sides; `None` is an absent file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChangedFile<'a> {
    /// Path from the root of the tree.
    pub(crate) path: &'a [u8],
    /// Content in the baseline.
    pub(crate) before: Option<&'a [u8]>,
    /// Content after the patch.
    pub(crate) after: Option<&'a [u8]>,
}

/// Marks that keep a test from running or its failure from counting.
const SKIPS: &[&str] = &[
    "pytest.mark.skip",
    "pytest.mark.xfail",
    "pytest.skip(",
    "pytest.xfail(",
    "importorskip(",
    "unittest.skip",
    "@skip",
    "skipTest(",
    "SkipTest",
    "expectedFailure",
    "#[ignore",
    "should_panic",
    ".Skip(",
    ".Skipf(",
    ".SkipNow(",
    "it.skip",
    "test.skip",
    "describe.skip",
    "xit(",
    "xtest(",
    "xdescribe(",
    "it.todo",
    "test.todo",
    ".skipIf(",
    ".only(",
    ".only.",
    "fit(",
    "fdescribe(",
    "skip: true",
    "todo: true",
    "@Disabled",
    "@Ignore",
];

/// Beginnings of what a test asserts with.
const ASSERTIONS: &[&str] = &[
    "assert",
    "expect(",
    "self.fail(",
    ".should",
    "t.Error",
    "t.Fatal",
    "require.",
    "t.is(",
    "t.deepEqual(",
    "t.equal(",
];

/// npm runs these scripts by itself, around others.
const LIFECYCLE: &[&str] = &[
    "prepare",
    "prepublish",
    "prepublishOnly",
    "install",
    "postinstall",
    "preinstall",
    "dependencies",
];

/// Returns the facts of every changed path, in the order of the paths given.
pub(crate) fn facts(changes: &[ChangedFile<'_>], allowed: &dyn Fn(&[u8]) -> bool) -> Vec<IntegrityFact> {
    let mut found = Vec::new();
    for change in changes {
        let mut add = |kind: &str, detail: String| {
            let path = escape(change.path, 4096);
            found.push(IntegrityFact {
                kind: kind.to_owned(),
                path,
                detail,
                allowed: allowed(change.path),
            });
        };
        judge(change, &mut add);
    }
    found
}

type Add<'f> = dyn FnMut(&str, String) + 'f;

fn judge(change: &ChangedFile<'_>, add: &mut Add<'_>) {
    let before = change.before.map(String::from_utf8_lossy);
    let after = change.after.map(String::from_utf8_lossy);
    let (old, new) = (
        before.as_deref().unwrap_or_default(),
        after.as_deref().unwrap_or_default(),
    );
    let test = is_test(change.path);
    if test {
        let (kind, detail) = match (change.before, change.after) {
            (None, _) => ("test_added", "a new test file"),
            (_, None) => ("test_deleted", "a test file is gone"),
            _ => ("test_changed", "a test file is different"),
        };
        add(kind, detail.to_owned());
    }
    if is_configuration(change.path) {
        add(
            "configuration_changed",
            format!("decides how tests are found, built or run; {}", state(change)),
        );
    }
    if let Some(module) = shadowed(change.path).filter(|_| change.after.is_some()) {
        add(
            "configuration_changed",
            format!(
                "stands in the way of the module '{module}' that runs tests; {}",
                state(change)
            ),
        );
    }
    // A test that is gone is one fact, not also a thousand removed assertions.
    if change.after.is_some()
        && (test || is_configuration(change.path) || (may_hold_tests(change.path) && has_tests(old, new)))
    {
        for mark in SKIPS {
            let (was, is) = (count(old, mark), count(new, mark));
            if is > was {
                add("skip_added", format!("'{mark}' {was} times before, {is} times now"));
            }
        }
        if change.before.is_some() && !is_configuration(change.path) {
            let total = |text: &str| ASSERTIONS.iter().map(|mark| count(text, mark)).sum::<usize>();
            let (was, is) = (total(old), total(new));
            if is < was {
                add("assertions_removed", format!("{was} assertions before, {is} now"));
            }
        }
    }
    if name(change.path) == b"package.json" {
        hooks(old, new, add);
    }
}

fn state(change: &ChangedFile<'_>) -> &'static str {
    match (change.before, change.after) {
        (None, _) => "new",
        (_, None) => "deleted",
        _ => "changed",
    }
}

/// Lists lifecycle scripts that are new or different: package managers run them without being asked.
fn hooks(old: &str, new: &str, add: &mut Add<'_>) {
    let scripts = |text: &str| {
        let package: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
        package
            .get("scripts")
            .and_then(|scripts| scripts.as_object().cloned())
            .unwrap_or_default()
    };
    let (old, new) = (scripts(old), scripts(new));
    for (script, text) in &new {
        let around = ["pre", "post"]
            .iter()
            .any(|edge| script.strip_prefix(edge).is_some_and(|rest| !rest.is_empty()));
        if (around || LIFECYCLE.contains(&script.as_str())) && old.get(script) != Some(text) {
            let shown = escape(script.as_bytes(), 80);
            add(
                "hook_added",
                format!(
                    "script '{shown}' runs around others: {}",
                    escape(text.to_string().as_bytes(), 200)
                ),
            );
        }
    }
}

/// Rust and vitest can keep tests beside the code.
fn has_tests(old: &str, new: &str) -> bool {
    let marks = ["#[test]", "#[cfg(test)]", "import.meta.vitest"];
    marks.iter().any(|mark| old.contains(mark) || new.contains(mark))
}

/// Counts a mark where a name does not run into it: `exit(` is no `xit(`.
fn count(text: &str, mark: &str) -> usize {
    // `model.fit(` trains a model, `fit(` focuses a test.
    let focus = matches!(mark, "fit(" | "xit(" | "xtest(" | "fdescribe(" | "xdescribe(");
    let word = mark.starts_with(|c: char| c.is_ascii_alphanumeric());
    text.match_indices(mark)
        .filter(|(at, _)| {
            !word || !text[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || (focus && c == '.'))
        })
        .count()
}
