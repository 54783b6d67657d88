//! Trees, stores and workspaces for tests.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use cto_schema::History;

use super::{Baseline, BaselineStore, ObjectFormat, ObjectSource, beneath, init_bare};
use crate::tool::{Git, GitCall, Input, quote_path};

/// One entry of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    File(Vec<u8>),
    Executable(Vec<u8>),
    Symlink(Vec<u8>),
}

/// A tree by path.
pub(crate) type Tree = BTreeMap<Vec<u8>, Node>;

pub(crate) fn file(content: &str) -> Node {
    Node::File(content.as_bytes().to_vec())
}

pub(crate) fn tree<const N: usize>(entries: [(&str, Node); N]) -> Tree {
    entries
        .into_iter()
        .map(|(path, node)| (path.as_bytes().to_vec(), node))
        .collect()
}

/// A place on a fast file system, a git, and a store.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) git: Git,
    pub(crate) store: BaselineStore,
    next: std::cell::Cell<u32>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let root = if memory.is_dir() {
            memory.to_owned()
        } else {
            std::env::temp_dir()
        };
        let directory = tempfile::Builder::new().prefix("cto-test-").tempdir_in(root).unwrap();
        let store = BaselineStore::open(&directory.path().join("store"), None).unwrap();
        Self {
            directory,
            git: Git::find().unwrap(),
            store,
            next: std::cell::Cell::new(0),
        }
    }

    /// Makes a new empty directory.
    pub(crate) fn place(&self, name: &str) -> PathBuf {
        self.next.set(self.next.get() + 1);
        let path = self.directory.path().join(format!("{name}-{}", self.next.get()));
        fs::create_dir(&path).unwrap();
        path
    }

    /// Makes a bare repository with one commit of a tree below one of nothing.
    pub(crate) fn commit(&self, tree: &Tree, format: ObjectFormat) -> (ObjectSource, String) {
        let git_dir = self.place("objects").join("git");
        init_bare(&git_dir, format).unwrap();
        let mut stream = b"commit refs/heads/x\ncommitter a <a@b> 0 +0000\ndata 0\n\n".to_vec();
        stream.extend(b"commit refs/heads/x\nmark :1\ncommitter a <a@b> 0 +0000\ndata 0\n\n");
        for (path, node) in tree {
            let (mode, content) = match node {
                Node::File(content) => ("100644", content),
                Node::Executable(content) => ("100755", content),
                Node::Symlink(content) => ("120000", content),
            };
            stream.extend(format!("M {mode} inline ").bytes());
            stream.extend(quote_path(path));
            stream.extend(format!("\ndata {}\n", content.len()).bytes());
            stream.extend(content);
            stream.push(b'\n');
        }
        stream.extend(b"get-mark :1\ndone\n");
        let call = GitCall::new("fast-import").args(["--quiet", "--done", "--date-format=raw"]);
        let said = self
            .git
            .run(call.git_dir(&git_dir).input(Input::Bytes(stream)))
            .unwrap();
        let source = ObjectSource {
            objects: git_dir.join("objects"),
            format,
            shallow: Vec::new(),
        };
        (source, String::from_utf8(said).unwrap().trim_end().to_owned())
    }

    pub(crate) fn baseline(&self, tree: &Tree) -> Baseline {
        let (source, commit) = self.commit(tree, ObjectFormat::Sha1);
        self.store
            .ensure(&self.git, &source, &commit, History::Baseline, false)
            .unwrap()
    }
}

/// Writes one entry.
pub(crate) fn put(root: &Path, path: &[u8], node: &Node) {
    let place = root.join(OsStr::from_bytes(path));
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    match node {
        Node::Symlink(target) => symlink(OsStr::from_bytes(target), place).unwrap(),
        Node::File(content) | Node::Executable(content) => {
            let mode = if matches!(node, Node::File(_)) { 0o644 } else { 0o755 };
            write(&place, content);
            fs::set_permissions(&place, fs::Permissions::from_mode(mode)).unwrap();
        }
    }
}

/// Writes a file.
pub(crate) fn write(path: &Path, content: impl AsRef<[u8]>) {
    use std::io::Write as _;
    fs::File::create(path).unwrap().write_all(content.as_ref()).unwrap();
}

/// Reads a whole directory as a tree, without the git directory at its root.
pub(crate) fn read(root: &Path) -> Tree {
    let fd = beneath::open_directory(root).unwrap();
    let paths = beneath::files_below(beneath::borrow(&fd), b"").unwrap();
    paths
        .into_iter()
        .filter(|path| !path.starts_with(b".git/"))
        .map(|path| {
            let place = root.join(OsStr::from_bytes(&path));
            let metadata = fs::symlink_metadata(&place).unwrap();
            let node = if metadata.is_symlink() {
                Node::Symlink(fs::read_link(&place).unwrap().as_os_str().as_bytes().to_vec())
            } else if metadata.permissions().mode() & 0o100 != 0 {
                Node::Executable(fs::read(&place).unwrap())
            } else {
                Node::File(fs::read(&place).unwrap())
            };
            (path, node)
        })
        .collect()
}
