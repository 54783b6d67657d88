//! A patch as lines for people: escaped, marked, and cut with the cut stated.

use cto_schema::escape;

/// Most files shown.
const FILES: usize = 500;
/// Most lines shown, of all files together.
const LINES: usize = 5_000;
/// Most bytes shown of one line.
const LINE_BYTES: usize = 1_000;

/// One file of a patch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiffFile {
    /// The header's paths, escaped.
    pub title: String,
    /// Its lines.
    pub lines: Vec<DiffLine>,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiffLine {
    /// `add`, `del`, `hunk`, `meta` or `same`: the class of its style.
    pub class: &'static str,
    /// What a screen reader says before it.
    pub word: &'static str,
    /// The line with its sign, escaped.
    pub text: String,
}

/// Returns the files of a patch and what was cut, in words; empty when nothing was.
pub fn diff(patch: &[u8]) -> (Vec<DiffFile>, String) {
    let mut files: Vec<DiffFile> = Vec::new();
    let (mut shown, mut all_files, mut all_lines) = (0, 0, 0);
    // Inside a hunk a line is what its header counts, whatever it looks like.
    let (mut old_left, mut new_left) = (0_u64, 0_u64);
    for line in patch.split(|b| *b == b'\n') {
        let in_hunk = old_left > 0 || new_left > 0;
        if !in_hunk && let Some(names) = line.strip_prefix(b"diff --git ") {
            all_files += 1;
            if files.len() < FILES && shown < LINES {
                files.push(DiffFile {
                    title: escape(names, LINE_BYTES),
                    lines: Vec::new(),
                });
            }
            continue;
        }
        all_lines += 1;
        let (class, word) = match (in_hunk, line.first()) {
            (true, Some(b'+')) => ("add", "added"),
            (true, Some(b'-')) => ("del", "removed"),
            (true, _) => ("same", ""),
            (false, Some(b'@')) => ("hunk", ""),
            (false, _) => ("meta", ""),
        };
        if in_hunk {
            old_left -= u64::from(class != "add" && old_left > 0 && line.first() != Some(&b'\\'));
            new_left -= u64::from(class != "del" && new_left > 0 && line.first() != Some(&b'\\'));
        } else if class == "hunk" {
            (old_left, new_left) = counts(line);
        }
        let Some(file) = files.last_mut().filter(|_| all_files <= FILES && shown < LINES) else {
            continue;
        };
        shown += 1;
        file.lines.push(DiffLine {
            class,
            word,
            text: line_text(line),
        });
    }
    // The piece after the last newline is no line.
    if patch.ends_with(b"\n") {
        all_lines -= 1;
        if let Some(last) = files
            .last_mut()
            .filter(|file| file.lines.last().is_some_and(|l| l.text.is_empty()))
        {
            last.lines.pop();
            shown -= 1;
        }
    }
    let cut = if files.len() < all_files || shown < all_lines {
        format!(
            "Shown are {shown} of {all_lines} lines in {} of {all_files} files; patch.diff has all of them.",
            files.len()
        )
    } else {
        String::new()
    };
    (files, cut)
}

/// Escapes one line of output; a tab becomes blanks, because the page may hold no control character.
pub fn line_text(line: &[u8]) -> String {
    let parts: Vec<String> = line
        .split(|b| *b == b'\t')
        .take(200)
        .map(|part| escape(part, LINE_BYTES))
        .collect();
    let mut text = parts.join("    ");
    if text.len() > 4 * LINE_BYTES {
        let end = text.floor_char_boundary(4 * LINE_BYTES);
        text.truncate(end);
        text.push('…');
    }
    text
}

fn counts(line: &[u8]) -> (u64, u64) {
    let text = String::from_utf8_lossy(line);
    let mut words = text.split(' ').skip(1);
    let mut count = || {
        let range = words.next().unwrap_or_default();
        range.split_once(',').map_or(1, |(_, count)| count.parse().unwrap_or(0))
    };
    let old = count();
    (old, count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_in_a_hunk_is_content_whatever_it_looks_like() {
        let patch =
            b"diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1,2 @@\n-diff --git a/y b/y\n+@@ -1 +1 @@\n+\tz\x1b\n";
        let (files, cut) = diff(patch);
        assert_eq!((files.len(), cut.as_str()), (1, ""));
        let classes: Vec<&str> = files[0].lines.iter().map(|line| line.class).collect();
        assert_eq!(classes, ["meta", "meta", "hunk", "del", "add", "add"]);
        assert_eq!(files[0].lines[5].text, "+    z\\u{1b}");
    }

    #[test]
    fn a_long_patch_is_cut_and_says_so() {
        let mut patch = b"diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -0,0 +1,9000 @@\n".to_vec();
        patch.extend("+y\n".repeat(9000).bytes());
        let (files, cut) = diff(&patch);
        assert_eq!(files[0].lines.len(), LINES);
        assert!(cut.contains("5000 of 9003 lines"), "{cut}");
    }
}
