//! The workboard: entries with their lines, and what is wrong with each by itself.

use cto_schema::{RuleId, SchemaId, WorkboardRules, check_schema};

use super::notes::{Notes, listed, shown, suggestion};
use super::tree::{Node, Tree, parse_tree};

/// An entry of the workboard, as far as it could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Work {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) kind: String,
    pub(crate) status: String,
    /// Ids, each with its line.
    pub(crate) blocked_by: Vec<(String, u32)>,
    /// Prose: what a person must do.
    pub(crate) human_gates: Vec<String>,
    /// What shows that it is done, each with its line.
    pub(crate) evidence: Vec<(String, u32)>,
    pub(crate) line: u32,
}

/// The fields that every entry has.
const REQUIRED: [&str; 6] = ["id", "title", "type", "status", "blocked_by", "evidence"];
/// Keys of a workboard beside its list.
const BESIDE: [&str; 3] = ["schema", "title", "notice"];

/// Reads a workboard; what cannot be read is a finding.
pub(crate) fn read_workboard(text: &str, rules: &WorkboardRules, notes: &mut Notes) -> Vec<Work> {
    let root = match parse_tree(text) {
        Ok(root) => root,
        Err(error) => {
            notes.add(
                RuleId::WorkboardInvalid,
                error.line.unwrap_or(0),
                format!("the workboard cannot be read: {}", error.reason),
                "correct the YAML on this line; indent with spaces and write each key once",
            );
            return vec![];
        }
    };
    if let Some((text, line)) = schema(&root)
        && let Err(error) = check_schema(text, SchemaId::WORKBOARD)
    {
        notes.add(
            RuleId::WorkboardInvalid,
            line,
            error.to_string(),
            "write 'schema: cto/workboard/1.0', or leave it out",
        );
        return vec![];
    }
    let Some(entries) = list(&root, rules) else {
        notes.add(
            RuleId::WorkboardInvalid,
            root.line,
            "the workboard holds no list of entries",
            format!(
                "write '{}:' and below it one '- id: …' for each piece of work",
                rules.lists.first().map_or("work", String::as_str)
            ),
        );
        return vec![];
    };
    entries
        .iter()
        .filter_map(|entry| read_entry(entry, rules, notes))
        .collect()
}

fn schema(root: &Node) -> Option<(&str, u32)> {
    let Tree::Map(fields) = &root.value else { return None };
    let (_, node) = fields.iter().find(|(name, _)| name == "schema")?;
    Some((node.text()?, node.line))
}

fn list<'a>(root: &'a Node, rules: &WorkboardRules) -> Option<&'a [Node]> {
    match &root.value {
        Tree::List(items) => Some(items),
        Tree::Map(fields) => fields.iter().find_map(|(name, node)| match &node.value {
            Tree::List(items) if rules.lists.contains(name) => Some(items.as_slice()),
            // A board without work is a board.
            Tree::Null if rules.lists.contains(name) => Some(&[]),
            Tree::Null | Tree::Text(_) | Tree::List(_) | Tree::Map(_) => None,
        }),
        Tree::Null | Tree::Text(_) => None,
    }
}

/// Returns the keys of a workboard that are neither its list nor known beside it.
pub(crate) fn unknown_keys(text: &str, rules: &WorkboardRules) -> Vec<(String, u32)> {
    let Ok(Tree::Map(fields)) = parse_tree(text).map(|root| root.value) else {
        return vec![];
    };
    let known = |name: &str| rules.lists.iter().any(|list| list == name) || BESIDE.contains(&name);
    fields
        .into_iter()
        .filter(|(name, _)| !known(name))
        .map(|(name, node)| (name, node.line))
        .collect()
}

fn read_entry(entry: &Node, rules: &WorkboardRules, notes: &mut Notes) -> Option<Work> {
    let Tree::Map(fields) = &entry.value else {
        notes.add(
            RuleId::WorkboardInvalid,
            entry.line,
            "an entry is no mapping",
            format!("write its fields: {}", listed(&REQUIRED)),
        );
        return None;
    };
    let field = |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, node)| node);
    let id = field("id").and_then(Node::text).unwrap_or_default().to_owned();
    let called = if id.is_empty() {
        "an entry".to_owned()
    } else {
        shown(&id)
    };
    check_names(entry, fields, &called, rules, notes);
    if let Some(node) = field("id").filter(|_| !id.is_empty() && !is_id(&id, rules)) {
        notes.add(
            RuleId::WorkboardValue,
            node.line,
            format!("'{called}' is no id"),
            format!("write '{}' and at least {} digits", rules.id_prefix, rules.id_digits),
        );
    }
    let kind = word("type", field("type"), &rules.types, &called, notes);
    let status = word("status", field("status"), &rules.statuses, &called, notes);
    let (blocked_by, human_gates) = blockers(field("blocked_by"), rules, &called, notes);
    Some(Work {
        title: field("title").and_then(Node::text).unwrap_or_default().to_owned(),
        kind,
        status,
        blocked_by,
        human_gates,
        evidence: texts(field("evidence"), "evidence", &called, notes),
        line: entry.line,
        id,
    })
}

