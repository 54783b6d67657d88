//! Where objects come from, and the bare git directories that the harness makes to read them.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// The hash that names a repository's objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectFormat {
    /// 40 hexadecimal digits.
    #[default]
    Sha1,
    /// 64 hexadecimal digits.
    Sha256,
}

impl ObjectFormat {
    /// Returns git's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
        }
    }

    /// Tells whether a text names an object of this format.
    pub fn names(self, text: &str) -> bool {
        let digits = match self {
            Self::Sha1 => 40,
            Self::Sha256 => 64,
        };
        text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    }
}

/// An object directory that is read, and nothing else of its repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectSource {
    /// The absolute path of the `objects` directory.
    pub objects: PathBuf,
    /// What names its objects.
    pub format: ObjectFormat,
    /// Commits whose parents it does not have.
    pub shallow: Vec<String>,
}

/// `info/attributes` of our own git directories: nothing that a tree says about its files may change a byte or a
/// line of the patch. It outranks every `.gitattributes`.
pub(super) const EMPTY_ATTRIBUTES: &str = "* -text -ident -filter -working-tree-encoding !diff !whitespace !merge\n";

/// Makes a bare git directory without a process; `HEAD` names a branch that never exists.
pub(crate) fn init_bare(path: &Path, format: ObjectFormat) -> io::Result<()> {
    for directory in ["", "objects", "objects/info", "objects/pack", "refs", "info"] {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path.join(directory))?;
    }
    create(&path.join("info/attributes"), EMPTY_ATTRIBUTES)?;
    create(&path.join("config"), &configuration(format, true))?;
    // Last: git knows a git directory by its HEAD, so a half-made one is none.
    create(&path.join("HEAD"), "ref: refs/heads/none\n")
}

/// Returns the part of a configuration that says how objects are named.
pub(crate) fn configuration(format: ObjectFormat, bare: bool) -> String {
    match format {
        ObjectFormat::Sha1 => format!("[core]\n\trepositoryformatversion = 0\n\tbare = {bare}\n"),
        ObjectFormat::Sha256 => {
            format!("[core]\n\trepositoryformatversion = 1\n\tbare = {bare}\n[extensions]\n\tobjectformat = sha256\n")
        }
    }
}

/// Creates a small file that must not exist.
pub(crate) fn create(path: &Path, content: &str) -> io::Result<()> {
    fs::File::create_new(path)?.write_all(content.as_bytes())
}
