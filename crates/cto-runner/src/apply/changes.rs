//! What differs between two commits, read from their objects: the paths of a plan and both contents of each.

use std::io::{self, BufRead, BufReader, Read};

use cto_evidence::{ApplyDraft, Side};
use cto_schema::{ApplyEntry, ApplyPath, EntryKind, PathText, escape};

use super::error::{ApplyError, At as _, Halt, Refusal};
use crate::tool::{Git, GitCall, Input};

/// One side of a changed path: kind and object.
type Blob = Option<(EntryKind, String)>;

/// Reads the changed paths, and keeps their contents in the draft of a journal.
///
/// `call` begins a call of git that sees the objects of both commits.
pub(super) fn read_changes(
    git: &Git,
    call: &dyn Fn(&str) -> GitCall,
    commits: [&str; 2],
    draft: &ApplyDraft,
) -> Result<Vec<ApplyPath>, Halt> {
    let diff = call("diff-tree").args(["-r", "-z", "--raw", "--no-abbrev", "--no-renames"]);
    let diff = diff.args(["--no-ext-diff", "--no-textconv"]).args(commits).cap(1 << 30);
    let listing = git.run(diff).map_err(|source| ApplyError::Git {
        what: "compare two commits",
        source,
    })?;
    let mut changes = parse(&listing)?;
    changes.sort_by(|a, b| a.0.cmp(&b.0));
    let sides = |change: &(Vec<u8>, Blob, Blob)| [(Side::Before, change.1.clone()), (Side::After, change.2.clone())];
    let mut wanted = Vec::new();
    for (_, object) in changes.iter().flat_map(sides).filter_map(|(_, blob)| blob) {
        wanted.extend_from_slice(object.as_bytes());
        wanted.push(b'\n');
    }
    let batch = call("cat-file")
        .args(["--batch", "--buffer"])
        .input(Input::Bytes(wanted));
    let failed = |source| ApplyError::Git {
        what: "read changed files",
        source,
    };
    let mut reader = BufReader::new(git.start(batch).map_err(failed)?);
    let mut paths = Vec::with_capacity(changes.len());
    for (number, change) in changes.iter().enumerate() {
        let mut entries = [None, None];
        for (side, blob) in sides(change) {
            let Some((kind, object)) = blob else { continue };
            let size = header(&mut reader, &object).at("read", "the answer of git cat-file")?;
            let mut content = reader.by_ref().take(size);
            let kept = draft.keep(side, number, &mut content);
            let (digest, size_bytes) = kept.at("keep a content in", "the journal")?;
            let mut end = [0];
            reader.read_exact(&mut end).at("read", "the answer of git cat-file")?;
            if size_bytes != size || end != *b"\n" {
                return Err(ApplyError::Answer { what: "a content" }.into());
            }
            entries[usize::from(side == Side::After)] = Some(ApplyEntry {
                kind,
                digest,
                size_bytes,
                object,
            });
        }
        let [before, after] = entries;
        paths.push(ApplyPath {
            path: PathText::new(&change.0),
            before,
            after,
        });
    }
    reader.into_inner().finish().map_err(failed)?;
    Ok(paths)
}

/// Reads `<object> blob <size>`.
fn header(reader: &mut impl BufRead, object: &str) -> io::Result<u64> {
    let mut line = Vec::new();
    reader.by_ref().take(256).read_until(b'\n', &mut line)?;
    let line = String::from_utf8_lossy(&line);
    let size = line
        .strip_prefix(object)
        .and_then(|rest| rest.strip_prefix(" blob "))
        .and_then(|size| size.trim_end().parse().ok());
    size.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it is no blob"))
}

/// Reads `:<mode> <mode> <object> <object> <letter>\0<path>\0`, again and again.
fn parse(listing: &[u8]) -> Result<Vec<(Vec<u8>, Blob, Blob)>, Halt> {
    let mut fields = listing.split(|&byte| byte == 0);
    let mut changes = Vec::new();
    while let Some(head) = fields.next().filter(|head| !head.is_empty()) {
        let unknown = || ApplyError::Answer { what: "a changed path" };
        let path = fields.next().filter(|path| !path.is_empty()).ok_or_else(unknown)?;
        let head = std::str::from_utf8(head).map_err(|_| unknown())?;
        let words: Vec<&str> = head.split(' ').collect();
        let [old, new, before, after, _] = words[..] else {
            return Err(unknown().into());
        };
        let old = old.strip_prefix(':').ok_or_else(unknown)?;
        changes.push((path.to_vec(), blob(old, before, path)?, blob(new, after, path)?));
    }
    Ok(changes)
}

fn blob(mode: &str, object: &str, path: &[u8]) -> Result<Blob, Halt> {
    let kind = match mode {
        "000000" => return Ok(None),
        "100644" => EntryKind::File,
        "100755" => EntryKind::Executable,
        "120000" => EntryKind::Symlink,
        _ => {
            return Err(Refusal::Path {
                path: escape(path, 1000),
                what: "is a submodule or of another type that is not applied",
            }
            .into());
        }
    };
    Ok(Some((kind, object.to_owned())))
}
