//! Which values of the environment are kept out of evidence.

use std::collections::BTreeSet;

use cto_evidence::KnownSecret;

/// Words in the names of variables that hold credentials, wherever they stand.
const ANYWHERE: [&str; 7] = [
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "CREDENTIAL",
    "KEY",
];
/// Words that mean that only as a whole part of a name (`GITHUB_PAT`, not `PATH`).
const WHOLE: [&str; 2] = ["PAT", "PASS"];
/// The shortest credential of a provider that is looked for; shorter ones occur in ordinary text.
const NAMED_MIN_BYTES: usize = 8;
/// The shortest value that is taken for a credential by its variable's name and its own shape.
const GUESSED_MIN_BYTES: usize = 16;
/// The shortest password in an address.
const PASSWORD_MIN_BYTES: usize = 8;

/// Returns the values that must not reach evidence. `named` are the variables that settings or a built-in provider name
/// as the source of a credential: theirs count whatever they look like.
///
/// They never reach a cage; this is for the day on which an operator puts one into a command line or a contract, or an
/// agent gets at one some other way.
pub(crate) fn secrets(
    variables: impl Iterator<Item = (String, Vec<u8>)>,
    named: &BTreeSet<String>,
) -> Vec<KnownSecret> {
    let mut found = Vec::new();
    for (name, value) in variables {
        let trimmed = value.trim_ascii();
        let is_named = named.contains(&name) && trimmed.len() >= NAMED_MIN_BYTES;
        let is_guessed = || is_like_a_credential(&name) && is_random(trimmed, GUESSED_MIN_BYTES);
        if is_named || is_guessed() {
            found.push(KnownSecret {
                name: format!("environment variable {name}"),
                value: trimmed.to_vec(),
            });
        }
        let passwords = std::str::from_utf8(trimmed).ok().and_then(password);
        for value in passwords.into_iter().flatten() {
            found.push(KnownSecret {
                name: format!("password in environment variable {name}"),
                value,
            });
        }
    }
    found
}

fn is_like_a_credential(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    ANYWHERE.iter().any(|word| name.contains(word)) || name.split('_').any(|part| WHOLE.contains(&part))
}

/// Short or wordy values, and paths, would be found in ordinary text.
fn is_random(value: &[u8], min_bytes: usize) -> bool {
    value.len() >= min_bytes
        && value.iter().all(u8::is_ascii_graphic)
        && value.iter().any(u8::is_ascii_digit)
        && value.iter().any(u8::is_ascii_alphabetic)
        && !value.starts_with(b"/")
}

/// Returns the password of `scheme://user:password@host`, as it is written and as it is meant.
fn password(value: &str) -> Option<Vec<Vec<u8>>> {
    let (_, rest) = value.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (user_and_password, _) = authority.rsplit_once('@')?;
    let (_, written) = user_and_password.split_once(':')?;
    let meant = percent_encoding::percent_decode_str(written).collect::<Vec<u8>>();
    if !is_random(&meant, PASSWORD_MIN_BYTES) {
        return None;
    }
    let mut both = vec![written.as_bytes().to_vec(), meant];
    both.dedup();
    Some(both)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, value: &str) -> Vec<String> {
        let named = BTreeSet::from(["OPENAI_LOGIN".to_owned()]);
        let variables = [(name.to_owned(), value.as_bytes().to_vec())];
        let found = secrets(variables.into_iter(), &named);
        found
            .into_iter()
            .map(|secret| String::from_utf8(secret.value).unwrap())
            .collect()
    }

    #[test]
    fn what_is_kept_out_follows_from_name_and_shape() {
        for (name, value, is_secret) in [
            ("DEPLOY_TOKEN", "abcdefgh12345678", true),
            ("DEPLOY_TOKEN", "abcdefgh1234567", false),
            ("DEPLOY_TOKEN", "abcdefghabcdefgh", false),
            ("DEPLOY_TOKEN", "1234567812345678", false),
            ("DEPLOY_TOKEN", "abcdefgh 12345678", false),
            ("TOKEN_FILE", "/run/secrets/token1", false),
            ("GITHUB_PAT", "abcdefgh12345678", true),
            ("DB_PASS", "abcdefgh12345678", true),
            ("key_passphrase", "abcdefgh12345678", true),
            ("MYPATH", "abcdefgh12345678", false),
            ("COMPASS", "abcdefgh12345678", false),
            ("BRANCH", "abcdefgh12345678", false),
            // A variable that is named as the source of a credential, whatever it looks like.
            ("OPENAI_LOGIN", "plainwords", true),
            ("OPENAI_LOGIN", "two words and a third", true),
            ("OPENAI_LOGIN", "/slash/first", true),
            ("OPENAI_LOGIN", "12345678", true),
            ("OPENAI_LOGIN", "1234567", false),
        ] {
            let expected: Vec<String> = is_secret.then(|| value.to_owned()).into_iter().collect();
            assert_eq!(found(name, value), expected, "{name}={value}");
        }
    }

    #[test]
    fn the_password_of_an_address_is_kept_out_and_the_address_is_not() {
        for (value, expected) in [
            ("postgres://app:s3cr3tpw@db/x", vec!["s3cr3tpw"]),
            ("postgres://app:s3cr%40tpw@db/x?y=z@w", vec!["s3cr%40tpw", "s3cr@tpw"]),
            ("redis://:s3cr3tpw@db", vec!["s3cr3tpw"]),
            ("postgres://app:s3cr3t@db/x", vec![]),
            ("postgres://app:postgres@db/x", vec![]),
            ("postgres://app@db/x:s3cr3tpw@", vec![]),
            ("https://host/path", vec![]),
        ] {
            assert_eq!(found("DATABASE_URL", value), expected, "{value}");
        }
    }

    #[test]
    fn the_end_of_a_line_is_no_part_of_a_credential() {
        assert_eq!(found("OPENAI_LOGIN", "plainwords\n"), ["plainwords"]);
    }
}
