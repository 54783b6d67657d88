//! The cases inside the program, as one table; a test walks `cases/` and fails when a file is not in it.

use super::EmbeddedCase;

macro_rules! case {
    ($id:literal: $($path:literal),+ $(,)?) => {
        EmbeddedCase {
            id: $id,
            document: include_str!(concat!("../../../../cases/", $id, "/case.yaml")),
            files: &[$(($path, include_bytes!(concat!("../../../../cases/", $id, "/fixture/", $path)), false)),+],
        }
    };
}

const EMBEDDED: &[EmbeddedCase] = &[
    case!("r1-string-slugify": ".gitignore", "strings.py", "test_strings.py"),
    case!("r1-src-string-slugify": ".gitignore", "src/strings.py", "strings.py", "test_strings.py"),
    case!("r1-slugify-punctuation": ".gitignore", "src/strings.py", "strings.py", "test_strings.py"),
    case!("r1-rust-slugify": ".gitignore", "Cargo.lock", "Cargo.toml", "src/lib.rs", "tests/slugify.rs"),
    case!("r1-node-slugify": ".gitignore", "package.json", "src/slugify.js", "test/slugify.test.js"),
    case!("r1-go-slugify": "go.mod", "slugify.go", "slugify_test.go"),
];

/// Returns the embedded cases, in the order in which they are listed.
pub fn embedded() -> &'static [EmbeddedCase] {
    EMBEDDED
}
