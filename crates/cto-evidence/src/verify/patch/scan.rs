//! The state machine of the patch reader; it is fed in chunks of any size.

use cto_schema::{ChangeKind, Sha256Digest};
use sha2::{Digest as _, Sha256};

use super::{PatchedPath, header};

/// Longest header line.
const LINE_MAX: usize = 16 * 1024;
/// Most sections.
const SECTIONS_MAX: usize = 200_000;

/// Reads a patch in chunks and tells which paths it touches.
#[derive(Debug, Default)]
pub struct PatchScan {
    paths: Vec<PatchedPath>,
    section: Option<Section>,
    line: Vec<u8>,
    body: Option<Body>,
    part: Part,
    old_left: u64,
    new_left: u64,
    error: Option<String>,
}

/// Where in a section the next line belongs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    #[default]
    Headers,
    /// After `---`: `+++` must follow.
    NewName,
    /// After `+++` or a whole hunk.
    Hunks,
    /// After `GIT binary patch`: the forward block's header must follow.
    BinaryHeader,
    /// In a block of base-85 lines; the flag says whether it is the forward one.
    BinaryLines(bool),
    /// Between the two blocks.
    BinaryReverse,
    /// After the reverse block.
    Done,
}

/// Which kind of content line is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    Context,
    Added,
    Removed,
    NoNewline,
}

#[derive(Debug, Default)]
struct Section {
    path: Vec<u8>,
    old_mode: Option<String>,
    new_mode: Option<String>,
    added: bool,
    deleted: bool,
    index_seen: bool,
    binary: bool,
    old: Content,
    new: Content,
    last: Option<Body>,
    hunks: u64,
}

/// One side's content, as far as a hunk shows it.
#[derive(Debug, Default)]
struct Content {
    hasher: Sha256,
    lines: u64,
    /// A newline that follows unless the patch says that there is none.
    newline_due: bool,
}

impl Content {
    fn begin_line(&mut self) {
        self.flush();
        self.lines += 1;
        self.newline_due = true;
    }

    fn flush(&mut self) {
        if std::mem::take(&mut self.newline_due) {
            self.hasher.update(b"\n");
        }
    }

    fn finish(mut self) -> Sha256Digest {
        self.flush();
        Sha256Digest::from_bytes(self.hasher.finalize().into())
    }
}

impl PatchScan {
    /// Reads a whole patch.
    pub fn of(patch: &[u8]) -> Self {
        let mut scan = Self::default();
        scan.feed(patch);
        scan.finish();
        scan
    }

    /// Returns the touched paths in order, or what is wrong with the patch.
    pub fn paths(&self) -> Result<&[PatchedPath], &str> {
        self.error.as_deref().map_or(Ok(&self.paths), Err)
    }

    /// Reads the next bytes. After an error the rest is ignored.
    pub fn feed(&mut self, mut chunk: &[u8]) {
        while !chunk.is_empty() && self.error.is_none() {
            let result = if self.body.is_some() || (self.in_hunk() && self.line.is_empty()) {
                self.content(&mut chunk)
            } else {
                self.header_bytes(&mut chunk)
            };
            if let Err(error) = result {
                self.error = Some(error);
            }
        }
    }

    /// Ends the patch.
    pub fn finish(&mut self) {
        if self.error.is_some() {
            return;
        }
        let whole = self.line.is_empty() && self.body.is_none() && !self.in_hunk();
        let result = if whole {
            self.end_section()
        } else {
            Err("it ends early".to_owned())
        };
        if let Err(error) = result {
            self.error = Some(error);
        }
    }

    fn in_hunk(&self) -> bool {
        self.old_left > 0 || self.new_left > 0
    }

    fn header_bytes(&mut self, chunk: &mut &[u8]) -> Result<(), String> {
        let end = chunk.iter().position(|b| *b == b'\n');
        let (text, rest) = end.map_or((*chunk, &[][..]), |end| (&chunk[..end], &chunk[end + 1..]));
        if self.line.len() + text.len() > LINE_MAX {
            return Err(format!("a header line is longer than {LINE_MAX} bytes"));
        }
        self.line.extend_from_slice(text);
        *chunk = rest;
        if end.is_some() {
            let line = std::mem::take(&mut self.line);
            self.header(&line)?;
        }
        Ok(())
    }

