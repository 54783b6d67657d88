//! Reading Markdown: the events of the library become blocks, each with its lines in the source.

use std::ops::Range;

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::page::{Block, BlockKind, FrontMatter, Link, Page, Row, Table};
use super::tree::{Node, Tree, TreeError, parse_tree};

/// Reads one document. Every text is a document in Markdown, so this cannot fail.
pub(crate) fn read_page(source: &str) -> Page {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS;
    let mut reader = Reader::new(source);
    for (event, range) in Parser::new_ext(source, options).into_offset_iter() {
        reader.take(event, range);
    }
    reader.close();
    reader.page
}

/// Returns the start of each line.
fn line_starts(source: &str) -> Vec<usize> {
    let breaks = source.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
    std::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect()
}

struct Reader<'a> {
    source: &'a str,
    starts: Vec<usize>,
    page: Page,
    open: Option<Block>,
    quotes: u32,
    struck: Option<usize>,
    /// For each open list item, whether its first text was seen.
    items: Vec<bool>,
    row: usize,
    column: usize,
    metadata: Option<Range<usize>>,
    comment: bool,
}

impl<'a> Reader<'a> {
    fn new(source: &'a str) -> Self {
        Self {
            source,
            starts: line_starts(source),
            page: Page {
                front: FrontMatter::Missing,
                blocks: vec![],
                tables: vec![],
                links: vec![],
                html: vec![],
                broken_tables: vec![],
            },
            open: None,
            quotes: 0,
            struck: None,
            items: vec![],
            row: 0,
            column: 0,
            metadata: None,
            comment: false,
        }
    }

    fn line(&self, offset: usize) -> u32 {
        u32::try_from(self.starts.partition_point(|start| *start <= offset)).unwrap_or(u32::MAX)
    }

    fn take(&mut self, event: Event<'_>, range: Range<usize>) {
        match event {
            Event::Start(tag) => self.start(tag, range),
            Event::End(tag) => self.end(tag),
            Event::Text(text) | Event::InlineMath(text) | Event::DisplayMath(text) => {
                // Front matter is read as a whole at its end; further down it is text.
                if self.metadata.as_ref().is_none_or(|block| block.start > 0) {
                    self.push(&text, range.start);
                }
            }
            Event::Code(text) => {
                let start = self.push(&text, range.start);
                if let Some(block) = &mut self.open {
                    block.code.push(start..block.text.len());
                }
            }
            Event::Html(text) | Event::InlineHtml(text) => self.html(&text, range.start),
            Event::SoftBreak | Event::HardBreak => {
                if let Some(block) = &mut self.open {
                    block.text.push('\n');
                }
            }
            Event::TaskListMarker(ticked) => {
                self.close();
                self.open_block(BlockKind::Item(Some(ticked)), range.start);
                if let Some(seen) = self.items.last_mut() {
                    *seen = true;
                }
            }
            Event::FootnoteReference(_) | Event::Rule => {}
        }
    }

