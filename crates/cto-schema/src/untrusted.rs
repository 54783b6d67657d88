//! Text that an engine, a model or a repository chose, and the one way to show it.

use std::fmt::Write as _;

/// A value from outside the trust boundary. It has no `Display`: the only way out is [`Untrusted::escaped`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untrusted<T>(T);

impl<T: AsRef<[u8]>> Untrusted<T> {
    /// Marks a value as untrusted.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// Returns at most `cap` bytes of it as text without control, bidirectional or invisible characters.
    pub fn escaped(&self, cap: usize) -> String {
        escape(self.0.as_ref(), cap)
    }
}

/// Renders bytes as printable text: invalid UTF-8 becomes `\xNN`; control, format, bidirectional, private and
/// line-separating characters become `\u{N}`; a text over `cap` bytes is cut and says so.
pub fn escape(bytes: &[u8], cap: usize) -> String {
    let cut = bytes.len() > cap;
    let shown = &bytes[..bytes.len().min(cap)];
    let mut out = String::with_capacity(shown.len());
    for chunk in shown.utf8_chunks() {
        for c in chunk.valid().chars() {
            push_escaped(&mut out, c);
        }
        for byte in chunk.invalid() {
            push(&mut out, format_args!("\\x{byte:02x}"));
        }
    }
    if cut {
        push(&mut out, format_args!("… [{} bytes cut]", bytes.len() - cap));
    }
    out
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    out.write_fmt(text).unwrap_or_default();
}

fn push_escaped(out: &mut String, c: char) {
    match c {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        c if is_unsafe(c) => push(out, format_args!("\\u{{{:x}}}", u32::from(c))),
        c => out.push(c),
    }
}

/// Replaces every character of a JSON document that must not be shown raw by its `\u` escape; the value is the same.
///
/// Outside strings JSON is ASCII, and serde escapes the ASCII control characters inside them, so every such character
/// stands in a string, where an escape is as good.
pub fn inert_json(json: String) -> String {
    if !json.chars().any(|c| c != '\n' && is_unsafe(c)) {
        return json;
    }
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if c != '\n' && is_unsafe(c) {
            let mut units = [0u16; 2];
            for unit in c.encode_utf16(&mut units) {
                push(&mut out, format_args!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// True for characters that can move a cursor, reorder or hide text, or are not assigned for interchange.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(u32::from(c),
            0xad | 0x34f | 0x61c | 0x115f..=0x1160 | 0x17b4..=0x17b5 | 0x180b..=0x180f
            | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0x3164 | 0xfe00..=0xfe0f | 0xfeff
            | 0xffa0 | 0xfff0..=0xfffb | 0xe000..=0xf8ff | 0x1d173..=0x1d17a | 0xe0000..=0x10_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_moves_a_cursor_or_reorders_text_survives() {
        let hostile = b"a\x1b[31m\x07\xc2\x9b\r\n\xe2\x80\xae\xff\xf3\xa0\x81\x81z";
        let shown = escape(hostile, 1000);
        assert!(shown.bytes().all(|b| (0x20..0x7f).contains(&b)), "{shown}");
        assert!(shown.starts_with('a') && shown.ends_with('z'));
    }

    #[test]
    fn inert_json_has_the_same_value_and_nothing_that_moves_a_cursor() {
        let value = serde_json::json!({ "a\u{9b}b": "x\u{202e}y\u{7f}z\u{e0041}\n世界" });
        for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
            let inert = inert_json(text);
            assert!(!inert.chars().any(|c| c != '\n' && is_unsafe(c)), "{inert}");
            assert_eq!(serde_json::from_str::<serde_json::Value>(&inert).unwrap(), value);
        }
    }

    #[test]
    fn says_how_much_was_cut() {
        assert_eq!(escape(b"abcdef", 4), "abcd… [2 bytes cut]");
    }

    #[test]
    fn ordinary_text_of_any_script_stays_readable() {
        assert_eq!(escape("Grüße, 世界".as_bytes(), 100), "Grüße, 世界");
    }
}
