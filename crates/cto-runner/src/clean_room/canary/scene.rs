//! What every recogniser works with: the tree, the hints, a random name, and the choice among collected files.

use std::cell::Cell;
use std::collections::BTreeSet;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::{Hints, NoCanary, TreeView};

/// Names seen in one walk before it stops: enough for a large repository, little enough to stay quick.
const MAX_WALKED: usize = 60_000;
/// Candidates whose content is read.
const MAX_READ: usize = 500;
/// Words of the change that are searched for in candidates.
const MAX_WORDS: usize = 64;
/// Commands that are looked into: scripts that call scripts multiply.
const MAX_LOOKS: u32 = 300;
/// Patterns of one list; a longer one is an attack, not a configuration.
const MAX_PATTERNS: usize = 500;

/// One generation: a tree, what is known about the patch, and a random token.
#[derive(Debug)]
pub(super) struct Scene<'a> {
    tree: &'a dyn TreeView,
    hints: Hints<'a>,
    changed: BTreeSet<&'a [u8]>,
    inputs: GlobSet,
    token: String,
    looks: Cell<u32>,
}

/// A judgement on a file by path and content.
pub(super) type Judge<'f> = dyn Fn(&str, &str) -> bool + 'f;

/// A collected file that a test can be appended to.
#[derive(Debug)]
pub(super) struct Chosen {
    /// Path from the root of the tree.
    pub(super) path: String,
    /// Its content.
    pub(super) text: String,
}

impl Chosen {
    /// Returns the file with code after it, in the file's own line ends.
    pub(super) fn append(&self, code: &str) -> Vec<u8> {
        let crlf = self.text.contains("\r\n");
        let mut out = self.text.clone();
        if !out.is_empty() && !out.ends_with('\n') {
            out.push_str(if crlf { "\r\n" } else { "\n" });
        }
        out.push_str(&if crlf {
            code.replace('\n', "\r\n")
        } else {
            code.to_owned()
        });
        out.into_bytes()
    }
}

impl<'a> Scene<'a> {
    pub(super) fn new(tree: &'a dyn TreeView, hints: Hints<'a>, seed: [u8; 8]) -> Self {
        let token = data_encoding::BASE32_NOPAD.encode(&seed).to_lowercase();
        let changed = hints.changed.iter().map(Vec::as_slice).collect();
        Self {
            tree,
            hints,
            changed,
            inputs: globs(hints.verification_inputs),
            token,
            looks: Cell::new(0),
        }
    }

    /// Counts one look into a command; false when there were too many.
    pub(super) fn may_look(&self) -> bool {
        self.looks.set(self.looks.get().saturating_add(1));
        self.looks.get() <= MAX_LOOKS
    }

    /// Returns a random word of 13 characters `a-z2-7`; a prefix makes it an identifier.
    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// Returns a file as text; a file in another encoding is not one to append to.
    pub(super) fn text(&self, path: &str) -> Option<String> {
        String::from_utf8(self.tree.read(path.as_bytes())?).ok()
    }

    /// Returns whether there is something under that name.
    pub(super) fn exists(&self, path: &str) -> bool {
        self.tree.exists(path.as_bytes())
    }

    /// Returns whether the name is a directory.
    pub(super) fn is_directory(&self, path: &str) -> bool {
        let (parent, name) = split(path);
        path.is_empty()
            || self
                .names(parent)
                .iter()
                .any(|(found, directory)| *directory && found == name)
    }

    /// Returns the UTF-8 names in a directory, each with whether it is a directory.
    pub(super) fn names(&self, directory: &str) -> Vec<(String, bool)> {
        let entries = self.tree.list(directory.as_bytes()).into_iter();
        entries
            .filter_map(|(name, is_directory)| Some((String::from_utf8(name).ok()?, is_directory)))
            .collect()
    }

    /// Returns the nearest of a directory and its parents that holds a file of that name.
    pub(super) fn nearest(&self, directory: &str, name: &str) -> Option<String> {
        ancestors(directory).find(|parent| self.exists(&join(parent, name)))
    }

    /// Returns the kept files below a directory, `enter` deciding on each directory by its path.
    pub(super) fn walk(&self, root: &str, enter: &dyn Fn(&str) -> bool, keep: &dyn Fn(&str) -> bool) -> Vec<String> {
        let mut pending = std::collections::VecDeque::from([root.to_owned()]);
        let (mut found, mut seen) = (Vec::new(), 0);
        while let Some(directory) = pending.pop_front() {
            for (name, is_directory) in self.names(&directory) {
                seen += 1;
                if seen > MAX_WALKED {
                    return found;
                }
                let path = join(&directory, &name);
                if is_directory {
                    if enter(&path) {
                        pending.push_back(path);
                    }
                } else if keep(&path) {
                    found.push(path);
                }
            }
        }
        found
    }

