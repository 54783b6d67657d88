//! Making the patch: the changed paths' old and new states become two commits of a throw-away repository.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufWriter, Seek as _, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use cto_schema::{Change, EntryKind, EntryState};

use super::{At as _, PatchError};
use crate::baseline::{Baseline, beneath, init_bare};
use crate::tool::{Git, GitCall, Input, quote_path};
use crate::write_set::{Collected, FinalContent};

/// Far above what limits on changed files and their sizes allow.
const PATCH_CAP: u64 = 4 << 30;

/// What makes the text the same everywhere, and whole.
const DIFF: [&str; 14] = [
    "-r",
    "-p",
    "--binary",
    "--full-index",
    "--no-renames",
    "--no-ext-diff",
    "--no-textconv",
    "--no-color",
    "--no-relative",
    "--no-prefix",
    "--src-prefix=a/",
    "--dst-prefix=b/",
    "--unified=3",
    "--diff-algorithm=myers",
];

/// Returns the patch from the baseline to the final tree; empty when nothing changed.
///
/// `scratch` is a directory of the harness, on disk; the repository made in it is removed again.
pub fn make_patch(
    git: &Git,
    baseline: &Baseline,
    collected: &Collected,
    scratch: &Path,
) -> Result<Vec<u8>, PatchError> {
    let set = &collected.write_set;
    if let Some(why) = &set.truncated {
        return Err(PatchError::Truncated { why: why.clone() });
    }
    if set.changes.is_empty() {
        return Ok(Vec::new());
    }
    let place = tempfile::Builder::new()
        .prefix("patch-")
        .tempdir_in(scratch)
        .at(scratch)?;
    let git_dir = place.path().join("git");
    init_bare(&git_dir, baseline.format()).at(&git_dir)?;
    let stream = place.path().join("stream");
    let mut out = BufWriter::new(File::create_new(&stream).at(&stream)?);
    commit(
        &mut out,
        "before",
        set.changes.iter().filter(|c| c.before.is_some()),
        |out, change, path| {
            let before = change.before.as_ref().map_or(EntryKind::File, |state| state.kind);
            old_content(out, baseline, path, before)
        },
    )?;
    // The second commit starts empty as well: a path that became a directory needs no order of steps.
    commit(
        &mut out,
        "after",
        set.changes.iter().filter(|c| c.after.is_some()),
        |out, change, path| {
            let content = collected.contents.get(path).ok_or_else(|| PatchError::Content {
                path: change.path.shown(),
            })?;
            new_content(out, content, change.after.as_ref())
        },
    )?;
    out.flush().at(&stream)?;
    drop(out);
    let mut input = File::open(&stream).at(&stream)?;
    input.rewind().at(&stream)?;
    let failed = |source| PatchError::Diff { source };
    // Left as a pack: unpacking it would be another process.
    let import = GitCall::new("fast-import")
        .args(["--quiet", "--done", "--date-format=raw", "--depth=0"])
        .setting("fastimport.unpackLimit=0")
        .unsynced();
    git.run(import.git_dir(&git_dir).input(Input::File(input)))
        .map_err(failed)?;
    let diff = GitCall::new("diff-tree")
        .args(DIFF)
        .args(["refs/import/before", "refs/import/after"]);
    git.run(diff.git_dir(&git_dir).cap(PATCH_CAP)).map_err(failed)
}

/// Writes one commit of an import stream that holds exactly the given changes' states.
fn commit<'a, W: Write>(
    out: &mut W,
    name: &str,
    changes: impl Iterator<Item = &'a Change>,
    mut content: impl FnMut(&mut W, &Change, &[u8]) -> Result<(), PatchError>,
) -> Result<(), PatchError> {
    let stream = "import stream";
    write!(
        out,
        "commit refs/import/{name}\ncommitter cto <cto@localhost> 0 +0000\ndata 0\n\n"
    )
    .at(stream)?;
    for change in changes {
        let path = change.path.bytes().ok_or_else(|| PatchError::Content {
            path: change.path.shown(),
        })?;
        let state = if name == "before" {
            &change.before
        } else {
            &change.after
        };
        let mode = state.as_ref().map_or("100644", |state| state.kind.git_mode());
        write!(out, "M {mode} inline ").at(stream)?;
        out.write_all(&quote_path(&path)).at(stream)?;
        out.write_all(b"\n").at(stream)?;
        content(out, change, &path)?;
        out.write_all(b"\n").at(stream)?;
    }
    if name == "after" {
        out.write_all(b"done\n").at(stream)?;
    }
    Ok(())
}

fn old_content(out: &mut impl Write, baseline: &Baseline, path: &[u8], kind: EntryKind) -> Result<(), PatchError> {
    let place = || baseline.files().join(OsStr::from_bytes(path));
    if kind == EntryKind::Symlink {
        let looked = beneath::look(baseline.files_fd(), path).at(place())?;
        let text = looked
            .map(|(fd, _)| beneath::link_text(&fd))
            .transpose()
            .at(place())?
            .unwrap_or_default();
        return data(out, text.len() as u64, &mut text.as_slice()).at(place());
    }
    let mut file = baseline.open(path).at(place())?;
    let size = file.metadata().at(place())?.len();
    data(out, size, &mut file).at(place())
}

pub(super) fn new_content(
    out: &mut impl Write,
    content: &FinalContent,
    after: Option<&EntryState>,
) -> Result<(), PatchError> {
    match content {
        FinalContent::Symlink { target } => data(out, target.len() as u64, &mut target.as_slice()).at("import stream"),
        FinalContent::File { source, .. } => {
            let mut file = File::open(source).at(source)?;
            data(out, after.map_or(0, |state| state.size_bytes), &mut file).at(source)
        }
    }
}

/// Writes exactly `size` bytes; another number would make the stream say something else.
fn data(out: &mut impl Write, size: u64, content: &mut dyn io::Read) -> io::Result<()> {
    writeln!(out, "data {size}")?;
    if io::copy(content, out)? == size {
        Ok(())
    } else {
        Err(io::Error::other("its size changed"))
    }
}
