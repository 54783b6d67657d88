//! Finding a case by name and reading its directory.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use cto_schema::{escape, nearest};
use rustix::fs::{Mode, OFlags};

use crate::authority::{Links, read_authority};

use super::{CaseError, CaseFile, CaseFileKind, CaseOrigin, EmbeddedCase, LoadedCase, document, embedded, harbor};

/// The largest `case.yaml`, in bytes.
const MAX_DOCUMENT_BYTES: u64 = 1 << 20;
/// The largest file of a fixture, in bytes.
const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;
/// The largest fixture, in files.
const MAX_FILES: usize = 200_000;

/// Finds a case by name among the embedded ones and in directories, each a case directory or one that holds some.
pub fn find(id: &str, extra_directories: &[PathBuf]) -> Result<LoadedCase, CaseError> {
    let directories = case_directories(extra_directories);
    let mut places: Vec<CaseOrigin> = Vec::new();
    if embedded().iter().any(|case| case.id == id) {
        places.push(CaseOrigin::Embedded);
    }
    let known: Vec<(String, PathBuf)> = directories
        .into_iter()
        .map(|directory| (called(&directory), directory))
        .collect();
    places.extend(
        known
            .iter()
            .filter(|(name, _)| name == id)
            .map(|(_, directory)| CaseOrigin::Directory(directory.clone())),
    );
    match places.as_slice() {
        [] => {
            let names = embedded()
                .iter()
                .map(|case| case.id)
                .chain(known.iter().map(|(name, _)| name.as_str()));
            Err(CaseError::Unknown {
                id: escape(id.as_bytes(), 80),
                suggestion: nearest(id, names).map(|n| escape(n.as_bytes(), 80)),
            })
        }
        [CaseOrigin::Directory(directory)] => load(directory),
        [CaseOrigin::Embedded] => match embedded().iter().find(|case| case.id == id) {
            Some(case) => load_embedded(case),
            None => Err(CaseError::Unknown {
                id: id.to_owned(),
                suggestion: None,
            }),
        },
        [first, second, ..] => Err(CaseError::Ambiguous {
            id: id.to_owned(),
            first: first.to_string(),
            second: second.to_string(),
        }),
    }
}

