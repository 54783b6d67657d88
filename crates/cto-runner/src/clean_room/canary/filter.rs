//! Test filters: finds a name that a filter selects, or says that there is none.

/// A boolean expression over names, as pytest's `-k` and `-m` take it.
#[derive(Debug)]
enum Expression {
    Name(String),
    Not(Box<Self>),
    All(Vec<Self>),
    Any(Vec<Self>),
}

/// The longest expression; it may come from a file in the tree.
const MAX_WORDS: usize = 200;

/// A parsed filter expression and the names that it mentions.
#[derive(Debug)]
pub(super) struct Filter {
    expression: Expression,
    names: Vec<String>,
}

impl Filter {
    /// Parses an expression of names, `and`, `or`, `not` and brackets; `None` for anything else.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let spaced = text.replace('(', " ( ").replace(')', " ) ");
        let words: Vec<&str> = spaced.split_whitespace().collect();
        let plain = |word: &&str| word.chars().all(|c| c.is_alphanumeric() || "_()".contains(c));
        if words.is_empty() || words.len() > MAX_WORDS || !words.iter().all(plain) {
            return None;
        }
        let names = words
            .iter()
            .filter(|w| !["and", "or", "not", "(", ")"].contains(w))
            .map(|w| (*w).to_owned())
            .collect();
        let mut rest = words.as_slice();
        let expression = any(&mut rest, 0)?;
        rest.is_empty().then_some(Self { expression, names })
    }

    /// Evaluates with a judgement on each name.
    pub(super) fn holds(&self, judge: &dyn Fn(&str) -> bool) -> bool {
        holds(&self.expression, judge)
    }

    /// Returns sets of names to try, the empty one first.
    pub(super) fn proposals(&self) -> Vec<Vec<&str>> {
        let all: Vec<&str> = self.names.iter().map(String::as_str).collect();
        let single = all.iter().map(|name| vec![*name]);
        std::iter::once(Vec::new()).chain(single).chain([all.clone()]).collect()
    }
}

fn any(words: &mut &[&str], depth: usize) -> Option<Expression> {
    let mut parts = vec![all(words, depth)?];
    while take(words, "or") {
        parts.push(all(words, depth)?);
    }
    Some(Expression::Any(parts))
}

fn all(words: &mut &[&str], depth: usize) -> Option<Expression> {
    let mut parts = vec![not(words, depth)?];
    while take(words, "and") {
        parts.push(not(words, depth)?);
    }
    Some(Expression::All(parts))
}

fn not(words: &mut &[&str], depth: usize) -> Option<Expression> {
    if depth > 32 {
        return None;
    }
    if take(words, "not") {
        return Some(Expression::Not(Box::new(not(words, depth + 1)?)));
    }
    if take(words, "(") {
        let inner = any(words, depth + 1)?;
        return take(words, ")").then_some(inner);
    }
    let (word, rest) = words.split_first()?;
    *words = rest;
    (!["and", "or", ")"].contains(word)).then(|| Expression::Name((*word).to_owned()))
}

fn take(words: &mut &[&str], expected: &str) -> bool {
    match words.split_first() {
        Some((word, rest)) if *word == expected => {
            *words = rest;
            true
        }
        _ => false,
    }
}

fn holds(expression: &Expression, judge: &dyn Fn(&str) -> bool) -> bool {
    match expression {
        Expression::Name(name) => judge(name),
        Expression::Not(inner) => !holds(inner, judge),
        Expression::All(parts) => parts.iter().all(|part| holds(part, judge)),
        Expression::Any(parts) => parts.iter().any(|part| holds(part, judge)),
    }
}

/// Returns the literal alternatives of a simple regular expression: plain text, `|`, one `^` in front, `.*` at the
/// end. Each comes with whether it is anchored in front. `None` for anything that needs a real matcher.
pub(super) fn literals(pattern: &str) -> Option<Vec<(bool, String)>> {
    let plain = |c: char| c.is_alphanumeric() || " _-/,:'".contains(c);
    let mut found = Vec::new();
    for part in pattern.split('|') {
        let body = part.strip_suffix(".*").unwrap_or(part);
        let (anchored, body) = body.strip_prefix('^').map_or((false, body), |rest| (true, rest));
        let body = body.strip_prefix(".*").unwrap_or(body);
        if !body.chars().all(plain) {
            return None;
        }
        found.push((anchored, body.to_owned()));
    }
    Some(found)
}

/// Returns a test title that a simple regular expression selects: its first alternative and the token.
pub(super) fn title(pattern: Option<&str>, token: &str) -> Option<String> {
    match pattern {
        None => Some(token.to_owned()),
        Some(pattern) => {
            let first = literals(pattern)?.into_iter().next()?.1;
            Some(if first.is_empty() {
                token.to_owned()
            } else {
                format!("{first} {token}")
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evaluates_expressions() {
        let judge = |yes: &'static [&'static str]| move |name: &str| yes.contains(&name);
        for (text, names, expected) in [
            ("a", &["a"][..], true),
            ("not a", &["a"][..], false),
            ("a and not b", &["a"][..], true),
            ("a or b and c", &["a"][..], true),
            ("(a or b) and c", &["a"][..], false),
            ("not (a or b)", &[][..], true),
        ] {
            assert_eq!(Filter::parse(text).unwrap().holds(&judge(names)), expected, "{text}");
        }
        for text in ["", "a b", "a and", "(a", "a)", "not", "a-b", "a[1]", "'a'"] {
            assert!(Filter::parse(text).is_none(), "{text}");
        }
        assert!(Filter::parse(&format!("{} a", "not ".repeat(100_000))).is_none());
    }

    #[test]
    fn titles_match_simple_patterns_only() {
        assert_eq!(title(Some("slug"), "k3").as_deref(), Some("slug k3"));
        assert_eq!(title(Some("^a b|c"), "k3").as_deref(), Some("a b k3"));
        assert_eq!(title(Some(".*"), "k3").as_deref(), Some("k3"));
        for pattern in ["^a$", "a+", "(a)", "[a]", "a\\b", "a.b"] {
            assert_eq!(title(Some(pattern), "k3"), None, "{pattern}");
        }
    }
}
