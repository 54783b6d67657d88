//! The id of the final tree, as git would name it: the baseline's tree and the write set, nothing of the workspace.

use std::fs::File;
use std::io::{BufWriter, Seek as _, Write as _};
use std::path::Path;

use super::diff::new_content;
use super::{At as _, PatchError};
use crate::baseline::{Baseline, init_bare};
use crate::tool::{Git, GitCall, Input, quote_path};
use crate::write_set::Collected;

/// Returns the id of the tree that the baseline with the write set is; `directory` is an empty one of the harness.
pub(crate) fn tree_id(
    git: &Git,
    baseline: &Baseline,
    collected: &Collected,
    directory: &Path,
) -> Result<String, PatchError> {
    if let Some(why) = &collected.write_set.truncated {
        return Err(PatchError::Truncated { why: why.clone() });
    }
    let git_dir = directory.join("git");
    init_bare(&git_dir, baseline.format()).at(&git_dir)?;
    let stream = directory.join("stream");
    let mut out = BufWriter::new(File::create_new(&stream).at(&stream)?);
    let head = "commit refs/import/final\ncommitter cto <cto@localhost> 0 +0000\ndata 0\n\n";
    writeln!(out, "{head}M 040000 {} \"\"", baseline.tree()).at(&stream)?;
    let changes = &collected.write_set.changes;
    let paths = || changes.iter().filter_map(|change| Some((change, change.path.bytes()?)));
    // What is gone makes room first: a directory may have become a file.
    for (_, path) in paths().filter(|(change, _)| change.before.is_some()) {
        out.write_all(&[b"D ", &*quote_path(&path), b"\n"].concat())
            .at(&stream)?;
    }
    for (change, path) in paths() {
        let Some(after) = &change.after else { continue };
        let content = collected.contents.get(&path).ok_or_else(|| PatchError::Content {
            path: change.path.shown(),
        })?;
        write!(out, "M {} inline ", after.kind.git_mode()).at(&stream)?;
        out.write_all(&[&*quote_path(&path), b"\n"].concat()).at(&stream)?;
        new_content(&mut out, content, Some(after))?;
        out.write_all(b"\n").at(&stream)?;
    }
    out.write_all(b"done\n").at(&stream)?;
    out.flush().at(&stream)?;
    drop(out);
    let mut input = File::open(&stream).at(&stream)?;
    input.rewind().at(&stream)?;
    let failed = |source| PatchError::Diff { source };
    // The baseline's trees; what it has already is not stored again.
    let known = baseline.git_layer().join(".git/objects");
    let import = GitCall::new("fast-import")
        .args(["--quiet", "--done", "--date-format=raw", "--depth=0"])
        .setting("fastimport.unpackLimit=0")
        .unsynced()
        .alternate_objects(&known);
    git.run(import.git_dir(&git_dir).input(Input::File(input)))
        .map_err(failed)?;
    let name = GitCall::new("rev-parse").args(["--verify", "refs/import/final^{tree}"]);
    let id = git.run(name.alternate_objects(&known).git_dir(&git_dir).cap(256));
    let id = id.map_err(failed)?;
    Ok(String::from_utf8_lossy(id.trim_ascii()).into_owned())
}
