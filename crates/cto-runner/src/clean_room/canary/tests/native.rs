//! cargo and go: packages, targets and test files.

use super::*;

const MANIFEST: &str = "[package]\nname = \"one\"\nversion = \"0.1.0\"\n";
const IN_LIBRARY: &str = "\n#[cfg(test)]\nmod m_aaaqeayeaudao {\n#[test]\nfn test_aaaqeayeaudao() {\n    panic!(";
const IN_TESTS: &str = "\nmod m_aaaqeayeaudao {\n#[test]\nfn test_aaaqeayeaudao() {\n    panic!(";

fn cargo(files: &[(&str, &str)], line: &str, file: &str, added: &str) {
    check(files, line, "cargo test", file, added);
}

#[test]
fn cargo_tests_the_targets_of_a_package() {
    let files = [
        ("Cargo.toml", MANIFEST),
        ("src/lib.rs", ""),
        ("src/main.rs", ""),
        ("src/bin/x.rs", ""),
        ("tests/it.rs", "#[test]\nfn a() {}\n"),
        ("tests/deep/main.rs", ""),
        ("src/other.rs", ""),
    ];
    cargo(&files, "cargo test", "src/lib.rs", IN_LIBRARY);
    cargo(&files, "cargo test --offline --quiet", "src/lib.rs", IN_LIBRARY);
    cargo(&files, "cargo test --test it", "tests/it.rs", IN_TESTS);
    cargo(&files, "cargo test --test deep", "tests/deep/main.rs", IN_TESTS);
    cargo(&files, "cargo test --bin one", "src/main.rs", IN_LIBRARY);
    cargo(&files, "cargo test --bin x", "src/bin/x.rs", IN_LIBRARY);
    cargo(&files, "cargo test slug", "src/lib.rs", "fn slug_aaaqeayeaudao() {");
    cargo(
        &files,
        "cargo test a::tests::",
        "src/lib.rs",
        "mod m_a {\nmod tests {\n#[test]\nfn test_aaaqeayeaudao",
    );
    cargo(
        &files,
        "cargo test -- --test-threads 1 slug",
        "src/lib.rs",
        "fn slug_aaaqeayeaudao() {",
    );
    cargo(
        &files,
        "cargo test -- --ignored",
        "src/lib.rs",
        "#[test]\n#[ignore]\nfn",
    );
    check(
        &files,
        "cargo nextest run --test it",
        "cargo nextest",
        "tests/it.rs",
        IN_TESTS,
    );
    check_none(&files, "cargo test --no-run", "--no-run");
    check_none(&files, "cargo test --doc", "--doc");
    check_none(&files, "cargo test -- --exact a", "--exact");
    check_none(&files, "cargo test -- --skip m_", "--skip");
    check_none(&files, "cargo nextest run -E 'test(a)'", "-E");
    check_none(&files, "cargo test 'a b'", "no test name");
    check_none(&files, "cargo test --test gone", "no target");
    check_none(&[("src/lib.rs", "")], "cargo test", "no Cargo.toml");
}

#[test]
fn cargo_leaves_targets_without_the_standard_harness_alone() {
    let manifest = format!(
        "{MANIFEST}[lib]\nharness = false\n[[test]]\nname = \"it\"\nharness = false\n[[test]]\nname = \"ok\"\npath = \"t/ok.rs\"\n"
    );
    let files = [
        ("Cargo.toml", manifest.as_str()),
        ("src/lib.rs", ""),
        ("tests/it.rs", ""),
        ("t/ok.rs", ""),
    ];
    cargo(&files, "cargo test", "t/ok.rs", IN_TESTS);
    check_none(&files[..3], "cargo test", "standard test harness");
    for attribute in ["#![no_std]", "#![ no_main ]", "#![no_implicit_prelude]"] {
        check_none(
            &[("Cargo.toml", MANIFEST), ("src/lib.rs", attribute)],
            "cargo test",
            "standard test harness",
        );
    }
    cargo(
        &[
            ("Cargo.toml", MANIFEST),
            ("src/lib.rs", "#![cfg_attr(not(test), no_std)]\n"),
        ],
        "cargo test",
        "src/lib.rs",
        IN_LIBRARY,
    );
    cargo(
        &[
            ("Cargo.toml", MANIFEST),
            ("src/lib.rs", "#![cfg(unix)]\n"),
            ("tests/z.rs", ""),
        ],
        "cargo test",
        "tests/z.rs",
        IN_TESTS,
    );
}

#[test]
fn cargo_resolves_workspaces() {
    let root = "[workspace]\nmembers = [\n  \"crates/*\", # all\n  \"tool\",\n]\nexclude = [\"crates/out\"]\n";
    let a = "[package]\nname = \"a\"\n";
    let b = "[package]\nname = \"b\"\n[lib]\npath = \"lib.rs\"\n";
    let files = [
        ("Cargo.toml", root),
        ("crates/a/Cargo.toml", a),
        ("crates/a/src/lib.rs", ""),
        ("crates/b/Cargo.toml", b),
        ("crates/b/lib.rs", ""),
        ("tool/Cargo.toml", "[package]\nname = \"tool\"\n"),
        ("tool/src/main.rs", ""),
        ("crates/out/Cargo.toml", "[package]\nname = \"out\"\n"),
        ("crates/out/src/lib.rs", ""),
    ];
    cargo(&files, "cargo test -p b", "crates/b/lib.rs", IN_LIBRARY);
    cargo(
        &files,
        "cargo test --package a@0.1.0",
        "crates/a/src/lib.rs",
        IN_LIBRARY,
    );
    cargo(
        &files,
        "cargo test --workspace --exclude a --exclude b",
        "tool/src/main.rs",
        IN_LIBRARY,
    );
    cargo(&files, "cargo test", "crates/b/lib.rs", IN_LIBRARY);
    cargo(
        &files,
        "cargo test --manifest-path crates/a/Cargo.toml",
        "crates/a/src/lib.rs",
        IN_LIBRARY,
    );
    cargo(
        &files,
        "sh -c 'cd crates/a/src && cargo test'",
        "crates/a/src/lib.rs",
        IN_LIBRARY,
    );
    cargo(
        &files,
        "sh -c 'cd crates/a && cargo test -p b'",
        "crates/b/lib.rs",
        IN_LIBRARY,
    );
    check_none(&files, "cargo test -p out", "no package");
}

