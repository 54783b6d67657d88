//! Shell words: just enough of `sh` to look through `sh -c` and package scripts, and nothing that needs a guess.

/// Splits a script into the commands of one `&&` chain; `None` when it holds any other shell syntax.
///
/// In such a chain a failing command fails the whole, which `;`, `|` and `||` do not promise. Leading assignments
/// are dropped; unquoted `*`, `?` and braces stay in the words, for the runner's own reading of them.
pub(super) fn chained_commands(script: &str) -> Option<Vec<Vec<String>>> {
    let mut commands = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut chars = script.trim().chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' => push(&mut commands, &mut word),
            '\'' => {
                let text = word.get_or_insert_with(String::new);
                loop {
                    match chars.next()? {
                        '\'' => break,
                        inner => text.push(inner),
                    }
                }
            }
            '"' => {
                let text = word.get_or_insert_with(String::new);
                loop {
                    match chars.next()? {
                        '"' => break,
                        '$' | '`' => return None,
                        '\\' => match chars.next()? {
                            escaped @ ('"' | '\\' | '$' | '`') => text.push(escaped),
                            other => text.extend(['\\', other]),
                        },
                        inner => text.push(inner),
                    }
                }
            }
            '\\' => word.get_or_insert_with(String::new).push(chars.next()?),
            '&' if chars.peek() == Some(&'&') => {
                chars.next();
                push(&mut commands, &mut word);
                commands.push(Vec::new());
            }
            '|' | ';' | '<' | '>' | '(' | ')' | '$' | '`' | '&' | '#' | '~' | '!' | '\n' | '\r' => {
                return None;
            }
            plain => word.get_or_insert_with(String::new).push(plain),
        }
    }
    push(&mut commands, &mut word);
    for command in &mut commands {
        let assignments = command.iter().take_while(|word| is_assignment(word)).count();
        command.drain(..assignments);
    }
    commands.iter().all(|command| !command.is_empty()).then_some(commands)
}

/// Returns whether a word is `NAME=value`.
pub(super) fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    })
}

fn push(commands: &mut [Vec<String>], word: &mut Option<String>) {
    if let (Some(word), Some(command)) = (word.take(), commands.last_mut()) {
        command.push(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(script: &str, expected: Option<&[&[&str]]>) {
        let expected = expected.map(|commands| {
            commands
                .iter()
                .map(|c| c.iter().map(|w| (*w).to_owned()).collect())
                .collect()
        });
        assert_eq!(chained_commands(script), expected, "{script}");
    }

    #[test]
    fn splits_simple_commands_and_chains() {
        check("pytest -q", Some(&[&["pytest", "-q"]]));
        check(
            "A=1 B='x y' pytest -k \"a and b\"",
            Some(&[&["pytest", "-k", "a and b"]]),
        );
        check("cd pkg && npm test", Some(&[&["cd", "pkg"], &["npm", "test"]]));
        check(
            r#"node --test 'a b' c\ d "e\"f""#,
            Some(&[&["node", "--test", "a b", "c d", "e\"f"]]),
        );
        check("node --test test/*.js", Some(&[&["node", "--test", "test/*.js"]]));
        check("x ''", Some(&[&["x", ""]]));
    }

    #[test]
    fn gives_up_where_the_status_is_not_the_commands() {
        for script in [
            "a; b",
            "a | b",
            "a || true",
            "a &",
            "a && ",
            "a > f",
            "$X",
            "`a`",
            "(a)",
            "! a",
            "'a",
            "a\nb",
            "",
            "\"$A\"",
        ] {
            check(script, None);
        }
    }
}
