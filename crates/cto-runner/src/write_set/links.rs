//! Where symbolic links lead in the final tree: baseline and changes, followed part by part.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::BorrowedFd;

use cto_schema::{Change, EntryKind, escape};
use rustix::fs::FileType;

use super::{FinalContent, WriteSetError};
use crate::baseline::{Baseline, beneath};

/// As many links as the kernel follows for one path.
const FOLLOWED: usize = 40;
/// Far more parts than an honest link has on its way.
const PARTS: usize = 255;

/// Returns every link that must not come out, with the reason.
///
/// A changed link is judged wherever it leads; one of the baseline only for what the changes made of it.
pub(super) fn unsafe_links(
    baseline: &Baseline,
    changes: &[Change],
    contents: &BTreeMap<Vec<u8>, FinalContent>,
) -> Result<Vec<(Vec<u8>, &'static str)>, WriteSetError> {
    if !changes.iter().any(concerns_a_link) {
        return Ok(Vec::new());
    }
    let changed: BTreeMap<Vec<u8>, Option<&[u8]>> = changes
        .iter()
        .filter_map(|change| change.path.bytes())
        .map(|path| {
            let target = contents.get(&path).and_then(target_of);
            (path, target)
        })
        .collect();
    let files = baseline.files_fd();
    let before = |path: &[u8]| link_at(files, path);
    let after = |path: &[u8]| match changed.get(path) {
        Some(target) => Ok(target.map(<[u8]>::to_vec)),
        None => link_at(files, path),
    };
    let unreadable = |path: &[u8], source| WriteSetError::BaselineRead {
        path: escape(path, 1000),
        source,
    };
    let mut found = Vec::new();
    for (path, target) in &changed {
        let Some(target) = target else { continue };
        let end = follow(path, target, after).map_err(|error| unreadable(path, error))?;
        found.extend(end.reason().map(|reason| (path.clone(), reason)));
    }
    for path in baseline.links()? {
        if changed.contains_key(&path) {
            continue;
        }
        let ends = || -> io::Result<_> {
            let Some(target) = link_at(files, &path)? else {
                return Ok(None);
            };
            let end = follow(&path, &target, after)?;
            Ok((end != End::Inside && follow(&path, &target, before)? == End::Inside).then_some(end))
        };
        let end = ends().map_err(|error| unreadable(&path, error))?;
        found.extend(end.and_then(End::reason).map(|reason| (path, reason)));
    }
    Ok(found)
}

/// Where a link ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Inside,
    Outside,
    /// A loop, or a way too long to be an honest one.
    Nowhere,
}

impl End {
    fn reason(self) -> Option<&'static str> {
        match self {
            Self::Inside => None,
            Self::Outside => Some("escaping_symlink"),
            Self::Nowhere => Some("endless_symlink"),
        }
    }
}

/// Follows a link's text; what is not there may become a directory, and counts as one.
fn follow(path: &[u8], target: &[u8], link_at: impl Fn(&[u8]) -> io::Result<Option<Vec<u8>>>) -> io::Result<End> {
    let mut at = beneath::parent(path).to_vec();
    let mut text = target.to_vec();
    // The next part is the last one.
    let mut ahead: Vec<Vec<u8>> = Vec::new();
    let mut parts = 0;
    for _ in 0..FOLLOWED {
        if text.starts_with(b"/") {
            return Ok(End::Outside);
        }
        let named = text
            .split(|&byte| byte == b'/')
            .filter(|part| !matches!(*part, b"" | b"."));
        ahead.extend(named.rev().map(<[u8]>::to_vec));
        loop {
            let Some(part) = ahead.pop() else {
                return Ok(End::Inside);
            };
            parts += 1;
            if parts > PARTS {
                return Ok(End::Nowhere);
            }
            if part == b".." {
                if at.is_empty() {
                    return Ok(End::Outside);
                }
                at = beneath::parent(&at).to_vec();
                continue;
            }
            let next = beneath::join(&at, &part);
            if let Some(next) = link_at(&next)? {
                text = next;
                break;
            }
            at = next;
        }
    }
    Ok(End::Nowhere)
}

fn link_at(root: BorrowedFd<'_>, path: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let looked = match beneath::look(root, path) {
        // What has no place in the file system is no link.
        Err(rustix::io::Errno::NAMETOOLONG) => None,
        other => other?,
    };
    let link = looked.filter(|(_, stat)| beneath::kind(stat) == FileType::Symlink);
    Ok(link.map(|(fd, _)| beneath::link_text(&fd)).transpose()?)
}

fn concerns_a_link(change: &Change) -> bool {
    let sides = [&change.before, &change.after];
    sides
        .into_iter()
        .flatten()
        .any(|state| state.kind == EntryKind::Symlink)
}

fn target_of(content: &FinalContent) -> Option<&[u8]> {
    match content {
        FinalContent::Symlink { target } => Some(target),
        FinalContent::File { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(path: &str, target: &str, links: &[(&str, &str)]) -> End {
        let links: BTreeMap<&[u8], &[u8]> = links.iter().map(|(at, to)| (at.as_bytes(), to.as_bytes())).collect();
        follow(path.as_bytes(), target.as_bytes(), |path| {
            Ok(links.get(path).map(|text| text.to_vec()))
        })
        .unwrap()
    }

    #[test]
    fn a_link_may_lead_anywhere_inside() {
        for (path, target) in [
            ("a", "b"),
            ("d/a", "../b"),
            ("d/e/a", "../../b/../c"),
            ("a", "./x/.."),
            ("a", "L/../../b"),
        ] {
            assert_eq!(end(path, target, &[("L", "d/e")]), End::Inside, "{path} -> {target}");
        }
    }

    #[test]
    fn a_link_that_leaves_on_its_way_is_outside_however_it_does() {
        for (path, target, links) in [
            ("a", "/etc", &[][..]),
            ("a", "..", &[]),
            ("d/a", "../../x", &[]),
            ("d/a", "x/../../../y", &[]),
            ("a", "d/L/../etc", &[("d/L", "..")]),
            ("a", "d/L/../../d/x", &[("d/L", "..")]),
            ("a", "L/x", &[("L", "/opt")]),
            ("a", "L", &[("L", "d/M"), ("d/M", "../../x")]),
        ] {
            assert_eq!(end(path, target, links), End::Outside, "{path} -> {target}");
        }
    }

    #[test]
    fn a_loop_and_an_endless_way_end_nowhere() {
        assert_eq!(end("a", "a", &[("a", "a")]), End::Nowhere);
        assert_eq!(end("a", "b", &[("a", "b"), ("b", "a")]), End::Nowhere);
        assert_eq!(end("a", "L/L", &[("L", "L/L")]), End::Nowhere);
        assert_eq!(end("a", &"x/".repeat(PARTS + 1), &[]), End::Nowhere);
        assert_eq!(end("a", &"x/".repeat(PARTS), &[]), End::Inside);
    }
}
