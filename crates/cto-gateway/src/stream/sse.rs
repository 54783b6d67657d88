//! Cuts a stream of server-sent events into whole events without changing a byte.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use memchr::memchr;

/// Collects bytes until an event is whole, and keeps them until they may go on.
#[derive(Debug)]
pub(crate) struct Scanner {
    held: BytesMut,
    /// Where the event starts that is not whole.
    start: usize,
    /// Up to where `held` was looked at.
    seen: usize,
    /// Where the line at `seen` starts.
    line: usize,
    limit: usize,
}

/// One event that is larger than allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLarge;

impl Scanner {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            held: BytesMut::new(),
            start: 0,
            seen: 0,
            line: 0,
            limit,
        }
    }

    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// The next whole event with the empty line that ends it, byte for byte.
    pub(crate) fn next(&mut self) -> Result<Option<&[u8]>, TooLarge> {
        while let Some(offset) = memchr(b'\n', &self.held[self.seen..]) {
            let end = self.seen + offset;
            let is_empty = matches!(&self.held[self.line..end], b"" | b"\r");
            (self.seen, self.line) = (end + 1, end + 1);
            if is_empty {
                let start = std::mem::replace(&mut self.start, end + 1);
                if end - start >= self.limit {
                    return Err(TooLarge);
                }
                return Ok(Some(&self.held[start..=end]));
            }
        }
        self.seen = self.held.len();
        if self.seen - self.start > self.limit {
            return Err(TooLarge);
        }
        Ok(None)
    }

    /// What is left without an empty line after it.
    pub(crate) fn rest(&self) -> &[u8] {
        &self.held[self.start..]
    }

    /// How much is held.
    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    /// Gives bytes away from the beginning; never more than whole events, but all of it at the end.
    pub(crate) fn take(&mut self, count: usize) -> Bytes {
        for at in [&mut self.start, &mut self.seen, &mut self.line] {
            *at = at.saturating_sub(count);
        }
        self.held.split_to(count).freeze()
    }
}

/// What an event says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    pub(crate) name: Option<&'a str>,
    /// The lines of data, joined; `None` for a comment or a keep-alive.
    pub(crate) data: Option<Cow<'a, str>>,
}

/// Where some readers end a line and others do not (`str.splitlines` of Python does).
const SOFT_ENDS: &[char] = &[
    '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}', '\u{2029}',
];

/// Tells whether a reader that ends lines more often would find a field in the middle of one.
fn hides_a_field(line: &str) -> bool {
    let field = |part: &str| {
        [":", "data", "event", "id", "retry"]
            .iter()
            .any(|name| part.starts_with(name))
    };
    line.split(SOFT_ENDS).skip(1).any(field)
}

/// Tells whether there is a byte with which something begins that needs a closer look: a control character besides the line
/// feed, or one of [`SOFT_ENDS`]. One pass without branches over what is nearly always plain.
fn needs_a_look(raw: &[u8]) -> bool {
    raw.iter().fold(false, |needs, byte| {
        needs | ((*byte < b' ') & (*byte != b'\n')) | (*byte == 0xc2) | (*byte == 0xe2)
    })
}

