//! Lifecycle supervision: an engine that committed its work, left a clean tree and falls silent has nothing left to do.
//!
//! Everything below the workspace is the engine's: refs are read as bytes through the descriptor of the workspace, no
//! link is followed, and git sees one object file of it at most, in a git directory of the harness.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cto_sandbox::Exports;

use super::collection::read_write_set;
use super::workspace::Workspace;
use crate::baseline::{ObjectFormat, beneath, init_bare};
use crate::patch::tree_id;
use crate::supervise::Lifecycle;
use crate::tool::{Git, GitCall};

/// How long one call of git may hold up the supervision.
const CALL_LIMIT: Duration = Duration::from_secs(10);
/// The largest file of a commit's object.
const OBJECT_CAP: u64 = 1 << 20;
const REF_CAP: u64 = 4096;
const PACKED_REFS_CAP: u64 = 16 << 20;

/// Looks whether the work of one engine is done.
pub(super) struct WorkDone<'a> {
    git: Git,
    workspace: &'a Workspace,
    idle: Duration,
    /// What was seen when it was done.
    pub(super) seen: Option<String>,
}

impl<'a> WorkDone<'a> {
    /// `None` for an engine whose manifest does not ask for lifecycle supervision.
    pub(super) fn of(git: &Git, workspace: &'a Workspace) -> Option<Self> {
        let idle_seconds = workspace.engine.manifest().lifecycle_idle_seconds?;
        Some(Self {
            git: git.clone().with_limit(CALL_LIMIT),
            workspace,
            idle: Duration::from_secs(idle_seconds.into()),
            seen: None,
        })
    }

    /// Returns the commit that the engine made, when its tree is exactly what lies in the workspace.
    fn committed(&self, exports: &Exports) -> Option<String> {
        let baseline = &self.workspace.baseline;
        let root = exports.workspace.as_fd();
        let head = head(root, baseline.format()).filter(|head| head != baseline.commit())?;
        // Removed when it is dropped; a run that is killed leaves it in its private directory.
        let place = tempfile::tempdir_in(&self.workspace.scratch.0).ok()?;
        let committed = self.tree_of(root, &head, &place.path().join("commit"))?;
        let (staging, work) = (place.path().join("staging"), place.path().join("tree"));
        std::fs::create_dir(&staging)
            .and_then(|()| std::fs::create_dir(&work))
            .ok()?;
        let found = read_write_set(&self.git, self.workspace, exports, &staging).ok()?;
        if !found.write_set.unsafe_entries.is_empty() {
            return None;
        }
        let lies_there = tree_id(&self.git, baseline, &found, &work).ok()?;
        (lies_there == committed).then_some(head)
    }

    /// Returns the tree of a commit that lies as an object file of its own, as one does that was just made.
    fn tree_of(&self, root: BorrowedFd<'_>, commit: &str, git_dir: &Path) -> Option<String> {
        let format = self.workspace.baseline.format();
        let (directory, name) = commit.split_at_checked(2)?;
        let object = format!(".git/objects/{directory}/{name}");
        let bytes = beneath::read_small(root, object.as_bytes(), OBJECT_CAP).ok()??;
        init_bare(git_dir, format).ok()?;
        let place: PathBuf = git_dir.join("objects").join(directory);
        std::fs::create_dir(&place).ok()?;
        let mut file = std::fs::File::create_new(place.join(name)).ok()?;
        std::io::Write::write_all(&mut file, &bytes).ok()?;
        let read = GitCall::new("cat-file").args(["commit", commit]);
        let text = self.git.run(read.git_dir(git_dir).cap(OBJECT_CAP)).ok()?;
        let first = text.split(|byte| *byte == b'\n').next()?;
        object_id(first.strip_prefix(b"tree ")?, format)
    }
}

