//! A strict reader of git patches that never holds more than one header line.
//!
//! It accepts what `git diff --binary` of two trees writes and nothing else: every byte of a patch belongs to a
//! section whose header names one path, so nothing can hide between sections.

mod header;
mod scan;
#[cfg(test)]
mod tests;

use cto_schema::{ChangeKind, Sha256Digest};

pub use scan::PatchScan;

/// One path that a patch touches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatchedPath {
    /// The path, exact.
    pub path: Vec<u8>,
    /// What happens to it.
    pub kind: ChangeKind,
    /// Git's mode before; `None` when added, or when the patch does not say.
    pub old_mode: Option<String>,
    /// Git's mode after; `None` when deleted, or when the patch does not say.
    pub new_mode: Option<String>,
    /// Whether the content is a binary patch, whose digests cannot be recomputed from the text.
    pub binary: bool,
    /// Digest of the whole new content, for an added text file.
    pub added_digest: Option<Sha256Digest>,
    /// Digest of the whole old content, for a deleted text file.
    pub deleted_digest: Option<Sha256Digest>,
    /// Lines added.
    pub lines_added: u64,
    /// Lines removed.
    pub lines_removed: u64,
}

impl PatchedPath {
    /// Joins a deletion and an addition of one path, which is how git writes a change of type.
    pub(super) fn join(deleted: Self, added: Self) -> Self {
        Self {
            kind: ChangeKind::Modified,
            old_mode: deleted.old_mode,
            binary: deleted.binary || added.binary,
            deleted_digest: deleted.deleted_digest,
            lines_removed: deleted.lines_removed,
            ..added
        }
    }
}
