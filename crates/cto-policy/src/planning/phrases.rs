//! Phrases that a class of documents must hold, and must not.

use cto_schema::{DocumentClass, RuleId};

use super::notes::{Notes, shown};
use super::page::{BlockKind, FrontMatter, Page};

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
        for block in prose.clone().filter(|block| !block.quoted) {
            if one_line(&block.text).to_lowercase().contains(&wanted) {
                let last = block.text.split('\n').count().saturating_sub(1);
                let at = (0..=last)
                    .rev()
                    .map(|skip| block.text.split('\n').skip(skip).collect::<Vec<_>>().join(" "))
                    .position(|rest| one_line(&rest).to_lowercase().contains(&wanted));
                let line = at.and_then(|from_end| block.lines().nth(last - from_end));
                lines.push(line.map_or_else(|| block.line(), |(_, line)| line));
            }
        }
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

/// One space between words: a phrase may be broken over lines.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
