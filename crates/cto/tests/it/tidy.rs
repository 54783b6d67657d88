//! House rules that no lint has.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Normal dependencies among our crates, exactly (docs/design/0001-crates.md).
const EDGES: &[(&str, &[&str])] = &[
    ("cto", &["cto-evidence", "cto-panel", "cto-runner", "cto-schema"]),
    ("cto-evidence", &["cto-policy", "cto-schema"]),
    ("cto-gateway", &[]),
    ("cto-panel", &["cto-evidence", "cto-schema"]),
    ("cto-policy", &["cto-schema"]),
    (
        "cto-runner",
        &["cto-evidence", "cto-gateway", "cto-policy", "cto-sandbox", "cto-schema"],
    ),
    ("cto-sandbox", &[]),
    ("cto-schema", &[]),
];

/// Licences that a dependency may have, as SPDX terms.
const LICENCES: &[&str] = &[
    "Apache-2.0",
    "MIT",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "Unicode-3.0",
    "Unlicense",
    "0BSD",
    "MIT-0",
    "CC0-1.0",
    "BSL-1.0",
    "Apache-2.0 WITH LLVM-exception",
    "CDLA-Permissive-2.0",
];

/// Crates that must not come in by any way.
const BANNED: &[&str] = &[
    "openssl",
    "openssl-sys",
    "native-tls",
    "aws-lc-sys",
    "serde_yaml",
    "serde_yml",
    "libyml",
    "reqwest",
];

/// A few more than there are now; the last rises were for Markdown (`pulldown-cmark`, 2 packages) and for the kernel's word of
/// changed files (`notify`, 6 packages) of planning workspaces, for Harbor's `task.toml` (`toml`, 4 packages), and for the JUnit
/// XML and the Inspect logs of a matrix (quick-junit, which brings chrono and quick-xml, and zip: 12 packages).
const MOST_PACKAGES: usize = 236;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap()
}

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version=1",
            "--filter-platform=x86_64-unknown-linux-gnu",
            "--locked",
            "--offline",
        ])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn sources() -> Vec<PathBuf> {
    fn walk(at: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join("crates"), &mut found);
    found
}

#[test]
fn files_start_with_a_sentence_and_stay_small() {
    for path in sources() {
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("//! "), "{} does not start with //!", path.display());
        let tests = path.components().any(|part| part.as_os_str() == "tests") || path.ends_with("tests.rs");
        let lines = text.lines().count();
        assert!(lines <= 500 || tests, "{} has {lines} lines", path.display());
    }
}

#[test]
fn crates_depend_on_each_other_as_designed() {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    let ours: Vec<&Value> = packages.iter().filter(|package| package["source"].is_null()).collect();
    assert_eq!(ours.len(), EDGES.len());
    for package in ours {
        let name = package["name"].as_str().unwrap();
        let mut edges: Vec<&str> = package["dependencies"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|dependency| dependency["kind"].is_null() && dependency["path"].is_string())
            .map(|dependency| dependency["name"].as_str().unwrap())
            .collect();
        edges.sort_unstable();
        let expected = EDGES.iter().find(|(crate_name, _)| *crate_name == name).unwrap().1;
        assert_eq!(edges, expected, "{name}");
    }
}

#[test]
fn licences_sources_and_numbers_of_dependencies_stay_as_agreed() {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() <= MOST_PACKAGES, "{} packages", packages.len());
    for package in packages {
        let name = package["name"].as_str().unwrap();
        assert!(!BANNED.contains(&name), "{name} is banned");
        let Some(source) = package["source"].as_str() else {
            continue;
        };
        assert!(
            source.starts_with("registry+https://github.com/rust-lang/crates.io-index"),
            "{name}: {source}"
        );
        let licence = package["license"].as_str().unwrap_or_default().replace('/', " OR ");
        // An offer of several is good when one of them is; a demand for several when all are.
        let good = licence.split(" OR ").any(|choice| {
            choice
                .trim_matches(['(', ')'])
                .split(" AND ")
                .all(|term| LICENCES.contains(&term.trim().trim_matches(['(', ')'])))
        });
        assert!(good, "{name} has licence '{licence}'");
    }
}

#[test]
fn only_the_sandbox_holds_unsafe_code_and_one_file_of_it() {
    let marks = ["{", "fn", "impl"].map(|kind| ["unsafe ", kind].concat());
    for path in sources() {
        let text = fs::read_to_string(&path).unwrap();
        let holds = text.lines().any(|line| {
            let line = line.trim_start();
            !line.starts_with("//") && marks.iter().any(|mark| line.contains(mark.as_str()))
        });
        assert!(!holds || path.ends_with("cto-sandbox/src/sys.rs"), "{}", path.display());
    }
}

#[test]
fn nothing_names_this_machine_or_leaves_work_behind() {
    let marks = [
        ["TO", "DO"].concat(),
        ["FIX", "ME"].concat(),
        ["todo", "!("].concat(),
        ["#[", "ignore"].concat(),
    ];
    for path in sources() {
        let text = fs::read_to_string(&path).unwrap();
        // The canary and integrity modules know the marks of test runners by name.
        let speaks_of_marks = path
            .components()
            .any(|part| ["clean_room"].iter().any(|name| part.as_os_str() == *name));
        for mark in marks.iter().filter(|_| !speaks_of_marks) {
            assert!(!text.contains(mark.as_str()), "{} holds {mark}", path.display());
        }
    }
}
