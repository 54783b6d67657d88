//! Texts of the control summary: short, inert, and free of what it must never carry.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize, de};

use crate::admission::looks_like_a_secret;
use crate::untrusted::escape;

/// Longest text, in characters.
const LONGEST: usize = 400;

/// One line of at most 400 characters that holds no control or invisible character, absolute path, address, host and
/// port, or anything in the shape of a credential. Making one replaces such words by the name of their class.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ControlText(String);

impl ControlText {
    /// Makes a text; whatever may not stand in it is replaced by its class.
    pub fn new(text: &str) -> Self {
        if looks_like_a_secret(text).is_some() {
            return Self("(withheld: it has the shape of a credential)".to_owned());
        }
        let line = escape(text.trim().as_bytes(), usize::MAX);
        let words: Vec<Cow<'_, str>> = line.split(' ').map(shown).collect();
        let mut text = words.join(" ");
        if text.chars().count() > LONGEST {
            text = text.chars().take(LONGEST - 1).collect();
            text.push('…');
        }
        Self(text)
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Returns the word, or the class of what may not be shown.
fn shown(word: &str) -> Cow<'_, str> {
    let bare = word.trim_matches(|c: char| "\"'`,;()[]{}<>.!?".contains(c));
    let bare = bare.rsplit('=').next().unwrap_or(bare);
    let lower = bare.to_lowercase();
    if lower.contains("://") || lower.starts_with("data:") || lower.starts_with("javascript:") || is_address(&lower) {
        return Cow::Borrowed("(address withheld)");
    }
    let absolute = bare.len() > 1 && bare.starts_with('/');
    if absolute || bare.starts_with("~/") || ["/home/", "/root/", "/users/"].iter().any(|home| lower.contains(home)) {
        return Cow::Borrowed("(path withheld)");
    }
    Cow::Borrowed(word)
}

/// An IP address, or a host with a port; with a user or without.
fn is_address(word: &str) -> bool {
    let host = word.rsplit('@').next().unwrap_or(word);
    let host = host.split('/').next().unwrap_or(host);
    if host.parse::<std::net::IpAddr>().is_ok() || host.parse::<std::net::SocketAddr>().is_ok() {
        return true;
    }
    let named = |host: &str| host == "localhost" || host.contains('.');
    let has_port = host.rsplit_once(':').is_some_and(|(host, port)| {
        named(host) && !port.is_empty() && port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit())
    });
    has_port || (word.contains('@') && named(host))
}

impl fmt::Display for ControlText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for ControlText {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for ControlText {
    fn from(text: String) -> Self {
        Self::new(&text)
    }
}

/// A place below the home directory of the installation: `runs/<run>/report.json`. Never absolute, never upwards.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReplayPath(String);

/// The text that an operator copies to approve one packet: a command and nothing else, on one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovalCommand(String);

/// A text of the control summary that is not in its form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidControlText(&'static str);

impl ReplayPath {
    /// Returns the path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ReplayPath {
    type Err = InvalidControlText;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let part = |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(plain);
        if text.len() <= 200 && text.split('/').all(part) {
            return Ok(Self(text.to_owned()));
        }
        Err(InvalidControlText(
            "a replay path is relative, has at most 200 characters of A-Z, a-z, 0-9, '._-/', and no part starts with a dot",
        ))
    }
}

impl ApprovalCommand {
    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ApprovalCommand {
    type Err = InvalidControlText;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let held = text.strip_prefix("cto approve ap-").and_then(|rest| {
            let (id, digest) = rest.split_once(" --contract-sha256 ")?;
            let id_byte = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
            let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
            let good = (1..=32).contains(&id.len()) && id.bytes().all(id_byte);
            (good && digest.len() == 64 && digest.bytes().all(hex)).then_some(())
        });
        match held {
            Some(()) => Ok(Self(text.to_owned())),
            None => Err(InvalidControlText(
                "an approval's text is 'cto approve ap-… --contract-sha256 …' and nothing else",
            )),
        }
    }
}