/// Returns the name of every case: the embedded ones first, then those in directories, each once.
pub(crate) fn known(extra_directories: &[PathBuf]) -> Vec<String> {
    let mut names: Vec<String> = embedded().iter().map(|case| case.id.to_owned()).collect();
    for directory in case_directories(extra_directories) {
        let name = called(&directory);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Returns the name that a case directory goes by. A document that cannot be read still goes by its directory's name, so
/// that its problems can be shown.
fn called(directory: &Path) -> String {
    if harbor::is_task(directory) {
        return harbor::name_of(directory);
    }
    let named = read_document(directory)
        .ok()
        .and_then(|bytes| document::parse(&bytes).ok())
        .map(|case| case.case_id);
    named.unwrap_or_else(|| name_of(directory))
}

/// Reads one case directory and refuses it with every problem that it has.
pub fn load(directory: &Path) -> Result<LoadedCase, CaseError> {
    if harbor::is_task(directory) {
        return harbor::load(directory);
    }
    if harbor::is_old_task(directory) {
        return Err(CaseError::Invalid {
            place: shown(directory),
            problems: vec![harbor::OLD_TASK.to_owned()],
        });
    }
    let bytes = read_document(directory)?;
    let files = read_fixture(&directory.join("fixture"))?;
    let place = shown(directory);
    finish(&bytes, files, CaseOrigin::Directory(directory.to_owned()), place)
}

fn load_embedded(embedded: &EmbeddedCase) -> Result<LoadedCase, CaseError> {
    let files = embedded.files.iter().map(|(path, bytes, executable)| CaseFile {
        path: path.as_bytes().to_vec(),
        bytes: bytes.to_vec(),
        kind: if *executable {
            CaseFileKind::Executable
        } else {
            CaseFileKind::Plain
        },
    });
    finish(
        embedded.document.as_bytes(),
        files.collect(),
        CaseOrigin::Embedded,
        embedded.id.to_owned(),
    )
}

fn finish(bytes: &[u8], mut files: Vec<CaseFile>, origin: CaseOrigin, place: String) -> Result<LoadedCase, CaseError> {
    let case = document::parse(bytes).map_err(|problem| CaseError::Invalid {
        place: place.clone(),
        problems: vec![problem],
    })?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let problems = document::problems(&case, &files);
    if problems.is_empty() {
        Ok(LoadedCase {
            case,
            files,
            origin,
            harbor: None,
        })
    } else {
        Err(CaseError::Invalid { place, problems })
    }
}

/// Lists the case directories and Harbor tasks: each given one, or what is directly below it.
pub fn case_directories(given: &[PathBuf]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for directory in given {
        if is_case(directory) {
            found.push(directory.clone());
            continue;
        }
        let below = fs::read_dir(directory)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path());
        let mut cases: Vec<PathBuf> = below.filter(|path| is_case(path)).collect();
        cases.sort();
        found.extend(cases);
    }
    found
}

fn is_case(directory: &Path) -> bool {
    directory.join("case.yaml").exists() || harbor::is_task(directory)
}

fn name_of(directory: &Path) -> String {
    directory
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

pub(super) fn shown(path: &Path) -> String {
    escape(path.as_os_str().as_bytes(), 400)
}

pub(super) fn read_error(path: &Path, source: impl Into<std::io::Error>) -> CaseError {
    CaseError::Read {
        place: shown(path),
        source: source.into(),
    }
}

/// A contract follows from it, so only who may decide may have written it.
fn read_document(directory: &Path) -> Result<Vec<u8>, CaseError> {
    let path = directory.join("case.yaml");
    Ok(read_authority(&path, Links::Refused, MAX_DOCUMENT_BYTES)?)
}

/// Reads a text from which a contract follows.
pub(super) fn read_text(path: &Path) -> Result<String, CaseError> {
    let bytes = read_authority(path, Links::Refused, MAX_DOCUMENT_BYTES)?;
    String::from_utf8(bytes).map_err(|_| CaseError::Invalid {
        place: shown(path),
        problems: vec!["it is not UTF-8; save it as UTF-8".to_owned()],
    })
}

fn read_file(path: &Path) -> Result<Vec<u8>, CaseError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| read_error(path, error))?;
    let file = File::from(fd);
    let metadata = file.metadata().map_err(|error| read_error(path, error))?;
    if !metadata.is_file() || metadata.len() > MAX_FILE_BYTES {
        let problem = "it is no regular file of at most 64 MiB; leave it out".to_owned();
        return Err(CaseError::Invalid {
            place: shown(path),
            problems: vec![problem],
        });
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES)
        .read_to_end(&mut bytes)
        .map_err(|error| read_error(path, error))?;
    Ok(bytes)
}

pub(super) fn read_fixture(root: &Path) -> Result<Vec<CaseFile>, CaseError> {
    let mut pending = vec![root.to_owned()];
    let mut files = Vec::new();
    while let Some(directory) = pending.pop() {
        let entries = fs::read_dir(&directory).map_err(|error| read_error(&directory, error))?;
        for entry in entries {
            let path = entry.map_err(|error| read_error(&directory, error))?.path();
            let metadata = fs::symlink_metadata(&path).map_err(|error| read_error(&path, error))?;
            if metadata.is_dir() {
                pending.push(path);
                continue;
            }
            let (bytes, kind) = if metadata.is_symlink() {
                let target = fs::read_link(&path).map_err(|error| read_error(&path, error))?;
                (target.as_os_str().as_bytes().to_vec(), CaseFileKind::Link)
            } else if metadata.permissions().mode() & 0o111 == 0 {
                (read_file(&path)?, CaseFileKind::Plain)
            } else {
                (read_file(&path)?, CaseFileKind::Executable)
            };
            let relative = path
                .strip_prefix(root)
                .map(|path| path.as_os_str().as_bytes().to_vec())
                .unwrap_or_default();
            files.push(CaseFile {
                path: relative,
                bytes,
                kind,
            });
            if files.len() > MAX_FILES {
                let problem = format!("the fixture has more than {MAX_FILES} files; make it smaller");
                return Err(CaseError::Invalid {
                    place: shown(root),
                    problems: vec![problem],
                });
            }
        }
    }
    Ok(files)
}