    /// Reads hunk content, which may be of any length: it is digested as it passes.
    fn content(&mut self, chunk: &mut &[u8]) -> Result<(), String> {
        let Some(body) = self.body else {
            self.begin_content(chunk[0])?;
            *chunk = &chunk[1..];
            return Ok(());
        };
        let end = chunk.iter().position(|b| *b == b'\n');
        let text = &chunk[..end.unwrap_or(chunk.len())];
        if let Some(section) = &mut self.section {
            match body {
                Body::Added => section.new.hasher.update(text),
                Body::Removed => section.old.hasher.update(text),
                Body::Context | Body::NoNewline => {}
            }
        }
        *chunk = end.map_or(&[][..], |end| &chunk[end + 1..]);
        if end.is_some() {
            self.body = None;
        }
        Ok(())
    }

    fn begin_content(&mut self, first: u8) -> Result<(), String> {
        let Some(section) = &mut self.section else {
            return Err("there is content outside a section".to_owned());
        };
        let short = |left: &mut u64| {
            *left = left
                .checked_sub(1)
                .ok_or("a hunk has more lines than its header says")?;
            Ok::<(), String>(())
        };
        let body = match first {
            b' ' => {
                short(&mut self.old_left)?;
                short(&mut self.new_left)?;
                Body::Context
            }
            b'-' => {
                short(&mut self.old_left)?;
                section.old.begin_line();
                Body::Removed
            }
            b'+' => {
                short(&mut self.new_left)?;
                section.new.begin_line();
                Body::Added
            }
            b'\\' => {
                section.no_newline()?;
                Body::NoNewline
            }
            _ => return Err("a hunk line starts with none of ' ', '-', '+' and '\\'".to_owned()),
        };
        section.last = Some(body);
        self.body = Some(body);
        Ok(())
    }

    fn header(&mut self, line: &[u8]) -> Result<(), String> {
        if let Some(rest) = line.strip_prefix(b"diff --git ")
            && !matches!(self.part, Part::NewName | Part::BinaryHeader | Part::BinaryLines(_))
        {
            self.end_section()?;
            self.part = Part::Headers;
            self.section = Some(Section {
                path: header::diff_path(rest)?,
                ..Section::default()
            });
            return Ok(());
        }
        let Some(section) = &mut self.section else {
            return Err("it does not start with 'diff --git'".to_owned());
        };
        match self.part {
            Part::Headers => {
                if let Some(part) = section.extended(line)? {
                    self.part = part;
                }
            }
            Part::NewName => {
                let rest = line.strip_prefix(b"+++ ").ok_or("a '---' line has no '+++' line")?;
                section.check_name(header::file_name(rest, b"b/")?, section.deleted)?;
                self.part = Part::Hunks;
            }
            Part::Hunks => {
                if line.starts_with(b"\\ ") {
                    return section.no_newline();
                }
                let rest = line.strip_prefix(b"@@ ").ok_or("text stands between two sections")?;
                (self.old_left, self.new_left) = header::hunk(rest)?;
                section.begin_hunk(self.old_left, self.new_left)?;
            }
            Part::BinaryHeader | Part::BinaryReverse => {
                let known = [&b"literal "[..], b"delta "].iter().any(|word| line.starts_with(word));
                if !known {
                    return Err("a binary patch has no literal or delta block".to_owned());
                }
                self.part = Part::BinaryLines(self.part == Part::BinaryHeader);
            }
            Part::BinaryLines(forward) => {
                if line.is_empty() {
                    self.part = if forward { Part::BinaryReverse } else { Part::Done };
                } else if line.len() > 66 || !line[0].is_ascii_alphabetic() {
                    return Err("a binary patch has a malformed line".to_owned());
                }
            }
            Part::Done => return Err("text stands between two sections".to_owned()),
        }
        Ok(())
    }

