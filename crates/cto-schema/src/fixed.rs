//! Two answers that never change, as types: no engine is the default, and no evidence is authority.
//!
//! A document with a field of these types can be written in one way only, and one that says anything else cannot be read.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// `runtime_default_activation`: always `false`. There is no value that means `true`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NotActivated;

/// `core_promotion_status`: always `not-promoted`. There is no value that means anything else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NotPromoted;

impl NotPromoted {
    /// The only word.
    pub const WORD: &str = "not-promoted";
}

impl Serialize for NotActivated {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bool(false)
    }
}

impl<'de> Deserialize<'de> for NotActivated {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if bool::deserialize(deserializer)? {
            return Err(de::Error::custom("runtime_default_activation is never true"));
        }
        Ok(Self)
    }
}

impl fmt::Display for NotActivated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("false")
    }
}

impl schemars::JsonSchema for NotActivated {
    fn schema_name() -> Cow<'static, str> {
        "NotActivated".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "boolean", "const": false })
    }
}

impl Serialize for NotPromoted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(Self::WORD)
    }
}

impl<'de> Deserialize<'de> for NotPromoted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let said = Cow::<'de, str>::deserialize(deserializer)?;
        if said != Self::WORD {
            return Err(de::Error::custom(
                "core_promotion_status is never anything but not-promoted",
            ));
        }
        Ok(Self)
    }
}

impl fmt::Display for NotPromoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::WORD)
    }
}

impl schemars::JsonSchema for NotPromoted {
    fn schema_name() -> Cow<'static, str> {
        "NotPromoted".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "const": Self::WORD })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_way_to_write_each_and_no_other_can_be_read() {
        assert_eq!(serde_json::to_string(&NotActivated).unwrap(), "false");
        assert_eq!(serde_json::to_string(&NotPromoted).unwrap(), "\"not-promoted\"");
        assert!(serde_json::from_str::<NotActivated>("false").is_ok());
        assert!(serde_json::from_str::<NotPromoted>("\"not-promoted\"").is_ok());
        for bad in ["true", "0", "1", "null", "\"false\"", "\"\"", "[]", "{}", "[false]"] {
            assert!(serde_json::from_str::<NotActivated>(bad).is_err(), "{bad}");
        }
        for bad in [
            "\"promoted\"",
            "\"Not-promoted\"",
            "\"not-promoted \"",
            "\"not_promoted\"",
            "\"\"",
            "null",
            "false",
            "[\"not-promoted\"]",
        ] {
            assert!(serde_json::from_str::<NotPromoted>(bad).is_err(), "{bad}");
        }
    }
}
