//! Pictures: inline SVG, drawn with attributes and classes, readable without colour; each has a table twin on its page.

mod chain;
mod ladder;
mod timeline;
mod tree;

pub(crate) use chain::chain;
pub(crate) use ladder::{STAGES, ladder};
pub(crate) use timeline::timeline;
pub(crate) use tree::{TreePath, tree};

/// Escapes a text for SVG. It was made inert before: no control or invisible character is in it.
fn svg_text(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

/// Cuts a text that would not fit into a place.
fn fitting(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(most.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// Adds text to a picture. Writing to memory cannot fail.
fn put(svg: &mut String, text: std::fmt::Arguments<'_>) {
    use std::fmt::Write as _;
    svg.write_fmt(text).unwrap_or_default();
}
