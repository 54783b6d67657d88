//! Whatever a tree holds, generation ends soon, does not panic and keeps the file's own text.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

fn word() -> impl Strategy<Value = String> {
    let known = [
        "pytest",
        "python3",
        "-m",
        "unittest",
        "discover",
        "-k",
        "-s",
        "cargo",
        "test",
        "nextest",
        "run",
        "-p",
        "--test",
        "--",
        "go",
        "./...",
        "-run",
        "vitest",
        "jest",
        "-t",
        "node",
        "--test",
        "bun",
        "npm",
        "yarn",
        "sh",
        "-c",
        "env",
        "uv",
        "A=b",
        "a",
        "a::b",
        "..",
        "./a",
        "a b && c",
        "-C",
        "coverage",
        "timeout",
        "--test-name-pattern=x",
        "*",
    ];
    prop_oneof![4 => proptest::sample::select(known.to_vec()).prop_map(str::to_owned), 1 => "\\PC{0,8}"]
}

fn content() -> impl Strategy<Value = String> {
    let parts = [
        "[package]\nname = \"a\"\n",
        "[[test]]\n",
        "members = [",
        "\"\"\"",
        "'",
        "x = 1\\",
        "import \"testing\"\n",
        "\r\n",
        "{\"scripts\":{\"test\":\"npm test && jest\"}}",
        "test: { include: ['a', `b`] }",
        "module m\n",
        "[pytest]\n k = v\n",
    ];
    let part = prop_oneof![3 => proptest::sample::select(parts.to_vec()).prop_map(str::to_owned), 1 => "\\PC{0,12}"];
    proptest::collection::vec(part, 0..5).prop_map(|parts| parts.concat())
}

fn path() -> impl Strategy<Value = String> {
    let names = [
        "test_a.py",
        "pytest.ini",
        "pyproject.toml",
        "a/test_b.py",
        "Cargo.toml",
        "src/lib.rs",
        "tests/it.rs",
        "go.mod",
        "a_test.go",
        "package.json",
        "a.test.js",
        "vitest.config.ts",
        "test/x.mjs",
        "a/__init__.py",
    ];
    prop_oneof![6 => proptest::sample::select(names.to_vec()).prop_map(str::to_owned), 1 => "[a-zü*\\[]{1,4}(/[a-z.]{1,4})?"]
}

proptest! {
    #[test]
    fn never_panics_and_only_appends(
        argv in proptest::collection::vec(word(), 0..6),
        files in proptest::collection::btree_map(path(), content(), 0..8),
    ) {
        let tree = Memory(files);
        if let Ok(found) = generate(&tree, &argv, Hints::default(), SEED) {
            let old = tree.read(&found.file).unwrap();
            prop_assert!(found.content.starts_with(&old) && found.content.len() > old.len());
            prop_assert!(String::from_utf8(found.content).unwrap().contains(TOKEN));
        }
    }
}

#[test]
fn scripts_and_manifests_that_multiply_end_soon() {
    let scripts: Vec<String> = (0..12)
        .map(|at| {
            format!(
                "\"s{at}\":\"{}\"",
                vec![format!("npm run s{}", at + 1); 20].join(" && ")
            )
        })
        .collect();
    let package = format!("{{\"scripts\":{{{}}}}}", scripts.join(","));
    let open = "a = [\n".repeat(700_000);
    let many = format!("[workspace]\nmembers = [{}]\n", "\"*/*\",".repeat(20_000));
    let expression = format!("[pytest]\naddopts = -k \"{} a\"\n", "a or ".repeat(500_000));
    let start = Instant::now();
    for (files, line) in [
        (vec![("package.json", package.as_str())], "npm run s0"),
        (vec![("Cargo.toml", open.as_str())], "cargo test"),
        (
            vec![("Cargo.toml", many.as_str()), ("a/b/Cargo.toml", "")],
            "cargo test",
        ),
        (vec![("pytest.ini", expression.as_str()), ("test_a.py", "")], "pytest"),
    ] {
        assert!(run(&files, &words(line)).is_err(), "{line}");
    }
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}
