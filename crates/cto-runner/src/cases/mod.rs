//! Cases: a fixture and the task on it, embedded in the program or found in a directory.

mod check;
mod contract;
mod document;
mod embedded;
mod harbor;
mod load;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use cto_schema::Case;

use crate::authority::AuthorityError;

pub use check::check;
pub(crate) use contract::contract_for;
pub use embedded::embedded;
pub use harbor::HarborTask;
pub(crate) use load::known;
pub use load::{case_directories, find, load};

/// A case that is part of the program.
#[derive(Clone, Copy, Debug)]
pub struct EmbeddedCase {
    /// Its `case_id`.
    pub id: &'static str,
    /// Its `case.yaml`.
    pub document: &'static str,
    /// Files of the fixture: path, content, executable.
    pub files: &'static [(&'static str, &'static [u8], bool)],
}

/// A case that was read and checked, with its fixture in memory.
#[derive(Clone, Debug)]
pub struct LoadedCase {
    /// What `case.yaml` says.
    pub case: Case,
    /// The fixture, sorted by path.
    pub files: Vec<CaseFile>,
    /// Where it came from.
    pub origin: CaseOrigin,
    /// What a Harbor task says besides; `None` for a case of our own form.
    pub harbor: Option<HarborTask>,
}

/// One file of a fixture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseFile {
    /// Path relative to the root of the fixture.
    pub path: Vec<u8>,
    /// Content; the target of a symbolic link.
    pub bytes: Vec<u8>,
    /// What git would record.
    pub kind: CaseFileKind,
}

/// What git records of a file besides its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaseFileKind {
    /// Mode 100644.
    Plain,
    /// Mode 100755.
    Executable,
    /// Mode 120000.
    Link,
}

/// Where a case came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CaseOrigin {
    /// The program itself.
    Embedded,
    /// A case directory.
    Directory(PathBuf),
}

impl std::fmt::Display for CaseOrigin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Embedded => f.write_str("embedded"),
            Self::Directory(path) => f.write_str(&cto_schema::escape(path.as_os_str().as_encoded_bytes(), 400)),
        }
    }
}

/// Why a case cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// No case has that name.
    #[error("find the case '{id}': there is none{}; 'cto cases' lists them", did_you_mean(suggestion.as_deref()))]
    Unknown {
        /// The name asked for.
        id: String,
        /// The nearest known name.
        suggestion: Option<String>,
    },
    /// Two case directories claim the same name.
    #[error("find the case '{id}': {first} and {second} both have that name; rename one of them")]
    Ambiguous {
        /// The name.
        id: String,
        /// One place.
        first: String,
        /// The other.
        second: String,
    },
    /// A case's document does not count.
    #[error(transparent)]
    Document(#[from] AuthorityError),
    /// A case's files cannot be read.
    #[error("read '{place}'")]
    Read {
        /// The path, escaped.
        place: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A case's files are no case.
    #[error("use the case in '{place}': {}", problems.join("; "))]
    Invalid {
        /// The directory, escaped, or `embedded`.
        place: String,
        /// Everything that is wrong, each with how to mend it.
        problems: Vec<String>,
    },
}

fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion
        .map(|name| format!(", did you mean '{name}'?"))
        .unwrap_or_default()
}
