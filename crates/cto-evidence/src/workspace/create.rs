//! Making a workspace: every file new, durable, and never over another.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use cto_schema::escape;

use crate::durable;

/// Why a workspace was not made.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// Files of the same names are there; nothing was written.
    #[error("make the workspace {}: {} there already, and nothing is overwritten", shown(path), there.join(", "))]
    Exists {
        /// The directory.
        path: PathBuf,
        /// The files.
        there: Vec<String>,
    },
    /// A file or directory could not be made.
    #[error("make {} in the workspace {}", escape(file.as_bytes(), 200), shown(path))]
    Write {
        /// The directory.
        path: PathBuf,
        /// The file.
        file: String,
        /// Why.
        source: io::Error,
    },
}

fn shown(path: &Path) -> String {
    escape(path.as_os_str().as_encoded_bytes(), 400)
}

/// Creates files, each with its path relative to `path`, which is made when it is missing.
pub fn create_workspace(path: &Path, files: &[(String, String)]) -> Result<(), CreateError> {
    let there: Vec<String> = files
        .iter()
        .filter(|(file, _)| path.join(file).symlink_metadata().is_ok())
        .map(|(file, _)| file.clone())
        .collect();
    if !there.is_empty() {
        let path = path.to_owned();
        return Err(CreateError::Exists { path, there });
    }
    let failed = |file: &str| {
        let (path, file) = (path.to_owned(), file.to_owned());
        move |source| CreateError::Write { path, file, source }
    };
    std::fs::create_dir_all(path).map_err(failed("."))?;
    let root = durable::open_dir(path).map_err(failed("."))?;
    for (file, content) in files {
        write(&root, file, content).map_err(failed(file))?;
    }
    durable::sync_dir(&root).map_err(failed("."))
}

fn write(root: &OwnedFd, file: &str, content: &str) -> io::Result<()> {
    let Some((directory, name)) = file.rsplit_once('/') else {
        return durable::write_new(root, file, content.as_bytes());
    };
    match durable::make_dir_at(root, directory) {
        Ok(()) => durable::sync_dir(root)?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let inner = durable::open_dir_at(root, directory)?;
    durable::write_new(&inner, name, content.as_bytes())
}