    fn start(&mut self, tag: Tag<'_>, range: Range<usize>) {
        match tag {
            Tag::Paragraph => {
                self.close();
                let raw = &self.source[range.clone()];
                if raw.starts_with('|') {
                    let line = self.line(range.start);
                    self.page.broken_tables.push(line);
                }
            }
            Tag::Heading { level, .. } => {
                self.close();
                self.open_block(BlockKind::Heading(number(level)), range.start);
            }
            Tag::BlockQuote(_) => {
                self.close();
                self.quotes += 1;
            }
            Tag::CodeBlock(_) => {
                self.close();
                self.open_block(BlockKind::Code, range.start);
            }
            Tag::Item => {
                self.close();
                self.items.push(false);
            }
            Tag::Table(_) => {
                self.close();
                self.row = 0;
                let quoted = self.quotes > 0;
                self.page.tables.push(Table { rows: vec![], quoted });
            }
            Tag::TableHead | Tag::TableRow => self.start_row(range),
            Tag::TableCell => {
                self.close();
                let table = self.page.tables.len().saturating_sub(1);
                let (row, column) = (self.row, self.column);
                self.open_block(BlockKind::Cell { table, row, column }, range.start);
            }
            Tag::Strikethrough => self.struck = self.open.as_ref().map(|block| block.text.len()).or(Some(0)),
            Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } => {
                let line = self.line(range.start);
                self.page.links.push(Link {
                    to: dest_url.to_string(),
                    line,
                });
            }
            Tag::MetadataBlock(_) => {
                self.close();
                self.metadata = Some(range);
            }
            Tag::List(_) | Tag::FootnoteDefinition(_) | Tag::HtmlBlock => self.close(),
            Tag::Emphasis
            | Tag::Strong
            | Tag::Superscript
            | Tag::Subscript
            | Tag::DefinitionList
            | Tag::DefinitionListTitle
            | Tag::DefinitionListDefinition => {}
        }
    }

    fn start_row(&mut self, range: Range<usize>) {
        let line = self.line(range.start);
        let written = count_cells(&self.source[range]);
        self.column = 0;
        if let Some(table) = self.page.tables.last_mut() {
            table.rows.push(Row {
                line,
                written,
                cells: vec![],
            });
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::BlockQuote(_) => {
                self.close();
                self.quotes = self.quotes.saturating_sub(1);
            }
            TagEnd::Item => {
                self.close();
                self.items.pop();
            }
            TagEnd::TableCell => self.end_cell(),
            TagEnd::TableHead | TagEnd::TableRow => self.row += 1,
            TagEnd::Strikethrough => {
                if let (Some(start), Some(block)) = (self.struck.take(), &mut self.open) {
                    block.struck.push(start..block.text.len());
                }
            }
            TagEnd::MetadataBlock(_) => {
                if let Some(block) = self.metadata.take().filter(|block| block.start == 0) {
                    self.front_matter(block);
                }
                self.close();
            }
            TagEnd::HtmlBlock => {
                self.comment = false;
                self.close();
            }
            TagEnd::Paragraph
            | TagEnd::Heading(_)
            | TagEnd::CodeBlock
            | TagEnd::List(_)
            | TagEnd::FootnoteDefinition
            | TagEnd::Table => self.close(),
            TagEnd::Emphasis
            | TagEnd::Strong
            | TagEnd::Link
            | TagEnd::Image
            | TagEnd::Superscript
            | TagEnd::Subscript
            | TagEnd::DefinitionList
            | TagEnd::DefinitionListTitle
            | TagEnd::DefinitionListDefinition => {}
        }
    }

    fn end_cell(&mut self) {
        let text = self.open.as_ref().map(|block| block.text.clone()).unwrap_or_default();
        let row = self.page.tables.last_mut().and_then(|table| table.rows.last_mut());
        if let Some(row) = row {
            row.cells.push(text);
        }
        self.column += 1;
        self.close();
    }

    /// Appends text; returns where it starts.
    fn push(&mut self, text: &str, at: usize) -> usize {
        if self.open.is_none() {
            let first = self.items.last_mut().is_some_and(|seen| !std::mem::replace(seen, true));
            let kind = if first {
                BlockKind::Item(None)
            } else {
                BlockKind::Paragraph
            };
            self.open_block(kind, at);
        }
        let line = self.line(at);
        let Some(block) = &mut self.open else { return 0 };
        let start = block.text.len();
        if block.marks.last().is_none_or(|(_, last)| *last != line) {
            block.marks.push((start, line));
        }
        // A code block comes as one text; only whether it holds something matters.
        block.text.push_str(text);
        start
    }

    fn open_block(&mut self, kind: BlockKind, at: usize) {
        let line = self.line(at);
        self.open = Some(Block {
            kind,
            text: String::new(),
            marks: vec![(0, line)],
            code: vec![],
            struck: vec![],
            quoted: self.quotes > 0,
        });
    }

    fn close(&mut self) {
        self.struck = None;
        if let Some(block) = self.open.take() {
            self.page.blocks.push(block);
        }
    }

    fn html(&mut self, text: &str, at: usize) {
        let trimmed = text.trim();
        let comment = self.comment || trimmed.starts_with("<!--");
        self.comment = comment && !trimmed.ends_with("-->");
        if !comment && !trimmed.is_empty() {
            let line = self.line(at);
            if self.page.html.last() != Some(&line) {
                self.page.html.push(line);
            }
        }
    }

    /// Reads what stands between the dashes; the library hands it over in pieces.
    fn front_matter(&mut self, block: Range<usize>) {
        let inner: Vec<&str> = self.source[block].trim_end().lines().skip(1).collect();
        let text = inner[..inner.len().saturating_sub(1)].join("\n");
        // The first of these lines is the second of the file.
        self.page.front = match parse_tree(&text) {
            Ok(node) => match shifted(node, 1).value {
                Tree::Map(fields) => FrontMatter::Fields(fields),
                Tree::Null => FrontMatter::Fields(vec![]),
                Tree::Text(_) | Tree::List(_) => FrontMatter::Invalid(TreeError {
                    line: Some(2),
                    reason: "it is no mapping of fields to values".to_owned(),
                }),
            },
            Err(error) => FrontMatter::Invalid(TreeError {
                line: error.line.map(|line| line + 1),
                ..error
            }),
        };
    }
}

fn shifted(node: Node, by: u32) -> Node {
    let value = match node.value {
        Tree::List(items) => Tree::List(items.into_iter().map(|item| shifted(item, by)).collect()),
        Tree::Map(fields) => Tree::Map(
            fields
                .into_iter()
                .map(|(name, item)| (name, shifted(item, by)))
                .collect(),
        ),
        other @ (Tree::Null | Tree::Text(_)) => other,
    };
    Node {
        value,
        line: node.line + by,
    }
}

