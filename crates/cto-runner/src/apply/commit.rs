//! Making the commit, in a private git directory: the verified tree, one parent, and nothing of the target's settings.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use cto_sandbox::Change;
use cto_schema::{EntryKind, WriteSet, escape};

use crate::baseline::{Baseline, ObjectFormat, beneath, init_bare};
use crate::patch::{PatchError, tree_id};
use crate::tool::{Git, GitCall, GitError, Input};
use crate::write_set::{Collected, FinalContent};

/// Why there is no commit; the target was not touched.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The contents are not the ones that were verified.
    #[error("commit \"{path}\": its content is not the one that was verified")]
    Content {
        /// The path, escaped.
        path: String,
    },
    /// A name or address cannot stand in a commit.
    #[error("sign the commit as \"{who}\": a name and an address have neither control characters nor angle brackets")]
    Person {
        /// What was given, escaped.
        who: String,
    },
    /// The message cannot stand in a commit.
    #[error("use the commit's message: it is empty or holds a null byte")]
    Message,
    /// There is nothing to commit.
    #[error("make a commit: nothing changed")]
    Empty,
    /// The tree could not be made.
    #[error("make the commit's tree")]
    Tree {
        /// Why.
        source: PatchError,
    },
    /// git could not make the objects.
    #[error("make the commit's objects")]
    Git {
        /// Why.
        source: GitError,
    },
    /// A file of the harness failed.
    #[error("work at {} for the commit", .path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Who made a commit, and when; the zone is always UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The name.
    pub name: String,
    /// The address.
    pub email: String,
    /// Seconds since 1970.
    pub seconds: i64,
}

impl Person {
    pub(super) fn line(&self) -> Result<String, CommitError> {
        let Self { name, email, seconds } = self;
        let plain = |text: &str| {
            text == text.trim()
                && !text.is_empty()
                && !text.contains(|c: char| c.is_control() || matches!(c, '<' | '>'))
        };
        if plain(name) && plain(email) && *seconds >= 0 {
            return Ok(format!("{name} <{email}> {seconds} +0000"));
        }
        Err(CommitError::Person {
            who: escape(format!("{name} <{email}> {seconds}").as_bytes(), 200),
        })
    }
}

/// What a commit says besides its tree.
#[derive(Clone, Copy, Debug)]
pub struct CommitText<'a> {
    /// Who wrote the change.
    pub author: &'a Person,
    /// Who commits it; also named in the target's reflog.
    pub committer: &'a Person,
    /// The message, byte for byte; it should end with a line feed.
    pub message: &'a [u8],
}

/// A commit that exists in a private git directory only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeCommit {
    /// Its id.
    pub commit: String,
    /// Its tree.
    pub tree: String,
    /// Its parent.
    pub parent: String,
    /// Who commits it.
    pub committer: Person,
    /// The private git directory; it must live until the commit is applied.
    pub git_dir: PathBuf,
    /// Its loose objects by id: blobs and trees in the order of their ids, then the commit.
    pub objects: Vec<(String, PathBuf)>,
}

/// Makes the commit of a collected change on top of its baseline; `directory` is an empty one of the harness.
pub fn make_commit(
    git: &Git,
    baseline: &Baseline,
    collected: &Collected,
    text: CommitText<'_>,
    directory: &Path,
) -> Result<MadeCommit, CommitError> {
    if collected.write_set.changes.is_empty() {
        return Err(CommitError::Empty);
    }
    check_contents(collected)?;
    let import = directory.join("import");
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| CommitError::Io { path, source }
    };
    fs::create_dir(&import).map_err(io(&import))?;
    let tree = tree_id(git, baseline, collected, &import).map_err(|source| CommitError::Tree { source })?;
    if tree == baseline.tree() {
        return Err(CommitError::Empty);
    }
    // No objects are lent to this one: git would touch the ones that it finds there.
    let git_dir = directory.join("commit");
    init_bare(&git_dir, baseline.format()).map_err(io(&git_dir))?;
    let packs = import.join("git/objects/pack");
    for entry in fs::read_dir(&packs).map_err(io(&packs))? {
        let path = entry.map_err(io(&packs))?.path();
        if path.extension().is_some_and(|extension| extension == "pack") {
            let pack = File::open(&path).map_err(io(&path))?;
            let call = GitCall::new("unpack-objects").arg("-q").unsynced();
            run(git, call.git_dir(&git_dir).input(Input::File(pack)))?;
        }
    }
    let draft = GitCall::new("rev-parse").args(["--verify", "refs/import/final"]);
    let draft = run(git, draft.git_dir(&import.join("git")).cap(256))?;
    // The stream needed a commit of its own.
    let (fan, name) = draft.split_at_checked(2).unwrap_or_default();
    let draft = git_dir.join("objects").join(fan).join(name);
    fs::remove_file(&draft).map_err(io(&draft))?;
    let made = write_commit(git, baseline.format(), &tree, baseline.commit(), text, &git_dir)?;
    fs::remove_dir_all(&import).map_err(io(&import))?;
    Ok(made)
}