/// Reads an event; `None` when readers could disagree about it: no UTF-8, a lone carriage return, an unknown field,
/// another field behind what only some take for the end of a line.
pub(crate) fn read(raw: &[u8]) -> Option<Message<'_>> {
    let text = std::str::from_utf8(raw).ok()?;
    let needs_a_look = needs_a_look(raw);
    let mut message = Message { name: None, data: None };
    for line in text.split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if needs_a_look && (line.contains('\r') || line.contains('\0') || hides_a_field(line)) {
            return None;
        }
        if line.is_empty() || line.starts_with(':') {
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => message.name = Some(value),
            "data" => {
                match &mut message.data {
                    None => message.data = Some(Cow::Borrowed(value)),
                    // In place: an event of nothing but lines would otherwise cost the square of its size.
                    Some(before) => before.to_mut().extend(["\n", value]),
                }
            }
            "id" | "retry" => {}
            _ => return None,
        }
    }
    Some(message)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{SOFT_ENDS, Scanner, TooLarge, needs_a_look, read};

    fn cut(text: &[u8], sizes: &[usize]) -> (Vec<Vec<u8>>, Vec<u8>) {
        let (mut scanner, mut events, mut at) = (Scanner::new(1 << 20), Vec::new(), 0);
        let mut sizes = sizes.iter().cycle();
        while at < text.len() {
            let end = text.len().min(at + sizes.next().unwrap().max(&1));
            scanner.feed(&text[at..end]);
            at = end;
            while let Some(event) = scanner.next().unwrap() {
                events.push(event.to_vec());
                let count = events.last().map_or(0, Vec::len);
                assert_eq!(scanner.take(count), events.last().unwrap());
            }
        }
        (events, scanner.rest().to_vec())
    }

    proptest! {
        #[test]
        fn chunking_changes_neither_bytes_nor_events(
            text in "(data: \\{\"a\":1\\}|event: x|: ping|\n|\r\n|\n\n|d){0,60}",
            sizes in prop::collection::vec(1_usize..9, 1..8),
        ) {
            let (events, rest) = cut(text.as_bytes(), &sizes);
            let mut together = events.concat();
            together.extend(&rest);
            prop_assert_eq!(together, text.as_bytes().to_vec());
            prop_assert_eq!(cut(text.as_bytes(), &[usize::MAX >> 1]), (events, rest));
        }
    }

    #[test]
    fn no_reader_finds_an_event_that_another_does_not_see() {
        for end in ["\u{b}", "\u{c}", "\u{1c}", "\u{85}", "\u{2028}", "\u{2029}"] {
            for line in [": c", "id: 7", "data: {\"a\":\"x"] {
                let text = format!("{line}{end}data: {{\"model\":\"evil\"}}\n\n");
                assert!(read(text.as_bytes()).is_none(), "{text:?}");
            }
        }
        assert!(
            read("data: {\"a\":\"one\u{2028}two\"}\n\n".as_bytes()).is_some(),
            "text may hold them"
        );
    }

    #[test]
    fn every_end_that_only_some_readers_know_is_looked_at() {
        for end in SOFT_ENDS {
            assert!(needs_a_look(end.to_string().as_bytes()), "{end:?}");
        }
        for byte in [b"\r", b"\0", b"\x1f"] {
            assert!(needs_a_look(byte));
        }
        assert!(!needs_a_look("data: {\"a\": \"gr\u{fc}n\"}\n\n".as_bytes()));
    }

    #[test]
    fn lines_of_data_are_joined_and_comments_say_nothing() {
        let message = read(b"event: a\r\ndata: 1\r\ndata:2\r\n\r\n").unwrap();
        assert_eq!((message.name, message.data.as_deref()), (Some("a"), Some("1\n2")));
        assert_eq!(read(b": ping\n\n").unwrap().data, None);
    }

    #[test]
    fn an_event_of_nothing_but_lines_costs_no_more_than_its_size() {
        let text = "data: 1234567\n".repeat(300_000) + "\n";
        let began = std::time::Instant::now();
        let message = read(text.as_bytes()).unwrap();
        assert_eq!(message.data.unwrap().len(), 300_000 * 8 - 1);
        // Copying what was joined before for each line is some 360 GB.
        assert!(began.elapsed() < std::time::Duration::from_secs(10));
    }

    #[test]
    fn what_readers_disagree_about_is_refused() {
        for raw in [
            &b"data: 1\rdata: 2\n\n"[..],
            b"data: \xff\n\n",
            b"\xef\xbb\xbfdata: 1\n\n",
            b"<html>\n\n",
            b" data: 1\n\n",
        ] {
            assert_eq!(read(raw), None, "{}", String::from_utf8_lossy(raw));
        }
    }

    #[test]
    fn an_event_without_end_is_too_large() {
        let mut scanner = Scanner::new(100);
        let mut fed = 0;
        while scanner.next() == Ok(None) {
            scanner.feed(b"data: xxxxxx\n");
            fed += 13;
        }
        assert!(fed <= 117, "{fed}");
        let mut scanner = Scanner::new(10);
        scanner.feed(b"data: 0123456789\n\n");
        assert_eq!(scanner.next(), Err(TooLarge));
    }
}
