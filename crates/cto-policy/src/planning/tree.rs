//! YAML as a tree in which every value knows its line.

use std::fmt;

use serde::Deserialize as _;
use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// A value of YAML. Numbers, dates and booleans are kept as texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tree {
    /// Nothing, or the word null.
    Null,
    /// A scalar.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping with unique keys, in the order of the file.
    Map(Vec<(String, Node)>),
}

/// A value and the line on which it starts, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) value: Tree,
    pub(crate) line: u32,
}

impl Node {
    /// Returns the text of a scalar; `None` for anything else and for the empty text.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Tree::Text(text) => Some(text.trim()).filter(|text| !text.is_empty()),
            Tree::Null | Tree::List(_) | Tree::Map(_) => None,
        }
    }

    /// Returns whether nothing was written.
    pub(crate) fn is_empty(&self) -> bool {
        match &self.value {
            Tree::Null => true,
            Tree::Text(text) => text.trim().is_empty(),
            Tree::List(items) => items.is_empty(),
            Tree::Map(fields) => fields.is_empty(),
        }
    }

    /// Returns every text in the value, with its line.
    pub(crate) fn texts(&self) -> Vec<(&str, u32)> {
        match &self.value {
            Tree::Null => vec![],
            Tree::Text(text) => vec![(text, self.line)],
            Tree::List(items) => items.iter().flat_map(Self::texts).collect(),
            Tree::Map(fields) => fields.iter().flat_map(|(_, node)| node.texts()).collect(),
        }
    }
}

/// Why a text is no YAML, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TreeError {
    pub(crate) line: Option<u32>,
    pub(crate) reason: String,
}

/// Reads one YAML document: no duplicate key, the library's limits on depth, size and aliases.
pub(crate) fn parse_tree(text: &str) -> Result<Node, TreeError> {
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    let read: Result<Spanned<Tree>, _> = serde_saphyr::from_str_with_options(text, options);
    read.map(node).map_err(|error| {
        let line = error.location().map(|at| line_of(at.line())).filter(|line| *line > 0);
        TreeError {
            line,
            reason: without_place(&cto_schema::explain_yaml(&error.to_string())),
        }
    })
}

/// The finding has its own line, which for front matter is another.
fn without_place(reason: &str) -> String {
    let rest = reason
        .strip_prefix("line ")
        .and_then(|rest| rest.split_once(": "))
        .map(|(_, rest)| rest);
    rest.unwrap_or(reason).to_owned()
}

fn line_of(line: impl TryInto<u32>) -> u32 {
    line.try_into().unwrap_or(0)
}

fn node(spanned: Spanned<Tree>) -> Node {
    Node {
        line: line_of(spanned.referenced.line()),
        value: spanned.value,
    }
}

impl<'de> de::Deserialize<'de> for Tree {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("YAML")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Text(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Text(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Text(value.to_string()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Tree, E> {
        Ok(Tree::Text(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Tree, E> {
        Ok(Tree::Text(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        Ok(Tree::Text(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Tree, E> {
        Ok(Tree::Text(value))
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_some<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        Tree::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Tree, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element::<Spanned<Tree>>()? {
            items.push(node(item));
        }
        Ok(Tree::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Tree, A::Error> {
        let mut fields = Vec::new();
        while let Some((key, value)) = access.next_entry::<String, Spanned<Tree>>()? {
            fields.push((key, node(value)));
        }
        Ok(Tree::Map(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_knows_its_line_also_with_carriage_returns() {
        for end in ["\n", "\r\n"] {
            let text = ["a: 1", "b:", "  - x", "  - y: 2026-05-31", "c: null", "d: true"].join(end);
            let Tree::Map(fields) = parse_tree(&text).unwrap().value else {
                panic!()
            };
            let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, ["a", "b", "c", "d"]);
            assert_eq!(fields[0].1.text(), Some("1"));
            assert_eq!(fields[1].1.texts(), [("x", 3), ("2026-05-31", 4)], "{end:?}");
            assert_eq!(fields[2].1.value, Tree::Null);
            assert_eq!((fields[3].1.text(), fields[3].1.line), (Some("true"), 6));
        }
    }

    #[test]
    fn refuses_duplicates_and_bombs_and_says_where() {
        let error = parse_tree("a: 1\nb:\n  c: 1\n  c: 2\n").unwrap_err();
        assert_eq!(error.line, Some(4), "{error:?}");
        assert!(error.reason.contains("duplicate"), "{error:?}");
        assert!(parse_tree("a: [1\nb: 2\n").unwrap_err().line.is_some());
        let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
        for level in 1..12 {
            let inner = format!("*a{}", level - 1);
            let nine = [inner.as_str(); 9].join(",");
            bomb = format!("{bomb}a{level}: &a{level} [{nine}]\n");
        }
        assert!(parse_tree(&bomb).is_err());
        assert!(parse_tree(&"[".repeat(100_000)).is_err());
    }
}