impl Lifecycle for WorkDone<'_> {
    fn idle(&self) -> Duration {
        self.idle
    }

    fn is_done(&mut self, exports: &Exports) -> bool {
        let seen = self.committed(exports).map(|head| {
            format!(
                "HEAD went from {} to {head}, its tree is what lies in the workspace, and the engine was idle for {} s; the harness ended it\n",
                self.workspace.baseline.commit(),
                self.idle.as_secs()
            )
        });
        self.seen = seen;
        self.seen.is_some()
    }
}

/// Returns the commit that `HEAD` stands for.
fn head(root: BorrowedFd<'_>, format: ObjectFormat) -> Option<String> {
    let text = beneath::read_small(root, b".git/HEAD", REF_CAP).ok()??;
    let text = text.trim_ascii();
    let Some(name) = text.strip_prefix(b"ref: ").map(<[u8]>::trim_ascii) else {
        return object_id(text, format);
    };
    let plain = |part: &[u8]| !matches!(part, b"" | b"." | b"..");
    if !name.starts_with(b"refs/") || !name.split(|byte| *byte == b'/').all(plain) {
        return None;
    }
    let loose = beneath::read_small(root, &[b".git/", name].concat(), REF_CAP).ok()?;
    if let Some(loose) = loose {
        return object_id(loose.trim_ascii(), format);
    }
    let packed = beneath::read_small(root, b".git/packed-refs", PACKED_REFS_CAP).ok()??;
    let line = packed
        .split(|byte| *byte == b'\n')
        .find_map(|line| line.strip_suffix(name)?.strip_suffix(b" "))?;
    object_id(line, format)
}

fn object_id(text: &[u8], format: ObjectFormat) -> Option<String> {
    let text = std::str::from_utf8(text).ok()?;
    format.names(text).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    const ONE: &str = "1111111111111111111111111111111111111111";
    const TWO: &str = "2222222222222222222222222222222222222222";

    struct World(tempfile::TempDir);

    impl World {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn file(&self, path: &str, content: &str) {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::io::Write::write_all(&mut fs::File::create(path).unwrap(), content.as_bytes()).unwrap();
        }

        fn head(&self) -> Option<String> {
            head(fs::File::open(self.0.path()).unwrap().as_fd(), ObjectFormat::Sha1)
        }
    }

    #[test]
    fn head_is_a_commit_a_loose_ref_or_a_packed_one_and_the_loose_one_outranks() {
        let world = World::new();
        assert_eq!(world.head(), None);
        world.file(".git/HEAD", &format!("{ONE}\n"));
        assert_eq!(world.head().as_deref(), Some(ONE));
        world.file(".git/HEAD", "ref: refs/heads/main\n");
        assert_eq!(world.head(), None, "an unborn branch");
        world.file(
            ".git/packed-refs",
            &format!("# pack-refs\n{TWO} refs/heads/not/refs/heads/main\n{ONE} refs/heads/main\n^{TWO}\n"),
        );
        assert_eq!(world.head().as_deref(), Some(ONE));
        world.file(".git/refs/heads/main", &format!("{TWO}\n"));
        assert_eq!(world.head().as_deref(), Some(TWO));
    }

    #[test]
    fn nothing_that_leads_out_of_the_workspace_is_a_head() {
        let outside = World::new();
        outside.file("id", ONE);
        let world = World::new();
        for text in [
            "ref: ../id",
            "ref: refs/../../id",
            "ref: /etc/hostname",
            "ref: refs//x",
            "HEAD",
            "1111",
            "",
        ] {
            world.file(".git/HEAD", text);
            world.file("id", ONE);
            assert_eq!(world.head(), None, "{text}");
        }
        world.file(".git/HEAD", "ref: refs/heads/main\n");
        fs::create_dir_all(world.0.path().join(".git/refs/heads")).unwrap();
        symlink(outside.0.path().join("id"), world.0.path().join(".git/refs/heads/main")).unwrap();
        assert_eq!(world.head(), None, "a link is not followed");
        fs::remove_dir_all(world.0.path().join(".git")).unwrap();
        outside.file("HEAD", ONE);
        symlink(outside.0.path(), world.0.path().join(".git")).unwrap();
        assert_eq!(world.head(), None, "nor is a git directory that is one");
    }
}
