//! Which paths are tests, which are their configuration, and which stand in the way of a runner.

/// Names that decide how tests are found, built and run, wherever they lie.
const CONFIGURATION: &[&str] = &[
    "conftest.py",
    "pytest.ini",
    ".pytest.ini",
    "setup.cfg",
    "setup.py",
    "tox.ini",
    "pyproject.toml",
    "noxfile.py",
    "sitecustomize.py",
    "usercustomize.py",
    ".coveragerc",
    ".python-version",
    "package.json",
    ".npmrc",
    ".yarnrc",
    ".yarnrc.yml",
    ".pnpmfile.cjs",
    "pnpm-workspace.yaml",
    "bunfig.toml",
    "deno.json",
    "deno.jsonc",
    "GNUmakefile",
    "makefile",
    "Makefile",
    "justfile",
    "Justfile",
    "Taskfile.yml",
    "Cargo.toml",
    "build.rs",
    "clippy.toml",
    "rust-toolchain",
    "rust-toolchain.toml",
    "go.mod",
    "go.work",
    ".mocharc",
    "pom.xml",
    "build.gradle",
    "build.gradle.kts",
];

/// Beginnings of the names of configuration programs, followed by a dot.
const CONFIGURATION_STEMS: &[&str] = &[
    "jest.config",
    "vitest.config",
    "vite.config",
    "vitest.workspace",
    "vitest.setup",
    "jest.setup",
    ".mocharc",
    ".babelrc",
    "babel.config",
    "karma.conf",
    "ava.config",
    "playwright.config",
];

/// Runners and interpreters' modules that a file of that name in the tree would replace.
const SHADOWED: &[&str] = &[
    "pytest",
    "_pytest",
    "pluggy",
    "unittest",
    "doctest",
    "nose2",
    "coverage",
    "vitest",
    "jest",
    "mocha",
    "ava",
    "tap",
    "node_modules",
];

/// Returns whether a path is a test or decides how tests run, by its name alone.
pub(crate) fn is_verification_path(path: &[u8]) -> bool {
    is_test(path) || is_configuration(path) || shadowed(path).is_some()
}

/// Returns whether a file of that name may hold tests beside its code, so that its content is worth a look.
pub(crate) fn may_hold_tests(path: &[u8]) -> bool {
    let endings = [".rs", ".js", ".mjs", ".jsx", ".ts", ".mts", ".tsx"];
    is_verification_path(path) || endings.iter().any(|ending| path.ends_with(ending.as_bytes()))
}

/// Returns whether a path is a test by the conventions of its language.
pub(super) fn is_test(path: &[u8]) -> bool {
    let Some((stem, ending)) = stem_and_ending(path) else {
        return false;
    };
    let stem = stem.as_str();
    let below = |directories: &[&str]| {
        let mut parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
        parts.pop();
        parts
            .iter()
            .any(|part| directories.iter().any(|directory| *part == directory.as_bytes()))
    };
    match ending.as_str() {
        "py" => {
            stem.starts_with("test_")
                || stem.ends_with("_test")
                || stem == "test"
                || stem == "tests"
                || (stem.starts_with("test") && !below(&["src"]))
                || below(&["tests", "test"])
        }
        "go" => stem.ends_with("_test"),
        "rs" => {
            below(&["tests"]) || matches!(stem, "tests" | "test") || stem.ends_with("_test") || stem.ends_with("_tests")
        }
        "js" | "mjs" | "cjs" | "jsx" | "ts" | "mts" | "cts" | "tsx" => {
            let ends = [".test", ".spec", "-test", "_test", "_spec", "-spec"]
                .iter()
                .any(|ending| stem.ends_with(ending));
            ends || stem == "test"
                || stem.starts_with("test-")
                || below(&["__tests__", "__mocks__", "test", "tests", "spec"])
        }
        "java" | "kt" | "kts" | "scala" => {
            stem.ends_with("Test") || stem.ends_with("Tests") || stem.ends_with("IT") || below(&["test"])
        }
        "rb" => stem.ends_with("_spec") || stem.ends_with("_test") || stem.starts_with("test_"),
        "snap" | "golden" => true,
        _ => below(&["tests", "__tests__", "__snapshots__", "testdata", "test"]),
    }
}

/// Returns whether a path decides how tests are found, built or run.
pub(super) fn is_configuration(path: &[u8]) -> bool {
    let Ok(name) = std::str::from_utf8(name(path)) else {
        return false;
    };
    let cargo = path.windows(7).any(|part| part == b".cargo/") && name.starts_with("config");
    let typescript = name.starts_with("tsconfig") && name.ends_with(".json");
    let stems = CONFIGURATION_STEMS
        .iter()
        .any(|stem| name == *stem || name.strip_prefix(stem).is_some_and(|rest| rest.starts_with('.')));
    let nextest = path.ends_with(b".config/nextest.toml");
    CONFIGURATION.contains(&name)
        || name.ends_with(".pth")
        || name.ends_with(".mk")
        || cargo
        || typescript
        || stems
        || nextest
}

/// Endings of files that Python or Node load as modules.
const ENDINGS: [&str; 6] = [".py", ".pyc", ".so", ".js", ".mjs", ".cjs"];

/// Returns the runner whose module a path at the top of the tree (or of `src`) would be loaded instead of.
pub(super) fn shadowed(path: &[u8]) -> Option<&'static str> {
    let text = std::str::from_utf8(path).ok()?;
    let text = text.strip_prefix("src/").unwrap_or(text);
    let first = text.split('/').next()?;
    let whole = text.split_once('/').is_none();
    let stem = if whole {
        ENDINGS.iter().find_map(|ending| first.strip_suffix(ending))?
    } else {
        first
    };
    let code = ENDINGS.iter().any(|ending| text.ends_with(ending)) || stem == "node_modules";
    SHADOWED.iter().find(|name| **name == stem && code).copied()
}

/// Returns the last component.
pub(super) fn name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

fn stem_and_ending(path: &[u8]) -> Option<(String, String)> {
    let name = String::from_utf8_lossy(name(path)).into_owned();
    let (stem, ending) = name.rsplit_once('.').unwrap_or((&name, ""));
    (!stem.is_empty()).then(|| (stem.to_owned(), ending.to_owned()))
}
