//! Issues: sections that start with an id of the workboard, and their fields.

use cto_schema::{DocumentClass, RuleId, WorkspaceRules};

use super::notes::{Notes, shown, suggestion};
use super::page::{Block, BlockKind, Page, plain};
use super::workboard::is_nothing;

/// An issue of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Issue {
    pub(crate) id: String,
    pub(crate) line: u32,
    pub(crate) fields: Vec<IssueField>,
    /// Everything below its heading, as one line in lower case.
    pub(crate) text: String,
}

/// A field of an issue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IssueField {
    /// The name as the rules write it.
    pub(crate) name: String,
    pub(crate) line: u32,
    pub(crate) value: String,
    /// Boxes: whether ticked, line, text.
    pub(crate) boxes: Vec<(bool, u32, String)>,
}

impl Issue {
    /// Returns a field by its name, if the issue has it.
    pub(crate) fn field(&self, name: &str) -> Option<&IssueField> {
        let wanted = plain(name);
        self.fields.iter().find(|field| plain(&field.name) == wanted)
    }

    /// Returns the first word of a field.
    pub(crate) fn word(&self, name: &str) -> Option<(&str, u32)> {
        let field = self.field(name)?;
        let first = field.value.lines().find(|line| !line.trim().is_empty())?;
        let word = first
            .split(|c: char| c.is_whitespace() || matches!(c, ',' | '(' | ';'))
            .find(|word| !word.is_empty())?;
        Some((word.trim_end_matches('.'), field.line))
    }
}

/// Returns the id in a heading: `CTO-WORK-001 - Title`, `CTO-WORK-001: Title`, also after `Issue:`.
pub(crate) fn heading_id(text: &str, prefix: &str) -> Option<String> {
    let text = text.trim();
    let after_word = text.get(..6).filter(|head| head.eq_ignore_ascii_case("issue:"));
    let text = after_word.map_or(text, |_| text[6..].trim_start());
    let rest = text.strip_prefix(prefix)?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let after = rest[digits..].trim_start();
    let ends = after.is_empty() || after.starts_with(['-', '–', '—', ':']);
    (digits > 0 && ends).then(|| format!("{prefix}{}", &rest[..digits]))
}

/// Reads the issues of a document.
pub(crate) fn read_issues(page: &Page, class: &DocumentClass, rules: &WorkspaceRules) -> Vec<Issue> {
    let prefix = &rules.workboard.id_prefix;
    let mut issues = Vec::new();
    for (index, block) in page.blocks.iter().enumerate() {
        let id = block
            .level()
            .filter(|_| !block.quoted)
            .and_then(|_| heading_id(&block.text, prefix));
        let Some(id) = id else { continue };
        let level = block.level().unwrap_or(0);
        // Fields may be headings of the issue's own level; an issue within an issue is its own.
        let ends = |inner: &Block| {
            inner.level().is_some_and(|other| {
                heading_id(&inner.text, prefix).is_some() || (other <= level && named(&inner.text, class).is_none())
            })
        };
        let start = index + 1;
        let end = page.blocks[start..]
            .iter()
            .position(ends)
            .map_or(page.blocks.len(), |next| start + next);
        let blocks = &page.blocks[start..end];
        let text: Vec<&str> = blocks.iter().flat_map(|block| block.text.split_whitespace()).collect();
        issues.push(Issue {
            id,
            line: block.line(),
            fields: read_fields(page, blocks, class),
            text: text.join(" ").to_lowercase(),
        });
    }
    issues
}

fn read_fields(page: &Page, blocks: &[Block], class: &DocumentClass) -> Vec<IssueField> {
    let mut fields: Vec<IssueField> = Vec::new();
    let mut open = false;
    for block in blocks {
        if block.level().is_some() {
            open = false;
            if let Some(name) = named(&block.text, class) {
                fields.push(start(name, block.line()));
                open = true;
            }
            continue;
        }
        let mut first = true;
        for (text, line) in block.lines() {
            let cell_name = cell_field(page, block, class);
            let labelled =
                label(text, class).filter(|_| !matches!(block.kind, BlockKind::Cell { .. } | BlockKind::Code));
            if let Some(name) = cell_name {
                fields.push(start(name, line));
                open = true;
            } else if let Some((name, value)) = labelled {
                let mut field = start(name, line);
                value.trim().clone_into(&mut field.value);
                fields.push(field);
                open = true;
            } else if open && let Some(field) = fields.last_mut() {
                if let (BlockKind::Item(Some(ticked)), true) = (block.kind, first) {
                    field.boxes.push((ticked, line, text.to_owned()));
                }
                if !field.value.is_empty() {
                    field.value.push('\n');
                }
                field.value.push_str(text.trim());
            }
            first = false;
        }
    }
    fields
}

fn start(name: &str, line: u32) -> IssueField {
    IssueField {
        name: name.to_owned(),
        line,
        value: String::new(),
        boxes: vec![],
    }
}

fn named<'a>(text: &str, class: &'a DocumentClass) -> Option<&'a str> {
    let text = plain(text);
    class
        .issue_fields
        .iter()
        .map(String::as_str)
        .find(|name| plain(name) == text)
}

/// `Type: AFK`.
fn label<'a, 'b>(text: &'b str, class: &'a DocumentClass) -> Option<(&'a str, &'b str)> {
    let (head, value) = text.split_once(':')?;
    Some((named(head, class)?, value))
}

