//! Secrets whose value is known: found exactly, in every usual encoding, without a false alarm.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use data_encoding::{HEXLOWER, HEXUPPER};

/// Values shorter than this are not looked for: they would tear ordinary text.
const VALUE_MIN_BYTES: usize = 4;
/// Values shorter than this are looked for as they are, not in encodings.
const ENCODED_MIN_BYTES: usize = 8;

/// A secret that must not enter any artifact: a value that the gateway injects, or a canary.
#[derive(Clone, PartialEq, Eq)]
pub struct KnownSecret {
    /// What to call it in findings; never part of the secret.
    pub name: String,
    /// The secret itself. Values under 4 bytes are not looked for, values under 8 bytes only as they are.
    pub value: Vec<u8>,
}

impl fmt::Debug for KnownSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KnownSecret")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl KnownSecret {
    /// Returns every form in which the value may occur, longest first.
    pub(crate) fn forms(&self) -> Vec<Vec<u8>> {
        if self.value.len() < VALUE_MIN_BYTES {
            return Vec::new();
        }
        let mut forms = vec![self.value.clone(), json(&self.value)];
        if self.value.len() >= ENCODED_MIN_BYTES {
            forms.extend(base64_forms(&self.value));
            forms.push(HEXLOWER.encode(&self.value).into_bytes());
            forms.push(HEXUPPER.encode(&self.value).into_bytes());
            for lower in [false, true] {
                forms.push(percent(&self.value, lower, b"-._~", false));
                forms.push(percent(&self.value, lower, b"-._*", true));
            }
        }
        forms.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        forms.dedup();
        forms
    }
}

/// Returns the value as it stands inside a JSON string.
fn json(value: &[u8]) -> Vec<u8> {
    let quoted = serde_json::to_vec(&String::from_utf8_lossy(value)).unwrap_or_default();
    quoted
        .get(1..quoted.len().saturating_sub(1))
        .unwrap_or_default()
        .to_vec()
}

/// Returns the characters that base64 makes of the value alone, for each of its three positions in a longer text
/// (`user:secret`); characters that also depend on the neighbours are left out.
fn base64_forms(value: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = Vec::new();
    for offset in 0..3 {
        let mut padded = vec![0; offset];
        padded.extend_from_slice(value);
        // A character holds 6 bits: the first whole one starts at or after bit 8 * offset.
        let first = (offset * 8).div_ceil(6);
        let last = padded.len() * 8 / 6;
        for encoded in [STANDARD_NO_PAD.encode(&padded), URL_SAFE_NO_PAD.encode(&padded)] {
            forms.push(encoded.as_bytes()[first..last].to_vec());
        }
    }
    forms
}

fn percent(value: &[u8], lower: bool, plain: &[u8], plus: bool) -> Vec<u8> {
    let digits: &[u8; 16] = if lower {
        b"0123456789abcdef"
    } else {
        b"0123456789ABCDEF"
    };
    let mut encoded = Vec::with_capacity(value.len() * 3);
    for &byte in value {
        if byte.is_ascii_alphanumeric() || plain.contains(&byte) {
            encoded.push(byte);
        } else if plus && byte == b' ' {
            encoded.push(b'+');
        } else {
            encoded.extend_from_slice(&[b'%', digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]]);
        }
    }
    encoded
}
