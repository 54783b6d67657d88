//! Strict JSON: no duplicate keys, bounded depth and size, strings borrowed where they can be.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// More values than any conversation has; a body of nothing but commas would otherwise cost forty times its size.
const MOST_VALUES: usize = 1 << 20;

/// A value that was read without losing or merging anything that matters for judging.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json<'a> {
    Null,
    Bool(bool),
    /// A number; its value where it is a whole one that is not negative.
    Number(Option<u64>),
    String(Cow<'a, str>),
    Array(Vec<Self>),
    Object(Vec<(Cow<'a, str>, Self)>),
}

impl<'a> Json<'a> {
    /// Reads one value and nothing after it; `None` where two readers could disagree about it.
    pub(crate) fn read(bytes: &'a [u8]) -> Option<Self> {
        Self::from(serde_json::Deserializer::from_slice(bytes))
    }

    /// Reads one value and nothing after it from what is text already.
    pub(crate) fn read_text(text: &'a str) -> Option<Self> {
        Self::from(serde_json::Deserializer::from_str(text))
    }

    fn from<R: serde_json::de::Read<'a>>(mut reader: serde_json::Deserializer<R>) -> Option<Self> {
        let left = Cell::new(MOST_VALUES);
        let value = Seed { left: &left }.deserialize(&mut reader).ok()?;
        reader.end().ok()?;
        Some(value)
    }

    /// The value of a key, where this is an object that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(entries) => entries.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }

    /// The value of a key that is neither absent nor null.
    pub(crate) fn some(&self, key: &str) -> Option<&Self> {
        self.get(key).filter(|value| **value != Self::Null)
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The string of a key.
    pub(crate) fn str(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Self::text)
    }

    pub(crate) fn whole(&self, key: &str) -> Option<u64> {
        match self.get(key) {
            Some(Self::Number(value)) => *value,
            _ => None,
        }
    }

    /// The elements of an array; nothing for any other value.
    pub(crate) fn items(&self) -> &[Self] {
        match self {
            Self::Array(items) => items,
            _ => &[],
        }
    }

    /// The keys of an object; nothing for any other value.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        let entries = match self {
            Self::Object(entries) => entries.as_slice(),
            _ => &[],
        };
        entries.iter().map(|(key, _)| key.as_ref())
    }

    /// Hands over every string of this value, keys too, in the order of the text.
    pub(crate) fn each_text<'s>(&'s self, each: &mut impl FnMut(&'s Cow<'a, str>)) {
        match self {
            Self::String(text) => each(text),
            Self::Array(items) => items.iter().for_each(|item| item.each_text(each)),
            Self::Object(entries) => {
                for (key, value) in entries {
                    each(key);
                    value.each_text(each);
                }
            }
            Self::Null | Self::Bool(_) | Self::Number(_) => {}
        }
    }

    /// The elements of the array of a key.
    pub(crate) fn list(&self, key: &str) -> &[Self] {
        self.get(key).map(Self::items).unwrap_or_default()
    }
}

/// Whether a text is one whole JSON object: what the arguments of a tool call must be.
pub(crate) fn is_whole_object(text: &str) -> bool {
    text.trim_start().starts_with('{') && serde_json::from_str::<IgnoredAny>(text).is_ok()
}

#[derive(Clone, Copy)]
struct Seed<'c> {
    left: &'c Cell<usize>,
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        match self.left.get().checked_sub(1) {
            Some(left) => self.left.set(left),
            None => return Err(D::Error::custom("too many values")),
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Json<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Json::Number(Some(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Json::Number(u64::try_from(value).ok()))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Json::Number(None))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Json::String(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Json::String(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = items.next_element_seed(self)? {
            values.push(value);
        }
        Ok(Json::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut values: Vec<(Cow<'de, str>, Json<'de>)> = Vec::new();
        while let Some(Key(key)) = entries.next_key()? {
            values.push((key, entries.next_value_seed(self)?));
        }
        match has_twins(&values) {
            true => Err(A::Error::custom("duplicate key")),
            false => Ok(Json::Object(values)),
        }
    }
}

/// As many keys are compared each with each: that needs no memory, and objects of events have no more.
const FEW_KEYS: usize = 16;

/// Whether a key occurs twice.
fn has_twins(entries: &[(Cow<'_, str>, Json<'_>)]) -> bool {
    if entries.len() <= FEW_KEYS {
        let mut rest = entries;
        while let Some(((name, _), others)) = rest.split_first() {
            if others.iter().any(|(other, _)| other == name) {
                return true;
            }
            rest = others;
        }
        return false;
    }
    let mut names: Vec<&str> = entries.iter().map(|(name, _)| name.as_ref()).collect();
    names.sort_unstable();
    names.windows(2).any(|pair| pair[0] == pair[1])
}

/// A key, borrowed where it can be: serde's own reading of a `Cow` copies.
#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::{Json, MOST_VALUES, is_whole_object};

    #[test]
    fn what_two_readers_may_read_differently_is_refused() {
        let bad: &[&[u8]] = &[
            br#"{"model":"a","model":"b"}"#,
            br#"{"model":"a","mod\u0065l":"b"}"#,
            br#"{"a":{"b":1,"c":2,"b":3}}"#,
            br#"{"a":1} x"#,
            br#"{"a":1}{"a":1}"#,
            br#"{"a":NaN}"#,
            br#"{"a":"\ud800"}"#,
            b"{\"a\":\"\xff\"}",
            b"",
            br#"{"a":1"#,
        ];
        for bytes in bad {
            assert_eq!(Json::read(bytes), None, "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn a_key_may_occur_once_among_few_and_among_many() {
        for count in [1, 2, 15, 16, 17, 100] {
            let keys = (0..count)
                .map(|key| format!("\"k{key}\":0"))
                .collect::<Vec<_>>()
                .join(",");
            assert!(Json::read(format!("{{{keys}}}").as_bytes()).is_some(), "{count}");
            assert!(
                Json::read(format!("{{{keys},\"k0\":1}}").as_bytes()).is_none(),
                "{count}"
            );
            let escaped = format!("{{{keys},\"\\u006b{}\":1}}", count - 1);
            assert!(Json::read(escaped.as_bytes()).is_none(), "{count}");
        }
    }

    #[test]
    fn depth_and_number_of_values_are_bounded() {
        assert!(Json::read("[".repeat(100).as_bytes()).is_none());
        let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(Json::read(deep(100).as_bytes()).is_some());
        assert!(Json::read(deep(100_000).as_bytes()).is_none());
        let wide = format!("[{}0]", "0,".repeat(MOST_VALUES));
        assert!(Json::read(wide.as_bytes()).is_none());
    }

    #[test]
    fn numbers_that_are_no_counts_have_no_value() {
        let value = Json::read(br#"{"a":3,"b":-3,"c":3.5,"d":1e3,"e":"3"}"#).unwrap();
        let counts: Vec<_> = ["a", "b", "c", "d", "e"].map(|key| value.whole(key)).into();
        assert_eq!(counts, [Some(3), None, None, None, None]);
    }

    #[test]
    fn no_proper_prefix_of_arguments_is_whole() {
        let whole = r#"{"command":"rm -rf build","n":[1,{"a":"}"}]}"#;
        assert!(is_whole_object(whole));
        for end in 0..whole.len() {
            assert!(!is_whole_object(&whole[..end]), "{}", &whole[..end]);
        }
        assert!(!is_whole_object("12"));
    }
}
