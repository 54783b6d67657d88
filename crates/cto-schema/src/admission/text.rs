//! Texts of records, each with one canonical form: a value that parses is safe in a path, a message and a file.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize, de};

/// A text that is not in the canonical form of its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidText(pub(super) &'static str);

macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $pattern:literal, $rule:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Returns the text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidText;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let check: fn(&str) -> bool = $check;
                if check(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(InvalidText($rule))
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Cow::<'de, str>::deserialize(deserializer)?
                    .parse()
                    .map_err(de::Error::custom)
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

text!(
    /// The name of a model provider.
    ProviderName,
    "^[a-z0-9][a-z0-9._-]{0,63}$",
    "a provider's name has 1 to 64 characters of a-z, 0-9, '.', '_' and '-', and starts with a letter or digit",
    |text| lower(text, 64)
);

text!(
    /// The name of a model, exactly as a request and its response carry it.
    ModelName,
    "^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}$",
    "a model's name has 1 to 128 characters of letters, digits and '._:/@+-', starts with a letter or digit, and has no '..' or '//'",
    |text| within(text, 128, b"._:/@+-") && !text.contains("..") && !text.contains("//")
);

text!(
    /// A word of a vocabulary: a class of credential, of network, of source; a status.
    Word,
    "^[a-z0-9][a-z0-9._-]{0,127}$",
    "a class or status has 1 to 128 characters of a-z, 0-9, '.', '_' and '-'",
    |text| lower(text, 128)
);

text!(
    /// One line for people.
    Line,
    "^\\S(.{0,1998}\\S)?$",
    "a text is one line of 1 to 2000 characters without control or invisible characters, and no space at its ends",
    |text| {
        (1..=2000).contains(&text.chars().count())
            && text.trim() == text
            && crate::untrusted::escape(text.as_bytes(), usize::MAX) == text
    }
);

text!(
    /// An absolute path without `.`, `..`, doubled slashes or unusual characters.
    RecordedPath,
    "^/[^\\x00-\\x1f]*$",
    "a path is absolute, at most 1024 bytes, and has no '.', '..' or empty part and no control character",
    |text| {
        text.len() <= 1024
            && crate::untrusted::escape(text.as_bytes(), usize::MAX) == text
            && text
                .strip_prefix('/')
                .is_some_and(|rest| rest.split('/').all(|part| !matches!(part, "" | "." | "..")))
    }
);

text!(
    /// A full git commit id: a pin that cannot move.
    CommitId,
    "^([0-9a-f]{40}|[0-9a-f]{64})$",
    "a commit is pinned by its full id of 40 or 64 lower-case hex digits; a branch or an abbreviation moves",
    |text| matches!(text.len(), 40 | 64) && hex(text)
);

text!(
    /// A git tag of a release; names that move are refused.
    TagName,
    "^[A-Za-z0-9][A-Za-z0-9._/@+-]{0,127}$",
    "a tag is the name of one release with a digit in it; 'latest', 'HEAD' and branches move",
    |text| within(text, 128, b"._/@+-") && !text.contains("..") && text.bytes().any(|b| b.is_ascii_digit()) && !moves(text)
);

text!(
    /// A branch, for information only.
    BranchName,
    "^[A-Za-z0-9][A-Za-z0-9._/@+-]{0,127}$",
    "a branch has 1 to 128 characters of letters, digits and '._/@+-'",
    |text| within(text, 128, b"._/@+-") && !text.contains("..")
);

text!(
    /// The name of a package, npm's scopes included.
    PackageName,
    "^(@[a-z0-9][a-z0-9._-]*/)?[A-Za-z0-9][A-Za-z0-9._-]{0,127}$",
    "a package's name has letters, digits, '.', '_' and '-', with an npm scope in front where there is one",
    |text| match text.strip_prefix('@').map(|rest| rest.split_once('/')) {
        None => within(text, 128, b"._-"),
        Some(Some((scope, name))) => lower(scope, 64) && within(name, 128, b"._-"),
        Some(None) => false,
    }
);

text!(
    /// One exact version of a package; ranges and names that move are refused.
    PackageVersion,
    "^v?[0-9][A-Za-z0-9.+!-]{0,63}$",
    "a version is exact and starts with a digit; ranges and 'latest' move",
    |text| within(text.strip_prefix('v').unwrap_or(text), 64, b".+!-")
        && text.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit())
        && !text.ends_with(".x")
);

text!(
    /// An integrity reference: `sha256:` with hex, or an SRI hash (`sha256-`, `sha384-`, `sha512-` with base64).
    Integrity,
    "^(sha256:[0-9a-f]{64}|sha(256|384|512)-[A-Za-z0-9+/]+={0,2})$",
    "an integrity reference is 'sha256:' with 64 hex digits, or an SRI hash of sha256, sha384 or sha512",
    integrity
);

text!(
    /// An https address without credentials, query or fragment.
    WebAddress,
    "^https://[a-z0-9.-]+(:[0-9]+)?(/[A-Za-z0-9._~/@+-]*)?$",
    "an address is https, in lower case up to its path, without user, password, query, fragment or escapes",
    web_address
);

fn within(text: &str, most: usize, also: &[u8]) -> bool {
    (1..=most).contains(&text.len())
        && text.as_bytes()[0].is_ascii_alphanumeric()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || also.contains(&b))
}

