//! Reading a record: everything that a hostile author can bend is refused before a type sees it.

use std::cell::RefCell;

use serde::de::value::MapDeserializer;
use serde_json::Value;

use super::Record;
use super::secret::looks_like_a_secret;
use crate::strict::{StrictError, StrictLimits, parse_strict};
use crate::version::{SchemaError, check_schema};

/// The largest record, in bytes.
pub const RECORD_MAX_BYTES: usize = 64 * 1024;
/// The deepest nesting of a record.
const MAX_DEPTH: usize = 16;

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Size, encoding or JSON.
    #[error(transparent)]
    Document(#[from] StrictError),
    /// Lines end with a carriage return.
    #[error("the document has carriage returns; write its lines with line feeds alone")]
    CarriageReturn,
    /// The nesting is too deep.
    #[error("the document is nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// It is JSON, but not an object.
    #[error("the document is not a JSON object")]
    NotAnObject,
    /// It is of another schema.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// A field is missing, unknown, or not in its form.
    #[error("{0}")]
    Field(String),
    /// A value looks like a secret.
    #[error("{field}: {reason}; a record names the class of a credential, never one")]
    Secret {
        /// The top-level field.
        field: String,
        /// Why.
        reason: &'static str,
    },
}

/// Reads one record: at most 64 KiB of UTF-8 without byte order mark or carriage return, at most 16 levels deep,
/// no duplicate key at any level, no unknown field, no value that looks like a secret.
pub fn read_record<T: Record>(bytes: &[u8]) -> Result<T, RecordError> {
    let map = read_object(bytes)?;
    if let Some(Value::String(schema)) = map.get("schema") {
        check_schema(schema, T::KIND.schema())?;
    }
    let last = RefCell::new(String::new());
    let entries = map.into_iter().inspect(|(key, _)| last.replace(key.clone()).clear());
    T::deserialize(MapDeserializer::<_, serde_json::Error>::new(entries))
        .map_err(|error| RecordError::Field(explain(&error.to_string(), &last.borrow())))
}

/// Returns the top-level fields of a record, checked in every way that needs no type.
pub fn read_object(bytes: &[u8]) -> Result<serde_json::Map<String, Value>, RecordError> {
    if bytes.len() <= RECORD_MAX_BYTES {
        if bytes.contains(&b'\r') {
            return Err(RecordError::CarriageReturn);
        }
        if depth(bytes) > MAX_DEPTH {
            return Err(RecordError::TooDeep);
        }
    }
    let limits = StrictLimits {
        bytes: RECORD_MAX_BYTES,
    };
    let Value::Object(map) = parse_strict::<Value>(bytes, limits)? else {
        return Err(RecordError::NotAnObject);
    };
    for (field, value) in &map {
        if let Some(reason) = secret_in(value) {
            let field = crate::untrusted::escape(field.as_bytes(), 80);
            return Err(RecordError::Secret { field, reason });
        }
    }
    Ok(map)
}

fn secret_in(value: &Value) -> Option<&'static str> {
    match value {
        Value::String(text) => looks_like_a_secret(text),
        Value::Array(items) => items.iter().find_map(secret_in),
        Value::Object(map) => map
            .iter()
            .find_map(|(key, value)| looks_like_a_secret(key).or_else(|| secret_in(value))),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// Returns how deep brackets outside strings are nested; an unclosed string hides nothing that JSON would accept.
fn depth(bytes: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0usize, 0, false, false);
    for byte in bytes {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_string = !in_string,
            (false, b'{' | b'[') => depth += 1,
            (false, b'}' | b']') => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// Names the field where the complaint does not, and the nearest known name of an unknown one.
fn explain(message: &str, last: &str) -> String {
    if message.starts_with("unknown field") || message.starts_with("missing field") {
        return crate::nearest::explain_yaml(message);
    }
    let field = crate::untrusted::escape(last.as_bytes(), 80);
    format!("{field}: {}", crate::nearest::explain_yaml(message))
}