    fn end_section(&mut self) -> Result<(), String> {
        let Some(section) = self.section.take() else {
            return Ok(());
        };
        if matches!(self.part, Part::NewName | Part::BinaryHeader | Part::BinaryLines(_)) {
            return Err("a section ends early".to_owned());
        }
        let path = section.finish(self.part)?;
        if self.paths.len() >= SECTIONS_MAX {
            return Err(format!("it has more than {SECTIONS_MAX} sections"));
        }
        match self.paths.last() {
            Some(last) if last.path == path.path => {
                let typechange = last.kind == ChangeKind::Deleted && path.kind == ChangeKind::Added;
                let Some(deleted) = self.paths.pop().filter(|_| typechange) else {
                    return Err("a path has two sections".to_owned());
                };
                self.paths.push(PatchedPath::join(deleted, path));
            }
            _ => self.paths.push(path),
        }
        Ok(())
    }
}

impl Section {
    /// Reads an extended header line; returns the next part when the headers are over.
    fn extended(&mut self, line: &[u8]) -> Result<Option<Part>, String> {
        if let Some(rest) = line.strip_prefix(b"old mode ") {
            self.old_mode = Some(header::mode(rest)?);
        } else if let Some(rest) = line.strip_prefix(b"new mode ") {
            self.new_mode = Some(header::mode(rest)?);
        } else if let Some(rest) = line.strip_prefix(b"new file mode ") {
            self.added = true;
            self.new_mode = Some(header::mode(rest)?);
        } else if let Some(rest) = line.strip_prefix(b"deleted file mode ") {
            self.deleted = true;
            self.old_mode = Some(header::mode(rest)?);
        } else if let Some(rest) = line.strip_prefix(b"index ") {
            self.index_seen = true;
            if let Some(mode) = header::index(rest)? {
                self.old_mode = Some(mode.clone());
                self.new_mode = Some(mode);
            }
        } else if let Some(rest) = line.strip_prefix(b"--- ") {
            self.check_name(header::file_name(rest, b"a/")?, self.added)?;
            return Ok(Some(Part::NewName));
        } else if line == b"GIT binary patch" {
            self.binary = true;
            return Ok(Some(Part::BinaryHeader));
        } else if line.starts_with(b"Binary files ") {
            return Err("a binary file is named without its content; git apply needs it".to_owned());
        } else {
            return Err("a section has a header that git writes for no plain change".to_owned());
        }
        Ok(None)
    }

    fn check_name(&self, name: Option<Vec<u8>>, absent: bool) -> Result<(), String> {
        let agrees = name.map_or(absent, |name| !absent && name == self.path);
        if agrees {
            Ok(())
        } else {
            Err("a file name differs from its section's".to_owned())
        }
    }

    fn begin_hunk(&mut self, old: u64, new: u64) -> Result<(), String> {
        self.hunks += 1;
        let whole = (self.added && old != 0) || (self.deleted && new != 0);
        if whole || (self.added || self.deleted) && self.hunks > 1 || old == 0 && new == 0 {
            return Err("a hunk does not fit an added or deleted file".to_owned());
        }
        Ok(())
    }

    fn no_newline(&mut self) -> Result<(), String> {
        match self.last {
            Some(Body::Added) => self.new.newline_due = false,
            Some(Body::Removed) => self.old.newline_due = false,
            Some(Body::Context) => {}
            Some(Body::NoNewline) | None => {
                return Err("'No newline' follows no line".to_owned());
            }
        }
        self.last = Some(Body::NoNewline);
        Ok(())
    }

    fn finish(self, part: Part) -> Result<PatchedPath, String> {
        let kind = match (self.added, self.deleted) {
            (true, true) => return Err("a file is both added and deleted".to_owned()),
            (true, false) => ChangeKind::Added,
            (false, true) => ChangeKind::Deleted,
            (false, false) => ChangeKind::Modified,
        };
        let mode_only = self.old_mode.is_some() && self.new_mode.is_some() && !self.index_seen;
        let empty = part == Part::Headers && kind != ChangeKind::Modified && self.index_seen;
        let content = self.binary || self.hunks > 0;
        if !(content || empty || mode_only) {
            return Err("a section changes nothing".to_owned());
        }
        let text = !self.binary;
        let (lines_added, lines_removed) = (self.new.lines, self.old.lines);
        Ok(PatchedPath {
            path: self.path,
            kind,
            old_mode: self.old_mode,
            new_mode: self.new_mode,
            binary: self.binary,
            added_digest: (text && self.added).then(|| self.new.finish()),
            deleted_digest: (text && self.deleted).then(|| self.old.finish()),
            lines_added,
            lines_removed,
        })
    }
}
