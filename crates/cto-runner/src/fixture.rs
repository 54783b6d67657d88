//! Fixtures as baselines: files in memory become a deterministic repository with two commits.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use cto_schema::escape;
use rustix::fs::FlockOperation;
use sha2::Digest as _;

use crate::baseline::{BaselineError, BaselineStore, ObjectFormat, ObjectSource, init_bare};
use crate::tool::{Git, GitCall, GitError, Input, quote_path};

/// Part of a fixture's key: another way of writing commits must not find the old ones.
const RECIPE: &str = "cto/fixture/1";

/// Why a fixture is no baseline.
#[derive(Debug, thiserror::Error)]
pub enum FixtureError {
    /// There is nothing in it.
    #[error("make a fixture of no files: a case needs at least one")]
    Empty,
    /// The directory could not be read.
    #[error("read fixture entry {}: only regular files and directories belong in a fixture", .path.display())]
    Read {
        /// The entry.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A path is given twice.
    #[error("make a fixture with two entries for \"{path}\"")]
    Twice {
        /// The path, escaped.
        path: String,
    },
    /// git could not make the commits.
    #[error("make the fixture's commits")]
    Git {
        /// Why.
        #[from]
        source: GitError,
    },
    /// The store failed.
    #[error("keep the fixture")]
    Store {
        /// Why.
        #[from]
        source: BaselineError,
    },
    /// A file of the store failed.
    #[error("keep the fixture at {}", .path.display())]
    Keep {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// One file of a fixture.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FixtureFile {
    /// The path relative to the root.
    pub path: Vec<u8>,
    /// The content.
    pub content: Vec<u8>,
    /// Whether it is executable.
    pub executable: bool,
}

/// The files of a fixture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FixtureSource {
    files: Vec<FixtureFile>,
}

/// A fixture in the store, ready to be a baseline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixtureBaseline {
    /// Where its objects are.
    pub objects: ObjectSource,
    /// Its second commit, which holds all files.
    pub commit: String,
}

impl FixtureSource {
    /// Takes files in any order.
    pub fn new(files: impl IntoIterator<Item = FixtureFile>) -> Result<Self, FixtureError> {
        let mut files: Vec<FixtureFile> = files.into_iter().collect();
        files.sort();
        if files.is_empty() {
            return Err(FixtureError::Empty);
        }
        match files.windows(2).find(|pair| pair[0].path == pair[1].path) {
            Some(pair) => Err(FixtureError::Twice {
                path: escape(&pair[0].path, 1000),
            }),
            None => Ok(Self { files }),
        }
    }

    /// Reads a directory; links and special files are refused, and so is `.git`.
    pub fn read(directory: &Path) -> Result<Self, FixtureError> {
        use std::os::unix::ffi::OsStrExt as _;
        use std::os::unix::fs::PermissionsExt as _;
        let mut files = Vec::new();
        let mut pending = vec![directory.to_owned()];
        while let Some(at) = pending.pop() {
            let wrong = |path: &Path| {
                let path = path.to_owned();
                move |source| FixtureError::Read { path, source }
            };
            for entry in fs::read_dir(&at).map_err(wrong(&at))? {
                let path = entry.map_err(wrong(&at))?.path();
                let metadata = fs::symlink_metadata(&path).map_err(wrong(&path))?;
                if metadata.is_dir() && path.file_name().is_some_and(|name| name != ".git") {
                    pending.push(path);
                } else if metadata.is_file() {
                    let content = fs::read(&path).map_err(wrong(&path))?;
                    let relative = path.strip_prefix(directory).unwrap_or(&path);
                    let executable = metadata.permissions().mode() & 0o100 != 0;
                    files.push(FixtureFile {
                        path: relative.as_os_str().as_bytes().to_vec(),
                        content,
                        executable,
                    });
                } else {
                    return Err(FixtureError::Read {
                        path,
                        source: io::ErrorKind::Unsupported.into(),
                    });
                }
            }
        }
        Self::new(files)
    }

