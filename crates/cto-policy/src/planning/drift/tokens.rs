//! Words of a sentence.

/// A word, a sign, or what stands for something that was quoted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    /// In lower case, with a plain apostrophe.
    pub(super) word: String,
    /// Whether it was written with a capital letter or as code.
    pub(super) name: bool,
    /// Where it starts in the text that was split.
    pub(super) at: usize,
}

/// What a quotation becomes.
pub(super) const QUOTED: &str = "\u{fffc}";

/// Splits text into words and signs. Words keep hyphens, underscores and apostrophes inside.
pub(super) fn tokens(text: &str, code: &[std::ops::Range<usize>]) -> Vec<Token> {
    let mut found: Vec<Token> = Vec::new();
    let mut word: Option<usize> = None;
    let close = |word: &mut Option<usize>, end: usize, found: &mut Vec<Token>| {
        if let Some(start) = word.take() {
            let raw = text[start..end].trim_end_matches(['-', '_', '\'', '’']);
            if !raw.is_empty() {
                found.push(Token {
                    word: lower(raw),
                    name: raw.starts_with(char::is_uppercase) || code.iter().any(|range| range.contains(&start)),
                    at: start,
                });
            }
        }
    };
    for (at, c) in text.char_indices() {
        let inside = c.is_alphanumeric() || (word.is_some() && "-_'’".contains(c));
        if inside || (c == '_' && word.is_none()) {
            word.get_or_insert(at);
            continue;
        }
        close(&mut word, at, &mut found);
        if !c.is_whitespace() {
            found.push(Token {
                word: c.to_string(),
                name: false,
                at,
            });
        }
    }
    close(&mut word, text.len(), &mut found);
    found
}

fn lower(raw: &str) -> String {
    if raw.is_ascii() {
        return raw.to_ascii_lowercase();
    }
    raw.to_lowercase().replace('’', "'")
}

/// Returns whether the words at a place are those of a phrase.
pub(super) fn starts(tokens: &[Token], at: usize, phrase: &[String]) -> bool {
    tokens
        .get(at..at + phrase.len())
        .is_some_and(|here| here.iter().zip(phrase).all(|(token, word)| token.word == *word))
}
