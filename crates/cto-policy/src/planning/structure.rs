//! Required headings, complete tables, defined terms, and text that the rules cannot read.

use cto_schema::{DocumentClass, RuleId};

use super::notes::{Notes, shown};
use super::page::{BlockKind, Page, plain};

/// Returns a heading without its number, for comparing.
pub(crate) fn heading_name(text: &str) -> String {
    let text = text.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '.' | ')'));
    plain(text).replace('-', " ")
}

/// Whether a heading is the required one: the same words, or these words and more.
pub(crate) fn is_heading(text: &str, wanted: &str) -> bool {
    let (name, wanted) = (heading_name(text), heading_name(wanted));
    name.strip_prefix(&wanted)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', ':']))
}

/// Checks the headings that a class requires.
pub(crate) fn check_headings(page: &Page, class: &DocumentClass, notes: &mut Notes) {
    for wanted in &class.headings {
        let hits: Vec<usize> = page
            .blocks
            .iter()
            .enumerate()
            .filter(|(_, block)| block.level().is_some() && !block.quoted)
            // `Scope` is not `Scope exclusions` where both are required names of their own.
            .filter(|(_, block)| best(&block.text, &class.headings) == Some(wanted))
            .map(|(index, _)| index)
            .collect();
        let Some(first) = hits.first() else {
            notes.add(
                RuleId::HeadingMissing,
                0,
                format!("a {} needs the heading '{wanted}'", class.name),
                format!("add '## {wanted}' and write below it"),
            );
            continue;
        };
        if !page.section(*first).any(|index| has_text(page, index)) {
            let block = &page.blocks[*first];
            notes.add(
                RuleId::SectionEmpty,
                block.line(),
                format!("nothing stands below the heading '{}'", shown(&block.text)),
                "write what belongs there, or why nothing does",
            );
        }
        for again in &hits[1..] {
            let block = &page.blocks[*again];
            notes.add(
                RuleId::HeadingRepeated,
                block.line(),
                format!(
                    "the heading '{wanted}' stands on line {} already",
                    page.blocks[*first].line()
                ),
                "put both parts below one heading",
            );
        }
    }
}

/// The required heading that fits best: the longest.
fn best<'a>(text: &str, all: &'a [String]) -> Option<&'a String> {
    all.iter()
        .filter(|wanted| is_heading(text, wanted))
        .max_by_key(|wanted| wanted.len())
}

fn has_text(page: &Page, index: usize) -> bool {
    let block = &page.blocks[index];
    block.level().is_none() && !block.text.trim().is_empty()
}

/// Checks that every table is finished.
pub(crate) fn check_tables(page: &Page, notes: &mut Notes) {
    let cells = |count: usize| {
        if count == 1 {
            "1 cell".to_owned()
        } else {
            format!("{count} cells")
        }
    };
    for table in &page.tables {
        let Some((header, rows)) = table.rows.split_first() else {
            continue;
        };
        if rows.is_empty() {
            notes.add(
                RuleId::TableIncomplete,
                header.line,
                "the table has a header and no row",
                "add a row, or say in a sentence that there is none",
            );
        }
        for row in rows {
            if row.written != header.written {
                notes.add(
                    RuleId::TableIncomplete,
                    row.line,
                    format!(
                        "the row has {}, and the header has {}",
                        cells(row.written),
                        cells(header.written)
                    ),
                    "write one cell for each column; a bar inside a cell is written '\\|'",
                );
            } else if row.cells.iter().all(|cell| cell.trim().is_empty()) {
                notes.add(
                    RuleId::TableIncomplete,
                    row.line,
                    "every cell of the row is empty",
                    "fill the row in, or remove it",
                );
            }
        }
    }
    for line in &page.broken_tables {
        notes.add(
            RuleId::TableIncomplete,
            *line,
            "these lines look like a table and are none",
            "below the header write a line of dashes with one part for each column: '|---|---|'",
        );
    }
}

/// Checks that nothing hides in raw HTML.
pub(crate) fn check_html(page: &Page, notes: &mut Notes) {
    for line in &page.html {
        notes.add(
            RuleId::RawHtml,
            *line,
            "the rules do not read raw HTML",
            "write it in Markdown",
        );
    }
}

/// Checks that a glossary defines its terms.
pub(crate) fn check_terms(page: &Page, class: &DocumentClass, notes: &mut Notes) {
    for term in &class.terms {
        if !defines(page, term) {
            notes.add(
                RuleId::ContextTerm,
                0,
                format!("the term '{term}' is not defined"),
                format!("add a heading '## {term}' and below it what it means, or an entry '**{term}**: …'"),
            );
        }
    }
}

fn defines(page: &Page, term: &str) -> bool {
    let wanted = plain(term);
    page.blocks.iter().enumerate().any(|(index, block)| {
        let text = plain(&block.text);
        match block.kind {
            BlockKind::Heading(_) => text == wanted && page.section(index).any(|inside| has_text(page, inside)),
            BlockKind::Cell { table, row, column: 0 } if row > 0 => {
                let cells = page.tables.get(table).and_then(|table| table.rows.get(row));
                text == wanted && cells.is_some_and(|row| row.cells[1..].iter().any(|cell| !cell.trim().is_empty()))
            }
            BlockKind::Paragraph | BlockKind::Item(_) => text
                .strip_prefix(&wanted)
                .map(|rest| rest.trim_start_matches([':', '-', '–', '—', ' ', '\n']))
                .is_some_and(|rest| !rest.is_empty()),
            BlockKind::Cell { .. } | BlockKind::Code => false,
        }
    })
}
