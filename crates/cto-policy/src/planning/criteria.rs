//! Acceptance criteria of PRDs, and the issues that name them.

use cto_schema::PlanRules;

use super::page::{BlockKind, Page};
use super::structure::is_heading;

/// An acceptance criterion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Criterion {
    /// `AC-1`; none where it has only its text.
    pub(crate) id: Option<String>,
    /// Its text in lower case, without the id.
    pub(crate) text: String,
    pub(crate) line: u32,
}

/// Returns the criteria of a PRD: the list items, or the rows, below its heading.
pub(crate) fn read_criteria(page: &Page, plan: &PlanRules) -> Vec<Criterion> {
    let heading = page
        .blocks
        .iter()
        .position(|block| block.level().is_some() && is_heading(&block.text, &plan.criteria_heading));
    let Some(heading) = heading else { return vec![] };
    let blocks = &page.blocks[page.section(heading)];
    blocks
        .iter()
        .filter_map(|block| {
            let text = match block.kind {
                BlockKind::Item(_) => block.text.clone(),
                BlockKind::Cell { table, row, column: 0 } if row > 0 => page.tables[table].rows[row].cells.join(" "),
                BlockKind::Cell { .. } | BlockKind::Heading(_) | BlockKind::Paragraph | BlockKind::Code => return None,
            };
            let one_line = text.split_whitespace().collect::<Vec<_>>().join(" ");
            let id = ids_of(&one_line, &plan.criterion_prefix)
                .into_iter()
                .next()
                .filter(|id| one_line.starts_with(id.as_str()));
            let rest = id.as_ref().map_or(one_line.as_str(), |id| &one_line[id.len()..]);
            let text = rest.trim_start_matches([':', '.', ')', '-', '–', ' ']).to_lowercase();
            Some(Criterion {
                id,
                text: text.trim_end_matches('.').to_owned(),
                line: block.line(),
            })
        })
        .collect()
}

/// Returns the ids of criteria in a text, in order: the prefix and digits, with no letter or digit around them.
pub(crate) fn ids_of(text: &str, prefix: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices(prefix) {
        let before = text[..at].chars().next_back();
        let rest = &text[at + prefix.len()..];
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let after = rest[digits..].chars().next();
        let apart = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && c != '_');
        if digits > 0 && apart(before) && apart(after) {
            found.push(format!("{prefix}{}", &rest[..digits]));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::markdown::read_page;
    use super::*;

    #[test]
    fn criteria_are_items_or_rows_with_or_without_an_id() {
        let plan = cto_schema::WorkspaceRules::built_in().unwrap().plan;
        let page = read_page(
            "## Acceptance Criteria\n\n- [ ] AC-1: It works.\n- It is\n  fast\n\n| Id | What |\n|---|---|\n| AC-3 | Rows count |\n\n## Validation\n\n- no\n",
        );
        let found: Vec<(Option<String>, String, u32)> = read_criteria(&page, &plan)
            .into_iter()
            .map(|c| (c.id, c.text, c.line))
            .collect();
        let id = |id: &str| Some(id.to_owned());
        assert_eq!(
            found,
            [
                (id("AC-1"), "it works".to_owned(), 3),
                (None, "it is fast".to_owned(), 4),
                (id("AC-3"), "rows count".to_owned(), 9),
            ]
        );
        assert_eq!(ids_of("(AC-1), AC-22. XAC-3 AC-4x AC-", "AC-"), ["AC-1", "AC-22"]);
    }
}
