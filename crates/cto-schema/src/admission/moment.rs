//! A day or an instant, as records write it.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize, de};

use super::text::InvalidText;

const RULE: &str = "a time is a date (2026-05-31) or RFC 3339 with seconds and offset (2026-05-31T10:00:00Z)";

/// A date, or an instant with seconds and offset, exactly as written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Moment {
    text: String,
    unix_seconds: i64,
}

impl Moment {
    /// Returns the text as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the seconds since 1970; a date counts from its start in UTC.
    pub fn unix_seconds(&self) -> i64 {
        self.unix_seconds
    }

    /// Returns whether it is a date without a time.
    pub fn is_date(&self) -> bool {
        self.text.len() == 10
    }
}

/// True when every byte of `text` is what `shape` says: `0` a digit, anything else itself.
fn has_shape(text: &str, shape: &str) -> bool {
    text.len() == shape.len()
        && text.bytes().zip(shape.bytes()).all(|(byte, want)| match want {
            b'0' => byte.is_ascii_digit(),
            other => byte == other,
        })
}

impl FromStr for Moment {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = InvalidText(RULE);
        let made = |unix_seconds| Self {
            text: text.to_owned(),
            unix_seconds,
        };
        if has_shape(text, "0000-00-00") {
            let start: jiff::Timestamp = format!("{text}T00:00:00Z").parse().map_err(|_| invalid)?;
            return Ok(made(start.as_second()));
        }
        // The reader below knows more forms than one; only this one is ours.
        let head = text.get(..19).filter(|head| has_shape(head, "0000-00-00T00:00:00"));
        let mut rest = head.and_then(|_| text.get(19..)).ok_or(invalid)?;
        if let Some(fraction) = rest.strip_prefix('.') {
            let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
            rest = fraction
                .get(digits..)
                .filter(|_| (1..=9).contains(&digits))
                .ok_or(invalid)?;
        }
        let offset = rest == "Z"
            || ((has_shape(rest, "+00:00") || has_shape(rest, "-00:00"))
                && rest.get(1..3).is_some_and(|hours| hours < "24")
                && rest.get(4..).is_some_and(|minutes| minutes < "60"));
        // A second of 60 would be read as 59.
        let seconds_exist = text.get(17..19).is_some_and(|seconds| seconds < "60");
        if !offset || !seconds_exist {
            return Err(invalid);
        }
        let at: jiff::Timestamp = text.parse().map_err(|_| invalid)?;
        Ok(made(at.as_second()))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Moment {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

impl schemars::JsonSchema for Moment {
    fn schema_name() -> Cow<'static, str> {
        "Moment".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2}))?$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Option<i64> {
        text.parse::<Moment>().ok().map(|moment| moment.unix_seconds())
    }

    #[test]
    fn reads_the_two_forms_and_no_other() {
        assert_eq!(at("1970-01-02"), Some(86_400));
        assert_eq!(at("1970-01-01T00:00:00-04:00"), Some(14_400));
        assert_eq!(at("1970-01-01T00:00:01.5Z"), Some(1));
        for bad in [
            "",
            "2026-5-31",
            "2026-02-30",
            "2026-13-01",
            "20260531",
            "2026-05-31T00:00:00",
            "2026-05-31T00:00Z",
            "2026-05-31 00:00:00Z",
            "2026-05-31t00:00:00z",
            "2026-05-31T24:00:00Z",
            "2026-05-31T23:59:60Z",
            "2026-05-31T00:00:00+0400",
            "2026-05-31T00:00:00+25:00",
            "2026-05-31T00:00:00,5Z",
            "2026-05-31T00:00:00.Z",
            "2026-05-31T00:00:00Z[UTC]",
            "2026-W22-7",
            "+2026-05-31",
            "٢٠٢٦-05-31",
            "2026-05-31T00:00:00Z ",
            "tomorrow",
        ] {
            assert_eq!(at(bad), None, "{bad}");
        }
    }
}
