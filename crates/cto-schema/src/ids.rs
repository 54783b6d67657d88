//! Names that end up in paths, cgroups and URLs, so their alphabet is closed.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize, de};

/// The longest case id that still fits a run id of 64 characters.
const CASE_PART_MAX: usize = 36;

/// The name of one run: `<utc yyyymmddthhmmssz>-<case id>-<10 base32 characters>`, matching `[a-z0-9-]{1,64}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(String);

impl RunId {
    /// Builds a run id from a compact UTC stamp, a case id and 50 random bits.
    ///
    /// Characters of the case id outside the alphabet become `-`, and it is cut to 36 characters; the random
    /// part alone keeps two runs apart.
    pub fn new(compact_utc: &str, case_id: &str, random: [u8; 7]) -> Self {
        let mut case: String = case_id
            .chars()
            .map(|c| c.to_ascii_lowercase())
            .map(|c| {
                if c.is_ascii_lowercase() || c.is_ascii_digit() {
                    c
                } else {
                    '-'
                }
            })
            .take(CASE_PART_MAX)
            .collect();
        if case.is_empty() {
            case.push_str("unreadable");
        }
        let suffix = data_encoding::BASE32_NOPAD.encode(&random).to_ascii_lowercase();
        Self(format!("{}-{case}-{}", compact_utc.to_ascii_lowercase(), &suffix[..10]))
    }

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text that is not a run id.
#[derive(Clone, Debug, thiserror::Error)]
#[error("a run id has 1 to 64 characters of a-z, 0-9 and '-'")]
pub struct InvalidId;

impl FromStr for RunId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let valid = (1..=64).contains(&text.len()) && text.bytes().all(good) && !text.starts_with('-');
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId)
        }
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for RunId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for RunId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

impl schemars::JsonSchema for RunId {
    fn schema_name() -> Cow<'static, str> {
        "RunId".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[a-z0-9][a-z0-9-]{0,63}$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_id_stays_in_its_alphabet_whatever_the_case_is_called() {
        for case in ["r1-string-slugify", "", "ÄÖ/../x", &"y".repeat(200)] {
            let id = RunId::new("20261120T090000Z", case, [0xff; 7]);
            assert!(id.as_str().parse::<RunId>().is_ok(), "{id}");
        }
    }

    #[test]
    fn refuses_what_could_leave_a_directory() {
        for bad in ["", "..", "a/b", "A", "a b", "-x", &"a".repeat(65)] {
            assert!(bad.parse::<RunId>().is_err(), "{bad:?}");
        }
    }
}
