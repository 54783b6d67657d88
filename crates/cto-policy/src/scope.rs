//! Path scope: which paths a contract lets change.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use cto_schema::{Change, EntryKind, TaskContract};
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

/// The compiled path policy of one contract.
///
/// Matching is byte-exact per component: no case folding, no Unicode normalisation. `*` does not cross `/`, `**`
/// does. A trailing `/` means everything below that directory. Only in forbidden patterns, one without a slash
/// (a trailing one does not count) matches at any depth.
#[derive(Clone, Debug)]
pub struct Scope {
    allowed: GlobSet,
    forbidden: GlobSet,
    forbidden_patterns: Vec<String>,
}

/// What the policy says about one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeVerdict {
    /// Whether an allowed pattern covers it.
    pub allowed: bool,
    /// The forbidden pattern that covers it.
    pub forbidden_by: Option<String>,
}

/// A pattern that is no glob.
#[derive(Clone, Debug, thiserror::Error)]
#[error("compile path pattern '{pattern}': {reason}")]
pub struct ScopeError {
    /// The pattern.
    pub pattern: String,
    /// Why.
    pub reason: String,
}

impl Scope {
    /// Compiles the patterns of a contract.
    pub fn of(contract: &TaskContract) -> Result<Self, ScopeError> {
        let forbidden = contract.effective_forbidden_paths();
        Ok(Self {
            allowed: Self::patterns(&contract.allowed_paths)?,
            forbidden: compile(forbidden.iter().flat_map(|p| forbidden_globs(p)))?,
            forbidden_patterns: forbidden,
        })
    }

    /// Compiles anchored patterns, as in `allowed_paths` and `scratch_paths`.
    pub fn patterns(patterns: &[String]) -> Result<GlobSet, ScopeError> {
        compile(patterns.iter().map(|pattern| anchored_glob(pattern)))
    }

    /// Judges one path, given as bytes relative to the repository root.
    pub fn judge(&self, path: &[u8]) -> ScopeVerdict {
        let as_path = Path::new(OsStr::from_bytes(path));
        let in_git = path
            .split(|b| *b == b'/')
            .any(|part| part.eq_ignore_ascii_case(b".git"));
        let forbidden_by = if in_git {
            Some(".git/".to_owned())
        } else {
            // Every pattern contributes two globs, in order.
            self.forbidden
                .matches(as_path)
                .first()
                .map(|index| self.forbidden_patterns[index / 2].clone())
        };
        ScopeVerdict {
            allowed: self.allowed.is_match(as_path),
            forbidden_by,
        }
    }

    /// True for a symbolic link in whose place a forbidden path would lie: through it, that path exists.
    fn leads_to_forbidden(&self, change: &Change) -> bool {
        let link = change
            .after
            .as_ref()
            .is_some_and(|after| after.kind == EntryKind::Symlink);
        let Some(bytes) = change.path.bytes().filter(|_| link) else {
            return false;
        };
        let below = [bytes.as_slice(), b"/"].concat();
        let anchored = |pattern: &&String| pattern.trim_end_matches('/').contains('/');
        self.forbidden_patterns.iter().filter(anchored).any(|pattern| {
            let literal = pattern.split(['*', '?', '[', '{']).next().unwrap_or_default();
            literal.as_bytes().starts_with(&below)
        })
    }

    /// Returns the changed paths, escaped, that no allowed pattern covers, and those that a forbidden one covers.
    pub fn violations(&self, changes: &[Change]) -> (Vec<String>, Vec<String>) {
        let (mut outside, mut forbidden) = (Vec::new(), Vec::new());
        for change in changes {
            // A path whose bytes cannot be decoded is judged as outside: nobody allowed it.
            let verdict = change.path.bytes().map(|bytes| self.judge(&bytes));
            if verdict.as_ref().is_none_or(|v| !v.allowed) {
                outside.push(change.path.shown());
            }
            if verdict.is_some_and(|v| v.forbidden_by.is_some()) || self.leads_to_forbidden(change) {
                forbidden.push(change.path.shown());
            }
        }
        (outside, forbidden)
    }
}

/// Whether an anchored pattern may match something below a directory, judged by its literal beginning.
pub fn may_match_below(pattern: &str, directory: &Path) -> bool {
    let literal = pattern.split(['*', '?', '[', '{']).next().unwrap_or_default();
    let below = [directory.as_os_str().as_bytes(), b"/"].concat();
    literal.as_bytes().starts_with(&below) || below.starts_with(literal.as_bytes())
}

fn anchored_glob(pattern: &str) -> String {
    pattern
        .strip_suffix('/')
        .map_or_else(|| pattern.to_owned(), |directory| format!("{directory}/**"))
}

