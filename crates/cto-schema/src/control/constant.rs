//! Values that a document may only ever have one of, as types: nothing can set them, and nothing else is read.

use std::borrow::Cow;

use serde::{Deserialize, Serialize, de};

macro_rules! constant {
    ($(#[$doc:meta])* $name:ident, $kind:ty, $value:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name;

        impl $name {
            /// Returns the value.
            pub fn value(self) -> $kind {
                $value
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                <$kind as Serialize>::serialize(&$value, serializer)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "const": $value })
            }
        }
    };
}

constant!(
    /// `false`, in every document, from every input.
    AlwaysFalse,
    bool,
    false
);

constant!(
    /// `true`, in every document, from every input.
    AlwaysTrue,
    bool,
    true
);

impl<'de> Deserialize<'de> for AlwaysFalse {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match bool::deserialize(deserializer)? {
            false => Ok(Self),
            true => Err(de::Error::custom("this value is false and can be nothing else")),
        }
    }
}

impl<'de> Deserialize<'de> for AlwaysTrue {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match bool::deserialize(deserializer)? {
            true => Ok(Self),
            false => Err(de::Error::custom("this value is true and can be nothing else")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_writes_one_value_and_reads_no_other() {
        assert_eq!(serde_json::to_string(&AlwaysFalse).unwrap(), "false");
        assert_eq!(serde_json::to_string(&AlwaysTrue).unwrap(), "true");
        for other in ["true", "1", "\"false\"", "null", "0", "[]"] {
            assert!(serde_json::from_str::<AlwaysFalse>(other).is_err(), "{other}");
        }
        for other in ["false", "1", "\"true\"", "null"] {
            assert!(serde_json::from_str::<AlwaysTrue>(other).is_err(), "{other}");
        }
    }
}
