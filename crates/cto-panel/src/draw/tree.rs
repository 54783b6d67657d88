//! The write set as a tree: which paths changed, and which of them the contract allows.

use std::collections::BTreeMap;

use super::{fitting, put, svg_text};

const ROW: u64 = 24;
const INDENT: u64 = 26;
/// Most rows that are drawn; the table has all.
const ROWS: usize = 120;
/// Deepest level that is indented further.
const DEEP: usize = 12;

/// A changed path and how it was judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TreePath {
    /// The path, inert.
    pub(crate) path: String,
    /// `good`, `bad` or `none`.
    pub(crate) class: &'static str,
    /// What is said of it: `allowed`, `not allowed`, `forbidden`, `not judged`.
    pub(crate) word: String,
    /// `added`, `modified` or `deleted`.
    pub(crate) kind: &'static str,
}

#[derive(Default)]
struct Node<'a> {
    children: BTreeMap<&'a str, Self>,
    leaf: Option<&'a TreePath>,
}

/// Draws the tree.
pub(crate) fn tree(paths: &[TreePath]) -> String {
    let mut root = Node::default();
    for path in paths.iter().take(ROWS) {
        let mut at = &mut root;
        for part in path.path.split('/') {
            at = at.children.entry(part).or_default();
        }
        at.leaf = Some(path);
    }
    let mut rows = Vec::new();
    walk(&root, 0, &mut rows);
    rows.truncate(2 * ROWS);
    let height = u64::try_from(rows.len()).unwrap_or(0) * ROW + 8;
    let mut svg = format!(
        "<svg class=\"tree\" viewBox=\"0 0 900 {height}\" role=\"img\" aria-label=\"Tree of {} changed paths, each allowed \
         or not; the table below has the same paths\">",
        paths.len()
    );
    for (at, (depth, name, leaf)) in (0_u64..).zip(&rows) {
        let x = 10 + u64::try_from((*depth).min(DEEP)).unwrap_or(0) * INDENT;
        let y = 20 + at * ROW;
        if *depth > 0 {
            put(
                &mut svg,
                format_args!(
                    "<path class=\"twig\" d=\"M{} {}V{}H{}\"></path>",
                    x - 16,
                    y.saturating_sub(ROW).saturating_add(4),
                    y - 5,
                    x - 4
                ),
            );
        }
        let shown = svg_text(&fitting(name, 60));
        match leaf {
            Some(leaf) => {
                let (sign, change) = (sign(leaf.class), leaf.kind);
                put(
                    &mut svg,
                    format_args!(
                        "<text class=\"mono\" x=\"{x}\" y=\"{y}\">{shown}</text>\
                     <text class=\"{}\" x=\"640\" y=\"{y}\">{sign} {}</text>\
                     <text class=\"soft\" x=\"790\" y=\"{y}\">{change}</text>",
                        leaf.class, leaf.word
                    ),
                );
            }
            None => put(
                &mut svg,
                format_args!("<text class=\"mono soft\" x=\"{x}\" y=\"{y}\">{shown}/</text>"),
            ),
        }
    }
    svg.push_str("</svg>");
    svg
}

fn sign(class: &str) -> &'static str {
    match class {
        "good" => "✓",
        "bad" => "✗",
        _ => "–",
    }
}

fn walk<'a>(node: &Node<'a>, depth: usize, rows: &mut Vec<(usize, String, Option<&'a TreePath>)>) {
    for (name, child) in &node.children {
        // A directory that holds one directory is one row with it.
        let (mut name, mut child) = ((*name).to_owned(), child);
        while child.leaf.is_none() && child.children.len() == 1 {
            let Some((next, only)) = child.children.first_key_value() else {
                break;
            };
            if only.leaf.is_some() {
                break;
            }
            name = format!("{name}/{next}");
            child = only;
        }
        rows.push((depth, name, child.leaf));
        walk(child, depth + 1, rows);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_share_their_directories_and_each_says_whether_it_is_allowed() {
        let path = |path: &str, class, word: &str| TreePath {
            path: path.to_owned(),
            class,
            word: word.to_owned(),
            kind: "modified",
        };
        let svg = tree(&[
            path("src/deep/er/a.py", "good", "allowed"),
            path("src/deep/er/b.py", "bad", "not allowed"),
            path("<x>", "none", "not judged"),
        ]);
        assert!(svg.contains(">src/deep/er/</text>"), "{svg}");
        assert!(svg.contains("✗ not allowed") && svg.contains("✓ allowed") && svg.contains("&lt;x&gt;"));
        assert_eq!(svg.matches("er/</text>").count(), 1);
    }

    #[test]
    fn endless_and_deep_paths_stay_a_small_picture() {
        let deep = "a/b/".repeat(500);
        let many: Vec<TreePath> = (0..10_000)
            .map(|at| TreePath {
                path: format!("{deep}{at}"),
                class: "good",
                word: "allowed".to_owned(),
                kind: "added",
            })
            .collect();
        assert!(tree(&many).len() < 200_000);
    }
}
