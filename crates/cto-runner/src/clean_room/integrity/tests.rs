//! Claims about the facts of changed tests and their configuration.

use super::*;

fn kinds(path: &str, before: Option<&str>, after: Option<&str>) -> Vec<String> {
    let change = ChangedFile {
        path: path.as_bytes(),
        before: before.map(str::as_bytes),
        after: after.map(str::as_bytes),
    };
    facts(&[change], &|_| false).into_iter().map(|fact| fact.kind).collect()
}

#[test]
fn knows_tests_and_configuration_by_name() {
    for path in [
        "test_a.py",
        "tests/helper.py",
        "pkg/a_test.py",
        "conftest.py",
        "a/b/conftest.py",
        "sitecustomize.py",
        "x.pth",
        "a_test.go",
        "tests/x.rs",
        "src/tests.rs",
        "a.test.ts",
        "a.spec.mjs",
        "__tests__/a.js",
        "test/a.js",
        "a-test.cjs",
        "package.json",
        "jest.config.ts",
        "vitest.config.mts",
        "tsconfig.build.json",
        "Makefile",
        "Cargo.toml",
        ".cargo/config.toml",
        "crates/a/build.rs",
        "go.mod",
        "rust-toolchain.toml",
        ".npmrc",
        "noxfile.py",
        "tests/data.json",
        "src/test/java/AThing.java",
        "x.snap",
        ".config/nextest.toml",
        "pytest.py",
        "src/unittest/__init__.py",
    ] {
        assert!(is_verification_path(path.as_bytes()), "{path}");
    }
    for path in [
        "strings.py",
        "src/lib.rs",
        "src/attest.rs",
        "latest.js",
        "contest.py",
        "main.go",
        "README.md",
        "src/testing.py",
        "cargo/config.toml",
        "",
    ] {
        assert!(!is_verification_path(path.as_bytes()), "{path}");
    }
}

#[test]
fn tells_added_changed_and_deleted_tests() {
    assert_eq!(kinds("test_a.py", None, Some("")), ["test_added"]);
    assert_eq!(
        kinds("test_a.py", Some("assert a"), Some("assert a\n")),
        ["test_changed"]
    );
    assert_eq!(kinds("test_a.py", Some("assert a"), None), ["test_deleted"]);
    assert_eq!(kinds("src/a.py", Some("a"), Some("b")), Vec::<String>::new());
}

#[test]
fn counts_skips_and_assertions() {
    assert_eq!(
        kinds(
            "test_a.py",
            Some("def test(): pass"),
            Some("@pytest.mark.skip\ndef test(): pass")
        ),
        ["test_changed", "skip_added"]
    );
    assert_eq!(
        kinds("test_a.py", Some("assert a\nassert b"), Some("assert a")),
        ["test_changed", "assertions_removed"]
    );
    assert_eq!(
        kinds("a.test.js", Some("it('a')"), Some("xit('a'); process.exit(0)")),
        ["test_changed", "skip_added"]
    );
    assert_eq!(kinds("a.test.js", Some(""), Some("process.exit(0)")), ["test_changed"]);
    assert_eq!(
        kinds(
            "src/lib.rs",
            Some("#[test]\nfn a() { assert!(x) }"),
            Some("#[test]\n#[ignore]\nfn a() {}")
        ),
        ["skip_added", "assertions_removed"]
    );
    assert_eq!(
        kinds("a_test.go", Some("t.Fatal(1)"), Some("t.Skip()")),
        ["test_changed", "skip_added", "assertions_removed"]
    );
}

#[test]
fn sees_a_module_in_the_way_of_a_runner_and_new_hooks() {
    for path in [
        "pytest.py",
        "pytest/__init__.py",
        "unittest/case.py",
        "vitest.js",
        "src/pytest.py",
    ] {
        assert_eq!(
            kinds(path, None, Some("")).last().unwrap(),
            "configuration_changed",
            "{path}"
        );
    }
    assert!(kinds("coverage/index.html", None, Some("")).is_empty());
    assert!(kinds("docs/pytest.py", None, Some("")).is_empty());
    let (old, new) = (
        r#"{"scripts":{"test":"a","pretest":"x"}}"#,
        r#"{"scripts":{"test":"b","pretest":"x","postinstall":"y"}}"#,
    );
    assert_eq!(
        kinds("package.json", Some(old), Some(new)),
        ["configuration_changed", "hook_added"]
    );
}

#[test]
fn repeats_what_the_contract_allows() {
    let change = ChangedFile {
        path: b"test_a.py",
        before: None,
        after: Some(b""),
    };
    assert!(facts(&[change], &|path| path == b"test_a.py")[0].allowed);
}

#[test]
fn sources_that_may_hold_tests_are_looked_into() {
    for (path, expected) in [
        ("src/lib.rs", true),
        ("a.ts", true),
        ("test_a.py", true),
        ("a.py", false),
        ("a.go", false),
    ] {
        assert_eq!(may_hold_tests(path.as_bytes()), expected, "{path}");
    }
}
