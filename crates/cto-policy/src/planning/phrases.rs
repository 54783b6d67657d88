//! Phrases that a class of documents must hold, and must not.

use cto_schema::{DocumentClass, RuleId};

use super::notes::{Notes, shown};
use super::page::{Block, BlockKind, FrontMatter, Page};

/// Checks required phrases (the notice among them) and forbidden ones.
pub(crate) fn check_phrases(page: &Page, class: &DocumentClass, notice: &str, notes: &mut Notes) {
    let prose = page.blocks.iter().filter(|block| block.kind != BlockKind::Code);
    let whole: Vec<String> = prose.clone().map(|block| one_line(&block.text)).collect();
    let whole = whole.join(" ");
    let notice = Some(notice).filter(|notice| class.front_matter && !notice.is_empty());
    let required = class.required_phrases.iter().map(String::as_str).chain(notice);
    for phrase in required {
        if !whole.contains(&one_line(phrase)) {
            notes.add(
                RuleId::PhraseMissing,
                0,
                format!("a {} must say: {}", class.name, shown(phrase)),
                "add the sentence, to the letter, in the text (not in a code block)",
            );
        }
    }
    let low: Vec<(&Block, String)> = if class.forbidden_phrases.is_empty() {
        vec![]
    } else {
        let unquoted = prose.filter(|block| !block.quoted);
        unquoted
            .map(|block| (block, one_line(&block.text).to_lowercase()))
            .collect()
    };
    for phrase in &class.forbidden_phrases {
        let wanted = one_line(phrase).to_lowercase();
        let mut lines: Vec<u32> = Vec::new();
        if let FrontMatter::Fields(fields) = &page.front {
            let says = |name: &str, value: &str| one_line(&format!("{name}: {value}")).to_lowercase().contains(&wanted);
            let hits = fields
                .iter()
                .filter(|(name, node)| node.text().is_some_and(|value| says(name, value)));
            lines.extend(hits.map(|(_, node)| node.line));
        }
        let hits = low.iter().filter(|(_, text)| text.contains(&wanted));
        lines.extend(hits.map(|(block, _)| line_of(block, &wanted)));
        for line in lines {
            notes.add(
                RuleId::PhraseForbidden,
                line,
                format!("a {} must not say: {}", class.name, shown(phrase)),
                "remove it; to speak about the phrase itself, put it in a block quote or a code block",
            );
        }
    }
}

/// Returns the last line on which a window of as many lines as the phrase has words holds it, of the first such run.
fn line_of(block: &Block, wanted: &str) -> u32 {
    let all: Vec<(&str, u32)> = block.lines().collect();
    let most = wanted.split(' ').count();
    let holds = |at: &usize| {
        let window: Vec<&str> = all[*at..all.len().min(at + most)]
            .iter()
            .map(|(text, _)| *text)
            .collect();
        one_line(&window.join(" ")).to_lowercase().contains(wanted)
    };
    let first = (0..all.len()).find(holds);
    let last = first.and_then(|first| (first..all.len()).take_while(holds).last());
    last.and_then(|at| all.get(at))
        .map_or_else(|| block.line(), |(_, line)| *line)
}

/// One space between words: a phrase may be broken over lines.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
