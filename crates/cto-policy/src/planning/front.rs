//! Front matter: the fields that say who owns a document and what it is not.

use cto_schema::{FieldKind, FrontMatterField, FrontMatterRules, Moment, RuleId};

use super::notes::{Notes, listed, shown, suggestion};
use super::page::{FrontMatter, Page};
use super::tree::Node;

/// A date begins up to fourteen hours earlier where an author is than in UTC.
const EARLIEST_SECONDS: i64 = 14 * 3600;
const DAY_SECONDS: i64 = 86_400;

/// Checks the front matter of a document that must have it.
pub(crate) fn check_front(page: &Page, rules: &FrontMatterRules, now_seconds: i64, notes: &mut Notes) {
    let fields = match &page.front {
        FrontMatter::Fields(fields) => fields,
        FrontMatter::Missing => {
            notes.add(
                RuleId::FrontMatterMissing,
                1,
                "the document does not start with front matter",
                format!(
                    "begin the file with a line '---', the fields {}, and a line '---'",
                    listed(&names(rules))
                ),
            );
            return;
        }
        FrontMatter::Invalid(error) => {
            notes.add(
                RuleId::FrontMatterInvalid,
                error.line.unwrap_or(1),
                format!("front matter cannot be read: {}", error.reason),
                "write one 'field: value' a line, each field once, with text that holds ': ' or '#' in quotes",
            );
            return;
        }
    };
    for rule in &rules.fields {
        check_field(rule, fields, now_seconds, notes);
    }
    check_dates(fields, rules, now_seconds, notes);
    let known: Vec<&str> = rules
        .fields
        .iter()
        .flat_map(|field| &field.names)
        .map(String::as_str)
        .collect();
    for (name, node) in fields.iter().filter(|(name, _)| !known.contains(&name.as_str())) {
        notes.add(
            RuleId::FrontMatterUnknownField,
            node.line,
            format!(
                "no rule knows the field '{}'{}",
                shown(name),
                suggestion(name, known.iter().copied())
            ),
            "correct its name, remove it, or add it to front_matter.fields in the rules file as optional",
        );
    }
}

fn names(rules: &FrontMatterRules) -> Vec<String> {
    let required = rules.fields.iter().filter(|field| !field.optional);
    required.map(|field| field.names.join(" or ")).collect()
}

fn find<'a>(fields: &'a [(String, Node)], rule: &FrontMatterField) -> Option<&'a (String, Node)> {
    fields
        .iter()
        .find(|(name, node)| rule.names.contains(name) && !node.is_empty())
}

fn check_field(rule: &FrontMatterField, fields: &[(String, Node)], now_seconds: i64, notes: &mut Notes) {
    let named = rule.names.join("' or '");
    let Some((name, node)) = find(fields, rule) else {
        let empty = fields.iter().find(|(name, _)| rule.names.contains(name));
        if !rule.optional {
            let (line, what) = empty.map_or((1, "is missing"), |(_, node)| (node.line, "is empty"));
            let example = example(rule);
            notes.add(
                RuleId::FrontMatterMissingField,
                line,
                format!("the field '{named}' {what}"),
                format!(
                    "add the line '{}: {example}' between the lines of dashes",
                    rule.names.first().map_or("", String::as_str)
                ),
            );
        }
        return;
    };
    let value = node.text();
    if !rule.values.is_empty() && value.is_none_or(|value| !rule.values.iter().any(|allowed| allowed == value)) {
        notes.add(
            RuleId::FrontMatterValue,
            node.line,
            format!("'{name}' is '{}'", shown(value.unwrap_or("no single value"))),
            format!("write '{name}: {}'", rule.values.join(&format!("' or '{name}: "))),
        );
    }
    if rule.kind == FieldKind::Date {
        let date = value
            .and_then(|value| value.parse::<Moment>().ok())
            .filter(Moment::is_date);
        let future = date
            .as_ref()
            .is_some_and(|date| date.unix_seconds() > now_seconds.saturating_add(EARLIEST_SECONDS));
        let problem = if date.is_none() {
            Some("is no date")
        } else if future {
            Some("lies in the future")
        } else {
            None
        };
        if let Some(problem) = problem {
            notes.add(
                RuleId::FrontMatterDate,
                node.line,
                format!("'{name}: {}' {problem}", shown(value.unwrap_or_default())),
                format!("write the day as '{name}: 2026-05-31'"),
            );
        }
    }
}

fn example(rule: &FrontMatterField) -> &str {
    match (rule.values.first(), rule.kind) {
        (Some(value), _) => value,
        (None, FieldKind::Date) => "2026-05-31",
        (None, FieldKind::Path) => "prd/PRD-001.md",
        (None, FieldKind::Text) => "…",
    }
}

fn date_of<'a>(fields: &'a [(String, Node)], name: &str) -> Option<(Moment, &'a Node)> {
    let (_, node) = fields.iter().find(|(field, _)| field == name)?;
    let date = node.text()?.parse::<Moment>().ok().filter(Moment::is_date)?;
    Some((date, node))
}

fn check_dates(fields: &[(String, Node)], rules: &FrontMatterRules, now_seconds: i64, notes: &mut Notes) {
    let Some((reviewed, node)) = date_of(fields, "last_reviewed") else {
        return;
    };
    if let Some((created, _)) = date_of(fields, "created")
        && reviewed.unix_seconds() < created.unix_seconds()
    {
        notes.add(
            RuleId::FrontMatterDate,
            node.line,
            format!("the last review ({reviewed}) comes before the creation ({created})"),
            "correct the one that is wrong",
        );
    }
    let age_days = now_seconds.saturating_sub(reviewed.unix_seconds()) / DAY_SECONDS;
    if rules.review_days > 0 && age_days > i64::from(rules.review_days) {
        notes.add(
            RuleId::ReviewStale,
            node.line,
            format!(
                "the last review was {age_days} days ago, and {} are allowed",
                rules.review_days
            ),
            "read the document again, correct it, and set last_reviewed to today",
        );
    }
}
