//! Recognises the credential in what an upstream sends back, also encoded and also in pieces.

use std::fmt;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, MatchKind};
use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use memchr::memchr;
use zeroize::Zeroizing;

/// Shorter credentials, and shorter pieces of one, occur in ordinary text.
const SHORTEST: usize = 8;

/// The forms in which a credential may come back. It shows nothing of them.
#[derive(Clone)]
pub(crate) struct Forms {
    whole: Option<Arc<AhoCorasick>>,
    patterns: Arc<[Pattern]>,
}

impl fmt::Debug for Forms {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} forms", self.patterns.len())
    }
}

struct Pattern {
    bytes: Zeroizing<Vec<u8>>,
    /// For each length, how much of it is also a beginning of the pattern (Knuth, Morris, Pratt).
    borders: Vec<usize>,
}

impl Forms {
    /// The credential itself, Base64 at each alignment, hexadecimal and percent-encoded.
    pub(crate) fn of(credential: &[u8]) -> Self {
        let mut forms = vec![credential.to_vec()];
        for skip in 0..3_usize {
            // Characters that also depend on neighbours are left out at both ends.
            let shifted = [&vec![0; skip][..], credential].concat();
            let (start, end) = ((skip * 8).div_ceil(6), shifted.len() * 8 / 6);
            for text in [BASE64_NOPAD.encode(&shifted), BASE64URL_NOPAD.encode(&shifted)] {
                forms.extend(text.as_bytes().get(start..end).map(<[u8]>::to_vec));
            }
        }
        forms.push(HEXLOWER.encode(credential).into_bytes());
        forms.push(HEXUPPER.encode(credential).into_bytes());
        let percent = |needs: fn(u8) -> bool, upper: bool| -> Vec<u8> {
            let encoded = credential.iter().map(|byte| match (needs(*byte), upper) {
                (false, _) => char::from(*byte).to_string(),
                (true, true) => format!("%{byte:02X}"),
                (true, false) => format!("%{byte:02x}"),
            });
            encoded.collect::<String>().into_bytes()
        };
        let reserved = |byte: u8| !byte.is_ascii_alphanumeric() && !b"-_.~".contains(&byte);
        for upper in [false, true] {
            forms.push(percent(reserved, upper));
            forms.push(percent(|_| true, upper));
        }
        forms.retain(|form| form.len() >= SHORTEST);
        forms.sort();
        forms.dedup();
        // Which of the forms it is does not matter, and leftmost matching may skip ahead where none can begin.
        let whole = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostFirst)
            .build(&forms);
        let whole = whole.ok().filter(|_| !forms.is_empty());
        Self {
            whole: whole.map(Arc::new),
            patterns: forms.into_iter().map(Pattern::new).collect(),
        }
    }

    /// No credential: nothing is recognised.
    pub(crate) fn none() -> Self {
        Self {
            whole: None,
            patterns: Arc::new([]),
        }
    }

    /// Whether a piece holds a whole form.
    pub(crate) fn occur_in(&self, bytes: &[u8]) -> bool {
        self.whole.as_ref().is_some_and(|whole| whole.is_match(bytes))
    }

    /// A watch over text that comes in pieces.
    pub(crate) fn watch(&self) -> Watch {
        Watch {
            matched: vec![0; self.patterns.len()],
            patterns: Arc::clone(&self.patterns),
            found: false,
        }
    }
}

impl Pattern {
    fn new(bytes: Vec<u8>) -> Self {
        let mut borders = vec![0; bytes.len() + 1];
        let mut border = 0;
        for end in 1..bytes.len() {
            while border > 0 && bytes[end] != bytes[border] {
                border = borders[border];
            }
            border += usize::from(bytes[end] == bytes[border]);
            borders[end + 1] = border;
        }
        Self {
            bytes: Zeroizing::new(bytes),
            borders,
        }
    }

    fn step(&self, mut matched: usize, byte: u8) -> usize {
        if matched == self.bytes.len() {
            matched = self.borders[matched];
        }
        while matched > 0 && self.bytes[matched] != byte {
            matched = self.borders[matched];
        }
        matched + usize::from(self.bytes[matched] == byte)
    }
}

/// Follows the forms through a text that arrives in pieces.
pub(crate) struct Watch {
    patterns: Arc<[Pattern]>,
    matched: Vec<usize>,
    found: bool,
}

impl fmt::Debug for Watch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "a watch, found: {}", self.found)
    }
}

impl Watch {
    pub(crate) fn feed(&mut self, text: &str) {
        for (pattern, matched) in self.patterns.iter().zip(&mut self.matched) {
            let mut rest = text.as_bytes();
            loop {
                if *matched == 0 {
                    // Nothing has begun: on to where something may.
                    let next = pattern.bytes.first().and_then(|first| memchr(*first, rest));
                    rest = next.and_then(|at| rest.get(at..)).unwrap_or_default();
                }
                let Some((byte, behind)) = rest.split_first() else {
                    break;
                };
                *matched = pattern.step(*matched, *byte);
                self.found |= *matched == pattern.bytes.len();
                rest = behind;
            }
        }
    }

    pub(crate) fn found(&self) -> bool {
        self.found
    }

    /// Whether the text ends in the beginning of a form, long enough to be no accident.
    pub(crate) fn is_suspicious(&self) -> bool {
        self.matched.iter().any(|matched| *matched >= SHORTEST)
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::{BASE64, BASE64URL, HEXLOWER};
    use proptest::prelude::*;

    use super::Forms;

    const KEY: &str = "sk-live/Zq8+rT2vXy901Bn";

    #[test]
    fn every_encoding_at_every_alignment_is_recognised() {
        let forms = Forms::of(KEY.as_bytes());
        for before in ["", "a", "ab", "Bearer "] {
            let text = format!("{before}{KEY}:tail");
            for encoded in [
                text.clone(),
                BASE64.encode(text.as_bytes()),
                BASE64URL.encode(text.as_bytes()),
                HEXLOWER.encode(text.as_bytes()),
            ] {
                assert!(forms.occur_in(encoded.as_bytes()), "{encoded}");
            }
        }
        assert!(forms.occur_in(b"?key=sk-live%2FZq8%2BrT2vXy901Bn&"));
        assert!(!forms.occur_in(b"sk-live/Zq8+rT2vXy901B"));
        assert!(!Forms::none().occur_in(KEY.as_bytes()));
        assert!(!format!("{forms:?}").contains("live"));
    }

    proptest! {
        #[test]
        fn pieces_do_not_hide_it(before in "[sk-]{0,20}", sizes in prop::collection::vec(1_usize..6, 1..6)) {
            let text = format!("{before}{KEY}");
            let mut watch = Forms::of(KEY.as_bytes()).watch();
            let (mut at, mut sizes) = (0, sizes.iter().cycle());
            while at < text.len() {
                let end = text.len().min(at + sizes.next().unwrap());
                prop_assert!(!watch.found());
                watch.feed(&text[at..end]);
                prop_assert!(end < before.len() + 8 || watch.is_suspicious());
                at = end;
            }
            prop_assert!(watch.found());
        }
    }

    #[test]
    fn ordinary_text_is_never_suspicious() {
        let mut watch = Forms::of(KEY.as_bytes()).watch();
        watch.feed("sk-live is how keys begin, skates live here, 736b2d");
        assert!(!watch.found() && !watch.is_suspicious());
    }
}
