//! Authority drift: sentences that plainly claim what no document here can give.
//!
//! Looked at sentence by sentence, in headings, paragraphs, list items and cells. Code blocks, block quotes, quotations,
//! struck text, and lists under a heading or a line that denies them are no claims.

mod claim;
#[cfg(test)]
mod tests;
mod tokens;
mod words;

use std::ops::Range;

use super::page::{Block, BlockKind, Page};
pub(crate) use claim::Drift;
use claim::denied;
use tokens::{QUOTED, Token, tokens};

/// A claim: its line and its sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Drifted {
    pub(crate) line: u32,
    pub(crate) sentence: String,
}

/// Returns every plain claim of authority in a document.
pub(crate) fn drifted(page: &Page, drift: &Drift) -> Vec<Drifted> {
    let mut found = Vec::new();
    let mut heading_denies = false;
    let mut list_denied = false;
    for block in &page.blocks {
        match block.kind {
            BlockKind::Heading(_) => {
                heading_denies = denied(&tokens(&block.text, &[]));
                list_denied = false;
            }
            BlockKind::Paragraph => list_denied = denies_what_follows(&block.text),
            BlockKind::Item(_) if block.text.trim_end().ends_with(':') => {
                list_denied = denies_what_follows(&block.text);
            }
            BlockKind::Item(_) | BlockKind::Cell { .. } | BlockKind::Code => {}
        }
        let listed = matches!(block.kind, BlockKind::Item(_) | BlockKind::Cell { .. });
        if block.quoted || block.kind == BlockKind::Code || (listed && (heading_denies || list_denied)) {
            continue;
        }
        if let BlockKind::Cell { table, row, column } = block.kind {
            if row > 0 && denied_column(page, table, column) {
                continue;
            }
            if let Some(pair) = row_as_pair(page, table, row, column) {
                sentences(&pair, &[], block, drift, &mut found);
                continue;
            }
        }
        let (text, code) = without_quotations(block);
        sentences(&text, &code, block, drift, &mut found);
    }
    found
}

/// `This document does not say that:` before a list.
fn denies_what_follows(text: &str) -> bool {
    let text = text.trim_end();
    text.ends_with(':') && denied(&tokens(text.rsplit(['.', '!', '?']).next().unwrap_or(text), &[]))
}

/// A column whose header denies what it lists.
fn denied_column(page: &Page, table: usize, column: usize) -> bool {
    let header = page.tables.get(table).and_then(|table| table.rows.first());
    let text = header.and_then(|row| row.cells.get(column));
    text.is_some_and(|text| denied(&tokens(text, &[])))
}

/// A row of two cells says `first: second`; it is read once, at its first cell.
fn row_as_pair(page: &Page, table: usize, row: usize, column: usize) -> Option<String> {
    let cells = &page.tables.get(table)?.rows.get(row)?.cells;
    match (cells.as_slice(), column) {
        ([first, second], 0) => Some(format!("{first}: {second}")),
        ([_, _], _) => Some(String::new()),
        _ => None,
    }
}

fn sentences(text: &str, code: &[Range<usize>], block: &Block, drift: &Drift, found: &mut Vec<Drifted>) {
    let all = tokens(text, code);
    let mut start = 0;
    for end in 0..=all.len() {
        let parted = end == all.len() || ends_sentence(&all, end, text);
        if !parted {
            continue;
        }
        let sentence = &all[start..(end + 1).min(all.len())];
        if let Some(at) = drift.claim(sentence) {
            let from = sentence.first().map_or(0, |token| token.at);
            let to = all.get(end).map_or(text.len(), |token| token.at);
            found.push(Drifted {
                line: block.line_at(at),
                sentence: text[from..to].split_whitespace().collect::<Vec<_>>().join(" "),
            });
        }
        start = end + 1;
    }
}

/// A full stop before a space, or a sign that ends a sentence anywhere.
fn ends_sentence(all: &[Token], at: usize, text: &str) -> bool {
    let Some(token) = all.get(at) else { return true };
    let next = text[token.at..].chars().nth(1);
    match token.word.as_str() {
        "." => next.is_none_or(char::is_whitespace),
        "!" | "?" | ";" => true,
        _ => false,
    }
}

/// Replaces what is quoted, struck, or code of several words by a sign of the same length in bytes, so that offsets hold.
fn without_quotations(block: &Block) -> (String, Vec<Range<usize>>) {
    let mut gone: Vec<Range<usize>> = block.struck.clone();
    let several = |range: &Range<usize>| block.text[range.clone()].split_whitespace().count() > 1;
    gone.extend(
        block
            .code
            .iter()
            .filter(|range| several(range) && !is_setting(&block.text[(*range).clone()]))
            .cloned(),
    );
    gone.extend(quotations(&block.text));
    let mut text = block.text.clone().into_bytes();
    for range in gone {
        for byte in &mut text[range.clone()] {
            *byte = b' ';
        }
        // The sign takes three bytes; shorter ranges are one word at most and stay blank.
        if range.len() >= QUOTED.len() {
            text[range.start..range.start + QUOTED.len()].copy_from_slice(QUOTED.as_bytes());
        }
    }
    let code = block.code.clone();
    (String::from_utf8(text).unwrap_or_default(), code)
}

/// `runtime_default_activation: true` in code is what it says, unless its sentence denies it.
fn is_setting(code: &str) -> bool {
    code.split_once(':')
        .is_some_and(|(name, _)| !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
}

/// Returns quotations of several words.
fn quotations(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut open: Option<(usize, char)> = None;
    let mut before = ' ';
    let mut signs = text.char_indices().peekable();
    while let Some((at, c)) = signs.next() {
        let after = signs.peek().map_or(' ', |(_, next)| *next);
        match open {
            None => {
                let close = match c {
                    '"' => Some('"'),
                    '“' | '„' => Some('”'),
                    '«' => Some('»'),
                    '‘' => Some('’'),
                    '\'' if !before.is_alphanumeric() && after.is_alphanumeric() => Some('\''),
                    _ => None,
                };
                open = close.map(|close| (at, close));
            }
            Some((start, close)) => {
                let closes = c == close || (close == '”' && c == '“' && at > start);
                if closes && !(matches!(c, '\'' | '’') && after.is_alphanumeric()) {
                    let range = start..at + c.len_utf8();
                    if text[range.clone()].split_whitespace().count() > 1 {
                        found.push(range);
                    }
                    open = None;
                }
            }
        }
        before = c;
    }
    found
}

/// Whether words deny what follows them, or make it a wish or a condition.
pub(crate) fn is_hypothetical(text: &str) -> bool {
    let last = text.rsplit(['.', '!', ';']).next().unwrap_or(text);
    denied(&tokens(last, &[]))
}
