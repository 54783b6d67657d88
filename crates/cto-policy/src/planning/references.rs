//! References of documents: paths, anchors and commits, normalised so that the world can be asked about them.

use std::collections::{BTreeMap, BTreeSet};

use cto_schema::RuleId;

use super::notes::{Notes, shown};
use super::page::{Block, BlockKind, Page, plain};

/// A reference to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileReference {
    /// As it was written.
    pub(crate) written: String,
    /// Paths relative to the workspace, of which one must exist; one may start with `../`.
    pub(crate) candidates: Vec<String>,
    /// The heading that is meant.
    pub(crate) anchor: Option<String>,
    pub(crate) line: u32,
}

/// A reference to a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommitReference {
    pub(crate) id: String,
    pub(crate) line: u32,
}

/// Returns the references of a page's links.
pub(crate) fn linked(page: &Page, path: &str, notes: &mut Notes) -> Vec<FileReference> {
    page.links
        .iter()
        .filter_map(|link| resolve(&link.to, path, false, link.line, notes))
        .collect()
}

/// Resolves what a document at `path` refers to; `None` where that is no file.
pub(crate) fn resolve(
    written: &str,
    path: &str,
    also_from_root: bool,
    line: u32,
    notes: &mut Notes,
) -> Option<FileReference> {
    let written = written.trim();
    let (target, anchor) = match written.split_once('#') {
        Some((target, anchor)) => (target, Some(decoded(anchor))),
        None => (written, None),
    };
    let target = target.split('?').next().unwrap_or(target);
    if has_scheme(target) || (target.is_empty() && anchor.is_none()) {
        return None;
    }
    let target = decoded(target);
    if target.starts_with('/') || target.starts_with('~') || target.contains('\\') {
        notes.add(
            RuleId::ReferenceAbsolute,
            line,
            format!("'{}' holds on one machine only", shown(written)),
            "write the path relative to this document, with slashes",
        );
        return None;
    }
    let directory = path.rsplit_once('/').map_or("", |(directory, _)| directory);
    let mut candidates = if target.is_empty() {
        vec![path.to_owned()]
    } else {
        vec![joined(directory, &target)]
    };
    if also_from_root {
        candidates.push(joined("", &target));
        candidates.dedup();
    }
    Some(FileReference {
        written: written.to_owned(),
        candidates,
        anchor: anchor.filter(|anchor| !anchor.is_empty()),
        line,
    })
}

/// Whether a text in a field is a path and not prose or an address.
pub(crate) fn is_path(text: &str) -> bool {
    let extension = text.rsplit_once('.').map_or("", |(_, extension)| extension);
    let known = matches!(
        extension,
        "md" | "yaml" | "yml" | "json" | "jsonl" | "txt" | "html" | "diff" | "log" | "zst"
    );
    !text.is_empty() && !text.contains(char::is_whitespace) && !has_scheme(text) && (known || text.contains('/'))
}

fn has_scheme(text: &str) -> bool {
    let scheme = text.split_once(':').map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| {
        scheme.len() > 1
            && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+.-".contains(&b))
    })
}

fn decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let hex = bytes
            .get(at + 1..at + 3)
            .filter(|_| *byte == b'%')
            .and_then(|pair| std::str::from_utf8(pair).ok())
            .and_then(|pair| u8::from_str_radix(pair, 16).ok());
        out.push(hex.unwrap_or(*byte));
        at += if hex.is_some() { 3 } else { 1 };
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

