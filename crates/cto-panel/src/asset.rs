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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn style_and_script_stay_small_and_are_served_under_their_digests_alone() {
        assert!(STYLE.len() + SCRIPT.len() <= 24_000, "{}", STYLE.len() + SCRIPT.len());
        assert!(asset(&STYLE_PLACE).is_some() && asset(&SCRIPT_PLACE).is_some());
        assert!(asset("/assets/panel.css").is_none() && asset("/assets/../panel.css").is_none());
    }

    #[test]
    fn the_script_makes_no_markup_of_text_and_the_style_fetches_nothing() {
        let script = std::str::from_utf8(SCRIPT).unwrap();
        for bad in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "Function(",
            "https:",
            "POST",
        ] {
            assert!(!script.contains(bad), "{bad}");
        }
        let style = std::str::from_utf8(STYLE).unwrap();
        assert!(!style.contains("url(") && !style.contains("@import"));
    }
}
