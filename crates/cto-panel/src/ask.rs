//! A request, taken apart: what a page may know of it.

use std::collections::BTreeMap;

use hyper::header::{self, HeaderName};
use hyper::{HeaderMap, Method, Uri};

/// Longest path with query, in bytes.
pub(crate) const LONGEST_TARGET: usize = 4096;

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: BTreeMap<String, String>,
    headers: HeaderMap,
}

impl Ask {
    pub(crate) fn new(method: Method, uri: &Uri, headers: HeaderMap) -> Self {
        Self {
            method,
            path: uri.path().to_owned(),
            query: read_query(uri.query().unwrap_or_default()),
            headers,
        }
    }

    /// Returns a header that is there exactly once and is text.
    pub(crate) fn header(&self, name: &HeaderName) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let first = values.next()?.to_str().ok()?;
        values.next().is_none().then_some(first)
    }

    /// Says whether a header is there at all, in whatever form.
    pub(crate) fn has(&self, name: &HeaderName) -> bool {
        self.headers.contains_key(name)
    }

    /// Returns the value of a cookie.
    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        let all = self.headers.get_all(header::COOKIE).iter();
        let texts = all.filter_map(|value| value.to_str().ok());
        let pairs = texts.flat_map(|text| text.split(';'));
        let mut found = pairs.filter_map(|pair| pair.trim().split_once('='));
        found.find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// Returns a parameter that is not empty.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let value = self.query.get(name).map(String::as_str);
        value.filter(|value| !value.is_empty())
    }
}

/// Reads a query; of a name that comes twice the first counts. What is no UTF-8 is left out.
fn read_query(query: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for pair in query.split('&').take(40) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if let (Some(name), Some(value)) = (decoded(name), decoded(value)) {
            found.entry(name).or_insert(value);
        }
    }
    found
}

/// Undoes percent-encoding and `+`.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (high, low) = (digit(rest.next())?, digit(rest.next())?);
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// Encodes a value for a query.
pub(crate) fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let each = text.bytes().map(|byte| match byte {
        byte if plain(byte) => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_once_and_written_back_the_same() {
        let read = read_query("a=1&b=x%20y+z&a=2&%zz=1&c=%ff&d");
        assert_eq!(read.get("a").map(String::as_str), Some("1"));
        assert_eq!(read.get("b").map(String::as_str), Some("x y z"));
        assert!(!read.contains_key("c") && read.contains_key("d") && read.len() == 3);
        for text in ["a b&c=d/é\u{202e}", "100%"] {
            assert_eq!(decoded(&encoded(text)).as_deref(), Some(text));
        }
    }
}