/// Every required field is there, and no field is unknown.
fn check_names(entry: &Node, fields: &[(String, Node)], called: &str, rules: &WorkboardRules, notes: &mut Notes) {
    for name in REQUIRED {
        // An empty list of blockers or of evidence says something; an empty title does not.
        let listed = matches!(name, "blocked_by" | "evidence");
        let field = fields.iter().find(|(field, _)| field == name);
        if field.is_none_or(|(_, node)| node.is_empty() && !listed) {
            let mend = if listed {
                format!("add '{name}: []', or what it is")
            } else {
                format!("add '{name}: …'")
            };
            notes.add(
                RuleId::WorkboardMissingField,
                entry.line,
                format!("{called} has no '{name}'"),
                mend,
            );
        }
    }
    for (name, node) in fields {
        if !REQUIRED.contains(&name.as_str()) && !rules.optional_fields.contains(name) {
            let known = REQUIRED
                .into_iter()
                .chain(rules.optional_fields.iter().map(String::as_str));
            notes.add(
                RuleId::WorkboardUnknownField,
                node.line,
                format!(
                    "no rule knows the field '{}' of {called}{}",
                    shown(name),
                    suggestion(name, known)
                ),
                "correct its name, remove it, or add it to workboard.optional_fields in the rules file",
            );
        }
    }
}

/// One of the allowed words.
fn word(name: &str, node: Option<&Node>, allowed: &[String], called: &str, notes: &mut Notes) -> String {
    let Some(node) = node else { return String::new() };
    let text = node.text().unwrap_or_default();
    if !node.is_empty() && !allowed.iter().any(|known| known == text) {
        notes.add(
            RuleId::WorkboardValue,
            node.line,
            format!(
                "the {name} of {called} is '{}'{}",
                shown(text),
                suggestion(text, allowed.iter().map(String::as_str))
            ),
            format!("write '{name}: {}'", allowed.join(&format!("' or '{name}: "))),
        );
    }
    text.to_owned()
}

/// Texts of a list, or of a single text.
fn texts(node: Option<&Node>, name: &str, called: &str, notes: &mut Notes) -> Vec<(String, u32)> {
    let Some(node) = node else { return vec![] };
    let items = match &node.value {
        Tree::List(items) => items.as_slice(),
        Tree::Null => &[],
        Tree::Text(_) | Tree::Map(_) => std::slice::from_ref(node),
    };
    let mut found = Vec::new();
    for item in items {
        match item.text() {
            Some(text) => found.push((text.to_owned(), item.line)),
            None if matches!(item.value, Tree::Text(_)) => {}
            None => notes.add(
                RuleId::WorkboardValue,
                item.line,
                format!("'{name}' of {called} holds something that is no text"),
                format!("write '{name}' as a list of texts; put a text with ': ' in quotes"),
            ),
        }
    }
    found
}

/// Parts blockers into ids and prose.
fn blockers(
    node: Option<&Node>,
    rules: &WorkboardRules,
    called: &str,
    notes: &mut Notes,
) -> (Vec<(String, u32)>, Vec<String>) {
    let (mut ids, mut gates) = (Vec::new(), Vec::new());
    for (text, line) in texts(node, "blocked_by", called, notes) {
        let parts: Vec<&str> = text.split([',', ' ']).filter(|part| !part.is_empty()).collect();
        if parts.iter().all(|part| is_id(part, rules)) {
            ids.extend(parts.into_iter().map(|part| (part.to_owned(), line)));
        } else if let [one] = parts.as_slice()
            && one.to_uppercase().starts_with(&rules.id_prefix.to_uppercase())
        {
            notes.add(
                RuleId::WorkboardValue,
                line,
                format!("{called} is blocked by '{}', which is no id", shown(one)),
                format!("write '{}' and at least {} digits", rules.id_prefix, rules.id_digits),
            );
        } else if !is_nothing(&text) {
            gates.push(text);
        }
    }
    (ids, gates)
}

/// Words that say that there is nothing.
pub(crate) fn is_nothing(text: &str) -> bool {
    matches!(
        text.trim().trim_end_matches('.').to_lowercase().as_str(),
        "" | "none" | "nothing" | "no" | "-" | "–" | "—" | "n/a" | "null" | "[]" | "none yet"
    )
}

/// Whether a text is an id of the workboard.
pub(crate) fn is_id(text: &str, rules: &WorkboardRules) -> bool {
    let digits = usize::try_from(rules.id_digits).unwrap_or(usize::MAX);
    text.strip_prefix(&rules.id_prefix).is_some_and(|rest| {
        rest.len() >= digits && !rest.is_empty() && rest.len() <= 12 && rest.bytes().all(|b| b.is_ascii_digit())
    })
}

/// Returns the ids in a text.
pub(crate) fn ids_in<'a>(text: &'a str, rules: &WorkboardRules) -> Vec<&'a str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '-' && c != '_')
        .map(|word| word.trim_matches('-'))
        .filter(|word| is_id(word, rules))
        .collect()
}
