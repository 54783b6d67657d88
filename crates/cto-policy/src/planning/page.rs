//! A Markdown document as the rules see it: blocks with their lines, tables, links and front matter.

use std::ops::Range;

use super::tree::{Node, TreeError};

/// What stands at the top of a document between two lines of dashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FrontMatter {
    /// Nothing.
    Missing,
    /// Something that is not a YAML mapping.
    Invalid(TreeError),
    /// Fields, in their order.
    Fields(Vec<(String, Node)>),
}

/// One Markdown document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) front: FrontMatter,
    /// Headings, paragraphs, list items and cells, in order.
    pub(crate) blocks: Vec<Block>,
    pub(crate) tables: Vec<Table>,
    pub(crate) links: Vec<Link>,
    /// Lines with raw HTML that is no comment.
    pub(crate) html: Vec<u32>,
    /// Tables that are none: paragraphs that begin with a bar.
    pub(crate) broken_tables: Vec<u32>,
}

/// What a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BlockKind {
    /// A heading and its level, 1 to 6.
    Heading(u8),
    /// A paragraph, or a paragraph of a list item after its first.
    Paragraph,
    /// The first text of a list item; with a box, whether it is ticked.
    Item(Option<bool>),
    /// A table's cell: number of the table, row (0 is the header), column.
    Cell { table: usize, row: usize, column: usize },
    /// A code block: of interest only because it is not nothing.
    Code,
}

/// A block of text without markup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) kind: BlockKind,
    /// The text; lines of the source are parted by line feeds.
    pub(crate) text: String,
    /// Where which line of the source begins in the text.
    pub(crate) marks: Vec<(usize, u32)>,
    /// Inline code in the text.
    pub(crate) code: Vec<Range<usize>>,
    /// Text that was struck out.
    pub(crate) struck: Vec<Range<usize>>,
    /// Whether it stands in a block quote.
    pub(crate) quoted: bool,
}

impl Block {
    /// Returns the line of the source at an offset in the text.
    pub(crate) fn line_at(&self, offset: usize) -> u32 {
        let next = self.marks.partition_point(|(start, _)| *start <= offset);
        self.marks.get(next.saturating_sub(1)).map_or(1, |(_, line)| *line)
    }

    /// Returns the line on which it starts.
    pub(crate) fn line(&self) -> u32 {
        self.line_at(0)
    }

    /// Returns the level of a heading.
    pub(crate) fn level(&self) -> Option<u8> {
        match self.kind {
            BlockKind::Heading(level) => Some(level),
            BlockKind::Paragraph | BlockKind::Item(_) | BlockKind::Cell { .. } | BlockKind::Code => None,
        }
    }

    /// Returns each line of its text with its line in the source.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (&str, u32)> {
        let mut at = 0;
        self.text.split('\n').map(move |line| {
            let start = at;
            at += line.len() + 1;
            (line, self.line_at(start))
        })
    }
}

/// A table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    /// The rows, the header first.
    pub(crate) rows: Vec<Row>,
    /// Whether it stands in a block quote.
    pub(crate) quoted: bool,
}

/// A row of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) line: u32,
    /// How many cells were written; Markdown pads and cuts silently.
    pub(crate) written: usize,
    /// The texts of its cells.
    pub(crate) cells: Vec<String>,
}

/// A link or an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) to: String,
    pub(crate) line: u32,
}

impl Page {
    /// Returns the text of a field of front matter.
    #[cfg(test)]
    pub(crate) fn front_text(&self, name: &str) -> Option<(&str, u32)> {
        let FrontMatter::Fields(fields) = &self.front else {
            return None;
        };
        let (_, node) = fields.iter().find(|(field, _)| field == name)?;
        Some((node.text()?, node.line))
    }

    /// Returns the blocks below the heading at `index`: up to the next of its level or above.
    pub(crate) fn section(&self, index: usize) -> Range<usize> {
        let level = self.blocks.get(index).and_then(Block::level).unwrap_or(0);
        let end = self.blocks[index + 1..]
            .iter()
            .position(|block| block.level().is_some_and(|other| other <= level))
            .map_or(self.blocks.len(), |next| index + 1 + next);
        index + 1..end
    }
}

/// Returns a text for comparing names: one space between words, lower case, no colon or full stop at its end.
pub(crate) fn plain(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").trim_end_matches([':', '.']).trim().to_lowercase()
}
