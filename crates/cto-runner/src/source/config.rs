//! The sections of a target's configuration that are read: how its objects and refs are stored, and whether it is bare.

use std::collections::BTreeMap;

/// Returns a section of a configuration, keys and values in lower case; includes are not followed, as git does for
/// `[extensions]`.
pub(super) fn section(config: &[u8], name: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut inside = false;
    for line in String::from_utf8_lossy(config).lines() {
        let mut line = line.trim();
        if let Some(rest) = line.strip_prefix('[') {
            let Some((section, after)) = rest.split_once(']') else {
                continue;
            };
            inside = section.trim().eq_ignore_ascii_case(name);
            line = after.trim();
        }
        let line = line.split(['#', ';']).next().unwrap_or_default();
        if inside && !line.is_empty() {
            let (key, value) = line.split_once('=').unwrap_or((line, "true"));
            found.insert(
                key.trim().to_ascii_lowercase(),
                value.trim().trim_matches('"').to_ascii_lowercase(),
            );
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extensions(config: &[u8]) -> BTreeMap<String, String> {
        section(config, "extensions")
    }

    #[test]
    fn reads_only_extensions() {
        let text = b"[core]\n\tobjectformat = x\n[Extensions]\n\tObjectFormat = \"sha256\" # why\n\tnoop\n[extensions \"sub\"]\nrefstorage=y\n";
        let found = extensions(text);
        assert_eq!(found.get("objectformat").map(String::as_str), Some("sha256"));
        assert_eq!((found.len(), found.contains_key("refstorage")), (2, false));
        assert_eq!(extensions(b"[extensions] refstorage = reftable").len(), 1);
        assert!(extensions(b"[extensions").is_empty());
    }
}