fn number(level: HeadingLevel) -> u8 {
    match level {
        HeadingLevel::H1 => 1,
        HeadingLevel::H2 => 2,
        HeadingLevel::H3 => 3,
        HeadingLevel::H4 => 4,
        HeadingLevel::H5 => 5,
        HeadingLevel::H6 => 6,
    }
}

/// Counts the cells that a row writes: the library pads and cuts rows to the header's number, and does not say so.
fn count_cells(row: &str) -> usize {
    let row = row.lines().next().unwrap_or_default().trim();
    let row = row.strip_prefix('|').unwrap_or(row);
    let (mut bars, mut escaped, mut last) = (0, false, false);
    for c in row.chars() {
        last = c == '|' && !escaped;
        bars += usize::from(last);
        escaped = c == '\\' && !escaped;
    }
    if last { bars } else { bars + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(page: &Page) -> Vec<(BlockKind, &str, u32)> {
        page.blocks
            .iter()
            .map(|block| (block.kind, block.text.as_str(), block.line()))
            .collect()
    }

    #[test]
    fn blocks_have_their_kind_text_and_line_with_either_line_end() {
        let lines = [
            "---",
            "title: x",
            "created: 2026-05-31",
            "---",
            "# Head",
            "",
            "One *two*",
            "three `four`.",
            "",
            "- item",
            "- [x] done",
            "- [ ] open",
            "  - inner",
            "",
            "> quoted",
            "",
            "```",
            "code",
            "```",
        ];
        for end in ["\n", "\r\n"] {
            let source = lines.join(end);
            let page = read_page(&source);
            assert_eq!(page.front_text("created"), Some(("2026-05-31", 3)));
            let found = texts(&page);
            assert_eq!(
                found[..8],
                [
                    (BlockKind::Heading(1), "Head", 5),
                    (BlockKind::Paragraph, "One two\nthree four.", 7),
                    (BlockKind::Item(None), "item", 10),
                    (BlockKind::Item(Some(true)), "done", 11),
                    (BlockKind::Item(Some(false)), "open", 12),
                    (BlockKind::Item(None), "inner", 13),
                    (BlockKind::Paragraph, "quoted", 15),
                    (BlockKind::Code, found[7].1, 18),
                ],
                "{end:?}"
            );
            assert!(page.blocks[6].quoted && !page.blocks[5].quoted);
            assert_eq!(page.blocks[1].line_at(10), 8);
            assert_eq!(&page.blocks[1].text[page.blocks[1].code[0].clone()], "four");
        }
    }

    #[test]
    fn front_matter_counts_on_the_first_line_alone_and_errors_have_lines_of_the_file() {
        assert_eq!(read_page("\n---\na: 1\n---\n").front, FrontMatter::Missing);
        assert_eq!(read_page("# x\n").front, FrontMatter::Missing);
        assert_eq!(read_page("---\na: 1\n").front, FrontMatter::Missing);
        let FrontMatter::Invalid(error) = read_page("---\na: 1\na: 2\n---\n").front else {
            panic!()
        };
        assert_eq!(error.line, Some(3));
        assert!(matches!(read_page("---\n- a\n---\n").front, FrontMatter::Invalid(_)));
    }

    #[test]
    fn tables_keep_how_many_cells_each_row_wrote() {
        let page = read_page("| a | b |\n|---|---|\n| 1 | 2 |\n| 1 |\n| 1 | 2 | 3 |\n| 1 \\| x | `a` |\n| | |\n");
        let written: Vec<(usize, u32)> = page.tables[0].rows.iter().map(|row| (row.written, row.line)).collect();
        assert_eq!(written, [(2, 1), (2, 3), (1, 4), (3, 5), (2, 6), (2, 7)]);
        assert_eq!(page.tables[0].rows[1].cells, ["1", "2"]);
        assert_eq!(read_page("| a | b |\n| 1 | 2 |\n").broken_tables, [1]);
        assert_eq!(read_page("| a | b |\n|---|\n| 1 | 2 |\n").broken_tables, [1]);
        assert!(read_page("no | table\n").broken_tables.is_empty());
    }

    #[test]
    fn comments_are_no_html_and_struck_text_is_known() {
        let page = read_page("<!-- a\nb -->\n\n<div>\n\nx <!-- c --> ~~gone~~ y <b>z</b>\n");
        assert_eq!(page.html, [4, 6]);
        let block = page.blocks.iter().find(|block| block.text.contains("gone")).unwrap();
        assert_eq!(&block.text[block.struck[0].clone()], "gone");
    }
}