/// A forbidden pattern covers the name itself and, for directories, everything below.
fn forbidden_globs(pattern: &str) -> [String; 2] {
    let body = pattern.strip_suffix('/').unwrap_or(pattern);
    let anchored = if body.contains('/') {
        body.to_owned()
    } else {
        format!("**/{body}")
    };
    let below = format!("{anchored}/**");
    [anchored, below]
}

fn compile(globs: impl Iterator<Item = String>) -> Result<GlobSet, ScopeError> {
    let mut builder = GlobSetBuilder::new();
    for pattern in globs {
        let glob = GlobBuilder::new(&pattern)
            .literal_separator(true)
            .backslash_escape(false)
            .build();
        builder.add(glob.map_err(|e| ScopeError {
            pattern: pattern.clone(),
            reason: e.kind().to_string(),
        })?);
    }
    builder.build().map_err(|e| ScopeError {
        pattern: String::new(),
        reason: e.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eligibility::tests::contract;

    fn scope(allowed: &[&str], forbidden: &[&str]) -> Scope {
        let mut contract = contract();
        contract.allowed_paths = allowed.iter().map(|p| (*p).to_owned()).collect();
        contract.forbidden_paths = forbidden.iter().map(|p| (*p).to_owned()).collect();
        Scope::of(&contract).unwrap()
    }

    #[test]
    fn allowed_paths_are_anchored_and_byte_exact() {
        let scope = scope(&["strings.py", "src/", "docs/*.md", "lib/**/*.rs"], &[]);
        for good in [
            "strings.py",
            "src/a/b.py",
            "src/x",
            "docs/a.md",
            "lib/a.rs",
            "lib/x/y/a.rs",
        ] {
            assert!(scope.judge(good.as_bytes()).allowed, "{good}");
        }
        for bad in [
            "src/strings.py.bak/../x",
            "x/strings.py",
            "Strings.py",
            "strings.py/x",
            "strings.pyx",
            "src",
            "srcx/a",
            "SRC/a",
            "docs/a/b.md",
            "docs/a.mdx",
            "strings.py ",
            "s\u{0442}rings.py",
        ] {
            let allowed = scope.judge(bad.as_bytes()).allowed;
            assert_eq!(allowed, bad.starts_with("src/"), "{bad}");
        }
        assert!(!scope.judge(b"strings.py\n").allowed);
        assert!(!scope.judge(b"strings.py\xff").allowed);
    }

    #[test]
    fn forbidden_names_hold_at_any_depth_and_forbidden_paths_are_anchored() {
        let scope = scope(&["**"], &["conf/prod.yaml"]);
        for bad in [
            ".env",
            "a/b/.env",
            ".env.local",
            "secrets/x",
            "a/node_modules/b/c.js",
            "vendor",
            ".github/workflows/ci.yml",
            "conf/prod.yaml",
            "a/.GIT/config",
            ".git",
            "x/yarn.lock",
        ] {
            assert!(scope.judge(bad.as_bytes()).forbidden_by.is_some(), "{bad}");
        }
        for good in [
            "a/.github/workflows/ci.yml",
            "a/conf/prod.yaml",
            "environment",
            "a.env",
            ".gitignore",
        ] {
            assert!(scope.judge(good.as_bytes()).forbidden_by.is_none(), "{good}");
        }
    }

    #[test]
    fn a_link_in_the_place_of_a_forbidden_directory_is_forbidden() {
        use cto_schema::{ChangeKind, EntryState, PathText, Sha256Digest};
        let scope = scope(&["**"], &["conf/prod.yaml"]);
        let link = |path: &str, kind| Change {
            path: PathText::new(path.as_bytes()),
            kind: ChangeKind::Added,
            before: None,
            after: Some(EntryState {
                kind,
                digest: Sha256Digest::of(b""),
                size_bytes: 1,
            }),
        };
        for (path, forbidden) in [(".github", true), ("conf", true), ("con", false), ("docs", false)] {
            assert_eq!(
                !scope.violations(&[link(path, EntryKind::Symlink)]).1.is_empty(),
                forbidden,
                "{path}"
            );
            assert!(scope.violations(&[link(path, EntryKind::File)]).1.is_empty(), "{path}");
        }
    }

    #[test]
    fn what_may_lie_below_a_directory() {
        for (pattern, directory, may) in [
            ("tests/", "tests", true),
            ("tests/**", "tests", true),
            ("tests/unit/a.py", "tests", true),
            ("**/test_*.py", "src", true),
            ("tests/", "src", false),
            ("tests/", "tests/unit", true),
        ] {
            assert_eq!(
                may_match_below(pattern, Path::new(directory)),
                may,
                "{pattern} {directory}"
            );
        }
    }

    #[test]
    fn names_the_pattern_that_forbids() {
        let scope = scope(&["**"], &[]);
        assert_eq!(scope.judge(b"a/secrets/k").forbidden_by.as_deref(), Some("secrets/"));
        assert_eq!(scope.judge(b"yarn.lock").forbidden_by.as_deref(), Some("yarn.lock"));
    }
}