/// `| Type | AFK |`.
fn cell_field<'a>(page: &Page, block: &Block, class: &'a DocumentClass) -> Option<&'a str> {
    let BlockKind::Cell { table, column: 0, .. } = block.kind else {
        return None;
    };
    let two = page.tables.get(table)?.rows.first()?.cells.len() == 2;
    named(&block.text, class).filter(|_| two)
}

/// Checks each issue of a document by itself.
pub(crate) fn check_issues(issues: &[Issue], class: &DocumentClass, rules: &WorkspaceRules, notes: &mut Notes) {
    if issues.is_empty() {
        notes.add(
            RuleId::IssueMissing,
            0,
            "the document holds no issue",
            format!("add a heading '## {}001 - Title' for each", rules.workboard.id_prefix),
        );
    }
    for issue in issues {
        for name in &class.issue_fields {
            let wanted = plain(name);
            let hits: Vec<&IssueField> = issue
                .fields
                .iter()
                .filter(|field| plain(&field.name) == wanted)
                .collect();
            let said = |field: &&IssueField| !field.value.trim().is_empty();
            if !hits.iter().any(said) {
                let line = hits.first().map_or(issue.line, |field| field.line);
                let what = if hits.is_empty() {
                    "has no"
                } else {
                    "says nothing under"
                };
                notes.add(
                    RuleId::IssueFieldMissing,
                    line,
                    format!("{} {what} '{name}'", issue.id),
                    format!("add '### {name}' below its heading and write under it, or a line '{name}: …'"),
                );
            }
            for again in hits.get(1..).unwrap_or_default() {
                notes.add(
                    RuleId::HeadingRepeated,
                    again.line,
                    format!("{} has '{name}' on line {} already", issue.id, hits[0].line),
                    "put both parts together",
                );
            }
        }
        for (name, allowed) in [("Type", &rules.workboard.types), ("Status", &rules.workboard.statuses)] {
            if let Some((word, line)) = issue
                .word(name)
                .filter(|(word, _)| !allowed.iter().any(|known| known == word))
            {
                notes.add(
                    RuleId::IssueFieldValue,
                    line,
                    format!(
                        "the {} of {} is '{}'{}",
                        name.to_lowercase(),
                        issue.id,
                        shown(word),
                        suggestion(word, allowed.iter().map(String::as_str))
                    ),
                    format!("write '{name}: {}'", allowed.join(&format!("' or '{name}: "))),
                );
            }
        }
    }
}

/// Returns the lines of open boxes of an acceptance list; `None` when it has no box at all.
pub(crate) fn open_boxes<'a>(issue: &'a Issue, rules: &WorkspaceRules) -> Option<Vec<&'a (bool, u32, String)>> {
    let field = issue.field(&rules.plan.acceptance_field)?;
    if field.boxes.is_empty() {
        return None;
    }
    Some(field.boxes.iter().filter(|(ticked, ..)| !ticked).collect())
}

/// Whether an issue says that nothing blocks it.
pub(crate) fn blocked_by_nothing(issue: &Issue) -> bool {
    issue.field("Blocked by").is_none_or(|field| is_nothing(&field.value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_headings_below_or_beside_the_issues_own_lines_or_rows() {
        let rules = WorkspaceRules::built_in().unwrap();
        let class = rules.classes.iter().find(|class| class.name == "issues").unwrap();
        let read = |text: &str| {
            let issues = read_issues(&super::super::markdown::read_page(text), class, &rules);
            let named = |issue: &Issue| {
                issue
                    .fields
                    .iter()
                    .map(|f| (f.name.clone(), f.value.clone()))
                    .collect::<Vec<_>>()
            };
            issues
                .iter()
                .map(|issue| (issue.id.clone(), named(issue)))
                .collect::<Vec<_>>()
        };
        let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let expected = vec![(
            "CTO-WORK-001".to_owned(),
            vec![field("Type", "AFK"), field("Validator", "x")],
        )];
        for text in [
            "## CTO-WORK-001 - A\n\n### Type\n\nAFK\n\n### Validator:\n\nx\n\n## Else\n\ny\n",
            "# CTO-WORK-001 - A\n\n# Type\n\nAFK\n\n# Validator\n\nx\n\n# Else\n\ny\n",
            "# Issue: CTO-WORK-001: A\n\n**Type:** AFK\n**Validator**: x\n",
            "# CTO-WORK-001 - A\n\n- Type: AFK\n- Validator: x\n",
            "# CTO-WORK-001 - A\n\n| Field | Value |\n|---|---|\n| Type | AFK |\n| Validator | x |\n",
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
        assert_eq!(
            read("# CTO-WORK-001 - A\n\n## CTO-WORK-002 - B\n\nType: AFK\n").len(),
            2
        );
    }

    #[test]
    fn an_id_is_read_from_the_forms_of_a_heading_and_no_other() {
        let id = |text| heading_id(text, "CTO-WORK-");
        for good in [
            "CTO-WORK-001 - Title",
            "CTO-WORK-001: Title",
            "Issue: CTO-WORK-001 - Title",
            "issue: CTO-WORK-001: Title",
            "CTO-WORK-001 – Title",
            "CTO-WORK-001",
        ] {
            assert_eq!(id(good).as_deref(), Some("CTO-WORK-001"), "{good}");
        }
        for bad in [
            "About CTO-WORK-001",
            "CTO-WORK-001 follow-up",
            "CTO-WORK- - x",
            "CTO-WORK-001x: y",
            "Issue",
            "ISSÜE: x",
        ] {
            assert_eq!(id(bad), None, "{bad}");
        }
    }
}