fn lower(text: &str, most: usize) -> bool {
    within(text, most, b"._-") && !text.bytes().any(|b| b.is_ascii_uppercase())
}

fn hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn moves(tag: &str) -> bool {
    let lower = tag.to_ascii_lowercase();
    [
        "head", "refs/", "origin/", "latest", "nightly", "canary", "main", "master",
    ]
    .iter()
    .any(|name| lower.starts_with(name) || lower.ends_with(name))
}

fn integrity(text: &str) -> bool {
    if let Some(digits) = text.strip_prefix("sha256:") {
        return digits.len() == 64 && hex(digits);
    }
    [("sha256-", 32), ("sha384-", 48), ("sha512-", 64)]
        .iter()
        .any(|(prefix, size)| {
            text.strip_prefix(prefix)
                .and_then(|encoded| data_encoding::BASE64.decode(encoded.as_bytes()).ok())
                .is_some_and(|bytes| bytes.len() == *size)
        })
}

fn web_address(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("https://") else {
        return false;
    };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 512
        && host.split('.').all(label)
        && port.is_none_or(|port| !port.starts_with('0') && port.parse::<u16>().is_ok())
        && path
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._~/@+-".contains(&b))
        && !path.split('/').any(|part| matches!(part, "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good<T: FromStr>(text: &str) -> bool {
        text.parse::<T>().is_ok()
    }

    #[test]
    fn an_address_has_one_form_and_no_credentials() {
        for text in [
            "https://example.org",
            "https://example.org/a/b.git",
            "https://example.org:8443/x",
        ] {
            assert!(good::<WebAddress>(text), "{text}");
        }
        for text in [
            "http://example.org",
            "https://user@example.org",
            "https://user:word@example.org/x",
            "https://example.org@evil.example",
            "https://example.org?token=x",
            "https://example.org/#x",
            "https://example.org/%2e%2e",
            "https://example.org/../x",
            "https://EXAMPLE.org",
            "https://exämple.org",
            "https://example.org:0/x",
            "https://example.org:99999",
            "https://[::1]/x",
            "https:///x",
            "https://",
            "ssh://example.org/x",
            "git@example.org:x",
            "file:///x",
            " https://example.org",
            "https://example.org\n",
            "https://example.org\\@evil.example",
        ] {
            assert!(!good::<WebAddress>(text), "{text}");
        }
    }

    #[test]
    fn a_pin_cannot_move() {
        assert!(good::<CommitId>(&"a1".repeat(20)));
        for text in ["main", "HEAD", "a1b2c3d", &"A1".repeat(20), &"a1".repeat(21)] {
            assert!(!good::<CommitId>(text), "{text}");
        }
        for text in ["v1.2.3", "release-2026.1", "@scope/pkg@1.0.0"] {
            assert_eq!(good::<TagName>(text), !text.starts_with('@'), "{text}");
        }
        for text in [
            "latest",
            "main",
            "HEAD",
            "refs/tags/v1",
            "origin/v1",
            "v1-latest",
            "stable",
        ] {
            assert!(!good::<TagName>(text), "{text}");
        }
        for text in ["latest", "^1.2.3", "~1", ">=1", "*", "1.x", "1.2 || 3", ""] {
            assert!(!good::<PackageVersion>(text), "{text}");
        }
        assert!(good::<PackageVersion>("0.5.1-beta.2+build"));
    }

    #[test]
    fn names_need_no_quoting_anywhere() {
        for text in [
            "gpt-5.5",
            "qwen3.6-35b-a3b",
            "meta-llama/Llama-3.1-8B:free",
            "claude@20250514",
        ] {
            assert!(good::<ModelName>(text), "{text}");
        }
        for text in [
            "", "-x", "a b", "a\nb", "a\"b", "a'b", "a$b", "../x", "a//b", "ä", "a\\b", "{x}",
        ] {
            assert!(!good::<ModelName>(text), "{text}");
        }
        for text in ["OpenAI", "open ai", "", "a/b", "-a", "ａ"] {
            assert!(!good::<ProviderName>(text), "{text}");
        }
        assert!(good::<PackageName>("@scope/agent") && !good::<PackageName>("@/x") && !good::<PackageName>("@x"));
    }

    #[test]
    fn lines_and_paths_hide_nothing() {
        for text in [
            "",
            " x",
            "x ",
            "a\nb",
            "a\tb",
            "a\u{202e}b",
            "a\u{200b}b",
            "\u{feff}a",
            "a\u{7f}",
        ] {
            assert!(!good::<Line>(text), "{text:?}");
        }
        assert!(good::<Line>("Grüße, 世界"));
        for text in ["x", "/a/../b", "/a//b", "/a/", "/a/./b", "/a\nb", "~/x", ""] {
            assert!(!good::<RecordedPath>(text), "{text:?}");
        }
        assert!(good::<RecordedPath>("/srv/a b/x"));
    }

    #[test]
    fn integrity_is_a_whole_digest_of_a_strong_hash() {
        let sri = format!("sha512-{}", data_encoding::BASE64.encode(&[7; 64]));
        assert!(good::<Integrity>(&sri) && good::<Integrity>(&format!("sha256:{}", "0a".repeat(32))));
        for text in [
            "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=",
            "sha512-AAAA",
            "md5:0",
            "sha256:XYZ",
            "",
        ] {
            assert!(!good::<Integrity>(text), "{text}");
        }
        assert!(!good::<Integrity>(&format!("{sri} {sri}")));
    }
}
