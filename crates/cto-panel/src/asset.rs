//! The two files of the panel itself, as they were committed, under names that hold their digests.

use std::sync::LazyLock;

use cto_schema::Sha256Digest;

const STYLE: &[u8] = include_bytes!("../assets/panel.css");
const SCRIPT: &[u8] = include_bytes!("../assets/panel.js");

fn named(stem: &str, end: &str, bytes: &[u8]) -> String {
    let digest = Sha256Digest::of(bytes).hex();
    format!("/assets/{stem}-{}.{end}", digest.get(..16).unwrap_or_default())
}

/// Where the style lies.
pub(crate) static STYLE_PLACE: LazyLock<String> = LazyLock::new(|| named("panel", "css", STYLE));
/// Where the script lies.
pub(crate) static SCRIPT_PLACE: LazyLock<String> = LazyLock::new(|| named("panel", "js", SCRIPT));

/// Returns the file at a place, with its type.
pub(crate) fn asset(path: &str) -> Option<(&'static str, &'static [u8])> {
    if path == *STYLE_PLACE {
        return Some(("text/css; charset=utf-8", STYLE));
    }
    (path == *SCRIPT_PLACE).then_some(("text/javascript; charset=utf-8", SCRIPT))
}

/// Returns how many bytes style and script have together; a budget holds them small.
pub fn asset_bytes() -> usize {
    STYLE.len() + SCRIPT.len()
}