/// Writes a commit object into a private git directory, and lists all that is in it.
pub(super) fn write_commit(
    git: &Git,
    format: ObjectFormat,
    tree: &str,
    parent: &str,
    text: CommitText<'_>,
    git_dir: &Path,
) -> Result<MadeCommit, CommitError> {
    if text.message.trim_ascii().is_empty() || text.message.contains(&0) {
        return Err(CommitError::Message);
    }
    let head = format!(
        "tree {tree}\nparent {parent}\nauthor {}\ncommitter {}\n\n",
        text.author.line()?,
        text.committer.line()?
    );
    let call = GitCall::new("hash-object")
        .args(["-t", "commit", "-w", "--stdin"])
        .unsynced();
    let bytes = [head.as_bytes(), text.message].concat();
    let commit = run(git, call.git_dir(git_dir).input(Input::Bytes(bytes)).cap(256))?;
    let objects = git_dir.join("objects");
    let mut listed = loose_objects(&objects, format).map_err(|source| CommitError::Io { path: objects, source })?;
    // Whoever sees the commit must find all that it names.
    listed.sort_by(|a, b| (a.0 == commit).cmp(&(b.0 == commit)).then_with(|| a.0.cmp(&b.0)));
    Ok(MadeCommit {
        commit,
        tree: tree.to_owned(),
        parent: parent.to_owned(),
        committer: text.committer.clone(),
        git_dir: git_dir.to_owned(),
        objects: listed,
    })
}

/// Returns a verified collection as what it was collected from: the contents that the clean room used.
#[cfg_attr(not(test), expect(dead_code, reason = "the journey is not wired to it yet"))]
pub(crate) fn verified(write_set: &WriteSet, changes: &[Change]) -> Collected {
    let mut contents = BTreeMap::new();
    for change in changes {
        let (path, content) = match change {
            Change::File { path, mode, source } => {
                let (source, executable) = (source.clone(), mode & 0o100 != 0);
                (path, FinalContent::File { source, executable })
            }
            Change::Symlink { path, target } => {
                let target = target.as_os_str().as_bytes().to_vec();
                (path, FinalContent::Symlink { target })
            }
            Change::Remove { .. } | Change::Content { .. } | Change::Directory { .. } => continue,
        };
        contents.insert(path.as_os_str().as_bytes().to_vec(), content);
    }
    Collected {
        write_set: write_set.clone(),
        contents,
    }
}

/// The write set was judged by its digests, so the contents must have them.
fn check_contents(collected: &Collected) -> Result<(), CommitError> {
    for change in &collected.write_set.changes {
        let Some(after) = &change.after else { continue };
        let content = change.path.bytes().and_then(|path| collected.contents.get(&path));
        let (kind, digest) = match content {
            Some(FinalContent::Symlink { target }) => (EntryKind::Symlink, cto_schema::Sha256Digest::of(target)),
            Some(FinalContent::File { source, executable }) => {
                let read = File::open(source).and_then(beneath::digest_reader);
                let (digest, _) = read.map_err(|error| CommitError::Io {
                    path: source.clone(),
                    source: error,
                })?;
                let kind = if *executable {
                    EntryKind::Executable
                } else {
                    EntryKind::File
                };
                (kind, digest)
            }
            None => {
                return Err(CommitError::Content {
                    path: change.path.shown(),
                });
            }
        };
        if (kind, digest) != (after.kind, after.digest) {
            return Err(CommitError::Content {
                path: change.path.shown(),
            });
        }
    }
    Ok(())
}

pub(super) fn loose_objects(objects: &Path, format: ObjectFormat) -> io::Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for fan in fs::read_dir(objects)? {
        let fan = fan?;
        let prefix = fan.file_name().to_string_lossy().into_owned();
        if prefix.len() != 2 {
            continue;
        }
        for entry in fs::read_dir(fan.path())? {
            let entry = entry?;
            let id = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if format.names(&id) {
                found.push((id, entry.path()));
            }
        }
    }
    Ok(found)
}

fn run(git: &Git, call: GitCall) -> Result<String, CommitError> {
    let said = git.run(call).map_err(|source| CommitError::Git { source })?;
    Ok(String::from_utf8_lossy(said.trim_ascii()).into_owned())
}