    /// Returns the fixture's commits from the store, and makes them the first time.
    pub fn ensure(&self, git: &Git, store: &BaselineStore) -> Result<FixtureBaseline, FixtureError> {
        let key = self.key();
        let place = store.root().join("fixtures").join(&key);
        let found = |text: String| FixtureBaseline {
            objects: ObjectSource {
                objects: place.join("git/objects"),
                format: ObjectFormat::Sha1,
                shallow: Vec::new(),
            },
            commit: text.trim_end().to_owned(),
        };
        if let Ok(text) = fs::read_to_string(place.join("commit")) {
            return Ok(found(text));
        }
        git.version()?;
        let _lock = store.lock(&format!("fixture-{key}"), FlockOperation::LockExclusive)?;
        if let Ok(text) = fs::read_to_string(place.join("commit")) {
            return Ok(found(text));
        }
        let work = store.work_directory("fixture-")?;
        let git_dir = work.path().join("git");
        let keep = |path: &Path| {
            let path = path.to_owned();
            move |source| FixtureError::Keep { path, source }
        };
        init_bare(&git_dir, ObjectFormat::Sha1).map_err(keep(&git_dir))?;
        let call = GitCall::new("fast-import").args(["--quiet", "--done", "--date-format=raw"]);
        // The answer to `get-mark` is the only output.
        let said = git.run(call.git_dir(&git_dir).input(Input::Bytes(self.stream())))?;
        let commit = String::from_utf8_lossy(&said);
        let path = work.path().join("commit");
        fs::File::create_new(&path)
            .and_then(|mut file| file.write_all(commit.as_bytes()))
            .map_err(keep(&path))?;
        store.move_in(work, &place)?;
        Ok(found(commit.into_owned()))
    }

    fn key(&self) -> String {
        let mut hasher = sha2::Sha256::new_with_prefix(RECIPE);
        for file in &self.files {
            hasher.update((file.path.len() as u64).to_be_bytes());
            hasher.update(&file.path);
            hasher.update([u8::from(file.executable)]);
            hasher.update((file.content.len() as u64).to_be_bytes());
            hasher.update(&file.content);
        }
        data_encoding::HEXLOWER.encode(&hasher.finalize())
    }

    /// Two commits: a supervisor that takes any history for a result must fail on every fixture.
    fn stream(&self) -> Vec<u8> {
        let mut out = Vec::new();
        commit(&mut out, 1, "Start the fixture", &self.files[..1]);
        commit(&mut out, 2, "Add the fixture's files", &self.files);
        out.extend_from_slice(b"get-mark :2\ndone\n");
        out
    }
}

fn commit(out: &mut Vec<u8>, mark: u32, message: &str, files: &[FixtureFile]) {
    let who = "cto fixture <fixture@localhost> 1000000000 +0000";
    let head = format!(
        "commit refs/heads/fixture\nmark :{mark}\nauthor {who}\ncommitter {who}\ndata {}\n{message}\n\n",
        message.len() + 1
    );
    out.extend_from_slice(head.as_bytes());
    for file in files {
        let mode = if file.executable { "100755" } else { "100644" };
        out.extend_from_slice(format!("M {mode} inline ").as_bytes());
        out.extend(quote_path(&file.path));
        out.extend_from_slice(format!("\ndata {}\n", file.content.len()).as_bytes());
        out.extend_from_slice(&file.content);
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use cto_schema::History;

    use super::*;

    fn file(path: &str, content: &str) -> FixtureFile {
        FixtureFile {
            path: path.into(),
            content: content.into(),
            executable: path.starts_with("bin"),
        }
    }

    #[test]
    fn a_fixture_is_the_same_commit_everywhere_and_made_once() {
        let directory = tempfile::tempdir().unwrap();
        let git = Git::find().unwrap();
        let make = |name: &str| {
            let store = BaselineStore::open(&directory.path().join(name), None).unwrap();
            let source = FixtureSource::new([file("src/b.py", "b\n"), file("bin/a", "a")]).unwrap();
            let fixture = source.ensure(&git, &store).unwrap();
            (store, source, fixture)
        };
        let (store, source, first) = make("one");
        let (_, _, second) = make("two");
        assert_eq!(first.commit, second.commit);
        let before = git.processes_started();
        assert_eq!(source.ensure(&git, &store).unwrap(), first);
        assert_eq!(git.processes_started(), before);
        let baseline = store
            .ensure(&git, &first.objects, &first.commit, History::Full, false)
            .unwrap();
        assert_eq!(baseline.entry_count(), 2);
        let count = GitCall::new("rev-list")
            .args(["--count", "HEAD"])
            .git_dir(&baseline.git_layer().join(".git"));
        assert_eq!(git.run(count).unwrap(), b"2\n");
    }

    #[test]
    fn refuses_links_doubles_and_emptiness() {
        let directory = tempfile::tempdir().unwrap();
        assert!(matches!(
            FixtureSource::read(directory.path()),
            Err(FixtureError::Empty)
        ));
        std::os::unix::fs::symlink("/etc", directory.path().join("x")).unwrap();
        assert!(matches!(
            FixtureSource::read(directory.path()),
            Err(FixtureError::Read { .. })
        ));
        assert!(matches!(
            FixtureSource::new([file("a", "1"), file("a", "2")]),
            Err(FixtureError::Twice { .. })
        ));
    }
}
