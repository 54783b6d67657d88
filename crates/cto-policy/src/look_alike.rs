//! Names that a file system may take for another name.

/// Folds what differs only in case, beyond ASCII: the simple mapping of Unicode, one character for one.
///
/// ASCII stays as it is, where a comparison can ignore its case; bytes that are no UTF-8 stay too.
pub(crate) fn fold(name: &[u8]) -> Vec<u8> {
    let mut folded = Vec::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        for c in chunk.valid().chars() {
            let c = if c.is_ascii() { c } else { fold_char(c) };
            folded.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
        folded.extend_from_slice(chunk.invalid());
    }
    folded
}

/// By way of the capital, so that `ſ` becomes `s` and the Kelvin sign `k`.
fn fold_char(c: char) -> char {
    let upper = only(c.to_uppercase()).unwrap_or(c);
    only(upper.to_lowercase()).unwrap_or(upper)
}

fn only(mut mapped: impl Iterator<Item = char>) -> Option<char> {
    mapped.next().filter(|_| mapped.next().is_none())
}

/// Tells whether git, on any file system, would take a name for its own directory.
pub fn is_git_directory(name: &[u8]) -> bool {
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
    fn folds_case_beyond_ascii_and_leaves_everything_else() {
        for (name, folded) in [
            ("ÄÉ", "äé"),
            ("ΣΑΣς", "σασσ"),
            ("\u{212a}", "k"),
            ("ſ", "s"),
            ("Ж", "ж"),
            ("aB.C", "aB.C"),
            ("ß世", "ß世"),
        ] {
            assert_eq!(fold(name.as_bytes()), folded.as_bytes(), "{name}");
        }
        assert_eq!(fold(b"\xffA\xc3"), b"\xffA\xc3");
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
