//! Which names must not come out of a sandbox.

use cto_schema::escape;

/// Tells whether a name holds a character that moves a cursor, reorders or hides text.
///
/// Bytes that are no UTF-8 are not such: they are always shown escaped, and patches carry them.
pub(super) fn is_unsafe(path: &[u8]) -> bool {
    path.utf8_chunks()
        .any(|chunk| escape(chunk.valid().as_bytes(), usize::MAX) != chunk.valid())
}

/// Tells whether git, on any file system, would take a name for its own directory.
pub(super) fn is_git_directory(name: &[u8]) -> bool {
    let text = String::from_utf8_lossy(name);
    // HFS ignores these when it compares; NTFS ignores trailing dots, spaces and streams.
    let visible: String = text
        .chars()
        .filter(|c| !matches!(u32::from(*c), 0x200c..=0x200f | 0x202a..=0x202e | 0x206a..=0x206f | 0xfeff))
        .collect();
    let base = visible
        .split([':', '\\'])
        .next()
        .unwrap_or_default()
        .trim_end_matches(['.', ' ']);
    base.eq_ignore_ascii_case(".git") || base.eq_ignore_ascii_case("git~1")
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

    #[test]
    fn sees_every_look_alike_of_git() {
        for name in [
            &b".git"[..],
            b".GIT",
            b".Git.",
            b".git ",
            b".git::$INDEX_ALLOCATION",
            b"GIT~1",
            ".g\u{200c}it".as_bytes(),
        ] {
            assert!(is_git_directory(name), "{name:?}");
        }
        for name in [&b".gitignore"[..], b".github", b"git", b"x.git", b".git2"] {
            assert!(!is_git_directory(name), "{name:?}");
        }
    }
}
