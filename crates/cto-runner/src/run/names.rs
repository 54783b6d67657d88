//! Names that are secrets: the documents of a bundle show them without.

use cto_evidence::RunDir;
use cto_schema::{PathText, SecretFinding, WriteSet};

use crate::tool::quote_path;

/// The write set and the patch as the bundle may show them, and what was taken out of their names.
pub(super) struct Shown {
    pub(super) write_set: WriteSet,
    pub(super) patch: Vec<u8>,
    pub(super) findings: Vec<SecretFinding>,
}

/// Takes secrets out of every name, the same one everywhere; `None` when no name holds any.
///
/// A name is judged by itself and replaced as a whole wherever the patch says it, so that patch, write set and report
/// still tell one story. What is verified is the change as it is.
pub(super) fn without_secrets(dir: &RunDir, write_set: &WriteSet, patch: &[u8]) -> Option<Shown> {
    let mut shown = write_set.clone();
    let mut replaced: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for name in names(&mut shown) {
        let Some(bytes) = name.bytes() else { continue };
        if let Some(clean) = dir.clean_name(&bytes) {
            *name = PathText::new(&clean);
            replaced.push((bytes, clean));
        }
    }
    if replaced.is_empty() {
        return None;
    }
    let found = |(bytes, _): &(Vec<u8>, Vec<u8>)| {
        let documents = ["write-set.json", "patch.diff"].into_iter();
        documents
            .flat_map(|document| dir.scan(document, bytes))
            .collect::<Vec<_>>()
    };
    let findings = replaced.iter().flat_map(found).collect();
    // A name that holds another one goes first.
    replaced.sort_by(|a, b| b.0.len().cmp(&a.0.len()).then_with(|| a.0.cmp(&b.0)));
    let patch = replaced
        .iter()
        .fold(patch.to_vec(), |patch, (bytes, clean)| renamed(&patch, bytes, clean));
    // Readers rely on the order.
    shown.changes.sort_by_key(|change| change.path.bytes());
    shown.touched.sort_by_key(PathText::bytes);
    shown.empty_directories.sort_by_key(PathText::bytes);
    Some(Shown {
        write_set: shown,
        patch,
        findings,
    })
}

fn names(write_set: &mut WriteSet) -> impl Iterator<Item = &mut PathText> {
    let changes = write_set.changes.iter_mut().map(|change| &mut change.path);
    let ignored = write_set.ignored.iter_mut().map(|artifact| &mut artifact.path);
    let entries = write_set.unsafe_entries.iter_mut().map(|entry| &mut entry.path);
    changes
        .chain(&mut write_set.touched)
        .chain(ignored)
        .chain(entries)
        .chain(&mut write_set.empty_directories)
}

/// Replaces a name as git writes it, plain or quoted.
fn renamed(patch: &[u8], name: &[u8], clean: &[u8]) -> Vec<u8> {
    let quoted = |name: &[u8]| {
        let text = quote_path(name);
        text[1..text.len() - 1].to_vec()
    };
    replace(&replace(patch, name, clean), &quoted(name), &quoted(clean))
}

fn replace(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.windows(from.len()).position(|window| window == from) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    out.extend_from_slice(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_replaced_wherever_git_writes_it() {
        let patch = b"diff --git a/d/key b/d/key\n--- /dev/null\n+++ \"b/d/\\303\\274-key\"\n+key d/key\n";
        let plain = renamed(patch, b"d/key", b"d/[x]");
        assert!(plain.starts_with(b"diff --git a/d/[x] b/d/[x]\n"));
        assert!(plain.ends_with(b"+key d/[x]\n"));
        let quoted = renamed(patch, "d/ü-key".as_bytes(), "d/ü-[x]".as_bytes());
        let text = String::from_utf8(quoted).unwrap();
        assert!(text.contains("\"b/d/\\303\\274-[x]\""), "{text}");
    }
}