fn go(files: &[(&str, &str)], line: &str, file: &str, added: &str) {
    check(files, line, "go test", file, added);
}

#[test]
fn go_takes_a_file_that_surely_builds() {
    let test = "package a\n\nimport \"testing\"\n\nfunc TestA(t *testing.T) {}\n";
    let block = "package b\n\nimport (\n\t\"os\"\n\t\"testing\"\n)\n";
    let name = "\nfunc Test_aaaqeayeaudao(t *testing.T) {\n\tt.Fatal(\"aaaqeayeaudao\")\n}\n";
    let files = [
        ("go.mod", "module example.com/m // x\n"),
        ("a_test.go", test),
        ("b/b_test.go", block),
        ("b/c/c_test.go", test),
        ("vendor/v/v_test.go", test),
        ("sub/go.mod", "module other\n"),
        ("sub/s_test.go", test),
    ];
    go(&files, "go test", "a_test.go", name);
    go(&files, "go test ./...", "a_test.go", name);
    go(&files, "go test -count=1 -timeout 5m ./b", "b/b_test.go", name);
    go(&files, "go test ./b/c/...", "b/c/c_test.go", name);
    go(&files, "go test example.com/m/b", "b/b_test.go", name);
    go(&files, "go test -C b ./c", "b/c/c_test.go", name);
    go(&files, "go test a_test.go", "a_test.go", name);
    go(
        &files,
        "go test -run TestSlug ./...",
        "a_test.go",
        "func TestSlug_aaaqeayeaudao(",
    );
    go(
        &files,
        "go test -run '^TestSlug' ./...",
        "a_test.go",
        "func TestSlug_aaaqeayeaudao(",
    );
    go(
        &files,
        "go test -run 'Slug|X' ./...",
        "a_test.go",
        "func Test_Slug_aaaqeayeaudao(",
    );
    go(
        &files,
        "go test --run=TestA/sub",
        "a_test.go",
        "func TestA_aaaqeayeaudao(",
    );
    check_none(&files, "go test -run '^TestA$'", "no test name");
    check_none(&files, "go test -run 'Test[A]'", "no test name");
    check_none(&files, "go test -skip Test", "-skip");
    check_none(&files, "go test -c", "-c");
    check_none(&files, "go test ./vendor/x", "no test file");
    check_none(&files, "go test std", "no test file");
}

#[test]
fn go_leaves_a_file_alone_where_the_canary_might_not_build() {
    let test = "package a\n\nimport \"testing\"\n";
    let name = "func Test_aaaqeayeaudao(t *testing.T) {";
    for bad in [
        "//go:build linux\n\npackage a\n\nimport \"testing\"\n",
        "package a\n\nimport t \"testing\"\n",
        "package a\n\nimport . \"testing\"\n",
        "package a\n\nimport \"os\"\n",
        "package a\n\nimport (\n\tt \"testing\"\n)\n",
    ] {
        check_none(&[("a_test.go", bad)], "go test", "no unconstrained test file");
    }
    check_none(&[("a_windows_test.go", test)], "go test", "no unconstrained test file");
    go(
        &[
            (
                "a_test.go",
                "package a\nimport \"testing\"\nfunc TestMain(m *testing.M) {}\n",
            ),
            ("z_test.go", test),
        ],
        "go test",
        "z_test.go",
        name,
    );
}

#[test]
fn go_prefers_the_package_of_the_change() {
    let test = "package a\n\nimport \"testing\"\n";
    let files = [
        ("go.mod", "module m\n"),
        ("a_test.go", test),
        ("b/b_test.go", test),
        ("b/b.go", "package b\n"),
    ];
    let changed = [b"b/b.go".to_vec()];
    let hints = Hints {
        changed: &changed,
        verification_inputs: &[],
    };
    assert_eq!(
        generate(&Memory::new(&files), &words("go test ./..."), hints, SEED)
            .unwrap()
            .file,
        b"b/b_test.go"
    );
}

#[test]
fn every_command_of_every_embedded_case_has_a_canary_in_its_tests() {
    for case in crate::cases::embedded() {
        let loaded = crate::cases::find(case.id, &[]).unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let files = loaded.files.iter().map(|file| (text(&file.path), text(&file.bytes)));
        let tree = Memory(files.chain(loaded.case.reference_edit.clone()).collect());
        let changed: Vec<Vec<u8>> = loaded
            .case
            .expected_change
            .iter()
            .map(|path| path.clone().into_bytes())
            .collect();
        let inputs = &loaded.case.verification_inputs;
        let hints = Hints {
            changed: &changed,
            verification_inputs: inputs,
        };
        for argv in &loaded.case.verification {
            let found = generate(&tree, argv, hints, SEED).unwrap();
            assert_eq!(text(&found.file), inputs[0], "{}: {argv:?}", case.id);
        }
    }
}
