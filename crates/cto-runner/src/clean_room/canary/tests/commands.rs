//! Wrappers: environments, shells, package managers and their scripts.

use super::super::command::{Call, recognise};
use super::super::scene::Scene;
use super::*;

fn look(files: &[(&str, &str)], argv: &[String]) -> Result<Call, NoCanary> {
    let tree = Memory::new(files);
    recognise(&Scene::new(&tree, Hints::default(), SEED), argv)
}

fn is(argv: &[&str], runner: &str, args: &[&str], directory: &str) {
    let package = r#"{"scripts":{"test":"vitest run","unit":"NODE_ENV=x cross-env A=b node --test test/","build":"tsc","all":"npm run build && npm run unit -- a","loop":"npm run loop","bad":"a; b"}}"#;
    let files = [
        ("package.json", package),
        ("pkg/package.json", r#"{"scripts":{"test":"jest --ci"}}"#),
    ];
    let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
    let call = look(&files, &argv).unwrap_or_else(|error| panic!("{argv:?}: {error}"));
    assert_eq!((call.runner, call.directory.as_str()), (runner, directory), "{argv:?}");
    assert_eq!(call.args, args, "{argv:?}");
}

#[test]
fn looks_through_wrappers() {
    is(&["pytest", "-q"], "pytest", &["-q"], "");
    is(&["/usr/bin/python3", "-m", "pytest", "-q"], "pytest", &["-q"], "");
    is(
        &["python3.12", "-X", "dev", "-W", "error", "-B", "-m", "unittest", "-v"],
        "unittest",
        &["-v"],
        "",
    );
    is(&["python", "-Bm", "pytest"], "pytest", &[], "");
    is(
        &["python", "-m", "coverage", "run", "--branch", "-m", "pytest", "a"],
        "pytest",
        &["a"],
        "",
    );
    is(&["coverage", "run", "-m", "unittest"], "unittest", &[], "");
    is(&["uv", "run", "pytest", "x"], "pytest", &["x"], "");
    is(
        &["uv", "run", "--frozen", "--with", "pytest", "python", "-m", "pytest"],
        "pytest",
        &[],
        "",
    );
    is(
        &["uv", "run", "--directory", "pkg", "-m", "pytest", "x"],
        "pytest",
        &["x"],
        "pkg",
    );
    is(&["poetry", "run", "pytest"], "pytest", &[], "");
    is(&["env", "-i", "-u", "X", "A=b", "pytest"], "pytest", &[], "");
    is(&["env", "-C", "pkg", "pytest"], "pytest", &[], "pkg");
    is(&["timeout", "-k", "5", "60", "pytest"], "pytest", &[], "");
    is(
        &["sh", "-c", "cd pkg && A=1 pytest -k 'a b'"],
        "pytest",
        &["-k", "a b"],
        "pkg",
    );
    is(
        &["bash", "-euo", "pipefail", "-c", "make build && pytest"],
        "pytest",
        &[],
        "",
    );
    is(&["bash", "-ec", "exec pytest"], "pytest", &[], "");
    is(
        &["sh", "-c", "cd ./pkg/../pkg && python3 -m pytest"],
        "pytest",
        &[],
        "pkg",
    );
}

#[test]
fn reads_package_scripts() {
    is(&["npm", "test"], "vitest", &["run"], "");
    is(&["npm", "test", "--", "-t", "x"], "vitest", &["run", "-t", "x"], "");
    is(&["npm", "--prefix", "pkg", "test"], "jest", &["--ci"], "pkg");
    is(&["npm", "run", "-s", "unit"], "node --test", &["--test", "test/"], "");
    is(&["npm", "run", "all"], "node --test", &["--test", "test/", "a"], "");
    is(&["yarn", "test"], "vitest", &["run"], "");
    is(&["yarn", "unit"], "node --test", &["--test", "test/"], "");
    is(&["yarn", "jest", "--ci"], "jest", &["--ci"], "");
    is(&["pnpm", "-C", "pkg", "test"], "jest", &["--ci"], "pkg");
    is(&["pnpm", "exec", "vitest", "run"], "vitest", &["run"], "");
}

#[test]
fn looks_through_program_starters() {
    is(&["npx", "--yes", "vitest", "run"], "vitest", &["run"], "");
    is(&["npm", "exec", "--", "jest"], "jest", &[], "");
    is(&["bunx", "jest"], "jest", &[], "");
    is(&["bun", "run", "test"], "vitest", &["run"], "");
    is(&["bun", "test", "a"], "bun test", &["a"], "");
    is(
        &[
            "node",
            "--experimental-vm-modules",
            "node_modules/jest/bin/jest.js",
            "--ci",
        ],
        "jest",
        &["--ci"],
        "",
    );
    is(
        &["node", "--import", "./x.js", "node_modules/.bin/vitest", "run"],
        "vitest",
        &["run"],
        "",
    );
    is(
        &["node", "--no-warnings", "--test"],
        "node --test",
        &["--no-warnings", "--test"],
        "",
    );
    is(
        &["cargo", "+stable", "-q", "--offline", "test", "--lib"],
        "cargo test",
        &["--lib"],
        "",
    );
    is(
        &["cargo", "--config", "a=1", "-C", "pkg", "nextest", "run", "x"],
        "cargo nextest",
        &["x"],
        "pkg",
    );
    is(&["go", "test", "-v", "./..."], "go test", &["-v", "./..."], "");
}

#[test]
fn says_why_a_command_is_not_recognised() {
    let files = [(
        "package.json",
        r#"{"scripts":{"loop":"npm run loop","bad":"vitest; true","self":"yarn self"}}"#,
    )];
    for (line, reason) in [
        ("make test", "'make' is not a test runner"),
        ("true", "'true' is not"),
        ("python3 test_a.py", "runs a script"),
        ("python3 -m tox", "'tox' is neither"),
        ("python3 -c x", "command line"),
        ("sh run.sh", "script file"),
        ("sh -c 'pytest; true'", "more than simple commands"),
        ("sh -c 'pytest || true'", "more than simple commands"),
        ("sh -c 'cd ../.. && pytest'", "outside the workspace"),
        ("npm run loop", "too deeply"),
        ("yarn self", "too deeply"),
        ("npm run bad", "more than simple commands"),
        ("npm run gone", "no script 'gone'"),
        ("npm test -w a", "no script 'test'"),
        ("npm -w a test", "selects packages"),
        ("npm ci", "runs no tests"),
        ("pnpm -r test", "selects packages"),
        ("cargo build", "neither 'cargo test'"),
        ("go build ./...", "not 'go test'"),
        ("node index.js", "not a test runner"),
        ("env -S 'pytest -q'", "splits words"),
        ("env A=b", "starts no program"),
        ("uv sync", "not followed by 'run'"),
    ] {
        let argv = words(line);
        let error = look(&files, &argv).expect_err(line);
        assert!(error.reason.contains(reason), "{line}: {error}");
    }
    assert!(look(&[], &[]).is_err());
}
