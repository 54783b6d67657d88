//! Which names must not come out of a sandbox.

use cto_schema::escape;

/// Tells whether a name holds a character that moves a cursor, reorders or hides text.
///
/// Bytes that are no UTF-8 are not such: they are always shown escaped, and patches carry them.
pub(super) fn is_unsafe(path: &[u8]) -> bool {
    path.utf8_chunks()
        .any(|chunk| escape(chunk.valid().as_bytes(), usize::MAX) != chunk.valid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_bidi_characters_are_unsafe_and_foreign_bytes_are_not() {
        for name in [
            &b"a\nb"[..],
            b"\x1b[31m",
            "a\u{202e}b".as_bytes(),
            b"\x7f",
            "\u{9b}".as_bytes(),
            b"\xff\t",
        ] {
            assert!(is_unsafe(name), "{name:?}");
        }
        for name in [&b"plain"[..], b"\xff\xfe", "Grüße 世界".as_bytes(), b"a\"b'c d", b"-x"] {
            assert!(!is_unsafe(name), "{name:?}");
        }
    }
}