macro_rules! as_text {
    ($name:ident, $pattern:literal) => {
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    };
}

as_text!(ControlText, "^[^\\x00-\\x1f\\x7f]{0,400}$");
as_text!(ReplayPath, "^[A-Za-z0-9_-][A-Za-z0-9._/-]{0,199}$");
as_text!(
    ApprovalCommand,
    "^cto approve ap-[0-9a-z]{1,32} --contract-sha256 [0-9a-f]{64}$"
);

impl<'de> Deserialize<'de> for ControlText {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        let made = Self::new(&text);
        if made.0 == *text {
            return Ok(made);
        }
        Err(de::Error::custom(
            "a text holds what a control summary never carries: a path, an address, a credential or a control character",
        ))
    }
}

macro_rules! parsed {
    ($name:ident) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Cow::<'de, str>::deserialize(deserializer)?
                    .parse()
                    .map_err(de::Error::custom)
            }
        }
    };
}

parsed!(ReplayPath);
parsed!(ApprovalCommand);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_summary_never_carries_is_replaced_by_its_class() {
        for (text, expected) in [
            (
                "no program at /home/me/bin/codex here",
                "no program at (path withheld) here",
            ),
            ("set '~/x'", "set (path withheld)"),
            ("at https://models.example/v1", "at (address withheld)"),
            ("at 10.1.2.3:8080", "at (address withheld)"),
            ("at 10.1.2.3, and ::1", "at (address withheld) and (address withheld)"),
            ("at models.example:443", "at (address withheld)"),
            ("at localhost:1234/v1", "at (address withheld)"),
            ("mail me@models.example", "mail (address withheld)"),
            ("PATH=/root/bin", "(path withheld)"),
            ("javascript:alert(1)", "(address withheld)"),
            ("a\u{1b}[2Jb\u{202e}c", "a\\u{1b}[2Jb\\u{202e}c"),
            (
                "src/pager.py and 1.2.3 and stage 2: no",
                "src/pager.py and 1.2.3 and stage 2: no",
            ),
            ("token=abcd1234efgh5678", "(withheld: it has the shape of a credential)"),
        ] {
            assert_eq!(ControlText::new(text).as_str(), expected, "{text}");
        }
    }

    #[test]
    fn a_text_that_was_made_is_read_back_and_one_that_was_not_is_refused() {
        for text in [
            "x /home/me/y",
            &"long ".repeat(400),
            "a\nb",
            "token=abcd1234efgh5678",
            " at 1.2.3.4:5 ",
        ] {
            let made = ControlText::new(text);
            let json = serde_json::to_string(&made).unwrap();
            assert_eq!(serde_json::from_str::<ControlText>(&json).unwrap(), made, "{text}");
            let raw = serde_json::to_string(text).unwrap();
            assert!(serde_json::from_str::<ControlText>(&raw).is_err(), "{text}");
        }
    }

    #[test]
    fn a_replay_path_stays_below_the_home() {
        assert!(
            "runs/20261120t103101z-x-ib5cvr6ubc/report.json"
                .parse::<ReplayPath>()
                .is_ok()
        );
        for bad in [
            "",
            "/etc/passwd",
            "runs/../x",
            "runs//x",
            "runs/x y",
            "C:\\x",
            "runs/.x",
            "runs/\u{e9}",
            "a/",
        ] {
            assert!(bad.parse::<ReplayPath>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_approval_text_is_one_command_and_nothing_else() {
        let good = format!("cto approve ap-abcdefghij234567 --contract-sha256 {}", "a".repeat(64));
        assert!(good.parse::<ApprovalCommand>().is_ok());
        for bad in [
            format!("{good}\n"),
            format!("{good}; rm -rf x"),
            format!("{good} --key x"),
            good.replace("ap-", "ap-\u{202e}"),
            good.replace("approve", "deny"),
            good.replace(" ap-", "  ap-"),
            good.to_uppercase(),
            good[..good.len() - 1].to_owned(),
        ] {
            assert!(bad.parse::<ApprovalCommand>().is_err(), "{bad}");
        }
    }
}