    /// Returns the best of the collected files that can take the test at all; a doubtful one only where there is no
    /// other, since a canary that is not collected is reported and never believed.
    ///
    /// A file that uses the changed code comes first: several runners give each file a process of its own, and only
    /// the process that loads the changed code shows whether that code swallows a failure. Then come files that the
    /// patch leaves alone and that are verification inputs: those cannot have been arranged to be skipped.
    pub(super) fn choose(&self, mut candidates: Vec<String>, can: &Judge<'_>, doubtful: &Judge<'_>) -> Option<Chosen> {
        candidates.sort();
        candidates.dedup();
        candidates.sort_by_cached_key(|path| {
            (
                self.changed(path),
                !self.inputs.is_match(path),
                path.matches('/').count(),
                path.len(),
            )
        });
        candidates.truncate(MAX_READ);
        let words = self.changed_words();
        let mut best: Option<((bool, bool), Chosen)> = None;
        for path in candidates {
            let Some(text) = self.text(&path).filter(|text| can(&path, text)) else {
                continue;
            };
            let related = self.beside_change(&path) || words.iter().any(|word| mentions(&text, word));
            let rank = (doubtful(&path, &text), !related);
            if best.as_ref().is_none_or(|(found, _)| rank < *found) {
                best = Some((rank, Chosen { path, text }));
            }
            if rank == (false, false) {
                break;
            }
        }
        best.map(|(_, chosen)| chosen)
    }

    fn changed(&self, path: &str) -> bool {
        self.changed.contains(path.as_bytes())
    }

    /// Go runs one process per directory, and Go tests do not import what they test.
    fn beside_change(&self, path: &str) -> bool {
        let directory = split(path).0;
        path.ends_with("_test.go")
            && self.hints.changed.iter().any(|changed| {
                std::str::from_utf8(changed)
                    .is_ok_and(|changed| changed.ends_with(".go") && split(changed).0 == directory)
            })
    }

    /// Returns the words by which a test would name the changed sources.
    fn changed_words(&self) -> Vec<String> {
        let paths = self
            .hints
            .changed
            .iter()
            .filter_map(|path| std::str::from_utf8(path).ok());
        let sources = paths.filter(|path| !super::super::integrity::is_verification_path(path.as_bytes()));
        let mut words: Vec<String> = sources
            .filter_map(|path| {
                let (directory, name) = split(path);
                let stem = name.split('.').next().unwrap_or(name);
                let generic = matches!(stem, "lib" | "main" | "mod" | "index" | "__init__");
                let word = if generic {
                    directory.rsplit('/').find(|part| !matches!(*part, "src" | ""))
                } else {
                    Some(stem)
                };
                word.filter(|word| word.len() > 1).map(str::to_owned)
            })
            .collect();
        words.sort();
        words.dedup();
        words.truncate(MAX_WORDS);
        words
    }
}

/// Builds a set of repository globs; a pattern that does not parse matches nothing.
pub(super) fn globs<S: AsRef<str>>(patterns: &[S]) -> GlobSet {
    let mut builder = GlobSetBuilder::new();
    for pattern in patterns.iter().take(MAX_PATTERNS) {
        let text = pattern.as_ref();
        let whole = if let Some(directory) = text.strip_suffix('/') {
            format!("{directory}/**")
        } else {
            text.to_owned()
        };
        if let Ok(glob) = GlobBuilder::new(&whole).literal_separator(true).build() {
            builder.add(glob);
        }
    }
    builder.build().unwrap_or_default()
}

/// Returns a refusal.
pub(super) fn refuse<T>(reason: impl Into<String>) -> Result<T, NoCanary> {
    Err(NoCanary { reason: reason.into() })
}

/// Splits a path into its directory, empty at the root, and its name.
pub(super) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// Joins a directory and a name.
pub(super) fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() {
        name.to_owned()
    } else {
        format!("{directory}/{name}")
    }
}

/// Returns a directory and its parents up to the root.
pub(super) fn ancestors(directory: &str) -> impl Iterator<Item = String> {
    let mut next = Some(directory.to_owned());
    std::iter::from_fn(move || {
        let current = next.take()?;
        if !current.is_empty() {
            next = Some(split(&current).0.to_owned());
        }
        Some(current)
    })
}

/// Resolves an argument against a directory; `None` when it leaves the tree.
pub(super) fn resolve(directory: &str, argument: &str) -> Option<String> {
    let (base, rest) = match argument.strip_prefix('/') {
        Some(absolute) => (
            "",
            absolute
                .strip_prefix("workspace")
                .filter(|r| r.is_empty() || r.starts_with('/'))?,
        ),
        None => (directory, argument),
    };
    let mut parts: Vec<&str> = base.split('/').filter(|part| !part.is_empty()).collect();
    for part in rest.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Returns whether a path is a directory or below it.
pub(super) fn within(path: &str, directory: &str) -> bool {
    directory.is_empty() || path == directory || path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

fn mentions(text: &str, word: &str) -> bool {
    let boundary = |c: Option<char>| !c.is_some_and(|c| c.is_alphanumeric());
    text.match_indices(word)
        .any(|(at, _)| boundary(text[..at].chars().next_back()) && boundary(text[at + word.len()..].chars().next()))
}
