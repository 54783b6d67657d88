//! Strict JSON reading: what a hostile author can bend in JSON is refused before any type sees it.

use std::fmt;

use serde::Deserialize as _;
use serde::de::{self, DeserializeOwned, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// The largest integer that every JSON reader agrees on (RFC 7493): 2^53 - 1.
const SAFE_INTEGER: u64 = (1 << 53) - 1;

/// Bounds of a strict read.
#[derive(Clone, Copy, Debug)]
pub struct StrictLimits {
    /// Longest accepted input in bytes.
    pub bytes: usize,
}

/// Why a document was refused.
#[derive(Debug, thiserror::Error)]
pub enum StrictError {
    /// The input is over the size limit.
    #[error("the document has {size} bytes, {limit} are allowed")]
    TooLarge {
        /// Bytes seen.
        size: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The input starts with a byte order mark or is not UTF-8.
    #[error("the document is not UTF-8 without a byte order mark")]
    Encoding,
    /// Not JSON, a duplicate key, an unsafe integer, too deep, or not the expected shape.
    #[error("line {line}, column {column}: {reason}")]
    Json {
        /// Line, from 1; 0 when the reader could not say.
        line: usize,
        /// Column, from 1; 0 when the reader could not say.
        column: usize,
        /// What was wrong.
        reason: String,
    },
}

impl From<serde_json::Error> for StrictError {
    fn from(error: serde_json::Error) -> Self {
        let text = error.to_string();
        let reason = text
            .rsplit_once(" at line ")
            .map_or(text.as_str(), |(head, _)| head)
            .to_owned();
        Self::Json {
            line: error.line(),
            column: error.column(),
            reason,
        }
    }
}

/// Parses one JSON document: UTF-8 without BOM, no duplicate keys at any depth, at most 128 levels, no trailing
/// data, no integer beyond 2^53 - 1, no NaN or infinity (I-JSON, RFC 7493).
pub fn parse_strict<T: DeserializeOwned>(bytes: &[u8], limits: StrictLimits) -> Result<T, StrictError> {
    if bytes.len() > limits.bytes {
        return Err(StrictError::TooLarge {
            size: bytes.len(),
            limit: limits.bytes,
        });
    }
    let text = std::str::from_utf8(bytes).map_err(|_| StrictError::Encoding)?;
    if text.starts_with('\u{feff}') {
        return Err(StrictError::Encoding);
    }
    let strict: StrictValue = serde_json::from_str(text)?;
    Ok(serde_json::from_value(strict.0)?)
}

struct StrictValue(Value);

impl<'de> de::Deserialize<'de> for StrictValue {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without duplicate keys and unsafe integers")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        if value > SAFE_INTEGER {
            return Err(E::custom("integer beyond 2^53 - 1: write it as text"));
        }
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        if value.unsigned_abs() > SAFE_INTEGER {
            return Err(E::custom("integer beyond 2^53 - 1: write it as text"));
        }
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Ok(StrictValue::deserialize(deserializer)?.0)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(StrictValue(item)) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            let StrictValue(value) = access.next_value()?;
            if map.contains_key(&key) {
                let shown = crate::untrusted::escape(key.as_bytes(), 80);
                return Err(de::Error::custom(format!("duplicate key '{shown}'")));
            }
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Value, StrictError> {
        parse_strict(text.as_bytes(), StrictLimits { bytes: 4096 })
    }

    #[test]
    fn refuses_what_readers_disagree_on() {
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        for bad in [
            r#"{"a":1,"a":1}"#,
            r#"{"x":{"a":1,"a":2}}"#,
            "{\"a\":9007199254740993}",
            "{\"a\":NaN}",
            "{\"a\":1e999}",
            "\u{feff}{}",
            "{} x",
            "",
            "{\"a\":1,}",
            &deep,
            &" ".repeat(5000),
        ] {
            assert!(parse(bad).is_err(), "{bad:.40}");
        }
        assert!(parse_strict::<Value>(b"\xff", StrictLimits { bytes: 10 }).is_err());
    }

    #[test]
    fn reads_ordinary_json() {
        let value = parse(r#"{"a":[1,-2,1.5,true,null,"x"],"b":{}}"#).unwrap();
        assert_eq!(value["a"][1], -2);
    }
}
