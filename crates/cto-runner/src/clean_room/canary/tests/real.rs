//! The canary with the real runners of this machine: collected, failing, and the cause of the failure.

use std::fs;
use std::path::Path;

use super::super::{Hints, LayeredTree, generate};
use super::words;

fn put(root: &Path, path: &str, bytes: &[u8]) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    #[expect(clippy::disallowed_methods, reason = "a test's own files need not survive a crash")]
    fs::write(path, bytes).unwrap();
}

/// Runs a command; whether it passed, and its whole output.
fn start(root: &Path, line: &str) -> (bool, String) {
    let output = crate::real_tool::run(root, &words(line));
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

/// Proves for one fixture and command: it passes, with the canary it fails, and the output names the canary.
fn prove(files: &[(&str, &str)], line: &str) {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        put(root.path(), path, text.as_bytes());
    }
    let (passed, output) = start(root.path(), line);
    assert!(passed, "{line}: the fixture fails without a canary:\n{output}");
    let tree = LayeredTree {
        base: root.path().to_owned(),
        overrides: std::collections::BTreeMap::new(),
    };
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).unwrap();
    let canary =
        generate(&tree, &words(line), Hints::default(), seed).unwrap_or_else(|error| panic!("{line}: {error}"));
    put(root.path(), std::str::from_utf8(&canary.file).unwrap(), &canary.content);
    let (passed, output) = start(root.path(), line);
    let token = data_encoding::BASE32_NOPAD.encode(&seed).to_lowercase();
    assert!(
        !passed,
        "{line}: it passes with the canary in {}:\n{output}",
        String::from_utf8_lossy(&canary.file)
    );
    assert!(
        output.contains(&token),
        "{line}: it fails, but not by the canary:\n{output}"
    );
}

const UNITTEST: &str = "import unittest\n\nclass ATest(unittest.TestCase):\n    def test_a(self):\n        self.assertTrue(True)\n\nif __name__ == '__main__':\n    unittest.main()";

#[test]
fn unittest_fails_with_the_canary() {
    let crlf = UNITTEST.replace('\n', "\r\n");
    let future = format!("from __future__ import annotations\n{UNITTEST}");
    let files = [
        ("test_a.py", UNITTEST),
        ("pkg/__init__.py", ""),
        ("pkg/test_b.py", crlf.as_str()),
        ("loose/test_c.py", future.as_str()),
        ("src/x.py", ""),
    ];
    for line in [
        "python3 -m unittest",
        "python3 -X dev -m unittest -v",
        "python3 -m unittest discover -s pkg -t .",
        "python3 -m unittest discover -s loose",
        "python3 -m unittest pkg.test_b",
        "python3 -m unittest loose/test_c.py",
        "python3 -m unittest pkg.test_b.ATest",
        "python3 -m unittest test_a.ATest.test_a",
        "python3 -m unittest -k test_a test_a",
        "env A=b sh -c 'cd pkg && python3 -m unittest test_b'",
    ] {
        prove(&files, line);
    }
}

#[test]
fn pytest_fails_with_the_canary() {
    let files = [
        ("test_a.py", UNITTEST),
        (
            "t/test_b.py",
            "def test_x(): pass\r\nclass TestY:\r\n    def test_z(self): pass",
        ),
    ];
    for line in [
        "python3 -m pytest -q",
        "python3 -m pytest -q t",
        "python3 -m pytest -k x",
        "python3 -m pytest t/test_b.py::test_x",
        "python3 -m pytest t/test_b.py::TestY::test_z",
    ] {
        prove(&files, line);
    }
}

#[test]
fn cargo_test_fails_with_the_canary() {
    let manifest =
        "[package]\nname = \"one\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[lib]\ndoctest = false\n[workspace]\n";
    let library = "#![deny(warnings, missing_docs)]\n//! Docs.\n/// One.\npub fn one() -> u8 { 1 }\n// no end";
    let test = "#![deny(warnings)]\n#[test]\nfn slug() { assert_eq!(one::one(), 1); }\r\n";
    let files = [("Cargo.toml", manifest), ("src/lib.rs", library), ("tests/it.rs", test)];
    for line in [
        "cargo test --offline --quiet --lib",
        "cargo test --offline --test it",
        "cargo test --offline --test it slug",
        "cargo test --offline --lib -- a::b::slug",
    ] {
        prove(&files, line);
    }
}

#[test]
fn node_test_fails_with_the_canary() {
    let esm = "import { test } from 'node:test';\ntest('slug a', () => {})\n// no end";
    let cjs = "const { test } = require('node:test')\r\ntest('slug b', async () => {})";
    let files = [
        ("a.test.mjs", esm),
        ("test/b.js", cjs),
        ("package.json", r#"{"scripts":{"test":"node --test test/b.js"}}"#),
    ];
    for line in [
        "node --test",
        "node --test test/b.js",
        "node --test a.test.mjs",
        "node --test --test-name-pattern=slug a.test.mjs",
        "npm test --silent",
    ] {
        prove(&files, line);
    }
    prove(
        &[("package.json", r#"{"type":"module"}"#), ("test/c.js", esm)],
        "node --test",
    );
}

/// An allowed source file that ends the process turns every runner green: the canary must then pass too.
#[test]
fn a_source_that_exits_0_is_shown_by_the_canary() {
    let python = [
        ("strings.py", "import os\nos._exit(0)\n"),
        (
            "test_a.py",
            "import unittest\nclass A(unittest.TestCase):\n    def test_a(self): pass\n",
        ),
        ("test_strings.py", "import strings\n"),
    ];
    // Node gives each file a process: only the one that loads the changed source can show it.
    let node = [
        ("src/strings.js", "process.exit(0);\n"),
        ("a.test.js", "require('node:test').test('a', () => {});\n"),
        ("b/strings.test.js", "require('../src/strings.js');\n"),
    ];
    for (files, line, expected) in [
        (python, "python3 -m unittest", "test_strings.py"),
        (node, "node --test", "b/strings.test.js"),
    ] {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            put(root.path(), path, text.as_bytes());
        }
        let tree = LayeredTree {
            base: root.path().to_owned(),
            overrides: std::collections::BTreeMap::new(),
        };
        let changed = [files[0].0.as_bytes().to_vec()];
        let hints = Hints {
            changed: &changed,
            verification_inputs: &[],
        };
        let canary = generate(&tree, &words(line), hints, [7; 8]).unwrap();
        assert_eq!(canary.file, expected.as_bytes(), "{line}");
        put(root.path(), expected, &canary.content);
        let (passed, output) = start(root.path(), line);
        assert!(passed, "{line}: the failure was not swallowed:\n{output}");
    }
}
