//! Escaped text: no character in it moves a cursor, and a document keeps its value.
#![no_main]

use cto_schema::{Untrusted, escape, inert_json};
use libfuzzer_sys::fuzz_target;

fn inert(text: &str) -> bool {
    let hides =
        |c| matches!(u32::from(c), 0x200b..=0x200f | 0x202a..=0x202e | 0x2060..=0x206f | 0xfeff | 0xe0000..=0xe0fff);
    text.chars().all(|c| !c.is_control() && !hides(c))
}

fuzz_target!(|data: &[u8]| {
    let Some((cap, bytes)) = data.split_first() else {
        return;
    };
    let cap = usize::from(*cap);
    let shown = escape(bytes, cap);
    assert!(inert(&shown), "{shown:?}");
    assert!(shown.len() <= cap * 8 + 40);
    assert_eq!(Untrusted::new(bytes).escaped(cap), shown);
    let text = String::from_utf8_lossy(bytes).into_owned();
    let value = serde_json::json!({ text.clone(): [text] });
    let document = inert_json(value.to_string());
    assert!(inert(&document), "{document:?}");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&document).unwrap(), value);
});
