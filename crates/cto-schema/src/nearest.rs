//! The nearest known name, for errors that say what was probably meant.

/// Returns the candidate closest to `name` by edit distance, if it is close enough to be a likely slip.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let limit = (name.chars().count() / 3).max(2);
    candidates
        .into_iter()
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate.to_owned())
}

/// Levenshtein distance by one row of the usual table.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// Shortens a YAML reader's complaint to one line: where, what, and for an unknown field the nearest known one.
///
/// The reader lists every known field and quotes the file; both bury the one thing that is wrong.
pub fn explain_yaml(message: &str) -> String {
    let first = message.lines().next().unwrap_or_default();
    let first = first.strip_prefix("error: ").unwrap_or(first);
    // Advice to programmers, not to the author of the file.
    let first = first.split(", set DuplicateKeyPolicy").next().unwrap_or(first);
    let (head, known) = first.split_once(", expected one of ").unwrap_or((first, ""));
    let unknown = head
        .split_once("unknown field `")
        .and_then(|(_, rest)| rest.split_once('`'))
        .map(|(name, _)| name);
    let known = known.split(", ").map(|name| name.trim_matches(['`', ' ']));
    let hint = unknown.and_then(|name| nearest(name, known));
    let text = crate::untrusted::escape(head.as_bytes(), 400);
    hint.map_or_else(|| text.clone(), |name| format!("{text} (did you mean '{name}'?)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_a_slip_and_not_a_stranger() {
        assert_eq!(nearest("fkae", ["fake", "command"]).as_deref(), Some("fake"));
        assert_eq!(nearest("commnd", ["fake", "command"]).as_deref(), Some("command"));
        assert_eq!(nearest("postgres", ["fake", "command"]), None);
    }
}
