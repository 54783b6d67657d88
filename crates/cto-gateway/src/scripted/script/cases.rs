//! The embedded cases and how each is solved: by the reference edit that its own document holds.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use super::{Turn, Write};
use crate::scripted::tools;

macro_rules! documents {
    ($($id:literal),+ $(,)?) => {
        &[$(include_str!(concat!("../../../../../cases/", $id, "/case.yaml"))),+]
    };
}

const DOCUMENTS: &[&str] = documents![
    "r1-string-slugify",
    "r1-src-string-slugify",
    "r1-slugify-punctuation",
    "r1-rust-slugify",
    "r1-node-slugify",
    "r1-go-slugify",
];

/// What is needed of a case; the whole document is the runner's to read.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Solution {
    pub(super) case_id: String,
    pub(super) title: String,
    pub(super) task: String,
    pub(super) language: String,
    pub(super) reference_edit: BTreeMap<String, String>,
}

static SOLUTIONS: LazyLock<Vec<Solution>> = LazyLock::new(|| {
    // A document that did not parse would be missing here, and a test says so.
    DOCUMENTS
        .iter()
        .filter_map(|text| serde_saphyr::from_str(text).ok())
        .collect()
});

/// Returns the solutions of all embedded cases.
pub(super) fn solutions() -> &'static [Solution] {
    &SOLUTIONS
}

/// Returns the case that one of the texts speaks of: by its id, its title or its task, else by the files that it names.
pub(super) fn find(texts: &[&str]) -> Option<&'static Solution> {
    let texts: Vec<String> = texts.iter().map(|text| flat(text)).collect();
    let spoken_of = texts.iter().find_map(|text| {
        solutions().iter().find(|solution| {
            [&solution.case_id, &solution.title, &solution.task]
                .into_iter()
                .any(|mark| text.contains(&flat(mark)))
        })
    });
    spoken_of.or_else(|| texts.iter().find_map(|text| by_files(text)))
}

/// Returns the case all of whose files are named; of several the one with most to change.
fn by_files(text: &str) -> Option<&'static Solution> {
    let in_path = |letter: char| letter.is_ascii_alphanumeric() || "/._-".contains(letter);
    let words: Vec<&str> = text
        .split(|letter| !in_path(letter))
        .map(|word| word.trim_end_matches('.'))
        .collect();
    let named = solutions().iter().filter(|solution| {
        text.contains("lugify")
            && solution
                .reference_edit
                .keys()
                .all(|path| words.contains(&path.as_str()))
    });
    named.max_by_key(|solution| solution.reference_edit.len())
}

impl Solution {
    /// Looks first, then writes all files with one command and tries them.
    pub(super) fn by_shell(&self) -> Vec<Turn> {
        let files: Vec<(&str, &str)> = self
            .reference_edit
            .iter()
            .map(|(path, content)| (path.as_str(), content.as_str()))
            .collect();
        let write = tools::heredoc(&files);
        let attempt = self.attempt();
        vec![self.look(), Turn::shell(None, format!("{write}{attempt}"))]
    }

    /// Looks first, then writes each file with the agent's own tool.
    pub(super) fn by_files(&self) -> Vec<Turn> {
        let writes = self.reference_edit.iter().map(|(path, content)| Turn {
            write: Some(Write {
                path: path.clone(),
                content: content.clone(),
            }),
            ..Turn::default()
        });
        std::iter::once(self.look()).chain(writes).collect()
    }

    /// Returns the files that are changed.
    pub(super) fn files(&self) -> Vec<&str> {
        self.reference_edit.keys().map(String::as_str).collect()
    }

    fn look(&self) -> Turn {
        let files: Vec<String> = self.reference_edit.keys().map(|path| tools::quoted(path)).collect();
        Turn::shell(
            Some("I will look at the code first."),
            format!("ls; cat {}", files.join(" ")),
        )
    }

    /// Returns a command that tries the change and leaves no file behind.
    fn attempt(&self) -> &'static str {
        match self.language.as_str() {
            "python" => "PYTHONDONTWRITEBYTECODE=1 python3 -m unittest -q 2>&1 | tail -3",
            "go" => "go test ./... 2>&1 | tail -3",
            _ => "ls",
        }
    }
}

/// Returns text with every run of whitespace as one blank: prompts are wrapped and indented on their way.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