/// Joins and normalises; what leaves the workspace keeps its leading `..`.
pub(crate) fn joined(directory: &str, target: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in directory.split('/').chain(target.split('/')) {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Returns the anchors of a page, as GitHub makes them.
pub(crate) fn anchors(page: &Page) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for block in page.blocks.iter().filter(|block| block.level().is_some()) {
        let slug: String = block
            .text
            .to_lowercase()
            .chars()
            .filter_map(|c| match c {
                ' ' | '\n' => Some('-'),
                c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
                _ => None,
            })
            .collect();
        // Counted, not tried one by one: a document may have one heading a hundred thousand times.
        let again = seen.entry(slug.clone()).or_insert(0_usize);
        let name = if *again == 0 { slug } else { format!("{slug}-{again}") };
        *again += 1;
        found.insert(name);
    }
    found
}

/// Returns the commits that a page names: after the word commit, or in a column of that name.
pub(crate) fn commits(page: &Page) -> Vec<CommitReference> {
    let mut found = Vec::new();
    for block in page
        .blocks
        .iter()
        .filter(|block| !block.quoted && block.kind != BlockKind::Code)
    {
        if let BlockKind::Cell { table, row, column } = block.kind {
            let header = page
                .tables
                .get(table)
                .and_then(|table| table.rows.first()?.cells.get(column));
            let named = header.is_some_and(|header| matches!(plain(header).as_str(), "commit" | "commits"));
            if row > 0 && named {
                let ids = words(&block.text).filter(|word| is_commit(word));
                found.extend(ids.map(|id| reference(id, block.line())));
                continue;
            }
        }
        found.extend(in_text(block));
    }
    found
}

fn in_text(block: &Block) -> Vec<CommitReference> {
    let mut found = Vec::new();
    for (text, line) in block
        .lines()
        .filter(|(text, _)| text.contains("ommit") || text.contains("OMMIT"))
    {
        let mut after = false;
        for word in words(text) {
            if is_commit(word) && after {
                found.push(reference(word, line));
            } else {
                // `commits a and b`, `commit id: a`, `commit hash a`.
                let bridge = after && matches!(word, "and" | "id" | "hash" | "sha" | "is" | "to" | "or");
                after = bridge || word.eq_ignore_ascii_case("commit") || word.eq_ignore_ascii_case("commits");
            }
        }
    }
    found
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
}

fn reference(id: &str, line: u32) -> CommitReference {
    CommitReference {
        id: id.to_owned(),
        line,
    }
}

/// 7 to 40, or 64, lower-case hex digits; a word such as `decaded` is none, for want of a digit.
fn is_commit(word: &str) -> bool {
    let hex = word.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let full = matches!(word.len(), 40 | 64);
    hex && (full || ((7..40).contains(&word.len()) && word.bytes().any(|b| b.is_ascii_digit())))
}

#[cfg(test)]
mod tests {
    use super::super::markdown::read_page;
    use super::*;

    #[test]
    fn paths_are_normalised_and_what_is_no_path_is_left_alone() {
        let to = |written: &str| {
            let mut notes = Notes::new("a/b.md");
            let found = resolve(written, "a/b.md", false, 1, &mut notes);
            (
                found.map(|found| (found.candidates[0].clone(), found.anchor)),
                notes.into_findings().len(),
            )
        };
        let some = |path: &str, anchor: Option<&str>| Some((path.to_owned(), anchor.map(str::to_owned)));
        assert_eq!(to("c.md"), (some("a/c.md", None), 0));
        assert_eq!(to("../x%20y.md#top"), (some("x y.md", Some("top")), 0));
        assert_eq!(to("../../x.md"), (some("../x.md", None), 0));
        assert_eq!(to("#here"), (some("a/b.md", Some("here")), 0));
        assert_eq!(to("./c.md?raw=1"), (some("a/c.md", None), 0));
        for other in ["https://example.org/x", "mailto:x@example.org", ""] {
            assert_eq!(to(other), (None, 0), "{other}");
        }
        for absolute in ["/etc/passwd", "~/x", "..\\x.md"] {
            assert_eq!(to(absolute), (None, 1), "{absolute}");
        }
    }

    #[test]
    fn commits_are_named_after_their_word_or_in_their_column() {
        let ids = |text: &str| {
            commits(&read_page(text))
                .into_iter()
                .map(|found| found.id)
                .collect::<Vec<_>>()
        };
        let full = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(ids(&format!("Commit: `{full}`\n")), [full]);
        assert_eq!(ids("See commits 1234567 and abcdef1.\n"), ["1234567", "abcdef1"]);
        assert_eq!(
            ids("| Commit | What |\n|---|---|\n| 12ab34c | 7654321 |\n"),
            ["12ab34c"]
        );
        for none in [
            "The digest 1234567 counts.\n",
            "We commit to decaded work.\n",
            "> commit 1234567\n",
            "```\ncommit 1234567\n```\n",
            "commit\n\n1234567\n",
        ] {
            assert_eq!(ids(none), Vec::<String>::new(), "{none}");
        }
    }

    #[test]
    fn anchors_are_those_of_github() {
        let found = anchors(&read_page("# What & why?\n## A_b c\n## A_b c\n"));
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["a_b-c", "a_b-c-1", "what--why"]);
    }
}
