//! Repository paths as documents carry them: readable text, and the exact bytes where the text is not exact.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::untrusted::escape;

/// A path relative to the repository root.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct PathText {
    /// The path as text; invalid UTF-8 is replaced by U+FFFD.
    pub path: String,
    /// The exact bytes in base64, present when `path` is not them or holds a character that must not be shown raw.
    pub path_b64: Option<String>,
}

impl PathText {
    /// Returns the document form of a path.
    pub fn new(bytes: &[u8]) -> Self {
        let plain = std::str::from_utf8(bytes).is_ok_and(|text| escape(text.as_bytes(), usize::MAX) == text);
        let path = String::from_utf8_lossy(bytes).into_owned();
        Self {
            path,
            path_b64: (!plain).then(|| STANDARD.encode(bytes)),
        }
    }

    /// Returns the exact bytes; `None` when `path_b64` is not base64.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        match &self.path_b64 {
            Some(encoded) => STANDARD.decode(encoded).ok(),
            None => Some(self.path.clone().into_bytes()),
        }
    }

    /// Returns the path for a human: escaped, never raw.
    pub fn shown(&self) -> String {
        escape(&self.bytes().unwrap_or_else(|| self.path.clone().into_bytes()), 4096)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_string_survives_the_round_trip() {
        for bytes in [
            &b"src/a.rs"[..],
            b"a\nb",
            b"\xff\xfe",
            "ü".as_bytes(),
            b"tab\there",
            b"",
        ] {
            let text = PathText::new(bytes);
            let json = serde_json::to_string(&text).unwrap();
            assert_eq!(serde_json::from_str::<PathText>(&json).unwrap().bytes().unwrap(), bytes);
        }
        assert!(PathText::new("ü/x".as_bytes()).path_b64.is_none());
        assert!(PathText::new(b"a\nb").path_b64.is_some());
    }
}
